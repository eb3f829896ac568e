//! What a cluster's answer is worth: whether it is the word of the entry's own cluster, and whether it is whole.

use std::collections::BTreeSet;

use proximity_domain::names::NodeName;
use proximity_pve::cluster::{ClusterNode, ClusterStatus};
use proximity_pve::error::Error as PveError;
use proximity_store::records::HostRecord;

use crate::cluster::Cluster;

/// Why an answer is believed in nothing, or not in what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gap {
    /// The node that answers has no quorum: what it says may be old.
    NoQuorum,
    /// The node that answers is in another cluster, or in none, by now.
    OtherCluster {
        entry: String,
        answers: Option<String>,
    },
    /// Nodes on record that the answer does not list: they may have left for good, or the one that answers has.
    Unlisted(Vec<NodeName>),
}

/// The cluster's name in the key of a host entry; `None` for a standalone node.
pub(crate) fn cluster_name(key: &str) -> Option<&str> {
    let name = key.strip_prefix("cluster:")?;
    name.split(':').next()
}

/// Whether this is the word of the entry's cluster: from a node with quorum, in a cluster of that name. A standalone node
/// may have made or joined one since.
pub(crate) fn is_word_of(host: &HostRecord, status: &ClusterStatus) -> Result<(), Gap> {
    if !status.quorate {
        return Err(Gap::NoQuorum);
    }
    match cluster_name(&host.cluster_key) {
        Some(name) if status.name.as_deref() != Some(name) => Err(Gap::OtherCluster {
            entry: host.cluster_key.clone(),
            answers: status.name.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Membership by the word of the entry's cluster if any endpoint gives it, whichever is asked first; else by what the first
/// one says.
pub(crate) async fn status(cluster: &Cluster) -> Result<ClusterStatus, PveError> {
    let is_word = |status: &ClusterStatus| is_word_of(cluster.host(), status).is_ok();
    cluster.read().cluster_status_by(is_word).await
}

/// Whether a node can change the cluster's configuration: the answer has quorum, and the node is among those that make it.
/// A destroy at one that was cut off frees the volumes before it fails.
pub(crate) fn has_quorum(status: &ClusterStatus, node: &NodeName) -> bool {
    let there = |n: &ClusterNode| n.name == *node && n.online;
    status.quorate && status.nodes.iter().any(there)
}

/// How a node stands in its cluster that nobody reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A member, and off.
    Off,
    /// No member.
    Left,
}

/// How a node stands by `word`, which is its cluster's, and by what each endpoint `said`. A part of the cluster that was split
/// off may be quorate by itself and lack it: whoever reaches it is believed, with quorum or without.
///
/// # Errors
/// Why it is reached, as a clause.
pub(crate) fn standing(
    node: &NodeName,
    word: &ClusterStatus,
    said: &[ClusterStatus],
) -> Result<Standing, String> {
    let all = || std::iter::once(word).chain(said);
    let of_cluster = || all_of(word, said);
    let others_see = |status| row_of(node, status).is_some_and(|row| row.online && !row.local);
    if of_cluster().any(others_see) {
        return Err("its cluster has it online, so that what is on it is not lost".to_owned());
    }
    if all().any(|status| row_of(node, status).is_some_and(|row| row.local)) {
        return Err("it answers itself, so that what is on it is not lost".to_owned());
    }
    let mut with_quorum = of_cluster().filter(|status| status.quorate);
    let is_member = with_quorum.any(|status| row_of(node, status).is_some());
    Ok(if is_member {
        Standing::Off
    } else {
        Standing::Left
    })
}

/// Every node that `word` or anybody else of its cluster has online, each by its own part: a quorum may be in more than one.
pub(crate) fn online(word: &ClusterStatus, said: &[ClusterStatus]) -> BTreeSet<NodeName> {
    let rows = all_of(word, said).flat_map(|status| &status.nodes);
    let online = rows.filter(|row| row.online);
    online.map(|row| row.name.clone()).collect()
}

/// The nodes on record that nobody of the cluster lists.
pub(crate) fn unlisted(
    host: &HostRecord,
    word: &ClusterStatus,
    said: &[ClusterStatus],
) -> Vec<NodeName> {
    let is_listed =
        |node: &NodeName| all_of(word, said).any(|status| row_of(node, status).is_some());
    let known = host.known_nodes.iter();
    known.filter(|node| !is_listed(node)).cloned().collect()
}

/// What is said by the cluster whose word this is.
fn all_of<'s>(
    word: &'s ClusterStatus,
    said: &'s [ClusterStatus],
) -> impl Iterator<Item = &'s ClusterStatus> {
    let all = std::iter::once(word).chain(said);
    all.filter(move |status| status.name == word.name)
}

fn row_of<'s>(node: &NodeName, status: &'s ClusterStatus) -> Option<&'s ClusterNode> {
    status.nodes.iter().find(|n| n.name == *node)
}

/// As [`is_word_of`], and of all of it: every node on record is listed.
pub(crate) fn is_whole(host: &HostRecord, status: &ClusterStatus) -> Result<(), Gap> {
    is_word_of(host, status)?;
    let listed = |node: &NodeName| status.nodes.iter().any(|n| n.name == *node);
    let known = host.known_nodes.iter();
    let missing: Vec<NodeName> = known.filter(|node| !listed(node)).cloned().collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Gap::Unlisted(missing))
    }
}

impl Gap {
    /// For people; `label` is the entry's.
    pub(crate) fn text(&self, label: &str) -> String {
        match self {
            Self::NoQuorum => "the cluster has no quorum".to_owned(),
            Self::OtherCluster { entry, answers } => {
                let is_in = match answers {
                    Some(name) => format!("in the cluster {name}"),
                    None => "in none".to_owned(),
                };
                format!(
                    "the node that answers is not in the cluster of this entry ({entry}), but {is_in}"
                )
            }
            Self::Unlisted(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
                format!(
                    "the cluster does not list {}, which it had before (if it was removed for good: proximity hosts forget-node {label} NODE)",
                    nodes.join(", ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, online: bool) -> ClusterNode {
        ClusterNode {
            name: name.parse().unwrap(),
            online,
            ip: None,
            local: false,
        }
    }

    #[test]
    fn whoever_reaches_a_node_is_believed_whatever_the_others_say() {
        let pve3: NodeName = "pve3".parse().unwrap();
        let lab = |quorate, nodes: &[ClusterNode]| ClusterStatus {
            name: Some("lab".to_owned()),
            quorate,
            nodes: nodes.to_vec(),
        };
        let of = |word: &ClusterStatus, said: &[ClusterStatus]| standing(&pve3, word, said);
        let (one, off) = (node("pve1", true), node("pve3", false));
        let without = lab(true, std::slice::from_ref(&one));
        let with_it_off = lab(true, &[one.clone(), off.clone()]);
        assert_eq!(of(&without, &[]), Ok(Standing::Left));
        assert_eq!(of(&with_it_off, &[]), Ok(Standing::Off));
        let both = [without.clone(), with_it_off.clone()];
        assert_eq!(of(&without, &both), Ok(Standing::Off), "one lists it yet");
        let cut_off = lab(false, &[one.clone(), off]);
        assert_eq!(of(&without, &[cut_off]), Ok(Standing::Left));

        // The word is that of a part that was split off; or a part without quorum reaches it.
        let online = "its cluster has it online, so that what is on it is not lost";
        for quorate in [true, false] {
            let there = lab(quorate, &[one.clone(), node("pve3", true)]);
            let said = [without.clone(), there];
            assert_eq!(of(&without, &said), Err(online.to_owned()));
        }
        let mut itself = lab(false, &[node("pve3", true)]);
        itself.name = None;
        assert_eq!(of(&without, &[itself.clone()]), Ok(Standing::Left));
        itself.nodes[0].local = true;
        let alone = of(&without, &[itself]).unwrap_err();
        assert!(alone.contains("it answers itself"), "{alone}");
    }

    /// Each part has the other off. Neither is believed in that: whoever has a node online makes it one to be asked.
    #[test]
    fn who_is_online_by_anybody_is_to_be_asked() {
        let part = |name: &str, nodes: &[ClusterNode]| ClusterStatus {
            name: Some(name.to_owned()),
            quorate: true,
            nodes: nodes.to_vec(),
        };
        let word = part("lab", &[node("pve1", true), node("pve3", false)]);
        let other = part("lab", &[node("pve1", false), node("pve3", true)]);
        let stranger = part("barn", &[node("pve9", true)]);
        let names = |nodes: BTreeSet<NodeName>| nodes.into_iter().map(String::from);
        let said = [word.clone(), other, stranger];
        assert!(names(online(&word, &said)).eq(["pve1", "pve3"]));
        assert!(names(online(&word, &said[..1])).eq(["pve1"]));
    }

    #[test]
    fn quorum_is_had_by_those_who_make_it() {
        let mut status = ClusterStatus {
            name: Some("lab".to_owned()),
            quorate: true,
            nodes: vec![node("pve1", true), node("pve2", false)],
        };
        let has = |status: &ClusterStatus, name: &str| has_quorum(status, &name.parse().unwrap());
        assert!(has(&status, "pve1"));
        assert!(!has(&status, "pve2") && !has(&status, "pve3"));
        status.quorate = false;
        assert!(!has(&status, "pve1"));
    }
}
