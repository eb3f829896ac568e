//! Steps that set up what an app runs as, in and from.

use garde::Validate;
use serde::Deserialize;

use super::{one_line, program};
use crate::catalog::words::{Account, FileMode, GuestPath, PinnedNpm, PinnedPython, UnitName};

/// A system account that nobody logs in with, and its home.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct UserStep {
    /// Its name; its group has the same.
    #[garde(custom(not_root))]
    pub name: Account,
    /// Its home, which is made and belongs to it (mode 0750).
    #[garde(custom(below_the_top))]
    pub home: GuestPath,
}

/// A directory with its owner and mode; those above it are made if they are missing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct DirectoryStep {
    /// Where.
    #[garde(custom(below_the_top))]
    pub path: GuestPath,
    /// Permission bits.
    #[serde(default = "enterable")]
    pub mode: FileMode,
    /// User.
    #[serde(default = "Account::root")]
    pub owner: Account,
    /// Group.
    #[serde(default = "Account::root")]
    pub group: Account,
}

fn enterable() -> FileMode {
    FileMode::ENTERABLE
}

/// A systemd service of the app's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct UnitFileStep {
    /// Its name without `.service`.
    #[garde(custom(bare))]
    pub name: UnitName,
    /// What it is, one line; its name unless said.
    #[garde(inner(
        length(chars, min = 1, max = 120),
        custom(one_line),
        custom(no_backslash)
    ))]
    pub description: Option<String>,
    /// Program (absolute path) and arguments. Each is a template by itself, and stays one argument whatever is filled in.
    #[garde(
        length(min = 1, max = 64),
        inner(length(bytes, max = 4096), custom(one_line)),
        custom(program),
        custom(plain_program)
    )]
    pub exec: Vec<String>,
    /// Who it runs as; never root.
    #[garde(custom(not_root))]
    pub user: Account,
    /// Its group; of the same name as the user unless said.
    pub group: Option<Account>,
    /// Where it runs.
    #[garde(inner(custom(plain_path)))]
    pub working_directory: Option<GuestPath>,
    /// A file of `NAME=value` lines; it has to be there.
    #[garde(inner(custom(plain_path)))]
    pub environment_file: Option<GuestPath>,
    /// Units that are started before it.
    #[serde(default)]
    #[garde(length(max = 16))]
    pub after: Vec<UnitName>,
}

/// A folder with Python packages and what runs them (`python3-venv` has to be installed).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct VenvStep {
    /// Where.
    #[garde(custom(below_the_top))]
    pub path: GuestPath,
    /// What is in it.
    #[garde(length(min = 1, max = 64))]
    pub packages: Vec<PinnedPython>,
}

/// A folder with packages of npm (`npm` has to be installed).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NpmStep {
    /// Where.
    #[garde(custom(below_the_top))]
    pub path: GuestPath,
    /// What is in it.
    #[garde(length(min = 1, max = 64))]
    pub packages: Vec<PinnedNpm>,
}

/// A file that is fetched, and maybe unpacked (`curl` and `ca-certificates` have to be installed, and what unpacks it).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct DownloadStep {
    /// Where it is fetched from; every address that leads on from there is `https` too.
    #[garde(pattern(r"^https://[!-~]+$"), length(max = 1024))]
    pub url: String,
    /// What its SHA-256 has to be, in small letters. Without it the entry is `unpinned`.
    #[garde(pattern(r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// The day on which that was computed from what was fetched there.
    #[garde(pattern(r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub read_on: Option<String>,
    /// Where the file is put, or the folder that it is unpacked into, which has nothing else in it.
    #[garde(custom(below_the_top))]
    pub path: GuestPath,
    /// How it is unpacked; without it, it stays as it is.
    pub unpack: Option<Unpack>,
    /// Folders that are taken off the front of each path inside a `tar`.
    #[serde(default)]
    #[garde(range(max = 8))]
    pub strip: u8,
    /// Permission bits of a file that is not unpacked; `0644` unless said.
    pub mode: Option<FileMode>,
}

/// How a file that was fetched is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpack {
    /// By `tar`, which sees by itself how it is compressed.
    Tar,
    /// By `unzip`.
    Zip,
}

impl DownloadStep {
    /// Permission bits of a file that is not unpacked.
    #[must_use]
    pub fn file_mode(&self) -> FileMode {
        self.mode.unwrap_or(FileMode::READABLE)
    }
}

fn refuse(when: bool, reason: &str) -> garde::Result {
    if when {
        return Err(garde::Error::new(reason));
    }
    Ok(())
}

fn not_root(account: &Account, _: &()) -> garde::Result {
    refuse(account.as_str() == "root", "must not be root")
}

/// `/etc` and the like are the system's own.
fn below_the_top(path: &GuestPath, _: &()) -> garde::Result {
    let top = path.as_str().matches('/').count() < 2;
    refuse(
        top,
        "must be below a folder of the system's, such as /opt or /srv",
    )
}

fn bare(name: &UnitName, _: &()) -> garde::Result {
    let odd = name.as_str().contains(['.', '@', ':']);
    refuse(
        odd,
        "must be a name without '.', '@' and ':'; .service is added",
    )
}

fn no_backslash(text: &str, _: &()) -> garde::Result {
    refuse(text.contains('\\'), "must be without a backslash")
}

/// systemd reads these lines without quotes.
pub(super) fn plain_path(path: &GuestPath, _: &()) -> garde::Result {
    refuse(
        !is_plain(path.as_str()),
        "must be of letters, digits, '/', '.', '_', '+' and '-'",
    )
}

fn plain_program(argv: &[String], _: &()) -> garde::Result {
    let odd = argv.first().is_some_and(|program| !is_plain(program));
    refuse(
        odd,
        "the program must be of letters, digits, '/', '.', '_', '+' and '-'",
    )
}

fn is_plain(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte))
}
