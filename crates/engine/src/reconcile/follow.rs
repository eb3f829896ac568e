//! Following what changed: containers on another node, and the power of settled apps. Where the list's word counts by itself
//! ([`super::settled`]), and no task made the container anew since it was identified, the power is taken from it, for all in one
//! commit ([`super::lent`]); else the list only hints, and what is recorded is read from the container itself, or from the list after the container's
//! identity. A node that does not answer holds nobody up ([`super::patience`]).

use std::collections::HashSet;

use futures::stream::{FuturesUnordered, StreamExt};
use proximity_domain::app::StatusLabel;
use proximity_domain::event::EventKind;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{ListedPower, Sighting};
use proximity_domain::time::Timestamp;
use proximity_pve::cluster::GuestStatus;
use proximity_store::StoreError;
use proximity_store::effects::NewEvent;
use proximity_store::observation::WatchedGuest;
use proximity_store::power::{ReadPower, SeenPower};
use serde_json::json;

use super::alarm::in_conflict;
use super::faces::Faces;
use super::identify::Identified;
use super::lent::Lent;
use super::outcome::ReconcileReport;
use super::patience::patiently;
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
    Power(Listed),
    /// A virtual machine has its number.
    Machine,
}

/// A guest of a cluster that was seen, whose power the list tells by itself.
pub(super) type ListedOf<'s> = (&'s Seen, &'s WatchedGuest, Listed);

/// Another power in the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    from: ReadPower,
    to: ReadPower,
    /// It is not of before somebody here was at work on the app.
    is_new: bool,
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
        let (mut listed, mut changed) = (Vec::new(), Vec::new());
        for cluster in seen {
            // An operation of its app follows by itself; one that is stuck keeps everybody from it, and only a look is left.
            for guest in cluster.guests.iter().filter(|g| g.operation.is_none()) {
                match change(cluster, guest, watch) {
                    Some(Change::Power(power)) if self.counts(guest, power, watch) => {
                        listed.push((cluster, guest, power));
                    }
                    Some(change) => changed.push((cluster, guest, change)),
                    None => {}
                }
            }
        }
        if *pass != Pass::Dry {
            let Lent { sure, doubted } = self.lent(listed).await;
            for (cluster, guest, power) in doubted {
                changed.push((cluster, guest, Change::Power(power)));
            }
            report.refreshed += self.follow_listed(&sure, now).await?;
        }
        if changed.is_empty() {
            return Ok(());
        }
        let alarms = watch.alarms(&self.store).await?;
        let dry = *pass == Pass::Dry;
        for (cluster, guest, followed) in self.follow_each(&changed, dry, now).await {
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

    /// One after the other is begun, a few at a time: what all of them would take at once, after an outage, is many times what is known
    /// of them.
    async fn follow_each<'s>(
        &self,
        changed: &[(&'s Seen, &'s WatchedGuest, Change<'s>)],
        dry: bool,
        now: Timestamp,
    ) -> Vec<(&'s Seen, &'s WatchedGuest, Result<Followed, EngineError>)> {
        let mut under_way = FuturesUnordered::new();
        let mut done = Vec::new();
        for (cluster, guest, change) in changed {
            under_way.push(async move {
                let followed = self.follow_one(cluster, guest, change, dry, now).await;
                (*cluster, *guest, followed)
            });
            if under_way.len() >= AT_ONCE {
                done.extend(under_way.next().await);
            }
        }
        while let Some(one) = under_way.next().await {
            done.push(one);
        }
        done
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
            Change::Power(_) => &place.node,
        };
        if self.hung.is_left(place.host, node, self.moment()) {
            return Ok(Followed::Failed(silent(&name, node)));
        }
        let Some(mut at_work) = self.at_work.try_enter(guest.watched.app) else {
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
        let asked = self.moment();
        let config = match patiently(read.lxc_config(node, place.vmid)).await {
            Some(Ok(config)) => config,
            // Gone or moved on since it was listed: the next look tells.
            Some(Err(e)) if e.is_missing_config() => return Ok(Followed::Left),
            Some(Err(e)) => return Ok(Followed::Failed(format!("{name}: {e}"))),
            None => return Ok(self.hangs(cluster, node, &name)),
        };
        let seen = observed(there, &config, false);
        let (site, nodes) = (&cluster.site, cluster.inventory.nodes());
        let identified = self.identify(site, nodes, guest, &recorded, &seen, dry);
        match identified.await? {
            Identified::Same => self.verified.note(guest.watched.guest, now, asked),
            Identified::Left => return Ok(Followed::Left),
            Identified::Conflict(conflict) => {
                self.verified.lose([guest.watched.guest], self.moment());
                return Ok(Followed::Conflict(in_conflict(&name, guest, &conflict)));
            }
        }
        if dry {
            return Ok(Followed::Same);
        }
        match change {
            Change::Node(node) => self.record_move(guest, node, now).await,
            Change::Power(_) if is_off(Guard::Refresh) => Ok(Followed::Left),
            // Unless an operation of its app came and went since the list was read.
            Change::Power(listed) if listed.is_new && !self.at_work.was_left(guest.watched.app) => {
                at_work.only_noted();
                self.record_power(guest, listed.from, listed.to, now).await
            }
            Change::Power(_) | Change::Machine => {
                match patiently(read.lxc_status(node, place.vmid)).await {
                    Some(Ok(status)) => {
                        match (recorded_power(guest.status), read_power(status.status)) {
                            (Some(from), Some(to)) => self.record_power(guest, from, to, now).await,
                            (None, _) | (_, None) => Ok(Followed::Same),
                        }
                    }
                    Some(Err(e)) => Ok(Followed::Failed(format!("{name}: {e}"))),
                    None => Ok(self.hangs(cluster, node, &name)),
                }
            }
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
        from: ReadPower,
        to: ReadPower,
        now: Timestamp,
    ) -> Result<Followed, EngineError> {
        if from == to {
            return Ok(Followed::Same);
        }
        let app = guest.watched.app;
        let followed = [SeenPower { app, from, to }];
        if self.store.follow_powers(&followed, now).await?.is_empty() {
            return Ok(Followed::Left);
        }
        tell(guest, to);
        Ok(Followed::Refreshed)
    }

    /// The node is left alone for a while.
    fn hangs(&self, cluster: &Seen, node: &NodeName, name: &str) -> Followed {
        let host = cluster.site.host.id;
        self.hung.note(host, node, self.moment());
        Followed::Failed(silent(name, node))
    }

    /// What was verified of guests that this look does not show in their places, or with another face, says nothing any more: the
    /// list's word on their power counts only after a read of their identity, which the sweep does next.
    pub(super) fn lose(&self, cluster: &Seen, faces: &mut Faces) {
        let inventory = &cluster.inventory;
        let (mut lost, mut missed) = (Vec::new(), Vec::new());
        for guest in cluster.guests.iter() {
            let (id, place) = (guest.watched.guest, &guest.watched.place);
            match inventory.sight(place) {
                Sighting::Here(_) => {}
                sighting => {
                    lost.push(id);
                    missed.extend((sighting == Sighting::Missing).then_some(id));
                    continue;
                }
            }
            // Adopted ones people put into pools as they like, and of ours that is told.
            let pool = inventory.pool(place.vmid).filter(|_| !guest.adopted);
            let face = inventory.face(place.vmid);
            let is_limited_anew = faces.has_other_limits(id, face);
            let is_same = faces.note(id, face, pool);
            if !is_same {
                lost.push(id);
            }
            if (!is_same || is_limited_anew) && !guest.is_worked_on() {
                self.doubtful.add(guest);
            }
        }
        self.verified.lose(lost, cluster.answered);
        self.verified.miss(missed, cluster.answered);
    }

    /// Whether the list's word on this guest's power counts by itself.
    fn counts(&self, guest: &WatchedGuest, power: Listed, watch: &Watch) -> bool {
        let shown = self.verified.shown(guest.watched.guest);
        let place = &guest.watched.place;
        let is_known = watch.settled.reaches(place.host, shown);
        let is_left = || self.hung.is_left(place.host, &place.node, self.moment());
        power.is_new && is_known && !is_left() && !is_off(Guard::Refresh)
    }

    /// Takes the power that a list tells of settled apps, in one commit. The sweep is to read them next: somebody was at work
    /// on them. Gives how many changed.
    async fn follow_listed(
        &self,
        listed: &[ListedOf<'_>],
        now: Timestamp,
    ) -> Result<usize, EngineError> {
        let mut at_work = Vec::new();
        let mut seen = Vec::new();
        for (_, guest, power) in listed {
            let (app, Listed { from, to, .. }) = (guest.watched.app, *power);
            if let Some(noting) = self.at_work.try_note(app) {
                at_work.push(noting);
                seen.push(SeenPower { app, from, to });
            }
        }
        let followed: HashSet<_> = self
            .store
            .follow_powers(&seen, now)
            .await?
            .into_iter()
            .collect();
        for (_, guest, power) in listed {
            if followed.contains(&guest.watched.app) {
                tell(guest, power.to);
                self.doubtful.add(guest);
            }
        }
        Ok(followed.len())
    }
}

/// What is told of a change on a node that does not answer.
fn silent(name: &str, node: &NodeName) -> String {
    format!("{name}: node {node} does not answer; what changed there is followed when it does")
}

fn tell(guest: &WatchedGuest, to: ReadPower) {
    let to = to.status().label().label();
    tracing::info!(app = %guest.hostname, to, "the app's status follows its container");
}

/// What the look hints at for a guest nobody is at work on.
fn change<'a>(cluster: &'a Seen, guest: &WatchedGuest, watch: &Watch) -> Option<Change<'a>> {
    match cluster.inventory.sight(&guest.watched.place) {
        Sighting::Unknown | Sighting::Missing => None,
        Sighting::Machine(_) => Some(Change::Machine),
        Sighting::Elsewhere(node, _) => Some(Change::Node(node)),
        Sighting::Here(listed) => {
            let from = recorded_power(guest.status)?;
            let to = match listed {
                ListedPower::Running => ReadPower::Running,
                ListedPower::Stopped => ReadPower::Stopped,
                ListedPower::Unknown => return None,
            };
            (from != to).then(|| {
                let is_new = watch.settled.is_quiet(guest.watched.app, cluster.asked);
                Change::Power(Listed { from, to, is_new })
            })
        }
    }
}

fn read_power(read: GuestStatus) -> Option<ReadPower> {
    match read {
        GuestStatus::Running => Some(ReadPower::Running),
        GuestStatus::Stopped => Some(ReadPower::Stopped),
        GuestStatus::Unknown => None,
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
