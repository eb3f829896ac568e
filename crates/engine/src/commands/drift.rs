//! `GET /api/apps/{app}/drift`: an adopted container's configuration now, against the day of its adoption.

use proximity_domain::drift::{Drift, drift};
use proximity_domain::guest::Ownership;
use proximity_domain::ids::AppId;

use super::create_app::upstream;
use crate::cluster::observed;
use crate::engine::Engine;
use crate::error::EngineError;

/// What differs.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftView {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: String,
    /// Key by key; empty if nothing differs.
    pub changes: Vec<Drift>,
}

impl Engine {
    /// Reads the container's configuration and compares it with the adoption record. Nothing is changed.
    ///
    /// # Errors
    /// Unknown app, one that was not adopted; a container that is not there, is another one, or cannot be read.
    pub async fn drift(&self, app: &str) -> Result<DriftView, EngineError> {
        let app = self.find_app(app).await?;
        let missing = |what| EngineError::NotFound {
            what,
            name: app.hostname.to_string(),
        };
        let record = self.store().adoption(app.id).await?;
        let record = record.ok_or_else(|| missing("adoption record of"))?;
        let guests = self.store().recorded_guests(app.id).await?;
        let guest = guests.first().ok_or_else(|| missing("container of"))?;
        let cluster = self.inner.clusters.get(app.host).await?;
        let failed = |e| upstream(cluster.label(), &e);
        let place = guest.place().clone();
        let read = cluster.read().lxc_config(&place.node, place.vmid).await;
        let (place, config) = match read {
            Ok(config) => (place, config),
            // It may have moved: what is there now is read where it is.
            Err(e) if e.is_missing_config() => {
                let seen = crate::whereabouts::now(&cluster, guest)
                    .await
                    .map_err(failed)?;
                let seen = seen.ok_or_else(|| missing("container of"))?;
                let config = cluster
                    .read()
                    .lxc_config(&seen.place.node, place.vmid)
                    .await;
                (seen.place, config.map_err(failed)?)
            }
            Err(e) => return Err(failed(e)),
        };
        if let Ownership::Conflict(conflict) = guest.compare(&observed(place, &config, false)) {
            return Err(EngineError::Upstream {
                code: "identity_conflict",
                message: conflict.to_string(),
                hint: "compare the container with the app's adoption record and decide by hand"
                    .to_owned(),
            });
        }
        Ok(DriftView {
            app: app.id,
            hostname: app.hostname.to_string(),
            changes: drift(&record.proxmox_config_snapshot, &config.raw),
        })
    }
}
