//! Containers that no record has and that are called like an app for which one would be made: whose they are.

use std::collections::BTreeSet;

use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::HostId;
use proximity_domain::names::Hostname;
use proximity_domain::plan::{MarkSeen, Namesake, Recorded, Wanted, WantedKind};
use proximity_pve::cluster::{GuestKind, ResourceRow};

use crate::cluster::observed;
use crate::commands::create_app::upstream;
use crate::commands::deadline::{Deadline, no_time};
use crate::engine::Engine;
use crate::error::EngineError;

/// The apps for which a container would be made.
pub(super) struct Made {
    names: BTreeSet<Hostname>,
    /// The hosts that they name.
    hosts: BTreeSet<HostId>,
    /// One of them names no host.
    anywhere: bool,
}

impl Made {
    pub(super) fn of(wanted: &[Wanted], recorded: &[Recorded]) -> Self {
        let known: BTreeSet<&Hostname> = recorded.iter().map(|one| &one.name).collect();
        let (mut names, mut hosts, mut anywhere) = (BTreeSet::new(), BTreeSet::new(), false);
        for one in wanted.iter().filter(|one| !known.contains(&one.name)) {
            if let WantedKind::App(app) = &one.kind {
                names.insert(one.name.clone());
                hosts.extend(app.host);
                anywhere |= app.host.is_none();
            }
        }
        Self {
            names,
            hosts,
            anywhere,
        }
    }

    /// One of them may come onto any host, so that all are looked at.
    pub(super) fn is_anywhere(&self) -> bool {
        self.anywhere
    }

    /// A container that is called like one of them may be on this host, and has to be looked for.
    pub(super) fn is_sought_on(&self, host: HostId) -> bool {
        self.anywhere || self.hosts.contains(&host)
    }

    /// The container of a row of a host's list, if it is called like one of them. Of one that was renamed in Proxmox VE nothing is known here.
    pub(super) fn namesake(
        &self,
        host: HostId,
        row: &ResourceRow,
        is_told: bool,
    ) -> Option<(Hostname, Namesake)> {
        if row.kind == GuestKind::Qemu || self.names.is_empty() {
            return None;
        }
        let name: Hostname = row.name.as_deref()?.parse().ok()?;
        if !self.names.contains(&name) {
            return None;
        }
        let namesake = Namesake {
            host,
            node: row.node.clone(),
            vmid: row.vmid,
            is_told,
            mark: MarkSeen::Unlooked,
        };
        Some((name, namesake))
    }
}

/// Whose a container is, by the last line of its notes.
pub(super) async fn mark_of(
    engine: &Engine,
    place: &ContainerRef,
    deadline: Deadline,
) -> Result<MarkSeen, EngineError> {
    let cluster = engine.inner.clusters.get(place.host).await?;
    let label = cluster.label();
    let asked = cluster.read().lxc_config(&place.node, place.vmid);
    let Some(config) = deadline.hold(asked).await else {
        let what = format!("whose container {} is was not read", place.vmid);
        return Err(no_time(label, &what));
    };
    let config = config.map_err(|e| upstream(label, &e))?;
    let ours = engine.store().installation();
    Ok(match observed(place.clone(), &config, false).mark {
        None => MarkSeen::None,
        Some(mark) if mark.installation == ours => MarkSeen::Ours,
        Some(mark) => MarkSeen::Other(mark.installation),
    })
}
