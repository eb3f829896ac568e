//! The guard: what differs between a guarded app's container and the day of its adoption is told once, and told as over when it
//! is gone; but for what documents let others change. It reads nothing by itself: the slow sweep shows it each configuration that it has read and
//! recognised.

use proximity_domain::drift::drift;
use proximity_domain::event::EventKind;
use proximity_pve::lxc::LxcConfig;
use proximity_store::effects::NewEvent;
use proximity_store::guards::GuardedApp;
use proximity_store::observation::WatchedGuest;
use serde_json::json;

use super::{Reconciler, Site};
use crate::error::EngineError;

impl Reconciler {
    /// Tells of the drift of a guarded app, if another one was told last.
    pub(super) async fn tell_drift(
        &self,
        site: &Site,
        guest: &WatchedGuest,
        guarded: &GuardedApp,
        config: &LxcConfig,
    ) -> Result<(), EngineError> {
        let app = guest.watched.app;
        let Some(record) = self.store.adoption(app).await? else {
            return Ok(());
        };
        let mut differing = drift(&record.proxmox_config_snapshot, &config.raw);
        // What nobody is told of anyway need not be looked up.
        if !differing.is_empty()
            && let Some(wanted) = self.wanted_now(guest).await?
            && let Some(spec) = &wanted.spec
        {
            (differing, _) = spec.ignored().part(differing);
        }
        let keys: Vec<String> = differing.into_iter().map(|drift| drift.key).collect();
        // Also a commit that writes nothing wakes everybody who waits for commits.
        if guarded.was_told(&keys) {
            return Ok(());
        }
        let now = self.clock.now();
        let began = guarded.told.as_ref().map_or(now, |told| told.at);
        let mut body = json!({
            "app": app,
            "hostname": guest.hostname,
            "host": site.host.label,
            "vmid": guest.watched.place.vmid,
        });
        let kind = if keys.is_empty() {
            body["since"] = json!(began);
            EventKind::DriftEnded
        } else {
            body["since"] = json!(now);
            body["keys"] = json!(keys);
            EventKind::DriftDetected
        };
        let event = NewEvent { kind, body };
        if self.store.tell_drift(app, &keys, &event, now).await? {
            match keys.is_empty() {
                true => {
                    tracing::info!(app = %guest.hostname, "the container is configured as on the day of its adoption again")
                }
                false => {
                    tracing::warn!(app = %guest.hostname, keys = %keys.join(", "), "DRIFT: the container is configured otherwise than on the day of its adoption")
                }
            }
        }
        Ok(())
    }
}
