//! Putting the helper on nodes: program and key there, read back over that key, and only then recorded.

use std::fmt::Display;

use proximity_domain::event::EventKind;
use proximity_domain::ids::InstallationId;
use proximity_domain::names::NodeName;
use proximity_pve::guest::GuestError;
use proximity_pve::guest::ssh::{NodeHelper, NodeLook, generate_keypair};
use proximity_store::records::{Actor, HostRecord, SshAccess, SshKind, SshNode};
use secrecy::SecretString;

use super::key_list::{helper_line, holds_key, is_our_key, with_helper, without_key};
use super::site::{Site, check, names, unfinished};
use super::{HelperOnNode, HelperProgram, HelperReport, HelperState, InstallHelper};
use crate::cluster::addresses;
use crate::engine::Engine;
use crate::error::EngineError;

/// Whose list of keys has the helper's line.
pub(super) const ROOT: &str = "root";

/// The key that leads to the helper.
struct HelperKey {
    private_key: SecretString,
    public_key: String,
}

impl Engine {
    /// Puts the helper on the nodes of a host entry, and goes over to it.
    ///
    /// Flow: look at all nodes; refuse what does not fit before anything is changed; on one node after the other the
    /// program, then the line in the list of keys; ask the helper for its version over the new key; record. Then the old key of
    /// ours, which led to root's shell, is taken out of the lists. Guarantees: the entry goes over only when the helper answered on
    /// every node that was meant; until then the way there was stays. Each file is there whole or as before. It may be run again at
    /// any point: what is there already stays.
    ///
    /// # Errors
    /// No such host; no helper in this build; no key that root takes; a node that does not fit, is unknown, or shows another host
    /// key; for an entry without SSH, whatever is in the way of learning where its nodes are. Nothing is changed then. A node that is down is no error: the report says so.
    pub async fn install_helper(
        &self,
        actor: &Actor,
        host: &str,
        request: InstallHelper,
    ) -> Result<HelperReport, EngineError> {
        let _one_at_a_time = self.inner.helper_changes.lock().await;
        let record = self.named_host(host).await?;
        let program = self.inner.parts.helper.clone().ok_or_else(not_shipped)?;
        let given = request.private_key.as_ref();
        let way = self.way(&record, &request).await?;
        let access = &way.access;
        let site = Site::of(&record, access, &request.nodes, given)?;
        let seen = site.look().await;
        check(&seen, Some(program.machine()))?;
        let key = helper_key(access)?;
        let installing = Installing {
            installation: self.store().installation(),
            program: &program,
            key: &key,
            site: &site,
        };
        let mut nodes: Vec<HelperOnNode> = seen
            .iter()
            .map(|(at, look)| installing.planned(at, look))
            .collect();
        let report = |nodes, recorded, host, notes| HelperReport {
            host,
            recorded,
            sha256: Some(program.sha256().to_owned()),
            nodes,
            apps_without_access: 0,
            notes,
        };
        if request.dry_run {
            let mut notes = way.notes;
            if record.ssh.is_some() {
                notes.push(plan_note(access).to_owned());
            }
            return Ok(report(nodes, false, record.clone(), notes));
        }
        for (on, (at, look)) in nodes.iter_mut().zip(&seen) {
            if look.is_ok() {
                installing.install(on, at).await;
            }
        }
        if let Some(note) = stays(&nodes, access) {
            return Ok(report(nodes, false, record.clone(), vec![note]));
        }
        let stored = self.go_over(actor, &record, access, &key).await?;
        let mut notes = installing.end_old_key(access, &nodes).await;
        notes.extend(left_out(access, &nodes));
        Ok(report(nodes, true, stored, notes))
    }

    /// Records that containers of the host are reached by the helper, this way.
    async fn go_over(
        &self,
        actor: &Actor,
        seen: &HostRecord,
        way: &SshAccess,
        key: &HelperKey,
    ) -> Result<HostRecord, EngineError> {
        let _one_at_a_time = self.inner.host_changes.lock().await;
        let mut record = self.named_host(&seen.id.to_string()).await?;
        if key_of(&record) != key_of(seen) {
            return Err(changed_meanwhile(seen));
        }
        let ssh = record.ssh.get_or_insert_with(|| way.clone());
        if ssh.kind == SshKind::Plain {
            // Its line goes next. If this process ends before that, this says which one is left.
            tracing::info!(host = %seen.label, key = %ssh.public_key, "no more used: the key that led to root's shell");
        }
        ssh.kind = SshKind::Helper;
        ssh.user = ROOT.to_owned();
        ssh.private_key = key.private_key.clone();
        ssh.public_key.clone_from(&key.public_key);
        let now = self.now();
        self.store()
            .change_host(
                record.clone(),
                EventKind::HostUpdated,
                "host.helper",
                actor,
                now,
            )
            .await?;
        self.inner.clusters.forget(record.id).await;
        tracing::info!(host = %record.label, "containers are reached by the helper on the nodes");
        Ok(record)
    }
}

/// Which key the entry has now.
pub(super) fn key_of(record: &HostRecord) -> Option<&str> {
    record.ssh.as_ref().map(|ssh| ssh.public_key.as_str())
}

pub(super) fn access(record: &HostRecord) -> Result<&SshAccess, EngineError> {
    let none = || crate::commands::no_guest_access(record, "");
    record.ssh.as_ref().ok_or_else(none)
}

fn not_shipped() -> EngineError {
    EngineError::Upstream {
        code: "helper_not_shipped",
        message: "this build of Proximity has no helper in it, and none lies beside its program".to_owned(),
        hint: "use a released build, or build one and put it beside: cargo build --release -p proximity-node-helper \
               --target x86_64-unknown-linux-musl"
            .to_owned(),
    }
}

/// Two that go over at the same time would each leave the other's key without a line.
pub(super) fn changed_meanwhile(record: &HostRecord) -> EngineError {
    EngineError::Upstream {
        code: "state_changed",
        message: format!(
            "the SSH of host {} was changed by somebody else meanwhile; the entry is as they left it",
            record.label
        ),
        hint: "look at it with proximity hosts list, and run it again".to_owned(),
    }
}

/// The one there is, else a new one.
fn helper_key(access: &SshAccess) -> Result<HelperKey, EngineError> {
    if access.kind == SshKind::Helper {
        return Ok(HelperKey {
            private_key: access.private_key.clone(),
            public_key: access.public_key.clone(),
        });
    }
    let pair = generate_keypair().map_err(no_randomness)?;
    Ok(HelperKey {
        private_key: pair.private_pem,
        public_key: pair.public_line,
    })
}

pub(super) fn no_randomness(error: impl Display) -> EngineError {
    EngineError::Upstream {
        code: "no_randomness",
        message: format!("no SSH key could be made: {error}"),
        hint: "try again".to_owned(),
    }
}

/// What becomes of the key there is.
fn plan_note(access: &SshAccess) -> &'static str {
    match (access.kind, is_our_key(&access.public_key)) {
        (SshKind::Helper, _) => {
            "the entry's key leads to the helper already; program and line are renewed where they differ"
        }
        (SshKind::Plain, true) => {
            "the key in the line is made anew when it is done; the old one, which makes its holder root on the nodes, is forgotten, \
             and its line taken out"
        }
        (SshKind::Plain, false) => {
            "the key in the line is made anew when it is done; the old one is forgotten here, and as it was given to Proximity its \
             line stays on the nodes"
        }
    }
}

/// Why the entry stays as it is, if it does.
fn stays(nodes: &[HelperOnNode], access: &SshAccess) -> Option<String> {
    let open = unfinished(nodes);
    if open.is_empty() {
        return None;
    }
    let way = match access.kind {
        SshKind::Plain => "containers are reached as before",
        SshKind::Helper => "the entry is as before",
    };
    Some(format!(
        "not finished on {}: {way}; run it again when that is repaired, or with --node for the nodes that are to go over alone",
        names(&open)
    ))
}

/// Nodes of the entry that were not meant: the way into their containers is closed until they have the helper too.
fn left_out(access: &SshAccess, nodes: &[HelperOnNode]) -> Option<String> {
    let meant = |node: &NodeName| nodes.iter().any(|on| on.node == *node);
    let left_out = access.nodes.iter().filter(|at| !meant(&at.node));
    let left_out: Vec<&str> = left_out.map(|at| at.node.as_str()).collect();
    let old = match (access.kind, is_our_key(&access.public_key)) {
        (SshKind::Plain, true) => {
            "; where such a node has a list of keys of its own, take our old key out yourself: "
        }
        (SshKind::Plain, false) | (SshKind::Helper, _) => "",
    };
    let key = if old.is_empty() {
        ""
    } else {
        &access.public_key
    };
    (!left_out.is_empty()).then(|| {
        format!(
            "not on {}: containers there are not reached until it is, by the same command with --node and --ssh-key{old}{key}",
            left_out.join(", ")
        )
    })
}

/// What is the same for all nodes.
struct Installing<'a> {
    installation: InstallationId,
    program: &'a HelperProgram,
    key: &'a HelperKey,
    site: &'a Site,
}

impl Installing<'_> {
    fn line(&self, look: &NodeLook) -> String {
        helper_line(look, self.installation, &self.key.public_key)
    }

    fn planned(&self, at: &SshNode, look: &Result<NodeLook, GuestError>) -> HelperOnNode {
        HelperOnNode {
            line: look.as_ref().ok().map(|look| self.line(look)),
            ..HelperOnNode::seen(at, look)
        }
    }

    async fn install(&self, on: &mut HelperOnNode, at: &SshNode) {
        match self.put(&at.node).await {
            Ok(()) => {}
            Err(error) => return on.stopped(&error),
        }
        match self.ask(at).await {
            Ok(version) => {
                on.version = Some(version);
                on.state = HelperState::Answers;
            }
            Err(why) => on.stopped(&why),
        }
    }

    /// Program and line. It looks again: the list is one for all nodes of a cluster, and was changed on the node before.
    async fn put(&self, node: &NodeName) -> Result<(), GuestError> {
        let root = &self.site.root;
        let look = root.look(node).await?;
        if look.program.as_deref() != Some(self.program.sha256()) {
            let bytes = self.program.bytes();
            root.put_program(node, &look.folder, bytes).await?;
        }
        let seen = look.keys.as_deref();
        let keys = with_helper(seen, self.installation, &self.line(&look));
        if seen != Some(keys.as_str()) {
            root.put_keys(node, seen, keys).await?;
        }
        Ok(())
    }

    /// What the helper says over its key.
    async fn ask(&self, at: &SshNode) -> Result<String, String> {
        let places = addresses(std::slice::from_ref(at))?;
        let key = &self.key.private_key;
        let helper = NodeHelper::new(ROOT, key, places).map_err(|e| e.to_string())?;
        let answer = helper.version(&at.node).await;
        let found = answer.map_err(|e| format!("program and key are there, but: {e}"))?;
        if found.installation == self.installation.to_string() {
            return Ok(found.version);
        }
        Err(format!(
            "the helper there serves installation {}, not this one",
            found.installation
        ))
    }

    /// Takes the key that led to root's shell out of the lists, if we made it; says what stays.
    async fn end_old_key(&self, before: &SshAccess, nodes: &[HelperOnNode]) -> Vec<String> {
        if before.kind == SshKind::Helper {
            return Vec::new();
        }
        if !is_our_key(&before.public_key) {
            return vec![format!(
                "the key that was used until now was given to Proximity and is forgotten here; it still lets its holder in as root: \
                 take its line out of authorized_keys yourself if nothing else needs it: {}",
                before.public_key
            )];
        }
        let mut notes = Vec::new();
        for on in nodes.iter().filter(|on| on.state == HelperState::Answers) {
            if let Err(error) = self.take_out(&on.node, &before.public_key).await {
                notes.push(format!(
                    "node {}: the old key of ours is forgotten here, but its line could not be taken out of authorized_keys ({error}); \
                     take it out yourself: {}",
                    on.node, before.public_key
                ));
            }
        }
        notes
    }

    async fn take_out(&self, node: &NodeName, public_key: &str) -> Result<(), GuestError> {
        let root = &self.site.root;
        let look = root.look(node).await?;
        let Some(seen) = look.keys.as_deref() else {
            return Ok(());
        };
        let keys = without_key(seen, public_key);
        if keys != seen {
            root.put_keys(node, Some(seen), keys.clone()).await?;
        }
        if holds_key(&keys, public_key) {
            let message = "it stands in a line with options of somebody's own".to_owned();
            let node = node.to_string();
            return Err(GuestError::Failed { node, message });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(node: &str, state: HelperState) -> HelperOnNode {
        HelperOnNode {
            node: node.parse().unwrap(),
            address: String::new(),
            host_key: String::new(),
            state,
            program: None,
            sha256_before: None,
            keys_file: None,
            line: None,
            version: None,
            trouble: None,
        }
    }

    fn plain(nodes: &[&str]) -> SshAccess {
        let node = |name: &&str| SshNode {
            node: name.parse().unwrap(),
            address: String::new(),
            host_key: String::new(),
        };
        SshAccess {
            kind: SshKind::Plain,
            user: ROOT.to_owned(),
            private_key: String::new().into(),
            public_key: "ssh-ed25519 AAAA proximity".to_owned(),
            nodes: nodes.iter().map(node).collect(),
        }
    }

    #[test]
    fn one_node_that_did_not_answer_keeps_the_way_there_however_it_was_named() {
        let both = ["pve1", "pve2"];
        let answers = HelperState::Answers;
        let half = [on("pve1", answers), on("pve2", HelperState::Unfinished)];
        let note = stays(&half, &plain(&both)).unwrap();
        assert!(
            note.starts_with("not finished on pve2: containers are reached as before"),
            "{note}"
        );
        let whole = [on("pve1", answers), on("pve2", answers)];
        assert_eq!(stays(&whole, &plain(&both)), None);
        assert_eq!(left_out(&plain(&both), &whole), None);
        let note = left_out(&plain(&both), &whole[..1]).unwrap();
        assert!(
            note.contains("not on pve2") && note.ends_with("ssh-ed25519 AAAA proximity"),
            "{note}"
        );
    }

    #[test]
    fn a_build_without_the_helper_says_how_to_have_one() {
        let error = not_shipped();
        assert_eq!(error.code(), "helper_not_shipped");
        assert!(error.hint().contains("proximity-node-helper"));
    }
}
