//! The thin executor: asks the domain what is next, carries it out, commits, asks again.

use std::sync::atomic::Ordering;

use proximity_domain::failure::Failure;
use proximity_domain::operation::OperationState;
use proximity_domain::saga::{Next, next};
use proximity_store::effects::Effects;
use proximity_store::error::StoreError;
use proximity_store::records::LogLevel;
use serde_json::Value;

use super::context::Cx;
use super::step::{Done, Halt, Row, Saga, StepError, StepResult};

/// How often an intent is chosen anew because another operation took the same VMID in the meantime.
const INTENT_ATTEMPTS: u32 = 8;

/// Walks the operation until it ends, is stuck, or must be let go.
///
/// Flow: read state and log → decide → carry out one step or undo → commit → again.
/// Guarantees: the intent is committed before the effect; after a crash the same decision comes out of the same log.
/// Errors: [`Halt`] when nothing more may be written by this worker.
pub(crate) async fn drive(cx: &Cx, saga: &Saga) -> Result<(), Halt> {
    let mut state = cx.op.state.clone();
    loop {
        if cx.let_go.is_cancelled() {
            return Err(if cx.lease_lost.load(Ordering::Relaxed) {
                Halt::LeaseLost
            } else {
                Halt::ShuttingDown
            });
        }
        cx.reload().await?;
        let steps = cx.steps();
        let count = u32::try_from(saga.steps.len()).unwrap_or(u32::MAX);
        match next(&state, count, &steps, cx.fence.epoch) {
            Next::Begin(index) => {
                let Some(row) = row_at(saga, index) else {
                    return Ok(());
                };
                if row.cancellable && cx.cancel_requested.load(Ordering::Relaxed) {
                    cx.store()
                        .begin_unwind_cancelled(&cx.fence, cx.now())
                        .await?;
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
        cx.cancel_requested.store(true, Ordering::Relaxed);
    }
    Ok(op.state)
}

/// Chooses and commits the intent, then runs the step.
async fn begin(cx: &Cx, index: u32, row: &'static Row) -> Result<(), Halt> {
    cx.enter(index, row.name);
    cx.crash_point("before_intent");
    for attempt in 1..=INTENT_ATTEMPTS {
        let intent = match attempted(cx, || row.action.intend(cx)).await {
            Ok(intent) => intent,
            Err(e) => return give_up(cx, None, e).await,
        };
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
            Err(StoreError::Exists { .. }) if attempt < INTENT_ATTEMPTS => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Acts on a committed intent and records what was read back.
async fn run(cx: &Cx, index: u32, row: &'static Row) -> Result<(), Halt> {
    cx.enter(index, row.name);
    let intent = cx.row().map_or(Value::Null, |r| r.intent);
    let done: StepResult<Done> = attempted(cx, || row.action.act(cx, &intent)).await;
    match done {
        Ok(done) => {
            cx.crash_point("after_effect");
            cx.store()
                .finish_step(&cx.fence, index, done.output, done.effects, cx.now())
                .await?;
            cx.crash_point("after_record");
            Ok(())
        }
        Err(e) => give_up(cx, Some(index), e).await,
    }
}

/// Undoes one step.
async fn undo(cx: &Cx, index: u32, row: &'static Row) -> Result<(), Halt> {
    cx.enter(index, row.name);
    cx.store().begin_undo(&cx.fence, index, cx.now()).await?;
    cx.reload().await?;
    let Some(record) = cx.row() else {
        return Ok(());
    };
    match attempted(cx, || row.action.undo(cx, &record)).await {
        Ok(effects) => Ok(cx
            .store()
            .finish_undo(&cx.fence, index, effects, cx.now())
            .await?),
        Err(StepError::Halt(halt)) => Err(halt),
        Err(
            StepError::Failed(f)
            | StepError::Transient(f)
            | StepError::Uncertain(f)
            | StepError::Stuck(f),
        ) => Ok(cx
            .store()
            .fail_undo(&cx.fence, index, f.at(row.name), cx.now())
            .await?),
    }
}

/// Tries again where looking again may help, a bounded number of times.
async fn attempted<T, F, Fut>(cx: &Cx, mut work: F) -> StepResult<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = StepResult<T>>,
{
    let mut attempt = 1;
    loop {
        let result = cx.unless_halted(work()).await;
        match result {
            Err(StepError::Transient(f) | StepError::Uncertain(f))
                if attempt < cx.limits().attempts =>
            {
                cx.say(LogLevel::Warning, format!("{}; looking again", f.message))
                    .await?;
                cx.pause_ms(500 << (attempt - 1).min(6)).await?;
                attempt += 1;
                cx.reload().await.map_err(StepError::Halt)?;
            }
            other => return other,
        }
    }
}

async fn give_up(cx: &Cx, index: Option<u32>, error: StepError) -> Result<(), Halt> {
    let (failure, stuck) = match error {
        StepError::Halt(halt) => return Err(halt),
        StepError::Failed(f) | StepError::Transient(f) => (f, false),
        StepError::Uncertain(f) | StepError::Stuck(f) => (f, true),
    };
    let failure: Failure = failure.at(cx.step_name());
    let effects = Effects::default();
    if stuck {
        cx.store()
            .stick(&cx.fence, index, failure, effects, cx.now())
            .await?;
    } else {
        cx.store()
            .fail_step(&cx.fence, index, failure, effects, cx.now())
            .await?;
    }
    Ok(())
}

async fn succeed(cx: &Cx, saga: &Saga) -> Result<(), Halt> {
    match attempted(cx, || saga.ending.succeeded(cx)).await {
        Ok(effects) => Ok(cx.store().complete(&cx.fence, effects, cx.now()).await?),
        Err(e) => give_up(cx, None, e).await,
    }
}

async fn end_unwound(cx: &Cx, saga: &Saga) -> Result<(), Halt> {
    let effects = match attempted(cx, || saga.ending.unwound(cx)).await {
        Ok(effects) => effects,
        Err(StepError::Halt(halt)) => return Err(halt),
        Err(
            StepError::Failed(f)
            | StepError::Transient(f)
            | StepError::Uncertain(f)
            | StepError::Stuck(f),
        ) => {
            return Ok(cx
                .store()
                .stick(&cx.fence, None, f, Effects::default(), cx.now())
                .await?);
        }
    };
    cx.store().end_unwound(&cx.fence, effects, cx.now()).await?;
    Ok(())
}
