//! Destroying a container: the only call that deletes one.

use proximity_domain::destroy::DestroyPermit;

use super::segment;
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::upid::Upid;

impl Client {
    /// Destroys the container the permit is for: without `force`, once; with `purge` only where the permit says so.
    ///
    /// PVE always takes its volumes, snapshots, firewall rules, grants and its place in a pool; with `purge` also its number out
    /// of jobs of backups, its replication jobs and its place in HA (pve-container, `API2/LXC.pm`, `destroy_vm`).
    ///
    /// Flow: the permit's time is looked at; the transport connects; the call is sent if time is left, which the
    /// transport itself ensures up to the last byte.
    ///
    /// Guarantees: never sent to another cluster than the permit's; never sent after the permit or the warrant expired;
    /// never retried. The permit is used up whatever happens.
    ///
    /// # Errors
    /// [`crate::Error::PermitExpired`] and other errors with [`crate::Error::is_not_sent`]: nothing happened, look again for a new
    /// permit. [`crate::Error::MaybeApplied`]: look at the task list before anything else.
    pub async fn destroy_lxc(&self, permit: DestroyPermit) -> Result<Upid> {
        let place = permit.place();
        let call = Call::delete(&["nodes", place.node.as_str(), "lxc", &segment(place.vmid)])
            .with_some("purge", permit.purges().then_some(1));
        self.permitted(call, place.host, permit.expires()).await
    }
}
