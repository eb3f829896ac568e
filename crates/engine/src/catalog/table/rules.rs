//! The rules of texts in an entry's file.

use proximity_pve::image::OciImage;

use super::Rule;
use crate::catalog::words::{
    Account, FileMode, GuestPath, PackageName, PinnedNpm, PinnedPython, UnitName,
};

const fn rule(pattern: &'static str, min: usize, max: usize, says: &'static str) -> Rule {
    Rule {
        pattern,
        min,
        max,
        says,
        check: None,
    }
}

const fn checked(
    pattern: &'static str,
    max: usize,
    says: &'static str,
    check: fn(&str) -> bool,
) -> Rule {
    Rule {
        pattern,
        min: 1,
        max,
        says,
        check: Some(check),
    }
}

/// One line: no control characters.
const ONE_LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
const ANY: &str = "";

pub(super) static ID: Rule = rule(
    "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
    1,
    63,
    "lower-case letters, digits and dashes, no dash at either end, at most 63",
);
pub(super) static NAME: Rule = rule(ONE_LINE, 1, 64, "one line of at most 64 characters");
pub(super) static VERSION: Rule = rule(
    "^[A-Za-z0-9][A-Za-z0-9.+~:-]*$",
    1,
    32,
    "a version such as 1.0.0, at most 32 characters",
);
pub(super) static SUMMARY: Rule = rule(ONE_LINE, 1, 120, "one line of at most 120 characters");
pub(super) static DESCRIPTION: Rule = rule(ANY, 1, 4000, "a text of at most 4000 characters");
pub(super) static CATEGORY: Rule = rule(
    "^[a-z][a-z0-9-]*$",
    1,
    32,
    "one word of lower-case letters, digits and dashes",
);
pub(super) static TAG: Rule = rule(
    "^[a-z0-9][a-z0-9-]*$",
    1,
    32,
    "one word of lower-case letters, digits and dashes",
);
pub(super) static WEBSITE: Rule = rule(
    "^https://[!-~]+$",
    1,
    256,
    "an address that begins with https://",
);
pub(super) static OS_TEMPLATE: Rule = rule(
    "^[a-z0-9]+(-[a-z0-9.]+){1,4}$",
    1,
    128,
    "a template's name up to its version, such as debian-12-standard",
);
pub(super) static SETTING: Rule = rule(
    "^[a-z][a-z0-9_]*$",
    1,
    48,
    "lower-case letters, digits and '_', a letter in front",
);
pub(super) static ENV: Rule = rule(
    "^[A-Z][A-Z0-9_]*$",
    1,
    48,
    "capitals, digits and '_', a letter in front",
);
pub(super) static HELP: Rule = rule(ONE_LINE, 1, 200, "one line of at most 200 characters");
pub(super) static PATTERN: Rule = rule(ANY, 1, 4096, "a regular expression");
pub(super) static OPTION: Rule = rule(
    "^[A-Za-z0-9_.-]+$",
    1,
    64,
    "a word of letters, digits, '_', '.' and '-'",
);
pub(super) static CONTENT: Rule = rule(ANY, 0, 65_536, "a text of at most 64 KiB");
pub(super) static ARGUMENT: Rule = rule(ANY, 0, 4096, "a text of at most 4096 bytes");
pub(super) static REQUEST_PATH: Rule = rule(
    "^/[!-\"$-~]*$",
    1,
    1024,
    "a path with a / in front, printable ASCII without spaces and '#'",
);
pub(super) static MARKER: Rule = rule(ANY, 4, 256, "a text of 4 to 256 characters");
pub(super) static PACKAGE: Rule = checked(
    "^[a-z0-9][a-z0-9+.-]+$",
    64,
    "a Debian package name: lower-case letters, digits, '+', '-', '.', 2 to 64 of them",
    |text| PackageName::try_from(text.to_owned()).is_ok(),
);
pub(super) static UNIT: Rule = checked(
    "^[A-Za-z0-9:_.@][A-Za-z0-9:_.@-]*$",
    128,
    "a unit name: letters, digits, ':', '_', '.', '@', '-', no '-' in front, at most 128",
    |text| UnitName::try_from(text.to_owned()).is_ok(),
);
pub(super) static ACCOUNT: Rule = checked(
    "^[a-z_][a-z0-9_-]*$",
    32,
    "an account name: lower-case letters, digits, '_', '-', no digit or '-' in front, at most 32",
    |text| Account::try_from(text.to_owned()).is_ok(),
);
pub(super) static PATH: Rule = checked(
    r"^(/[^/\u0000-\u001f\u007f-\u009f]+)+$",
    1024,
    "an absolute path without '.', '..', '//', control characters or a '/' at its end",
    |text| GuestPath::try_from(text.to_owned()).is_ok(),
);
pub(super) static MODE: Rule = checked("^0[0-7]{3}$", 4, "a file mode such as \"0644\"", |text| {
    FileMode::try_from(text.to_owned()).is_ok()
});
pub(super) static PYTHON: Rule = checked(
    "^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9._+!-]*$",
    128,
    "a Python package and its version, such as flask==3.0.3",
    |text| PinnedPython::try_from(text.to_owned()).is_ok(),
);
pub(super) static NPM_PACKAGE: Rule = checked(
    "^(@[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*@[0-9][A-Za-z0-9._+!-]*$",
    256,
    "a package of npm and its version, such as express@4.19.2",
    |text| PinnedNpm::try_from(text.to_owned()).is_ok(),
);
pub(super) static DOWNLOAD_URL: Rule = rule(
    "^https://[!-~]+$",
    1,
    1024,
    "an address that begins with https://",
);
pub(super) static SHA256: Rule = rule(
    "^[0-9a-f]{64}$",
    64,
    64,
    "a SHA-256 of 64 digits 0 to 9 and a to f",
);
pub(super) static DATE: Rule = rule(
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
    10,
    10,
    "a day such as 2026-01-31",
);
pub(super) static LICENSE: Rule = rule(
    r"^\(?[A-Za-z0-9.+-]+\)?( (AND|OR|WITH) \(?[A-Za-z0-9.+-]+\)?)*$",
    1,
    128,
    "an SPDX expression, such as MIT or GPL-2.0-only OR MIT",
);
pub(super) static REPOSITORY: Rule = rule(
    "^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$",
    3,
    140,
    "a repository's owner and name, such as nginx/nginx",
);
pub(super) static PYPI_NAME: Rule = rule(
    "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    1,
    100,
    "a Python package's name",
);
pub(super) static NPM_NAME: Rule = rule(
    "^(@[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
    1,
    214,
    "the name of a package of npm",
);
pub(super) static IMAGE: Rule = checked(
    "^[A-Za-z0-9][A-Za-z0-9_./:-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*$",
    200,
    "an image with its tag, such as docker.io/library/nginx:1.29-alpine, without a digest",
    |text| text.parse::<OciImage>().is_ok(),
);
pub(super) static DIGEST: Rule = rule(
    "^sha256:[0-9a-f]{64}$",
    71,
    71,
    "sha256: and 64 hexadecimal digits in small letters",
);
pub(super) static VARIABLE: Rule = rule(
    "^[A-Za-z_][A-Za-z0-9_]*$",
    1,
    128,
    "letters, digits and '_', no digit in front",
);
