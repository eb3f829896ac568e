//! Membership: quorum, the right cluster, and its nodes.

use proximity_domain::names::NodeName;
use proximity_pve::cluster::ClusterStatus;

use super::super::facts::Facts;
use super::super::finding::Code;
use super::Judge;
use crate::view::{Gap, is_word_of};

pub(super) fn judge(facts: &Facts, judge: &mut Judge) {
    let status = match &facts.status {
        Ok(status) => status,
        Err(why) => {
            let what = format!("membership and quorum were not read: {why}");
            return judge.say(Code::ClusterUnread, "cluster", what, []);
        }
    };
    match is_word_of(&facts.record, status) {
        Ok(()) => {
            let what = match &status.name {
                Some(name) => format!("cluster {name} has quorum"),
                None => "it is a node of its own".to_owned(),
            };
            judge.say(Code::Quorum, "cluster", what, []);
            nodes(facts, status, judge);
        }
        Err(gap @ (Gap::NoQuorum | Gap::Unlisted(_))) => {
            let what = format!(
                "{}: nothing can be deployed, started or removed, and what it says may be old",
                gap.text(facts.record.label.as_str())
            );
            let next = "bring nodes back until more than half are up; see on a node: pvecm status"
                .to_owned();
            judge.say(Code::NoQuorum, "cluster", what, [next]);
            nodes(facts, status, judge);
        }
        Err(gap @ Gap::OtherCluster { .. }) => {
            let what = gap.text(facts.record.label.as_str());
            let next = format!(
                "add that cluster as a host of its own (proximity init); if the recorded one is gone for good: proximity hosts remove {}",
                facts.record.label
            );
            judge.say(Code::OtherCluster, "cluster", what, [next]);
        }
    }
}

fn nodes(facts: &Facts, status: &ClusterStatus, judge: &mut Judge) {
    let label = &facts.record.label;
    for node in &status.nodes {
        let subject = format!("node {}", node.name);
        if node.online {
            judge.say(Code::NodeOnline, subject, "it is up", []);
        } else {
            let what = "it is off, or cut off from its cluster; nothing on it could be looked at";
            let next = format!(
                "bring it back; if it has left for good, take it out of the cluster (pvecm delnode {}), then: proximity hosts forget-node {label} {}",
                node.name, node.name
            );
            judge.say(Code::NodeOffline, subject, what, [next]);
        }
    }
    let is_listed = |name: &NodeName| status.nodes.iter().any(|node| node.name == *name);
    for name in facts
        .record
        .known_nodes
        .iter()
        .filter(|name| !is_listed(name))
    {
        let what = "it is recorded, and its cluster does not list it";
        let next = format!("if it has left for good: proximity hosts forget-node {label} {name}");
        judge.say(Code::NodeUnlisted, format!("node {name}"), what, [next]);
    }
}
