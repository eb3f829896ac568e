//! State and log of one task.

use serde::Deserialize;

use super::TaskOutcome;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::lenient;
use crate::read::ReadClient;
use crate::upid::Upid;

/// State of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// Still at work.
    Running,
    /// Ended.
    Stopped(TaskOutcome),
}

#[derive(Deserialize)]
struct Wire {
    status: String,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    exitstatus: Option<String>,
}

/// One line of a task's log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// Its number, from 1.
    #[serde(deserialize_with = "lenient::u64")]
    pub n: u64,
    /// Its text. An empty log is one line `no content`.
    #[serde(rename = "t", deserialize_with = "lenient::text")]
    pub text: String,
}

impl ReadClient {
    /// State of a task, asked on its node.
    ///
    /// # Errors
    /// [`Error::Refused`] with `upid: no such task` for one the node does not know.
    pub async fn task_status(&self, upid: &Upid) -> Result<TaskStatus> {
        let call = Call::get(&[
            "nodes",
            upid.node().as_str(),
            "tasks",
            upid.as_str(),
            "status",
        ]);
        let name = call.name();
        let wire: Wire = self.get(call).await?;
        match wire.status.as_str() {
            "running" => Ok(TaskStatus::Running),
            "stopped" => {
                let text = wire.exitstatus.unwrap_or_default();
                Ok(TaskStatus::Stopped(TaskOutcome::from_exit_status(&text)))
            }
            other => Err(Error::Unreadable {
                call: name,
                why: format!("task status {other:?}"),
            }),
        }
    }

    /// Lines of a task's log from `start` (0 is the first), at most `limit`.
    ///
    /// # Errors
    /// As [`ReadClient::task_status`].
    pub async fn task_log(&self, upid: &Upid, start: u64, limit: u32) -> Result<Vec<LogLine>> {
        let call = Call::get(&["nodes", upid.node().as_str(), "tasks", upid.as_str(), "log"])
            .with("start", start)
            .with("limit", limit);
        self.get(call).await
    }
}
