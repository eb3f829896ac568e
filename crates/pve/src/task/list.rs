//! Lists of tasks: of the cluster and of one node.

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use serde::Deserialize;

use super::TaskOutcome;
use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;
use crate::upid::Upid;

/// One task in a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct TaskRow {
    /// The task.
    pub upid: Upid,
    /// When it ended, seconds since 1970 by its node's clock; `None` while it runs.
    pub end_s: Option<u64>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<TaskOutcome>,
}

#[derive(Deserialize)]
struct Wire {
    upid: Upid,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    endtime: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    status: Option<String>,
}

impl From<Wire> for TaskRow {
    fn from(wire: Wire) -> Self {
        // In a node's list a running task has the status RUNNING, in the cluster's it has none.
        let ended = wire.status.filter(|status| status != "RUNNING");
        Self {
            upid: wire.upid,
            end_s: wire.endtime,
            outcome: ended.map(|text| TaskOutcome::from_exit_status(&text)),
        }
    }
}

impl TaskRow {
    /// Whether it ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.outcome.is_some() || self.end_s.is_some()
    }

    /// Whether it is still at work.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.has_ended()
    }
}

/// Which of a node's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskSource {
    /// Those that ended.
    Archive,
    /// Those that run, and some that just ended.
    Active,
    /// Both.
    #[default]
    All,
}

impl TaskSource {
    fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Active => "active",
            Self::All => "all",
        }
    }
}

/// Which tasks of a node are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// Only of this guest.
    pub vmid: Option<Vmid>,
    /// Only of this kind, e.g. `vzdestroy`.
    pub kind: Option<String>,
    /// Only those started at or after this moment, seconds since 1970 by the node's clock.
    pub since_s: Option<u64>,
    /// From which list.
    pub source: TaskSource,
    /// At most this many; PVE's default is 50.
    pub limit: Option<u32>,
}

impl ReadClient {
    /// Running tasks of all nodes and about 25 ended ones per node. Cheap for PVE.
    ///
    /// Empty for a token without `Sys.Audit` on `/`: it does not even see its own tasks.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn cluster_tasks(&self) -> Result<Vec<TaskRow>> {
        self.get(Call::quick(&["cluster", "tasks"])).await
    }

    /// Tasks of one node that the token may see: its own, with `Sys.Audit` on the node all.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn node_tasks(&self, node: &NodeName, filter: &TaskFilter) -> Result<Vec<TaskRow>> {
        let call = Call::get(&["nodes", node.as_str(), "tasks"])
            .with_some("vmid", filter.vmid)
            .with_some("typefilter", filter.kind.as_ref())
            .with_some("since", filter.since_s)
            .with("source", filter.source.as_str())
            .with_some("limit", filter.limit);
        self.get(call).await
    }
}
