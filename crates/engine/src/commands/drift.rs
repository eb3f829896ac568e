//! `GET /api/apps/{app}/drift`: an app's record, what is wanted of it and its container, held against each other; and an adopted
//! container's configuration now, against the day of its adoption.

use std::sync::Arc;

use proximity_domain::adoption::AdoptionRecord;
use proximity_domain::app::AppClass;
use proximity_domain::drift::{Drift, drift};
use proximity_domain::guest::{ContainerRef, Ownership};
use proximity_domain::ids::AppId;
use proximity_domain::manifest::Policy;
use proximity_domain::merge::Merged;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::Timestamp;
use proximity_pve::lxc::LxcConfig;
use proximity_store::records::AppRecord;

use super::create_app::upstream;
use crate::cluster::{Cluster, observed};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::reconcile::{actual, power_of, sides_of};

/// What differs.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftView {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: String,
    /// Against the day of its adoption, key by key; empty if nothing differs, and for an app that was not adopted.
    pub changes: Vec<Drift>,
    /// The same of keys that somebody else may change, by what documents say.
    pub ignored: Vec<Drift>,
    /// What differs between what was applied last, what is wanted and what is there; also what somebody else may change.
    pub fields: Vec<Merged>,
    /// The newest revision of what documents want of it, and what its policy is; `None` = they want nothing of it.
    pub wanted: Option<(u64, Policy)>,
    /// Since when it is told that its container is not as documents want it; `None` = that is not told.
    pub told_since: Option<Timestamp>,
    /// Since when its drift is told; `None` = it is not guarded.
    pub guarded_since: Option<Timestamp>,
}

/// An adopted app with its record and its container's configuration as it is now: read, and recognised.
pub(super) struct AdoptedNow {
    pub(super) app: AppRecord,
    pub(super) record: AdoptionRecord,
    pub(super) cluster: Arc<Cluster>,
    pub(super) place: ContainerRef,
    pub(super) config: LxcConfig,
}

impl Engine {
    /// Reads the container's configuration, and compares it with the record of the app and what is wanted of it; that of an adopted one
    /// with its adoption record too. Nothing is changed.
    ///
    /// # Errors
    /// Unknown app; a container that is not there, is another one, or cannot be read.
    pub async fn drift(&self, app: &str) -> Result<DriftView, EngineError> {
        Ok(self.drift_locked(app).await?.0)
    }

    /// The same, and whether Proxmox VE holds the container locked: a backup or another work on it is under way.
    pub(crate) async fn drift_locked(&self, app: &str) -> Result<(DriftView, bool), EngineError> {
        let found = self.find_app(app).await?;
        let (app, place, config, changes) = match found.class {
            AppClass::Adopted => {
                let now = self.adopted_now(app).await?;
                let changes = drift(&now.record.proxmox_config_snapshot, &now.config.raw);
                (now.app, now.place, now.config, changes)
            }
            AppClass::Native => {
                let (place, config) = self.native_now(&found).await?;
                (found, place, config, Vec::new())
            }
        };
        let store = self.store();
        let wanted = store.desired(&app.hostname).await?;
        let wanted = wanted.filter(|wanted| wanted.app == Some(app.id));
        let spec = wanted.as_ref().and_then(|wanted| wanted.spec.as_ref());
        let (changes, ignored) = match spec {
            Some(spec) => spec.ignored().part(changes),
            None => (changes, Vec::new()),
        };
        let actual = actual(&config, &place.node, power_of(&app));
        let told = store.desired_drifts().await?.into_iter();
        let told = told.filter(|told| told.app == app.id);
        let view = DriftView {
            guarded_since: store.guarded_since(app.id).await?,
            fields: sides_of(store, &app, spec, &actual).await?,
            wanted: wanted
                .as_ref()
                .and_then(|wanted| Some((wanted.revision, wanted.spec.as_ref()?.policy()))),
            told_since: told.map(|told| told.since).next(),
            app: app.id,
            hostname: app.hostname.to_string(),
            changes,
            ignored,
        };
        Ok((view, config.lock.is_some()))
    }

    /// Reads the container of an app that we made, where it is.
    async fn native_now(&self, app: &AppRecord) -> Result<(ContainerRef, LxcConfig), EngineError> {
        let missing = || EngineError::NotFound {
            what: "container of",
            name: app.hostname.to_string(),
        };
        let guests = self.store().recorded_guests(app.id).await?;
        // Of several the newest is the app's.
        let guest = guests.last().ok_or_else(missing)?;
        let cluster = self.inner.clusters.get(app.host).await?;
        recorded_now(&cluster, guest).await?.ok_or_else(missing)
    }

    /// Reads the container of an adopted app, where it is.
    pub(super) async fn adopted_now(&self, app: &str) -> Result<AdoptedNow, EngineError> {
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
        let (place, config) = recorded_now(&cluster, guest)
            .await?
            .ok_or_else(|| missing("container of"))?;
        Ok(AdoptedNow {
            app,
            record,
            cluster,
            place,
            config,
        })
    }
}

/// The configuration of a recorded container, and where it was read; `None` if there is nothing under its number.
///
/// # Errors
/// Another container has the number; or it cannot be read.
pub(super) async fn recorded_now(
    cluster: &Cluster,
    guest: &RecordedGuest,
) -> Result<Option<(ContainerRef, LxcConfig)>, EngineError> {
    let Some((place, config)) = configuration(cluster, guest).await? else {
        return Ok(None);
    };
    match guest.compare(&observed(place.clone(), &config, false)) {
        Ownership::Conflict(conflict) => Err(EngineError::Upstream {
            code: "identity_conflict",
            message: conflict.to_string(),
            hint: "compare the container with the app's record and decide by hand".to_owned(),
        }),
        Ownership::Owned | Ownership::OwnedUnconfirmed { .. } | Ownership::BeingCreated => {
            Ok(Some((place, config)))
        }
    }
}

/// The configuration under the guest's number, and where it was read; `None` if there is none.
async fn configuration(
    cluster: &Cluster,
    guest: &RecordedGuest,
) -> Result<Option<(ContainerRef, LxcConfig)>, EngineError> {
    let failed = |e| upstream(cluster.label(), &e);
    let place = guest.place().clone();
    let read = cluster.read().lxc_config(&place.node, place.vmid).await;
    match read {
        Ok(config) => Ok(Some((place, config))),
        // It may have moved: what is there now is read where it is.
        Err(e) if e.is_missing_config() => {
            let seen = crate::whereabouts::now(cluster, guest).await;
            let Some(seen) = seen.map_err(failed)? else {
                return Ok(None);
            };
            let (node, vmid) = (&seen.place.node, place.vmid);
            let config = cluster.read().lxc_config(node, vmid).await;
            Ok(Some((seen.place.clone(), config.map_err(failed)?)))
        }
        Err(e) => Err(failed(e)),
    }
}
