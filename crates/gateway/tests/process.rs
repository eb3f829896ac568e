//! The gateway as a real process: killed, started again, spoken to by a stranger.
// Helpers of tests are tests too, though the lint sees only functions marked as such.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use proximity_gateway::client::GatewayClient;
use proximity_gateway::{Endpoint, Generation, Route};
use support::{
    Guest, assert_echoes, assert_refused, eventually, greeted_by, next, own_ip, public, route_to,
};

/// The example beside this test's own program; cargo builds it with the tests.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/gateway");
    assert!(
        program.exists(),
        "{} is missing: build the examples",
        program.display()
    );
    program
}

/// A gateway process; killed when dropped.
struct Process {
    child: Child,
    client: GatewayClient,
}

impl Process {
    async fn start(folder: &Path) -> Self {
        let socket = folder.join("control.sock");
        let mut command = Command::new(program());
        command
            .arg("serve")
            .arg(folder.join("routes.json"))
            .arg(&socket)
            .stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let (client, pid) = (GatewayClient::new(socket), child.id());
        let process = Self {
            child,
            client: client.clone(),
        };
        eventually(|| async { client.hello().await.is_ok_and(|hello| hello.pid == pid) }).await;
        process
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// Endpoints of a route on this test's own address; the process has the default ones.
fn own_route(target: std::net::SocketAddr) -> Route {
    let mut route = route_to("a", 1, Some(target));
    let here = |endpoint: Endpoint| Endpoint {
        bind: Some(own_ip()),
        ..endpoint
    };
    (route.public, route.internal) = (here(route.public), here(route.internal));
    route
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let guest = Guest::echo("blue").await;
    let mut route = own_route(guest.address);
    for round in 0..8_u64 {
        let process = Process::start(folder.path()).await;
        for _ in 0..=round {
            route = next(&route, route.target);
            process.client.set_route(route.clone()).await.unwrap();
        }
        process.kill();
        assert_refused(public(&route)).await;
    }
    let process = Process::start(folder.path()).await;
    assert_eq!(
        process.client.list_routes().await.unwrap().routes[0].route,
        route
    );
    assert_echoes(&mut greeted_by(public(&route), "blue").await).await;
}

/// Killed while requests are under way: the file is whole, and not older than the last answer.
#[tokio::test]
async fn a_kill_at_any_moment_leaves_a_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let guest = Guest::echo("blue").await;
    let mut route = own_route(guest.address);
    for round in 0..8_u32 {
        let process = Process::start(folder.path()).await;
        let client = process.client.clone();
        let mut asked = route.clone();
        let asking = tokio::spawn(async move {
            let mut acknowledged = asked.generation;
            loop {
                asked = next(&asked, asked.target);
                match client.set_route(asked.clone()).await {
                    Ok(_) => acknowledged = asked.generation,
                    Err(_) => return (acknowledged, asked.generation),
                }
            }
        });
        eventually(|| async {
            let list = process.client.list_routes().await.unwrap();
            let seen = list
                .routes
                .first()
                .map_or(0, |report| report.route.generation.0);
            seen > route.generation.0 + u64::from(round * 3)
        })
        .await;
        process.kill();
        let (acknowledged, last_asked) = asking.await.unwrap();
        let process = Process::start(folder.path()).await;
        let hello = process.client.hello().await.unwrap();
        assert_eq!(hello.damaged_route_files, Vec::<PathBuf>::new());
        let list = process.client.list_routes().await.unwrap();
        let kept = list.routes[0].route.generation;
        assert!(
            acknowledged <= kept && kept <= last_asked,
            "{acknowledged} {kept} {last_asked}"
        );
        process.kill();
        route.generation = Generation(last_asked.0);
    }
}

#[tokio::test]
async fn a_request_to_end_ends_the_process_regularly() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path()).await;
    let pid = rustix::process::Pid::from_child(&process.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = tokio::task::spawn_blocking(move || process.child.wait()).await;
    assert!(status.unwrap().unwrap().success());
    assert!(!folder.path().join("control.sock").exists());
}

/// Even if the socket's mode were opened by hand, another user is refused. Needs root, to be
/// somebody else; what is decided is also shown by a unit test that needs nothing.
#[tokio::test]
async fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(folder.path(), 0o755);
    let copy = folder.path().join("gateway");
    std::fs::copy(program(), &copy).unwrap();
    open(&copy, 0o755);
    let process = Process::start(folder.path()).await;
    let socket = folder.path().join("control.sock");
    let ask = |uid: u32| {
        let mut command = Command::new(&copy);
        command
            .arg("list")
            .arg(&socket)
            .uid(uid)
            .gid(uid)
            .stdin(Stdio::null());
        command.output().unwrap()
    };
    let by_mode = ask(65_534);
    assert!(String::from_utf8_lossy(&by_mode.stderr).contains("Permission denied"));
    open(&socket, 0o666);
    let by_credentials = ask(65_534);
    let said = String::from_utf8_lossy(&by_credentials.stderr).into_owned();
    assert!(
        said.contains("only user 0 and root may (forbidden)"),
        "{said}"
    );
    assert!(!by_credentials.status.success());
    assert!(ask(0).status.success());
    process.kill();
}
