//! Whether it is the entry's own cluster that answers, and with quorum: only its word counts, and only there may be changed
//! what the entry stands for.

use proximity_pve::cluster::ClusterStatus;
use proximity_store::records::HostRecord;

use super::obstacle;
use crate::error::EngineError;
use crate::nodes::LookError;
use crate::view::is_word_of;

/// The name of the node of which an entry was made, if it stood alone: from `node:NAME:FINGERPRINT`.
pub(super) fn lone_node(key: &str) -> Option<&str> {
    key.strip_prefix("node:")?.split(':').next()
}

/// Refuses an answer that is not the word of the entry's cluster. A node that stood alone may have made or joined a cluster
/// since; then it is still one of its nodes.
///
/// # Errors
/// `no_quorum`, or `view_incomplete` when another cluster answers.
pub(in crate::commands::hosts) fn check_word(
    host: &HostRecord,
    status: &ClusterStatus,
) -> Result<(), EngineError> {
    is_word_of(host, status)
        .map_err(|gap| LookError::NotItsWord(gap).of_host(host.label.as_str()))?;
    let is_there = |name: &str| status.nodes.iter().any(|node| node.name.as_str() == name);
    match lone_node(&host.cluster_key) {
        Some(name) if !is_there(name) => Err(obstacle::another_answers(&host.label, name)),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proximity_pve::cluster::ClusterNode;

    use super::super::super::identity::tests::entry;
    use super::*;

    fn status(name: Option<&str>, node: &str, quorate: bool) -> ClusterStatus {
        ClusterStatus {
            name: name.map(str::to_owned),
            quorate,
            nodes: vec![ClusterNode {
                name: node.parse().unwrap(),
                online: true,
                ip: None,
                local: true,
            }],
        }
    }

    #[test]
    fn only_the_entrys_cluster_with_quorum_is_taken_at_its_word() {
        let code = |key: &str, status: &ClusterStatus| {
            let refused = check_word(&entry("home", key, Vec::new()), status).err();
            refused.map(|error| {
                assert!(!error.hint().is_empty(), "{error}");
                error.code()
            })
        };
        let lab = "cluster:lab:pve1,pve2";
        assert_eq!(code(lab, &status(Some("lab"), "pve1", true)), None);
        let alone = status(Some("lab"), "pve1", false);
        assert_eq!(code(lab, &alone), Some("no_quorum"));
        let barn = status(Some("barn"), "pve1", true);
        assert_eq!(code(lab, &barn), Some("view_incomplete"));
        let none = status(None, "pve1", true);
        assert_eq!(code(lab, &none), Some("view_incomplete"));

        let solo = "node:pve1:AA:BB";
        assert_eq!(code(solo, &none), None);
        assert_eq!(code(solo, &barn), None, "it joined one since");
        assert_eq!(code(solo, &alone), Some("no_quorum"));
        let other = status(None, "pve9", true);
        assert_eq!(code(solo, &other), Some("view_incomplete"));
    }
}
