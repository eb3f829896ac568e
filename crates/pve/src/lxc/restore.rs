//! Containers from backups: new ones, and in place of one that may be destroyed.

use proximity_domain::destroy::DestroyPermit;
use proximity_domain::ids::Vmid;
use proximity_domain::names::{Hostname, NodeName, PoolName, StorageName, Volid};

use super::NewNet;
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::upid::Upid;

/// A container to be made from a backup. It is not started.
///
/// What is not given here is as in the backup, tags among it. Tags are not offered: PVE refuses them in this call for tokens
/// with rights on a pool only; set them afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreLxc {
    /// The backup's volume.
    pub backup: Volid,
    /// Storage for all its volumes, with the sizes of the backup.
    pub storage: StorageName,
    /// Host name; that of the backup if not given.
    pub hostname: Option<Hostname>,
    /// Notes, with the mark as the last line: those of the backup are another guest's.
    pub description: String,
    /// Its addresses.
    pub addresses: Addresses,
    /// Pool it becomes a member of.
    pub pool: Option<PoolName>,
    /// Whether removal is blocked from the first moment on.
    pub protection: bool,
}

/// What a restored container is reached by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// A first network device of our own choice; others as in the backup.
    Chosen(NewNet),
    /// As in the backup with new MACs. Static addresses are those of the backup.
    NewMacs,
    /// As in the backup, MACs too: not beside the guest it was made of.
    Same,
}

impl RestoreLxc {
    fn call(&self, node: &NodeName, vmid: Vmid) -> Call {
        let call = Call::post(&["nodes", node.as_str(), "lxc"])
            .with("vmid", vmid)
            .with("ostemplate", &self.backup)
            .with_flag("restore", true)
            .with("storage", &self.storage)
            .with_some("hostname", self.hostname.as_ref())
            .with("description", &self.description)
            .with_some("pool", self.pool.as_ref())
            .with_flag("protection", self.protection);
        match &self.addresses {
            Addresses::Chosen(net) => call.with("net0", net.property()),
            Addresses::NewMacs => call.with_flag("unique", true),
            Addresses::Same => call,
        }
    }
}

impl Client {
    /// Makes a new container from a backup. That the backup is missing or broken shows only in the task's exit status, and
    /// leaves no container.
    ///
    /// # Errors
    /// [`crate::Error::is_vmid_taken`] if there is one under that number: it is not touched.
    pub async fn restore_lxc(
        &self,
        node: &NodeName,
        vmid: Vmid,
        restore: RestoreLxc,
    ) -> Result<Upid> {
        self.change(restore.call(node, vmid)).await
    }

    /// Puts a backup in the place of the container the permit is for: **that container is destroyed**. PVE refuses it for one
    /// that runs, and frees the old volumes when the new ones are there; a restore that fails leaves neither.
    ///
    /// Guarantees: as [`Client::destroy_lxc`].
    ///
    /// # Errors
    /// As [`Client::destroy_lxc`].
    pub async fn restore_lxc_over(
        &self,
        permit: DestroyPermit,
        restore: RestoreLxc,
    ) -> Result<Upid> {
        let place = permit.place();
        let call = restore
            .call(&place.node, place.vmid)
            .with_flag("force", true);
        self.permitted(call, place.host, permit.expires()).await
    }
}
