//! The thin executor: asks the domain what is next, carries it out, commits, asks again.

use proximity_domain::failure::Failure;
use proximity_domain::operation::OperationState;
use proximity_domain::saga::Next;
use proximity_store::effects::Effects;
use proximity_store::error::StoreError;
use proximity_store::records::LogLevel;
use serde_json::Value;

use super::again;
use super::at_step::within;
use super::context::Cx;
use super::guards::{Guard, is_off};
use super::rehearsal;
use super::step::{Done, Halt, Row, Saga, StepError, StepResult};

/// How often an intent is chosen anew because an operation of another process took the same VMID in the meantime.
const INTENT_ATTEMPTS: u32 = 8;
/// How long to wait while the store cannot be used, e.g. for want of space.
const TROUBLE_PAUSE_MS: u64 = 1_000;

/// Walks the operation until it ends, is stuck, waits for its next attempt, or must be let go.
///
/// Flow: read state and log → decide → carry out one step or undo → commit → again.
/// Guarantees: the intent is committed before the effect; after a crash the same decision comes out of the same log; what did
/// not work is tried again by the same number of attempts, however often the process ends in between.
/// While the store cannot be used it waits, and goes on from what is recorded, as long as the claim stands.
/// Errors: [`Halt`] when nothing more may be written by this worker.
pub(crate) async fn drive(cx: &Cx, saga: &Saga) -> Result<(), Halt> {
    let mut ended = drive_from(cx, saga, cx.op.state.clone()).await;
    while let Err(Halt::Store(error)) = &ended {
        if !error.may_pass() {
            break;
        }
        tracing::warn!(operation = %cx.op.id, error = %error, "the store cannot be used; trying again");
        // What became of the last commit is known when it has been read, and not before.
        ended = match after_trouble(cx).await {
            Ok(state) => drive_from(cx, saga, state).await,
            Err(halt) => Err(halt),
        };
    }
    ended
}

/// Waits a moment, then reads the state, if the claim still stands.
async fn after_trouble(cx: &Cx) -> Result<OperationState, Halt> {
    cx.pause_ms(TROUBLE_PAUSE_MS).await;
    match cx.reins.halt() {
        Some(halt) => Err(halt),
        None => current_state(cx).await,
    }
}

async fn drive_from(cx: &Cx, saga: &Saga, from: OperationState) -> Result<(), Halt> {
    let mut state = from;
    loop {
        if let Some(halt) = cx.reins.halt() {
            return Err(halt);
        }
        cx.reload().await?;
        let count = u32::try_from(saga.steps.len()).unwrap_or(u32::MAX);
        match cx.next(&state, count) {
            Next::Begin(index) => {
                let Some(row) = row_at(saga, index) else {
                    return Ok(());
                };
                if row.cancellable && cx.reins.cancel.is_cancelled() {
                    turn_back(cx).await?;
                } else {
                    begin(cx, index, row).await?;
                }
            }
            Next::Resume(index) => {
                let Some(row) = row_at(saga, index) else {
                    return Ok(());
                };
                run(cx, index, row).await?;
            }
            Next::Undo(index) => {
                let Some(row) = row_at(saga, index) else {
                    return Ok(());
                };
                undo(cx, index, row).await?;
            }
            Next::Succeed => return succeed(cx, saga).await,
            Next::EndUnwound => return end_unwound(cx, saga).await,
            Next::Rest => return Ok(()),
        }
        state = current_state(cx).await?;
    }
}

fn row_at(saga: &Saga, index: u32) -> Option<&'static Row> {
    usize::try_from(index).ok().and_then(|i| saga.steps.get(i))
}

async fn current_state(cx: &Cx) -> Result<OperationState, Halt> {
    cx.store().check_fence(&cx.fence).await?;
    let op = cx.store().operation(cx.op.id).await?;
    let op = op.ok_or(Halt::LeaseLost)?;
    if op.cancel_requested {
        // Seen here at once; the heartbeat sees it only at its next beat.
        cx.reins.cancel.cancel();
    }
    Ok(op.state)
}

/// Chooses and commits the intent, then runs the step.
async fn begin(cx: &Cx, index: u32, row: &'static Row) -> Result<(), Halt> {
    cx.enter(index, row.name);
    cx.cuts.begin(row.cancellable);
    cx.crash_point("before_intent");
    for _ in 0..INTENT_ATTEMPTS {
        let intent = match cx.until_cut(row.action.intend(cx)).await {
            Ok(intent) => intent,
            Err(e) => return did_not_work(cx, None, e).await,
        };
        // Let go of when the commit is known.
        let _chosen = intent.chosen;
        let mut effects = intent.effects;
        effects.percent = Some(row.percent);
        if !row.log.is_empty() {
            let mut line = cx.line(LogLevel::Info, row.log);
            line.percent = Some(row.percent);
            effects.log.insert(0, line);
        }
        let begun = cx
            .store()
            .begin_step(&cx.fence, index, row.name, intent.value, effects, cx.now())
            .await;
        match begun {
            Ok(()) => {
                cx.crash_point("after_intent");
                cx.reload().await?;
                return run(cx, index, row).await;
            }
            Err(StoreError::Exists { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    did_not_work(cx, None, StepError::Transient(crowded())).await
}

/// Whatever number was chosen, somebody else's operation had reserved it by the time it was to be committed.
pub(crate) fn crowded() -> Failure {
    Failure::new(
        "vmid_taken",
        "other operations reserved every number that was chosen",
        "retry when fewer deploys are under way",
    )
}

/// Acts on a committed intent and records what was read back.
async fn run(cx: &Cx, index: u32, row: &'static Row) -> Result<(), Halt> {
    cx.enter(index, row.name);
    cx.cuts.begin(row.cancellable);
    let intent = cx.row().map_or(Value::Null, |r| r.intent);
    let acting = within(cx, false, rehearsal::act(cx, row, &intent));
    let done: StepResult<Done> = cx.until_cut(acting).await;
    match done {
        Ok(done) => {
            cx.crash_point("after_effect");
            cx.store()
                .finish_step(&cx.fence, index, done.output, done.effects, cx.now())
                .await?;
            cx.crash_point("after_record");
            Ok(())
        }
        Err(e) => did_not_work(cx, Some(index), e).await,
    }
}

/// Undoes one step.
async fn undo(cx: &Cx, index: u32, row: &'static Row) -> Result<(), Halt> {
    cx.enter(index, row.name);
    cx.crash_point("before_undo");
    cx.store().begin_undo(&cx.fence, index, cx.now()).await?;
    cx.crash_point("after_undo_intent");
    cx.reload().await?;
    let Some(record) = cx.row() else {
        return Ok(());
    };
    cx.cuts.begin(false);
    let undoing = within(cx, true, rehearsal::undo(cx, row, &record));
    match cx.until_cut(undoing).await {
        Ok(effects) => {
            cx.crash_point("after_undo");
            cx.store()
                .finish_undo(&cx.fence, index, effects, cx.now())
                .await?;
            cx.crash_point("after_undo_record");
            Ok(())
        }
        Err(e) => {
            let (failure, _) = unless_again(cx, e).await?;
            let failure = left_to_a_person(cx, row, failure.at(row.name)).await?;
            Ok(cx
                .store()
                .fail_undo(&cx.fence, index, failure, cx.now())
                .await?)
        }
    }
}

/// The undo has failed for good: nothing is left meanwhile as only the undo itself needs it, or the next step says so.
async fn left_to_a_person(cx: &Cx, row: &'static Row, failure: Failure) -> Result<Failure, Halt> {
    let resting = within(cx, true, row.action.rest(cx));
    let more = match cx.until_cut(resting).await {
        Ok(more) => more,
        Err(StepError::Halt(halt)) => return Err(halt),
        Err(other) => other.into_failure().map(|why| why.message),
    };
    Ok(match more {
        None => failure,
        Some(more) => Failure {
            hint: format!("{}; {more}", failure.hint),
            ..failure
        },
    })
}

/// A person cancelled it.
async fn turn_back(cx: &Cx) -> Result<(), Halt> {
    Ok(cx
        .store()
        .begin_unwind_cancelled(&cx.fence, cx.now())
        .await?)
}

/// Whether it is certain that it did not work, or a person is needed to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Failed,
    Stuck,
}

/// The failure for good; or, where looking again may help and attempts are left, a recorded wait and [`Halt::Waits`].
async fn unless_again(cx: &Cx, error: StepError) -> Result<(Failure, Verdict), Halt> {
    let (failure, verdict, again) = match error {
        StepError::Halt(halt) => return Err(halt),
        // Only forwards, where it is seen to before.
        StepError::Cancelled => return Err(Halt::ShuttingDown),
        StepError::Failed(f) => (f, Verdict::Failed, false),
        StepError::Stuck(f) => (f, Verdict::Stuck, false),
        StepError::Transient(f) => (f, Verdict::Failed, true),
        StepError::Uncertain(f) => (f, Verdict::Stuck, true),
    };
    let mut failure = failure.at(cx.step_name());
    if is_off(Guard::NextStep) {
        failure.hint.clear();
    }
    if again {
        wait(cx, &failure).await?;
    }
    Ok((failure, verdict))
}

async fn wait(cx: &Cx, failure: &Failure) -> Result<(), Halt> {
    again::wait(&cx.engine, &cx.fence, Some(cx.step_name()), failure).await
}

/// A step, or the end, did not work: wait for the next attempt, turn back, or ask a person.
async fn did_not_work(cx: &Cx, index: Option<u32>, error: StepError) -> Result<(), Halt> {
    if matches!(error, StepError::Cancelled) {
        return turn_back(cx).await;
    }
    let (failure, verdict) = unless_again(cx, error).await?;
    let effects = Effects::default();
    match verdict {
        Verdict::Stuck => {
            cx.store()
                .stick(&cx.fence, index, failure, effects, cx.now())
                .await?;
        }
        Verdict::Failed => {
            cx.store()
                .fail_step(&cx.fence, index, failure, effects, cx.now())
                .await?;
        }
    }
    Ok(())
}

async fn succeed(cx: &Cx, saga: &Saga) -> Result<(), Halt> {
    cx.cuts.begin(false);
    match cx.until_cut(saga.ending.succeeded(cx)).await {
        Ok(effects) => Ok(cx.store().complete(&cx.fence, effects, cx.now()).await?),
        Err(e) => did_not_work(cx, None, e).await,
    }
}

async fn end_unwound(cx: &Cx, saga: &Saga) -> Result<(), Halt> {
    cx.cuts.begin(false);
    let effects = match cx.until_cut(saga.ending.unwound(cx)).await {
        Ok(effects) => effects,
        Err(e) => {
            let (failure, _) = unless_again(cx, e).await?;
            return Ok(cx
                .store()
                .stick(&cx.fence, None, failure, Effects::default(), cx.now())
                .await?);
        }
    };
    cx.store().end_unwound(&cx.fence, effects, cx.now()).await?;
    Ok(())
}
