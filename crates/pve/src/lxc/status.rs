//! The power of containers, asked on their node.

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use serde::Deserialize;

use super::segment;
use crate::call::Call;
use crate::cluster::GuestStatus;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;

/// A container's state now.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Wire")]
pub struct LxcStatus {
    /// Running or stopped; there is no "starting".
    pub status: GuestStatus,
    /// Seconds since its start, 0 when stopped.
    pub uptime_s: u64,
    /// Member of PVE's HA: start and stop then only *ask* for a state.
    pub ha_managed: bool,
    /// State in PVE's HA, e.g. `started`.
    pub ha_state: Option<String>,
    /// PVE's lock.
    pub lock: Option<String>,
    /// Host name.
    pub name: Option<String>,
    /// CPUs it may use.
    pub cpus: Option<f64>,
    /// Memory in use.
    pub memory_bytes: Option<u64>,
    /// Memory it may use.
    pub max_memory_bytes: Option<u64>,
    /// Root disk in use.
    pub disk_bytes: Option<u64>,
    /// Size of the root file system.
    pub max_disk_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Wire {
    status: GuestStatus,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    uptime: Option<u64>,
    #[serde(default)]
    ha: Option<Ha>,
    #[serde(default)]
    lock: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    cpus: Option<f64>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    mem: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    maxmem: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    disk: Option<u64>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    maxdisk: Option<u64>,
}

#[derive(Deserialize)]
struct Ha {
    #[serde(default, deserialize_with = "lenient::flag")]
    managed: bool,
    #[serde(default)]
    state: Option<String>,
}

impl From<Wire> for LxcStatus {
    fn from(wire: Wire) -> Self {
        let (ha_managed, ha_state) = wire.ha.map_or((false, None), |ha| (ha.managed, ha.state));
        Self {
            status: wire.status,
            uptime_s: wire.uptime.unwrap_or(0),
            ha_managed,
            ha_state,
            lock: wire.lock,
            name: wire.name,
            cpus: wire.cpus,
            memory_bytes: wire.mem,
            max_memory_bytes: wire.maxmem,
            disk_bytes: wire.disk,
            max_disk_bytes: wire.maxdisk,
        }
    }
}

/// A container in its node's list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LxcRow {
    /// The container.
    #[serde(deserialize_with = "lenient::vmid")]
    pub vmid: Vmid,
    /// Its power.
    pub status: GuestStatus,
    /// Host name.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub name: Option<String>,
    /// PVE's lock.
    #[serde(default)]
    pub lock: Option<String>,
    /// Tags, separated by `;`.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub tags: Option<String>,
    /// Whether it is a template.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub template: bool,
}

impl ReadClient {
    /// The containers of one node that the token may see. Expensive for PVE; for a cluster use
    /// [`ReadClient::resources_vm`].
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn lxc_list(&self, node: &NodeName) -> Result<Vec<LxcRow>> {
        let mut rows: Vec<LxcRow> = self
            .get(Call::get(&["nodes", node.as_str(), "lxc"]))
            .await?;
        rows.sort_by_key(|row| row.vmid);
        Ok(rows)
    }

    /// A container's power now. May block up to 30 s while it is half started.
    ///
    /// # Errors
    /// [`crate::Error::is_missing_config`] if that node does not have it.
    pub async fn lxc_status(&self, node: &NodeName, vmid: Vmid) -> Result<LxcStatus> {
        let call = Call::get(&[
            "nodes",
            node.as_str(),
            "lxc",
            &segment(vmid),
            "status",
            "current",
        ]);
        self.get(call).await
    }
}
