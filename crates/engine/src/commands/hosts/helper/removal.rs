//! Taking the helper away from a host's nodes.

use proximity_domain::event::EventKind;
use proximity_domain::ids::InstallationId;
use proximity_domain::names::NodeName;
use proximity_pve::guest::GuestError;
use proximity_pve::guest::ssh::NodeLook;
use proximity_store::records::{Actor, SshKind};

use super::super::wish::invalid;
use super::install::{access, changed_meanwhile, key_of};
use super::key_list::{serves_others, without_helper};
use super::site::{Seen, Site, check, names, unfinished};
use super::{HelperOnNode, HelperReport, HelperState, RemoveHelper};
use crate::engine::Engine;
use crate::error::EngineError;

/// What is left on a node, for a person to look at.
const STAYS: &str = "on each node /var/lib/proximity-node-helper stays, with the audit and root's list of allowed containers";

impl Engine {
    /// Takes the helper's key and program away from all nodes of a host entry; the entry has no guest access then.
    ///
    /// Guarantees: the line goes before the program, what went is looked for again afterwards, and the entry changes only when they are gone
    /// from every node. The audit of what the helper did stays. It may be run again at any point.
    ///
    /// # Errors
    /// No such host, or one that is not reached by the helper; a key that is none; a node that shows another host key. Nothing is
    /// changed then. A node that is down is no error: the report says so.
    pub async fn remove_helper(
        &self,
        actor: &Actor,
        host: &str,
        request: RemoveHelper,
    ) -> Result<HelperReport, EngineError> {
        let _one_at_a_time = self.inner.helper_changes.lock().await;
        let record = self.named_host(host).await?;
        let access = access(&record)?;
        if access.kind != SshKind::Helper {
            let message = format!(
                "containers of host {} are not reached by the helper",
                record.label
            );
            return Err(invalid("host", message));
        }
        let site = Site::of(&record, access, &[], Some(&request.private_key))?;
        let seen = site.look().await;
        check(&seen, None)?;
        let apps_without_access = self.apps_of(record.label.as_str()).await?;
        let mut report = HelperReport {
            recorded: false,
            sha256: None,
            nodes: seen
                .iter()
                .map(|(at, look)| HelperOnNode::seen(at, look))
                .collect(),
            apps_without_access,
            notes: vec![STAYS.to_owned()],
            host: record.clone(),
        };
        if request.dry_run {
            return Ok(report);
        }
        let installation = self.store().installation();
        for (on, seen) in report.nodes.iter_mut().zip(&seen) {
            report
                .notes
                .extend(take_away(&site, installation, on, seen).await);
        }
        let open = unfinished(&report.nodes);
        if !open.is_empty() {
            let note = format!(
                "not finished on {}: the entry is as before; run it again",
                names(&open)
            );
            report.notes.push(note);
            return Ok(report);
        }
        let _recording = self.inner.host_changes.lock().await;
        let mut host = self.named_host(&record.id.to_string()).await?;
        if key_of(&host) != key_of(&record) {
            return Err(changed_meanwhile(&record));
        }
        host.ssh = None;
        let now = self.now();
        let store = self.store();
        let event = EventKind::HostUpdated;
        store
            .change_host(host.clone(), event, "host.helper_removed", actor, now)
            .await?;
        self.inner.clusters.forget(host.id).await;
        report.recorded = true;
        report.host = host;
        Ok(report)
    }

    /// How many apps the host has.
    async fn apps_of(&self, label: &str) -> Result<u64, EngineError> {
        let counts = self.store().app_counts(None).await?;
        let here = counts.iter().filter(|count| count.host == label);
        Ok(here.map(|count| count.apps).sum())
    }
}

/// Takes it away from one node; says what stays there.
async fn take_away(
    site: &Site,
    installation: InstallationId,
    on: &mut HelperOnNode,
    seen: &Seen,
) -> Option<String> {
    let (at, look) = seen;
    if look.is_err() {
        return None;
    }
    match gone(site, installation, &at.node).await {
        Ok(Gone::All) => on.state = HelperState::Gone,
        Ok(Gone::LineAlone) => {
            on.state = HelperState::Gone;
            return Some(format!(
                "node {}: the program stays, because another installation uses it too",
                at.node
            ));
        }
        Ok(Gone::Not) => on.stopped(&"it is there again; somebody else puts it there"),
        Err(error) => on.stopped(&error),
    }
    None
}

/// What is gone from a node.
#[derive(Debug, PartialEq, Eq)]
enum Gone {
    All,
    /// Another installation's key leads to the same program, which stays for it.
    LineAlone,
    Not,
}

/// Takes line and program away, and looks whether they are.
async fn gone(
    site: &Site,
    installation: InstallationId,
    node: &NodeName,
) -> Result<Gone, GuestError> {
    let root = &site.root;
    let look = root.look(node).await?;
    let seen = look.keys.as_deref();
    let keys = without_helper(seen.unwrap_or_default(), installation);
    if seen.is_some_and(|seen| seen != keys) {
        root.put_keys(node, seen, keys.clone()).await?;
    }
    let others_use_it = serves_others(&keys);
    if !others_use_it {
        root.remove_program(node, &look.folder).await?;
    }
    let after = root.look(node).await?;
    Ok(left(&after, installation, others_use_it))
}

/// What is gone, by a look afterwards.
fn left(after: &NodeLook, installation: InstallationId, others_use_it: bool) -> Gone {
    let keys = after.keys.as_deref().unwrap_or_default();
    if without_helper(keys, installation) != keys {
        return Gone::Not;
    }
    match (others_use_it, &after.program) {
        (true, _) => Gone::LineAlone,
        (false, None) => Gone::All,
        (false, Some(_)) => Gone::Not,
    }
}

#[cfg(test)]
mod tests {
    use super::super::key_list::helper_line;
    use super::*;

    #[test]
    fn a_line_that_is_there_again_is_seen_also_where_others_use_the_program() {
        let ours = InstallationId(uuid::Uuid::from_u128(1));
        let other = InstallationId(uuid::Uuid::from_u128(2));
        let mut look = NodeLook {
            account: "root".to_owned(),
            machine: "x86_64".to_owned(),
            pct: None,
            folder: "/usr/local/sbin".to_owned(),
            is_writable: true,
            program: Some("00".to_owned()),
            keys_file: "/etc/pve/priv/authorized_keys".to_owned(),
            keys: None,
        };
        look.keys = Some(helper_line(&look, other, "ssh-rsa BBBB y"));
        assert_eq!(left(&look, ours, true), Gone::LineAlone);
        assert_eq!(left(&look, ours, false), Gone::Not);
        look.program = None;
        assert_eq!(left(&look, ours, false), Gone::All);
        let again = helper_line(&look, ours, "ssh-ed25519 AAAAours proximity");
        look.keys = Some(format!("{}\n{again}\n", look.keys.unwrap_or_default()));
        for others_use_it in [true, false] {
            assert_eq!(left(&look, ours, others_use_it), Gone::Not);
        }
    }
}
