//! How a task ended.

use std::fmt;

/// How a task ended, by its exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// It did what it should.
    Ok,
    /// It did what it should and printed this many warnings.
    Warnings(u32),
    /// It failed; PVE's message.
    Failed(String),
    /// What it did is not known: killed, lost with its node, or not finished in the time given.
    Unknown(String),
}

impl TaskOutcome {
    /// From the exit status PVE reports of a stopped task.
    #[must_use]
    pub fn from_exit_status(text: &str) -> Self {
        let text = text.trim();
        if text == "OK" {
            return Self::Ok;
        }
        if let Some(count) = text.strip_prefix("WARNINGS: ").and_then(|n| n.parse().ok()) {
            return Self::Warnings(count);
        }
        // The worker left no last line: it was killed, or its node went away.
        if text.is_empty()
            || text == "unexpected status"
            || text.starts_with("unable to ") && text.contains("task log")
        {
            return Self::Unknown(if text.is_empty() {
                "no exit status".to_owned()
            } else {
                text.to_owned()
            });
        }
        Self::Failed(text.to_owned())
    }

    /// Whether the task did what it should.
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self {
            Self::Ok | Self::Warnings(_) => true,
            Self::Failed(_) | Self::Unknown(_) => false,
        }
    }
}

impl fmt::Display for TaskOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            Self::Warnings(count) => write!(f, "WARNINGS: {count}"),
            Self::Failed(text) => write!(f, "failed: {text}"),
            Self::Unknown(text) => write!(f, "unknown: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_told_apart() {
        assert_eq!(TaskOutcome::from_exit_status("OK"), TaskOutcome::Ok);
        assert_eq!(
            TaskOutcome::from_exit_status("WARNINGS: 2"),
            TaskOutcome::Warnings(2)
        );
        for failed in [
            "WARNINGS: x",
            "OK then",
            "CT is locked (backup)",
            "job errors",
            "unable to create CT 130 - x",
        ] {
            assert_eq!(
                TaskOutcome::from_exit_status(failed),
                TaskOutcome::Failed(failed.to_owned())
            );
        }
        for unknown in [
            "unexpected status",
            "unable to get last line from task log",
            "",
        ] {
            assert!(
                matches!(
                    TaskOutcome::from_exit_status(unknown),
                    TaskOutcome::Unknown(_)
                ),
                "{unknown}"
            );
        }
    }
}
