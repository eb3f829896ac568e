//! Random sequences: whatever is asked for in whatever order, the rules hold after every commit.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::test_runner::{Config, TestRunner};
use proximity_domain::app::Status;
use proximity_domain::ids::{AppId, HolderId, OperationId};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::ports::PortRange;
use proximity_domain::saga::StepState;
use proximity_store::StoreError;
use proximity_store::effects::{Effects, GuestChange, MutationAudit};
use proximity_store::records::Fence;
use proximity_store::views::{AppFilter, OperationFilter};
use serde_json::json;
use uuid::Uuid;

use super::acts::{Act, act};
use super::world::{
    LEASE_MS, Make, SEQUENCES, Shape, World, error_status, failure, request_key, with_status,
};

/// How often as many again are played until every state was seen; a state that rarely is reached by chance is no fault.
const ROUNDS: u32 = 25;
/// The states that have to be seen, or the sequences would show little.
const STATES: [&str; 7] = [
    "queued",
    "running",
    "unwinding",
    "succeeded",
    "failed",
    "cancelled",
    "stuck",
];
const LENGTH: usize = 60;

/// How often an operation was seen in each state, over all cases.
type Reached = RefCell<BTreeMap<&'static str, u32>>;

struct Play {
    world: World,
    claims: Vec<Fence>,
    apps: Vec<AppId>,
    ended: BTreeMap<OperationId, OperationState>,
    vmid: u32,
}

pub async fn any_sequence_keeps_the_rules(make: &impl Make) {
    let config = Config {
        cases: make.sequences(),
        failure_persistence: None,
        ..Config::default()
    };
    let reached = Reached::default();
    let runtime = tokio::runtime::Handle::current();
    let strategy = proptest::collection::vec(act(), LENGTH);
    for _ in 0..ROUNDS {
        let result = tokio::task::block_in_place(|| {
            TestRunner::new(config.clone()).run(&strategy, |acts| {
                runtime.block_on(play(make, &acts, &reached));
                Ok(())
            })
        });
        result.unwrap();
        // Where few are played, they may miss one by chance.
        if make.sequences() < SEQUENCES || missing(&reached).is_empty() {
            return;
        }
    }
    let never = missing(&reached);
    panic!("no sequence reached {never:?}: {:?}", reached.into_inner());
}

/// The states that no sequence has reached so far.
fn missing(reached: &Reached) -> Vec<&'static str> {
    let reached = reached.borrow();
    STATES
        .into_iter()
        .filter(|state| !reached.contains_key(state))
        .collect()
}

async fn play(make: &impl Make, acts: &[Act], reached: &Reached) {
    // Few ports, so that some sequences run out of them.
    let shape = Shape {
        public: PortRange {
            first: 10,
            last: 13,
        },
        internal: PortRange {
            first: 12,
            last: 17,
        },
    };
    let mut play = Play {
        world: World::shaped(make, shape).await,
        claims: Vec::new(),
        apps: Vec::new(),
        ended: BTreeMap::new(),
        vmid: 100,
    };
    for act in acts {
        if let Err(error) = play.act(act).await {
            assert_refusal(&error);
        }
        play.check(reached).await;
    }
}

/// Only refusals may come back; anything else is a fault of the store.
fn assert_refusal(error: &StoreError) {
    let refusal = match error {
        StoreError::LeaseLost { .. }
        | StoreError::HostnameTaken { .. }
        | StoreError::PortsExhausted { .. }
        | StoreError::Busy { .. }
        | StoreError::QueueFull { .. }
        | StoreError::IllegalTransition { .. }
        | StoreError::NotFound { .. }
        | StoreError::Exists { .. }
        | StoreError::KeyReused { .. }
        | StoreError::HostInUse { .. }
        | StoreError::ApplyLost { .. }
        | StoreError::PlanApplied { .. }
        | StoreError::ApplyOverlaps { .. }
        | StoreError::BrakeStops { .. }
        | StoreError::Rejected { .. }
        | StoreError::SecretInUse { .. } => true,
        StoreError::TooNew { .. }
        | StoreError::Key { .. }
        | StoreError::Damaged { .. }
        | StoreError::Database(_)
        | StoreError::File { .. } => false,
    };
    assert!(refusal, "{error:?}");
}

fn pick<T: Copy>(list: &[T], n: u8) -> Option<T> {
    // Counted from the newest, which is the likeliest to be alive.
    let last = list.len().checked_sub(1)?;
    list.get(last - usize::from(n % 4) % list.len()).copied()
}

impl Play {
    async fn act(&mut self, act: &Act) -> Result<(), StoreError> {
        match *act {
            Act::Create(_)
            | Act::Enqueue(..)
            | Act::Cancel(_)
            | Act::Retry(_)
            | Act::Abandon(_) => self.ask(act).await,
            Act::Claim { holder, exclusive } => self.claim(holder, exclusive).await,
            Act::Pass(ms) => {
                self.world.pass(i64::from(ms));
                Ok(())
            }
            Act::Begin { claim, .. }
            | Act::Finish(claim)
            | Act::Fail(claim)
            | Act::Stick(claim)
            | Act::Mutate(claim)
            | Act::BeginUndo(claim)
            | Act::FinishUndo(claim)
            | Act::FailUndo(claim)
            | Act::UnwindCancelled(claim)
            | Act::Complete { claim, .. }
            | Act::EndUnwound(claim) => match pick(&self.claims, claim) {
                Some(fence) => {
                    let stands = self.stands(&fence).await;
                    let result = self.work(act, &fence).await;
                    let lost = matches!(result, Err(StoreError::LeaseLost { .. }));
                    assert_eq!(lost, !stands, "{act:?} under {fence:?}: {result:?}");
                    result
                }
                None => Ok(()),
            },
        }
    }

    /// What people do.
    async fn ask(&mut self, act: &Act) -> Result<(), StoreError> {
        let at = self.world.at();
        let actor = self.world.actor.clone();
        let live = self.world.store.live_operations().await?;
        let live: Vec<OperationId> = live.iter().map(|o| o.id).collect();
        match *act {
            Act::Create(n) => {
                let (app, operation) = self.world.new_app(&format!("app-{}", n % 6));
                let id = app.id;
                let key = (n % 5 == 0).then(|| request_key(&format!("key-{}", n % 3)));
                self.world
                    .store
                    .create_app(app, operation, &actor, key, at)
                    .await?;
                self.apps.push(id);
            }
            Act::Enqueue(app, kind) => {
                let Some(app) = pick(&self.apps, app) else {
                    return Ok(());
                };
                let kinds = OperationKind::ALL;
                let kind = kinds[usize::from(kind) % kinds.len()];
                let status = match kind {
                    OperationKind::Deploy => Some(Status::Deploying),
                    OperationKind::Remove => Some(Status::Removing),
                    OperationKind::Update => Some(Status::Updating),
                    OperationKind::Start
                    | OperationKind::Stop
                    | OperationKind::Restart
                    | OperationKind::Adopt
                    | OperationKind::RestoreKeys
                    | OperationKind::Forget => None,
                };
                let operation = self.world.new_operation(kind, app);
                self.world
                    .store
                    .enqueue(operation, status, &actor, at)
                    .await?;
            }
            Act::Cancel(n) => {
                let Some(id) = pick(&live, n) else {
                    return Ok(());
                };
                self.world.store.request_cancel(id, &actor, at).await?;
            }
            Act::Retry(n) => {
                let Some(id) = pick(&live, n) else {
                    return Ok(());
                };
                self.world.store.retry_stuck(id, &actor, at).await?;
            }
            Act::Abandon(n) => {
                let Some(id) = pick(&live, n) else {
                    return Ok(());
                };
                self.world
                    .store
                    .abandon(id, failure("given_up"), &actor, at)
                    .await?;
            }
            _ => unreachable!("only what people do comes here"),
        }
        Ok(())
    }

    async fn claim(&mut self, holder: u8, exclusive: bool) -> Result<(), StoreError> {
        let holder = HolderId(Uuid::from_u128(u128::from(holder) + 1));
        let claimed = self
            .world
            .store
            .claim(holder, LEASE_MS, exclusive, self.world.at())
            .await?;
        let Some((_, fence)) = claimed else {
            return Ok(());
        };
        for old in self
            .claims
            .iter()
            .filter(|c| c.operation == fence.operation)
        {
            assert!(old.epoch < fence.epoch, "an epoch is given once");
            let refused = self.world.store.check_fence(old).await;
            assert!(
                matches!(refused, Err(StoreError::LeaseLost { .. })),
                "{old:?} {fence:?}"
            );
        }
        self.claims.push(fence);
        Ok(())
    }

    /// Whether a claim is the last one of an operation at work, by what is recorded.
    async fn stands(&self, fence: &Fence) -> bool {
        let operation = self.world.operation(fence.operation).await;
        let holder = operation.lease.map(|(holder, _)| holder);
        (holder, operation.epoch) == (Some(fence.holder), fence.epoch)
    }

    /// What a worker does; sometimes with a claim it has lost.
    async fn work(&mut self, act: &Act, fence: &Fence) -> Result<(), StoreError> {
        let at = self.world.at();
        let operation = self.world.operation(fence.operation).await;
        let log = self.world.store.steps(operation.id).await?;
        let last = log.last().map_or(0, |s| s.index);
        let undo = log
            .iter()
            .rev()
            .find(|s| s.state != StepState::UndoFinished)
            .map_or(0, |s| s.index);
        let store = self.world.store.clone();
        let none = Effects::default;
        match *act {
            Act::Begin { guest, .. } => {
                let index = u32::try_from(
                    log.iter()
                        .filter(|s| s.state == StepState::Succeeded)
                        .count(),
                )
                .unwrap();
                let effects = self
                    .guest_effects(guest, operation.app, operation.id)
                    .await?;
                store
                    .begin_step(fence, index, "step", json!({}), effects, at)
                    .await
            }
            Act::Finish(_) => store.finish_step(fence, last, json!({}), none(), at).await,
            Act::Fail(n) => {
                let index = (n % 3 != 0).then_some(last);
                store
                    .fail_step(fence, index, failure("x"), none(), at)
                    .await
            }
            Act::Stick(n) => {
                let index = (n % 3 != 0).then_some(undo);
                store.stick(fence, index, failure("x"), none(), at).await
            }
            Act::Mutate(_) => {
                let audit = MutationAudit {
                    call: "POST".to_owned(),
                    target: "lab".to_owned(),
                    details: json!({}),
                };
                store
                    .record_mutation(fence, last, audit, Effects::default(), at)
                    .await
            }
            Act::BeginUndo(_) => store.begin_undo(fence, undo, at).await,
            Act::FinishUndo(_) => store.finish_undo(fence, undo, none(), at).await,
            Act::FailUndo(_) => store.fail_undo(fence, undo, failure("x"), at).await,
            Act::UnwindCancelled(_) => store.begin_unwind_cancelled(fence, at).await,
            Act::Complete { archive, .. } => {
                let removal = operation.kind == OperationKind::Remove;
                let effects = if archive && removal {
                    self.farewell(operation.app).await?
                } else if archive {
                    none()
                } else {
                    with_status(Status::Running)
                };
                store.complete(fence, effects, at).await
            }
            Act::EndUnwound(_) => store
                .end_unwound(fence, with_status(error_status(at)), at)
                .await
                .map(|_| ()),
            _ => unreachable!("only what a worker does comes here"),
        }
    }

    async fn guest_effects(
        &mut self,
        choice: Option<u8>,
        app: AppId,
        operation: OperationId,
    ) -> Result<Effects, StoreError> {
        let known = self.world.store.native_guests(app).await?;
        let change = match (choice, known.first()) {
            (None, _) => return Ok(Effects::default()),
            (Some(n), Some(guest)) if n % 3 == 0 => GuestChange::Gone { guest: guest.id },
            (Some(n), Some(guest)) if n % 3 == 1 => GuestChange::Confirm {
                guest: guest.id,
                rootfs_volid: format!("local:disk-{}", n % 2).parse().unwrap(),
            },
            (Some(n), _) => {
                // One VMID in four is taken a second time.
                self.vmid += u32::from(n % 4 != 0);
                GuestChange::Insert(self.world.guest(app, operation, self.vmid.max(100)))
            }
        };
        Ok(Effects {
            guests: vec![change],
            ..Effects::default()
        })
    }

    async fn farewell(&self, app: AppId) -> Result<Effects, StoreError> {
        let guests = self.world.store.native_guests(app).await?;
        Ok(Effects {
            guests: guests
                .iter()
                .map(|g| GuestChange::Gone { guest: g.id })
                .collect(),
            archive: true,
            rest_ports: guests.len() > 1,
            ..Effects::default()
        })
    }

    async fn check(&mut self, reached: &Reached) {
        self.world.assert_sound().await;
        let filter = OperationFilter {
            limit: OperationFilter::MAX_LIMIT,
            ..Default::default()
        };
        for operation in self.world.store.operations(filter).await.unwrap() {
            *reached
                .borrow_mut()
                .entry(operation.state.label())
                .or_default() += 1;
            if let Some(end) = self.ended.get(&operation.id) {
                assert_eq!(&operation.state, end, "an end is final");
            } else if operation.state.is_final() {
                self.ended.insert(operation.id, operation.state);
            }
        }
        let view = self.world.store.ports().await.unwrap();
        let mut held: Vec<u16> = view
            .held
            .iter()
            .flat_map(|(_, p)| [p.public, p.internal])
            .collect();
        held.sort_unstable();
        let count = held.len();
        held.dedup();
        assert_eq!(held.len(), count, "a port has one holder");
        let (_, live) = self.world.store.apps(AppFilter::default()).await.unwrap();
        assert_eq!(view.held.len() as u64, live, "every live app has its pair");
    }
}
