//! Guests that complete looks miss: suspected, proven, archived; or stopped by the mass brake.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use proximity_domain::event::EventKind;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, GuestId};
use proximity_domain::names::{HostLabel, NodeName};
use proximity_domain::observe::{Brake, Cause, HOUR_MS, Orphan, Sighting, Suspicion, Tally, limit};
use proximity_domain::time::Timestamp;
use proximity_store::effects::NewEvent;
use proximity_store::observation::{
    BrakeChange, BrakeRecord, KeptSuspicion, SuspicionChange, WatchedGuest,
};
use proximity_store::orphans::OrphanFound;
use proximity_store::records::{Actor, LogLevel};
use proximity_store::removals::BrakeBasis;
use serde_json::{Value, json};

use super::outcome::{ANOMALOUS_LINE, EXPECTED_LINE, OrphanView, ReconcileReport};
use super::suspect::{First, Missed, tell};
use super::watch::Watch;
use super::{AT_ONCE, Pass, Reconciler, Seen, named, system};
use crate::error::EngineError;
use crate::saga::{Guard, is_off, may_have_destroyed};

/// So many are named at most where many are told of at once.
const NAMED: usize = 100;

/// What complete looks miss now, by app.
#[derive(Debug, Default)]
pub(super) struct Missing {
    apps: BTreeMap<AppId, BTreeMap<GuestId, Suspicion>>,
    /// How many guests are recorded on a node that is no member of its cluster, by host label and node.
    outside: BTreeMap<(String, NodeName), u64>,
}

impl Missing {
    fn count(&self) -> u64 {
        u64::try_from(self.apps.len()).unwrap_or(u64::MAX)
    }

    /// A guest of which nothing is said is recorded here: one more, if it is not listed and its node is no member.
    fn note_outside(&mut self, cluster: &Seen, place: &ContainerRef) {
        let ContainerRef { node, vmid, .. } = place;
        let inventory = &cluster.inventory;
        if inventory.is_online(node).is_none() && inventory.find(*vmid).is_none() {
            let label = cluster.site.host.label.to_string();
            *self.outside.entry((label, node.clone())).or_default() += 1;
        }
    }

    /// What is told of the guests on nodes that are no members, one sentence per node.
    fn hidden(&self) -> impl Iterator<Item = String> {
        self.outside.iter().map(|((label, node), count)| {
            format!(
                "{count} container(s) are recorded on the node {node}, which is not in the cluster of {label}: whether they are \
                 there is unknown, as no member has their configurations; join the node again, restore them from backups under their \
                 numbers, or, if they are lost with it: proximity hosts forget-node {label} {node} --containers-lost"
            )
        })
    }
}

/// An app of which every guest has been missing for long enough.
struct Candidate<'a> {
    app: AppId,
    guests: Vec<(&'a Seen, &'a WatchedGuest, Suspicion)>,
}

impl Reconciler {
    /// Counts suspicions by what was seen; what did not change is not written.
    pub(super) async fn count(
        &self,
        seen: &[Seen],
        watch: &mut Watch,
        pass: &Pass,
        now: Timestamp,
        live: u64,
    ) -> Result<Missing, EngineError> {
        let mut suspected = watch.suspected.clone();
        let known = watch.suspicions(&self.store).await?;
        let mut missing = Missing::default();
        let (mut changes, mut first, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut watched = BTreeSet::new();
        for cluster in seen {
            for guest in cluster.guests.iter() {
                let kept = known.get(&guest.watched.guest).copied();
                let before = kept.map(|kept| kept.suspicion);
                if before.is_some() {
                    watched.insert(guest.watched.guest);
                }
                let sight = cluster.inventory.sight(&guest.watched.place);
                if sight == Sighting::Unknown {
                    missing.note_outside(cluster, &guest.watched.place);
                }
                let label = &cluster.site.host.label;
                let after = judge(sight, cluster, guest, before);
                let over = suspected.look(sight, label, guest, kept);
                changes.extend(change(guest, before, after, over));
                if let Some(after) = after.filter(|_| is_unseen(sight)) {
                    let missed = Missed::of(label, guest, &after);
                    match kept {
                        None => first.push(First {
                            missed,
                            suspicion: after,
                        }),
                        Some(kept) if kept.among_many => others.push(missed),
                        Some(_) => {}
                    }
                    let of_app = missing.apps.entry(guest.watched.app).or_default();
                    of_app.insert(guest.watched.guest, after);
                }
            }
        }
        self.strays(known, &watched, &mut missing, &mut changes)
            .await?;
        let are_too_many = missing.count() > limit(live);
        let telling = tell(&first, &others, &suspected, are_too_many);
        changes.extend(telling.changes);
        if *pass != Pass::Dry {
            self.store.change_suspicions(&changes, now).await?;
            suspected.told(&telling.told);
            watch.suspected = suspected;
        }
        Ok(missing)
    }

    /// Suspicions of guests that were not looked at: of a cluster that was not seen they stay and count, unless the newest look there
    /// said nothing of the guest; of guests that are on record no more they end.
    async fn strays(
        &self,
        known: &BTreeMap<GuestId, KeptSuspicion>,
        watched: &BTreeSet<GuestId>,
        missing: &mut Missing,
        changes: &mut Vec<SuspicionChange>,
    ) -> Result<(), EngineError> {
        if known.len() == watched.len() {
            return Ok(());
        }
        let mut on_record = BTreeMap::new();
        for host in self.store.hosts().await? {
            for guest in self.store.watched_guests(host.id).await? {
                on_record.insert(guest.watched.guest, guest.watched.app);
            }
        }
        for (guest, kept) in known.iter().filter(|(guest, _)| !watched.contains(guest)) {
            match on_record.get(guest) {
                Some(_) if kept.suspicion.is_interrupted() => {}
                Some(app) => {
                    let of_app = missing.apps.entry(*app).or_default();
                    of_app.insert(*guest, kept.suspicion);
                }
                None => changes.push(SuspicionChange::Ended {
                    guest: *guest,
                    event: None,
                }),
            }
        }
        Ok(())
    }

    /// Archives what is proven absent, unless the mass brake stops.
    pub(super) async fn settle(
        &self,
        seen: &[Seen],
        missing: Missing,
        pass: &Pass,
        now: Timestamp,
        report: &mut ReconcileReport,
    ) -> Result<(), EngineError> {
        report.suspected = missing.count();
        report.result.errors.extend(missing.hidden());
        let candidates = candidates(seen, &missing);
        let ripe = u64::try_from(candidates.len()).unwrap_or(u64::MAX);
        let record = self.store.mass_brake().await?;
        let brake = self.brake(record, report.suspected).await?;
        if !self
            .may_go_on(brake, record, ripe, pass, now, report)
            .await?
        {
            return Ok(());
        }
        // Made before anything is awaited: a closure held over an await would bind the lifetimes of a spawned task.
        let actor = match (pass, brake) {
            (Pass::Confirmed { actor, .. }, Brake::Stops { .. }) => actor.clone(),
            (Pass::Work | Pass::Dry | Pass::Confirmed { .. }, _) => system(),
        };
        let mut work = Vec::new();
        for candidate in &candidates {
            work.push(self.prove_and_archive(candidate, pass, &actor, now));
        }
        let done: Vec<_> = stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
        let mut failed = None;
        for orphan in done {
            match orphan {
                Ok(Judged::Orphan(view, kind)) => report.count(view, kind),
                Ok(Judged::Left) => {}
                Ok(Judged::NotProven(why)) => report.result.errors.push(why),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        // Whatever became of some of them: what a person confirmed is accounted for.
        if let (Pass::Confirmed { missing, actor }, Brake::Stops { .. }) = (pass, brake) {
            let since = record.stopped.map(|(since, _)| since);
            self.released((*missing, since), actor, now, report).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// What a person confirmed is over once it is done: only then it is told, and counts no more. The confirmation is audited,
    /// whatever was done of it, and each record that was archived bears the person in an entry of its own.
    async fn released(
        &self,
        (confirmed, since): (u64, Option<Timestamp>),
        actor: &Actor,
        now: Timestamp,
        report: &mut ReconcileReport,
    ) -> Result<(), EngineError> {
        let archived = u64::try_from(report.result.orphans_purged).unwrap_or(u64::MAX);
        let done = report.orphans.iter().filter(|orphan| orphan.archived);
        let apps: Vec<&str> = done.map(|o| o.hostname.as_str()).take(NAMED).collect();
        let details = json!({"confirmed": confirmed, "archived": archived, "apps": apps});
        let actor = actor.clone();
        if archived != confirmed {
            report.result.errors.push(format!(
                "mass brake: {archived} of the {confirmed} that were confirmed could be archived; look at what the others say, \
                 then confirm those that are left"
            ));
            let in_part = BrakeChange::ReleasedInPart { details, actor };
            return Ok(self.store.change_brake(&in_part, now).await?);
        }
        let event = NewEvent {
            kind: EventKind::MassBrakeReleased,
            body: json!({"confirmed": confirmed, "archived": archived, "since": since}),
        };
        let released = BrakeChange::Released {
            event,
            details,
            actor,
        };
        Ok(self.store.change_brake(&released, now).await?)
    }

    /// What the mass brake says to so many more records that a person would end at once.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn brake_on(&self, more: u64) -> Result<Brake, EngineError> {
        let record = self.store.mass_brake().await?;
        self.brake(record, more).await
    }

    /// What the mass brake is judged by now, but for what applies end; `None` where the brake is off.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn brake_basis(&self) -> Result<Option<BrakeBasis>, EngineError> {
        if is_off(Guard::Brake) {
            return Ok(None);
        }
        let record = self.store.mass_brake().await?;
        Ok(Some(self.basis(record).await?))
    }

    async fn brake(&self, record: BrakeRecord, missing: u64) -> Result<Brake, EngineError> {
        if missing == 0 || is_off(Guard::Brake) {
            return Ok(Brake::Free);
        }
        let BrakeBasis { live, done, from } = self.basis(record).await?;
        let done = done.saturating_add(self.store.removals_after(from).await?);
        Ok(Brake::judge(Tally { live, done }, missing))
    }

    async fn basis(&self, record: BrakeRecord) -> Result<BrakeBasis, EngineError> {
        // A clock that was set forward must not forget what was archived a moment ago.
        let now = self.steady();
        let hour_ago = Timestamp(now.0.saturating_sub(HOUR_MS));
        let from = record.baseline_at.map_or(hour_ago, |at| at.max(hour_ago));
        Ok(BrakeBasis {
            live: self.store.live_apps().await?,
            done: self.store.orphans_archived_after(from).await?,
            from,
        })
    }

    /// False if the brake stops. It is told of once, when it begins to.
    async fn may_go_on(
        &self,
        brake: Brake,
        record: BrakeRecord,
        ripe: u64,
        pass: &Pass,
        now: Timestamp,
        report: &mut ReconcileReport,
    ) -> Result<bool, EngineError> {
        let Brake::Stops {
            missing,
            done,
            limit,
        } = brake
        else {
            if let Some((since, missing)) = record.stopped
                && *pass != Pass::Dry
            {
                let event = NewEvent {
                    kind: EventKind::MassBrakeEnded,
                    body: json!({"missing": missing, "since": since}),
                };
                let ends = BrakeChange::Ends { event };
                self.store.change_brake(&ends, now).await?;
            }
            return Ok(true);
        };
        let confirmed = match pass {
            Pass::Confirmed { missing, .. } => Some(*missing),
            Pass::Work | Pass::Dry => None,
        };
        // A person confirms what is proven to be missing: of what is only suspected, or not seen now, nobody can know.
        let proven = Brake::Stops {
            missing: ripe,
            done,
            limit,
        };
        if ripe > 0 && confirmed.is_some_and(|n| proven.is_released_by(n)) {
            return Ok(true);
        }
        if let Some(n) = confirmed {
            report.result.errors.push(format!(
                "mass brake: {n} were confirmed, {ripe} have been missing for long enough"
            ));
        }
        report.stopped(brake, ripe);
        let has_doubled = |(_, told): (Timestamp, u64)| missing >= told.saturating_mul(2);
        if record.stopped.is_none_or(has_doubled) && *pass != Pass::Dry {
            tracing::error!(
                missing,
                done,
                limit,
                "MASS BRAKE: too many containers are missing at once, nothing is archived until a person confirms the number"
            );
            let since = record.stopped.map_or(now, |(since, _)| since);
            let event = NewEvent {
                kind: EventKind::MassBrakeStopped,
                body: json!({"missing": missing, "done": done, "limit": limit, "since": since}),
            };
            let stops = BrakeChange::Stops { missing, event };
            self.store.change_brake(&stops, now).await?;
        }
        Ok(false)
    }

    async fn prove_and_archive(
        &self,
        candidate: &Candidate<'_>,
        pass: &Pass,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Judged, EngineError> {
        let Some(_at_work) = self.at_work.try_enter(candidate.app) else {
            return Ok(Judged::Left);
        };
        let (mut guests, mut evidence) = (Vec::new(), BTreeSet::new());
        for (cluster, guest, suspicion) in &candidate.guests {
            if is_off(Guard::Proof) || is_off(Guard::Offline) {
                guests.push(guest.watched.guest);
                continue;
            }
            match self.prove(cluster, guest, suspicion).await {
                Ok(proof) => {
                    guests.push(proof.guest());
                    evidence.insert(proof.evidence());
                }
                Err(why) => {
                    let place = named(cluster.site.host.label.as_str(), &guest.watched.place);
                    let name = &guest.hostname;
                    return Ok(Judged::NotProven(format!(
                        "{name} ({place}) is missing from the list, but that it does not exist is not proven: {why}; the next look asks \
                         again, and proximity doctor shows which node is in trouble"
                    )));
                }
            }
        }
        let Some((cluster, guest, suspicion)) = candidate.guests.first() else {
            return Ok(Judged::Left);
        };
        let kind = Orphan::of(guest.status, self.cause(candidate).await?);
        let mut view = OrphanView {
            app: candidate.app,
            hostname: guest.hostname.to_string(),
            host: cluster.site.host.label.to_string(),
            vmid: guest.watched.place.vmid,
            kind: kind.label(),
            status: guest.status.label(),
            archived: false,
        };
        if *pass != Pass::Dry {
            let mut found = found(guests, cluster, guest, suspicion, kind, actor.clone());
            found.event.body["evidence"] = json!(Vec::from_iter(evidence).join("; "));
            view.archived = self.store.archive_orphan(&found, now).await?;
            if !view.archived {
                return Ok(Judged::Left);
            }
            announce(kind, &view);
        }
        Ok(Judged::Orphan(view, kind))
    }

    /// Whether its own stuck operation explains that all its guests are gone. Asked while nobody is at work on it.
    async fn cause(&self, candidate: &Candidate<'_>) -> Result<Cause, EngineError> {
        for (_, guest, _) in &candidate.guests {
            let Some((operation, _)) = guest.operation else {
                return Ok(Cause::Unexplained);
            };
            let vmid = guest.watched.place.vmid;
            if !may_have_destroyed(&self.store, operation, vmid).await? {
                return Ok(Cause::Unexplained);
            }
        }
        Ok(Cause::OurDestroy)
    }
}

/// What became of a candidate.
enum Judged {
    Orphan(OrphanView, Orphan),
    /// Somebody is at work on it, or it has changed: the next pass looks again.
    Left,
    NotProven(String),
}

/// Whether a look with this sight of a guest is one without it.
fn is_unseen(sight: Sighting<'_>) -> bool {
    match sight {
        Sighting::Missing => true,
        Sighting::Unknown => is_off(Guard::Offline),
        Sighting::Here(_) | Sighting::Elsewhere(..) | Sighting::Machine(_) => false,
    }
}

/// The suspicion of one guest after this look, if there is one. Where the look says nothing of it, what was told stays so, and is
/// not counted.
fn judge(
    sight: Sighting<'_>,
    cluster: &Seen,
    guest: &WatchedGuest,
    before: Option<Suspicion>,
) -> Option<Suspicion> {
    if guest.is_worked_on() || !guest.watched.confirmed {
        return None;
    }
    if !is_unseen(sight) {
        let before = before.filter(|_| sight == Sighting::Unknown)?;
        return Some(before.interrupted().unwrap_or(before));
    }
    Some(match before {
        None => Suspicion::begun(cluster.ended),
        Some(before) => before
            .counted(cluster.began, cluster.ended)
            .unwrap_or(before),
    })
}

/// The change from `before` to `after`, if any, and what is told where it is `over`; the first suspicions are told apart.
fn change(
    guest: &WatchedGuest,
    before: Option<Suspicion>,
    after: Option<Suspicion>,
    over: Option<NewEvent>,
) -> Option<SuspicionChange> {
    let app = guest.watched.app;
    let guest = guest.watched.guest;
    match (before, after) {
        (None, _) if over.is_none() => None,
        (None, _) | (Some(_), None) => Some(SuspicionChange::Ended {
            guest,
            event: over.map(|event| (app, event)),
        }),
        (Some(before), Some(after)) if before == after => None,
        (Some(_), Some(suspicion)) => Some(SuspicionChange::Counted { guest, suspicion }),
    }
}

/// What is told of a guest that is missing.
pub(super) fn told(label: &HostLabel, guest: &WatchedGuest) -> Value {
    json!({
        "app": guest.watched.app,
        "hostname": guest.hostname,
        "host": label,
        "vmid": guest.watched.place.vmid,
        "status": guest.status.label(),
    })
}

/// A guest of an app that misses one, with its suspicion, if it is missing itself.
type Looked<'a> = (&'a Seen, &'a WatchedGuest, Option<Suspicion>);

/// Apps of which every guest was looked at, is missing, and has been so for long enough.
fn candidates<'a>(seen: &'a [Seen], missing: &Missing) -> Vec<Candidate<'a>> {
    let mut all: BTreeMap<AppId, Vec<Looked<'_>>> = BTreeMap::new();
    if missing.apps.is_empty() {
        return Vec::new();
    }
    for cluster in seen {
        for guest in cluster.guests.iter() {
            if let Some(of_app) = missing.apps.get(&guest.watched.app) {
                let suspicion = of_app.get(&guest.watched.guest).copied();
                let entry = all.entry(guest.watched.app).or_default();
                entry.push((cluster, guest, suspicion));
            }
        }
    }
    let ripe = all.into_iter().filter_map(|(app, guests)| {
        let guests = guests.into_iter().map(|(cluster, guest, suspicion)| {
            let suspicion = suspicion.filter(Suspicion::is_ripe)?;
            Some((cluster, guest, suspicion))
        });
        let guests: Option<Vec<_>> = guests.collect();
        Some(Candidate {
            app,
            guests: guests?,
        })
    });
    ripe.collect()
}

fn found(
    mut guests: Vec<GuestId>,
    cluster: &Seen,
    guest: &WatchedGuest,
    suspicion: &Suspicion,
    kind: Orphan,
    actor: Actor,
) -> OrphanFound {
    guests.sort_unstable();
    let (event, level, line) = match kind {
        Orphan::Expected => (
            EventKind::ExpectedOrphanArchived,
            LogLevel::Info,
            EXPECTED_LINE,
        ),
        Orphan::Anomalous => (
            EventKind::AnomalousOrphanDetected,
            LogLevel::Error,
            ANOMALOUS_LINE,
        ),
    };
    let mut body = told(&cluster.site.host.label, guest);
    body["missing_since"] = json!(suspicion.since);
    OrphanFound {
        app: guest.watched.app,
        status: guest.status,
        guests,
        operation: guest.operation.map(|(id, _)| id),
        event: NewEvent { kind: event, body },
        level,
        line: line.to_owned(),
        actor,
    }
}

fn announce(kind: Orphan, view: &OrphanView) {
    let OrphanView {
        hostname,
        host,
        vmid,
        status,
        ..
    } = view;
    match kind {
        Orphan::Expected => tracing::info!(app = hostname, host, %vmid, status, "{EXPECTED_LINE}"),
        Orphan::Anomalous => {
            tracing::error!(severity = "critical", app = hostname, host, %vmid, status, "{ANOMALOUS_LINE}");
        }
    }
}
