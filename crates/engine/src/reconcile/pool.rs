//! The pool holds what was made by us, and nothing that was adopted: the operate token has its rights there, so that of a container
//! that comes into it one fence less keeps a destroy away (ADR 0003).
//!
//! The list of each look names the pool of each guest. That an adopted container is in ours is told once, and its end once, also
//! over a restart. It is told of what was read and recognised in this process; a container that was not is told of after the sweep
//! has come to it.

use proximity_domain::event::EventKind;
use proximity_domain::names::PoolName;
use proximity_domain::observe::Sighting;
use proximity_domain::time::Timestamp;
use proximity_store::alarms::{Alarm, AlarmKey, AlarmKind};
use proximity_store::effects::NewEvent;
use proximity_store::observation::WatchedGuest;
use serde_json::{Value, json};

use super::watch::Watch;
use super::{Pass, Reconciler, Seen, named};
use crate::error::EngineError;

/// Where an adopted container is, by one look.
enum Standing<'a> {
    /// In our pool, or in this one below it.
    Inside(&'a PoolName),
    Outside,
    /// The look does not say.
    Untold,
}

impl Reconciler {
    /// Tells of adopted containers that are in our pool, and of those that no longer are. A dry pass tells nobody.
    pub(super) async fn watch_pools(
        &self,
        seen: &[Seen],
        watch: &mut Watch,
        pass: &Pass,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let mut adopted = Vec::new();
        for cluster in seen {
            let guests = cluster.guests.iter().filter(|guest| guest.adopted);
            adopted.extend(guests.map(|guest| (cluster, guest)));
        }
        if adopted.is_empty() || *pass == Pass::Dry {
            return Ok(());
        }
        let alarms = watch.alarms(&self.store).await?;
        for (cluster, guest) in adopted {
            let told = alarms.get(&key(guest));
            match (standing(cluster, guest), told) {
                (Standing::Inside(pool), None) if self.is_recognised(guest) => {
                    self.enters(cluster, guest, pool, now).await?;
                }
                (Standing::Outside, Some(alarm)) => {
                    self.leaves(cluster, guest, alarm, now).await?;
                }
                (Standing::Inside(_), _) | (Standing::Outside, None) | (Standing::Untold, _) => {}
            }
        }
        Ok(())
    }

    /// What has its number was read as the adopted one, and was in its place in every look since.
    fn is_recognised(&self, guest: &WatchedGuest) -> bool {
        self.verified.shown(guest.watched.guest).is_some()
    }

    async fn enters(
        &self,
        cluster: &Seen,
        guest: &WatchedGuest,
        pool: &PoolName,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let place = &guest.watched.place;
        let name = named(cluster.site.host.label.as_str(), place);
        let why = format!(
            "{name} was adopted as {} and is in pool {pool}, where the operate token may destroy it",
            guest.hostname
        );
        let next = format!("pveum pool modify {pool} --vms {} --delete 1", place.vmid);
        let mut body = told(cluster, guest, now);
        body["pool"] = json!(pool);
        body["why"] = json!(why);
        body["next"] = json!(next);
        let event = NewEvent {
            kind: EventKind::AdoptedEnteredPool,
            body,
        };
        let alarm = Alarm {
            key: key(guest),
            why: why.clone(),
            since: now,
        };
        let app = guest.watched.app;
        if self.store.raise_alarm(&alarm, app, &event).await? {
            tracing::warn!(app = %guest.hostname, "ADOPTED CONTAINER IN OUR POOL: {why}; take it out: {next}");
        }
        Ok(())
    }

    async fn leaves(
        &self,
        cluster: &Seen,
        guest: &WatchedGuest,
        alarm: &Alarm,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let event = NewEvent {
            kind: EventKind::AdoptedLeftPool,
            body: told(cluster, guest, alarm.since),
        };
        let over = Some((guest.watched.app, &event));
        if self.store.end_alarm(&alarm.key, over, now).await? {
            tracing::info!(app = %guest.hostname, "the adopted container is no longer in our pool");
        }
        Ok(())
    }
}

fn key(guest: &WatchedGuest) -> AlarmKey {
    let place = &guest.watched.place;
    AlarmKey {
        guest: guest.watched.guest,
        kind: AlarmKind::Pool,
        host: place.host,
        vmid: place.vmid,
    }
}

/// Membership is the number's: what is not listed, or is on a node that is off, is not said to have left.
fn standing<'a>(cluster: &'a Seen, guest: &WatchedGuest) -> Standing<'a> {
    let place = &guest.watched.place;
    let inventory = &cluster.inventory;
    match inventory.sight(place) {
        Sighting::Machine(_) | Sighting::Unknown | Sighting::Missing => return Standing::Untold,
        Sighting::Here(_) | Sighting::Elsewhere(..) => {}
    }
    let ours = cluster.site.host.pool.as_ref();
    let reached = |pool: &&PoolName| ours.is_some_and(|ours| ours.reaches(pool));
    match inventory.pool(place.vmid).filter(reached) {
        Some(pool) => Standing::Inside(pool),
        None => Standing::Outside,
    }
}

fn told(cluster: &Seen, guest: &WatchedGuest, since: Timestamp) -> Value {
    json!({
        "app": guest.watched.app,
        "hostname": guest.hostname,
        "host": cluster.site.host.label,
        "vmid": guest.watched.place.vmid,
        "since": since,
    })
}
