//! Worker tasks: what they do, where they are, and how PVE shows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::guest::{GuestKey, JobId};
use super::upid::Upid;

/// Longest kept line of a log, characters; and most lines.
const LOG_LINE_CHARS: usize = 1_000;
const LOG_LINES: usize = 500;

/// A worker task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub upid: Upid,
    pub(crate) work: Work,
    /// Log lines so far.
    pub log: Vec<String>,
    /// Where it is.
    pub state: TaskState,
}

/// What a task does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    Create(Box<CreatePlan>),
    Start,
    Stop,
    Shutdown { timeout_s: u64, force: bool },
    Reboot { timeout_s: u64 },
    Destroy { force: bool, purge: bool },
}

/// A container to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CreatePlan {
    /// Volume id of the template.
    pub(crate) template_volid: String,
    /// Keys of the configuration, without `rootfs`.
    pub(crate) keys: BTreeMap<String, String>,
    /// `rootfs` as given or defaulted, e.g. `local:4`.
    pub(crate) rootfs: String,
    pub(crate) storage: String,
    pub(crate) size_bytes: u64,
    pub(crate) pool: Option<String>,
    pub(crate) start: bool,
}

/// Which half of a task the driver works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Create,
    /// Removing what a failed create left.
    CleanUp {
        error: String,
    },
    Start,
    Kill,
    Shutdown {
        force: bool,
    },
    RebootDown,
    RebootKill,
    DestroyKill,
    Destroy,
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// For the configuration lock.
    #[serde(rename = "waiting")]
    Waiting {
        /// Gives up then, Unix ms.
        deadline_ms: u64,
    },
    /// The driver works on it.
    #[serde(rename = "acting")]
    Acting(Acting),
    /// The work is done; the task takes a little longer.
    #[serde(rename = "settling")]
    Settling {
        /// Ends then, Unix ms.
        at_ms: u64,
        /// The error it ends with.
        error: Option<String>,
    },
    /// Killed; the process needs a moment to go.
    #[serde(rename = "dying")]
    Dying {
        /// Gone then, Unix ms.
        at_ms: u64,
    },
    /// Ended.
    #[serde(rename = "stopped")]
    Stopped {
        /// `OK`, a message, or `unexpected status`.
        exit: String,
        /// Unix seconds.
        end_s: u64,
    },
}

/// A command under way for a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acting {
    pub(crate) job: JobId,
    pub(crate) step: Step,
    /// The task does not end before, Unix ms.
    pub(crate) not_before_ms: u64,
}

impl TaskState {
    /// When time changes this state, Unix ms.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        match self {
            Self::Waiting { deadline_ms: at }
            | Self::Settling { at_ms: at, .. }
            | Self::Dying { at_ms: at } => Some(*at),
            Self::Acting(_) | Self::Stopped { .. } => None,
        }
    }
}

impl Task {
    /// The guest it works on.
    pub(crate) fn guest(&self) -> GuestKey {
        GuestKey {
            node: self.upid.node.clone(),
            vmid: self.upid.vmid().unwrap_or_default(),
        }
    }

    /// Holds the guest's configuration lock.
    pub(crate) fn holds_lock(&self) -> bool {
        match self.state {
            TaskState::Acting(_) | TaskState::Settling { .. } | TaskState::Dying { .. } => true,
            TaskState::Waiting { .. } | TaskState::Stopped { .. } => false,
        }
    }

    /// Has not ended.
    pub fn is_running(&self) -> bool {
        !matches!(self.state, TaskState::Stopped { .. })
    }

    /// `OK` or why it failed, once it ended.
    pub fn exit(&self) -> Option<&str> {
        match &self.state {
            TaskState::Stopped { exit, .. } => Some(exit),
            TaskState::Waiting { .. }
            | TaskState::Acting(_)
            | TaskState::Settling { .. }
            | TaskState::Dying { .. } => None,
        }
    }

    fn end_s(&self) -> Option<u64> {
        match &self.state {
            TaskState::Stopped { end_s, .. } => Some(*end_s),
            TaskState::Waiting { .. }
            | TaskState::Acting(_)
            | TaskState::Settling { .. }
            | TaskState::Dying { .. } => None,
        }
    }

    /// Adds to the log, within its limits.
    pub(crate) fn say(&mut self, line: impl AsRef<str>) {
        for line in line.as_ref().lines() {
            if self.log.len() < LOG_LINES {
                self.log.push(line.chars().take(LOG_LINE_CHARS).collect());
            }
        }
    }

    fn shared_fields(&self) -> Value {
        let Upid {
            node,
            kind,
            id,
            starttime_s,
            ..
        } = &self.upid;
        let (user, token) = self.upid.account();
        let mut row = json!({
            "upid": self.upid.to_string(), "node": node, "type": kind, "id": id,
            "starttime": starttime_s, "user": user,
        });
        if let Some(token) = token {
            row["tokenid"] = token.into();
        }
        row
    }

    /// `GET /nodes/{node}/tasks/{upid}/status`.
    pub(crate) fn status(&self) -> Value {
        let mut row = self.shared_fields();
        row["pid"] = self.upid.pid.into();
        row["pstart"] = self.upid.pstart.into();
        row["status"] = if self.is_running() {
            "running"
        } else {
            "stopped"
        }
        .into();
        if let Some(exit) = self.exit() {
            row["exitstatus"] = exit.into();
        }
        row
    }

    /// A row of `GET /nodes/{node}/tasks`. Running ones name the user with its token and have no
    /// token field.
    pub(crate) fn node_row(&self) -> Value {
        let mut row = self.shared_fields();
        row["pid"] = self.upid.pid.into();
        row["pstart"] = self.upid.pstart.into();
        match (self.exit(), self.end_s()) {
            (Some(exit), Some(end_s)) => {
                row["status"] = exit.into();
                row["endtime"] = end_s.into();
            }
            (_, _) => {
                row["status"] = "RUNNING".into();
                row["saved"] = "0".into();
                row["user"] = self.upid.user.clone().into();
                row.as_object_mut().map(|fields| fields.remove("tokenid"));
            }
        }
        row
    }

    /// A row of `GET /cluster/tasks`.
    pub(crate) fn cluster_row(&self) -> Value {
        let mut row = self.shared_fields();
        match (self.exit(), self.end_s()) {
            (Some(exit), Some(end_s)) => {
                row["saved"] = "1".into();
                row["status"] = exit.into();
                row["endtime"] = end_s.into();
            }
            (_, _) => row["saved"] = "0".into(),
        }
        row
    }
}
