//! What has to be done now and then, whether or not anybody asks for anything.

use std::time::Duration;

use proximity_domain::time::Anchor;
use tokio_util::sync::CancellationToken;

use crate::clearing;
use crate::engine::Engine;
use crate::error::EngineError;

/// How often, unless it is said otherwise: what is kept for a day is kept for an hour more at most.
pub(crate) const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// Keeps house, at once and then every so often, until `shutdown`. The wall clock is held to the time that passes from now on,
/// so that setting it forward makes nothing old.
pub async fn run(engine: Engine, shutdown: CancellationToken) {
    let clock = engine.inner.parts.clock.as_ref();
    let anchor = Anchor::of(clock);
    loop {
        if let Err(e) = tend(&engine).await {
            tracing::warn!(error = %e, code = e.code(), "what has expired could not be cleared away");
        }
        if let Err(e) = clearing::run(&engine, anchor.now(clock), &shutdown).await {
            tracing::warn!(error = %e, code = e.code(), "what is more than is kept could not be cleared away");
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(engine.inner.parts.limits.tidy_every) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn tend(engine: &Engine) -> Result<(), EngineError> {
    let forgotten = engine.store().forget_old_requests(engine.now()).await?;
    if forgotten > 0 {
        tracing::debug!(
            forgotten,
            "forgot the keys of requests of more than a day ago"
        );
    }
    Ok(())
}
