//! What is there: the record, and the containers of the clusters that a plan is about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use proximity_domain::create::Resources;
use proximity_domain::desired::DesiredSpec;
use proximity_domain::guest::{ContainerRef, Ownership};
use proximity_domain::ids::{AppId, HostId, Vmid};
use proximity_domain::manifest::WantedPower;
use proximity_domain::names::{Hostname, SecretName};
use proximity_domain::observe::Sight;
use proximity_domain::plan::{
    Figure, HostSight, MarkSeen, Observed, Obstacle, SeenBy, State, Wanted, WantedKind, size_bytes,
};
use proximity_domain::recorded::RecordedGuest;
use proximity_pve::cluster::{GuestKind, GuestStatus, ResourceRow};
use proximity_pve::lxc::LxcConfig;
use proximity_store::alarms::{Alarm, AlarmKind};
use proximity_store::records::HostRecord;

use super::alone::{self, MOST_ALONE};
use super::namesakes::{Made, mark_of};
use super::record::{self, FEW, OnRecord, Spot};
use super::{MakePlan, obstacle, want};
use crate::cluster::{Cluster, observed};
use crate::commands::adopt::{identity_of, refuse_what_is_marked};
use crate::commands::create_app::upstream;
use crate::commands::deadline::{Deadline, no_time};
use crate::commands::plan_remove::volumes_of;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::reconcile::sight;
use crate::view::{is_whole, status};

/// Configurations that are read for one plan, at most. What differs beyond is said to be unread.
const MOST_READ: usize = 256;
/// So many of them at the same time.
const AT_ONCE: usize = 6;
/// How often a list is asked for anew because another endpoint was asked first meanwhile.
const TRIES: u32 = 3;
/// How long the list of a cluster is waited for on which an app could come to be that names no host.
const BESIDE: Duration = Duration::from_secs(10);
/// What Proxmox VE gives a container whose configuration says nothing (`PVE::LXC::Config`).
const DEFAULT_MEMORY_MIB: u64 = 512;
const MIB: u64 = 1 << 20;
/// What to do about a container that is not the recorded one.
const COMPARE: &str =
    "compare the container with the record and decide by hand: proximity reidentify APP shows both";

/// What was seen, and what is on record of the containers.
pub(super) struct View {
    pub(super) state: State,
    guests: BTreeMap<(HostId, Vmid), RecordedGuest>,
    /// Of which it was told that what has their number is not the recorded one, and that has not ended.
    conflicts: BTreeMap<(HostId, Vmid), Alarm>,
    made: Made,
    /// Whoever asks sees everybody's apps, and may know of containers that no app has.
    is_everybodys: bool,
}

impl View {
    /// The record, and the lists of the clusters that the plan is about; of few documents as much of both as they mean.
    pub(super) async fn of(
        engine: &Engine,
        hosts: &[HostRecord],
        wanted: &[Wanted],
        request: &MakePlan,
        deadline: Deadline,
    ) -> Result<Self, EngineError> {
        let owner = request.owner.as_deref();
        let is_part = !request.prune && wanted.len() <= FEW;
        let OnRecord { apps, guests } = match is_part {
            true => record::meant(engine, owner, wanted).await?,
            false => record::whole(engine, owner).await?,
        };
        let alarms = engine.store().alarms().await?.into_iter();
        let conflicts = alarms.filter(|alarm| alarm.key.kind == AlarmKind::Conflict);
        let conflicts = conflicts.map(|alarm| ((alarm.key.host, alarm.key.vmid), alarm));
        let mut view = Self {
            made: Made::of(wanted, &apps),
            is_everybodys: owner.is_none(),
            state: State {
                recorded: apps,
                hosts: hosts.iter().map(unseen).collect(),
                secrets: versions(engine).await?,
                said: said(engine, wanted, is_part).await?,
                ..State::default()
            },
            guests,
            conflicts: conflicts.collect(),
        };
        let meant = view.meant(wanted, request.prune);
        let anywhere = view.made.is_anywhere();
        let needed = hosts.iter().filter_map(|host| {
            let until = match meant.contains(&host.id) {
                true => deadline,
                // Nothing else is to be done there: the plan does not wait for such a cluster as long as for one that it is about.
                false if anywhere => Deadline::within(BESIDE),
                false => return None,
            };
            let alone = match is_part {
                true => view.alone(host.id, wanted),
                false => Vec::new(),
            };
            Some((host, until, alone))
        });
        let needed: Vec<(&HostRecord, Deadline, Vec<ContainerRef>)> = needed.collect();
        let looks = needed.into_iter().map(|(host, until, alone)| async move {
            (host, list(engine, host, &alone, until).await)
        });
        for (host, rows) in join_all(looks).await {
            if let Ok(rows) = &rows
                && is_part
            {
                view.know(engine, host.id, rows).await?;
            }
            view.take_in(host.id, rows, wanted);
        }
        Ok(view)
    }

    /// The containers of a host that are all that is looked for on it, if they are few and on record; none: its list has to be read.
    fn alone(&self, host: HostId, wanted: &[Wanted]) -> Vec<ContainerRef> {
        let mut alone = BTreeMap::new();
        if self.made.is_sought_on(host) {
            return Vec::new();
        }
        for one in wanted {
            let vmid = match &one.kind {
                WantedKind::Adopted(adopted) if adopted.host == host => Some(adopted.vmid),
                WantedKind::Adopted(_) => None,
                WantedKind::App(_) => {
                    let mut recorded = self.state.recorded.iter();
                    let named = recorded.find(|known| known.name == one.name);
                    let named = named.filter(|known| known.is_own && known.host == host);
                    named.and_then(|known| known.vmid)
                }
            };
            let Some(vmid) = vmid else { continue };
            // Where another one is nobody knows.
            let Some(guest) = self.guests.get(&(host, vmid)) else {
                return Vec::new();
            };
            alone.insert(vmid, guest.place().clone());
        }
        match alone.len() <= MOST_ALONE {
            true => alone.into_values().collect(),
            false => Vec::new(),
        }
    }

    /// Which of the containers that are called like an app for which one would be made an app has that no document means.
    async fn know(
        &mut self,
        engine: &Engine,
        host: HostId,
        rows: &[ResourceRow],
    ) -> Result<(), EngineError> {
        let is_like = |row: &&ResourceRow| {
            let namesake = self.made.namesake(host, row, self.is_everybodys);
            namesake.is_some() && !self.guests.contains_key(&(host, row.vmid))
        };
        let like: BTreeSet<Spot> = rows
            .iter()
            .filter(is_like)
            .map(|row| (host, row.vmid))
            .collect();
        if !like.is_empty() {
            let found = record::at(engine, None, &like).await?;
            self.guests.extend(found.guests);
        }
        Ok(())
    }

    /// The clusters that have anything to do with it.
    fn meant(&self, wanted: &[Wanted], prune: bool) -> BTreeSet<HostId> {
        let names: BTreeSet<_> = wanted.iter().map(|one| &one.name).collect();
        let of_record = self.state.recorded.iter();
        let of_record = of_record
            .filter(|one| one.is_own && (prune || names.contains(&one.name)))
            .map(|one| one.host);
        let of_wishes = wanted.iter().filter_map(|one| match &one.kind {
            WantedKind::App(app) => app.host,
            WantedKind::Adopted(adopted) => Some(adopted.host),
        });
        of_record.chain(of_wishes).collect()
    }

    /// What a cluster lists of the containers that are recorded or wanted.
    fn take_in(
        &mut self,
        host: HostId,
        rows: Result<Vec<ResourceRow>, EngineError>,
        wanted: &[Wanted],
    ) {
        let Some(entry) = self.state.hosts.get_mut(&host) else {
            return;
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(why) => {
                entry.unread = Some(obstacle(&why));
                return;
            }
        };
        entry.unread = None;
        let adopted = wanted.iter().filter_map(|one| match &one.kind {
            WantedKind::Adopted(adopted) if adopted.host == host => Some(adopted.vmid),
            WantedKind::Adopted(_) | WantedKind::App(_) => None,
        });
        let adopted: BTreeSet<Vmid> = adopted.collect();
        for row in rows {
            let place = (host, row.vmid);
            let guest = self.guests.get(&place);
            if guest.is_some() || adopted.contains(&row.vmid) {
                let mut seen = listed(&row, guest.is_some());
                let conflict = self.conflicts.get(&place);
                let conflict = conflict.filter(|it| guest.is_some_and(|g| g.id() == it.key.guest));
                seen.obstacles.extend(conflict.map(on_record_as_other));
                self.state.containers.insert(place, seen);
            }
            if guest.is_none()
                && let Some((name, one)) = self.made.namesake(host, &row, self.is_everybodys)
            {
                self.state.namesakes.entry(name).or_default().push(one);
            }
        }
    }

    /// Reads configuration and power of these. What cannot be read is an obstacle of what is done about it.
    pub(super) async fn read(
        &mut self,
        engine: &Engine,
        doubts: &[(HostId, Vmid)],
        deadline: Deadline,
    ) {
        let (now, beyond) = doubts.split_at(doubts.len().min(MOST_READ));
        self.read_marks(engine, now, deadline).await;
        let places = now.iter().filter_map(|(host, vmid)| {
            let seen = self.state.containers.get(&(*host, *vmid))?;
            let place = ContainerRef {
                host: *host,
                node: seen.node.clone(),
                vmid: *vmid,
            };
            Some((place, self.guests.get(&(*host, *vmid)).cloned()))
        });
        let places: Vec<(ContainerRef, Option<RecordedGuest>)> = places.collect();
        let looks = places.into_iter().map(|(place, guest)| async move {
            let read = look(engine, &place, guest.as_ref(), deadline).await;
            (place, read)
        });
        let looks: Vec<_> = stream::iter(looks)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (place, read) in looks {
            let Some(seen) = self.state.containers.get_mut(&(place.host, place.vmid)) else {
                continue;
            };
            match read {
                Ok(mut read) => {
                    // The sweep knows more of a container than its configuration: its word stands until it is taken back.
                    if read.obstacles.is_empty() {
                        read.obstacles = std::mem::take(&mut seen.obstacles);
                    }
                    *seen = read;
                }
                Err(why) => seen.obstacles.push(obstacle(&why)),
            }
        }
        for place in beyond {
            if let Some(seen) = self.state.containers.get_mut(place) {
                seen.obstacles.push(too_many());
            }
            for one in self.state.namesakes.values_mut().flatten() {
                if (one.host, one.vmid) == *place {
                    one.mark = MarkSeen::Unread(too_many());
                }
            }
        }
    }

    /// Reads whose the containers are that are called like an app for which one would be made.
    async fn read_marks(&mut self, engine: &Engine, now: &[(HostId, Vmid)], deadline: Deadline) {
        let now: BTreeSet<&(HostId, Vmid)> = now.iter().collect();
        let all = self.state.namesakes.values_mut().flatten();
        let unlooked = all.filter(|one| now.contains(&(one.host, one.vmid)));
        let looks = unlooked.map(|one| async move {
            let place = ContainerRef {
                host: one.host,
                node: one.node.clone(),
                vmid: one.vmid,
            };
            one.mark = match mark_of(engine, &place, deadline).await {
                Ok(mark) => mark,
                Err(why) => MarkSeen::Unread(obstacle(&why)),
            };
        });
        let read: Vec<()> = stream::iter(looks)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        drop(read);
    }
}

/// Host entries, none of which was looked at yet.
fn unseen(host: &HostRecord) -> (HostId, HostSight) {
    let why = Obstacle::new(
        "view_incomplete",
        format!("the cluster of {} was not looked at", host.label),
        "plan again",
    );
    let sight = HostSight {
        label: host.label.clone(),
        unread: Some(why),
    };
    (host.id, sight)
}

fn too_many() -> Obstacle {
    Obstacle::new(
        "view_incomplete",
        format!("its configuration was not read: of all that differ, {MOST_READ} were"),
        "plan with fewer documents at a time",
    )
}

/// What documents wanted last of the resources of those apps of which others may change some.
async fn said(
    engine: &Engine,
    wanted: &[Wanted],
    is_part: bool,
) -> Result<BTreeMap<AppId, Resources>, EngineError> {
    let names = wanted.iter().filter_map(|one| match &one.kind {
        WantedKind::App(app) if !app.ignore.is_empty() => Some(&one.name),
        WantedKind::App(_) | WantedKind::Adopted(_) => None,
    });
    let names: BTreeSet<&Hostname> = names.collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut newest = Vec::new();
    if is_part {
        for name in names {
            newest.extend(engine.store().desired(name).await?);
        }
    } else {
        newest = engine.store().all_desired().await?;
        newest.retain(|one| names.contains(&one.name));
    }
    let said = newest
        .into_iter()
        .filter_map(|one| match (one.app, &one.spec) {
            (Some(app), Some(DesiredSpec::App(spec))) => {
                Some((app, want::resources(&engine.catalog(), spec)?))
            }
            (_, Some(DesiredSpec::App(_) | DesiredSpec::AdoptedApp(_)) | None) => None,
        });
    Ok(said.collect())
}

/// The versions of all secrets.
async fn versions(engine: &Engine) -> Result<BTreeMap<SecretName, i64>, EngineError> {
    let secrets = engine.store().secrets().await?.into_iter();
    Ok(secrets
        .map(|secret| (secret.name, secret.version))
        .collect())
}

/// The list of a cluster that was seen whole: the word of one endpoint, and of a token that may see all of it. Of it only these containers,
/// if there are any and each is where it is recorded.
async fn list(
    engine: &Engine,
    host: &HostRecord,
    alone: &[ContainerRef],
    deadline: Deadline,
) -> Result<Vec<ResourceRow>, EngineError> {
    let cluster = engine.inner.clusters.get(host.id).await?;
    let label = cluster.label();
    let asked = async {
        for tried in 0..TRIES {
            let moves = cluster.read().moves();
            // What is looked at by itself may be what had another endpoint asked: then the list says it.
            let alone: &[ContainerRef] = if tried == 0 { alone } else { &[] };
            let rows = list_once(&cluster, alone).await;
            if cluster.read().moves() == moves {
                return rows;
            }
        }
        Err(EngineError::Upstream {
            code: "view_incomplete",
            message: format!(
                "the endpoints of {label} answered by turns, so that what is there is not the word of one of them"
            ),
            hint: format!("see which one is slow: proximity doctor --host {label}"),
        })
    };
    let answer = deadline.hold(asked).await;
    answer.unwrap_or_else(|| Err(no_time(label, "what is there is not known")))
}

/// Membership, the token's rights, then the list, or the containers of it that are looked for.
async fn list_once(
    cluster: &Cluster,
    alone: &[ContainerRef],
) -> Result<Vec<ResourceRow>, EngineError> {
    let label = cluster.label();
    let failed = |e| upstream(label, &e);
    let seen = status(cluster).await.map_err(failed)?;
    is_whole(cluster.host(), &seen).map_err(|gap| EngineError::Upstream {
        code: "view_incomplete",
        message: format!("what is there cannot be told: {}", gap.text(label)),
        hint: format!("mend the cluster, then plan again: proximity doctor --host {label}"),
    })?;
    // What is not listed may be hidden, and would be told to be gone.
    match sight(cluster.read(), "/").await.map_err(failed)? {
        Sight::All => match alone::rows(cluster, alone).await {
            Some(rows) => Ok(rows),
            None => cluster.read().resources_vm().await.map_err(failed),
        },
        Sight::NotAll => Err(EngineError::Upstream {
            code: "view_incomplete",
            message: "what is there cannot be told: the token may not see all containers of the cluster (VM.Audit on /, propagated)"
                .to_owned(),
            hint: format!("give it that right; proximity doctor --host {label} shows the command"),
        }),
    }
}

/// What was told of a container that is not the recorded one.
fn on_record_as_other(alarm: &Alarm) -> Obstacle {
    Obstacle::new("identity_conflict", alarm.why.clone(), COMPARE)
}

/// A container as far as the list tells.
fn listed(row: &ResourceRow, is_known: bool) -> Observed {
    let mut obstacles = Vec::new();
    if row.kind == GuestKind::Qemu {
        obstacles.push(match is_known {
            true => Obstacle::new(
                "identity_conflict",
                format!("a virtual machine has its number {} by now", row.vmid),
                "compare it with the record and decide by hand",
            ),
            false => Obstacle::new(
                "not_adoptable",
                format!("{} is a virtual machine", row.vmid),
                "name a container: proximity discover lists those that can be adopted",
            ),
        });
    }
    let memory = row.max_memory_bytes.map(|bytes| bytes / MIB);
    Observed {
        by: SeenBy::List,
        node: row.node.clone(),
        power: power(row.status),
        memory_mib: memory.map_or(Figure::Unknown, Figure::Is),
        cores: row
            .max_cpu
            .and_then(whole)
            .map_or(Figure::Unknown, Figure::Is),
        disk_bytes: Figure::Unknown,
        listed_disk_bytes: row.max_disk_bytes,
        digest: None,
        volumes: None,
        obstacles,
    }
}

/// A number of CPUs that is whole; a limit may be none.
fn whole(cpus: f64) -> Option<u64> {
    let least = cpus.trunc();
    // No node has as many as would not fit, and a negative number is none.
    (least == cpus && (0.0..1e9).contains(&cpus)).then_some(least as u64)
}

fn power(status: GuestStatus) -> Option<WantedPower> {
    match status {
        GuestStatus::Running => Some(WantedPower::Running),
        GuestStatus::Stopped => Some(WantedPower::Stopped),
        GuestStatus::Unknown => None,
    }
}

/// Configuration and power of a container, and whether it is the one on record, or one that can be taken over.
async fn look(
    engine: &Engine,
    place: &ContainerRef,
    guest: Option<&RecordedGuest>,
    deadline: Deadline,
) -> Result<Observed, EngineError> {
    let cluster = engine.inner.clusters.get(place.host).await?;
    let read = cluster.read();
    let asked = async {
        tokio::join!(
            read.lxc_config(&place.node, place.vmid),
            read.lxc_status(&place.node, place.vmid),
        )
    };
    let label = cluster.label();
    let Some((config, status)) = deadline.hold(asked).await else {
        let what = format!("container {} was not read", place.vmid);
        return Err(no_time(label, &what));
    };
    let config = config.map_err(|e| upstream(label, &e))?;
    let status = status.map_err(|e| upstream(label, &e))?;
    let obstacles = match guest {
        Some(guest) => strange(guest, place, &config),
        None => unfit(place, &config),
    };
    let size = config.rootfs.as_ref().and_then(|root| root.size.as_deref());
    Ok(Observed {
        by: SeenBy::Configuration,
        node: place.node.clone(),
        power: power(status.status),
        memory_mib: Figure::Is(config.memory_mib.unwrap_or(DEFAULT_MEMORY_MIB)),
        cores: config.cores.map_or(Figure::Absent, Figure::Is),
        disk_bytes: size
            .and_then(size_bytes)
            .map_or(Figure::Unknown, Figure::Is),
        listed_disk_bytes: None,
        digest: Some(
            config
                .digest
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        volumes: Some(volumes_of(&config.raw, place.vmid).destroyed),
        obstacles: obstacles.into_iter().collect(),
    })
}

/// That a container is not the recorded one.
fn strange(guest: &RecordedGuest, place: &ContainerRef, config: &LxcConfig) -> Option<Obstacle> {
    match guest.compare(&observed(place.clone(), config, false)) {
        Ownership::Owned | Ownership::OwnedUnconfirmed { .. } => None,
        Ownership::BeingCreated => Some(Obstacle::new(
            "container_being_created",
            "Proxmox VE is still making its container",
            "plan again when it is made",
        )),
        Ownership::Conflict(conflict) => Some(Obstacle::new(
            "identity_conflict",
            conflict.to_string(),
            COMPARE,
        )),
    }
}

/// That a container cannot be taken over.
fn unfit(place: &ContainerRef, config: &LxcConfig) -> Option<Obstacle> {
    let seen = observed(place.clone(), config, false);
    let refused = refuse_what_is_marked(&seen).and_then(|()| identity_of(&seen, config.template));
    refused.err().map(|why| obstacle(&why))
}
