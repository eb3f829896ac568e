//! Who made a difference, and when, where a task of Proxmox VE tells. A plain change of a configuration leaves no task: then nothing is
//! known, and nothing is said.

use super::Merged;
use crate::time::Timestamp;

/// Clocks of nodes and ours may differ by so much, milliseconds.
const CLOCKS_APART_MS: i64 = 60_000;

/// A task of Proxmox VE about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Its type, e.g. `resize`.
    pub kind: String,
    /// On whose behalf it ran: `root@pam`.
    pub user: String,
    /// When it was started, by its node's clock.
    pub at: Timestamp,
}

/// Tasks that make this field what it is now.
fn makers(field: &Merged) -> &'static [&'static str] {
    let now = field.actual.as_ref().and_then(serde_json::Value::as_str);
    match (field.path.as_str(), now) {
        ("rootfs", _) => &["resize"],
        ("node", _) => &["vzmigrate", "hamigrate"],
        ("power", Some("stopped")) => &["vzstop", "vzshutdown", "hastop"],
        ("power", Some("running")) => &["vzstart", "vzreboot", "hastart"],
        _ => &[],
    }
}

/// Tasks after which this field may be what it is now although no maker made it so: what undoes a maker, and what brings an older
/// configuration back.
fn others(field: &Merged) -> &'static [&'static str] {
    let now = field.actual.as_ref().and_then(serde_json::Value::as_str);
    match (field.path.as_str(), now) {
        ("rootfs", _) => &["vzrollback", "vzrestore"],
        ("power", Some("stopped")) => &[
            "vzstart",
            "vzreboot",
            "hastart",
            "vzrollback",
            "vzrestore",
            "vzdump",
        ],
        ("power", Some("running")) => &[
            "vzstop",
            "vzshutdown",
            "hastop",
            "vzrollback",
            "vzrestore",
            "vzdump",
        ],
        _ => &[],
    }
}

/// Whether a task of Proxmox VE may tell who made this: one field, and one that is changed by a task.
#[must_use]
pub fn leaves_a_task(drifted: &[Merged]) -> bool {
    matches!(drifted, [field] if !makers(field).is_empty())
}

/// The earliest moment a task may have been started at that made what was not there when the container was seen last.
#[must_use]
pub fn since_last_seen(seen: Timestamp) -> Timestamp {
    Timestamp(seen.0.saturating_sub(CLOCKS_APART_MS))
}

/// The one task that made what drifted, of those that were started at `since` or later. `None`: no task makes such a thing, none is
/// known, several may have made it, so that it cannot be told which, or another one came after it that leaves it so as well; of several
/// fields neither.
#[must_use]
pub fn traced<'t>(drifted: &[Merged], tasks: &'t [Trace], since: Timestamp) -> Option<&'t Trace> {
    let [field] = drifted else { return None };
    let made = |task: &&Trace| task.at >= since && makers(field).contains(&task.kind.as_str());
    let mut made = tasks.iter().filter(made);
    let first = made.next()?;
    let is_other = |task: &Trace| others(field).contains(&task.kind.as_str());
    // Whole seconds: of two in the same one it is not known which was later.
    let is_hidden = tasks
        .iter()
        .any(|task| task.at >= first.at && is_other(task));
    (made.next().is_none() && !is_hidden).then_some(first)
}
