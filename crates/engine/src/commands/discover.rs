//! `GET /api/apps/discover`: the containers that no app has. Nothing is written, here or there.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::{StreamExt, stream};
use proximity_domain::adoption::suggest;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::Vmid;
use proximity_pve::cluster::{GuestKind, GuestStatus, ResourceRow};
use proximity_pve::lxc::LxcConfig;
use proximity_store::records::HostRecord;

use super::create_app::upstream;
use super::deadline::{Deadline, no_time};
use crate::cluster::{Cluster, observed};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::view::{is_whole, status};

/// Configurations read for their marks, at most, per cluster. What is beyond is said to be unread.
const MARKS: usize = 256;
/// So many of them at the same time: PVE's proxy has three workers, and others need them too.
const QUESTIONS: usize = 3;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// Every cluster that was asked was seen whole.
    pub complete: bool,
    /// Containers that no app has, by host label and number.
    pub containers: Vec<Discovered>,
    /// Host label, and what is not known of its cluster.
    pub gaps: Vec<(String, String)>,
}

/// One container that no app has.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// Label of its host entry.
    pub host: String,
    /// Its node.
    pub node: String,
    /// PVE's number.
    pub vmid: Vmid,
    /// Its name; empty if PVE gives none.
    pub name: String,
    /// `running`, `stopped` or `unknown`, as listed: up to 10 s old.
    pub status: &'static str,
    /// Whether its notes bear the mark of a Proximity.
    pub mark: DiscoveredMark,
    /// It is a template, and cannot be adopted.
    pub template: bool,
    /// It is a member of PVE's HA.
    pub ha_managed: bool,
    /// Its tags, separated by `;`.
    pub tags: Option<String>,
    /// The pool it is in.
    pub pool: Option<String>,
    /// CPUs it may use.
    pub cpus: Option<f64>,
    /// Memory it may use.
    pub memory_bytes: Option<u64>,
    /// Size of its root file system.
    pub disk_bytes: Option<u64>,
    /// Seconds since its start.
    pub uptime_s: Option<u64>,
    /// What it probably is.
    pub suggested_type: &'static str,
    /// Where such a thing usually listens.
    pub suggested_port: u16,
}

/// Whether a container bears a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveredMark {
    /// None.
    No,
    /// That of this installation, which has no record of it.
    Ours,
    /// That of another installation.
    Foreign,
    /// Its configuration was not read.
    Unread,
}

impl DiscoveredMark {
    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::No => "none",
            Self::Ours => "ours",
            Self::Foreign => "foreign",
            Self::Unread => "unread",
        }
    }
}

impl Engine {
    /// Lists the containers of all clusters that no app has, or of the one that is named (label or id).
    ///
    /// # Errors
    /// No such host; a host that was named and cannot be asked. Without a name, what cannot be asked is a gap in the answer.
    pub async fn discover(&self, host: Option<&str>) -> Result<Discovery, EngineError> {
        self.discover_by(host, Deadline::of_request()).await
    }

    /// As [`Engine::discover`], with this limit of time: what was not asked by then is a gap in the answer.
    ///
    /// # Errors
    /// Those of [`Engine::discover`].
    pub async fn discover_by(
        &self,
        host: Option<&str>,
        deadline: Deadline,
    ) -> Result<Discovery, EngineError> {
        let hosts = self.candidate_hosts(host).await?;
        let looks = hosts
            .iter()
            .map(|record| self.discover_in(record, deadline));
        let looks = join_all(looks).await;
        let mut all = Discovery::default();
        for (record, look) in hosts.iter().zip(looks) {
            match look {
                Ok((containers, gaps)) => {
                    all.containers.extend(containers);
                    let label = record.label.to_string();
                    all.gaps
                        .extend(gaps.into_iter().map(|gap| (label.clone(), gap)));
                }
                Err(e) if host.is_some() => return Err(e),
                Err(e) => {
                    let gap = format!("{e}; {}", e.hint());
                    all.gaps.push((record.label.to_string(), gap));
                }
            }
        }
        all.containers
            .sort_by(|a, b| (&a.host, a.vmid).cmp(&(&b.host, b.vmid)));
        all.complete = all.gaps.is_empty();
        Ok(all)
    }

    async fn discover_in(
        &self,
        record: &HostRecord,
        deadline: Deadline,
    ) -> Result<(Vec<Discovered>, Vec<String>), EngineError> {
        let cluster = self.inner.clusters.get(record.id).await?;
        let Some(listed) = deadline.hold(listed(&cluster)).await else {
            return Err(no_time(cluster.label(), "its containers are not known"));
        };
        let (rows, mut gaps) = listed?;
        // Read after the list, so that what was recorded meanwhile is not called a stranger.
        let held = self.store().recorded_guests_of_host(record.id).await?;
        let mut held: BTreeSet<Vmid> = held.iter().map(|guest| guest.place().vmid).collect();
        let templates = self.store().prepared().await?;
        let here = templates.iter().map(|kept| &kept.prepared);
        let here = here.filter(|one| one.spot.host == record.id);
        held.extend(here.map(|one| one.identity.vmid));
        let strangers = rows
            .into_iter()
            .filter(|row| row.kind == GuestKind::Lxc && !held.contains(&row.vmid));
        let found: Vec<(Discovered, bool)> = stream::iter(strangers.enumerate())
            .map(|(n, row)| {
                let cluster = &cluster;
                async move {
                    let read = if n < MARKS {
                        let read = cluster.read().lxc_config(&row.node, row.vmid);
                        deadline.hold(read).await.map(Result::ok)
                    } else {
                        Some(None)
                    };
                    let is_late = read.is_none();
                    let config = read.flatten();
                    let mark = self.mark_of(cluster, &row, config.as_ref());
                    (discovered(cluster.label(), row, mark, config), is_late)
                }
            })
            .buffer_unordered(QUESTIONS)
            .collect()
            .await;
        let late = found.iter().filter(|(_, is_late)| *is_late).count();
        if late > 0 {
            gaps.push(unread(late, cluster.label()));
        }
        let containers = found.into_iter().map(|(container, _)| container);
        Ok((containers.collect(), gaps))
    }

    fn mark_of(
        &self,
        cluster: &Cluster,
        row: &ResourceRow,
        config: Option<&LxcConfig>,
    ) -> DiscoveredMark {
        let Some(config) = config else {
            return DiscoveredMark::Unread;
        };
        let place = ContainerRef {
            host: cluster.host().id,
            node: row.node.clone(),
            vmid: row.vmid,
        };
        match observed(place, config, false).mark {
            None => DiscoveredMark::No,
            Some(mark) if mark.installation == self.store().installation() => DiscoveredMark::Ours,
            Some(_) => DiscoveredMark::Foreign,
        }
    }
}

/// What the cluster lists, and what is not known of it.
async fn listed(cluster: &Cluster) -> Result<(Vec<ResourceRow>, Vec<String>), EngineError> {
    let failed = |e| upstream(cluster.label(), &e);
    let seen = status(cluster).await.map_err(failed)?;
    let mut gaps = Vec::new();
    if let Err(gap) = is_whole(cluster.host(), &seen) {
        gaps.push(gap.text(cluster.label()));
    }
    let rows = cluster.read().resources_vm().await.map_err(failed)?;
    let rights = cluster.read().permissions(Some("/")).await;
    let rights = rights.map_err(failed)?;
    let root = rights.get("/");
    if !root.is_some_and(|held| held.propagates("VM.Audit")) {
        gaps.push(
            "the token that looks has no VM.Audit on / that reaches below, so that PVE may leave containers out"
                .to_owned(),
        );
    }
    Ok((rows, gaps))
}

/// What is told of containers that were not read in time.
fn unread(late: usize, label: &str) -> String {
    format!(
        "the configurations of {late} container(s) were not read in time, so that whether they bear a mark is not known: see what \
         hangs there with proximity doctor --host {label}, then ask again"
    )
}

fn discovered(
    label: &str,
    row: ResourceRow,
    mark: DiscoveredMark,
    config: Option<LxcConfig>,
) -> Discovered {
    // The list's name comes with the statistics, which lag.
    let named = config.and_then(|config| config.hostname);
    let name = named.or(row.name).unwrap_or_default();
    let suggestion = suggest(&name, row.tags.as_deref());
    Discovered {
        host: label.to_owned(),
        node: row.node.into(),
        vmid: row.vmid,
        name,
        status: match row.status {
            GuestStatus::Running => "running",
            GuestStatus::Stopped => "stopped",
            GuestStatus::Unknown => "unknown",
        },
        mark,
        template: row.template,
        ha_managed: row.hastate.is_some(),
        tags: row.tags,
        pool: row.pool,
        cpus: row.max_cpu,
        memory_bytes: row.max_memory_bytes,
        disk_bytes: row.max_disk_bytes,
        uptime_s: row.uptime_s,
        suggested_type: suggestion.kind,
        suggested_port: suggestion.port,
    }
}
