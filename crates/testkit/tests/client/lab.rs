//! An emulated node behind HTTPS, and clients of it. Its guests never run.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use proximity_domain::destroy::VerifiedContainer;
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest, ObservedContainer};
use proximity_domain::ids::{AppId, Epoch, GuestId, HostId, InstallationId, OperationId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{NodeName, Volid};
use proximity_domain::time::Clock;
use proximity_pve::lxc::{CreateLxc, NewNet};
use proximity_pve::task::{TaskOutcome, TaskWatcher};
use proximity_pve::transport::https::{
    ApiToken, Credentials, EndpointConfig, HttpsTransport, Login, Trust,
};
use proximity_pve::transport::{Method, Request, Transport};
use proximity_pve::{Client, ReadClient, Upid, Warrant};
use proximity_pve_emulator::core::guest::{GuestCommand, GuestDone, GuestLook, GuestOutcome};
use proximity_pve_emulator::core::{Access, NodeSeed, Storage, TaskTimes};
use proximity_pve_emulator::shell::{
    GuestDriver, NodeListen, RunningShell, Shell, ShellOptions, TokenWish,
};
use proximity_testkit::pve::{NodeRoom, seed};
use proximity_testkit::sources::RealClock;
use uuid::Uuid;

pub(crate) const TOKEN: &str = "root@pam!proximity";
pub(crate) const USER: &str = "ops@pve";
pub(crate) const PASSWORD: &str = "p&ss; wörd";
const TEMPLATE: &str = "local:vztmpl/debian-12-standard_12.0-1_amd64.tar.zst";

/// Guests that are never started: whatever is done with their files succeeds.
struct Resting;

#[async_trait]
impl GuestDriver for Resting {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        let outcome = match &command {
            GuestCommand::Inspect { .. } => GuestOutcome::Inspected(GuestLook::default()),
            GuestCommand::Create { .. }
            | GuestCommand::Start { .. }
            | GuestCommand::Shutdown { .. }
            | GuestCommand::Kill { .. }
            | GuestCommand::Destroy { .. }
            | GuestCommand::Change { .. } => GuestOutcome::Done { log: Vec::new() },
        };
        GuestDone {
            job: command.job(),
            result: Ok(outcome),
        }
    }
}

fn storage(id: &str, kind: &str, content: &[&str]) -> Storage {
    Storage {
        id: id.to_owned(),
        kind: kind.to_owned(),
        content: content.iter().map(|c| (*c).to_owned()).collect(),
        shared: false,
        nodes: None,
        path: format!("/mnt/{id}"),
        options: BTreeMap::new(),
        total_bytes: 100 << 30,
        used_bytes: 1 << 30,
    }
}

/// The nodes `pve1`, which is asked, and `pve2`, each with four storages: `local` for templates and containers, `snap`, which can take
/// snapshots, `tank`, whose clones share with their template, and `nas` for backups.
pub(crate) struct Lab {
    pub(crate) shell: RunningShell,
    pub(crate) node: NodeName,
    _state: tempfile::TempDir,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut seed = seed(TOKEN, "unused", Access::Full, NodeRoom::default());
        let rootdir = ["rootdir", "images"];
        seed.storages.push(storage("snap", "btrfs", &rootdir));
        seed.storages.push(storage("tank", "zfspool", &rootdir));
        seed.storages.push(storage("nas", "dir", &["backup"]));
        let second = NodeSeed {
            name: "pve2".to_owned(),
            address: "192.0.2.2".to_owned(),
            ..seed.nodes[0].clone()
        };
        seed.nodes.push(second);
        seed.cluster_name = Some("lab".to_owned());
        let listen = ["pve1", "pve2"].map(|node| NodeListen {
            node: node.to_owned(),
            address: ([127, 0, 0, 1], 0).into(),
        });
        let options = ShellOptions {
            state_dir: state.path().to_owned(),
            listen: listen.to_vec(),
            certificate_names: Vec::new(),
            seed,
            tokens: vec![TokenWish {
                id: TOKEN.to_owned(),
                access: Access::Full,
            }],
            templates: None,
            task_times: Some(TaskTimes {
                create_ms: 1,
                destroy_ms: 1,
                ..TaskTimes::default()
            }),
        };
        Self {
            shell: Shell::start(options, Arc::new(Resting)).await.unwrap(),
            node: "pve1".parse().unwrap(),
            _state: state,
        }
    }

    pub(crate) fn endpoint(&self) -> EndpointConfig {
        EndpointConfig {
            url: format!("https://{}", self.shell.addresses()[0].1),
            trust: Trust::Fingerprint(self.shell.fingerprint_sha256().parse().unwrap()),
        }
    }

    pub(crate) fn transport(&self, credentials: impl Into<Credentials>) -> HttpsTransport {
        HttpsTransport::new(vec![self.endpoint()], credentials).unwrap()
    }

    pub(crate) fn by_token(&self) -> HttpsTransport {
        self.transport(ApiToken {
            id: TOKEN.to_owned(),
            secret: self.shell.token_secret(TOKEN).unwrap().into(),
        })
    }

    /// A user who may do everything, with a password.
    pub(crate) async fn add_user(&self) {
        // No token of a host makes users.
        let root = self.transport(Login {
            user: "root@pam".to_owned(),
            password: self.shell.root_password().into(),
            totp_code: None,
        });
        let user = [("userid", USER), ("password", PASSWORD)];
        call(&root, Method::Post, "/access/users", &user).await;
        let grant = [("path", "/"), ("users", USER), ("roles", "Administrator")];
        call(&root, Method::Put, "/access/acl", &grant).await;
    }

    pub(crate) fn hands(&self) -> Hands {
        Hands::new(self.by_token(), self.node.clone())
    }
}

pub(crate) fn login(password: &str) -> Login {
    Login {
        user: USER.to_owned(),
        password: password.into(),
        totp_code: None,
    }
}

/// A call that is none of the client's.
pub(crate) async fn call(by: &HttpsTransport, method: Method, path: &str, params: &[(&str, &str)]) {
    let request = Request {
        method,
        path: path.to_owned(),
        params: params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        timeout_ms: 10_000,
        answer_ms: None,
        send_before: None,
        reference: None,
        of_adopted: false,
    };
    let answer = by.send(request).await.unwrap();
    assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
}

/// A client, and what it needs to see its tasks end and to ask for permits.
pub(crate) struct Hands {
    pub(crate) client: Client,
    pub(crate) read: ReadClient,
    pub(crate) node: NodeName,
    watcher: TaskWatcher,
}

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn host() -> HostId {
    HostId(uuid(1))
}

pub(crate) fn operation() -> OperationId {
    OperationId(uuid(9))
}

pub(crate) fn vmid(n: u32) -> Vmid {
    Vmid::try_from(n).unwrap()
}

/// The mark of what is made for this number.
pub(crate) fn mark(n: u32) -> Mark {
    Mark {
        installation: InstallationId(uuid(3)),
        app: AppId(uuid(2)),
        nonce: n.into(),
    }
}

impl Hands {
    pub(crate) fn new(transport: HttpsTransport, node: NodeName) -> Self {
        let transport = Arc::new(transport);
        let clock = Arc::new(RealClock);
        let warrant = Warrant {
            send_by: clock.monotonic().plus_ms(300_000),
            reference: "test".to_owned(),
        };
        let read = ReadClient::new(transport.clone());
        Self {
            client: Client::new(transport, clock.clone(), host(), warrant),
            watcher: TaskWatcher::new(read.clone(), clock),
            read,
            node,
        }
    }

    /// Waits until a task has ended well.
    pub(crate) async fn done(&self, upid: Upid) {
        assert_eq!(self.outcome(&upid).await, TaskOutcome::Ok, "{upid}");
    }

    /// Waits for a task's end.
    pub(crate) async fn outcome(&self, upid: &Upid) -> TaskOutcome {
        self.watcher.wait(upid, 30_000).await.unwrap()
    }

    /// Makes a container of ours on `storage`.
    pub(crate) async fn create(&self, n: u32, storage: &str) {
        let new = CreateLxc {
            vmid: vmid(n),
            ostemplate: TEMPLATE.parse().unwrap(),
            hostname: "web".parse().unwrap(),
            storage: storage.parse().unwrap(),
            disk_gib: 1,
            mounts: Vec::new(),
            memory_mib: 128,
            swap_mib: 0,
            cores: 1,
            net0: net(n),
            network: proximity_domain::network::Network::default(),
            root_keys: Vec::new(),
            root_password: None,
            description: mark(n).described("made by a test"),
            pool: None,
            unprivileged: true,
            onboot: false,
            protection: false,
            nesting: false,
        };
        let upid = self.client.create_lxc(&self.node, new).await.unwrap();
        self.done(upid).await;
    }

    /// What the container with this number is, read now.
    pub(crate) async fn observed(&self, n: u32) -> ObservedContainer {
        let config = self.read.lxc_config(&self.node, vmid(n)).await.unwrap();
        ObservedContainer {
            place: self.place(n),
            mark: config.description.as_deref().and_then(Mark::find),
            net0_mac: config.net0.and_then(|net0| net0.hwaddr),
            rootfs_volid: config.rootfs.map(|rootfs| rootfs.volid),
            lock: config.lock,
            protection: config.protection,
            digest: config.digest.unwrap().to_string(),
            ha_managed: false,
            replicated: false,
        }
    }

    /// What is on record of the container that is made for this number.
    pub(crate) fn guest(&self, n: u32, rootfs_volid: Option<Volid>) -> NativeGuest {
        NativeGuest {
            id: GuestId(uuid(7)),
            app: AppId(uuid(2)),
            created_by: operation(),
            place: self.place(n),
            identity: ContainerIdentity {
                vmid: vmid(n),
                mark: mark(n),
                net0_mac: net(n).hwaddr,
                rootfs_volid,
            },
            learned: None,
        }
    }

    /// The container, read and found to be ours now.
    pub(crate) async fn verified(&self, n: u32) -> VerifiedContainer {
        let read_started = RealClock.monotonic();
        let seen = self.observed(n).await;
        let guest = self.guest(n, seen.rootfs_volid.clone());
        guest.verify(&seen, read_started, Epoch(1)).unwrap()
    }

    fn place(&self, n: u32) -> ContainerRef {
        ContainerRef {
            host: host(),
            node: self.node.clone(),
            vmid: vmid(n),
        }
    }
}

pub(crate) fn net(n: u32) -> NewNet {
    NewNet {
        name: "eth0".to_owned(),
        bridge: "vmbr0".parse().unwrap(),
        hwaddr: format!("BC:24:11:00:00:{:02X}", n % 256).parse().unwrap(),
    }
}
