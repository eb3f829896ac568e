//! Ways that end in a real container of the lab, by both kinds of access.

use std::path::{Path, PathBuf};

use proximity_domain::guest::ContainerIdentity;
use proximity_domain::mark::Mark;
use proximity_domain::names::NodeName;
use proximity_pve::guest::ssh::{NodeAddress, NodeHelper, PlainSsh};
use proximity_pve::guest::{Exec, GuestAccess, GuestOwner, GuestTarget};
use secrecy::SecretString;
use serde::Deserialize;

use super::injection::{Way, as_arguments, as_files};
use super::world::vmid;
use super::{Order, Passed, left_in};

/// A node of the lab, with a container that we made.
#[derive(Debug, Deserialize)]
pub struct Node {
    pub name: NodeName,
    pub address: String,
    pub host_key: String,
    /// A key that leads to root's shell.
    pub plain_key: PathBuf,
    /// A key that leads to the helper.
    pub helper_key: PathBuf,
    pub vmid: u32,
    pub mark: String,
    pub mac: String,
    pub rootfs: String,
}

impl Node {
    fn at(&self) -> [(NodeName, NodeAddress); 1] {
        let at = NodeAddress {
            address: self.address.clone(),
            host_key: self.host_key.parse().unwrap(),
        };
        [(self.name.clone(), at)]
    }

    fn target(&self) -> GuestTarget {
        let identity = ContainerIdentity {
            vmid: vmid(self.vmid),
            mark: Mark::find(&self.mark).unwrap(),
            net0_mac: self.mac.parse().unwrap(),
            rootfs_volid: self.rootfs.parse().ok(),
        };
        GuestTarget {
            node: self.name.clone(),
            vmid: identity.vmid,
            owner: GuestOwner::Made(identity),
        }
    }
}

fn key(path: &Path) -> SecretString {
    std::fs::read_to_string(path).unwrap().into()
}

/// Both ways.
pub async fn run_in_guest(
    order: &Order,
    node: &Node,
    texts: &[String],
    canaries: &Path,
) -> Vec<Passed> {
    let plain = PlainSsh::new("root", &key(&node.plain_key), node.at()).unwrap();
    let helper = NodeHelper::new("root", &key(&node.helper_key), node.at()).unwrap();
    let ways: [(&str, &dyn GuestAccess); 2] = [("plain", &plain), ("helper", &helper)];
    let mut passed = Vec::new();
    for (kind, access) in ways {
        let way = Way {
            name: format!("real container, {kind}"),
            access,
            target: node.target(),
            root: String::new(),
            folder: format!("/srv/injection-{kind}"),
            gives_away: true,
        };
        passed.push(through(order, way, texts, canaries).await);
    }
    passed
}

async fn through(order: &Order, way: Way<'_>, texts: &[String], canaries: &Path) -> Passed {
    // The same folder in the container, so that what is run there can leave something too.
    let folder = canaries.to_str().unwrap();
    in_guest(&way, &["mkdir", "-p", folder]).await;
    let arguments = as_arguments(&way, texts, order.portion()).await;
    let files = as_files(&way, texts, order.one_file_of(), order.then()).await;
    let mut left = left_in(canaries);
    let there = in_guest(&way, &["ls", "-A", folder]).await;
    left.extend(there.lines().map(str::to_owned));
    Passed {
        way: way.name,
        arguments,
        files,
        canaries: left,
    }
}

async fn in_guest(way: &Way<'_>, argv: &[&str]) -> String {
    let exec = Exec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        stdin: None,
        timeout_ms: 60_000,
        max_output_bytes: 1 << 20,
        send_before: None,
    };
    let output = way.access.exec(&way.target, exec).await.unwrap();
    assert_eq!(output.exit_code, 0, "{argv:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
