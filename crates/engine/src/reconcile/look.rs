//! One look at a cluster: three requests, read whole or worth nothing; and the looks of its other nodes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use futures::future::join_all;
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{
    CompleteInventory, DirectRead, Expected, Face, Incomplete, Inventory, Kind, ListedPower,
    NodeSeen, SeenGuest, Sight,
};
use proximity_pve::cluster::{ClusterStatus, GuestKind, GuestStatus};
use proximity_pve::guest_list::{GuestList, ListedGuest};
use proximity_pve::transport::says_out_of_files;
use proximity_pve::{Error as PveError, ReadClient};
use proximity_store::records::HostRecord;
use tokio::time::timeout;

use super::Site;
use super::patience::patiently;
use crate::error::OUT_OF_FILES_HINT;
use crate::view::{cluster_name, is_word_of};

const AUDIT: &str = "VM.Audit";
/// How often a look is begun anew because another endpoint was asked first meanwhile.
const TRIES: u32 = 3;
/// What a look sends.
pub(super) const REQUESTS: usize = 3;
/// For all that another node says.
const PATIENCE_WITH_ANOTHER: Duration = Duration::from_secs(8);

/// Membership, the token's rights, then the list. Anything that is not answered, or not understood, makes no look at all.
///
/// # Errors
/// Why there is no complete look, and what to do about it, for people.
pub(super) async fn look(site: &Site) -> Result<CompleteInventory, String> {
    Ok(look_and_sum(site).await?.0)
}

/// The same, with a checksum of what of it does not change by itself: the list's, and which nodes are reached. Of use within one
/// process.
///
/// # Errors
/// As [`look`].
pub(super) async fn look_and_sum(site: &Site) -> Result<(CompleteInventory, u64), String> {
    let Site { host, read, .. } = site;
    let label = host.label.as_str();
    // Beside the list, which takes longest, for a cluster that is far away; all of it is to be the word of one endpoint.
    let mut tries = 0;
    let (status, sight, list) = loop {
        let moves = read.moves();
        let (told, list) = futures::join!(of_the_cluster(site), read.guest_list());
        let (status, sight) = told.map_err(|e| unanswered(&e, label))?;
        if read.moves() == moves {
            let sight = sight.map_err(|e| unanswered(&e, label))?;
            break (status, sight, list.map_err(|e| unanswered(&e, label))?);
        }
        tries += 1;
        if tries == TRIES {
            return Err(format!(
                "its endpoints answered by turns, so that nothing is the word of one of them; see which one is slow: \
                 proximity doctor --host {label}"
            ));
        }
    };
    let sum = sum(&status, &list);
    let look = complete(host, status, sight, list);
    let look = look.map_err(|e| format!("{e}; {}", mend(&e, label)))?;
    Ok((look, sum))
}

fn sum(status: &ClusterStatus, list: &GuestList) -> u64 {
    let mut sum = DefaultHasher::new();
    for node in &status.nodes {
        (&node.name, node.online).hash(&mut sum);
    }
    list.sum.hash(&mut sum);
    sum.finish()
}

/// What one endpoint said, as a complete look.
fn complete(
    host: &HostRecord,
    status: ClusterStatus,
    sight: Sight,
    list: GuestList,
) -> Result<CompleteInventory, Incomplete> {
    let by = answered_by(&status).cloned();
    let nodes = status.nodes.into_iter().map(|n| NodeSeen {
        name: n.name,
        online: n.online,
    });
    let inventory = Inventory {
        host: host.id,
        by,
        cluster: status.name,
        quorate: status.quorate,
        nodes: nodes.collect(),
        list_nodes: list.nodes,
        list_pools: list.pools,
        guests: list.guests.iter().map(seen).collect(),
    };
    let expected = Expected {
        cluster: cluster_name(&host.cluster_key),
        known_nodes: &host.known_nodes,
    };
    inventory.complete(&expected, sight)
}

/// The node whose answer this is, if it says which one it is.
pub(crate) fn answered_by(status: &ClusterStatus) -> Option<&NodeName> {
    let local = status.nodes.iter().find(|node| node.local);
    local.map(|node| &node.name)
}

/// The complete looks of other nodes than `by`, each through one of these endpoints: at most three requests to each. One that
/// does not answer in time, has no quorum, or is another cluster's by now gives none.
pub(crate) async fn of_others(
    host: &HostRecord,
    by: Option<&NodeName>,
    endpoints: Vec<ReadClient>,
) -> Vec<CompleteInventory> {
    let mut asked = Vec::new();
    for read in endpoints {
        asked.push(of_another(host, by, read));
    }
    join_all(asked).await.into_iter().flatten().collect()
}

async fn of_another(
    host: &HostRecord,
    by: Option<&NodeName>,
    read: ReadClient,
) -> Option<CompleteInventory> {
    let said = match timeout(PATIENCE_WITH_ANOTHER, said_by_another(host, by, &read)).await {
        Ok(said) => said,
        Err(_) => Err("it has not answered in time".to_owned()),
    };
    said.unwrap_or_else(|why| {
        tracing::debug!(host = %host.label, why, "the word of another node was not to be had");
        None
    })
}

/// Nothing, if it is the word of no other node.
async fn said_by_another(
    host: &HostRecord,
    by: Option<&NodeName>,
    read: &ReadClient,
) -> Result<Option<CompleteInventory>, String> {
    let status = read.cluster_status().await.map_err(|e| e.to_string())?;
    let another = answered_by(&status);
    if another.is_none() || another == by {
        return Ok(None);
    }
    is_word_of(host, &status).map_err(|gap| gap.text(host.label.as_str()))?;
    let sight = sight(read, "/").await.map_err(|e| e.to_string())?;
    let list = read.guest_list().await.map_err(|e| e.to_string())?;
    let look = complete(host, status, sight, list);
    look.map(Some).map_err(|e| e.to_string())
}

/// Its membership, and then whether the token may see it all: one after the other, for what is asked side by side needs a
/// connection each, with a handshake that costs more than the call.
async fn of_the_cluster(site: &Site) -> Result<(ClusterStatus, Result<Sight, PveError>), PveError> {
    let Site { host, read, .. } = site;
    let is_word = |status: &ClusterStatus| is_word_of(host, status).is_ok();
    let status = read.cluster_status_by(is_word).await?;
    Ok((status, sight(read, "/").await))
}

/// What is said of a call of the look that brought no answer, and what a person does. The next look comes by itself.
pub(super) fn unanswered(error: &PveError, label: &str) -> String {
    let doctor = format!("proximity doctor --host {label}");
    let step = match error {
        PveError::Refused { .. } if error.is_permission_denied() => {
            format!("give the token that right; {doctor} shows the command")
        }
        PveError::Refused { .. } if error.is_node_unreachable() => {
            format!(
                "see whether that node is up and reachable from the others; {doctor} asks each one"
            )
        }
        PveError::Refused { .. } => {
            format!(
                "read PVE's message, and what its log on that node says; {doctor} asks each node"
            )
        }
        PveError::NotSent { why, .. } if says_out_of_files(why) => OUT_OF_FILES_HINT.to_owned(),
        PveError::NotSent { .. } => {
            format!("see which of its addresses answers, and how fast: {doctor}")
        }
        PveError::Untrusted { .. } => format!(
            "compare the certificate with `pvenode cert info` on the node; if it was renewed: proximity hosts trust {label}"
        ),
        PveError::Unauthorized { .. } => {
            format!(
                "see in PVE whether the token was deleted or has expired; {doctor} shows which one"
            )
        }
        PveError::SecondFactor { .. } => {
            "record the host with an API token, which needs no second factor".to_owned()
        }
        PveError::Unreadable { .. } => {
            format!(
                "see whether its version of PVE is a supported one: {doctor}; if it is, report this as a bug"
            )
        }
        // Nothing that reads is in doubt or takes a permit.
        PveError::MaybeApplied { .. } | PveError::PermitExpired => {
            "report this as a bug; the next look asks again".to_owned()
        }
    };
    format!("{error}; {step}")
}

/// What a person does about a look that is not complete.
fn mend(why: &Incomplete, label: &str) -> String {
    match why {
        Incomplete::NoQuorum => "bring the cluster back to quorum".to_owned(),
        Incomplete::OtherCluster { .. } => {
            format!("see which cluster answers at its addresses: proximity doctor --host {label}")
        }
        Incomplete::Unlisted(node) => format!(
            "if it has left for good: proximity hosts forget-node {label} {node}, else bring it back into the cluster"
        ),
        Incomplete::MayNotSeeAll => {
            format!("give it that right; proximity doctor --host {label} shows the command")
        }
        Incomplete::Stray(node) => format!(
            "if it joins just now, the next look tells; if it was removed, its containers' configurations were left behind: on a \
             member move those that are needed from /etc/pve/nodes/{node} to a node that lives, then delete that folder"
        ),
        Incomplete::Twice(_) => {
            "the next look tells whether that lasts; if it does, look at the cluster".to_owned()
        }
    }
}

fn seen(row: &ListedGuest) -> SeenGuest {
    let power = match row.status {
        GuestStatus::Running => ListedPower::Running,
        GuestStatus::Stopped => ListedPower::Stopped,
        GuestStatus::Unknown => ListedPower::Unknown,
    };
    SeenGuest {
        vmid: row.vmid,
        node: row.node,
        kind: match row.kind {
            GuestKind::Lxc => Kind::Container,
            GuestKind::Qemu => Kind::Machine,
        },
        power,
        pool: row.pool,
        face: row.words.map(|words| Face {
            words,
            power,
            uptime_s: row.uptime_s,
            disk_mib: row.disk_mib,
            in_the_making: row.in_the_making,
        }),
    }
}

/// Whether the token may see all guests below `path`.
pub(crate) async fn sight(read: &ReadClient, path: &str) -> Result<Sight, PveError> {
    let held = read.permissions(Some(path)).await?;
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
///
/// `None`: it did not answer in time.
pub(crate) async fn direct(read: &ReadClient, node: &NodeName, vmid: Vmid) -> Option<DirectRead> {
    Some(match patiently(read.lxc_config(node, vmid)).await? {
        Ok(_) => DirectRead::Exists,
        Err(e) if e.is_missing_config() => DirectRead::DoesNotExist(node.clone()),
        Err(_) => DirectRead::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> PveError {
        PveError::Refused {
            call: "GET /cluster/resources".to_owned(),
            status,
            reason: message.to_owned(),
            message: message.to_owned(),
            errors: Default::default(),
        }
    }

    /// Whatever a call came to nothing for is told as PVE or the way to it said it, with a step that can be taken.
    #[test]
    fn a_call_without_an_answer_is_told_with_what_to_do() {
        let call = || "GET /cluster/resources".to_owned();
        let why = || "timed out after 10 s".to_owned();
        let asked = "proximity doctor --host lab";
        for (error, step) in [
            (
                refused(403, "Permission check failed"),
                "give the token that right",
            ),
            (refused(595, "No route to host"), "whether that node is up"),
            (refused(500, "got timeout"), "read PVE's message"),
            (
                PveError::NotSent {
                    call: call(),
                    why: why(),
                },
                asked,
            ),
            (
                PveError::Untrusted {
                    call: call(),
                    why: why(),
                    seen: None,
                },
                "proximity hosts trust lab",
            ),
            (
                PveError::Unauthorized {
                    call: call(),
                    reason: why(),
                },
                asked,
            ),
            (
                PveError::SecondFactor {
                    call: call(),
                    accepts: vec![],
                },
                "API token",
            ),
            (
                PveError::Unreadable {
                    call: call(),
                    why: why(),
                },
                asked,
            ),
        ] {
            let text = unanswered(&error, "lab");
            let next = text.strip_prefix(&format!("{error}; "));
            assert!(next.is_some_and(|next| next.contains(step)), "{text}");
        }
    }
}
