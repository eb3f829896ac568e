//! What a pass found, in the seeds' fields and lines.

use std::time::Duration;

use proximity_domain::ids::{AppId, Vmid};
use proximity_domain::observe::{Brake, Orphan};
use serde::Serialize;

use crate::error::EngineError;

/// Of a record whose container was on its way out.
pub const EXPECTED_LINE: &str = "EXPECTED ORPHAN: Container removal expected";
/// Of a record whose container was to be there.
pub const ANOMALOUS_LINE: &str = "ANOMALOUS ORPHAN DETECTED: Container was MANUALLY DELETED";

/// The seeds' result object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct ReconcileResult {
    /// Every cluster was seen whole, and nothing was left undone.
    pub success: bool,
    /// Live apps when the pass began.
    pub total_apps: u64,
    /// Guests that the clusters list.
    pub real_vmids_count: usize,
    /// Records whose container is proven absent.
    pub orphans_found: usize,
    /// Of these, on their way out or in trouble.
    pub expected_orphans: usize,
    /// Of these, others.
    pub anomalous_orphans: usize,
    /// Records that were archived.
    pub orphans_purged: usize,
    /// What could not be seen or done, one sentence each.
    pub errors: Vec<String>,
}

/// A pass that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassEnd {
    /// How long it took, waiting for one that was under way included.
    pub took: Duration,
    /// `success` if the record was held against all clusters and nothing was left undone, `incomplete` if something could not be
    /// seen or done ([`ReconcileResult::errors`]), `failed` if the record could not be read or written.
    pub result: &'static str,
}

impl PassEnd {
    /// All results.
    pub const RESULTS: [&'static str; 3] = ["success", "incomplete", "failed"];

    pub(super) fn of(passed: &Result<ReconcileReport, EngineError>, took: Duration) -> Self {
        let [success, incomplete, failed] = Self::RESULTS;
        let result = match passed {
            Ok(report) if report.result.success => success,
            Ok(_) => incomplete,
            Err(_) => failed,
        };
        Self { took, result }
    }
}

/// One orphan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrphanView {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: String,
    /// Host entry.
    pub host: String,
    /// The container's number.
    pub vmid: Vmid,
    /// `expected` or `anomalous`.
    pub kind: &'static str,
    /// The app's status.
    pub status: &'static str,
    /// The record was archived.
    pub archived: bool,
}

/// The mass brake, where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrakeView {
    /// Containers missing now.
    pub missing: u64,
    /// Of these, so many have been missing for long enough to be proven absent.
    pub ripe: u64,
    /// Archived in the last hour.
    pub done: u64,
    /// What may be archived in an hour.
    pub limit: u64,
    /// What to do.
    pub hint: String,
}

/// The result and its particulars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct ReconcileReport {
    /// The seeds' object.
    #[serde(flatten)]
    pub result: ReconcileResult,
    /// Containers that complete looks miss, proven or not.
    pub suspected: u64,
    /// Each orphan.
    pub orphans: Vec<OrphanView>,
    /// The mass brake, if it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brake: Option<BrakeView>,
    /// Containers that were followed to another node.
    pub moved: usize,
    /// Apps whose status follows the power that was read.
    pub refreshed: usize,
}

impl ReconcileReport {
    pub(super) fn of(total_apps: u64) -> Self {
        Self {
            result: ReconcileResult {
                total_apps,
                ..ReconcileResult::default()
            },
            ..Self::default()
        }
    }

    /// A cluster was not seen whole: nothing is said of its guests.
    pub(super) fn unseen(&mut self, label: &str, why: &str) {
        let text = format!("host {label} was not seen whole, its guests are unknown: {why}");
        self.result.errors.push(text);
    }

    pub(super) fn count(&mut self, orphan: OrphanView, kind: Orphan) {
        let result = &mut self.result;
        result.orphans_found += 1;
        match kind {
            Orphan::Expected => result.expected_orphans += 1,
            Orphan::Anomalous => result.anomalous_orphans += 1,
        }
        result.orphans_purged += usize::from(orphan.archived);
        self.orphans.push(orphan);
    }

    pub(super) fn stopped(&mut self, brake: Brake, ripe: u64) {
        let Brake::Stops {
            missing,
            done,
            limit,
        } = brake
        else {
            return;
        };
        let hint = match ripe {
            0 => "none has been missing for long enough to be proven absent: look again in a minute, and at the hosts that \
                  are not seen"
                .to_owned(),
            ripe if ripe == missing => {
                format!("if they were really removed: proximity reconcile --confirm-missing {ripe}")
            }
            ripe => format!(
                "if the {ripe} that are proven were really removed: proximity reconcile --confirm-missing {ripe}; the \
                 others are missing for too short, belong to apps with a container that is there, or to a host that is not seen"
            ),
        };
        self.result.errors.push(format!(
            "mass brake: {missing} containers are missing, {ripe} of them for long enough, {done} records were archived in \
             the last hour, {limit} may be; nothing was archived"
        ));
        self.brake = Some(BrakeView {
            missing,
            ripe,
            done,
            limit,
            hint,
        });
    }

    /// Into the log: every hour, and whenever something was found.
    pub(super) fn tell(&self, hourly: bool) {
        let result = &self.result;
        if hourly || result.orphans_found > 0 {
            tracing::info!(
                success = result.success,
                total_apps = result.total_apps,
                real_vmids_count = result.real_vmids_count,
                orphans_found = result.orphans_found,
                expected_orphans = result.expected_orphans,
                anomalous_orphans = result.anomalous_orphans,
                orphans_purged = result.orphans_purged,
                errors = result.errors.len(),
                "reconciled"
            );
        }
        if hourly {
            for error in &result.errors {
                tracing::warn!("{error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_left_something_undone_is_no_success() {
        let result = |passed| PassEnd::of(&passed, Duration::ZERO).result;
        assert_eq!(result(Ok(ReconcileReport::default())), "incomplete");
        let mut whole = ReconcileReport::default();
        whole.result.success = true;
        assert_eq!(result(Ok(whole)), "success");
        assert_eq!(result(Err(EngineError::NoHost)), "failed");
    }

    #[test]
    fn the_result_has_the_fields_of_the_seeds() {
        let mut report = ReconcileReport::of(12);
        report.unseen("lab", "the node that answered has no quorum");
        report.stopped(
            Brake::Stops {
                missing: 7,
                done: 1,
                limit: 3,
            },
            5,
        );
        let orphan = OrphanView {
            app: AppId(uuid::Uuid::nil()),
            hostname: "web".to_owned(),
            host: "lab".to_owned(),
            vmid: Vmid::try_from(101).unwrap(),
            kind: Orphan::Anomalous.label(),
            status: "running",
            archived: true,
        };
        report.count(orphan, Orphan::Anomalous);
        insta::assert_json_snapshot!(report, @r#"
        {
          "success": false,
          "total_apps": 12,
          "real_vmids_count": 0,
          "orphans_found": 1,
          "expected_orphans": 0,
          "anomalous_orphans": 1,
          "orphans_purged": 1,
          "errors": [
            "host lab was not seen whole, its guests are unknown: the node that answered has no quorum",
            "mass brake: 7 containers are missing, 5 of them for long enough, 1 records were archived in the last hour, 3 may be; nothing was archived"
          ],
          "suspected": 0,
          "orphans": [
            {
              "app": "00000000-0000-0000-0000-000000000000",
              "hostname": "web",
              "host": "lab",
              "vmid": 101,
              "kind": "anomalous",
              "status": "running",
              "archived": true
            }
          ],
          "brake": {
            "missing": 7,
            "ripe": 5,
            "done": 1,
            "limit": 3,
            "hint": "if the 5 that are proven were really removed: proximity reconcile --confirm-missing 5; the others are missing for too short, belong to apps with a container that is there, or to a host that is not seen"
          },
          "moved": 0,
          "refreshed": 0
        }
        "#);
    }
}
