//! Ways that end on this machine: OpenSSH's server, a shell, and a `pct` or an `lxc-attach` that run what they are given.

use std::path::Path;

use proximity_domain::ids::InstallationId;
use proximity_pve::guest::ssh::{NodeAddress, NodeHelper, PlainSsh, generate_keypair};
use proximity_pve::guest::{GuestOwner, GuestTarget};

use super::helped::{ATTACH, HelpedNode, INSTALLATION, identity, target};
use super::injection::{Also, Way, accepted, as_arguments, as_files};
use super::sshd::{Sshd, read_by, read_twice_by, user};
use super::world::{node, vmid};
use super::{Order, Passed, left_in};

/// The kinds of access that are asked for what is impossible.
pub const ACCESSES: usize = 2;
/// Shells that nodes may have.
const SHELLS: [&str; 3] = ["dash", "bash", "busybox sh"];
/// In the control, a way into a container that makes a line of its arguments again.
const CARELESS: &str = "#!/bin/sh\nshift 4\neval \"$*\"\n";

fn plain_target() -> GuestTarget {
    GuestTarget {
        node: node("pve1"),
        vmid: vmid(100),
        owner: GuestOwner::Adopted,
    }
}

/// Every way, and what is not on this machine. An SSH server is: the figure is not begun without.
pub async fn run_local(
    order: &Order,
    texts: &[String],
    canaries: &Path,
) -> (Vec<Passed>, Vec<String>) {
    let (mut passed, mut skipped) = (Vec::new(), Vec::new());
    for shell in SHELLS {
        let program = shell.split(' ').next().unwrap_or_default();
        if !["/bin", "/usr/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
        {
            skipped.push(format!("{shell} is not on this machine"));
            continue;
        }
        passed.push(plain(order, shell, texts, canaries).await);
    }
    passed.push(helper(order, texts, canaries).await);
    (passed, skipped)
}

async fn plain(order: &Order, shell: &str, texts: &[String], canaries: &Path) -> Passed {
    let reads_once = Sshd::with_key_line(|_, key| read_by(shell, key)).await;
    let (access, root) = (reads_once.access(), reads_once.state_file("guest"));
    let mut way = Way {
        name: format!("plain, read by {shell}"),
        access: &access,
        target: plain_target(),
        root: root.to_str().unwrap().to_owned(),
        folder: "/files".to_owned(),
        gives_away: user() == "root",
    };
    let files = as_files(&way, texts, order.one_file_of(), order.then()).await;
    let reads_twice;
    let careless;
    if order.sabotage {
        reads_twice = Sshd::with_key_line(|_, key| read_twice_by(shell, key)).await;
        careless = reads_twice.access();
        way.access = &careless;
    }
    let arguments = as_arguments(&way, texts, order.portion()).await;
    Passed {
        way: way.name,
        arguments,
        files,
        canaries: taken_from(canaries),
    }
}

async fn helper(order: &Order, texts: &[String], canaries: &Path) -> Passed {
    let installation = InstallationId(uuid::Uuid::from_u128(INSTALLATION));
    let line = |at: &Path, key: &str| {
        let at = at.display();
        let helper = order.helper.display();
        format!(
            "command=\"{helper} --conf-dir {at}/conf --lxc-path {at}/lxc --lxc-attach {at}/bin/lxc-attach \
             --state-dir {at}/helper serve {installation}\",restrict {key}"
        )
    };
    let mut helped = HelpedNode::with_key_line(line).await;
    helped.add(&identity(100, 7), true);
    let access = helped.access();
    let way = Way {
        name: "helper".to_owned(),
        access: &access,
        target: target(identity(100, 7)),
        root: String::new(),
        folder: helped.folder().join("files").to_str().unwrap().to_owned(),
        gives_away: user() == "root",
    };
    let files = as_files(&way, texts, order.one_file_of(), order.then()).await;
    let attach = if order.sabotage { CARELESS } else { ATTACH };
    helped.sshd.write_program("lxc-attach", attach);
    let arguments = as_arguments(&way, texts, order.portion()).await;
    Passed {
        way: way.name,
        arguments,
        files,
        canaries: taken_from(canaries),
    }
}

/// What one way left behind, which is taken away: each leaves its own.
fn taken_from(canaries: &Path) -> Vec<String> {
    let left = left_in(canaries);
    for name in &left {
        // A folder or a file.
        let path = canaries.join(name);
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path));
    }
    left
}

/// What must be refused before anything is sent: how much was asked, and what was not.
pub async fn refusals(order: &Order) -> (usize, Vec<String>) {
    let key = generate_keypair().unwrap();
    let nowhere = NodeAddress {
        address: "127.0.0.1:1".to_owned(),
        host_key: key.public_line.parse().unwrap(),
    };
    let nodes = [(node("pve1"), nowhere)];
    let plain = PlainSsh::new("root", &key.private_pem, nodes.clone()).unwrap();
    let helper = NodeHelper::new("root", &key.private_pem, nodes).unwrap();
    let also = match order.sabotage {
        true => Also::Possible,
        false => Also::Nothing,
    };
    let (asked, mut wrong) = accepted(&plain, &plain_target(), also).await;
    let (more, more_wrong) = accepted(&helper, &target(identity(100, 7)), also).await;
    wrong.extend(more_wrong);
    (asked + more, wrong)
}
