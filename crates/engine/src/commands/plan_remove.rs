//! What a removal would do, read from PVE, changing nothing.

use proximity_domain::app::AppClass;
use proximity_domain::guest::Ownership;
use proximity_domain::ids::AppId;
use proximity_domain::ports::PortPair;
use proximity_domain::recorded::RecordedGuest;
use proximity_pve::cluster::GuestStatus;
use proximity_store::records::AppRecord;
use serde::Serialize;

use self::volumes::{Volumes, volumes};
use super::create_app::upstream;
use crate::engine::Engine;
use crate::error::EngineError;

mod volumes;

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
    /// Node.
    pub node: String,
    /// PVE's number.
    pub vmid: u32,
    /// Every factor of its identity was read back.
    pub identity_ok: bool,
    /// PVE protects it now.
    pub protected: bool,
    /// It runs now.
    pub running: bool,
    /// What speaks against it, if anything.
    pub trouble: Option<String>,
}

impl Engine {
    /// Reads the app's containers and says what a removal would do.
    ///
    /// # Errors
    /// Unknown app, or PVE cannot be read.
    pub async fn plan_remove(&self, app: &str) -> Result<RemovalPlan, EngineError> {
        let app = self.find_app(app).await?;
        if app.class == AppClass::Adopted {
            return self.plan_forget(app).await;
        }
        let cluster = self.inner.clusters.get(app.host).await?;
        let mut guests = Vec::new();
        let mut steps = Vec::new();
        for guest in self.store().native_guests(app.id).await? {
            let place = &guest.place;
            let mut planned = PlannedGuest {
                node: place.node.to_string(),
                vmid: place.vmid.get(),
                identity_ok: false,
                protected: false,
                running: false,
                trouble: None,
            };
            let mut mounted = Volumes::default();
            match cluster.read().lxc_config(&place.node, place.vmid).await {
                Ok(config) => {
                    mounted = volumes(&config.raw, place.vmid);
                    let seen = crate::cluster::observed(place.clone(), &config, false);
                    planned.protected = seen.protection;
                    match guest.owns(&seen) {
                        Ownership::Owned | Ownership::OwnedUnconfirmed { .. } => {
                            planned.identity_ok = true;
                        }
                        Ownership::BeingCreated => {
                            planned.trouble = Some("PVE is still creating it".to_owned());
                        }
                        Ownership::Conflict(c) => planned.trouble = Some(c.to_string()),
                    }
                    let status = cluster
                        .read()
                        .lxc_status(&place.node, place.vmid)
                        .await
                        .map_err(|e| upstream(cluster.label(), &e))?;
                    planned.running = status.status != GuestStatus::Stopped;
                    if status.ha_managed {
                        planned.trouble = Some("it is managed by PVE's HA".to_owned());
                    }
                }
                Err(e) if e.is_missing_config() => {
                    planned.trouble = Some("it is not there any more".to_owned());
                }
                Err(e) => return Err(upstream(cluster.label(), &e)),
            }
            push_steps(&mut steps, &planned, &mounted);
            guests.push(planned);
        }
        if let Some(ports) = app.ports {
            steps.push(format!(
                "free ports {} and {}",
                ports.public, ports.internal
            ));
        }
        steps.push("archive the app's record with its history".to_owned());
        Ok(RemovalPlan {
            app: app.id,
            hostname: app.hostname.to_string(),
            deletion_type: "hard",
            guests,
            ports: app.ports,
            steps,
        })
    }
}

impl Engine {
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
        if let Some(ports) = app.ports {
            let (public, internal) = (ports.public, ports.internal);
            steps.push(format!("free ports {public} and {internal}"));
        }
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
        let mut planned = PlannedGuest {
            node: place.node.to_string(),
            vmid: place.vmid.get(),
            identity_ok: false,
            protected: false,
            running: false,
            trouble: None,
        };
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

fn push_steps(steps: &mut Vec<String>, guest: &PlannedGuest, mounted: &Volumes) {
    let at = format!("container {} on {}", guest.vmid, guest.node);
    if !guest.identity_ok {
        steps.push(format!("leave {at} alone"));
        return;
    }
    if guest.running {
        steps.push(format!("shut down {at}"));
    }
    if guest.protected {
        steps.push(format!("lift the protection of {at}"));
    }
    steps.push(format!(
        "destroy {at} with its snapshots, its firewall rules and the rights on it"
    ));
    let destroyed = mounted.destroyed.iter();
    steps.extend(destroyed.map(|volume| format!("destroy its volume {volume}")));
    let kept = mounted.kept.iter();
    steps.extend(kept.map(|mount| format!("keep what is mounted in it: {mount}")));
    steps.push("keep its backups, and jobs of backups that name its number".to_owned());
}
