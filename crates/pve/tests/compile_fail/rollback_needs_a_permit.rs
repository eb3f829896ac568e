//! Where a container is, and a snapshot's name, are not enough to roll it back, nor to put a backup in its place.

use proximity_domain::guest::ContainerRef;
use proximity_domain::names::GuestSnapshotName;
use proximity_pve::lxc::RestoreLxc;

async fn roll_back(client: proximity_pve::Client, place: ContainerRef, name: GuestSnapshotName) {
    let _ = client.rollback(place, name).await;
}

async fn restore_over(client: proximity_pve::Client, place: ContainerRef, restore: RestoreLxc) {
    let _ = client.restore_lxc_over(place, restore).await;
}

fn main() {}
