//! A cluster whose node has SSH, and of whose other nodes the host entry does not know that they have left.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proximity_domain::time::Clock;
use proximity_engine::commands::{AddHost, AddSsh, HelperProgram};
use proximity_pve::guest::ssh::generate_keypair;
use proximity_pve_emulator::core::Access;
use proximity_pve_emulator::shell::RunningShell;
use proximity_pve_emulator::ssh::{HostKey, NodeShell, NodeSsh};
use proximity_store::records::{PurposeTokens, SshKind};
use proximity_testkit::pve::{NodeRoom, seed};
use proximity_testkit::sources::RealClock;
use proximity_testkit::world::TestWorld;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{OF_EACH, Outcome, PVE_TOKEN, cluster_of};

/// The first node, which stays.
const NODE: &str = "pve1";

/// What `pct` says there: the node has no container.
const PCT: &str = "#!/bin/sh\necho \"Configuration file 'nodes/pve1/lxc/$2.conf' does not exist\" >&2; exit 255\n";

/// A program for this machine as far as its header goes. No node can run it: an installation goes all the way to the question
/// for its version, and ends unfinished.
pub(super) fn helper() -> Outcome<HelperProgram> {
    let machine = match std::env::consts::ARCH {
        "aarch64" => 183,
        _ => 62,
    };
    let mut bytes = vec![0; 64];
    let header = b"\x7fELF\x02\x01";
    bytes
        .iter_mut()
        .zip(header)
        .for_each(|(to, from)| *to = *from);
    bytes
        .iter_mut()
        .skip(18)
        .take(1)
        .for_each(|to| *to = machine);
    HelperProgram::read(bytes).map_err(|_| "no header of a program".into())
}

/// The cluster, running, under this label.
pub(super) struct Wired {
    label: &'static str,
    _pve: RunningShell,
    _ssh: DropGuard,
    address: String,
    left: Vec<String>,
    root_key: String,
}

impl Wired {
    /// Starts it, and adds it as a host.
    pub(super) async fn start(
        folder: &Path,
        world: &TestWorld,
        label: &'static str,
    ) -> Outcome<Self> {
        let folder = &folder.join(label);
        std::fs::create_dir(folder)?;
        let (ssh, address) = node_ssh(folder).await?;
        let left: Vec<String> = (0..OF_EACH)
            .map(|number| format!("pve{}", number + 2))
            .collect();
        let pve = grown(folder, label, &left).await?;
        let all = left.iter().map(String::as_str).chain([NODE]);
        let ways = all.map(|node| (node.to_owned(), address.clone())).collect();
        let host = world
            .engine
            .add_host(&world.actor, request(&pve, label, ways)?)
            .await?;
        let by_root = generate_keypair()?;
        let by_us = host.ssh.ok_or("a host without SSH")?.public_key;
        let keys = format!("{}\n{by_us}\n", by_root.public_line);
        std::fs::write(keys_file(folder), keys)?;
        for name in &left {
            let name = name.clone();
            pve.change(move |world| world.remove_node(&name)).await?;
        }
        Ok(Self {
            label,
            _pve: pve,
            _ssh: ssh,
            address,
            left,
            root_key: by_root.private_pem.expose_secret().to_owned(),
        })
    }

    /// Records that its containers are reached by the helper, as it is after an installation.
    pub(super) async fn with_helper(self, world: &TestWorld) -> Outcome<Self> {
        let hosts = world.store.hosts().await?;
        let mut own = hosts
            .into_iter()
            .filter(|host| host.label.as_str() == self.label);
        let mut record = own.next().ok_or("it is not recorded")?;
        record.ssh.as_mut().ok_or("a host without SSH")?.kind = SshKind::Helper;
        let now = RealClock.now();
        world.store.update_host(record, &world.actor, now).await?;
        Ok(self)
    }

    /// What requests can name of it.
    pub(super) fn names(&self) -> Value {
        json!({
            "host": self.label, "node": NODE, "address": self.address, "left": self.left, "root_key": self.root_key,
        })
    }
}

/// A cluster of one node and these.
async fn grown(folder: &Path, label: &str, more: &[String]) -> Outcome<RunningShell> {
    let room = NodeRoom::default();
    let mut seed = seed(PVE_TOKEN, "made at the first start", Access::Full, room);
    let first = seed
        .nodes
        .first()
        .ok_or("a cluster without a node")?
        .clone();
    seed.cluster_name = Some(label.to_owned());
    for (name, number) in more.iter().zip(2..) {
        let mut node = first.clone();
        node.name.clone_from(name);
        node.address = format!("192.0.2.{number}");
        seed.nodes.push(node);
    }
    cluster_of(&folder.join("pve"), seed).await
}

/// SSH of the node, which knows no containers.
async fn node_ssh(folder: &Path) -> Outcome<(DropGuard, String)> {
    let (home, bin) = (folder.join("home"), folder.join("bin"));
    std::fs::create_dir_all(home.join(".ssh"))?;
    std::fs::create_dir(&bin)?;
    std::fs::write(bin.join("pct"), PCT)?;
    std::fs::set_permissions(bin.join("pct"), std::fs::Permissions::from_mode(0o755))?;
    // Beside it the helper goes here, and nowhere else on this machine.
    std::fs::write(bin.join("proximity-node-helper.places"), "")?;
    std::fs::write(keys_file(folder), "")?;
    std::fs::set_permissions(keys_file(folder), std::fs::Permissions::from_mode(0o600))?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    let ssh = NodeSsh {
        listener,
        host_key: HostKey::load_or_make(&folder.join("host_key"))?,
        authorized_keys: keys_file(folder),
        shell: NodeShell {
            home,
            tmp: folder.to_owned(),
            bin,
        },
    };
    let stop = CancellationToken::new();
    tokio::spawn(ssh.serve(stop.clone()));
    Ok((stop.drop_guard(), address))
}

fn keys_file(folder: &Path) -> std::path::PathBuf {
    folder.join("home").join(".ssh").join("authorized_keys")
}

/// The request that adds it.
fn request(pve: &RunningShell, label: &str, ways: BTreeMap<String, String>) -> Outcome<AddHost> {
    let (_, address) = pve.addresses().first().ok_or("a cluster without a node")?;
    let secret = pve
        .token_secret(PVE_TOKEN)
        .ok_or("a cluster without a token")?;
    Ok(AddHost {
        label: label.to_owned(),
        url: format!("https://{address}"),
        fingerprint: Some(pve.fingerprint_sha256().to_owned()),
        ca_pem: None,
        token_id: PVE_TOKEN.to_owned(),
        token_secret: secret.to_owned().into(),
        purpose_tokens: PurposeTokens::default(),
        pool: None,
        storage: None,
        template_storage: None,
        bridge: None,
        ssh: Some(AddSsh {
            user: "root".to_owned(),
            private_key: None,
            addresses: ways,
            host_keys: BTreeMap::new(),
        }),
    })
}
