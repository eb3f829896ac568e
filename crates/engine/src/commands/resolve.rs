//! Resolving an app in *error*: its container is identified, then its power is accepted as the app's status.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::guest::{ContainerRef, Ownership};
use proximity_pve::cluster::GuestStatus;
use proximity_store::StoreError;
use proximity_store::power::ReadPower;
use proximity_store::records::{Actor, AppRecord};

use crate::cluster::observed;
use crate::commands::upstream;
use crate::engine::Engine;
use crate::error::EngineError;

/// What an app is, if that is nothing to be resolved. One that failed on its way into life never proved that it serves: as
/// running it would get traffic, so it is retried or removed. What it was before it failed stays with it.
fn unresolvable(status: &Status) -> Option<String> {
    let Status::Error { was, .. } = status else {
        return Some(status.label().label().to_owned());
    };
    match was {
        StatusLabel::Deploying | StatusLabel::Adopting | StatusLabel::Cloning => {
            Some(format!("in error since it was {}", was.label()))
        }
        StatusLabel::Running
        | StatusLabel::Stopped
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error => None,
    }
}

impl Engine {
    /// Accepts the power state of an app in *error* as its status, after its container was identified. Nothing is sent that
    /// changes anything; audited.
    ///
    /// # Errors
    /// The app is not in *error*, or never came into life; an operation is at work or stuck, or what is there is not its container, cannot be read, or
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
        if let Some(status) = unresolvable(&app.status) {
            return Err(EngineError::NotInState {
                app: app.hostname.to_string(),
                status,
                action: "resolve".to_owned(),
            });
        }
        // Whoever looks at the app beside this waits, and takes no older list for newer than what is read here.
        let Some(_at_work) = self.inner.at_work.try_enter(app.id) else {
            return Err(unresolved(format!(
                "{} is being looked at by somebody else in this moment; ask again",
                app.hostname
            )));
        };
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

#[cfg(test)]
mod tests {
    use proximity_domain::failure::Failure;
    use proximity_domain::time::Timestamp;

    use super::*;

    #[test]
    fn what_never_came_into_life_is_not_resolved() {
        let error = |was| Status::Error {
            was,
            why: Failure::new("x", "x", "x"),
            since: Timestamp(1),
        };
        let accepted: Vec<&str> = StatusLabel::ALL
            .into_iter()
            .filter(|was| unresolvable(&error(*was)).is_none())
            .map(StatusLabel::label)
            .collect();
        assert_eq!(
            accepted,
            ["running", "stopped", "updating", "removing", "error"]
        );
        assert_eq!(unresolvable(&Status::Running).as_deref(), Some("running"));
    }
}
