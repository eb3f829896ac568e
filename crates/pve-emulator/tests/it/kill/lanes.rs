//! Clients that make and remove things until their server is killed, and what must be there then.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{PATIENCE, Served, reached, serve};
use crate::support::https::{Connection, ROOT, Raw};

const KILLS: u32 = 6;
/// Pools whose comments make each line of the log, and the state, so large that a few changes lead from one to the other.
const LARGE: u32 = 60;
const COMMENT_CHARS: usize = 6_000;

/// What a client knows of the things it makes, by name.
#[derive(Debug, Default)]
struct Known {
    there: BTreeSet<String>,
    gone: BTreeSet<String>,
    /// Asked for, and not acknowledged.
    open: BTreeSet<String>,
    /// Tasks that were acknowledged.
    tasks: BTreeSet<String>,
}

impl Known {
    fn is_there(&mut self, name: &str) {
        self.open.remove(name);
        self.there.insert(name.to_owned());
    }

    fn may_go(&mut self, name: &str) {
        self.there.remove(name);
        self.open.insert(name.to_owned());
    }

    fn is_gone(&mut self, name: &str) {
        self.open.remove(name);
        self.gone.insert(name.to_owned());
    }
}

/// One client's connection, made again when the server closes it.
struct Client {
    to: (SocketAddr, String),
    ca: PathBuf,
    connection: Connection,
    acknowledged: Arc<AtomicU32>,
}

impl Client {
    async fn new(served: &Served, ca: &Path, acknowledged: &Arc<AtomicU32>) -> Self {
        let to = (served.address, served.secret.clone());
        Self {
            connection: Connection::connect(to.0, ca, ROOT, &to.1).await,
            to,
            ca: ca.to_owned(),
            acknowledged: Arc::clone(acknowledged),
        }
    }

    /// An answer; none when the server is dead.
    async fn call(&mut self, verb: &str, path: &str, form: &str) -> Option<Raw> {
        let answer = self.connection.try_call(verb, path, form).await?;
        if answer.all("connection") == ["close"] {
            let (address, secret) = &self.to;
            self.connection = Connection::connect(*address, &self.ca, ROOT, secret).await;
        }
        Some(answer)
    }

    /// A change that goes well.
    async fn change(&mut self, verb: &str, path: &str, form: &str) -> Option<Value> {
        let answer = self.call(verb, path, form).await?;
        assert_eq!(answer.status, 200, "{verb} {path}: {answer:?}");
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        Some(answer.payload())
    }

    /// How a task ended.
    async fn end_of(&mut self, upid: &str) -> Option<String> {
        let path = format!("/nodes/solo/tasks/{upid}/status");
        loop {
            let answer = self.call("GET", &path, "").await?;
            assert_eq!(answer.status, 200, "{upid} is not known: {answer:?}");
            let status = answer.payload();
            if let Some(exit) = status["exitstatus"].as_str() {
                return Some(exit.to_owned());
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Makes users or pools, and removes every second one.
async fn accounts(mut client: Client, known: Arc<Mutex<Known>>, round: u32, list: &'static str) {
    let (field, ending) = match list {
        "/pools" => ("poolid", ""),
        _ => ("userid", "@pve"),
    };
    for n in 0.. {
        let name = format!("made-{round}-{n}{ending}");
        known.lock().unwrap().open.insert(name.clone());
        let form = format!("{field}={name}");
        let Some(_) = client.change("POST", list, &form).await else {
            return;
        };
        known.lock().unwrap().is_there(&name);
        if n % 2 == 0 {
            continue;
        }
        known.lock().unwrap().may_go(&name);
        let path = format!("{list}/{name}");
        let Some(_) = client.change("DELETE", &path, "").await else {
            return;
        };
        known.lock().unwrap().is_gone(&name);
    }
}

/// Makes containers with a snapshot, and removes every second one.
async fn containers(mut client: Client, known: Arc<Mutex<Known>>, first: u32) {
    for vmid in first.. {
        let Some(()) = container(&mut client, &known, vmid).await else {
            return;
        };
    }
}

async fn container(client: &mut Client, known: &Mutex<Known>, vmid: u32) -> Option<()> {
    let name = vmid.to_string();
    let path = format!("/nodes/solo/lxc/{vmid}");
    let form = format!("vmid={vmid}&rootfs=btr:1&ostemplate={}", super::ALPINE);
    known.lock().unwrap().open.insert(name.clone());
    task(client, known, "POST", "/nodes/solo/lxc", &form).await?;
    let snapshots = format!("{path}/snapshot");
    task(client, known, "POST", &snapshots, "snapname=one").await?;
    known.lock().unwrap().is_there(&name);
    if vmid.is_multiple_of(2) {
        return Some(());
    }
    known.lock().unwrap().may_go(&name);
    task(client, known, "DELETE", &path, "").await?;
    known.lock().unwrap().is_gone(&name);
    Some(())
}

/// A task to its end.
async fn task(
    client: &mut Client,
    known: &Mutex<Known>,
    verb: &str,
    path: &str,
    form: &str,
) -> Option<()> {
    let upid = client.change(verb, path, form).await?;
    let upid = upid.as_str().unwrap().to_owned();
    known.lock().unwrap().tasks.insert(upid.clone());
    assert_eq!(client.end_of(&upid).await?, "OK", "{verb} {path}");
    Some(())
}

/// Names in a list.
async fn names(client: &mut Client, list: &str, field: &str) -> BTreeSet<String> {
    let rows = client.call("GET", list, "").await.unwrap().payload();
    let rows = rows.as_array().unwrap().iter();
    let name = |row: &Value| {
        row[field]
            .as_str()
            .map_or(row[field].to_string(), str::to_owned)
    };
    rows.map(name).collect()
}

/// What was acknowledged is there, or gone; what was not may be either.
fn compare(known: &mut Known, found: &BTreeSet<String>, what: &str) {
    let lost: Vec<_> = known.there.difference(found).collect();
    assert!(lost.is_empty(), "{what}: {lost:?} are lost");
    let back: Vec<_> = known.gone.intersection(found).collect();
    assert!(back.is_empty(), "{what}: {back:?} are back");
    for name in std::mem::take(&mut known.open) {
        match found.contains(&name) {
            true => known.there.insert(name),
            false => known.gone.insert(name),
        };
    }
}

/// Tasks go on to their end, and leave what they were to.
async fn check_containers(client: &mut Client, known: &mut Known) {
    for upid in std::mem::take(&mut known.tasks) {
        let exit = tokio::time::timeout(PATIENCE, client.end_of(&upid)).await;
        assert_eq!(exit.expect("a task ends").unwrap(), "OK", "{upid}");
    }
    let found = names(client, "/nodes/solo/lxc", "vmid").await;
    compare(known, &found, "containers");
    let owners = names(client, "/nodes/solo/storage/btr/content", "vmid").await;
    assert_eq!(owners, found, "each has its disk, and no other is there");
    for vmid in &known.there {
        let path = format!("/nodes/solo/lxc/{vmid}");
        let config = client
            .call("GET", &format!("{path}/config"), "")
            .await
            .unwrap();
        let lock = &config.payload()["lock"];
        assert!(lock.is_null(), "{vmid} is left with its lock {lock}");
    }
}

/// Which state file is on disk.
fn generation(directory: &Path) -> u64 {
    let text = std::fs::read_to_string(directory.join("world.json")).unwrap();
    let state: Value = serde_json::from_str(&text).unwrap();
    state["generation"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_made_or_removed_survives_being_killed() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("pve-root-ca.pem");
    let acknowledged = Arc::new(AtomicU32::new(0));
    let mut served = serve(directory.path());
    let mut client = Client::new(&served, &ca, &acknowledged).await;
    let comment = "x".repeat(COMMENT_CHARS);
    for n in 0..LARGE {
        let form = format!("poolid=large-{n}&comment={comment}");
        client.change("POST", "/pools", &form).await.unwrap();
    }
    let [users, pools, guests]: [Arc<Mutex<Known>>; 3] = Default::default();
    let mut wholes = 0;
    for round in 0..KILLS {
        let before = generation(directory.path());
        let first = 1_000 * (round + 1);
        let mut lanes = Vec::new();
        for (list, known) in [("/access/users", &users), ("/pools", &pools)] {
            let client = Client::new(&served, &ca, &acknowledged).await;
            lanes.push(tokio::spawn(accounts(
                client,
                Arc::clone(known),
                round,
                list,
            )));
        }
        for first in [first, first + 500] {
            let client = Client::new(&served, &ca, &acknowledged).await;
            lanes.push(tokio::spawn(containers(client, Arc::clone(&guests), first)));
        }
        // In the midst of it: after another number each round.
        let goal = acknowledged.load(Ordering::SeqCst) + 12 + round * 5;
        reached(|| acknowledged.load(Ordering::SeqCst) >= goal, &lanes).await;
        served.child.kill().unwrap();
        served.child.wait().unwrap();
        for lane in lanes {
            lane.await.unwrap();
        }
        wholes += generation(directory.path()) - before;
        served = serve(directory.path());
        let mut client = Client::new(&served, &ca, &acknowledged).await;
        for (list, field, known) in [
            ("/access/users", "userid", &users),
            ("/pools", "poolid", &pools),
        ] {
            let found = names(&mut client, list, field).await;
            compare(&mut known.lock().unwrap(), &found, list);
        }
        let mut known = std::mem::take(&mut *guests.lock().unwrap());
        check_containers(&mut client, &mut known).await;
        *guests.lock().unwrap() = known;
    }
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let gone = [&users, &guests].map(|known| known.lock().unwrap().gone.len());
    assert!(gone.iter().all(|count| *count > 0), "{gone:?}");
    assert!(
        wholes > u64::from(KILLS),
        "the state was written whole {wholes} times"
    );
}
