//! The nodes' SSH: where it is, which key it shows, and whether it lets us in.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_pve::guest::ssh::{HostKey, NodeAddress, PlainSsh, generate_keypair, scan_host_key};
use proximity_pve::guest::{Exec, ExecOutput, GuestAccess, GuestError, GuestOwner, GuestTarget};
use proximity_pve::wording::says_missing_config;
use proximity_store::records::{SshAccess, SshKind, SshNode};

use super::address::{Address, SSH_PORT};
use super::inventory::NodeSeen;
use super::public_key::public_line;
use super::wish::{SshWish, invalid, not_openssh};
use crate::error::EngineError;

/// Nodes looked at at the same time.
const NODES: usize = 8;
/// How long one node may take to let us in and to run `pct`, which needs about a second.
const LOGIN_MS: u64 = 15_000;
const MESSAGE_BYTES: usize = 4 * 1024;

/// Nodes and where their SSH is.
pub(super) type Placed = Vec<(NodeName, Address)>;

/// One node's SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshSeen {
    pub(super) node: NodeName,
    pub(super) address: Address,
    pub(super) host_key: HostKey,
}

/// Where each online node's SSH is: the address that was given, else the node's own. And what is left out.
///
/// # Errors
/// [`EngineError::Invalid`] for a node that is not in the cluster, or an online one without an address.
pub(super) fn places(
    wish: &SshWish,
    nodes: &[NodeSeen],
) -> Result<(Placed, Vec<String>), EngineError> {
    let named = wish.addresses.keys().map(|n| ("ssh.addresses", n));
    for (field, name) in named.chain(wish.host_keys.keys().map(|n| ("ssh.host_keys", n))) {
        if !nodes.iter().any(|n| n.name == *name) {
            let all: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
            let message = format!(
                "node {name} is not in this cluster; its nodes are: {}",
                all.join(", ")
            );
            return Err(invalid(format!("{field}.{name}"), message));
        }
    }
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    for node in nodes {
        let name = &node.name;
        if !node.online {
            warnings.push(format!(
                "node {name} is off, so there will be no way into containers on it; when it is up, let Proximity in \
                 with: proximity hosts ssh LABEL {name}"
            ));
            continue;
        }
        let own = || {
            node.ip
                .as_deref()
                .and_then(|ip| Address::from_place(ip, SSH_PORT).ok())
        };
        let address = wish
            .addresses
            .get(name)
            .cloned()
            .or_else(own)
            .ok_or_else(|| {
                let message = format!(
                    "the cluster tells no address of node {name}; give the address of its SSH"
                );
                invalid(format!("ssh.addresses.{name}"), message)
            })?;
        found.push((name.clone(), address));
    }
    Ok((found, warnings))
}

/// Asks each node for its host key; one that was given must be the one that is shown.
///
/// # Errors
/// A node without SSH, or with another key than the given one.
pub(super) async fn scan(wish: &SshWish, places: Placed) -> Result<Vec<SshSeen>, EngineError> {
    let scanned: Vec<_> = stream::iter(places)
        .map(|(node, address)| async move {
            let shown = scan_host_key(&address.to_string()).await;
            (node, address, shown)
        })
        .buffered(NODES)
        .collect()
        .await;
    scanned
        .into_iter()
        .map(|(node, address, shown)| {
            let shown = shown.map_err(|e| refusal(&node, &address, None, &e))?;
            let host_key = pinned(wish.host_keys.get(&node), shown)
                .map_err(|(given, seen)| mismatch(&node, &address, &given, &seen))?;
            Ok(SshSeen {
                node,
                address,
                host_key,
            })
        })
        .collect()
}

/// The key to pin. A server has one key per algorithm and shows one of them, so only keys of one algorithm can differ;
/// a given key of another algorithm is verified when somebody logs in.
fn pinned(given: Option<&HostKey>, shown: HostKey) -> Result<HostKey, (String, String)> {
    let algorithm = |key: &HostKey| key.to_string().split(' ').next().map(str::to_owned);
    match given {
        None => Ok(shown),
        Some(given) if *given == shown => Ok(shown),
        Some(given) if algorithm(given) == algorithm(&shown) => {
            Err((given.fingerprint(), shown.fingerprint()))
        }
        Some(given) => Ok(given.clone()),
    }
}

/// Logs in to every node with the key that was given and runs `pct` there, on a container that cannot exist.
/// Without a given key nothing is tried: the nodes do not know the one that is to be made.
///
/// # Errors
/// The key cannot be used, a node does not let us in, or has no `pct` for this account.
pub(super) async fn log_in(wish: &SshWish, seen: &[SshSeen]) -> Result<(), EngineError> {
    let Some(key) = &wish.private_key else {
        return Ok(());
    };
    let line = public_line(key).ok_or_else(not_openssh)?;
    let nodes = seen.iter().map(|at| {
        let address = at.address.to_string();
        (
            at.node.clone(),
            NodeAddress {
                address,
                host_key: at.host_key.clone(),
            },
        )
    });
    let access = PlainSsh::new(&wish.user, key, nodes).map_err(|e| {
        invalid(
            "ssh.private_key",
            format!("the SSH key cannot be used: {e}"),
        )
    })?;
    let access = &access;
    let answers: Vec<_> = stream::iter(seen)
        .map(|at| async move { (at, try_pct(access, &at.node).await) })
        .buffered(NODES)
        .collect()
        .await;
    for (at, answer) in answers {
        judge(&wish.user, &line, at, answer)?;
    }
    Ok(())
}

async fn try_pct(access: &PlainSsh, node: &NodeName) -> Result<ExecOutput, GuestError> {
    let vmid = Vmid::try_from(Vmid::MAX).map_err(|e| GuestError::Impossible(e.to_string()))?;
    let target = GuestTarget {
        node: node.clone(),
        vmid,
        owner: GuestOwner::Adopted,
    };
    let exec = Exec {
        argv: vec!["true".to_owned()],
        stdin: None,
        timeout_ms: LOGIN_MS,
        max_output_bytes: MESSAGE_BYTES,
        send_before: None,
    };
    access.exec(&target, exec).await
}

/// That `pct` knows of no such container proves that it can be run.
fn judge(
    user: &str,
    line: &str,
    at: &SshSeen,
    answer: Result<ExecOutput, GuestError>,
) -> Result<(), EngineError> {
    match answer {
        Ok(output) if output.exit_code == 0 => Ok(()),
        Err(GuestError::NotThere { .. } | GuestError::NotRunning { .. }) => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            // Perl ends with the number of the last error, which for a missing file is 2.
            if says_missing_config(&said) {
                return Ok(());
            }
            let code = output.exit_code;
            Err(no_pct(
                user,
                at,
                &format!("pct ended with exit code {code}: {said}"),
            ))
        }
        Err(GuestError::Failed { message, .. }) => Err(no_pct(user, at, &message)),
        Err(e) => Err(refusal(&at.node, &at.address, Some(line), &e)),
    }
}

/// What is worth knowing before saying yes.
pub(super) fn warnings(wish: &SshWish) -> Vec<String> {
    let mut warnings = vec![format!(
        "plain guest access was asked for: whoever has the key is {} on every node",
        wish.user
    )];
    if wish.private_key.is_none() {
        warnings.push(format!(
            "a key will be made and kept sealed; until its public part, shown when the host is added, is in {} of \
             every node, nothing can be installed in containers",
            keys_file(&wish.user)
        ));
    }
    warnings
}

/// What is stored: the key that was given, or a new one.
///
/// # Errors
/// The given key is none, or the system gives no randomness for a new one.
pub(super) fn access(wish: &SshWish, seen: &[SshSeen]) -> Result<SshAccess, EngineError> {
    let (private_key, public_key) = match &wish.private_key {
        Some(key) => (key.clone(), public_line(key).ok_or_else(not_openssh)?),
        None => {
            let pair = generate_keypair().map_err(|e| EngineError::Upstream {
                code: "no_randomness",
                message: format!("no SSH key could be made: {e}"),
                hint: "make one with ssh-keygen -t ed25519 and give it with --ssh-key".to_owned(),
            })?;
            (pair.private_pem, pair.public_line)
        }
    };
    let nodes: BTreeMap<&NodeName, &SshSeen> = seen.iter().map(|at| (&at.node, at)).collect();
    let nodes = nodes.into_values().map(SshNode::from);
    Ok(SshAccess {
        kind: SshKind::Plain,
        user: wish.user.clone(),
        private_key,
        public_key,
        nodes: nodes.collect(),
    })
}

impl From<&SshSeen> for SshNode {
    fn from(at: &SshSeen) -> Self {
        Self {
            node: at.node.clone(),
            address: at.address.to_string(),
            host_key: at.host_key.to_string(),
        }
    }
}

fn keys_file(user: &str) -> String {
    format!("~{user}/.ssh/authorized_keys")
}

fn mismatch(node: &NodeName, address: &Address, given: &str, seen: &str) -> EngineError {
    EngineError::Upstream {
        code: "ssh_host_key_mismatch",
        message: format!("the SSH of node {node} at {address} shows the host key {seen}, not {given}"),
        hint: "compare both with what the node says itself (ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub); if it \
               says neither, somebody else answers there"
            .to_owned(),
    }
}

fn no_pct(user: &str, at: &SshSeen, why: &str) -> EngineError {
    let SshSeen { node, address, .. } = at;
    EngineError::Upstream {
        code: "ssh_no_pct",
        message: format!(
            "account {user} on node {node} at {address} cannot work on containers: {why}"
        ),
        hint: "this must be a PVE node, and the account must be able to run pct there: root"
            .to_owned(),
    }
}

/// Nobody there, another key, or not let in. `line`: the public part of the key that was tried.
fn refusal(
    node: &NodeName,
    address: &Address,
    line: Option<&str>,
    error: &GuestError,
) -> EngineError {
    let unreachable = |why: &str| EngineError::Upstream {
        code: "ssh_unreachable",
        message: format!("the SSH of node {node} at {address} cannot be used: {why}"),
        hint: match line {
            None => format!(
                "check that sshd runs there and that no firewall is in between, or give another address with \
                 --ssh-address {node}=HOST:PORT"
            ),
            Some(line) => format!(
                "check that sshd runs there and that this line is in the account's authorized_keys on every node: {line}"
            ),
        },
    };
    match error {
        GuestError::Untrusted { seen, pinned, .. } => mismatch(node, address, pinned, seen),
        GuestError::NotSent { why, .. } | GuestError::MaybeApplied { why, .. } => unreachable(why),
        GuestError::Impossible(_)
        | GuestError::UnknownNode(_)
        | GuestError::NotRunning { .. }
        | GuestError::NotThere { .. }
        | GuestError::Refused { .. }
        | GuestError::NotAllowed { .. }
        | GuestError::NoHelper { .. }
        | GuestError::Declined { .. }
        | GuestError::Failed { .. }
        | GuestError::TooLarge { .. } => unreachable(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::seen;
    use super::*;

    fn wish() -> SshWish {
        SshWish {
            user: "root".to_owned(),
            private_key: None,
            addresses: BTreeMap::new(),
            host_keys: BTreeMap::new(),
        }
    }

    fn host_key() -> HostKey {
        generate_keypair().unwrap().public_line.parse().unwrap()
    }

    fn at() -> SshSeen {
        let address = Address::from_place("192.0.2.1", SSH_PORT).unwrap();
        SshSeen {
            node: "pve1".parse().unwrap(),
            address,
            host_key: host_key(),
        }
    }

    #[test]
    fn nodes_are_reached_at_the_given_or_their_own_address() {
        let mut wish = wish();
        let given = Address::from_place("gate.example.org:2201", SSH_PORT).unwrap();
        wish.addresses.insert("pve1".parse().unwrap(), given);
        let mut nodes = [
            seen("pve1", true, 1),
            seen("pve2", false, 2),
            seen("pve3", false, 3),
        ];
        nodes[2].online = false;
        let (found, warnings) = places(&wish, &nodes).unwrap();
        let found: Vec<String> = found.iter().map(|(n, a)| format!("{n}={a}")).collect();
        assert_eq!(found, ["pve1=gate.example.org:2201", "pve2=192.0.2.2:22"]);
        assert!(
            warnings.len() == 1 && warnings[0].contains("pve3"),
            "{warnings:?}"
        );
    }

    #[test]
    fn nodes_that_cannot_be_placed_are_refused_by_field() {
        let field = |wish: &SshWish, nodes: &[NodeSeen]| match places(wish, nodes) {
            Err(EngineError::Invalid { field, message }) => (field, message),
            other => panic!("{other:?}"),
        };
        let mut foreign = wish();
        foreign
            .host_keys
            .insert("pve9".parse().unwrap(), host_key());
        let (named, message) = field(&foreign, &[seen("pve1", true, 1), seen("pve2", false, 2)]);
        assert_eq!(named, "ssh.host_keys.pve9");
        assert!(message.ends_with("its nodes are: pve1, pve2"), "{message}");
        let mut lost = seen("pve1", true, 1);
        lost.ip = None;
        assert_eq!(field(&wish(), &[lost]).0, "ssh.addresses.pve1");
    }

    #[test]
    fn a_given_host_key_must_be_the_one_shown() {
        let (a, b) = (host_key(), host_key());
        assert_eq!(pinned(None, a.clone()), Ok(a.clone()));
        assert_eq!(pinned(Some(&a), a.clone()), Ok(a.clone()));
        assert_eq!(
            pinned(Some(&a), b.clone()),
            Err((a.fingerprint(), b.fingerprint()))
        );
    }

    #[test]
    fn only_an_answer_of_pct_proves_the_login() {
        let ended = |exit_code, stderr: &'static str| {
            Ok(ExecOutput {
                exit_code,
                stdout: "".into(),
                stderr: stderr.into(),
                truncated: false,
            })
        };
        let node = || "pve1".to_owned();
        let judged =
            |answer| judge("root", "ssh-ed25519 AAAA", &at(), answer).map_err(|e| (e.code(), e));
        let gone = GuestError::NotThere {
            node: node(),
            message: "no".to_owned(),
        };
        assert!(judged(Err(gone)).is_ok());
        let missing = "Configuration file 'nodes/pve1/lxc/999999999.conf' does not exist\n";
        judged(ended(2, missing)).unwrap();
        let (code, error) = judged(ended(255, "please run as root\n")).unwrap_err();
        assert_eq!(code, "ssh_no_pct");
        assert!(error.to_string().contains("please run as root"), "{error}");
        let shut = GuestError::NotSent {
            node: node(),
            why: "it does not accept our key".to_owned(),
        };
        let (code, error) = judged(Err(shut)).unwrap_err();
        assert_eq!(code, "ssh_unreachable");
        assert!(
            error.hint().ends_with("ssh-ed25519 AAAA"),
            "{}",
            error.hint()
        );
        let other = GuestError::Untrusted {
            node: node(),
            seen: "a".to_owned(),
            pinned: "b".to_owned(),
        };
        assert_eq!(judged(Err(other)).unwrap_err().0, "ssh_host_key_mismatch");
    }

    #[test]
    fn a_key_is_made_when_none_is_given_and_kept_when_one_is() {
        let made = access(&wish(), &[at()]).unwrap();
        assert_eq!(made.nodes[0].address, "192.0.2.1:22");
        let given = SshWish {
            private_key: Some(made.private_key.clone()),
            ..wish()
        };
        let kept = access(&given, &[at()]).unwrap();
        assert_eq!(format!("{} proximity", kept.public_key), made.public_key);
        assert!(warnings(&wish()).len() > warnings(&given).len());
        let none = SshWish {
            private_key: Some("no key".to_owned().into()),
            ..wish()
        };
        let error = access(&none, &[at()]).unwrap_err();
        assert!(!error.to_string().contains("no key"), "{error}");
    }
}
