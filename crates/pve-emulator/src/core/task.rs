//! Worker tasks: what they do, where they are, and how PVE shows them.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::console::{Console, ConsoleStage};
use super::guest::{GuestKey, JobId};
use super::stored::Arrival;
use super::upid::Upid;

pub(crate) use super::plans::{
    BackupPlan, BulkAct, BulkItem, BulkPlan, ClonePlan, CreatePlan, Crossing, NewDisk, Restore,
};

/// Longest kept line of a log, characters; and most lines.
const LOG_LINE_CHARS: usize = 1_000;
const LOG_LINES: usize = 500;

/// A worker task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub upid: Upid,
    pub(crate) work: Work,
    /// The guest whose configuration lock it takes, if any.
    pub(crate) lock: Option<GuestKey>,
    /// The mark of another one on the configuration does not stop it.
    #[serde(default)]
    pub(crate) skips_lock: bool,
    /// Its checks went well and it has begun its work.
    pub(crate) began: bool,
    /// Log lines so far.
    pub log: Vec<String>,
    /// How often it warned.
    #[serde(default)]
    pub(crate) warnings: usize,
    /// Where it is.
    pub state: TaskState,
    /// Verb and path of the call that began it.
    #[serde(default)]
    pub(crate) by: Option<String>,
}

/// What a task does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    Create(Box<CreatePlan>),
    Start,
    Stop,
    Shutdown {
        timeout_s: u64,
        force: bool,
    },
    Reboot {
        timeout_s: u64,
    },
    Destroy {
        force: bool,
        purge: bool,
        /// All volumes of the guest go, also those that its configuration does not name.
        #[serde(default)]
        unreferenced: bool,
    },
    Resume,
    Suspend,
    Template,
    Clone(Box<ClonePlan>),
    Snapshot {
        name: String,
        description: String,
    },
    Rollback {
        name: String,
        start: bool,
    },
    DeleteSnapshot {
        name: String,
        force: bool,
    },
    Resize {
        disk: String,
        size_bytes: u64,
    },
    MoveVolume {
        disk: String,
        storage: String,
        delete: bool,
    },
    /// Gives a volume to another container.
    Reassign {
        disk: String,
        to: u32,
        to_disk: String,
    },
    Migrate {
        target: String,
        restart: bool,
        timeout_s: u64,
        #[serde(default)]
        how: Box<Crossing>,
    },
    Backup(Box<BackupPlan>),
    DeleteVolume {
        node: String,
        volid: String,
    },
    /// Removes these backups.
    Prune {
        volids: Vec<String>,
    },
    /// A request to the HA manager; it acts later.
    Request {
        line: String,
    },
    Bulk(Box<BulkPlan>),
    /// Brings a file.
    Arrive(Box<Arrival>),
    /// Waits for somebody at a console, and serves him.
    Console(Box<Console>),
    /// Fails with this message, after these lines of log.
    Fail {
        log: Vec<String>,
        error: String,
    },
}

/// Which half of a task the driver works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Create,
    /// The one command of a task.
    Main,
    /// Stopping the guest before the main command.
    StopFirst,
    /// Starting it again after it.
    StartAgain,
    /// Removing backups that are not kept.
    Prune,
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
    /// Waits for tasks of its own.
    #[serde(rename = "bulk")]
    Bulk,
    /// A console's program runs.
    #[serde(rename = "console")]
    Console(ConsoleStage),
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
            Self::Console(stage) => stage.until_ms(),
            Self::Acting(_) | Self::Bulk | Self::Stopped { .. } => None,
        }
    }
}

impl Task {
    /// The guest it works on.
    pub(crate) fn guest(&self) -> GuestKey {
        if let Some(guest) = &self.lock {
            return guest.clone();
        }
        GuestKey {
            node: self.upid.node.clone(),
            vmid: self.upid.vmid().unwrap_or_default(),
        }
    }

    /// Holds the guest's configuration lock. Work that marks the configuration (`lock: snapshot` …) lets
    /// go of it meanwhile.
    pub(crate) fn holds_lock(&self) -> bool {
        let marks = match self.work {
            Work::Clone(_)
            | Work::Snapshot { .. }
            | Work::Rollback { .. }
            | Work::DeleteSnapshot { .. }
            | Work::MoveVolume { .. }
            | Work::Migrate { .. }
            | Work::Backup(_)
            | Work::Bulk(_)
            | Work::Request { .. }
            | Work::Arrive(_)
            | Work::DeleteVolume { .. }
            | Work::Prune { .. }
            | Work::Console(_)
            | Work::Fail { .. }
            | Work::Resume
            | Work::Suspend => true,
            Work::Create(_)
            | Work::Start
            | Work::Stop
            | Work::Shutdown { .. }
            | Work::Reboot { .. }
            | Work::Destroy { .. }
            | Work::Reassign { .. }
            | Work::Template
            | Work::Resize { .. } => false,
        };
        if marks || self.lock.is_none() {
            return false;
        }
        match self.state {
            TaskState::Acting(_)
            | TaskState::Settling { .. }
            | TaskState::Console(_)
            | TaskState::Dying { .. }
            | TaskState::Bulk => true,
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
            | TaskState::Bulk
            | TaskState::Console(_)
            | TaskState::Dying { .. } => None,
        }
    }

    /// When it ended, Unix seconds.
    pub(crate) fn end_s(&self) -> Option<u64> {
        match &self.state {
            TaskState::Stopped { end_s, .. } => Some(*end_s),
            TaskState::Waiting { .. }
            | TaskState::Acting(_)
            | TaskState::Settling { .. }
            | TaskState::Bulk
            | TaskState::Console(_)
            | TaskState::Dying { .. } => None,
        }
    }

    /// When time moves it on, Unix ms.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        match (&self.state, &self.work) {
            (TaskState::Bulk, Work::Bulk(plan)) => plan.pause_until_ms,
            (state, _) => state.due_ms(),
        }
    }

    /// Adds a warning to the log; a task that ends well tells how many there were.
    pub(crate) fn warn(&mut self, line: impl AsRef<str>) {
        self.warnings += 1;
        self.say(format!("WARN: {}", line.as_ref()));
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
    pub(crate) fn cluster_row(&self) -> ClusterRow<'_> {
        let (user, tokenid) = self.upid.account();
        let ended = self.exit().zip(self.end_s());
        ClusterRow {
            endtime: ended.map(|(_, end_s)| end_s),
            id: &self.upid.id,
            node: &self.upid.node,
            saved: if ended.is_some() { "1" } else { "0" },
            starttime: self.upid.starttime_s,
            status: ended.map(|(exit, _)| exit),
            tokenid,
            kind: &self.upid.kind,
            upid: &self.upid,
            user,
        }
    }
}

/// A task in the cluster's list. Whoever waits for a task reads that list several times a second, with all that ended of late in
/// it: a row is written from where its texts lie, its keys in their order.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    endtime: Option<u64>,
    id: &'a str,
    node: &'a str,
    saved: &'static str,
    starttime: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokenid: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(serialize_with = "as_it_prints")]
    upid: &'a Upid,
    user: &'a str,
}

fn as_it_prints<S: Serializer>(upid: &Upid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(upid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(user: &str, state: TaskState) -> Task {
        let upid = format!("UPID:pve1:0000ABCD:00000001:6B001DCD:vzstart:100:{user}:");
        Task {
            upid: upid.parse().unwrap(),
            work: Work::Start,
            lock: None,
            skips_lock: false,
            began: true,
            log: Vec::new(),
            warnings: 0,
            state,
            by: None,
        }
    }

    #[test]
    fn a_row_of_the_clusters_list_has_its_keys_in_their_order() {
        let running = task("root@pam!gold", TaskState::Bulk);
        let ended = TaskState::Stopped {
            exit: "it \"failed\"\n".to_owned(),
            end_s: 7,
        };
        let ended = task("a@pve", ended);
        let start_s = 0x6B00_1DCD_u64;
        for (task, expected) in [
            (
                &running,
                json!({
                    "upid": "UPID:pve1:0000ABCD:00000001:6B001DCD:vzstart:100:root@pam!gold:",
                    "node": "pve1", "type": "vzstart", "id": "100", "starttime": start_s,
                    "user": "root@pam", "tokenid": "gold", "saved": "0",
                }),
            ),
            (
                &ended,
                json!({
                    "upid": "UPID:pve1:0000ABCD:00000001:6B001DCD:vzstart:100:a@pve:",
                    "node": "pve1", "type": "vzstart", "id": "100", "starttime": start_s,
                    "user": "a@pve", "saved": "1", "status": "it \"failed\"\n", "endtime": 7,
                }),
            ),
        ] {
            let text = serde_json::to_string(&task.cluster_row()).unwrap();
            assert_eq!(text, expected.to_string());
        }
    }
}
