//! What workers do; sometimes out of turn, sometimes under a claim that they have lost or never had.

use std::collections::BTreeMap;

use proximity_domain::adoption::{
    AdoptionPart, AdoptionRecord, ResourcesAtAdoption, StatusAtAdoption,
};
use proximity_domain::app::{AppClass, Status, StatusLabel};
use proximity_domain::create::Resources;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest};
use proximity_domain::ids::{Epoch, GuestId, HolderId, HostId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::Mac;
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::saga::{StepRecord, StepState};
use proximity_domain::time::Timestamp;
use proximity_store::effects::{
    AppChange, Effects, GuestChange, MutationAudit, NewEntry, NewLogLine, NewSettings,
};
use proximity_store::records::{Fence, LogLevel, OperationRecord, Wait};
use serde_json::json;
use uuid::Uuid;

use super::calls::{Call, Change};
use super::pair::both;
use super::people::event;
use super::play::{Play, Told, pick};

fn failure(n: u8) -> Failure {
    Failure::new("x", format!("broken {n}"), "Try again.")
}

impl Call {
    /// Which claim it is made under, at which step, and what it changes besides.
    fn of_worker(&self) -> Option<(u8, u8, Option<Change>)> {
        Some(match *self {
            Self::Renew(claim) | Self::Release(claim) | Self::UnwindCancelled(claim) => {
                (claim, 1, None)
            }
            Self::Upid { claim, index }
            | Self::Amend { claim, index }
            | Self::Mutate { claim, index }
            | Self::BeginUndo { claim, index }
            | Self::FailUndo { claim, index } => (claim, index, None),
            Self::Wait { claim, change, .. }
            | Self::Note { claim, change }
            | Self::Complete { claim, change }
            | Self::EndUnwound { claim, change } => (claim, 1, Some(change)),
            Self::Begin {
                claim,
                index,
                change,
            }
            | Self::Finish {
                claim,
                index,
                change,
            }
            | Self::Fail {
                claim,
                index,
                change,
            }
            | Self::Stick {
                claim,
                index,
                change,
            }
            | Self::FinishUndo {
                claim,
                index,
                change,
            } => (claim, index, Some(change)),
            _ => return None,
        })
    }
}

/// The step whose turn it is for a call, mostly.
fn step_of(call: &Call, n: u8, log: &[StepRecord]) -> u32 {
    let last = log.last().map_or(0, |step| step.index);
    let done = log.iter().filter(|s| s.state == StepState::Succeeded);
    let open = |s: &&StepRecord| s.state != StepState::UndoFinished;
    match call {
        _ if n.is_multiple_of(10) => u32::from(n / 10 % 4),
        Call::Begin { .. } => u32::try_from(done.count()).unwrap(),
        Call::BeginUndo { .. } | Call::FinishUndo { .. } | Call::FailUndo { .. } => {
            log.iter().rev().find(open).map_or(0, |step| step.index)
        }
        _ => last,
    }
}

fn forwards_from(log: &[StepRecord], n: u8, cancelled: bool, change: Change) -> Call {
    // Any number but one that goes out of turn.
    let (claim, index) = (0, 1);
    let open = log.last().is_some_and(|s| s.state != StepState::Succeeded);
    match n {
        248.. => Call::Renew(claim),
        240..248 => Call::Release(claim),
        228..240 => Call::Wait {
            claim,
            attempt: n,
            change,
        },
        224..228 if open => Call::Amend { claim, index },
        220..224 if open => Call::Mutate { claim, index },
        216..220 if open => Call::Upid { claim, index },
        208..216 => Call::Note { claim, change },
        0..20 if open => Call::Fail {
            claim,
            index,
            change,
        },
        20..44 if open => Call::Stick {
            claim,
            index,
            change,
        },
        _ if cancelled => Call::UnwindCancelled(claim),
        _ if open => Call::Finish {
            claim,
            index,
            change,
        },
        _ if log.len() > usize::from(n % 3) => Call::Complete { claim, change },
        _ => Call::Begin {
            claim,
            index,
            change,
        },
    }
}

fn backwards_from(log: &[StepRecord], n: u8, change: Change) -> Call {
    let (claim, index) = (0, 1);
    let mut open = log
        .iter()
        .rev()
        .filter(|s| s.state != StepState::UndoFinished);
    match open.next().map(|step| step.state) {
        None => Call::EndUnwound { claim, change },
        Some(StepState::UndoStarted) if n < 30 => Call::FailUndo { claim, index },
        Some(StepState::UndoStarted) => Call::FinishUndo {
            claim,
            index,
            change,
        },
        Some(_) => Call::BeginUndo { claim, index },
    }
}

impl Play {
    pub async fn worker(&mut self, call: &Call) -> Told {
        let (claim, n, change) = call.of_worker()?;
        let fence = self.fence(claim)?;
        let known = both!(self.pair, store => store.operation(fence.operation)).unwrap();
        let operation = known.unwrap();
        let log = both!(self.pair, store => store.steps(operation.id)).unwrap();
        let index = step_of(call, n, &log);
        let effects = match change {
            Some(change) => self.effects(call, change, &operation).await,
            None => Effects::default(),
        };
        let held = both!(self.pair, store => store.check_fence(&fence));
        let refused = match *call {
            Call::Renew(_)
            | Call::Release(_)
            | Call::Wait { .. }
            | Call::Upid { .. }
            | Call::Amend { .. }
            | Call::Mutate { .. }
            | Call::Note { .. } => self.between(call, &fence, index, effects).await,
            Call::Begin { .. }
            | Call::Finish { .. }
            | Call::Fail { .. }
            | Call::Stick { .. }
            | Call::Complete { .. } => self.forwards(call, &fence, (n, index), effects).await,
            _ => self.backwards(call, &fence, index, effects).await,
        };
        assert!(held.is_ok() || refused, "{call:?} without a claim");
        Some(refused)
    }

    /// What a worker would do now; a claim if it holds nothing.
    pub async fn next(&mut self, n: u8, change: Change) -> Call {
        let mut held = None;
        for (at, fence) in self.claims.iter().enumerate().rev() {
            if both!(self.pair, store => store.check_fence(fence)).is_ok() {
                held = Some(at);
                break;
            }
        }
        let Some(at) = held else {
            return Call::Claim {
                holder: n % 2,
                exclusive: true,
            };
        };
        let fence = self.claims.remove(at);
        // Where a call with claim 0 finds it.
        self.claims.push(fence);
        let known = both!(self.pair, store => store.operation(fence.operation)).unwrap();
        let log = both!(self.pair, store => store.steps(fence.operation)).unwrap();
        match known.unwrap() {
            operation if operation.state == OperationState::Running => {
                forwards_from(&log, n, operation.cancel_requested, change)
            }
            _ => backwards_from(&log, n, change),
        }
    }

    /// A claim that was made; sometimes one that nobody has.
    fn fence(&self, n: u8) -> Option<Fence> {
        let fence = pick(&self.claims, n)?;
        Some(match n {
            250.. => Fence {
                holder: HolderId(Uuid::nil()),
                ..fence
            },
            245..250 => Fence {
                epoch: Epoch(fence.epoch.0 + 1),
                ..fence
            },
            0..245 => fence,
        })
    }

    async fn between(&self, call: &Call, fence: &Fence, index: u32, effects: Effects) -> bool {
        let at = self.at();
        match *call {
            Call::Renew(n) => {
                let lease_ms = 5_000 + i64::from(n);
                both!(self.pair, store => store.renew(fence, lease_ms, at)).is_err()
            }
            Call::Release(_) => both!(self.pair, store => store.release(fence)).is_err(),
            Call::Wait { attempt: n, .. } => {
                let wait = Wait {
                    due_at: Timestamp(at.0 + i64::from(n) * 40),
                    because: failure(n),
                };
                let attempt = u32::from(n % 4);
                both!(self.pair, store =>
                    store.wait(fence, attempt, wait.clone(), effects.clone(), at))
                .is_err()
            }
            Call::Upid { claim, .. } => {
                let upid = format!("UPID:{claim}");
                both!(self.pair, store => store.record_upid(fence, index, &upid, at)).is_err()
            }
            Call::Amend { claim, .. } => {
                let intent = json!({"learned": claim});
                both!(self.pair, store =>
                    store.amend_intent(fence, index, intent.clone(), at))
                .is_err()
            }
            Call::Mutate { claim, .. } => {
                let audit = MutationAudit {
                    call: "POST".to_owned(),
                    target: "lab".to_owned(),
                    details: json!({"n": claim}),
                };
                both!(self.pair, store =>
                    store.record_mutation(fence, index, audit.clone(), effects.clone(), at))
                .is_err()
            }
            _ => both!(self.pair, store => store.note(fence, effects.clone(), at)).is_err(),
        }
    }

    async fn forwards(
        &self,
        call: &Call,
        fence: &Fence,
        (n, index): (u8, u32),
        effects: Effects,
    ) -> bool {
        let at = self.at();
        // Some failures are of no step.
        let broken = (n % 3 != 0).then_some(index);
        match *call {
            Call::Begin { .. } => {
                let name = format!("step-{index}");
                both!(self.pair, store =>
                    store.begin_step(fence, index, &name, json!({"n": n}), effects.clone(), at))
                .is_err()
            }
            Call::Finish { .. } => both!(self.pair, store =>
                    store.finish_step(fence, index, json!({"n": n}), effects.clone(), at))
            .is_err(),
            Call::Fail { .. } => both!(self.pair, store =>
                    store.fail_step(fence, broken, failure(n), effects.clone(), at))
            .is_err(),
            Call::Stick { .. } => both!(self.pair, store =>
                    store.stick(fence, broken, failure(n), effects.clone(), at))
            .is_err(),
            _ => both!(self.pair, store => store.complete(fence, effects.clone(), at)).is_err(),
        }
    }

    async fn backwards(&self, call: &Call, fence: &Fence, index: u32, effects: Effects) -> bool {
        let at = self.at();
        match *call {
            Call::UnwindCancelled(_) => {
                both!(self.pair, store => store.begin_unwind_cancelled(fence, at)).is_err()
            }
            Call::BeginUndo { .. } => {
                both!(self.pair, store => store.begin_undo(fence, index, at)).is_err()
            }
            Call::FinishUndo { .. } => both!(self.pair, store =>
                    store.finish_undo(fence, index, effects.clone(), at))
            .is_err(),
            Call::FailUndo { claim, .. } => both!(self.pair, store =>
                    store.fail_undo(fence, index, failure(claim), at))
            .is_err(),
            _ => both!(self.pair, store => store.end_unwound(fence, effects.clone(), at)).is_err(),
        }
    }

    async fn effects(
        &mut self,
        call: &Call,
        change: Change,
        operation: &OperationRecord,
    ) -> Effects {
        let status = match (change.status, call) {
            (Some(n), _) => Some(self.status(n)),
            (None, Call::Complete { .. }) => Some(Status::Running),
            (None, Call::EndUnwound { .. }) => Some(self.status(0)),
            (None, _) => None,
        };
        let ends = matches!(call, Call::Complete { .. } | Call::Finish { .. });
        let removes = [OperationKind::Remove, OperationKind::Forget].contains(&operation.kind);
        let archive = change.archive && ends && removes;
        let guests = both!(self.pair, store => store.recorded_guests(operation.app)).unwrap();
        let guests = match change.guest {
            _ if archive && change.lines >= 32 => guests.iter().map(ended).collect(),
            Some(n) => {
                let change = self.guest_change(n, guests.first(), operation).await;
                Vec::from_iter(change)
            }
            None => Vec::new(),
        };
        Effects {
            guests,
            status: status.filter(|_| !archive),
            url: change
                .url
                .map(|n| n.is_multiple_of(2).then(|| format!("http://{n}"))),
            change: (ends && operation.kind == OperationKind::Update)
                .then(|| changed(change.lines)),
            // Sometimes of an app that was not adopted, or a second one.
            adoption: (operation.kind == OperationKind::Adopt || change.lines == 7)
                .then(|| adoption(change.lines, self.at())),
            archive,
            rest_ports: change.lines.is_multiple_of(2),
            percent: change.percent,
            log: lines(change.lines),
            events: Vec::from_iter(
                change
                    .event
                    .then(|| event(EventKind::AppStarted, change.lines)),
            ),
        }
    }

    fn status(&self, n: u8) -> Status {
        match n % 5 {
            0 => Status::Error {
                was: StatusLabel::Deploying,
                why: failure(n),
                since: self.at(),
            },
            1 => Status::Running,
            2 => Status::Stopped,
            3 => Status::Removing,
            _ => Status::Deploying,
        }
    }

    async fn guest_change(
        &mut self,
        n: u8,
        known: Option<&RecordedGuest>,
        operation: &OperationRecord,
    ) -> Option<GuestChange> {
        let stranger = GuestId(Uuid::from_u128(1));
        let guest = match (known, n) {
            (Some(guest), _) => guest.id(),
            (None, 0..20) => stranger,
            (None, 20..) => return self.new_guest(n, operation).await,
        };
        Some(match n % 5 {
            0 if n.is_multiple_of(2) => GuestChange::Released { guest },
            0 => GuestChange::Gone { guest },
            1 => GuestChange::Moved {
                guest,
                node: format!("pve{}", 1 + n % 3).parse().unwrap(),
            },
            2 | 3 => GuestChange::Confirm {
                guest,
                rootfs_volid: format!("local:disk-{}", n % 2).parse().unwrap(),
            },
            _ => return self.new_guest(n, operation).await,
        })
    }

    /// A guest on the host of its app, as long as that is live: nothing else is ever asked for.
    async fn new_guest(&mut self, n: u8, operation: &OperationRecord) -> Option<GuestChange> {
        let app = both!(self.pair, store => store.app(operation.app)).unwrap()?;
        if app.class == AppClass::Adopted {
            // Its row refers to app and class: the database refuses, whoever asks.
            return None;
        }
        Some(GuestChange::Insert(self.guest(n, operation, app.host)))
    }

    fn guest(&mut self, n: u8, operation: &OperationRecord, host: HostId) -> NativeGuest {
        // One VMID in four is taken a second time, one in thirty is not the same in both places, and one guest in
        // thirty is somebody else's.
        self.vmid += u32::from(!n.is_multiple_of(4));
        let vmid = Vmid::try_from(self.vmid).unwrap();
        let other = Vmid::try_from(self.vmid + 1).unwrap();
        let [.., a, b] = vmid.get().to_be_bytes();
        let stranger = self.known.apps[0];
        NativeGuest {
            id: GuestId(self.id()),
            app: if n >= 247 { stranger } else { operation.app },
            created_by: operation.id,
            place: ContainerRef {
                host,
                node: "pve1".parse().unwrap(),
                vmid,
            },
            identity: ContainerIdentity {
                vmid: if n % 30 == 29 { other } else { vmid },
                mark: Mark {
                    installation: self.pair.memory.installation(),
                    app: operation.app,
                    nonce: self.id().as_u128(),
                },
                net0_mac: Mac::with_pve_prefix([0, a, b]),
                rootfs_volid: n.is_multiple_of(9).then(|| "local:disk-0".parse().unwrap()),
            },
            learned: None,
        }
    }
}

/// How the row of a guest ends: an adopted one is given back.
fn ended(guest: &RecordedGuest) -> GuestChange {
    let id = guest.id();
    match guest {
        RecordedGuest::Native(_) => GuestChange::Gone { guest: id },
        RecordedGuest::Adopted(_) => GuestChange::Released { guest: id },
    }
}

/// Other resources, and sometimes other settings.
fn changed(n: u8) -> AppChange {
    let settings = n.is_multiple_of(2).then(|| NewSettings {
        open: json!({"TITLE": n, "PASSWORD": null}),
        sealed: format!("{{\"PASSWORD\":\"{n}\"}}").into(),
    });
    AppChange {
        resources: Resources {
            memory_mib: 256 + u64::from(n),
            cores: 2,
            disk_gib: 8,
        },
        settings,
        entry: n.is_multiple_of(3).then(|| NewEntry {
            hash: format!("{n:064x}"),
            version: format!("{n}"),
        }),
    }
}

fn adoption(n: u8, at: Timestamp) -> AdoptionRecord {
    AdoptionRecord {
        original_vmid: Vmid::try_from(900).unwrap(),
        original_name: format!("größer-{n}"),
        adoption_date: at,
        suggested_type: "custom".parse().unwrap(),
        container_port: 80,
        detected_ports: Vec::new(),
        proxmox_config_snapshot: BTreeMap::from([("cores".to_owned(), json!(n))]),
        resources_at_adoption: ResourcesAtAdoption {
            cpus: Some(1.5),
            ..ResourcesAtAdoption::default()
        },
        status_at_adoption: StatusAtAdoption::Running,
        network_interfaces: Vec::new(),
        hostname: None,
        os_type: Some("debian".to_owned()),
        architecture: None,
        missing_parts: vec![AdoptionPart::ListeningSockets],
    }
}

/// None, some, a long one, or more than one operation may say.
fn lines(n: u8) -> Vec<NewLogLine> {
    let count = match n {
        250.. => 1_005,
        _ => usize::from(n % 4).saturating_sub(1),
    };
    let line = |i: usize| NewLogLine {
        level: LogLevel::ALL[(usize::from(n) + i) % 3],
        step: n.is_multiple_of(2).then(|| "step".to_owned()),
        message: match n % 16 {
            15 => "é".repeat(2_100),
            _ => format!("line {i}"),
        },
        percent: n.is_multiple_of(3).then_some(n),
    };
    (0..count).map(line).collect()
}
