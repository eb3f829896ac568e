//! Health, looked at no more often than every two seconds: the path is public and each look asks PVE.

use proximity_domain::time::{Clock, Monotonic};
use proximity_engine::commands::HealthView;
use proximity_engine::engine::Engine;
use tokio::sync::Mutex;

/// How long a look stays good, milliseconds.
const FRESH_MS: u64 = 2_000;

/// The last look. Callers at the same time share one.
#[derive(Debug, Default)]
pub(crate) struct HealthCache(Mutex<Option<(Monotonic, HealthView)>>);

impl HealthCache {
    pub(crate) async fn look(&self, engine: &Engine, clock: &dyn Clock) -> HealthView {
        let mut last = self.0.lock().await;
        if let Some((at, view)) = last.as_ref()
            && clock.monotonic().since_ms(*at) < FRESH_MS
        {
            return view.clone();
        }
        let view = engine.health().await;
        *last = Some((clock.monotonic(), view.clone()));
        view
    }
}
