//! The two servers: the emulator over a large cluster, and one that only sends.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use proximity_pve_emulator::core::guest::{GuestCommand, GuestDone, GuestError};
use proximity_pve_emulator::core::{
    Access, Bridge, NodeSeed, Scenery, Storage, TaskTimes, WorldSeed,
};
use proximity_pve_emulator::shell::{
    GuestDriver, NodeListen, RunningShell, Shell, ShellOptions, TokenWish,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::client::Target;

const TOKEN: &str = "root@pam!proximity";
const NODES: usize = 20;
const GUESTS: u32 = 10_000;
const POOLS: u32 = 50;
/// As many as Proxmox VE serves on one connection.
const REQUESTS_PER_CONNECTION: u32 = 100;

/// All guests are scenery, which no driver is asked about.
struct NoGuests;

#[async_trait]
impl GuestDriver for NoGuests {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        GuestDone {
            job: command.job(),
            result: Err(GuestError::Failed("there are no guests".to_owned())),
        }
    }
}

fn options(state: &Path) -> ShellOptions {
    let names: Vec<String> = (1..=NODES).map(|number| format!("pve{number}")).collect();
    let node = |name: &String| NodeSeed {
        name: name.clone(),
        address: "127.0.0.1".to_owned(),
        cpus: 64,
        memory_bytes: 512 << 30,
        memory_used_bytes: 8 << 30,
        disk_bytes: 4 << 40,
        disk_used_bytes: 16 << 30,
        bridges: vec![Bridge {
            name: "vmbr0".to_owned(),
            cidr: None,
        }],
    };
    let storage = Storage {
        id: "local".to_owned(),
        kind: "dir".to_owned(),
        content: vec!["rootdir".to_owned(), "vztmpl".to_owned()],
        shared: false,
        nodes: None,
        path: "/var/lib/vz".to_owned(),
        options: Default::default(),
        total_bytes: 4 << 40,
        used_bytes: 16 << 30,
    };
    ShellOptions {
        state_dir: state.to_owned(),
        listen: names
            .iter()
            .map(|name| NodeListen {
                node: name.clone(),
                address: ([127, 0, 0, 1], 0).into(),
            })
            .collect(),
        certificate_names: Vec::new(),
        seed: WorldSeed {
            cluster_name: Some("large".to_owned()),
            nodes: names.iter().map(node).collect(),
            storages: vec![storage],
            templates: Vec::new(),
            pools: Default::default(),
            tokens: Vec::new(),
            random: 0,
            times: TaskTimes::default(),
        },
        tokens: vec![TokenWish {
            id: TOKEN.to_owned(),
            access: Access::Full,
        }],
        templates: None,
        task_times: None,
    }
}

/// Serves the large cluster until standard input ends.
pub async fn emulator(folder: &Path, sabotage: bool) {
    let state = folder.join("emulator");
    let shell = Shell::start(options(&state), Arc::new(NoGuests))
        .await
        .unwrap();
    let order: Scenery =
        serde_json::from_value(serde_json::json!({"guests": GUESTS, "pools": POOLS})).unwrap();
    shell
        .change(move |world| world.set_up_scenery(order, now_ms()).unwrap())
        .await
        .unwrap();
    let secret = shell.token_secret(TOKEN).unwrap();
    let target = Target {
        address: shell.addresses()[0].1,
        authority: shell.ca_pem_path().to_owned(),
        authorization: format!("PVEAPIToken={TOKEN}={secret}"),
    };
    println!("{}", serde_json::to_string(&target).unwrap());
    tokio::select! {
        () = stdin_ended() => {}
        () = spoil(&shell), if sabotage => {}
    }
    shell.stop().await.unwrap();
}

/// The control: all rows change all the time, so that nothing of the list can be kept.
async fn spoil(shell: &RunningShell) {
    for round in 0_u64.. {
        let lock = ["backup", "snapshot"][usize::try_from(round % 2).unwrap()];
        let change = move |world: &mut proximity_pve_emulator::core::World| {
            let vmids: Vec<u32> = world.guests().map(|(vmid, _)| vmid).collect();
            for vmid in vmids {
                world.set_lock(vmid, Some(lock));
            }
        };
        shell.change(change).await.unwrap();
    }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_millis()).unwrap()
}

async fn stdin_ended() {
    let mut rest = Vec::new();
    // Whatever it was that ended it.
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}

/// Sends `body.json` to everybody who asks, until standard input ends. The certificate is the emulator's.
pub async fn bare(folder: &Path) {
    let state = folder.join("emulator");
    let body = std::fs::read(folder.join("body.json")).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (head, body): (Arc<[u8]>, Arc<[u8]>) = (head.into_bytes().into(), body.into());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(state.join("pve-ssl.pem"))
            .unwrap()
            .map(Result::unwrap)
            .collect();
    let key = PrivateKeyDer::from_pem_file(state.join("pve-ssl.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target {
        address: listener.local_addr().unwrap(),
        authority: state.join("pve-root-ca.pem"),
        authorization: "none".to_owned(),
    };
    println!("{}", serde_json::to_string(&target).unwrap());
    let serving = async {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(send(tcp, tls.clone(), Arc::clone(&head), Arc::clone(&body)));
        }
    };
    tokio::select! {
        () = stdin_ended() => {}
        () = serving => {}
    }
}

async fn send(tcp: TcpStream, tls: TlsAcceptor, head: Arc<[u8]>, body: Arc<[u8]>) {
    tcp.set_nodelay(true).unwrap();
    let mut stream = tls.accept(tcp).await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..REQUESTS_PER_CONNECTION {
        asked.clear();
        while !asked.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut asked).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let sent = async {
            stream.write_all(&head).await?;
            stream.write_all(&body).await?;
            stream.flush().await
        };
        if sent.await.is_err() {
            return;
        }
    }
    // The client may be gone already.
    let _ = stream.shutdown().await;
}
