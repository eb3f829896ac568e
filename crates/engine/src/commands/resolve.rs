//! Resolving an app in *error*: its container is identified, then its power is accepted as the app's status.

use proximity_domain::app::StatusLabel;
use proximity_domain::guest::{ContainerRef, Ownership};
use proximity_pve::cluster::GuestStatus;
use proximity_store::StoreError;
use proximity_store::power::ReadPower;
use proximity_store::records::{Actor, AppRecord};

use crate::cluster::observed;
use crate::commands::upstream;
use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Accepts the power state of an app in *error* as its status, after its container was identified. Nothing is sent that
    /// changes anything; audited.
    ///
    /// # Errors
    /// The app is not in *error*, an operation is at work or stuck, or what is there is not its container, cannot be read, or
    /// says nothing of its power.
    pub async fn resolve(&self, actor: &Actor, app: &str) -> Result<AppRecord, EngineError> {
        let app = self.find_app(app).await?;
        if let Some(operation) = app.operation {
            return Err(StoreError::Busy {
                app: app.id,
                operation,
            }
            .into());
        }
        if app.status.label() != StatusLabel::Error {
            return Err(EngineError::NotInState {
                app: app.hostname.to_string(),
                status: app.status.label().label().to_owned(),
                action: "resolve".to_owned(),
            });
        }
        let power = self.read_power(&app).await?;
        let resolved = self
            .store()
            .resolve_app(app.id, power, actor, self.now())
            .await?;
        Ok(resolved)
    }

    /// The power of an app's container, read after its identity.
    async fn read_power(&self, app: &AppRecord) -> Result<ReadPower, EngineError> {
        let guests = self.store().recorded_guests(app.id).await?;
        let Some(guest) = guests.into_iter().next() else {
            return Err(unresolved(format!("{} has no container", app.hostname)));
        };
        let cluster = self.inner.clusters.get(app.host).await?;
        let asked = |e| upstream(cluster.label(), &e);
        let place: &ContainerRef = guest.place();
        let (node, vmid) = (&place.node, place.vmid);
        let config = cluster.read().lxc_config(node, vmid).await.map_err(asked)?;
        match guest.compare(&observed(place.clone(), &config, false)) {
            Ownership::Owned => {}
            Ownership::OwnedUnconfirmed { .. } | Ownership::BeingCreated => {
                let what = format!("container {vmid} of {} was never finished", app.hostname);
                return Err(unresolved(what));
            }
            Ownership::Conflict(conflict) => return Err(unresolved(conflict.to_string())),
        }
        let status = cluster.read().lxc_status(node, vmid).await.map_err(asked)?;
        match status.status {
            GuestStatus::Running => Ok(ReadPower::Running),
            GuestStatus::Stopped => Ok(ReadPower::Stopped),
            GuestStatus::Unknown => {
                let what = format!("PVE does not say whether container {vmid} runs");
                Err(unresolved(what))
            }
        }
    }
}

fn unresolved(message: String) -> EngineError {
    EngineError::Upstream {
        code: "state_changed",
        message,
        hint: "look at the container in PVE; remove the app if it is not needed any more"
            .to_owned(),
    }
}
