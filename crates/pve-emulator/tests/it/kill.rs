//! What was acknowledged survives kill -9 at any moment: a real child process is killed while it
//! acknowledges writes.
//!
//! This binary is its own child: the second test serves when the environment says where, and is
//! empty otherwise.

mod lanes;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::https::{Connection, MemoryDriver, ROOT, control_at, start};
use crate::support::seed::{ALPINE, solo};
use serde_json::json;
use tokio::task::JoinHandle;

const DIRECTORY: &str = "PVE_EMULATOR_KILL_TEST_DIRECTORY";
const KILLS: u32 = 8;
const GUESTS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

struct Served {
    child: Child,
    address: SocketAddr,
    secret: String,
}

/// Starts this binary as a server on a state directory.
fn serve(directory: &Path) -> Served {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::child_serves_when_told_to",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.split_once("READY ")?.1.to_owned()))
        .unwrap();
    let (address, secret) = ready.split_once(' ').unwrap();
    Served {
        child,
        address: address.parse().unwrap(),
        secret: secret.to_owned(),
    }
}

#[tokio::test]
async fn child_serves_when_told_to() {
    #[allow(clippy::disallowed_methods)]
    // The only way to tell a test of the same binary that it is the child.
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let shell = start(
        &PathBuf::from(directory),
        solo(),
        Arc::new(MemoryDriver::default()),
    )
    .await;
    println!(
        "READY {} {}",
        shell.addresses()[0].1,
        shell.token_secret(ROOT).unwrap()
    );
    // Serves until it is killed, or its parent is gone.
    let mut line = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
}

/// Writes ever higher numbers into a guest's description until the connection breaks; notes what
/// was acknowledged.
async fn write_on(
    served: (SocketAddr, String),
    ca: PathBuf,
    vmid: u32,
    sent: Arc<AtomicU32>,
    acknowledged: Arc<AtomicU32>,
) {
    let mut connection = Connection::connect(served.0, &ca, ROOT, &served.1).await;
    loop {
        let number = sent.fetch_add(1, Ordering::SeqCst) + 1;
        let form = format!("description={number}");
        let answer = connection
            .try_call("PUT", &format!("/nodes/solo/lxc/{vmid}/config"), &form)
            .await;
        let Some(answer) = answer else { return };
        assert_eq!(answer.status, 200, "{answer:?}");
        acknowledged.store(number, Ordering::SeqCst);
        if answer.all("connection") == ["close"] {
            connection = Connection::connect(served.0, &ca, ROOT, &served.1).await;
        }
    }
}

/// Waits until something is so; a writer that has ended, or a minute that has passed, is a failure.
async fn reached(so: impl Fn() -> bool, writers: &[JoinHandle<()>]) {
    let wait = async {
        while !so() {
            assert!(
                !writers.iter().any(JoinHandle::is_finished),
                "a writer has ended"
            );
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it is so within a minute");
}

async fn description(served: &Served, ca: &Path, vmid: u32) -> u32 {
    let mut connection = Connection::connect(served.address, ca, ROOT, &served.secret).await;
    let config = connection
        .call("GET", &format!("/nodes/solo/lxc/{vmid}/config"), "")
        .await
        .payload();
    config["description"]
        .as_str()
        .map_or(0, |text| text.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_being_killed() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("pve-root-ca.pem");
    let counters: Vec<(Arc<AtomicU32>, Arc<AtomicU32>)> =
        (0..GUESTS).map(|_| Default::default()).collect();
    let mut served = serve(directory.path());
    for vmid in 100..100 + GUESTS {
        let mut connection = Connection::connect(served.address, &ca, ROOT, &served.secret).await;
        let form = format!("vmid={vmid}&ostemplate={ALPINE}");
        assert_eq!(
            connection
                .call("POST", "/nodes/solo/lxc", &form)
                .await
                .status,
            200
        );
    }
    let mut total = 0;
    for round in 0..KILLS {
        let writers: Vec<_> = (100..)
            .zip(&counters)
            .map(|(vmid, (sent, acknowledged))| {
                let to = (served.address, served.secret.clone());
                tokio::spawn(write_on(
                    to,
                    ca.clone(),
                    vmid,
                    Arc::clone(sent),
                    Arc::clone(acknowledged),
                ))
            })
            .collect();
        // Killed in the midst of it: after so many more acknowledgements, another number each
        // round.
        let goal = total + 3 + round * 7 % 40;
        let now = || {
            counters
                .iter()
                .map(|(_, acknowledged)| acknowledged.load(Ordering::SeqCst))
        };
        reached(|| now().sum::<u32>() >= goal, &writers).await;
        served.child.kill().unwrap();
        served.child.wait().unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
        served = serve(directory.path());
        for (vmid, (sent, acknowledged)) in (100..).zip(&counters) {
            let found = description(&served, &ca, vmid).await;
            let range = acknowledged.load(Ordering::SeqCst)..=sent.load(Ordering::SeqCst);
            assert!(
                range.contains(&found),
                "round {round}, guest {vmid}: found {found}, allowed {range:?}"
            );
        }
        total = counters
            .iter()
            .map(|(_, acknowledged)| acknowledged.load(Ordering::SeqCst))
            .sum();
    }
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    assert!(total >= KILLS * 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_broken_stays_broken_when_the_emulator_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("pve-root-ca.pem");
    let socket = directory.path().join("control.sock");
    let mut served = serve(directory.path());
    let version = async |served: &Served| {
        let mut connection = Connection::connect(served.address, &ca, ROOT, &served.secret).await;
        let answer = connection.try_call("GET", "/version", "").await;
        answer.map(|answer| answer.status)
    };
    let calls = json!({"path": "/version"});
    let wish = json!({"calls": calls, "nth": 2, "times": 2, "kind": {"cut": {}}}).to_string();
    let (status, made) = control_at(&socket, "POST", "/faults", &wish).await;
    assert_eq!(status, 200, "{made}");
    let node = json!({"slow_ms": 1, "daemons": {"pvestatd": false}}).to_string();
    let broken = control_at(&socket, "POST", "/nodes/solo", &node).await;
    let checks = json!({"immortal": [100]}).to_string();
    control_at(&socket, "POST", "/checks", &checks).await;
    // The first is only counted, and the second and third are cut; a kill lies between any two.
    for expected in [Some(200), None, None, Some(200)] {
        assert_eq!(version(&served).await, expected);
        served.child.kill().unwrap();
        served.child.wait().unwrap();
        served = serve(directory.path());
    }
    let (_, faults) = control_at(&socket, "GET", "/faults", "").await;
    let counts = (&faults[0]["seen"], &faults[0]["hits"]);
    assert_eq!(counts, (&json!(4), &json!(2)));
    let (_, nodes) = control_at(&socket, "GET", "/nodes", "").await;
    assert_eq!(nodes[0], broken.1);
    let (_, kept) = control_at(&socket, "GET", "/checks", "").await;
    assert_eq!(kept["immortal"], json!([100]));
    served.child.kill().unwrap();
    served.child.wait().unwrap();
}
