//! What has to be done now and then, whether or not anybody asks for anything.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;

/// How often: what is kept for a day is kept for an hour more at most.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Keeps house, at once and then every hour, until `shutdown`.
pub async fn run(engine: Engine, shutdown: CancellationToken) {
    loop {
        if let Err(e) = tend(&engine).await {
            tracing::warn!(error = %e, code = e.code(), "what has expired could not be cleared away");
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(EVERY) => {}
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
