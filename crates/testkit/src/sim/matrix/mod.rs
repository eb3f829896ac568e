//! Every call of an operation, and every entry into its guest, hit by every fault, one at a time: whether it ends, says that very
//! one, and leaves what it found.

mod call;
mod judge;

use std::collections::BTreeMap;
use std::time::Duration;

use proximity_domain::failure::Failure;
use proximity_domain::operation::OperationState;
use proximity_engine::saga::Guard;
use proximity_pve_emulator::core::FaultWish;
use serde::Serialize;
use tokio::time::Instant;

pub use self::call::Call;
use self::judge::{Left, judge};
use super::fault::{Fault, Harm};
use super::perform::Stage;
use super::rest;
use super::run;
use super::saga::{self, Saga};
use crate::snags::{Snag, SnagWish, Way};

/// No operation may take longer, whatever is in its way, in virtual time: a command in a guest may take twenty minutes, and is
/// tried six times at most.
const DEADLINE: Duration = Duration::from_secs(3 * 3_600);
/// The code of what a create that died has left.
const HALF_CREATED: &str = "half_created";
/// So many of one kind are hit, each in turn.
const OF_A_KIND: u32 = 6;

/// What is hit, and how.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum Hit {
    /// A call to the cluster.
    Call(Call, Harm),
    /// A way into a guest, or to its page.
    Way(Way, Snag),
}

/// One fault during one operation.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// What is asked for.
    pub saga: Saga,
    /// What is hit.
    pub hit: Hit,
    /// The first one that is hit, counted from the request.
    pub nth: u32,
    /// All that follow, too.
    pub lasts: bool,
}

/// What came of a case.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Played {
    /// The fault hit something; else the case says nothing.
    pub hit: bool,
    /// How the operation ended.
    pub ended: String,
    /// The recorded cause names what was hit; `None` when there is no cause.
    pub named: Option<bool>,
    /// What must not have been.
    pub faults: Vec<String>,
    /// Virtual milliseconds until it ended.
    pub took_ms: u64,
}

/// What an operation, and the loops beside it, send when nothing is wrong.
#[derive(Debug, Clone)]
pub struct Sent {
    calls: BTreeMap<Call, u32>,
    ways: Vec<(Way, u32)>,
}

impl Sent {
    /// Its calls.
    pub fn calls(&self) -> impl Iterator<Item = Call> {
        self.calls.keys().copied()
    }
}

/// What this operation sends.
///
/// # Errors
/// The simulation could not go on, or a call is in no table.
pub fn sent_by(saga: Saga, seed: u64) -> Result<Sent, String> {
    run::on_virtual_time(None, async {
        let mut stage = saga::prepared(saga, seed).await?;
        let before = stage.machine.cluster.lock().traps.counted();
        let snags = stage.machine.cluster.guests.snags.clone();
        snags.set(None);
        saga::done(&mut stage, saga).await?;
        let mut sent = stage.machine.cluster.lock().traps.counted();
        for (kind, count) in &mut sent {
            *count -= before.get(kind).copied().unwrap_or(0);
        }
        let ways = [Way::Entry, Way::Page].map(|way| (way, snags.passed(way)));
        stage.process.kill().await;
        Ok(Sent {
            calls: Call::among(&sent)?,
            ways: ways.to_vec(),
        })
    })
}

/// Every fault of everything that is sent.
#[must_use]
pub fn cases_of(saga: Saga, sent: &Sent) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |hit: Hit, count: u32| {
        let once = (1..=count.min(OF_A_KIND)).map(|nth| (nth, false));
        let for_good = (count > 0).then_some((1, true));
        all.extend(once.chain(for_good).map(|(nth, lasts)| Case {
            saga,
            hit,
            nth,
            lasts,
        }));
    };
    for (call, count) in &sent.calls {
        for harm in harms(call) {
            add(Hit::Call(*call, harm), *count);
        }
    }
    for (way, count) in &sent.ways {
        for snag in Snag::ALL {
            add(Hit::Way(*way, snag), *count);
        }
    }
    all
}

/// What may become of a call.
fn harms(call: &Call) -> Vec<Harm> {
    let mut harms = vec![
        Harm::Refused,
        Harm::Unauthorized,
        Harm::Forbidden,
        Harm::Broken,
        Harm::Unreachable,
        Harm::Silent,
        Harm::CutBefore,
        Harm::CutAfter,
        Harm::Late { ms: 5_000 },
    ];
    if !call.is_read() {
        harms.extend([false, true].map(|after_effect| Harm::TaskFails { after_effect }));
        harms.extend([false, true].map(|forgotten| Harm::TaskLost { forgotten }));
        harms.push(Harm::TaskWarns);
    }
    harms
}

/// Plays a case, with this guard of the engine off.
///
/// # Errors
/// The simulation could not go on.
pub fn play_case(case: &Case, seed: u64, off: Option<Guard>) -> Result<Played, String> {
    run::on_virtual_time(off.map(Guard::label), async {
        let mut stage = saga::prepared(case.saga, seed).await?;
        let before = Left::of(&stage).await?;
        if !is_set(&stage, case) {
            return Ok(Played::default());
        }
        let began = Instant::now();
        let end = ended(&mut stage, case.saga).await?;
        let mut played = Played {
            hit: was_hit(&stage),
            ended: end.name().to_owned(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Played::default()
        };
        let left = Left::of(&stage).await?;
        judge(case, &end, (&before, &left), &mut played);
        end_of_trouble(&stage);
        if matches!(end, End::Stuck(_)) {
            played.faults.extend(retried(&stage, case.saga).await?);
        }
        rest::come_to_rest(&mut stage).await?;
        played.faults.extend(saga::broken(&stage, case.saga));
        stage.process.kill().await;
        Ok(played)
    })
}

/// How it ended.
#[derive(Debug)]
enum End {
    /// Before there was an operation.
    Refused(Failure),
    Succeeded,
    Failed(Failure),
    Stuck(Failure),
    /// It was still at it, or at nothing.
    Never(String),
}

impl End {
    fn of(state: OperationState) -> Self {
        match state {
            OperationState::Succeeded => Self::Succeeded,
            OperationState::Failed { failure } => Self::Failed(failure),
            OperationState::Stuck { failure, .. } => Self::Stuck(failure),
            OperationState::Cancelled
            | OperationState::Queued
            | OperationState::Running
            | OperationState::Unwinding { .. } => Self::Never(format!("it is {}", state.label())),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Stuck(_) => "stuck",
            Self::Never(_) => "never",
        }
    }
}

async fn ended(stage: &mut Stage, saga: Saga) -> Result<End, String> {
    match saga::ask(stage, saga).await {
        Ok(Ok(())) => Ok(End::of(saga::settled(stage, DEADLINE).await?)),
        Ok(Err(refused)) => Ok(End::Refused(refused)),
        Err(unanswered) => Ok(End::Never(unanswered)),
    }
}

/// Sets the fault; false when it cannot happen to this.
fn is_set(stage: &Stage, case: &Case) -> bool {
    let cluster = &stage.machine.cluster;
    match case.hit {
        Hit::Call(call, harm) => {
            let wish = FaultWish {
                nth: u64::from(case.nth),
                times: (!case.lasts).then_some(1),
                ..Fault::of(call.verb, call.path, harm, 1).wish()
            };
            cluster.meddle(|world, _, _| world.add_fault(wish)).is_ok()
        }
        Hit::Way(way, snag) => {
            cluster.guests.snags.set(Some(SnagWish {
                way,
                nth: case.nth,
                lasts: case.lasts,
                snag,
            }));
            true
        }
    }
}

fn was_hit(stage: &Stage) -> bool {
    let cluster = &stage.machine.cluster;
    let called = |world: &mut proximity_pve_emulator::core::World| {
        world.faults().any(|fault| fault.rule.hits > 0)
    };
    cluster.guests.snags.hits() > 0 || cluster.meddle(|world, _, _| called(world))
}

fn end_of_trouble(stage: &Stage) {
    rest::calm(stage);
    stage.machine.cluster.guests.snags.set(None);
}

/// What is stuck comes to its end when a person asks for it again, nothing being wrong any more.
async fn retried(stage: &Stage, saga: Saga) -> Result<Option<String>, String> {
    if let Err(e) = saga::ask_again(stage, saga).await {
        return Ok(Some(format!("stuck, and a retry is refused: {e}")));
    }
    Ok(match End::of(saga::settled(stage, DEADLINE).await?) {
        End::Succeeded | End::Failed(_) => None,
        // Whose it is cannot be seen, so only a person may take it away.
        End::Stuck(failure) if failure.code == HALF_CREATED => None,
        other @ (End::Refused(_) | End::Stuck(_) | End::Never(_)) => {
            Some(format!("stuck, and after a retry: {other:?}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: Call = Call {
        verb: "POST",
        path: "/nodes/{node}/lxc",
    };

    #[test]
    fn a_create_that_is_refused_is_the_cause_and_leaves_nothing() {
        let sent = sent_by(Saga::Deploy, 1).unwrap();
        assert!(sent.calls().any(|call| call == CREATE));
        let cases = cases_of(Saga::Deploy, &sent);
        let refused = cases.into_iter().find(|case| {
            case.lasts && matches!(case.hit, Hit::Call(call, Harm::Refused) if call == CREATE)
        });
        let played = play_case(&refused.unwrap(), 1, None).unwrap();
        assert_eq!((played.hit, played.named), (true, Some(true)));
        assert_eq!(played.faults, Vec::<String>::new());
        assert_eq!(played.ended, "failed");
    }

    #[test]
    fn a_page_that_hangs_is_the_cause_and_leaves_nothing() {
        let case = Case {
            saga: Saga::Deploy,
            hit: Hit::Way(Way::Page, Snag::Hangs),
            nth: 1,
            lasts: true,
        };
        let played = play_case(&case, 1, None).unwrap();
        assert_eq!((played.hit, played.named), (true, Some(true)));
        assert_eq!(played.faults, Vec::<String>::new());
    }
}
