//! The name of a backup is not enough to delete it, nor that of a storage to prune it.

use proximity_domain::backup::Keep;
use proximity_domain::ids::Vmid;
use proximity_domain::names::{NodeName, Volid};

async fn by_name(client: proximity_pve::Client, volid: Volid) {
    let _ = client.delete_backup(volid).await;
}

async fn by_rule(client: proximity_pve::Client, node: NodeName, vmid: Vmid, keep: Keep) {
    let _ = client.prune_backups(node, vmid, keep).await;
}

fn main() {}
