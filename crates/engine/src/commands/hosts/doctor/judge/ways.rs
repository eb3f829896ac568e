//! The way into containers on each node.

use proximity_store::records::SshKind;

use super::super::facts::{Facts, NodeFacts, Way};
use super::super::finding::Code;
use super::Judge;

/// This server's version, which a node's helper should have.
const OURS: &str = env!("CARGO_PKG_VERSION");

pub(super) fn judge(facts: &Facts, judge: &mut Judge) {
    let label = &facts.record.label;
    match facts.record.ssh.as_ref().map(|ssh| ssh.kind) {
        None => {
            let what =
                "there is none, so apps that are set up inside their container cannot be deployed";
            let next = format!(
                "with a key that root on the nodes takes, which is used once: proximity hosts install-helper {label} --ssh-key FILE"
            );
            return judge.say(Code::NoGuestAccess, "way into containers", what, [next]);
        }
        Some(SshKind::Plain) => {
            let what = "it is root's shell on the nodes: whoever has the key of this installation is root there";
            let next = format!("proximity hosts install-helper {label}");
            judge.say(Code::RootOnNodes, "way into containers", what, [next]);
        }
        Some(SshKind::Helper) => {}
    }
    for node in &facts.nodes {
        of_node(facts, node, judge);
    }
}

fn of_node(facts: &Facts, node: &NodeFacts, judge: &mut Judge) {
    let label = &facts.record.label;
    let name = &node.name;
    let subject = format!("node {name}");
    let install = format!(
        "with a key that root on the node takes: proximity hosts install-helper {label} --node {name} --ssh-key FILE"
    );
    match &node.way {
        Way::Off => {}
        Way::NotRecorded => {
            let what =
                "no way into its containers is recorded, so it gets no apps that are set up inside";
            let next = format!("proximity hosts ssh {label} {name}");
            judge.say(Code::NodeWithoutSsh, subject, what, [next]);
        }
        Way::NotTried => {
            let what = "whether it lets us in was not tried, for it is off";
            judge.say(Code::NodeEntryUnread, subject, what, []);
        }
        Way::Root => judge.say(
            Code::NodeEntered,
            subject,
            "the key lets us in, and pct is there",
            [],
        ),
        Way::OtherKey(why) => {
            let next = [
                "compare on the node: ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub"
                    .to_owned(),
                format!("if it has a new key: proximity hosts ssh {label} {name} --host-key KEY"),
            ];
            judge.say(Code::NodeOtherHostKey, subject, why.clone(), next);
        }
        Way::Failed(why) => {
            let next = match facts.record.ssh.as_ref().map(|ssh| ssh.kind) {
                Some(SshKind::Helper) => install,
                Some(SshKind::Plain) | None => {
                    format!(
                        "see that SSH listens there and root's authorized_keys has the key of: proximity hosts list --json; then: proximity hosts ssh {label} {name}"
                    )
                }
            };
            judge.say(Code::NodeNotEntered, subject, why.clone(), [next]);
        }
        Way::Helper {
            version,
            installation,
        } => {
            helper(facts, subject, version, installation, install, judge);
        }
    }
}

fn helper(
    facts: &Facts,
    subject: String,
    version: &str,
    installation: &str,
    install: String,
    judge: &mut Judge,
) {
    if installation != facts.mark.0.to_string() {
        let what = format!(
            "its helper serves installation {installation}, not this one ({})",
            facts.mark.0
        );
        judge.say(Code::HelperOfOthers, subject, what, [install]);
    } else if version != OURS {
        let what = format!("its helper is of version {version}, this server of {OURS}");
        judge.say(Code::HelperOtherVersion, subject, what, [install]);
    } else {
        let what = format!("its helper answers, of version {version}");
        judge.say(Code::NodeEntered, subject, what, []);
    }
}
