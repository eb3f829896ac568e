//! `/api/apps/{app}/run` and `/exec`: commands inside the container of an app.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::apps::Problem;

/// A command that only looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SafeCommand {
    /// The newest lines of the journal, of one unit or of all.
    Logs,
    /// Services and how they are, or one unit.
    Status,
    /// File systems and how full they are.
    Disk,
    /// Programs that run, without their arguments.
    Processes,
    /// Memory.
    Memory,
    /// Network devices and their addresses.
    Network,
    /// What is installed.
    Packages,
    /// What is mounted where.
    Volumes,
    /// How a unit is set up, without its environment and its command lines.
    Config,
    /// System, kernel and load.
    System,
}

/// Body of `POST /api/apps/{id}/run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCommand {
    /// Which.
    pub command: SafeCommand,
    /// How many of the newest lines (`logs`); left out, 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub lines: Option<u32>,
    /// The unit that it is about (`logs`, `status`; `config` needs one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        max_length = 255,
        pattern = "^[A-Za-z0-9_.@:][A-Za-z0-9_.@:-]*$",
        example = "nginx"
    )]
    pub unit: Option<String>,
}

/// Answer of `POST /api/apps/{id}/run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandOutput {
    /// Which it was.
    pub command: SafeCommand,
    /// Its exit code; 127 where the container has no program for it.
    pub exit_code: i32,
    /// What it printed, without the app's secrets.
    pub output: String,
    /// What it complained, likewise.
    pub complaints: String,
    /// Something of either was left out.
    pub truncated: bool,
}

/// Body of `POST /api/apps/{id}/exec`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecRequest {
    /// Program and arguments, as they are: no shell reads them.
    #[schema(min_items = 1, max_items = 256, example = json!(["systemctl", "restart", "nginx"]))]
    pub argv: Vec<String>,
    /// What the program reads, in base64, 512 KiB at most; left out, nothing. Secrets belong here, not into `argv`, which is audited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// How long it may run, seconds; then it is ended.
    #[serde(default = "usual_timeout")]
    #[schema(minimum = 1, maximum = 3600, required = false)]
    pub timeout_s: u32,
}

/// How long a program may run unless said otherwise, seconds.
pub const USUAL_TIMEOUT_S: u32 = 60;

fn usual_timeout() -> u32 {
    USUAL_TIMEOUT_S
}

impl std::fmt::Debug for ExecRequest {
    /// Without its input, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecRequest")
            .field("argv", &self.argv)
            .field("timeout_s", &self.timeout_s)
            .finish_non_exhaustive()
    }
}

/// What an event of `POST /api/apps/{id}/exec` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecEventKind {
    /// It printed `data` on stdout.
    Stdout,
    /// It printed `data` on stderr.
    Stderr,
    /// It ended with `exit_code`. Nothing follows.
    Ended,
    /// Its end is not known, or it was ended, by `problem`. Nothing follows.
    Failed,
}

/// One event of `POST /api/apps/{id}/exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecEvent {
    /// What it tells.
    pub kind: ExecEventKind,
    /// What was printed, in base64, cut anywhere, without the app's secrets (`stdout`, `stderr`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The program's exit code (`ended`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Something of what it printed was left out (`ended`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// Why its end is not known (`failed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_not_printed_with_the_request() {
        let request: ExecRequest =
            serde_json::from_str(r#"{"argv":["cat"],"stdin":"aHVudGVyMg=="}"#).unwrap();
        assert_eq!(request.timeout_s, USUAL_TIMEOUT_S);
        let shown = format!("{request:?}");
        assert!(shown.contains("cat") && !shown.contains("aHVu"), "{shown}");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for bad in [
            r#"{"command":"rm"}"#,
            r#"{"command":"logs","lines":"7"}"#,
            r#"{"command":"logs","shell":true}"#,
        ] {
            assert!(serde_json::from_str::<RunCommand>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<ExecRequest>(r#"{"argv":"df -h"}"#).is_err());
    }
}
