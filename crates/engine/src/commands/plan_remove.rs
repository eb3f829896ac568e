//! What a removal would do, read from PVE, changing nothing.

use proximity_domain::app::AppClass;
use proximity_domain::apply::Refusal;
use proximity_domain::guest::{ContainerRef, Ownership};
use proximity_domain::ids::AppId;
use proximity_domain::ports::PortPair;
use proximity_domain::recorded::RecordedGuest;
use proximity_pve::cluster::GuestStatus;
use proximity_store::records::AppRecord;
use serde::Serialize;

use super::act::refuse_purge;
use super::drift::recorded_now;
use crate::engine::Engine;
use crate::error::EngineError;

mod jobs;
mod ours;
mod volumes;

pub(super) use volumes::volumes as volumes_of;

/// What a removal would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovalPlan {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: String,
    /// `hard`: its container would be destroyed. `soft`: it would be left as it is.
    pub deletion_type: &'static str,
    /// Its containers as they are now.
    pub guests: Vec<PlannedGuest>,
    /// The ports that would be free.
    pub ports: Option<PortPair>,
    /// What would be done, in order.
    pub steps: Vec<String>,
}

/// One container a removal would destroy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedGuest {
    /// Node it is on by now.
    pub node: String,
    /// PVE's number.
    pub vmid: u32,
    /// Every factor of its identity was read back.
    pub identity_ok: bool,
    /// PVE protects it now.
    pub protected: bool,
    /// It runs now.
    pub running: bool,
    /// What speaks against it, or has to end before, if anything.
    pub trouble: Option<String>,
    /// Jobs of backups in PVE that name its number; `None` where they were not read.
    pub backup_jobs: Option<Vec<String>>,
}

impl PlannedGuest {
    fn unread(place: &ContainerRef) -> Self {
        Self {
            node: place.node.to_string(),
            vmid: place.vmid.get(),
            identity_ok: false,
            protected: false,
            running: false,
            trouble: None,
            backup_jobs: None,
        }
    }
}

impl Engine {
    /// Reads the app's containers and says what a removal would do; with consent to `purge`, what that would do too.
    ///
    /// # Errors
    /// Unknown app, PVE cannot be read, or `purge` of an adopted app.
    pub async fn plan_remove(&self, app: &str, purge: bool) -> Result<RemovalPlan, EngineError> {
        let app = self.find_app(app).await?;
        refuse_purge(&app, purge)?;
        if app.class == AppClass::Adopted {
            return self.plan_forget(app).await;
        }
        let cluster = self.inner.clusters.get(app.host).await?;
        let mut looked = Vec::new();
        for guest in self.store().native_guests(app.id).await? {
            looked.push(ours::look(&cluster, &guest).await?);
        }
        let mut steps: Vec<String> = looked.iter().filter_map(ours::refusal).collect();
        if steps.is_empty() {
            // As much of the jobs as can be read; what cannot is told.
            let jobs = cluster.read().backup_jobs().await.ok();
            let retry = self.inner.parts.limits.retry;
            for found in &mut looked {
                steps.extend(ours::steps(found, jobs.as_deref(), purge, retry));
            }
            steps.extend(app.ports.map(freed));
            steps.push("archive the app's record with its history".to_owned());
        }
        Ok(RemovalPlan {
            app: app.id,
            hostname: app.hostname.to_string(),
            deletion_type: "hard",
            guests: looked.into_iter().map(|found| found.planned).collect(),
            ports: app.ports,
            steps,
        })
    }
}

fn freed(ports: PortPair) -> String {
    format!("free ports {} and {}", ports.public, ports.internal)
}

impl Engine {
    /// That a removal would destroy no volume that was not shown; one that is not there any more is none.
    ///
    /// # Errors
    /// There is another one by now ([`Refusal::Outdated`]); a container that is not the recorded one, or cannot be read.
    pub(crate) async fn refuse_more_volumes(
        &self,
        app: &AppRecord,
        shown: &[String],
    ) -> Result<(), EngineError> {
        let cluster = self.inner.clusters.get(app.host).await?;
        for guest in self.store().native_guests(app.id).await? {
            let guest = RecordedGuest::Native(guest);
            let Some((place, config)) = recorded_now(&cluster, &guest).await? else {
                continue;
            };
            let now = volumes_of(&config.raw, place.vmid).destroyed;
            if !now.iter().all(|volume| shown.contains(volume)) {
                return Err(EngineError::NotApplied(Refusal::Outdated));
            }
        }
        Ok(())
    }

    /// What giving an adopted app back would do. That its cluster cannot be read is no reason against it, and is told.
    async fn plan_forget(&self, app: AppRecord) -> Result<RemovalPlan, EngineError> {
        let mut guests = Vec::new();
        let mut steps = Vec::new();
        for guest in self.store().recorded_guests(app.id).await? {
            let planned = self.look_at_kept(&guest).await;
            steps.push(format!(
                "leave container {} on {} as it is, with its disks and its configuration",
                planned.vmid, planned.node
            ));
            guests.push(planned);
        }
        steps.extend(app.ports.map(freed));
        steps.push(
            "archive the app's record with its history and what was read at its adoption"
                .to_owned(),
        );
        Ok(RemovalPlan {
            app: app.id,
            hostname: app.hostname.to_string(),
            deletion_type: "soft",
            guests,
            ports: app.ports,
            steps,
        })
    }

    async fn look_at_kept(&self, guest: &RecordedGuest) -> PlannedGuest {
        let place = guest.place();
        let mut planned = PlannedGuest::unread(place);
        let Ok(cluster) = self.inner.clusters.get(place.host).await else {
            planned.trouble = Some("its host entry cannot be used".to_owned());
            return planned;
        };
        let read = cluster.read();
        let (config, status) = tokio::join!(
            read.lxc_config(&place.node, place.vmid),
            read.lxc_status(&place.node, place.vmid),
        );
        match (config, status) {
            (Ok(config), Ok(status)) => {
                let seen = crate::cluster::observed(place.clone(), &config, status.ha_managed);
                planned.protected = seen.protection;
                planned.running = status.status == GuestStatus::Running;
                match guest.compare(&seen) {
                    Ownership::Owned | Ownership::OwnedUnconfirmed { .. } => {
                        planned.identity_ok = true;
                    }
                    Ownership::BeingCreated => {}
                    Ownership::Conflict(c) => planned.trouble = Some(c.to_string()),
                }
            }
            (Err(e), _) | (_, Err(e)) => {
                planned.trouble = Some(format!("it cannot be read now: {e}"));
            }
        }
        planned
    }
}
