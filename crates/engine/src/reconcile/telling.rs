//! What a pass that tells of something says of itself: that it begins, before the first of it, and what came of it.

use std::sync::atomic::Ordering;

use proximity_domain::event::EventKind;
use proximity_domain::ids::InstallationId;
use proximity_domain::time::Timestamp;
use proximity_store::effects::NewEvent;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::{Pass, ReconcileReport, Reconciler};

/// One pass, as its two events name it.
#[derive(Debug)]
pub(super) struct Telling {
    pass: Uuid,
    began_at: Timestamp,
    /// The number that a person let the mass brake go for.
    confirmed: Option<u64>,
}

impl Reconciler {
    /// A pass begins.
    pub(super) fn telling(&self, pass: &Pass) -> Telling {
        let began_at = self.clock.now();
        let number = self.passes.fetch_add(1, Ordering::Relaxed);
        Telling {
            pass: pass_id(self.store.installation(), began_at, number),
            began_at,
            confirmed: match pass {
                Pass::Confirmed { missing, .. } => Some(*missing),
                Pass::Work | Pass::Dry => None,
            },
        }
    }
}

impl Telling {
    /// That it begins.
    pub(super) fn begins(&self) -> NewEvent {
        NewEvent {
            kind: EventKind::ReconciliationStarted,
            body: json!({
                "pass": self.pass,
                "began_at": self.began_at,
                "confirmed": self.confirmed,
            }),
        }
    }

    /// What came of it: all that was found, or, where it was not `whole`, what was found until an error ended it.
    pub(super) fn ends(&self, report: &ReconcileReport, whole: bool) -> NewEvent {
        let result = &report.result;
        NewEvent {
            kind: EventKind::ReconciliationCompleted,
            body: json!({
                "pass": self.pass,
                "began_at": self.began_at,
                "success": whole && result.success,
                "total_apps": result.total_apps,
                "real_vmids_count": result.real_vmids_count,
                "orphans_found": result.orphans_found,
                "expected_orphans": result.expected_orphans,
                "anomalous_orphans": result.anomalous_orphans,
                "orphans_purged": result.orphans_purged,
                "suspected": report.suspected,
                "moved": report.moved,
                "refreshed": report.refreshed,
                "errors": result.errors.len() + usize::from(!whole),
            }),
        }
    }
}

/// Made of what tells it from others: chance would be another one in a run that is repeated.
fn pass_id(of: InstallationId, began_at: Timestamp, number: u64) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(of.0.as_bytes());
    hash.update(began_at.0.to_be_bytes());
    hash.update(number.to_be_bytes());
    let digest = hash.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(number: u64) -> Telling {
        let of = InstallationId(Uuid::from_u128(1));
        Telling {
            pass: pass_id(of, Timestamp(5), number),
            began_at: Timestamp(5),
            confirmed: None,
        }
    }

    #[test]
    fn both_events_name_the_pass_and_have_the_fields_of_their_kind() {
        let report = ReconcileReport::default();
        let (begins, ends) = (telling(1).begins(), telling(1).ends(&report, false));
        for event in [&begins, &ends] {
            let mut listed = event.kind.spec().fields.to_vec();
            listed.sort_unstable();
            let mut found: Vec<_> = event.body.as_object().unwrap().keys().collect();
            found.sort_unstable();
            assert_eq!(found, listed);
            assert_eq!(event.body["pass"], begins.body["pass"]);
        }
        assert_eq!(
            (&ends.body["success"], &ends.body["errors"]),
            (&json!(false), &json!(1))
        );
        assert_ne!(telling(2).begins().body["pass"], begins.body["pass"]);
    }
}
