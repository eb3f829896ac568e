//! The end of a real server with an operation in flight, against an emulated PVE behind HTTPS.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use proximity_domain::ids::HostId;
use proximity_domain::operation::OperationState;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_pve::guest::ssh::generate_keypair;
use proximity_pve_emulator::core::guest::{GuestCommand, GuestDone};
use proximity_pve_emulator::core::{Access, TaskTimes};
use proximity_pve_emulator::shell::{
    GuestDriver, NodeListen, RunningShell, Shell, ShellOptions, TokenWish,
};
use proximity_store::records::{
    Actor, Endpoint, HostPlacement, HostRecord, OperationRecord, PurposeTokens, SshAccess, SshKind,
    SshNode, TlsTrust,
};
use proximity_store::views::OperationFilter;
use proximity_store::{Store, StoreOptions};
use proximity_testkit::guests::Guests;
use proximity_testkit::pve::{NodeRoom, seed};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

pub(crate) const TOKEN: &str = "root@pam!proximity";

struct InMemory(Guests);

#[async_trait]
impl GuestDriver for InMemory {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        self.0.carry_out(&command)
    }
}

pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) pve: RunningShell,
    pub(crate) config: PathBuf,
}

/// A server with one host whose creates take long.
pub(crate) async fn world(create_ms: u64) -> World {
    let dir = tempfile::tempdir().unwrap();
    let mut seed = seed(TOKEN, "", Access::Full, NodeRoom::default());
    // Its secret is made by the shell.
    seed.tokens.clear();
    seed.times = TaskTimes {
        create_ms,
        ..seed.times
    };
    let options = ShellOptions {
        state_dir: dir.path().join("pve"),
        listen: vec![NodeListen {
            node: "pve1".to_owned(),
            address: ([127, 0, 0, 1], 0).into(),
        }],
        certificate_names: Vec::new(),
        seed,
        tokens: vec![TokenWish {
            id: TOKEN.to_owned(),
            access: Access::Full,
        }],
        templates: None,
        task_times: None,
    };
    let driver = Arc::new(InMemory(Guests::default()));
    let pve = Shell::start(options, driver).await.unwrap();
    let config = dir.path().join("config.yaml");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "data_dir: {}\napi:\n  listen: {}\n",
        dir.path().join("data").display(),
        listener.local_addr().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    drop(listener);
    World { dir, pve, config }
}

impl World {
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::from(crate::program::proximity());
        command
            .arg("--config")
            .arg(&self.config)
            .args(line.split_whitespace())
            .kill_on_drop(true);
        command
    }

    /// Starts a server; returns when it serves.
    pub(crate) async fn serve(&self) -> Child {
        let mut child = self
            .command("serve")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while !lines
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .contains("serving")
        {}
        // Somebody has to read on, or the server would stop at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        child
    }

    pub(crate) async fn add_host(&self) {
        let store = open(&self.data_dir()).await;
        let (_, address) = self.pve.addresses().first().unwrap();
        let actor = Actor {
            account: "admin".to_owned(),
            token: None,
            request: None,
        };
        let key = generate_keypair().unwrap();
        let host = HostRecord {
            id: HostId(Uuid::from_u128(5)),
            label: "lab".parse().unwrap(),
            cluster_key: "node:pve1".to_owned(),
            endpoints: vec![Endpoint {
                url: format!("https://{address}"),
                node: None,
                trust: TlsTrust::Fingerprint {
                    sha256: self.pve.fingerprint_sha256().to_owned(),
                },
            }],
            token_id: TOKEN.to_owned(),
            token_secret: self.pve.token_secret(TOKEN).unwrap().to_owned().into(),
            purpose_tokens: PurposeTokens::default(),
            // A way into guests that leads nowhere: the operation never gets that far.
            ssh: Some(SshAccess {
                kind: SshKind::Plain,
                user: "root".to_owned(),
                private_key: key.private_pem,
                nodes: vec![SshNode {
                    node: "pve1".parse().unwrap(),
                    address: "127.0.0.1:9".to_owned(),
                    host_key: key.public_line.clone(),
                }],
                public_key: key.public_line,
            }),
            pool: None,
            storage: "local".parse().unwrap(),
            template_storage: "local".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
            placement: HostPlacement::default(),
            known_nodes: Vec::new(),
            pve_version: "9.2.11".to_owned(),
            created_at: Timestamp(0),
        };
        store.add_host(host, &actor, Timestamp(0)).await.unwrap();
        store.close().await;
    }

    async fn the_operation(&self) -> OperationRecord {
        let store = open(&self.data_dir()).await;
        let all = store.operations(OperationFilter::default()).await.unwrap();
        store.close().await;
        all.into_iter().next().unwrap()
    }

    /// Deploys, and returns when PVE is at work on the create.
    pub(crate) async fn deploy_is_under_way(&self) {
        let asked = self.command("deploy nginx web --detach").output().await;
        let asked = asked.unwrap();
        assert!(
            asked.status.success(),
            "{}",
            String::from_utf8_lossy(&asked.stderr)
        );
        let creates = || {
            let entries = self.pve.journal().entries();
            entries
                .iter()
                .any(|e| e.method == "POST" && e.status == Some(200))
        };
        let arriving = async {
            while !creates() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), arriving)
            .await
            .unwrap();
    }
}

async fn open(dir: &Path) -> Store {
    let options = StoreOptions {
        path: dir.join("proximity.db"),
        key_file: dir.join("secret.key"),
        public: PortRange::PUBLIC,
        internal: PortRange::INTERNAL,
        rest_ms: 0,
    };
    Store::open(options, Timestamp(0)).await.unwrap()
}

pub(crate) fn tell(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The wait for a task is a safe point: the server ends at once and well, and leaves the operation to be claimed.
#[tokio::test]
async fn sigterm_gives_an_operation_in_flight_back_and_ends_well() {
    let w = world(600_000).await;
    drop(w.serve().await.kill().await);
    w.add_host().await;
    let mut server = w.serve().await;
    w.deploy_is_under_way().await;
    tell(&server, Signal::TERM);
    let ended = tokio::time::timeout(Duration::from_secs(9), server.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    let left = w.the_operation().await;
    assert_eq!((left.state, left.lease), (OperationState::Running, None));
    assert_eq!(left.epoch.0, 1);

    // The next start goes on at once: no lease has to run out.
    let server = w.serve().await;
    let going_on = async {
        while w.the_operation().await.epoch.0 < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), going_on)
        .await
        .unwrap();
    drop(server);
    w.pve.stop().await.unwrap();
}

/// A request that does not end is waited for; who asks twice does not want to wait.
#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let w = world(600_000).await;
    let mut server = w.serve().await;
    let config = std::fs::read_to_string(&w.config).unwrap();
    let address = config.rsplit_once("listen: ").unwrap().1.trim().to_owned();
    let token = std::fs::read_to_string(w.data_dir().join("admin.token")).unwrap();
    let mut half = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/apps/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n",
        token.trim()
    );
    half.write_all(head.as_bytes()).await.unwrap();
    // It asks for the body: from here on the request is under way.
    let mut asked = [0; 12];
    half.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    tell(&server, Signal::TERM);
    let end = tokio::time::timeout(Duration::from_millis(500), server.wait()).await;
    assert!(end.is_err(), "it waits for the request: {end:?}");
    tell(&server, Signal::INT);
    let ended = tokio::time::timeout(Duration::from_secs(5), server.wait()).await;
    assert_eq!(ended.unwrap().unwrap().signal(), Some(9));
    w.pve.stop().await.unwrap();
}
