//! Containers that are looked at by themselves, where they are all that a plan has to see of a cluster: its whole list would say no more
//! of them.

use std::time::Duration;

use futures::future::try_join_all;
use proximity_domain::guest::ContainerRef;
use proximity_pve::cluster::{GuestKind, ResourceRow};
use proximity_pve::lxc::LxcStatus;

use crate::cluster::Cluster;
use crate::commands::deadline::Deadline;

/// So many on one host, at most; of more the list is read.
pub(super) const MOST_ALONE: usize = 8;
/// How long they are waited for before the list is read in their place, which knows of containers also whose node does not answer.
const ALONE: Duration = Duration::from_secs(2);

/// What the list would say of these containers, in whichever order. `None`: there are none, or one was not read where it is recorded, whatever
/// the reason is; then the list is to be read, which says why.
pub(super) async fn rows(cluster: &Cluster, places: &[ContainerRef]) -> Option<Vec<ResourceRow>> {
    if places.is_empty() {
        return None;
    }
    let read = cluster.read();
    let looks = places.iter().map(|place| async move {
        let status = read.lxc_status(&place.node, place.vmid).await;
        status.map(|status| row(place, status))
    });
    let looks = try_join_all(looks);
    Deadline::within(ALONE).hold(looks).await?.ok()
}

fn row(place: &ContainerRef, status: LxcStatus) -> ResourceRow {
    ResourceRow {
        vmid: place.vmid,
        kind: GuestKind::Lxc,
        node: place.node.clone(),
        status: status.status,
        name: status.name,
        lock: status.lock,
        tags: None,
        pool: None,
        hastate: status.ha_state,
        template: false,
        uptime_s: Some(status.uptime_s),
        cpu: None,
        max_cpu: status.cpus,
        memory_bytes: status.memory_bytes,
        max_memory_bytes: status.max_memory_bytes,
        disk_bytes: status.disk_bytes,
        max_disk_bytes: status.max_disk_bytes,
    }
}
