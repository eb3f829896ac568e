//! One look at a cluster: three requests, read whole or worth nothing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{
    CompleteInventory, DirectRead, Expected, Face, Incomplete, Inventory, Kind, ListedPower,
    NodeSeen, SeenGuest, Sight,
};
use proximity_pve::cluster::{ClusterStatus, GuestKind, GuestStatus};
use proximity_pve::guest_list::{GuestList, ListedGuest};
use proximity_pve::transport::{says_not_answered, says_out_of_files};
use proximity_pve::{Error as PveError, ReadClient};
use proximity_store::records::{Endpoint, HostRecord, TlsTrust};
use tokio::time::{Instant, timeout};

use super::Site;
use super::patience::PATIENCE;
use crate::error::OUT_OF_FILES_HINT;
use crate::view::{cluster_name, is_word_of};

const AUDIT: &str = "VM.Audit";
/// With it on `/` the cluster's list of tasks shows those of all; to a token without it none.
const TASKS_AUDIT: &str = "Sys.Audit";
/// Where what counts for all is allowed.
const ROOT: &str = "/";
/// How often a look is begun anew because another endpoint was asked first meanwhile.
pub(super) const TRIES: u32 = 3;
/// What a look sends.
pub(super) const REQUESTS: usize = 3;

/// A complete look, and what it told besides.
pub(super) struct Look {
    pub(super) inventory: CompleteInventory,
    /// Checksum of what of it does not change by itself: the list's, and which nodes are reached. Of use within one process.
    pub(super) sum: u64,
    /// How often another endpoint had been asked first: as long as that stays, what is asked is the word of the same one.
    pub(super) moves: u64,
    /// The token sees the tasks of all in the cluster's list.
    pub(super) shows_tasks: bool,
}

/// What the token may see.
struct Rights {
    guests: Sight,
    tasks: bool,
}

/// Membership, the token's rights, then the list. Anything that is not answered, or not understood, makes no look at all.
///
/// # Errors
/// Why there is no complete look, and what to do about it, for people.
pub(super) async fn look(site: &Site) -> Result<CompleteInventory, String> {
    Ok(whole(site).await?.inventory)
}

/// The same, with what it told besides.
///
/// # Errors
/// As [`look`].
pub(super) async fn whole(site: &Site) -> Result<Look, String> {
    let Site { host, read, .. } = site;
    let label = host.label.as_str();
    // Beside the list, which takes longest, for a cluster that is far away; where it is near, the list follows over the same
    // connection: another one would wake us more often than it saves time. All of it is to be the word of one endpoint.
    let mut tries = 0;
    let (status, rights, list, endpoint, moves) = loop {
        let moves = read.moves();
        let endpoint = read.first();
        let is_near = read.is_near();
        let beside = async {
            match is_near {
                true => None,
                false => Some(read.guest_list().await),
            }
        };
        let (told, list) = futures::join!(of_the_cluster(site), beside);
        let (status, rights) = told.map_err(|e| unanswered(&e, label))?;
        // Who does not answer is asked nothing more.
        let goes_on = rights.is_ok();
        let list = match list {
            None if goes_on => Some(read.guest_list().await),
            list => list,
        };
        if read.moves() == moves {
            let rights = rights.map_err(|e| unanswered(&e, label))?;
            if let Some(list) = list {
                let list = list.map_err(|e| unanswered(&e, label))?;
                break (status, rights, list, endpoint, moves);
            }
        }
        tries += 1;
        if tries == TRIES {
            return Err(by_turns(label));
        }
    };
    let sum = sum(&status, &list);
    let look = complete(host, endpoint, status, rights.guests, list);
    let inventory = look.map_err(|e| format!("{e}; {}", mend(&e, label)))?;
    Ok(Look {
        inventory,
        sum,
        moves,
        shows_tasks: rights.tasks,
    })
}

/// What is said where another endpoint was asked first each time.
pub(super) fn by_turns(label: &str) -> String {
    format!(
        "its endpoints answered by turns, so that nothing is the word of one of them; see which one is slow: \
         proximity doctor --host {label}"
    )
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
pub(super) fn complete(
    host: &HostRecord,
    endpoint: usize,
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
        at: host.endpoints.get(endpoint).and_then(node_at),
        cluster: status.name,
        quorate: status.quorate,
        nodes: nodes.collect(),
        list_nodes: list.nodes,
        list_pools: list.pools,
        guests: list.guests.into_iter().map(seen).collect(),
    };
    let expected = Expected {
        cluster: cluster_name(&host.cluster_key),
        known_nodes: &host.known_nodes,
    };
    inventory.complete(&expected, sight)
}

/// The node that is asked at this endpoint, if it is on record and no other can be: what a look asks may go over several
/// connections, and a name lead each of them to another node.
pub(super) fn node_at(endpoint: &Endpoint) -> Option<NodeName> {
    let leads_to_one = match endpoint.trust {
        TlsTrust::Fingerprint { .. } => true,
        TlsTrust::Ca { .. } | TlsTrust::System => is_address(&endpoint.url),
    };
    endpoint.node.clone().filter(|_| leads_to_one)
}

/// Whether the host of this URL (`https://HOST[:PORT]`) is an IP address.
fn is_address(url: &str) -> bool {
    let Some((_, place)) = url.split_once("://") else {
        return false;
    };
    let place = place.trim_end_matches('/');
    match place.strip_prefix('[') {
        Some(bracketed) => bracketed
            .split_once(']')
            .is_some_and(|(host, _)| host.parse::<Ipv6Addr>().is_ok()),
        None => {
            let host = place.split_once(':').map_or(place, |(host, _)| host);
            host.parse::<Ipv4Addr>().is_ok()
        }
    }
}

/// The node whose answer this is, if it says which one it is.
pub(super) fn answered_by(status: &ClusterStatus) -> Option<&NodeName> {
    let local = status.nodes.iter().find(|node| node.local);
    local.map(|node| &node.name)
}

/// Its membership, and then whether the token may see it all: one after the other, for what is asked side by side needs a
/// connection each, with a handshake that costs more than the call.
async fn of_the_cluster(
    site: &Site,
) -> Result<(ClusterStatus, Result<Rights, PveError>), PveError> {
    let Site { host, read, .. } = site;
    let is_word = |status: &ClusterStatus| is_word_of(host, status).is_ok();
    let status = read.cluster_status_by(is_word).await?;
    Ok((status, rights(read).await))
}

async fn rights(read: &ReadClient) -> Result<Rights, PveError> {
    let held = read.permissions(Some(ROOT)).await?;
    let held = held.get(ROOT);
    Ok(Rights {
        guests: if held.is_some_and(|p| p.propagates(AUDIT)) {
            Sight::All
        } else {
            Sight::NotAll
        },
        tasks: held.is_some_and(|p| p.contains(TASKS_AUDIT)),
    })
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

fn seen(row: ListedGuest) -> SeenGuest {
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
            limits: row.limits,
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

/// Whether the token may see this very guest.
pub(super) async fn may_see(read: &ReadClient, vmid: Vmid) -> Result<Sight, PveError> {
    holds(read, &format!("/vms/{vmid}"), AUDIT).await
}

/// Whether the token holds this privilege at this very path.
pub(super) async fn holds(
    read: &ReadClient,
    path: &str,
    privilege: &str,
) -> Result<Sight, PveError> {
    let held = read.permissions(Some(path)).await?;
    let may = held.get(path).is_some_and(|p| p.contains(privilege));
    Ok(if may { Sight::All } else { Sight::NotAll })
}

/// As [`may_see`], for a pass: an answer is waited for as long as for that of one node.
///
/// # Errors
/// Why it was not read.
pub(super) async fn sight_of(read: &ReadClient, vmid: Vmid) -> Result<Sight, String> {
    let sight = may_see(&read.patient(PATIENCE), vmid).await;
    sight.map_err(|e| e.to_string())
}

/// Asks one node for the guest's configuration.
///
/// `None`: it did not answer in time. That the calls before this one take theirs is not held against it.
pub(crate) async fn direct(read: &ReadClient, node: &NodeName, vmid: Vmid) -> Option<DirectRead> {
    let read = read.patient(PATIENCE);
    match read.lxc_config(node, vmid).await {
        Ok(_) => Some(DirectRead::Exists),
        Err(e) if e.is_missing_config() => Some(DirectRead::DoesNotExist(node.clone())),
        Err(PveError::NotSent { why, .. }) if says_not_answered(&why) => None,
        Err(_) => Some(DirectRead::Unknown),
    }
}

/// As [`direct`], and never longer than three times as long as an answer is waited for, so that a node with calls before this one holds up
/// nobody else either. `None` then as well, unless it answered any call meanwhile.
pub(super) async fn direct_soon(
    read: &ReadClient,
    node: &NodeName,
    vmid: Vmid,
) -> Option<DirectRead> {
    let begun = Instant::now();
    match timeout(3 * PATIENCE, direct(read, node, vmid)).await {
        Ok(said) => said,
        // It is at work on other calls of ours.
        Err(_) if read.heard(node).is_some_and(|at| at > begun) => Some(DirectRead::Unknown),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use proximity_pve::transport::{RawResponse, Request, Transport, TransportError, answered};
    use serde_json::json;
    use tokio::time::sleep;

    use super::*;

    /// A node at which a call waits so long for its turn, and that answers then, or never.
    #[derive(Debug)]
    struct Busy {
        turn_after: Duration,
        hangs: bool,
        /// When it last answered another call of ours.
        heard: Option<Instant>,
    }

    #[async_trait]
    impl Transport for Busy {
        async fn send(&self, request: Request) -> Result<RawResponse, TransportError> {
            sleep(self.turn_after).await;
            let answer = async {
                if self.hangs {
                    std::future::pending::<()>().await;
                }
                let message = "Configuration file 'nodes/pve3/lxc/101.conf' does not exist";
                Ok(RawResponse {
                    status: 500,
                    reason: message.to_owned(),
                    body: json!({ "data": null, "message": message })
                        .to_string()
                        .into(),
                })
            };
            answered(request.answer_ms, answer).await
        }

        fn heard(&self, _node: &NodeName) -> Option<Instant> {
            self.heard
        }
    }

    /// What waits for calls of ours that are answered is no sign of a node that hangs.
    #[tokio::test(start_paused = true)]
    async fn a_node_at_which_a_call_waits_for_its_turn_is_not_silent() {
        let node: NodeName = "pve3".parse().unwrap();
        let vmid = Vmid::try_from(101).unwrap();
        let turn_after = 4 * PATIENCE;
        let ask = async |hangs| {
            let read = ReadClient::new(Arc::new(Busy {
                turn_after,
                hangs,
                heard: None,
            }));
            direct(&read, &node, vmid).await
        };
        let denied = DirectRead::DoesNotExist(node.clone());
        assert_eq!(ask(false).await, Some(denied));
        let begun = Instant::now();
        assert_eq!(ask(true).await, None);
        assert_eq!(begun.elapsed(), turn_after + PATIENCE);
    }

    /// Behind a name there may be several, each with the next connection.
    #[test]
    fn an_endpoint_is_a_node_s_own_where_it_leads_to_one_alone() {
        let pin = TlsTrust::Fingerprint {
            sha256: "AA".to_owned(),
        };
        let ca = TlsTrust::Ca { pem: String::new() };
        for (url, trust, own) in [
            ("https://pve1:8006", &pin, true),
            ("https://pve1:8006", &ca, false),
            ("https://pve1", &TlsTrust::System, false),
            ("https://192.0.2.10.example:8006", &TlsTrust::System, false),
            ("https://192.0.2.10", &TlsTrust::System, true),
            ("https://192.0.2.10:8006/", &ca, true),
            ("https://[2001:db8::1]:8006", &TlsTrust::System, true),
            ("https://[2001:db8::1]", &ca, true),
            ("https://[pve1]:8006", &ca, false),
        ] {
            let mut endpoint = Endpoint {
                url: url.to_owned(),
                node: Some("pve1".parse().unwrap()),
                trust: trust.clone(),
            };
            let node = endpoint.node.clone().filter(|_| own);
            assert_eq!(node_at(&endpoint), node, "{url} {trust:?}");
            endpoint.node = None;
            assert_eq!(node_at(&endpoint), None);
        }
    }

    /// Who does not answer, or with an error, has not said that the token may not see it.
    #[tokio::test(start_paused = true)]
    async fn a_right_that_was_not_read_is_no_right_that_is_lacking() {
        let vmid = Vmid::try_from(101).unwrap();
        let ask = async |hangs| {
            let read = ReadClient::new(Arc::new(Busy {
                turn_after: Duration::ZERO,
                hangs,
                heard: None,
            }));
            sight_of(&read, vmid).await
        };
        let refused = ask(false).await.unwrap_err();
        assert!(refused.contains("PVE answered 500"), "{refused}");
        let begun = Instant::now();
        let silent = ask(true).await.unwrap_err();
        assert!(says_not_answered(&silent), "{silent}");
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    /// A pass is for all clusters: none of them waits for the turns at one node.
    #[tokio::test(start_paused = true)]
    async fn a_pass_waits_for_a_turn_no_longer_than_nine_seconds() {
        let node: NodeName = "pve3".parse().unwrap();
        let vmid = Vmid::try_from(101).unwrap();
        let ask = async |turn_after, heard| {
            let read = ReadClient::new(Arc::new(Busy {
                turn_after,
                hangs: false,
                heard,
            }));
            direct_soon(&read, &node, vmid).await
        };
        let denied = DirectRead::DoesNotExist(node.clone());
        assert_eq!(ask(2 * PATIENCE, None).await, Some(denied));
        let begun = Instant::now();
        assert_eq!(ask(5 * PATIENCE, None).await, None, "it hangs");
        assert_eq!(begun.elapsed(), 3 * PATIENCE);
        let before = Some(begun);
        assert_eq!(ask(5 * PATIENCE, before).await, None, "it hangs since");
        let meanwhile = Some(Instant::now() + PATIENCE);
        let is_busy = Some(DirectRead::Unknown);
        assert_eq!(ask(5 * PATIENCE, meanwhile).await, is_busy);
    }

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
