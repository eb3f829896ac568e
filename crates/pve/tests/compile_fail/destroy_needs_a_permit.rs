//! Where a container is, is not enough to destroy it.

use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;

async fn by_place(client: proximity_pve::Client, place: ContainerRef) {
    let _ = client.destroy_lxc(place).await;
}

async fn by_number(client: proximity_pve::Client, node: NodeName, vmid: Vmid) {
    let _ = client.destroy_lxc(node, vmid).await;
}

fn main() {}
