//! Creating a container.

use proximity_domain::ids::Vmid;
use proximity_domain::names::{BridgeName, Hostname, Mac, NodeName, PoolName, StorageName, Volid};

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::property::PropertyString;
use crate::upid::Upid;

/// A container to be created from a template. It is not started.
///
/// Tags are not offered: PVE refuses them at create for tokens with rights on a pool only; set them afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateLxc {
    /// The number it gets; refused if taken.
    pub vmid: Vmid,
    /// The template's volume, e.g. `local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst`.
    pub ostemplate: Volid,
    /// Host name.
    pub hostname: Hostname,
    /// Storage of the root file system.
    pub storage: StorageName,
    /// Size of the root file system.
    pub disk_gib: u32,
    /// Memory limit, at least 16.
    pub memory_mib: u32,
    /// Swap limit.
    pub swap_mib: u32,
    /// CPUs, 1 to 8192.
    pub cores: u32,
    /// First network device.
    pub net0: NewNet,
    /// Notes, with the mark as the last line; at most 8192 bytes.
    pub description: String,
    /// Pool it becomes a member of.
    pub pool: Option<PoolName>,
    /// Whether root inside is an ordinary user outside. PVE's default differs between its tools, so it is always sent.
    pub unprivileged: bool,
    /// Whether it starts with the node.
    pub onboot: bool,
    /// Whether removal is blocked from the first moment on.
    pub protection: bool,
    /// Whether systemd and containers inside get what they need.
    pub nesting: bool,
}

/// The first network device of a new container. Its address comes from DHCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNet {
    /// Name inside, e.g. `eth0`.
    pub name: String,
    /// Bridge on the node.
    pub bridge: BridgeName,
    /// Its MAC, chosen by us.
    pub hwaddr: Mac,
}

impl NewNet {
    pub(super) fn property(&self) -> PropertyString {
        PropertyString::default()
            .with("name", &self.name)
            .with("bridge", &self.bridge)
            .with("hwaddr", self.hwaddr)
            .with("ip", "dhcp")
    }
}

impl CreateLxc {
    fn call(&self, node: &NodeName) -> Call {
        Call::post(&["nodes", node.as_str(), "lxc"])
            .with("vmid", self.vmid)
            .with("ostemplate", &self.ostemplate)
            .with("hostname", &self.hostname)
            .with("rootfs", format!("{}:{}", self.storage, self.disk_gib))
            .with("memory", self.memory_mib)
            .with("swap", self.swap_mib)
            .with("cores", self.cores)
            .with("net0", self.net0.property())
            .with("description", &self.description)
            .with_some("pool", self.pool.as_ref())
            .with_flag("unprivileged", self.unprivileged)
            .with_flag("onboot", self.onboot)
            .with_flag("protection", self.protection)
            .with_some("features", self.nesting.then_some("nesting=1"))
    }
}

impl Client {
    /// Creates a container; the task does the work. A UPID proves nothing: a missing template, for instance, shows
    /// only in the task's exit status.
    ///
    /// # Errors
    /// [`crate::Error::is_vmid_taken`] when the id was lost to somebody else; otherwise see [`crate::Error`].
    pub async fn create_lxc(&self, node: &NodeName, new: CreateLxc) -> Result<Upid> {
        self.change(new.call(node)).await
    }
}
