//! The next attempt of an operation, or a person: what is known of it without having read anything.

use std::time::Duration;

use proximity_domain::failure::Failure;
use proximity_domain::time::Timestamp;
use proximity_store::effects::{Effects, NewLogLine};
use proximity_store::records::{Fence, LogLevel, Wait};

use super::bare::with_bare;
use super::deaths;
use super::step::Halt;
use crate::engine::Engine;

/// Records the wait before the next attempt and gives the claim back; returns when there are no attempts left. `step` is what
/// was at work, if anything was. A container that is without its protection meanwhile is told of.
pub(crate) async fn wait(
    engine: &Engine,
    fence: &Fence,
    step: Option<&str>,
    failure: &Failure,
) -> Result<(), Halt> {
    let op = engine.store().operation(fence.operation).await?;
    let attempt = op.ok_or(Halt::LeaseLost)?.attempt;
    let policy = engine.inner.parts.limits.retry;
    let random = engine.inner.parts.ids.nonce() % u128::from(u64::MAX);
    let Some(wait_ms) = policy.wait_ms(attempt, u64::try_from(random).unwrap_or(0)) else {
        return Ok(());
    };
    let next = attempt.saturating_add(1);
    let text = format!(
        "{}; attempt {next} of {} in {:.1} s",
        failure.message,
        policy.attempts,
        Duration::from_millis(wait_ms).as_secs_f64()
    );
    let line = NewLogLine {
        level: LogLevel::Warning,
        step: step.map(str::to_owned),
        message: text,
        percent: None,
    };
    let effects = Effects {
        log: vec![line],
        ..Effects::default()
    };
    let now = engine.now();
    let wait = Wait {
        due_at: Timestamp(now.0.saturating_add_unsigned(wait_ms)),
        because: with_bare(engine.store(), fence.operation, failure.clone()).await?,
    };
    engine.store().wait(fence, next, wait, effects, now).await?;
    Err(Halt::Waits)
}

/// A fault of the program came to light in a step, between two, or before the first one. What it was doing may have happened,
/// so the next attempt looks first, as after a crash; and it counts as one, or it would be claimed and panic again for ever.
pub(crate) async fn panicked(
    engine: &Engine,
    fence: &Fence,
    step: Option<&'static str>,
) -> Result<(), Halt> {
    deaths::rest_if_dead().await;
    let failure = Failure::new(
        "internal",
        "a fault of the program stopped the work on it",
        "retry; if it happens again, report it as a bug, with the server's log of that moment",
    );
    let failure = match step {
        Some(step) => failure.at(step),
        None => failure,
    };
    wait(engine, fence, step, &failure).await?;
    // Whatever has panicked is not called again to put anything back.
    let failure = with_bare(engine.store(), fence.operation, failure).await?;
    engine
        .store()
        .stick(fence, None, failure, Effects::default(), engine.now())
        .await?;
    Ok(())
}
