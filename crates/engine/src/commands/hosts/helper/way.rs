//! The way to the nodes: that of the host entry; where it has none, the one that it will have.

use proximity_pve::guest::ssh::generate_keypair;
use proximity_store::records::{HostRecord, SshAccess, SshKind, SshNode};

use super::super::inventory::NodeSeen;
use super::super::wish::{SshWish, invalid};
use super::super::{AddSsh, ssh};
use super::InstallHelper;
use super::install::ROOT;
use crate::engine::Engine;
use crate::error::EngineError;

/// The way to the nodes.
pub(super) struct Way {
    pub(super) access: SshAccess,
    /// What is worth knowing of it.
    pub(super) notes: Vec<String>,
}

impl Engine {
    /// That of the entry, or one looked for: the nodes as the cluster tells of them, with the host keys they show, and a key
    /// made for the helper.
    ///
    /// # Errors
    /// Nodes' addresses or host keys are given, and the entry has its own; no key of root's is given, and the entry has no
    /// way; the cluster cannot be asked; a node's SSH does not answer, or shows another key than the given one.
    pub(super) async fn way(
        &self,
        record: &HostRecord,
        request: &InstallHelper,
    ) -> Result<Way, EngineError> {
        if let Some(access) = &record.ssh {
            known_alone(request)?;
            return Ok(Way {
                access: access.clone(),
                notes: Vec::new(),
            });
        }
        let wish = wish(record, request)?;
        let nodes = self.members(record).await?;
        let (places, mut notes) =
            ssh::places(&wish, &meant(&nodes, request)?).map_err(of_this_request)?;
        let seen = ssh::scan(&wish, places).await.map_err(of_this_request)?;
        let pair = generate_keypair().map_err(super::install::no_randomness)?;
        notes.push(
            "the entry has no SSH yet: it gets these addresses and host keys, and a key that leads to the helper alone, made \
             when it is done; the key that you gave is kept nowhere"
                .to_owned(),
        );
        let access = SshAccess {
            kind: SshKind::Helper,
            user: ROOT.to_owned(),
            private_key: pair.private_pem,
            public_key: pair.public_line,
            nodes: seen.iter().map(SshNode::from).collect(),
        };
        Ok(Way { access, notes })
    }
}

fn known_alone(request: &InstallHelper) -> Result<(), EngineError> {
    let given = [
        ("addresses", &request.addresses),
        ("host_keys", &request.host_keys),
    ];
    match given.into_iter().find(|(_, of)| !of.is_empty()) {
        None => Ok(()),
        Some((field, _)) => Err(invalid(
            field,
            "the host entry has the SSH of its nodes already; change that of one with: proximity hosts ssh HOST NODE",
        )),
    }
}

fn wish(record: &HostRecord, request: &InstallHelper) -> Result<SshWish, EngineError> {
    if request.private_key.is_none() {
        let message = format!(
            "host {} has no SSH yet; give a key that root on its nodes takes, which is used once (--ssh-key FILE)",
            record.label
        );
        return Err(invalid("private_key", message));
    }
    let asked = AddSsh {
        user: ROOT.to_owned(),
        private_key: request.private_key.clone(),
        addresses: request.addresses.clone(),
        host_keys: request.host_keys.clone(),
    };
    SshWish::read(&asked).map_err(of_this_request)
}

/// The nodes that the request names, or all.
fn meant(nodes: &[NodeSeen], request: &InstallHelper) -> Result<Vec<NodeSeen>, EngineError> {
    let is_there = |name: &&String| !nodes.iter().any(|node| node.name.as_str() == *name);
    if let Some(name) = request.nodes.iter().find(is_there) {
        let all: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let message = format!(
            "node {name} is not in this cluster; its nodes are: {}",
            all.join(", ")
        );
        return Err(invalid("nodes", message));
    }
    let is_meant = |node: &&NodeSeen| {
        request.nodes.is_empty() || request.nodes.iter().any(|name| name == node.name.as_str())
    };
    Ok(nodes.iter().filter(is_meant).cloned().collect())
}

/// Names fields as they are called in this request.
fn of_this_request(error: EngineError) -> EngineError {
    match error {
        EngineError::Invalid { field, message } => EngineError::Invalid {
            field: field.strip_prefix("ssh.").unwrap_or(&field).to_owned(),
            message,
        },
        other => other,
    }
}
