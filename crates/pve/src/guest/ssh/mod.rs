//! Plain guest access: root's SSH to the nodes and PVE's `pct`. Opt-in: whoever holds the key is root on the nodes.

mod command;
mod connection;
mod key;

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use proximity_domain::names::NodeName;
use secrecy::SecretString;

pub use connection::scan_host_key;
pub use key::{BadKey, HostKey, KeyPair, generate_keypair};

use super::{Exec, ExecOutput, GuestAccess, GuestError, GuestTarget, Pull, Push};
use connection::Node;

/// Where a node's SSH server is and which key it must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// `HOST:PORT`, or `HOST` for port 22.
    pub address: String,
    /// The host key that was confirmed when the node was added.
    pub host_key: HostKey,
}

/// Guest access over SSH to the nodes.
///
/// Guarantees: the host key is always the pinned one; one connection per node is shared and renewed when it broke;
/// at most eight commands run per node at the same time; nothing is sent twice.
#[derive(Debug)]
pub struct PlainSsh {
    nodes: HashMap<NodeName, Node>,
}

impl PlainSsh {
    /// Access to these nodes as `user` (who must be allowed to run `pct`: root). Connects when first used.
    ///
    /// # Errors
    /// [`BadKey`] if the private key (OpenSSH format, no passphrase) or an address cannot be used.
    pub fn new(
        user: &str,
        private_key: &SecretString,
        nodes: impl IntoIterator<Item = (NodeName, NodeAddress)>,
    ) -> Result<Self, BadKey> {
        let key = key::parse_private(private_key)?;
        let nodes = nodes
            .into_iter()
            .map(|(name, at)| Ok((name.clone(), Node::new(name, user, key.clone(), at)?)))
            .collect::<Result<_, BadKey>>()?;
        Ok(Self { nodes })
    }

    fn node(&self, target: &GuestTarget) -> Result<&Node, GuestError> {
        self.nodes
            .get(&target.node)
            .ok_or_else(|| GuestError::UnknownNode(target.node.to_string()))
    }
}

#[async_trait]
impl GuestAccess for PlainSsh {
    async fn exec(&self, target: &GuestTarget, exec: Exec) -> Result<ExecOutput, GuestError> {
        let node = self.node(target)?;
        let job = command::exec(target.vmid, exec)?;
        let output = node.run(job).await?;
        command::judge_exec(&target.node, target.vmid, output)
    }

    async fn push(&self, target: &GuestTarget, push: Push) -> Result<(), GuestError> {
        let node = self.node(target)?;
        let job = command::push(target.vmid, push)?;
        let output = node.run(job).await?;
        command::judge_push(&target.node, target.vmid, &output)
    }

    async fn pull(&self, target: &GuestTarget, pull: Pull) -> Result<Bytes, GuestError> {
        let node = self.node(target)?;
        let max_bytes = pull.max_bytes;
        let job = command::pull(target.vmid, pull)?;
        let output = node.run(job).await?;
        command::judge_pull(&target.node, target.vmid, max_bytes, output)
    }
}
