//! The whole way, over HTTPS and SSH to an emulated node and into a store on disk.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use proximity_domain::ids::AppId;
use proximity_domain::ports::PortRange;
use proximity_domain::time::{Clock, Monotonic};
use proximity_pve::guest::ssh::{KeyPair, generate_keypair};
use proximity_pve::transport::https::Fingerprint;
use proximity_pve_emulator::core::guest::{GuestCommand, GuestDone};
use proximity_pve_emulator::core::{
    Access, Bridge, NodeSeed, Storage, TaskTimes, Template, WorldSeed,
};
use proximity_pve_emulator::shell::{
    GuestDriver, NodeListen, RunningShell, Shell, ShellOptions, TokenWish,
};
use proximity_pve_emulator::ssh::{HostKey, NodeShell, NodeSsh};
use proximity_store::{Store, StoreOptions};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod doctor;
mod helper;
mod inits;
mod joined;
mod trust;

use super::*;
use crate::catalog::Catalog;
use crate::cluster::RealConnect;
use crate::engine::{EngineLimits, EngineParts};
use crate::seams::{HttpAnswer, IdSource, Ingress, IngressError, Probe, RouteSpec, RouteView};

/// What a host entry never reaches: guests, gateway, health requests.
#[derive(Debug, Default)]
struct Unused(AtomicU64);

#[async_trait]
impl GuestDriver for Unused {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        panic!("no guest was asked for: {command:?}");
    }
}

#[async_trait]
impl Ingress for Unused {
    async fn set_route(&self, route: &RouteSpec) -> Result<RouteView, IngressError> {
        panic!("no route was asked for: {route:?}");
    }
    async fn withdraw(&self, app: AppId) -> Result<(), IngressError> {
        panic!("no app is there: {app}");
    }
    async fn routes(&self) -> Result<Vec<RouteView>, IngressError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Probe for Unused {
    async fn http_get(&self, at: SocketAddr, path: &str, _: u64) -> Result<HttpAnswer, String> {
        panic!("no app is there: {at}{path}");
    }
    async fn tcp_open(&self, at: SocketAddr, _: u64) -> Result<(), String> {
        panic!("no app is there: {at}");
    }
}

impl IdSource for Unused {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
    fn nonce(&self) -> u128 {
        1
    }
}

/// A clock that stands, until it is set.
#[derive(Debug)]
struct Stands(AtomicI64);

impl Clock for Stands {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic(1_000)
    }
}

const TOKEN: &str = "root@pam!proximity";
const EMPTY: &str = "nobody@pve!empty";

struct World {
    engine: Engine,
    pve: RunningShell,
    clock: Arc<Stands>,
    folder: tempfile::TempDir,
}

fn node_seed(name: &str) -> NodeSeed {
    let gib = 1_u64 << 30;
    NodeSeed {
        name: name.to_owned(),
        address: "127.0.0.1".to_owned(),
        cpus: 4,
        memory_bytes: 8 * gib,
        memory_used_bytes: gib,
        disk_bytes: 100 * gib,
        disk_used_bytes: 10 * gib,
        bridges: vec![Bridge {
            name: "vmbr0".to_owned(),
            cidr: None,
        }],
    }
}

fn seed() -> WorldSeed {
    let gib = 1_u64 << 30;
    WorldSeed {
        cluster_name: None,
        nodes: vec![node_seed("pve1")],
        storages: vec![Storage {
            id: "local".to_owned(),
            kind: "dir".to_owned(),
            content: ["rootdir", "vztmpl"].map(str::to_owned).to_vec(),
            shared: false,
            nodes: None,
            path: "/var/lib/vz".to_owned(),
            options: BTreeMap::new(),
            total_bytes: 100 * gib,
            used_bytes: gib,
        }],
        templates: vec![Template {
            storage: "local".to_owned(),
            node: None,
            file: "debian-13-standard_13.0-1_amd64.tar.zst".to_owned(),
            size_bytes: 64 << 20,
            ctime_s: 1_700_000_000,
            ostype: "debian".to_owned(),
        }],
        pools: BTreeMap::new(),
        tokens: Vec::new(),
        random: 1,
        times: TaskTimes::default(),
    }
}

async fn pve(folder: &Path, seed: WorldSeed) -> RunningShell {
    let token = |id: &str, access| TokenWish {
        id: id.to_owned(),
        access,
    };
    let options = ShellOptions {
        state_dir: folder.join("pve"),
        listen: seed
            .nodes
            .iter()
            .map(|node| NodeListen {
                node: node.name.clone(),
                address: (Ipv4Addr::LOCALHOST, 0).into(),
            })
            .collect(),
        certificate_names: Vec::new(),
        seed,
        tokens: vec![token(TOKEN, Access::Full), token(EMPTY, Access::Empty)],
        templates: None,
        task_times: None,
    };
    Shell::start(options, Arc::new(Unused::default()))
        .await
        .unwrap()
}

async fn store(folder: &Path) -> Store {
    let options = StoreOptions {
        path: folder.join("proximity.db"),
        key_file: folder.join("key"),
        public: PortRange {
            first: 8100,
            last: 8103,
        },
        internal: PortRange {
            first: 9100,
            last: 9103,
        },
        rest_ms: 1,
    };
    Store::open(options, Timestamp(1)).await.unwrap()
}

impl World {
    async fn start() -> Self {
        Self::with_helper(None).await
    }

    /// Of a build that ships this program.
    async fn with_helper(helper: Option<HelperProgram>) -> Self {
        Self::of(seed(), helper).await
    }

    async fn of(seed: WorldSeed, helper: Option<HelperProgram>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Stands(AtomicI64::new(1_000)));
        let engine = Engine::new(EngineParts {
            store: store(folder.path()).await,
            clock: clock.clone(),
            ids: Arc::new(Unused::default()),
            connect: Arc::new(RealConnect),
            ingress: Arc::new(Unused::default()),
            probe: Arc::new(Unused::default()),
            catalog: Catalog::load(&[]).unwrap(),
            helper,
            limits: EngineLimits::default(),
        });
        let pve = pve(folder.path(), seed).await;
        Self {
            engine,
            pve,
            clock,
            folder,
        }
    }

    fn request(&self) -> AddHost {
        AddHost {
            label: "home".to_owned(),
            url: format!("https://{}", self.pve.addresses()[0].1),
            fingerprint: Some(self.pve.fingerprint_sha256().to_owned()),
            ca_pem: None,
            token_id: TOKEN.to_owned(),
            token_secret: self.pve.token_secret(TOKEN).unwrap().to_owned().into(),
            purpose_tokens: PurposeTokens::default(),
            pool: None,
            storage: None,
            template_storage: None,
            bridge: None,
            ssh: None,
        }
    }

    /// Both commands refuse alike, and nothing is stored.
    async fn refused(&self, request: AddHost) -> EngineError {
        let probed = self.engine.probe_host(&request).await.unwrap_err();
        let error = self.engine.add_host(&admin(), request).await.unwrap_err();
        assert_eq!(error.code(), probed.code());
        assert!(!error.hint().is_empty());
        assert_eq!(self.hosts().await, 0, "{error}");
        error
    }

    async fn hosts(&self) -> usize {
        self.engine.reader().hosts().await.unwrap().len()
    }

    /// The calls that reached PVE.
    fn calls(&self) -> u64 {
        self.pve.journal().counters().total
    }
}

fn admin() -> Actor {
    Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    }
}

/// A node's SSH whose `pct` says what PVE's says, and the key that may log in.
struct Node {
    address: SocketAddr,
    host_key: String,
    key: KeyPair,
    stop: tokio_util::sync::DropGuard,
}

async fn node(folder: &Path, pct: &str) -> Node {
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).unwrap();
    let program: PathBuf = bin.join("pct");
    std::fs::write(&program, format!("#!/bin/sh\n{pct}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let key = generate_keypair().unwrap();
    let authorized_keys = folder.join("authorized_keys");
    std::fs::write(&authorized_keys, format!("{}\n", key.public_line)).unwrap();
    std::fs::set_permissions(&authorized_keys, std::fs::Permissions::from_mode(0o600)).unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let own = HostKey::load_or_make(&folder.join("host_key")).unwrap();
    let host_key = own.public_line().unwrap();
    let shell = NodeShell {
        home: folder.to_owned(),
        tmp: folder.to_owned(),
        bin,
    };
    let stop = CancellationToken::new();
    let ssh = NodeSsh {
        listener,
        host_key: own,
        authorized_keys,
        shell,
    };
    tokio::spawn(ssh.serve(stop.clone()));
    Node {
        address,
        host_key,
        key,
        stop: stop.drop_guard(),
    }
}

const NO_SUCH_CONTAINER: &str =
    "echo \"Configuration file 'nodes/pve1/lxc/$2.conf' does not exist\" >&2; exit 255";

fn ssh(node: &Node, private_key: Option<SecretString>) -> AddSsh {
    AddSsh {
        user: "root".to_owned(),
        private_key,
        addresses: BTreeMap::from([("pve1".to_owned(), node.address.to_string())]),
        host_keys: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_host_is_probed_added_kept_and_removed() {
    let world = World::start().await;
    let probe = world.engine.probe_host(&world.request()).await.unwrap();
    assert_eq!(probe.storage.as_deref(), Some("local"));
    assert_eq!(
        probe.templates,
        ["local:vztmpl/debian-13-standard_13.0-1_amd64.tar.zst"]
    );
    assert_eq!((probe.nodes[0].memory_mib, probe.nodes[0].cpus), (8_192, 4));
    assert_eq!(
        probe.warnings.len(),
        1,
        "no way into containers: {:?}",
        probe.warnings
    );
    assert_eq!(world.hosts().await, 0, "a probe stores nothing");
    assert!(world.calls() > 0);

    let host = world
        .engine
        .add_host(&admin(), world.request())
        .await
        .unwrap();
    assert_eq!(
        host.cluster_key,
        format!("node:pve1:{}", world.pve.fingerprint_sha256())
    );
    assert_eq!(host.endpoints.len(), 1);
    assert_eq!(host.endpoints[0].node, Some("pve1".parse().unwrap()));
    let stored = world
        .engine
        .reader()
        .host_by_label("home")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.cluster_key, host.cluster_key);

    let again = world
        .engine
        .add_host(&admin(), world.request())
        .await
        .unwrap_err();
    assert_eq!(again.code(), "exists");
    let mut other = world.request();
    other.label = "barn".to_owned();
    let again = world.engine.add_host(&admin(), other).await.unwrap_err();
    assert_eq!((again.code(), world.hosts().await), ("cluster_known", 1));

    let unknown = world
        .engine
        .remove_host(&admin(), "barn")
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), "host_not_found");
    world.engine.remove_host(&admin(), "home").await.unwrap();
    assert_eq!(world.hosts().await, 0);
    world
        .engine
        .add_host(&admin(), world.request())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_token_is_sent_to_nobody_whose_certificate_was_not_judged() {
    let world = World::start().await;
    let mut request = world.request();
    request.fingerprint = None;
    let probe = world.engine.probe_host(&request).await.unwrap();
    assert!(!probe.fingerprint_trusted);
    assert_eq!(probe.fingerprint, world.pve.fingerprint_sha256());
    assert!(
        probe.warnings[0].contains(&probe.fingerprint),
        "{:?}",
        probe.warnings
    );
    let error = world
        .engine
        .add_host(&admin(), request.clone())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "certificate_unknown");
    assert!(
        error.hint().contains(&probe.fingerprint),
        "{}",
        error.hint()
    );

    request.fingerprint = Some(Fingerprint([7; 32]).to_string());
    let error = world.refused(request.clone()).await;
    assert_eq!(error.code(), "fingerprint_mismatch");
    assert!(error.to_string().contains(&probe.fingerprint), "{error}");

    request.fingerprint = None;
    request.ca_pem = Some("no certificate".to_owned());
    assert_eq!(world.refused(request).await.code(), "invalid_value");
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn an_authority_that_issued_the_certificate_is_enough() {
    let world = World::start().await;
    let mut request = world.request();
    request.fingerprint = None;
    request.ca_pem = Some(std::fs::read_to_string(world.pve.ca_pem_path()).unwrap());
    let probe = world.engine.probe_host(&request).await.unwrap();
    assert!(probe.fingerprint_trusted);
    assert_eq!(probe.fingerprint, world.pve.fingerprint_sha256());
}

#[tokio::test]
async fn bad_tokens_and_tokens_without_rights_are_told_apart() {
    let world = World::start().await;
    let mut request = world.request();
    request.token_id = EMPTY.to_owned();
    request.token_secret = world.pve.token_secret(EMPTY).unwrap().to_owned().into();
    let error = world.refused(request.clone()).await;
    assert_eq!(error.code(), "token_too_narrow");
    assert!(error.to_string().contains("VM.Allocate on /vms"), "{error}");
    request.token_secret = "not-the-secret".to_owned().into();
    let error = world.engine.add_host(&admin(), request).await.unwrap_err();
    assert_eq!(error.code(), "token_invalid");
    let shown = format!("{error} {error:?} {}", error.hint());
    assert!(
        shown.contains(EMPTY) && !shown.contains("not-the-secret"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_key_that_opens_the_node_is_stored_with_the_pinned_host_key() {
    let world = World::start().await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    let mut request = world.request();
    request.ssh = Some(ssh(&node, Some(node.key.private_pem.clone())));
    let probe = world.engine.probe_host(&request).await.unwrap();
    assert_eq!(probe.ssh[0].address, node.address.to_string());
    assert!(probe.ssh[0].fingerprint.starts_with("SHA256:"));
    let host = world.engine.add_host(&admin(), request).await.unwrap();
    let access = host.ssh.unwrap();
    assert!(node.key.public_line.starts_with(&access.public_key));
    assert!(node.host_key.starts_with(&access.nodes[0].host_key));
    drop(node.stop);
}

#[tokio::test]
async fn a_key_that_was_made_is_reported_with_what_to_do() {
    let world = World::start().await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    let mut request = world.request();
    request.ssh = Some(ssh(&node, None));
    let probe = world.engine.probe_host(&request).await.unwrap();
    let told = probe
        .warnings
        .iter()
        .any(|w| w.contains("~root/.ssh/authorized_keys"));
    assert!(told, "{:?}", probe.warnings);
    let host = world.engine.add_host(&admin(), request).await.unwrap();
    assert!(host.ssh.unwrap().public_key.starts_with("ssh-ed25519 "));
}

#[tokio::test]
async fn a_node_that_cannot_be_entered_is_no_host_with_guest_access() {
    let world = World::start().await;
    let node = node(
        world.folder.path(),
        "echo 'please run as root' >&2; exit 255",
    )
    .await;
    let mut request = world.request();
    request.ssh = Some(ssh(&node, Some(node.key.private_pem.clone())));
    let error = world.refused(request.clone()).await;
    assert_eq!(error.code(), "ssh_no_pct");
    assert!(error.to_string().contains("please run as root"), "{error}");

    let foreign = generate_keypair().unwrap();
    request.ssh = Some(ssh(&node, Some(foreign.private_pem)));
    let error = world.refused(request.clone()).await;
    assert_eq!(error.code(), "ssh_unreachable");
    assert!(error.hint().contains("ssh-ed25519 "), "{}", error.hint());

    let mut wrong = ssh(&node, Some(node.key.private_pem.clone()));
    wrong
        .host_keys
        .insert("pve1".to_owned(), foreign.public_line);
    request.ssh = Some(wrong);
    assert_eq!(
        world.refused(request.clone()).await.code(),
        "ssh_host_key_mismatch"
    );

    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut away = ssh(&node, None);
    away.addresses.insert("pve1".to_owned(), closed.to_string());
    request.ssh = Some(away);
    assert_eq!(world.refused(request).await.code(), "ssh_unreachable");
}
