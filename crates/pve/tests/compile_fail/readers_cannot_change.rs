//! A reading client has no call that changes anything.

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;

async fn stop(read: proximity_pve::ReadClient, node: NodeName, vmid: Vmid) {
    let _ = read.stop(&node, vmid).await;
}

fn main() {}
