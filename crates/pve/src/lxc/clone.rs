//! Copies of containers, and templates to copy from.

use proximity_domain::ids::Vmid;
use proximity_domain::names::{GuestSnapshotName, Hostname, NodeName, PoolName, StorageName};
use proximity_domain::network::Network;

use super::config::change_call;
use super::create::name_servers;
use super::{ConfigDigest, NewNet, segment};
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::upid::Upid;

/// A container to be made as a copy of another one. It is not started.
///
/// PVE gives it new MACs and copies everything else: static addresses, tags, `onboot`, `protection`. Neither can be given in
/// the call; change them afterwards, before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneLxc {
    /// The number it gets; refused if taken.
    pub vmid: Vmid,
    /// Host name.
    pub hostname: Hostname,
    /// Notes, with the mark as the last line: without any, PVE copies those of the source.
    pub description: String,
    /// Pool it becomes a member of.
    pub pool: Option<PoolName>,
    /// What it is a copy of, and how.
    pub of: CloneOf,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloneOf {
    /// The container as it is, whole. PVE refuses this for one that runs.
    Container {
        /// Where to; where the source is if not given.
        storage: Option<StorageName>,
    },
    /// A snapshot of it, whole: of a container that may run.
    GuestSnapshot {
        /// The snapshot.
        name: GuestSnapshotName,
        /// Where to; where the source is if not given.
        storage: Option<StorageName>,
    },
    /// A template, by sharing what is the same: it can then not be removed any more.
    Template,
}

/// What a new container is given by its create call and a clone by a call of its own, before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneShape {
    /// First network device, in place of the one that PVE drew a MAC for.
    pub net0: NewNet,
    /// VLAN, addresses and name servers, as of [`super::CreateLxc`]. Name servers that the source has stay where none are given.
    pub network: Network,
    /// Memory limit, at least 16.
    pub memory_mib: u32,
    /// Swap limit.
    pub swap_mib: u32,
    /// CPUs, 1 to 8192.
    pub cores: u32,
    /// Whether it starts with the node.
    pub onboot: bool,
    /// Whether removal is blocked.
    pub protection: bool,
}

impl CloneShape {
    fn call(&self, node: &NodeName, vmid: Vmid, digest: &ConfigDigest) -> Call {
        change_call(node, vmid, digest)
            .with("net0", self.net0.attached(&self.network))
            .with_some("nameserver", name_servers(&self.network))
            .with_some("searchdomain", self.network.search.as_ref())
            .with("memory", self.memory_mib)
            .with("swap", self.swap_mib)
            .with("cores", self.cores)
            .with_flag("onboot", self.onboot)
            .with_flag("protection", self.protection)
    }
}

impl CloneLxc {
    fn call(&self, node: &NodeName, source: Vmid) -> Call {
        let call = Call::post(&["nodes", node.as_str(), "lxc", &segment(source), "clone"])
            .with("newid", self.vmid)
            .with("hostname", &self.hostname)
            .with("description", &self.description)
            .with_some("pool", self.pool.as_ref());
        match &self.of {
            CloneOf::Container { storage } => call
                .with_flag("full", true)
                .with_some("storage", storage.as_ref()),
            CloneOf::GuestSnapshot { name, storage } => call
                .with("snapname", name)
                .with_flag("full", true)
                .with_some("storage", storage.as_ref()),
            CloneOf::Template => call.with_flag("full", false),
        }
    }
}

impl Client {
    /// Copies a container of this node; the task does the work, and has the number of the source.
    ///
    /// # Errors
    /// [`crate::Error::is_vmid_taken`] when the id was lost to somebody else; otherwise see [`crate::Error`].
    pub async fn clone_lxc(&self, node: &NodeName, source: Vmid, copy: CloneLxc) -> Result<Upid> {
        self.change(copy.call(node, source)).await
    }

    /// Gives a clone what its source's configuration cannot give it, all of it or nothing, if the configuration is still the one the
    /// digest was read from.
    ///
    /// # Errors
    /// [`crate::Error::is_digest_mismatch`] if somebody else was faster.
    pub async fn shape_clone(
        &self,
        node: &NodeName,
        vmid: Vmid,
        shape: &CloneShape,
        digest: &ConfigDigest,
    ) -> Result<()> {
        self.change(shape.call(node, vmid, digest)).await
    }

    /// Makes a template of a stopped container. **There is no way back**: it can never be started again, and its root volume
    /// gets another name, so that its recorded identity is gone. PVE also says yes without quorum: read it back.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn make_template(&self, node: &NodeName, vmid: Vmid) -> Result<()> {
        let call = Call::post(&["nodes", node.as_str(), "lxc", &segment(vmid), "template"]);
        self.change(call).await
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::network::NetworkWish;

    use super::*;

    #[test]
    fn a_clone_is_given_its_address_and_its_limits_in_one_guarded_call() {
        let wish = NetworkWish {
            ipv4: Some("192.0.2.10/24".to_owned()),
            dns: vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()],
            ..NetworkWish::default()
        };
        let shape = CloneShape {
            net0: NewNet {
                name: "eth0".to_owned(),
                bridge: "vmbr0".parse().unwrap(),
                hwaddr: "BC:24:11:00:00:01".parse().unwrap(),
            },
            network: wish.check().unwrap(),
            memory_mib: 256,
            swap_mib: 0,
            cores: 2,
            onboot: true,
            protection: true,
        };
        let (node, vmid) = ("pve1".parse().unwrap(), Vmid::try_from(103_u32).unwrap());
        let call = shape.call(&node, vmid, &"ab".parse().unwrap());
        assert_eq!(call.name(), "PUT /nodes/pve1/lxc/103/config");
        let request = call.into_read();
        let params = request.params.iter();
        let params: Vec<String> = params
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let net0 = "net0=name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=192.0.2.10/24";
        assert_eq!(
            params,
            [
                "digest=ab",
                net0,
                "nameserver=192.0.2.1 192.0.2.2",
                "memory=256",
                "swap=0",
                "cores=2",
                "onboot=1",
                "protection=1",
            ]
        );
    }
}
