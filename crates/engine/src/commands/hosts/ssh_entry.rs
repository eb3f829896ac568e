//! A way into the containers of a node that the host entry has none for yet: it joined its cluster later, or was off.

use std::collections::BTreeMap;

use proximity_domain::event::EventKind;
use proximity_domain::names::NodeName;
use proximity_store::records::{Actor, HostRecord, SshAccess, SshKind, SshNode};

use super::AddSsh;
use super::inventory::{self, NodeSeen};
use super::ssh;
use super::wish::{SshWish, invalid};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::nodes::LookError;
use crate::view::{is_word_of, status};

/// Where a node's SSH is and which key it has to show.
#[derive(Debug, Clone, Default)]
pub struct SshEntry {
    /// `address[:port]`; absent: as the entry has it, else the node's cluster address, port 22.
    pub address: Option<String>,
    /// Absent: the one the entry has; for a node without an entry the one it shows now, which is pinned.
    pub host_key: Option<String>,
    /// Look and log in only; nothing is stored.
    pub dry_run: bool,
}

impl Engine {
    /// Lets us into the containers of a node, with the account and the key of the host entry; replaces what the entry says
    /// of this node. Its host key is judged as when a host is added, and one that is pinned is only replaced by one that is
    /// given. Where the key leads to the helper, nothing is tried: the helper may have to be put there yet. Gives the entry as it is then, or would be after a dry run, which lets somebody compare the key first.
    ///
    /// # Errors
    /// No such host, or one without guest access; the cluster cannot be asked, or its word is not to be had; the node is
    /// not in it or off; its SSH does not answer, shows another key, or does not let us in. Nothing is changed then.
    pub async fn set_host_ssh(
        &self,
        actor: &Actor,
        host: &str,
        node: &str,
        entry: SshEntry,
    ) -> Result<HostRecord, EngineError> {
        let record = self.named_host(host).await?;
        let node: NodeName = node.parse().map_err(|e| invalid("node", format!("{e}")))?;
        let dry_run = entry.dry_run;
        let known = access(&record)?;
        let wish = wish(known, &node, entry).map_err(of_one_node)?;
        let seen = self.member(&record, &node).await?;
        let reached = reach(&wish, known.kind, seen).await.map_err(of_one_node)?;

        let _one_at_a_time = self.inner.host_changes.lock().await;
        let mut record = self.named_host(&record.id.to_string()).await?;
        access(&record)?;
        if let Some(ssh) = &mut record.ssh {
            ssh.nodes.retain(|known| known.node != node);
            ssh.nodes.extend(reached);
            ssh.nodes.sort_by(|a, b| a.node.cmp(&b.node));
        }
        if dry_run {
            return Ok(record);
        }
        self.store()
            .change_host(
                record.clone(),
                EventKind::HostUpdated,
                "host.ssh",
                actor,
                self.now(),
            )
            .await?;
        self.inner.clusters.forget(record.id).await;
        tracing::info!(host = %record.label, %node, "a node's SSH is known");
        Ok(record)
    }

    /// All nodes as their cluster tells of them now.
    pub(super) async fn members(&self, record: &HostRecord) -> Result<Vec<NodeSeen>, EngineError> {
        let label = record.label.as_str();
        let cluster = self.inner.clusters.get(record.id).await?;
        let upstream = |e| crate::commands::upstream(label, &e);
        let status = status(&cluster).await.map_err(upstream)?;
        is_word_of(record, &status).map_err(|gap| LookError::NotItsWord(gap).of_host(label))?;
        let rows = cluster.read().nodes().await.map_err(upstream)?;
        Ok(inventory::join(&status, &rows))
    }

    /// The node as its cluster tells of it now; it must be online.
    async fn member(&self, record: &HostRecord, node: &NodeName) -> Result<NodeSeen, EngineError> {
        let nodes = self.members(record).await?;
        let names: Vec<String> = nodes.iter().map(|n| n.name.to_string()).collect();
        match nodes.into_iter().find(|n| n.name == *node) {
            Some(seen) if seen.online => Ok(seen),
            Some(_) => Err(invalid(
                "node",
                format!("node {node} is off; its SSH is looked at when it is up"),
            )),
            None => Err(invalid(
                "node",
                format!(
                    "node {node} is not in this cluster; its nodes are: {}",
                    names.join(", ")
                ),
            )),
        }
    }
}

async fn reach(wish: &SshWish, kind: SshKind, node: NodeSeen) -> Result<Vec<SshNode>, EngineError> {
    let (places, _) = ssh::places(wish, &[node])?;
    let seen = ssh::scan(wish, places).await?;
    match kind {
        SshKind::Plain => ssh::log_in(wish, &seen).await?,
        // The helper is put there next, over another key than the entry's; where the node is has to be known before.
        SshKind::Helper => {}
    }
    Ok(seen.iter().map(SshNode::from).collect())
}

/// Names fields and options as they are called where one node's SSH is asked for, not a whole host's.
fn of_one_node(error: EngineError) -> EngineError {
    match error {
        EngineError::Invalid { field, message } => EngineError::Invalid {
            field: match field.split('.').nth(1) {
                Some("addresses") => "address".to_owned(),
                Some("host_keys") => "host_key".to_owned(),
                _ => field,
            },
            message,
        },
        EngineError::Upstream {
            code: code @ "ssh_unreachable",
            message,
            hint,
        } => EngineError::Upstream {
            code,
            message,
            hint: match hint.split_once("--ssh-address ") {
                Some((before, _)) => format!("{before}--address HOST:PORT"),
                None => hint,
            },
        },
        EngineError::Upstream {
            code: code @ "ssh_host_key_mismatch",
            message,
            hint,
        } => EngineError::Upstream {
            code,
            message,
            hint: format!("{hint}. If the node itself has a new key, give it with --host-key"),
        },
        other => other,
    }
}

fn access(record: &HostRecord) -> Result<&SshAccess, EngineError> {
    record
        .ssh
        .as_ref()
        .ok_or_else(|| crate::commands::no_guest_access(record, ""))
}

/// As if the host were added with this node alone and the key that is known.
fn wish(access: &SshAccess, node: &NodeName, entry: SshEntry) -> Result<SshWish, EngineError> {
    let known = access.nodes.iter().find(|known| known.node == *node);
    let address = entry.address.or_else(|| known.map(|k| k.address.clone()));
    let host_key = entry.host_key.or_else(|| known.map(|k| k.host_key.clone()));
    let of_node = |value: Option<String>| -> BTreeMap<String, String> {
        value.map(|v| (node.to_string(), v)).into_iter().collect()
    };
    SshWish::read(&AddSsh {
        user: access.user.clone(),
        private_key: Some(access.private_key.clone()),
        addresses: of_node(address),
        host_keys: of_node(host_key),
    })
}
