//! Containers that are there from the beginning, made by others, and may be adopted.

use proximity_pve::transport::Method;
use proximity_pve_emulator::core::StrangerLook;

use super::act::{APPS, FOUND, NODES};
use super::cluster::SimCluster;

/// The number of the first one; far from those that are chosen for new ones.
const FIRST: u32 = 900;

/// The number of the container that an app of this number is adopted from, if it is one of those.
pub(super) fn number(app: u8) -> Option<u32> {
    let found = app.checked_sub(APPS).filter(|found| *found < FOUND)?;
    Some(FIRST + u32::from(found))
}

/// Makes them, one on each node in turn, and starts the first.
pub(super) fn make(cluster: &SimCluster) {
    for found in 0..FOUND {
        let (vmid, node) = (
            FIRST + u32::from(found),
            NODES[usize::from(found) % NODES.len()],
        );
        let look = StrangerLook {
            hostname: Some(format!("old{found}")),
            description: Some("somebody's own notes".to_owned()),
            net0: Some(format!(
                "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=BC:24:11:00:00:{found:02X}"
            )),
            second_volume: false,
        };
        cluster.meddle(|world, _, now_ms| {
            // There is such a node.
            let _ = world.stranger_takes_as(vmid, node, &look, now_ms);
        });
        cluster.meddle(|_, ground, _| ground.was_found(vmid));
    }
    let start = format!("/nodes/{}/lxc/{FIRST}/status/start", NODES[0]);
    cluster.somebody_calls(Method::Post, &start, &[]);
}
