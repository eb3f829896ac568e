//! The cluster's list of tasks as far as it tells whether a guest is the one it was: what was done to guests of late, and since when
//! each node's part of the list is whole.
//!
//! Where from: each node keeps what runs and, if those are fewer than 25, as many ended ones, the last begun first (pve-common,
//! `PVE/RESTEnvironment.pm`, `active_workers`). It tells the cluster when a task begins, before the task does anything, over the way
//! that its guests' power takes later, and leaves the last ones out until the text is shorter than 32 KiB (pve-cluster,
//! `PVE/Cluster.pm`, `broadcast_tasklist`). Tasks that are begun at a shell are in it as well.

use std::collections::BTreeMap;
use std::fmt;

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::standing::Row;
use crate::call::Call;
use crate::error::Result;
use crate::read::ReadClient;
use crate::upid::{NotAUpid, Parts, parts};

/// With so many rows of a node others may have been left out.
const FULL: usize = 25;
/// And with so many bytes of texts that say how tasks ended: the rest of 25 rows takes less than 12 KiB, and each byte at most two.
const LONG: usize = 10 * 1024;
/// Tasks that leave a container what it is. Whatever else was done to a number may have brought another one under it: a restore over
/// it is no destroy, and what migrates to another cluster is deleted here.
const LEAVES_IT: [&str; 15] = [
    "vzstart",
    "vzstop",
    "vzshutdown",
    "vzreboot",
    "vzsuspend",
    "vzresume",
    "vzdump",
    "vzsnapshot",
    "vzdelsnapshot",
    "vzclone",
    "vncproxy",
    "spiceproxy",
    "hastart",
    "hastop",
    "resize",
];

/// What the list of all nodes' newest tasks tells of guests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewestTasks {
    nodes: BTreeMap<NodeName, Tail>,
    done: Vec<Done>,
}

/// A node's part of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tail {
    rows: usize,
    texts: usize,
    /// When the first one of it ended, seconds since 1970 by the node's clock.
    first_end_s: Option<u64>,
}

/// A task after which a number may be another guest's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Done {
    vmid: Vmid,
    /// When it ended; `None`: it runs, or that is not told.
    end_s: Option<u64>,
}

impl NewestTasks {
    /// Whether no task since this moment, seconds since 1970 by the node's clock, brought another guest under a number that was on
    /// this node then and is now. False as well where the list does not reach back so far, or shows nothing of the node: it then
    /// tells nothing.
    ///
    /// Counts for who may see the tasks of all (`Sys.Audit` on `/`), and for what the cluster told before the list was asked for.
    #[must_use]
    pub fn left_as_it_was(&self, node: &NodeName, vmid: Vmid, since_s: u64) -> bool {
        let is_later = |done: &Done| done.end_s.is_none_or(|end_s| end_s >= since_s);
        let reaches = self.nodes.get(node).is_some_and(|t| t.reaches(since_s));
        reaches && !self.done.iter().any(|d| d.vmid == vmid && is_later(d))
    }

    fn note(&mut self, row: &Row<'_>, upid: Parts<'_>) {
        let tail = self.nodes.entry(upid.node).or_default();
        tail.rows += 1;
        tail.texts += row.end.unwrap_or_default();
        let ends = tail.first_end_s.into_iter().chain(row.endtime);
        tail.first_end_s = ends.min();
        if LEAVES_IT.contains(&upid.kind) {
            return;
        }
        if let Ok(vmid) = upid.id.parse() {
            let end_s = row.endtime;
            self.done.push(Done { vmid, end_s });
        }
    }
}

impl Tail {
    /// Whether all that began since then are in it. One that was left out had ended, and began before all ended ones that stayed:
    /// of what had ended before it began none can have stayed. When one began alone tells less: those that run stay in any case.
    fn reaches(&self, since_s: u64) -> bool {
        let is_whole = self.rows < FULL && self.texts < LONG;
        is_whole || self.first_end_s.is_some_and(|end_s| end_s < since_s)
    }
}

impl<'de> Deserialize<'de> for NewestTasks {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Rows;

        impl<'de> Visitor<'de> for Rows {
            type Value = NewestTasks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tasks")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NewestTasks, A::Error> {
                let mut newest = NewestTasks::default();
                while let Some(row) = seq.next_element::<Row<'de>>()? {
                    match parts(&row.upid) {
                        Some(upid) => newest.note(&row, upid),
                        None => return Err(A::Error::custom(NotAUpid(row.upid.to_string()))),
                    }
                }
                Ok(newest)
            }
        }

        d.deserialize_seq(Rows)
    }
}

impl ReadClient {
    /// The list of [`ReadClient::cluster_tasks`], as far as it tells whether guests are what they were.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn newest_tasks(&self) -> Result<NewestTasks> {
        self.get(Call::quick(&["cluster", "tasks"])).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of the node pve1: what was done, and when it ended.
    fn row(kind: &str, id: u32, end_s: Option<u64>, status: &str) -> String {
        let end = end_s.map(|s| format!(r#","endtime":{s},"status":"{status}""#));
        format!(
            r#"{{"upid":"UPID:pve1:000002F5:0006BA26:00000001:{kind}:{id}:root@pam!gold:"{}}}"#,
            end.unwrap_or_default()
        )
    }

    fn of(rows: &[String]) -> NewestTasks {
        serde_json::from_str(&format!("[{}]", rows.join(","))).unwrap()
    }

    fn is_left(tasks: &NewestTasks, node: &str, vmid: u32, since_s: u64) -> bool {
        let vmid = Vmid::try_from(vmid).unwrap();
        tasks.left_as_it_was(&node.parse().unwrap(), vmid, since_s)
    }

    #[test]
    fn what_was_made_anew_since_then_is_not_what_it_was() {
        for kind in ["vzrestore", "vzcreate", "vzdestroy", "vzmigrate", "unheard"] {
            let tasks = of(&[
                row(kind, 101, Some(50), "OK"),
                row("vzstart", 102, None, ""),
            ]);
            assert!(!is_left(&tasks, "pve1", 101, 50), "{kind}");
            assert!(is_left(&tasks, "pve1", 101, 51), "{kind} was before");
            assert!(is_left(&tasks, "pve1", 102, 50), "{kind} of another");
            let runs = of(&[row(kind, 101, None, "")]);
            assert!(!is_left(&runs, "pve1", 101, 99), "{kind} runs");
            let failed = of(&[row(kind, 101, Some(50), "it failed")]);
            assert!(!is_left(&failed, "pve1", 101, 50), "{kind} got so far");
        }
        for kind in LEAVES_IT {
            let tasks = of(&[row(kind, 101, Some(50), "OK")]);
            assert!(is_left(&tasks, "pve1", 101, 0), "{kind}");
        }
    }

    #[test]
    fn a_list_that_is_full_reaches_back_to_the_first_end_in_it() {
        let ended = |count: u64| -> Vec<String> {
            let rows = (0..count).map(|n| row("vzstart", 200, Some(50 + n), "OK"));
            rows.collect()
        };
        let short = of(&ended(24));
        assert!(is_left(&short, "pve1", 101, 0), "nothing was left out");
        let full = of(&ended(25));
        assert!(!is_left(&full, "pve1", 101, 50));
        assert!(is_left(&full, "pve1", 101, 51));
        let mut begun_early = ended(24);
        begun_early.push(row("vzdump", 300, None, ""));
        assert!(!is_left(&of(&begun_early), "pve1", 101, 50), "it runs");
        let all_run = vec![row("vzdump", 300, None, ""); 25];
        assert!(!is_left(&of(&all_run), "pve1", 101, u64::MAX));
    }

    #[test]
    fn long_texts_may_have_left_others_out_and_silence_tells_nothing() {
        let long = "x".repeat(LONG);
        let tasks = of(&[row("vzstart", 200, Some(50), &long)]);
        assert!(!is_left(&tasks, "pve1", 101, 50));
        assert!(is_left(&tasks, "pve1", 101, 51));
        assert!(!is_left(&tasks, "pve2", 101, 51), "nothing of that node");
        assert!(!is_left(&of(&[]), "pve1", 101, 51));
    }

    #[test]
    fn one_bad_row_spoils_the_list() {
        for bad in [r#"{"upid":"OK"}"#, r#"{"upid":7}"#, "{}", "7"] {
            let text = format!("[{},{bad}]", row("vzstart", 101, None, ""));
            assert!(serde_json::from_str::<NewestTasks>(&text).is_err(), "{bad}");
        }
    }
}
