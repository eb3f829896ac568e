//! The program, started by a test.

use std::process::{Command, Stdio};

/// `proximity`, with nothing to read and without what this account has set for its commands.
pub(crate) fn proximity() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proximity"));
    command.stdin(Stdio::null());
    #[allow(clippy::disallowed_methods)] // what is set is read in order to be left out
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PROXIMITY_") {
            command.env_remove(name);
        }
    }
    command
}
