//! What stands at the numbers of guests of ours: a number proves nothing, PVE gives a freed one to whoever is next.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use proximity_domain::guest::{ContainerRef, NativeGuest, Ownership};
use proximity_domain::ids::Vmid;
use proximity_pve::cluster::{GuestKind, ResourceRow};
use proximity_pve::pool::Pool;
use tokio::time::Instant;

use super::super::facts::{Found, Read};
use super::asked;
use crate::cluster::{Cluster, observed};

/// Configurations that are read at the same time.
const AT_ONCE: usize = 4;
/// How long all of them may take; what was not begun by then is unread.
const ALL: Duration = Duration::from_secs(12);

/// Reads each guest that was recorded before and after, and that the cluster or the pool lists.
pub(super) async fn found(
    cluster: &Cluster,
    before: &[NativeGuest],
    after: &[NativeGuest],
    rows: &Read<Vec<ResourceRow>>,
    pool: &Read<Option<Pool>>,
) -> BTreeMap<Vmid, Found> {
    let rows = rows.as_deref().unwrap_or_default();
    let in_pool = |vmid: Vmid| matches!(pool, Ok(Some(pool)) if pool.guests.contains(&vmid));
    let stays = |guest: &&NativeGuest| before.iter().any(|earlier| earlier.id == guest.id);
    let wanted = after.iter().filter(stays).filter_map(|guest| {
        let row = rows.iter().find(|row| row.vmid == guest.place.vmid);
        (row.is_some() || in_pool(guest.place.vmid)).then_some((guest, row))
    });
    let begun = Instant::now();
    let looks = stream::iter(wanted).map(|(guest, row)| async move {
        let found = match begun.elapsed() < ALL {
            true => one(cluster, guest, row).await,
            false => Found::Unread(format!(
                "not asked, for the guests before it took {} s",
                ALL.as_secs()
            )),
        };
        (guest.place.vmid, found)
    });
    looks.buffer_unordered(AT_ONCE).collect().await
}

async fn one(cluster: &Cluster, guest: &NativeGuest, row: Option<&ResourceRow>) -> Found {
    if row.is_some_and(|row| row.kind == GuestKind::Qemu) {
        return Found::Other("it is a virtual machine".to_owned());
    }
    let node = row.map_or(&guest.place.node, |row| &row.node);
    let config = match asked(cluster.read().lxc_config(node, guest.place.vmid)).await {
        Ok(config) => config,
        Err(why) => return Found::Unread(why),
    };
    let place = ContainerRef {
        node: node.clone(),
        ..guest.place.clone()
    };
    let seen = observed(place, &config, false);
    match guest.owns(&seen) {
        Ownership::BeingCreated => Found::BeingCreated,
        Ownership::Owned | Ownership::OwnedUnconfirmed { .. } => {
            match seen.lock.as_deref() == Some("create") {
                true => Found::BeingCreated,
                false => Found::Ours,
            }
        }
        Ownership::Conflict(conflict) => Found::Other(conflict.differences.join(", ")),
    }
}
