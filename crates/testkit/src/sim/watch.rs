//! What must hold of every change at the moment in which it leaves for the cluster.

use std::collections::BTreeMap;

use proximity_domain::ids::{Epoch, HolderId, HostId, OperationId};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::recorded::RecordedGuest;
use proximity_pve::transport::{Method, Request};
use proximity_store::Store;
use proximity_store::records::{Claimable, OperationRecord};
use serde::Serialize;

use super::books::Books;
use super::ground::{Doer, Ground, Sight};
use super::shown::Purpose;
use super::writers::Writers;

/// How old the look may be that a permit was given for (doctrine, section 4).
const PERMIT_MS: u64 = 5_000;
/// How old the look before any other change may be: as long as the slowest call on its way, and its retries.
const LOOK_MS: u64 = 60_000;

/// Something that must not happen, and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule, as docs/reference/simulation.md names it.
    pub rule: &'static str,
    /// Virtual milliseconds since the beginning.
    pub at_ms: u64,
    /// What happened.
    pub what: String,
}

/// What a call is, as far as the rules need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Create,
    Destroy(u32),
    Change(u32),
    Other,
}

/// A call that changes something, by its path.
pub(super) fn act_of(request: &Request) -> Act {
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    match (request.method, parts.as_slice()) {
        (Method::Post, ["nodes", _, "lxc"]) => Act::Create,
        (Method::Delete, ["nodes", _, "lxc", vmid]) => {
            vmid.parse().map_or(Act::Other, Act::Destroy)
        }
        (_, ["nodes", _, "lxc", vmid, ..]) => vmid.parse().map_or(Act::Other, Act::Change),
        _ => Act::Other,
    }
}

/// The number whose configuration a call reads.
pub(super) fn looks_at(request: &Request) -> Option<u32> {
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    match (request.method, parts.as_slice()) {
        (Method::Get, ["nodes", _, "lxc", vmid, "config"]) => vmid.parse().ok(),
        _ => None,
    }
}

/// The number under which a call makes a container.
pub(super) fn made_by(request: &Request) -> Option<u32> {
    if act_of(request) != Act::Create {
        return None;
    }
    let given = request.params.iter().find(|(key, _)| key == "vmid");
    given.and_then(|(_, value)| value.parse().ok())
}

/// `operation ID; epoch N`, as each change carries it.
fn reference(request: &Request) -> Option<(OperationId, Epoch)> {
    let text = request.reference.as_deref()?;
    let (operation, epoch) = text.strip_prefix("operation ")?.split_once("; epoch ")?;
    Some((operation.parse().ok()?, Epoch(epoch.parse().ok()?)))
}

/// What the record says of a change that is about to leave.
#[derive(Debug, Default)]
pub(super) struct Claim {
    operation: Option<OperationRecord>,
    epoch: Option<Epoch>,
    /// The call has an intent on record: a guest of the app with this number, mark and MAC.
    intended: bool,
    /// Who has the number by the record.
    guest: Option<RecordedGuest>,
}

impl Claim {
    /// The guest, if it is one of the app that the operation is for.
    fn of_app(&self) -> Option<&RecordedGuest> {
        let app = self.operation.as_ref()?.app;
        self.guest.as_ref().filter(|guest| guest.app() == app)
    }
}

/// Reads what the record says of a change.
pub(super) async fn claim(store: &Store, host: HostId, request: &Request) -> Result<Claim, String> {
    let text = |e: proximity_store::error::StoreError| e.to_string();
    let Some((id, epoch)) = reference(request) else {
        return Ok(Claim::default());
    };
    let operation = store.operation(id).await.map_err(text)?;
    let guests = store.recorded_guests_of_host(host).await.map_err(text)?;
    let given = |name: &str| {
        let found = request.params.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let vmid = match act_of(request) {
        Act::Create => made_by(request),
        Act::Destroy(vmid) | Act::Change(vmid) => Some(vmid),
        Act::Other => None,
    };
    let mut guests = guests.into_iter();
    let guest = guests.find(|guest| Some(guest.place().vmid.get()) == vmid);
    let native = guest.as_ref().and_then(RecordedGuest::native);
    let intended = native.is_some_and(|guest| {
        guest.created_by == id
            && given("description").contains(&guest.identity.mark.to_string())
            && given("net0").contains(&guest.identity.net0_mac.to_string())
    });
    Ok(Claim {
        operation,
        epoch: Some(epoch),
        intended,
        guest,
    })
}

/// A rule that was broken, and how.
pub(super) type Wrong = (&'static str, String);

/// What is to be said of a change that leaves.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What is wrong with it.
    pub(super) wrong: Vec<Wrong>,
    /// Another container has got the number since it was looked at.
    pub(super) raced: bool,
    /// It is the very one that somebody adopted: whoever made it, it is no stranger's any more.
    pub(super) is_adopted: bool,
    /// The look showed what is on record, or what was learned.
    pub(super) is_known: bool,
}

/// The number that a change is about, if there has to be a container of it.
pub(super) fn target(request: &Request) -> Option<u32> {
    match act_of(request) {
        Act::Destroy(vmid) | Act::Change(vmid) => Some(vmid),
        Act::Create | Act::Other => None,
    }
}

/// Claims that a process found which did not know whether their holders live: until when it has to leave them alone, virtual ms.
#[derive(Debug, Default)]
pub(super) struct Held {
    claims: BTreeMap<OperationId, (Epoch, u64)>,
    /// The process.
    by: u32,
    /// Another one is beside it, which may have taken a claim over by right meanwhile, and given it back.
    is_shared: bool,
}

impl Held {
    /// A process begins and finds these. The one beside it, by its holder, gives its own back, and takes them again: those of the
    /// dead are waited for.
    pub(super) fn found(
        rows: &[Claimable],
        by: u32,
        beside: Option<HolderId>,
        now_ms: u64,
    ) -> Self {
        let claims = rows.iter().filter_map(|row| {
            let lease = row.lease.filter(|lease| Some(lease.holder) != beside)?;
            let lease_ms = u64::try_from(lease.lease_ms).unwrap_or(0);
            Some((row.id, (row.epoch, now_ms + lease_ms)))
        });
        Self {
            claims: claims.collect(),
            by,
            is_shared: beside.is_some(),
        }
    }

    /// Says so if a change of this process is by a claim that was made before its holder had been silent for long enough.
    pub(super) fn stolen(&self, request: &Request, process: u32, now_ms: u64) -> Option<Wrong> {
        let (operation, epoch) = reference(request)?;
        let (before, until_ms) = self.claims.get(&operation)?;
        let is_taken = if self.is_shared {
            // The very next claim is from the dead, whoever took it.
            epoch.0 == before.0 + 1
        } else {
            epoch > *before
        };
        (process == self.by && is_taken && now_ms < *until_ms).then(|| {
            let (left_ms, call) = (until_ms - now_ms, &request.path);
            let what = format!(
                "{call}: epoch {}, {left_ms} ms before its holder is over",
                epoch.0
            );
            ("I7-stolen", what)
        })
    }
}

/// Judges who sends a change that leaves now, and whether it makes a second container.
pub(super) fn alone(
    writers: &mut Writers,
    ground: &Ground,
    request: &Request,
    process: u32,
) -> Vec<Wrong> {
    let Some(claim) = reference(request) else {
        return Vec::new();
    };
    let call = format!("{} {}", request.method, request.path);
    let stale = writers.leaves(claim, process, &call);
    let twice = made_by(request).and_then(|vmid| writers.makes(claim.0, vmid, ground));
    stale.into_iter().chain(twice).collect()
}

/// Judges a change that leaves now; what is wrong with it.
pub(super) fn judge(
    ground: &mut Ground,
    books: &mut Books,
    request: &Request,
    claim: &Claim,
    doer: Doer,
) -> Judged {
    let call = format!("{} {}", request.method, request.path);
    let Some((operation, epoch)) = claim.operation.as_ref().zip(claim.epoch) else {
        let what = format!("{call} belongs to no operation");
        return Judged {
            wrong: vec![("I6-no-operation", what)],
            ..Judged::default()
        };
    };
    let (mut wrong, mut raced) = (Vec::new(), false);
    if let Some(what) = books.leaves(operation.id, epoch, &call) {
        wrong.push(("I10-audit-first", what));
    }
    if operation.epoch != epoch || operation.state.is_final() {
        let state = operation.state.label();
        let what = format!(
            "{call}: epoch {}, on record {} ({state})",
            epoch.0, operation.epoch.0
        );
        wrong.push(("I7-stale-epoch", what));
    }
    match act_of(request) {
        Act::Create if !claim.intended => {
            let what = format!("{call}: number, mark and MAC are not on record");
            wrong.push(("I6-intent-first", what));
        }
        Act::Create | Act::Other => {}
        Act::Destroy(vmid) => {
            if !may_destroy(operation, claim) {
                let (kind, state) = (operation.kind.label(), operation.state.label());
                wrong.push(("I1-no-right", format!("{call}: {kind} {state}")));
            }
            wrong.extend(adopted(operation, claim, request, &call));
            let sight = look_used(ground, vmid, doer, PERMIT_MS);
            raced = matches!(sight, Sight::Raced(_));
            wrong.extend(shown(sight, claim, Purpose::Destroy, &call));
        }
        Act::Change(vmid) => {
            wrong.extend(adopted(operation, claim, request, &call));
            let sight = look_used(ground, vmid, doer, LOOK_MS);
            raced = matches!(sight, Sight::Raced(_));
            wrong.extend(shown(sight, claim, Purpose::Other, &call));
        }
    }
    let is_known = !raced && wrong.is_empty();
    let adopted = |guest: &RecordedGuest| guest.adopted().is_some() && guest.learned().is_none();
    Judged {
        wrong,
        raced,
        is_adopted: is_known && claim.of_app().is_some_and(adopted),
        is_known,
    }
}

/// A person's removal of this app, or the operation that made the guest on its way back.
fn may_destroy(operation: &OperationRecord, claim: &Claim) -> bool {
    let guest = claim.of_app().and_then(RecordedGuest::native);
    match operation.kind {
        OperationKind::Remove => {
            guest.is_some() && matches!(operation.state, OperationState::Running)
        }
        OperationKind::Deploy => {
            guest.is_some_and(|guest| guest.created_by == operation.id)
                && matches!(operation.state, OperationState::Unwinding { .. })
        }
        OperationKind::Start
        | OperationKind::Stop
        | OperationKind::Restart
        | OperationKind::Adopt
        | OperationKind::Forget
        | OperationKind::RestoreKeys
        | OperationKind::Update => false,
    }
}

/// On an adopted guest nothing is done but the very act that was asked for, and none but starts, stops and a restore of keys
/// can be.
fn adopted(
    operation: &OperationRecord,
    claim: &Claim,
    request: &Request,
    call: &str,
) -> Option<Wrong> {
    claim.guest.as_ref()?.adopted()?;
    let does = request.path.rsplit('/').next().unwrap_or_default();
    let by_power = request.path.contains("/status/") && request.method == Method::Post;
    let by_keys = does == "config" && request.method == Method::Put;
    let asked = match operation.kind {
        OperationKind::Start => does == "start",
        OperationKind::Stop => does == "stop" || does == "shutdown",
        OperationKind::Restart => ["start", "stop", "shutdown"].contains(&does),
        OperationKind::Deploy
        | OperationKind::Remove
        | OperationKind::Adopt
        | OperationKind::Forget
        | OperationKind::Update => false,
        OperationKind::RestoreKeys => by_keys,
    };
    let kind = operation.kind.label();
    (!asked || !(by_power || by_keys))
        .then(|| ("I2-adopted", format!("{call}: {kind} of an adopted app")))
}

/// Each change uses up the look before it.
fn look_used(ground: &mut Ground, vmid: u32, doer: Doer, fresh_ms: u64) -> Sight {
    let sight = ground.judge(vmid, doer, fresh_ms);
    ground.use_up(vmid);
    sight
}

/// The look must have shown the recorded guest of the operation's app, with every factor, as the purpose demands.
fn shown(sight: Sight, claim: &Claim, purpose: Purpose, call: &str) -> Option<Wrong> {
    let shown = match sight {
        Sight::Nobody => return None,
        Sight::Blind => {
            let what = format!("{call}: nobody looked before it");
            return Some(("I4-look-first", what));
        }
        Sight::Seen(shown) | Sight::Raced(shown) => shown,
    };
    let Some(guest) = claim.of_app() else {
        let what = format!("{call}: no guest of this app has that number");
        return Some(("I4-other-app", what));
    };
    let lacks = shown.lacks(guest, purpose);
    (!lacks.is_empty()).then(|| {
        let what = format!("{call}: the look did not show its {}", lacks.join(", "));
        ("I4-not-owned", what)
    })
}

#[cfg(test)]
mod tests {
    use proximity_domain::time::Timestamp;
    use proximity_store::records::Lease;
    use uuid::Uuid;

    use super::*;
    use crate::pve::request;

    const DEAD: HolderId = HolderId(Uuid::from_u128(1));
    const BESIDE: HolderId = HolderId(Uuid::from_u128(2));

    fn operation(number: u128) -> OperationId {
        OperationId(Uuid::from_u128(number))
    }

    /// A claim of epoch 4, for a second.
    fn claim(number: u128, holder: HolderId) -> Claimable {
        let lease = Lease {
            holder,
            until: Timestamp(0),
            lease_ms: 1_000,
        };
        Claimable {
            id: operation(number),
            host: HostId(Uuid::from_u128(9)),
            epoch: Epoch(4),
            lease: Some(lease),
            due_at: None,
        }
    }

    fn change(number: u128, epoch: i64) -> Request {
        Request {
            reference: Some(format!("operation {}; epoch {epoch}", operation(number))),
            ..request(Method::Put, "/nodes/pve1/lxc/100/config", &[])
        }
    }

    #[test]
    fn a_claim_of_the_dead_is_waited_for_also_where_another_process_is_beside() {
        let rows = [claim(1, DEAD), claim(2, BESIDE)];
        for beside in [None, Some(BESIDE)] {
            let held = Held::found(&rows, 3, beside, 500);
            let is_stolen = |number, epoch, process, now_ms| {
                let wrong = held.stolen(&change(number, epoch), process, now_ms);
                wrong.is_some_and(|(rule, _)| rule == "I7-stolen")
            };
            assert!(is_stolen(1, 5, 3, 1_499));
            assert!(!is_stolen(1, 5, 3, 1_500), "for as long as it lasts");
            assert!(!is_stolen(1, 4, 3, 600), "it left before");
            assert!(!is_stolen(1, 5, 0, 600), "the other one had waited");
            assert_eq!(is_stolen(1, 6, 3, 600), beside.is_none());
            assert_eq!(is_stolen(2, 5, 3, 600), beside.is_none());
        }
    }
}
