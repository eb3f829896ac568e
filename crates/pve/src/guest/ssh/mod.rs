//! Guest access over SSH to the nodes: plain, with root's login and PVE's `pct` (opt-in: whoever holds the key is root on the
//! nodes), or through the helper, behind a key that leads to nothing else.

mod command;
mod connection;
mod frames;
mod helper;
mod key;
mod root;

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use proximity_domain::names::NodeName;
use secrecy::SecretString;

pub use connection::scan_host_key;
pub use helper::HelperVersion;
pub use key::{BadKey, HostKey, KeyPair, generate_keypair};
pub use root::{NodeLook, NodeRoot, PROGRAM_FOLDER, PROGRAM_NAME};

use super::{
    Exec, ExecOutput, GuestAccess, GuestError, GuestTarget, Listener, Pull, PullTree, Push,
    PushTree,
};
use connection::Node;
use frames::Unframed;

/// Where a node's SSH server is and which key it must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// `HOST:PORT`, or `HOST` for port 22.
    pub address: String,
    /// The host key that was confirmed when the node was added.
    pub host_key: HostKey,
}

/// The nodes that can be reached.
///
/// Guarantees: the host key is always the pinned one; one connection per node is shared and renewed when it broke;
/// at most eight commands run per node at the same time; nothing is sent twice.
#[derive(Debug)]
struct Nodes(HashMap<NodeName, Node>);

impl Nodes {
    fn new(
        user: &str,
        private_key: &SecretString,
        nodes: impl IntoIterator<Item = (NodeName, NodeAddress)>,
    ) -> Result<Self, BadKey> {
        let key = key::parse_private(private_key)?;
        let nodes = nodes
            .into_iter()
            .map(|(name, at)| Ok((name.clone(), Node::new(name, user, key.clone(), at)?)))
            .collect::<Result<_, BadKey>>()?;
        Ok(Self(nodes))
    }

    fn get(&self, node: &NodeName) -> Result<&Node, GuestError> {
        let found = self.0.get(node);
        found.ok_or_else(|| GuestError::UnknownNode(node.to_string()))
    }
}

/// Plain guest access over SSH to the nodes, with the guarantees of its connections: pinned, shared, nothing sent twice.
#[derive(Debug)]
pub struct PlainSsh {
    nodes: Nodes,
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
        let nodes = Nodes::new(user, private_key, nodes)?;
        Ok(Self { nodes })
    }
}

#[async_trait]
impl GuestAccess for PlainSsh {
    async fn exec_heard(
        &self,
        target: &GuestTarget,
        exec: Exec,
        listener: &dyn Listener,
    ) -> Result<ExecOutput, GuestError> {
        let node = self.nodes.get(&target.node)?;
        let job = command::exec(target.vmid, exec)?;
        let output = node.run(job, listener).await?;
        command::judge_exec(&target.node, target.vmid, output)
    }

    async fn push(&self, target: &GuestTarget, push: Push) -> Result<(), GuestError> {
        let node = self.nodes.get(&target.node)?;
        let job = command::push(target.vmid, push)?;
        let output = node.run(job, &()).await?;
        command::judge_push(&target.node, target.vmid, &output)
    }

    async fn pull(&self, target: &GuestTarget, pull: Pull) -> Result<Bytes, GuestError> {
        let node = self.nodes.get(&target.node)?;
        let max_bytes = pull.max_bytes;
        let job = command::pull(target.vmid, pull)?;
        let output = node.run(job, &()).await?;
        command::judge_pull(&target.node, target.vmid, max_bytes, output)
    }
}

/// Guest access through the helper on the nodes, behind a key that can do nothing else there.
///
/// The helper compares the target's owner with the node's own configuration before it acts, so that neither a mistake of ours nor
/// a stolen key reaches a container that is not ours.
#[derive(Debug)]
pub struct NodeHelper {
    nodes: Nodes,
}

impl NodeHelper {
    /// Access to these nodes as `user`, whose `authorized_keys` leads this key to the helper. Connects when first used.
    ///
    /// # Errors
    /// [`BadKey`] if the private key (OpenSSH format, no passphrase) or an address cannot be used.
    pub fn new(
        user: &str,
        private_key: &SecretString,
        nodes: impl IntoIterator<Item = (NodeName, NodeAddress)>,
    ) -> Result<Self, BadKey> {
        let nodes = Nodes::new(user, private_key, nodes)?;
        Ok(Self { nodes })
    }

    /// Which helper a node has.
    ///
    /// # Errors
    /// [`GuestError`]: there is none, or it cannot be reached.
    pub async fn version(&self, node: &NodeName) -> Result<HelperVersion, GuestError> {
        let output = self.nodes.get(node)?.run(helper::version()?, &()).await?;
        helper::judge_version(node, &output)
    }
}

#[async_trait]
impl GuestAccess for NodeHelper {
    async fn exec_heard(
        &self,
        target: &GuestTarget,
        exec: Exec,
        listener: &dyn Listener,
    ) -> Result<ExecOutput, GuestError> {
        let node = self.nodes.get(&target.node)?;
        let unframed = Unframed::new(listener);
        let output = node.run(helper::exec(target, exec)?, &unframed).await?;
        helper::judge_exec(&target.node, &output)
    }

    async fn push(&self, target: &GuestTarget, push: Push) -> Result<(), GuestError> {
        let node = self.nodes.get(&target.node)?;
        let output = node.run(helper::push(target, push)?, &()).await?;
        helper::judge_push(&target.node, &output)
    }

    async fn pull(&self, target: &GuestTarget, pull: Pull) -> Result<Bytes, GuestError> {
        let node = self.nodes.get(&target.node)?;
        let max_bytes = pull.max_bytes;
        let output = node.run(helper::pull(target, pull)?, &()).await?;
        helper::judge_pull(&target.node, max_bytes, &output)
    }

    async fn push_tree(&self, target: &GuestTarget, push: PushTree) -> Result<(), GuestError> {
        let node = self.nodes.get(&target.node)?;
        let output = node.run(helper::push_tree(target, push)?, &()).await?;
        helper::judge_push(&target.node, &output)
    }

    async fn pull_tree(&self, target: &GuestTarget, pull: PullTree) -> Result<Bytes, GuestError> {
        let node = self.nodes.get(&target.node)?;
        let max_bytes = pull.max_bytes;
        let output = node.run(helper::pull_tree(target, pull)?, &()).await?;
        helper::judge_pull(&target.node, max_bytes, &output)
    }
}
