//! One look at a cluster: three requests, read whole or worth nothing.

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{
    CompleteInventory, DirectRead, Expected, Incomplete, Inventory, Kind, ListedPower, NodeSeen,
    SeenGuest, Sight,
};
use proximity_pve::ReadClient;
use proximity_pve::cluster::{GuestKind, GuestStatus};
use proximity_pve::guest_list::ListedGuest;

use super::Site;
use super::patience::patiently;
use crate::view::{cluster_name, is_word_of};

const AUDIT: &str = "VM.Audit";
/// What a look sends.
pub(super) const REQUESTS: usize = 3;

/// Membership, the token's rights, then the list. Anything that is not answered, or not understood, makes no look at all.
///
/// # Errors
/// Why there is no complete look, for people.
pub(super) async fn look(site: &Site) -> Result<CompleteInventory, String> {
    let Site { host, read, .. } = site;
    let is_word = |status: &_| is_word_of(host, status).is_ok();
    let status = read
        .cluster_status_by(is_word)
        .await
        .map_err(|e| e.to_string())?;
    // The endpoint whose word that was is asked; side by side, for a cluster that is far away.
    let list = async { read.guest_list().await.map_err(|e| e.to_string()) };
    let (sight, list) = futures::future::try_join(sight(read, "/"), list).await?;
    let nodes = status.nodes.into_iter().map(|n| NodeSeen {
        name: n.name,
        online: n.online,
    });
    let inventory = Inventory {
        host: host.id,
        cluster: status.name,
        quorate: status.quorate,
        nodes: nodes.collect(),
        list_nodes: list.nodes,
        guests: list.guests.iter().map(seen).collect(),
    };
    let expected = Expected {
        cluster: cluster_name(&host.cluster_key),
        known_nodes: &host.known_nodes,
    };
    inventory
        .complete(&expected, sight)
        .map_err(|e| format!("{e}; {}", mend(&e, host.label.as_str())))
}

/// What a person does about a look that is not complete.
fn mend(why: &Incomplete, label: &str) -> String {
    match why {
        Incomplete::NoQuorum => "bring the cluster back to quorum".to_owned(),
        Incomplete::OtherCluster { .. } => {
            format!("see with proximity doctor {label} which cluster answers at its addresses")
        }
        Incomplete::Unlisted(node) => format!(
            "if it has left for good: proximity hosts forget-node {label} {node}, else bring it back into the cluster"
        ),
        Incomplete::MayNotSeeAll => {
            format!("give it that right; proximity doctor {label} shows the command")
        }
        Incomplete::Stray(_) | Incomplete::Twice(_) => {
            "the next look tells whether that lasts; if it does, look at the cluster".to_owned()
        }
    }
}

fn seen(row: &ListedGuest) -> SeenGuest {
    SeenGuest {
        vmid: row.vmid,
        node: row.node,
        kind: match row.kind {
            GuestKind::Lxc => Kind::Container,
            GuestKind::Qemu => Kind::Machine,
        },
        power: match row.status {
            GuestStatus::Running => ListedPower::Running,
            GuestStatus::Stopped => ListedPower::Stopped,
            GuestStatus::Unknown => ListedPower::Unknown,
        },
    }
}

/// Whether the token may see all guests below `path`.
async fn sight(read: &ReadClient, path: &str) -> Result<Sight, String> {
    let held = read
        .permissions(Some(path))
        .await
        .map_err(|e| e.to_string())?;
    let all = held.get(path).is_some_and(|p| p.propagates(AUDIT));
    Ok(if all { Sight::All } else { Sight::NotAll })
}

/// Whether the token may see this very guest. What cannot be told is no.
pub(super) async fn sight_of(read: &ReadClient, vmid: Vmid) -> Sight {
    let path = format!("/vms/{vmid}");
    match read.permissions(Some(&path)).await {
        Ok(held) if held.get(&path).is_some_and(|p| p.contains(AUDIT)) => Sight::All,
        Ok(_) | Err(_) => Sight::NotAll,
    }
}

/// Asks one node for the guest's configuration.
pub(super) async fn direct(read: &ReadClient, node: &NodeName, vmid: Vmid) -> DirectRead {
    match patiently(read.lxc_config(node, vmid)).await {
        Some(Ok(_)) => DirectRead::Exists,
        Some(Err(e)) if e.is_missing_config() => DirectRead::DoesNotExist(node.clone()),
        Some(Err(_)) | None => DirectRead::Unknown,
    }
}
