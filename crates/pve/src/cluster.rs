//! The cluster as a whole: version, membership, its guests.

use std::fmt;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::error::{Error, Result};
use crate::lenient;
use crate::read::ReadClient;

/// How long the other endpoints are waited for when the word of the first one is worth nothing.
const OTHERS: Duration = Duration::from_secs(5);

/// PVE's version on the node that answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// E.g. `9.2.11`.
    pub version: String,
    /// E.g. `9.2`.
    #[serde(default)]
    pub release: String,
}

impl Version {
    /// Major and minor number, if the text starts with them.
    #[must_use]
    pub fn major_minor(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split(['.', '-', '~']);
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some((major, minor))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version)
    }
}

/// Membership of the cluster as the asked node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The cluster's name; `None` for a standalone node.
    pub name: Option<String>,
    /// Whether it has quorum; a standalone node always has.
    pub quorate: bool,
    /// All nodes, also those that are off.
    pub nodes: Vec<ClusterNode>,
}

impl ClusterStatus {
    fn of(call: String, rows: Vec<StatusRow>) -> Result<Self> {
        let mut status = Self {
            name: None,
            quorate: true,
            nodes: Vec::new(),
        };
        for row in rows {
            match row {
                StatusRow::Cluster { name, quorate } => {
                    status.name = Some(name);
                    status.quorate = quorate;
                }
                StatusRow::Node {
                    name,
                    online,
                    ip,
                    local,
                } => {
                    status.nodes.push(ClusterNode {
                        name,
                        online,
                        ip,
                        local,
                    });
                }
            }
        }
        if status.nodes.is_empty() {
            return Err(Error::Unreadable {
                call,
                why: "it lists no node".to_owned(),
            });
        }
        status.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(status)
    }
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its name.
    pub name: NodeName,
    /// Whether the asked node reaches it.
    pub online: bool,
    /// Its address in the cluster network.
    pub ip: Option<String>,
    /// Whether it is the node that answered.
    pub local: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum StatusRow {
    Cluster {
        name: String,
        #[serde(default, deserialize_with = "lenient::flag")]
        quorate: bool,
    },
    Node {
        name: NodeName,
        #[serde(default, deserialize_with = "lenient::flag")]
        online: bool,
        #[serde(default)]
        ip: Option<String>,
        #[serde(default, deserialize_with = "lenient::flag")]
        local: bool,
    },
}

/// Power of a guest as PVE says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestStatus {
    /// Running.
    Running,
    /// Stopped.
    Stopped,
    /// PVE does not know (its node is off, or its statistics did not come yet), or says something else.
    #[serde(other)]
    Unknown,
}

/// Kind of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestKind {
    /// A container.
    Lxc,
    /// A virtual machine.
    Qemu,
}

/// One guest in the cluster's list.
///
/// `node`, `lock`, `tags` and the existence of the row are current on a quorate node; `status`, `name` and all
/// figures lag up to 10 s behind and are missing for guests of a node that has been off for five minutes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ResourceRow {
    /// The guest.
    #[serde(deserialize_with = "lenient::vmid")]
    pub vmid: Vmid,
    /// Container or virtual machine.
    #[serde(rename = "type")]
    pub kind: GuestKind,
    /// Where its configuration is.
    pub node: NodeName,
    /// Last known power.
    pub status: GuestStatus,
    /// Host name, from the statistics.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub name: Option<String>,
    /// PVE's lock.
    #[serde(default)]
    pub lock: Option<String>,
    /// Tags, separated by `;`.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub tags: Option<String>,
    /// The pool it is in.
    #[serde(default)]
    pub pool: Option<String>,
    /// State in PVE's HA, if it is a member.
    #[serde(default)]
    pub hastate: Option<String>,
    /// Whether it is a template.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub template: bool,
    /// Seconds since its start.
    #[serde(default, rename = "uptime", deserialize_with = "lenient::opt_u64")]
    pub uptime_s: Option<u64>,
    /// Fraction of its CPUs in use.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub cpu: Option<f64>,
    /// CPUs it may use.
    #[serde(default, rename = "maxcpu", deserialize_with = "lenient::opt_f64")]
    pub max_cpu: Option<f64>,
    /// Memory in use.
    #[serde(default, rename = "mem", deserialize_with = "lenient::opt_u64")]
    pub memory_bytes: Option<u64>,
    /// Memory it may use.
    #[serde(default, rename = "maxmem", deserialize_with = "lenient::opt_u64")]
    pub max_memory_bytes: Option<u64>,
    /// Root disk in use.
    #[serde(default, rename = "disk", deserialize_with = "lenient::opt_u64")]
    pub disk_bytes: Option<u64>,
    /// Size of the root disk.
    #[serde(default, rename = "maxdisk", deserialize_with = "lenient::opt_u64")]
    pub max_disk_bytes: Option<u64>,
}

impl ReadClient {
    /// Version of the node that answers. Any valid token may ask.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn version(&self) -> Result<Version> {
        self.get(Call::quick(&["version"])).await
    }

    /// Membership and quorum. Needs `Sys.Audit` on `/`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn cluster_status(&self) -> Result<ClusterStatus> {
        let call = Call::get(&["cluster", "status"]);
        let name = call.name();
        ClusterStatus::of(name, self.get(call).await?)
    }

    /// The same by the word of an endpoint that is worth something: if the one that is asked first gives an answer that
    /// is not, or refuses, the others are asked, and the first of them whose answer is will be asked first from then on. If
    /// none is, the answer is that of the first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn cluster_status_by(
        &self,
        is_worth: impl Fn(&ClusterStatus) -> bool,
    ) -> Result<ClusterStatus> {
        let first = self.cluster_status().await;
        match &first {
            Ok(status) if is_worth(status) => return first,
            // It is the answer of one endpoint, whose node may be the only one in trouble.
            Ok(_)
            | Err(Error::Refused { .. } | Error::Unauthorized { .. } | Error::Unreadable { .. }) => {
            }
            // All were asked, or there is no word to be had at all.
            Err(_) => return first,
        }
        let transport = self.transport();
        let mut asked: FuturesUnordered<_> = (0..transport.endpoints())
            .map(|endpoint| async move { (endpoint, self.cluster_status_from(endpoint).await) })
            .collect();
        let end = Instant::now() + OTHERS;
        while let Ok(Some((endpoint, answer))) = timeout_at(end, asked.next()).await {
            match answer {
                Ok(status) if is_worth(&status) => {
                    transport.prefer(endpoint);
                    return Ok(status);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(endpoint, %error, "no other word of the cluster"),
            }
        }
        first
    }

    /// What each endpoint says of it that answers within 5 s: the nodes behind them may see different members.
    pub async fn cluster_status_of_each(&self) -> Vec<ClusterStatus> {
        let mut asked: FuturesUnordered<_> = (0..self.transport().endpoints())
            .map(|endpoint| self.cluster_status_from(endpoint))
            .collect();
        let end = Instant::now() + OTHERS;
        let mut said = Vec::new();
        while let Ok(Some(answer)) = timeout_at(end, asked.next()).await {
            match answer {
                Ok(status) => said.push(status),
                Err(error) => tracing::debug!(%error, "an endpoint says nothing of its cluster"),
            }
        }
        said
    }

    async fn cluster_status_from(&self, endpoint: usize) -> Result<ClusterStatus> {
        let call = Call::get(&["cluster", "status"]);
        let name = call.name();
        ClusterStatus::of(name, self.get_from(endpoint, call).await?)
    }

    /// All guests the token may see (`VM.Audit`), also those of nodes that are off.
    ///
    /// The list is read whole or not at all: one row that cannot be read makes it [`Error::Unreadable`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn resources_vm(&self) -> Result<Vec<ResourceRow>> {
        self.get(Call::quick(&["cluster", "resources"]).with("type", "vm"))
            .await
    }

    /// The lowest free VMID of the range that PVE offers, or the given one if it is free. Reserves nothing.
    ///
    /// # Errors
    /// A taken one is [`Error::Refused`] with [`Error::is_vmid_taken`]; if none is free in the range that PVE offers, with
    /// a message that [`crate::wording::says_no_free_vmid`].
    pub async fn next_id(&self, wanted: Option<Vmid>) -> Result<Vmid> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Id(#[serde(deserialize_with = "lenient::vmid")] Vmid);
        let call = Call::quick(&["cluster", "nextid"]).with_some("vmid", wanted);
        Ok(self.get::<Id>(call).await?.0)
    }
}
