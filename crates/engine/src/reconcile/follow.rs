//! Following what changed: containers on another node, and the power of settled apps. The list only hints; what is recorded
//! was read from the container itself, after its identity.

use futures::stream::{self, StreamExt};
use proximity_domain::app::StatusLabel;
use proximity_domain::event::EventKind;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{ListedPower, Sighting};
use proximity_domain::time::Timestamp;
use proximity_pve::cluster::GuestStatus;
use proximity_store::StoreError;
use proximity_store::effects::NewEvent;
use proximity_store::observation::WatchedGuest;
use proximity_store::power::ReadPower;
use serde_json::json;

use super::alarm::in_conflict;
use super::identify::Identified;
use super::outcome::ReconcileReport;
use super::watch::Watch;
use super::{AT_ONCE, Pass, Reconciler, Seen, named};
use crate::cluster::observed;
use crate::error::EngineError;
use crate::saga::{Guard, is_off};

/// Why a guest is looked at itself.
enum Change<'a> {
    /// It is listed on another node.
    Node(&'a NodeName),
    /// The list says another power than the record.
    Power,
    /// A virtual machine has its number.
    Machine,
}

/// What came of it.
enum Followed {
    Moved,
    Refreshed,
    /// It is the recorded one, and nothing is to be followed.
    Same,
    /// Somebody is at work on it, or nothing can be said of it now.
    Left,
    Conflict(String),
    Failed(String),
}

impl Reconciler {
    /// Follows what the looks hint at. A dry pass only tells of conflicts.
    pub(super) async fn follow(
        &self,
        seen: &[Seen],
        watch: &mut Watch,
        pass: &Pass,
        now: Timestamp,
        report: &mut ReconcileReport,
    ) -> Result<(), EngineError> {
        let mut changed = Vec::new();
        for cluster in seen {
            // An operation of its app follows by itself; one that is stuck keeps everybody from it, and only a look is left.
            for guest in cluster.guests.iter().filter(|g| g.operation.is_none()) {
                if let Some(change) = change(cluster, guest) {
                    changed.push((cluster, guest, change));
                }
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let alarms = watch.alarms(&self.store).await?;
        let dry = *pass == Pass::Dry;
        let mut looks = Vec::new();
        for (cluster, guest, change) in &changed {
            looks.push(async {
                let followed = self.follow_one(cluster, guest, change, dry, now).await;
                (*cluster, *guest, followed)
            });
        }
        let done: Vec<_> = stream::iter(looks)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (cluster, guest, followed) in done {
            match followed? {
                Followed::Left => {}
                Followed::Failed(why) => report.result.errors.push(why),
                Followed::Conflict(why) => {
                    if !dry {
                        self.raise_conflict(&cluster.site, guest, &why, &alarms, now)
                            .await?;
                    }
                    report.result.errors.push(why);
                }
                identified @ (Followed::Moved | Followed::Refreshed | Followed::Same) => {
                    report.moved += usize::from(matches!(identified, Followed::Moved));
                    report.refreshed += usize::from(matches!(identified, Followed::Refreshed));
                    if !dry {
                        self.end_conflict(&cluster.site, guest, &alarms, now)
                            .await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn follow_one(
        &self,
        cluster: &Seen,
        guest: &WatchedGuest,
        change: &Change<'_>,
        dry: bool,
        now: Timestamp,
    ) -> Result<Followed, EngineError> {
        let place = &guest.watched.place;
        let name = named(cluster.site.host.label.as_str(), place);
        let node = match change {
            Change::Machine => {
                return Ok(Followed::Conflict(format!(
                    "{name} of {} is a virtual machine by now",
                    guest.hostname
                )));
            }
            Change::Node(node) => *node,
            Change::Power => &place.node,
        };
        let Some(_at_work) = self.at_work.try_enter(guest.watched.app) else {
            return Ok(Followed::Left);
        };
        let recorded = self.store.recorded_guests(guest.watched.app).await?;
        let recorded = recorded.into_iter().find(|g| g.id() == guest.watched.guest);
        let Some(recorded) = recorded else {
            return Ok(Followed::Left);
        };
        let read = &cluster.site.read;
        let mut there = place.clone();
        there.node = node.clone();
        let config = match read.lxc_config(node, place.vmid).await {
            Ok(config) => config,
            // Gone or moved on since it was listed: the next look tells.
            Err(e) if e.is_missing_config() => return Ok(Followed::Left),
            Err(e) => return Ok(Followed::Failed(format!("{name}: {e}"))),
        };
        let seen = observed(there, &config, false);
        let (site, nodes) = (&cluster.site, cluster.inventory.nodes());
        let identified = self.identify(site, nodes, guest, &recorded, &seen, dry);
        match identified.await? {
            Identified::Same => {}
            Identified::Left => return Ok(Followed::Left),
            Identified::Conflict(conflict) => {
                return Ok(Followed::Conflict(in_conflict(&name, guest, &conflict)));
            }
        }
        if dry {
            return Ok(Followed::Same);
        }
        match change {
            Change::Node(node) => self.record_move(guest, node, now).await,
            Change::Power if is_off(Guard::Refresh) => Ok(Followed::Left),
            Change::Power | Change::Machine => match read.lxc_status(node, place.vmid).await {
                Ok(status) => self.record_power(guest, status.status, now).await,
                Err(e) => Ok(Followed::Failed(format!("{name}: {e}"))),
            },
        }
    }

    async fn record_move(
        &self,
        guest: &WatchedGuest,
        node: &NodeName,
        now: Timestamp,
    ) -> Result<Followed, EngineError> {
        let watched = &guest.watched;
        let event = NewEvent {
            kind: EventKind::GuestMoved,
            body: json!({
                "app": watched.app,
                "host": watched.place.host,
                "vmid": watched.place.vmid,
                "from": watched.place.node,
                "to": node,
            }),
        };
        let moved = self
            .store
            .guest_moved(watched.app, watched.guest, node, event, now)
            .await;
        match moved {
            Ok(()) => {
                tracing::info!(app = %guest.hostname, %node, "the container was followed to another node");
                Ok(Followed::Moved)
            }
            Err(StoreError::Busy { .. } | StoreError::NotFound { .. }) => Ok(Followed::Left),
            Err(e) => Err(e.into()),
        }
    }

    async fn record_power(
        &self,
        guest: &WatchedGuest,
        read: GuestStatus,
        now: Timestamp,
    ) -> Result<Followed, EngineError> {
        let to = match read {
            GuestStatus::Running => ReadPower::Running,
            GuestStatus::Stopped => ReadPower::Stopped,
            GuestStatus::Unknown => return Ok(Followed::Same),
        };
        let Some(from) = recorded_power(guest.status).filter(|from| *from != to) else {
            return Ok(Followed::Same);
        };
        let app = guest.watched.app;
        let followed = self.store.follow_power(app, from, to, now).await?;
        if !followed {
            return Ok(Followed::Left);
        }
        tracing::info!(app = %guest.hostname, to = to.status().label().label(), "the app's status follows its container");
        Ok(Followed::Refreshed)
    }
}

/// What the look hints at for a guest nobody is at work on.
fn change<'a>(cluster: &'a Seen, guest: &WatchedGuest) -> Option<Change<'a>> {
    match cluster.inventory.sight(&guest.watched.place) {
        Sighting::Unknown | Sighting::Missing => None,
        Sighting::Machine(_) => Some(Change::Machine),
        Sighting::Elsewhere(node, _) => Some(Change::Node(node)),
        Sighting::Here(listed) => {
            let recorded = recorded_power(guest.status)?;
            let listed = match listed {
                ListedPower::Running => ReadPower::Running,
                ListedPower::Stopped => ReadPower::Stopped,
                ListedPower::Unknown => return None,
            };
            (listed != recorded).then_some(Change::Power)
        }
    }
}

/// The power that a settled status stands for; no loop touches any other status.
fn recorded_power(status: StatusLabel) -> Option<ReadPower> {
    match status {
        StatusLabel::Running => Some(ReadPower::Running),
        StatusLabel::Stopped => Some(ReadPower::Stopped),
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error => None,
    }
}
