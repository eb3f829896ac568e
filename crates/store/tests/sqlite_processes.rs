//! Several processes on one database, and one that is killed while it commits.
//!
//! Without a harness: the tests start this very program again with `child` as its first word.
#![allow(missing_docs, unreachable_pub, dead_code, unused_macros)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

#[path = "it/suite/mod.rs"]
mod suite;

use std::any::Any;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use proximity_domain::app::Status;
use proximity_domain::ids::{AppId, HolderId, HostId, InstallationId, OperationId};
use proximity_domain::operation::OperationState;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::records::{Actor, NewOperation};
use proximity_store::views::AppFilter;
use proximity_store::{Store, StoreOptions};
use serde_json::json;
use suite::world::{LEASE_MS, Make, Shape, World, with_status};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const CREATED: u128 = 20;
const TESTS: [(&str, fn()); 2] = [
    (
        "acknowledged_commits_survive_kill_9",
        acknowledged_commits_survive_kill_9,
    ),
    (
        "processes_open_and_write_at_once",
        processes_open_and_write_at_once,
    ),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|w| w == "child") {
        block_on(child(
            &words[1],
            Path::new(&words[2]),
            words[3].parse().unwrap(),
        ));
        return ExitCode::SUCCESS;
    }
    let has = |word: &str| words.iter().any(|w| w == word);
    if has("--list") {
        // None is ignored, so that list is empty.
        for (name, _) in TESTS.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(*f));
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

struct Inside(PathBuf);

impl Make for Inside {
    async fn make(&self, _: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        (open(&self.0).await, Box::new(()))
    }
}

async fn open(dir: &Path) -> Store {
    let options = StoreOptions {
        path: dir.join("proximity.db"),
        key_file: dir.join("key"),
        public: PortRange::PUBLIC,
        internal: PortRange::INTERNAL,
        rest_ms: 0,
    };
    Store::open(options, NOW).await.unwrap()
}

/// A process of this program; killed and awaited when dropped.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(what: &str, dir: &Path, number: u128) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", what])
            .arg(dir)
            .arg(number.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> Option<String> {
        self.lines.next().map(Result::unwrap)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

async fn child(what: &str, dir: &Path, number: u128) {
    let store = open(dir).await;
    say(&store.installation().to_string());
    match what {
        "open" => {}
        "create" => {
            for n in 0..CREATED {
                create(&store, number * 1000 + n).await;
            }
        }
        "work" => {
            for n in 0.. {
                work(&store, number * 1_000_000 + n).await;
            }
        }
        other => panic!("{other}"),
    }
}

fn actor() -> Actor {
    Actor {
        account: "admin".to_owned(),
        token: None,
        request: None,
    }
}

/// One app, made from the record of the only host.
async fn create(store: &Store, n: u128) -> AppId {
    let host: HostId = store.hosts().await.unwrap()[0].id;
    let app = proximity_store::records::NewApp {
        id: AppId(Uuid::from_u128(n << 8)),
        owner: "admin".to_owned(),
        hostname: format!("app-{n}").parse().unwrap(),
        catalog_id: "nginx".parse().unwrap(),
        catalog_version: "1".to_owned(),
        entry: None,
        host,
        node: "pve1".parse().unwrap(),
        resources: proximity_domain::create::Resources {
            memory_mib: 512,
            cores: 1,
            disk_gib: 4,
        },
        environment: json!({}),
        environment_sealed: "{}".to_owned().into(),
        guest_port: 8080,
        site: None,
        made_with: Default::default(),
        root_password: None,
    };
    let operation = NewOperation {
        id: OperationId(Uuid::from_u128((n << 8) + 1)),
        kind: proximity_domain::operation::OperationKind::Deploy,
        app: app.id,
        input: json!({}),
        retry_of: None,
        key: None,
    };
    store
        .create_app(app, operation, &actor(), None, NOW)
        .await
        .unwrap()
        .id
}

/// Creates an app and carries its deploy out, saying each commit that was acknowledged.
async fn work(store: &Store, n: u128) {
    let app = create(store, n).await;
    say(&format!("created {app}"));
    let holder = HolderId(Uuid::from_u128(n));
    while let Some((operation, fence)) = store.claim(holder, LEASE_MS, true, NOW).await.unwrap() {
        // The one before may have been killed at any commit, this one goes on from the log.
        let done = store.steps(operation.id).await.unwrap();
        let mut guests = Vec::new();
        if done.is_empty() {
            guests.push(GuestChange::Insert(guest(store, &operation)));
            let effects = Effects {
                guests,
                ..Effects::default()
            };
            store
                .begin_step(&fence, 0, "create", json!({}), effects, NOW)
                .await
                .unwrap();
            say(&format!("begun {}", operation.id));
        }
        let state = done.first().map(|s| s.state);
        if state != Some(proximity_domain::saga::StepState::Succeeded) {
            store
                .finish_step(&fence, 0, json!({}), Effects::default(), NOW)
                .await
                .unwrap();
        }
        store
            .complete(&fence, with_status(Status::Running), NOW)
            .await
            .unwrap();
        say(&format!("completed {}", operation.id));
    }
}

fn guest(
    store: &Store,
    operation: &proximity_store::records::OperationRecord,
) -> proximity_domain::guest::NativeGuest {
    use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest};
    // A number of its own for each operation: round and count within the round.
    let n = operation.id.0.as_u128() >> 8;
    let vmid = 100 + n / 1_000_000 * 1000 + n % 1_000_000;
    let vmid = u32::try_from(vmid).unwrap().try_into().unwrap();
    NativeGuest {
        id: proximity_domain::ids::GuestId(operation.id.0),
        app: operation.app,
        created_by: operation.id,
        place: ContainerRef {
            host: HostId(Uuid::from_u128(1001)),
            node: "pve1".parse().unwrap(),
            vmid,
        },
        identity: ContainerIdentity {
            vmid,
            mark: proximity_domain::mark::Mark {
                installation: store.installation(),
                app: operation.app,
                nonce: operation.id.0.as_u128(),
            },
            net0_mac: proximity_domain::names::Mac::with_pve_prefix([0, 0, 1]),
            rootfs_volid: None,
        },
        learned: None,
    }
}

/// Eight rounds on one database; each is killed after another number of acknowledged commits, in the middle of
/// whatever it does then.
fn acknowledged_commits_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let world = World::new(&Inside(dir.path().to_owned())).await;
        assert_eq!(world.host, HostId(Uuid::from_u128(1001)));
        world.store.close().await;
    });
    let mut acknowledged = Vec::new();
    for (round, commits) in (1..).zip([1, 2, 3, 5, 8, 13, 21, 34]) {
        let mut process = Process::start("work", dir.path(), round);
        assert!(process.line().is_some());
        for _ in 0..commits {
            acknowledged.push(process.line().expect("it works until it is killed"));
        }
        process.child.kill().unwrap();
        // What was said before the kill and is still in the pipe was acknowledged, too.
        while let Some(line) = process.line() {
            acknowledged.push(line);
        }
        block_on(assert_all_there(dir.path(), &acknowledged));
    }
    assert!(acknowledged.len() >= 87, "{}", acknowledged.len());
}

async fn assert_all_there(dir: &Path, acknowledged: &[String]) {
    let store = open(dir).await;
    assert_eq!(store.integrity().await.unwrap(), ["ok"]);
    assert_eq!(store.invariants().await.unwrap(), Vec::<String>::new());
    let mut apps = 0;
    for line in acknowledged {
        let (what, id) = line.split_once(' ').unwrap();
        match what {
            "created" => {
                apps += 1;
                assert!(
                    store.app(id.parse().unwrap()).await.unwrap().is_some(),
                    "{line}"
                );
            }
            "begun" => assert_eq!(
                store.steps(id.parse().unwrap()).await.unwrap().len(),
                1,
                "{line}"
            ),
            "completed" => {
                let operation = store.operation(id.parse().unwrap()).await.unwrap().unwrap();
                assert_eq!(operation.state, OperationState::Succeeded, "{line}");
            }
            other => panic!("{other}"),
        }
    }
    let (_, total) = store.apps(AppFilter::default()).await.unwrap();
    // A round may have committed one more app than it could say.
    assert!(
        (apps..=apps + 8).contains(&total),
        "{apps} acknowledged, {total} there"
    );
    store.close().await;
}

const PROCESSES: u128 = 4;

/// First on an empty directory: one database and one key come of it. Then they all write.
fn processes_open_and_write_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let start = |what| -> Vec<Process> {
        (1..=PROCESSES)
            .map(|n| Process::start(what, dir.path(), n))
            .collect()
    };
    let installations = |processes: &mut Vec<Process>| -> BTreeSet<InstallationId> {
        let line = |p: &mut Process| p.line().expect("it opens").parse().unwrap();
        processes.iter_mut().map(line).collect()
    };
    let first = installations(&mut start("open"));
    assert_eq!(first.len(), 1, "{first:?}");
    block_on(async {
        let world = World::new(&Inside(dir.path().to_owned())).await;
        assert!(first.contains(&world.store.installation()));
        world.store.close().await;
    });
    let mut processes = start("create");
    assert_eq!(installations(&mut processes), first);
    for process in &mut processes {
        assert!(process.child.wait().unwrap().success());
    }
    block_on(async {
        let store = open(dir.path()).await;
        let (_, total) = store.apps(AppFilter::default()).await.unwrap();
        assert_eq!(u128::from(total), PROCESSES * CREATED);
        let held = store.ports().await.unwrap().held;
        let public: BTreeSet<u16> = held.iter().map(|(_, pair)| pair.public).collect();
        assert_eq!(u128::try_from(public.len()).unwrap(), PROCESSES * CREATED);
        assert_eq!(store.invariants().await.unwrap(), Vec::<String>::new());
        store.close().await;
    });
}
