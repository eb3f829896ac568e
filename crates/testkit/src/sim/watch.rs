//! What must hold of every change at the moment in which it leaves for the cluster.

use std::collections::BTreeMap;

use proximity_domain::ids::{Epoch, HostId, OperationId};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_pve::transport::{Method, Request};
use proximity_store::Store;
use proximity_store::records::OperationRecord;
use proximity_store::views::AuditKind;
use serde::Serialize;

use super::ground::{Ground, Sight};

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

/// `operation ID; epoch N`, as each change carries it.
fn reference(request: &Request) -> Option<(OperationId, Epoch)> {
    let text = request.reference.as_deref()?;
    let (operation, epoch) = text.strip_prefix("operation ")?.split_once("; epoch ")?;
    Some((operation.parse().ok()?, Epoch(epoch.parse().ok()?)))
}

/// What the record says of a change that is about to leave.
#[derive(Debug)]
pub(super) struct Claim {
    operation: Option<OperationRecord>,
    epoch: Option<Epoch>,
    /// The call has an intent on record: a guest of the app with this number, mark and MAC.
    intended: bool,
    /// It created the guest of this number.
    created: bool,
}

/// Calls that were audited, and calls that left.
#[derive(Debug, Default)]
pub(super) struct Books {
    read_to: i64,
    audited: BTreeMap<String, u64>,
    left: BTreeMap<String, u64>,
}

impl Books {
    /// Reads on in the audit.
    pub(super) async fn read_on(mut self, store: &Store) -> Result<Self, String> {
        loop {
            let rows = store.audit(1_000, self.read_to).await;
            let rows = rows.map_err(|e| e.to_string())?;
            let Some(last) = rows.last() else {
                return Ok(self);
            };
            self.read_to = last.seq;
            for row in rows.iter().filter(|row| row.kind == AuditKind::Mutation) {
                *self.audited.entry(row.action.clone()).or_default() += 1;
            }
        }
    }

    /// One more of these calls leaves; what is wrong with that.
    fn leaves(&mut self, call: &str) -> Option<String> {
        let left = self.left.entry(call.to_owned()).or_default();
        *left += 1;
        let audited = self.audited.get(call).copied().unwrap_or(0);
        (*left > audited).then(|| format!("{call}: {left} left, {audited} audited"))
    }
}

/// Reads what the record says of a change.
pub(super) async fn claim(store: &Store, host: HostId, request: &Request) -> Result<Claim, String> {
    let text = |e: proximity_store::error::StoreError| e.to_string();
    let Some((id, epoch)) = reference(request) else {
        return Ok(Claim {
            operation: None,
            epoch: None,
            intended: false,
            created: false,
        });
    };
    let operation = store.operation(id).await.map_err(text)?;
    let guests = store.host_guests(host).await.map_err(text)?;
    let given = |name: &str| {
        let found = request.params.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let vmid = match act_of(request) {
        Act::Create => given("vmid").parse().ok(),
        Act::Destroy(vmid) | Act::Change(vmid) => Some(vmid),
        Act::Other => None,
    };
    let guest = guests
        .iter()
        .find(|guest| Some(guest.place.vmid.get()) == vmid);
    let intended = guest.is_some_and(|guest| {
        given("description").contains(&guest.identity.mark.to_string())
            && given("net0").contains(&guest.identity.net0_mac.to_string())
    });
    Ok(Claim {
        created: guest.is_some_and(|guest| guest.created_by == id),
        operation,
        epoch: Some(epoch),
        intended,
    })
}

/// Judges a change that leaves now; what is wrong with it, as rule and text.
pub(super) fn judge(
    ground: &mut Ground,
    books: &mut Books,
    request: &Request,
    claim: &Claim,
    (process, now_ms): (u32, u64),
) -> Vec<(&'static str, String)> {
    let call = format!("{} {}", request.method, request.path);
    let mut wrong = Vec::new();
    if let Some(what) = books.leaves(&call) {
        wrong.push(("I10-audit-first", what));
    }
    let Some((operation, epoch)) = claim.operation.as_ref().zip(claim.epoch) else {
        wrong.push(("I6-no-operation", format!("{call} belongs to no operation")));
        return wrong;
    };
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
            if !may_destroy(operation, claim.created) {
                let what = format!(
                    "{call}: {} {}",
                    operation.kind.label(),
                    operation.state.label()
                );
                wrong.push(("I1-no-right", what));
            }
            wrong.extend(sight(ground, vmid, &call, (process, now_ms, PERMIT_MS)));
        }
        Act::Change(vmid) => wrong.extend(sight(ground, vmid, &call, (process, now_ms, LOOK_MS))),
    }
    wrong
}

/// A person's removal, or the operation that made the guest on its way back.
fn may_destroy(operation: &OperationRecord, created: bool) -> bool {
    match operation.kind {
        OperationKind::Remove => matches!(operation.state, OperationState::Running),
        OperationKind::Deploy => {
            created && matches!(operation.state, OperationState::Unwinding { .. })
        }
        OperationKind::Start
        | OperationKind::Stop
        | OperationKind::Restart
        | OperationKind::Adopt
        | OperationKind::Forget => false,
    }
}

/// Each change uses up the look before it.
fn sight(
    ground: &mut Ground,
    vmid: u32,
    call: &str,
    (process, now_ms, fresh_ms): (u32, u64, u64),
) -> Option<(&'static str, String)> {
    let sight = ground.judge(vmid, process, now_ms, fresh_ms);
    ground.use_up(vmid);
    match sight {
        Sight::True | Sight::Raced | Sight::Nobody => None,
        Sight::Blind => Some(("I4-look-first", format!("{call}: nobody looked before it"))),
        Sight::Stranger => Some(("I4-stranger", format!("{call}: the look showed a stranger"))),
    }
}
