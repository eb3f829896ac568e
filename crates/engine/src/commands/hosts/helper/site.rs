//! The nodes of a host entry, with root's shell on them.

use futures::{StreamExt, stream};
use proximity_domain::names::NodeName;
use proximity_pve::guest::GuestError;
use proximity_pve::guest::ssh::{NodeLook, NodeRoot};
use proximity_store::records::{HostRecord, SshAccess, SshKind, SshNode};
use secrecy::SecretString;

use super::super::wish::{invalid, not_openssh};
use super::{HelperOnNode, HelperState};
use crate::cluster::addresses;
use crate::error::EngineError;

/// Nodes looked at at the same time.
const AT_A_TIME: usize = 8;

/// The nodes that are meant, and the way to them.
pub(super) struct Site {
    pub(super) nodes: Vec<SshNode>,
    pub(super) root: NodeRoot,
}

/// A node and what was found there.
pub(super) type Seen = (SshNode, Result<NodeLook, GuestError>);

impl Site {
    /// The named nodes of the entry, or all.
    ///
    /// # Errors
    /// A node that the entry has no SSH of; a key that cannot be used, or none where one is needed.
    pub(super) fn of(
        record: &HostRecord,
        access: &SshAccess,
        names: &[String],
        given: Option<&SecretString>,
    ) -> Result<Self, EngineError> {
        let nodes = chosen(access, names)?;
        let key = match (given, access.kind) {
            (Some(key), _) => key,
            (None, SshKind::Plain) => &access.private_key,
            (None, SshKind::Helper) => {
                let message = format!(
                    "the key of host {} leads to the helper alone, which cannot be changed over it; give a key that root on \
                     the nodes takes",
                    record.label
                );
                return Err(invalid("private_key", message));
            }
        };
        let unusable = |why| EngineError::Upstream {
            code: "host_unusable",
            message: format!("host {}: {why}", record.label),
            hint: "set the node's SSH anew with: proximity hosts ssh HOST NODE".to_owned(),
        };
        let places = addresses(&nodes).map_err(unusable)?;
        let root = NodeRoot::new(key, places).map_err(|_| match given {
            Some(_) => not_openssh(),
            None => unusable("its SSH key cannot be used".to_owned()),
        })?;
        Ok(Self { nodes, root })
    }

    /// Looks at all nodes.
    pub(super) async fn look(&self) -> Vec<Seen> {
        let looks = stream::iter(self.nodes.iter().cloned()).map(async |at| {
            let look = self.root.look(&at.node).await;
            (at, look)
        });
        looks.buffered(AT_A_TIME).collect().await
    }
}

fn chosen(access: &SshAccess, names: &[String]) -> Result<Vec<SshNode>, EngineError> {
    if access.nodes.is_empty() {
        let message =
            "the host entry has no SSH of any node; tell it with: proximity hosts ssh HOST NODE";
        return Err(invalid("nodes", message));
    }
    if names.is_empty() {
        return Ok(access.nodes.clone());
    }
    for name in names {
        if !access.nodes.iter().any(|at| at.node.as_str() == name) {
            let message = format!(
                "the host entry has no SSH of a node {name}; tell it with: proximity hosts ssh HOST {name}"
            );
            return Err(invalid("nodes", message));
        }
    }
    let named = access.nodes.iter();
    let named = named.filter(|at| names.iter().any(|name| name == at.node.as_str()));
    Ok(named.cloned().collect())
}

fn untrusted(error: &GuestError) -> EngineError {
    EngineError::Upstream {
        code: "ssh_host_key_mismatch",
        message: format!("{error}; nothing was changed on any node"),
        hint: "compare both with what the node says itself (ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub); if it has a \
               new key, give it with: proximity hosts ssh HOST NODE --host-key KEY"
            .to_owned(),
    }
}

/// Refuses what no node may be changed for: another host key, an account that may not write there, no PVE, another machine than the program is for.
///
/// # Errors
/// The first node that does not fit.
pub(super) fn check(seen: &[Seen], machine: Option<&str>) -> Result<(), EngineError> {
    for (at, look) in seen {
        let look = match look {
            Ok(look) => look,
            Err(error @ GuestError::Untrusted { .. }) => return Err(untrusted(error)),
            // It may be down; that is no reason to leave the others as they are.
            Err(_) => continue,
        };
        let node = &at.node;
        if !look.is_writable || look.pct.is_none() {
            return Err(EngineError::Upstream {
                code: "ssh_no_pct",
                message: format!(
                    "node {node} at {}: account {} finds {} and {} write to {}; nothing was changed on any node",
                    at.address,
                    look.account,
                    look.pct.as_deref().unwrap_or("no pct"),
                    if look.is_writable { "may" } else { "may not" },
                    look.folder,
                ),
                hint: "this must be a PVE node, and the key must be one of root's".to_owned(),
            });
        }
        if let Some(machine) = machine
            && look.machine != machine
        {
            return Err(EngineError::Upstream {
                code: "helper_other_machine",
                message: format!(
                    "node {node} is {}, and the helper of this server is for {machine}; nothing was changed on any node",
                    look.machine
                ),
                hint: "use a build of Proximity that ships the helper for the nodes".to_owned(),
            });
        }
    }
    Ok(())
}

impl HelperOnNode {
    /// As it was found.
    pub(super) fn seen(at: &SshNode, look: &Result<NodeLook, GuestError>) -> Self {
        let (look, trouble) = match look {
            Ok(look) => (Some(look), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let program = |look: &NodeLook| format!("{}/proximity-node-helper", look.folder);
        Self {
            node: at.node.clone(),
            address: at.address.clone(),
            host_key: at.host_key.clone(),
            state: match trouble {
                None => HelperState::Seen,
                Some(_) => HelperState::Unfinished,
            },
            program: look.map(program),
            sha256_before: look.and_then(|look| look.program.clone()),
            keys_file: look.map(|look| look.keys_file.clone()),
            line: None,
            version: None,
            trouble,
        }
    }

    /// What was in the way.
    pub(super) fn stopped(&mut self, error: &impl ToString) {
        self.state = HelperState::Unfinished;
        self.trouble = Some(error.to_string());
    }
}

/// The nodes that are not finished.
pub(super) fn unfinished(nodes: &[HelperOnNode]) -> Vec<&NodeName> {
    let open = nodes
        .iter()
        .filter(|on| on.state == HelperState::Unfinished);
    open.map(|on| &on.node).collect()
}

/// Names with commas.
pub(super) fn names(nodes: &[&NodeName]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(node: &str) -> SshNode {
        SshNode {
            node: node.parse().unwrap(),
            address: "192.0.2.1:22".to_owned(),
            host_key: "ssh-ed25519 AAAA".to_owned(),
        }
    }

    fn look() -> NodeLook {
        NodeLook {
            account: "root".to_owned(),
            machine: "aarch64".to_owned(),
            pct: Some("/usr/sbin/pct".to_owned()),
            folder: "/usr/local/sbin".to_owned(),
            is_writable: true,
            program: None,
            keys_file: "/etc/pve/priv/authorized_keys".to_owned(),
            keys: None,
        }
    }

    fn down() -> GuestError {
        GuestError::NotSent {
            node: "pve2".to_owned(),
            why: "no route".to_owned(),
        }
    }

    #[test]
    fn a_node_that_does_not_fit_is_named_and_one_that_is_down_holds_nobody_up() {
        let code = |look: Result<NodeLook, GuestError>| {
            let seen = [(at("pve2"), Err(down())), (at("pve1"), look)];
            check(&seen, Some("aarch64")).map_err(|error| {
                assert!(error.to_string().contains("pve1"), "{error}");
                error.code()
            })
        };
        assert_eq!(code(Ok(look())), Ok(()));
        assert_eq!(code(Err(down())), Ok(()));
        let other = NodeLook {
            machine: "x86_64".to_owned(),
            ..look()
        };
        assert_eq!(code(Ok(other)), Err("helper_other_machine"));
        let read_only = NodeLook {
            is_writable: false,
            ..look()
        };
        assert_eq!(code(Ok(read_only)), Err("ssh_no_pct"));
        let stranger = NodeLook {
            pct: None,
            ..look()
        };
        assert_eq!(code(Ok(stranger)), Err("ssh_no_pct"));
        let other_key = GuestError::Untrusted {
            node: "pve1".to_owned(),
            seen: "a".to_owned(),
            pinned: "b".to_owned(),
        };
        assert_eq!(code(Err(other_key)), Err("ssh_host_key_mismatch"));
    }
}
