//! The page docs/reference/doctor.md.

use std::fmt::Write as _;

use super::finding::{Code, Level};

const HEAD: &str = "# What doctor finds

<!-- Printed by `proximity reference doctor`; the table is in crates/engine/src/commands/hosts/doctor/finding.rs. Do not edit. -->

`proximity doctor` looks at this installation and at its hosts, and says of each thing whether it is as it should be, with the
exact repair. It changes nothing: not here, and not on a host. `--host NAME` looks at one host alone, `--all` also tells what is
well, and `--json` prints `GET /api/doctor`.

| level | means | exit code |
|---|---|---|
| `fault` | something does not work, or is not safe | 14 |
| `unknown` | it could not be looked at, so nothing is said of it | 14 |
| `warning` | it works, and should be otherwise | 13 |
| `note` | worth knowing; nothing is wrong | 0 |
| `ok` | it was looked at and is as it should be | 0 |

The worst finding gives the exit code. A server that does not answer is told as for every command.

A code has one level and one meaning, for ever. The text beside it names the endpoint, node, token, storage or guest, and under
it stands what to do: commands with `pveum`, `pvesm` and `pvecm` are for a shell on a node, as root.

";

/// The page, from the codes.
#[must_use]
pub fn doctor_markdown() -> String {
    let mut page = HEAD.to_owned();
    for level in Level::ALL {
        // Writing to a String cannot fail; the error is dropped on purpose.
        let _ = write!(page, "## {level}\n\n");
        let is_ok = level == Level::Ok;
        page.push_str(if is_ok {
            "| code | means |\n|---|---|\n"
        } else {
            "| code | means | repair |\n|---|---|---|\n"
        });
        for code in Code::ALL.iter().filter(|code| code.level() == level) {
            let _ = match is_ok {
                true => writeln!(page, "| `{code}` | {} |", code.means()),
                false => writeln!(page, "| `{code}` | {} | {} |", code.means(), code.repair()),
            };
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}
