use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::core::guest::GuestNet;
use crate::sim::guest::{Exec, Wish};
use crate::sim::{Block, InsideOutcome};

const TEMPLATE: &str = "t.tar.zst";

/// A lab's guests without the lab.
pub(in crate::sim) struct Stand {
    pub(in crate::sim) driver: SimDriver,
    block: Block,
}

pub(in crate::sim) async fn stand(state: &Path) -> Stand {
    let block = Block::take(state).unwrap();
    let leases = Leases::open(state.join("leases.json"), block.net).unwrap();
    let setup = SimSetup {
        guests: state.join("guests"),
        backups: state.join("backups"),
        image: Image::shipped().unwrap(),
        lxc_path: state.to_owned(),
        template: TEMPLATE.to_owned(),
        bridge_in_configurations: "vmbr0".to_owned(),
        leases,
    };
    Stand {
        driver: SimDriver::open(setup).await.unwrap(),
        block,
    }
}

pub(in crate::sim) fn key() -> GuestKey {
    GuestKey {
        node: "pve1".to_owned(),
        vmid: 100,
    }
}

pub(in crate::sim) fn spec(ip: &str) -> GuestSpec {
    let net = GuestNet {
        name: "eth0".to_owned(),
        hwaddr: "BC:24:11:00:00:01".to_owned(),
        bridge: "vmbr0".to_owned(),
        ip: Some(ip.to_owned()),
        gw: None,
    };
    GuestSpec {
        template: TEMPLATE.to_owned(),
        hostname: "web".to_owned(),
        memory_mib: 256,
        cores: Some(1),
        unprivileged: true,
        nets: BTreeMap::from([(0, net)]),
        init: None,
        login: None,
    }
}

impl Stand {
    pub(in crate::sim) async fn command(
        &self,
        command: GuestCommand,
    ) -> Result<GuestOutcome, GuestError> {
        self.driver.run(command).await.result
    }

    pub(in crate::sim) async fn create(&self, ip: &str) -> Result<GuestOutcome, GuestError> {
        let (job, guest, spec) = (JobId(1), key(), spec(ip));
        self.command(GuestCommand::Create { job, guest, spec })
            .await
    }

    pub(in crate::sim) async fn start(&self) -> Ipv4Addr {
        let (job, guest, spec) = (JobId(2), key(), spec("dhcp"));
        self.command(GuestCommand::Start { job, guest, spec })
            .await
            .unwrap();
        self.address().await
    }

    pub(in crate::sim) async fn kill(&self) {
        let (job, guest) = (JobId(3), key());
        self.command(GuestCommand::Kill { job, guest })
            .await
            .unwrap();
    }

    async fn address(&self) -> Ipv4Addr {
        let (job, guest) = (JobId(4), key());
        let looked = self
            .command(GuestCommand::Inspect { job, guest })
            .await
            .unwrap();
        let GuestOutcome::Inspected(look) = looked else {
            panic!("{looked:?}")
        };
        let device = look
            .interfaces
            .iter()
            .find(|device| device.name == "eth0")
            .unwrap();
        assert_eq!(device.hwaddr, "bc:24:11:00:00:01");
        match device.addresses[..] {
            [(std::net::IpAddr::V4(address), 22)] => address,
            ref other => panic!("{other:?}"),
        }
    }

    pub(in crate::sim) async fn exec(&self, argv: &[&str]) -> InsideOutcome {
        let exec = Exec {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            stdin: Some(Vec::new()),
            ..Exec::default()
        };
        self.driver.exec(&key(), &exec).await.unwrap()
    }

    pub(in crate::sim) async fn must(&self, argv: &[&str]) {
        let outcome = self.exec(argv).await;
        let InsideOutcome::Ended(ended) = &outcome else {
            panic!("{argv:?}: {outcome:?}")
        };
        assert_eq!(
            ended.exit,
            0,
            "{argv:?}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }

    pub(in crate::sim) async fn write(&self, path: &str, text: &str) {
        let pushed = self
            .driver
            .push(&key(), path, text.as_bytes(), &Wish::default())
            .await;
        pushed.unwrap().unwrap();
    }

    /// A guest that serves a page on port 8080.
    pub(in crate::sim) async fn serving(&self) -> SocketAddr {
        self.create("dhcp").await.unwrap();
        let address = self.start().await;
        self.must(&["mkdir", "-p", "/srv/www"]).await;
        self.write("/srv/www/index.html", "hello").await;
        let unit = "[Service]\nType=exec\nExecStart=/bin/busybox httpd -f -p 8080 -h /srv/www\n\
            [Install]\nWantedBy=multi-user.target\n";
        self.write("/etc/systemd/system/page.service", unit).await;
        self.must(&["systemctl", "enable", "--now", "page"]).await;
        SocketAddr::from((address, 8080))
    }
}

/// What a connection gets that sends this and waits for its end.
pub(in crate::sim) async fn talk(at: SocketAddr, text: &'static str) -> std::io::Result<String> {
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(at)?;
        stream.write_all(text.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
    .await
    .unwrap()
}

const TWICE: &str =
    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nConnection: close\r\n\r\n";

pub(in crate::sim) async fn refuses(at: SocketAddr) -> bool {
    let error = talk(at, "GET / HTTP/1.0\r\n\r\n").await.err();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_really_listens_until_it_or_its_guest_stops() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let at = stand.serving().await;
    let std::net::IpAddr::V4(address) = at.ip() else {
        panic!("{at}")
    };
    assert!(stand.block.net.number(address).is_some(), "{address}");
    let answer = talk(at, TWICE).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n")
    );
    assert!(
        answer.contains("\r\n\r\nHTTP/1.1 404 Not Found\r\n"),
        "{answer}"
    );
    stand.must(&["systemctl", "stop", "page"]).await;
    assert!(refuses(at).await);
    stand.must(&["systemctl", "start", "page"]).await;
    assert!(!refuses(at).await);
    stand.kill().await;
    assert!(refuses(at).await);
    assert_eq!(stand.exec(&["true"]).await, InsideOutcome::NotRunning);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill_and_listens_again() {
    let state = tempfile::tempdir().unwrap();
    let first = stand(state.path()).await;
    let at = first.serving().await;
    // Nothing is said good-bye to: what is on disk is all that stays.
    drop(first);
    let copy = tempfile::tempdir().unwrap();
    for file in ["block.json", "leases.json"] {
        std::fs::copy(state.path().join(file), copy.path().join(file)).unwrap();
    }
    std::fs::create_dir_all(copy.path().join("guests/pve1")).unwrap();
    let guest = "guests/pve1/100.json";
    std::fs::copy(state.path().join(guest), copy.path().join(guest)).unwrap();
    let second = stand(copy.path()).await;
    assert_eq!(second.address().await, at.ip());
    assert!(talk(at, TWICE).await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_the_machine_does_not_give_fails_the_unit() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let at = stand.serving().await;
    stand.must(&["systemctl", "stop", "page"]).await;
    let foreign = std::net::TcpListener::bind(at).unwrap();
    let outcome = stand.exec(&["systemctl", "start", "page"]).await;
    assert!(matches!(outcome, InsideOutcome::Ended(ended) if ended.exit == 1));
    drop(foreign);
    stand.must(&["systemctl", "start", "page"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_broken_from_outside() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let at = stand.serving().await;
    let order = json!({"faults": {"never_answers": true, "exec_hangs": true}});
    stand.driver.meddle(&key(), order).await.unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(200), talk_async(at)).await;
    assert!(silent.is_err(), "{silent:?}");
    let hanging = tokio::time::timeout(Duration::from_millis(200), stand.exec(&["true"])).await;
    assert!(hanging.is_err());
    let (mended, unit) = (json!({"faults": {}}), json!({"crash_unit": "page"}));
    stand.driver.meddle(&key(), mended).await.unwrap();
    assert!(!refuses(at).await);
    let stands = stand.driver.meddle(&key(), unit).await.unwrap();
    assert_eq!(stands["units"]["page.service"]["verdict"], "signal");
    assert!(refuses(at).await);
    assert!(
        stand
            .driver
            .meddle(&key(), json!({"crash_unit": "page"}))
            .await
            .is_err()
    );
    assert!(
        stand
            .driver
            .meddle(&key(), json!({"nonsense": 1}))
            .await
            .is_err()
    );
    let dead = stand
        .driver
        .meddle(&key(), json!({"die": true}))
        .await
        .unwrap();
    assert_eq!(dead["running"], false);
}

async fn talk_async(at: SocketAddr) -> std::io::Result<usize> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(at).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    stream.read(&mut [0; 16]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_and_a_killed_guest_ends_its_commands() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    stand.create("dhcp").await.unwrap();
    stand.start().await;
    let lock = |command: &'static [&str]| {
        let words = ["flock", "--wait", "60", "/run/lock/x"];
        [&words[..], command].concat()
    };
    let brief = lock(&["sleep", "0.2"]);
    let (first, second) = tokio::join!(stand.exec(&brief), async {
        tokio::task::yield_now().await;
        stand.exec(&lock(&["true"])).await
    });
    for outcome in [first, second] {
        assert!(matches!(outcome, InsideOutcome::Ended(ended) if ended.exit == 0));
    }
    let endless = lock(&["sleep", "infinity"]);
    let (ended, ()) = tokio::join!(stand.exec(&endless), async {
        let room = stand.driver.room(&key());
        while room
            .look(|guest| guest.processes.values().all(|p| p.locks.is_empty()))
            .await
            == Some(true)
        {
            tokio::task::yield_now().await;
        }
        stand.kill().await;
    });
    assert!(matches!(ended, InsideOutcome::Ended(ended) if ended.exit == 137));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lab_cannot_do_is_refused_and_repeated_commands_are_fine() {
    let state = tempfile::tempdir().unwrap();
    let stand = stand(state.path()).await;
    let refused = stand.create("10.0.0.5/24").await.unwrap_err();
    assert!(matches!(refused, GuestError::Failed(text) if text.contains("takes ip=dhcp")));
    stand.create("dhcp").await.unwrap();
    let first = stand.start().await;
    assert_eq!(stand.start().await, first);
    let (job, guest) = (JobId(9), key());
    let destroy = GuestCommand::Destroy { job, guest };
    let refused = stand.command(destroy.clone()).await.unwrap_err();
    assert_eq!(
        refused,
        GuestError::Failed("container '100' is running".to_owned())
    );
    let (job, guest) = (JobId(10), key());
    let order = json!({"faults": {"ignores_shutdown": true}});
    stand.driver.meddle(&guest, order).await.unwrap();
    let timeout_ms = 50;
    let shutdown = GuestCommand::Shutdown {
        job,
        guest,
        timeout_ms,
    };
    assert_eq!(
        stand.command(shutdown).await.unwrap_err(),
        GuestError::TimedOut
    );
    stand.kill().await;
    stand.kill().await;
    stand.command(destroy.clone()).await.unwrap();
    stand.command(destroy).await.unwrap();
    let left = std::fs::read_dir(state.path().join("guests/pve1"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

/// Whether programs on the node see that the guest runs.
fn has_monitor(state: &Path) -> bool {
    let name = format!("@{}/pve1/100/command", state.display());
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    table
        .lines()
        .any(|line| line.split_whitespace().last() == Some(name.as_str()))
}

#[tokio::test]
async fn a_guest_gives_the_sign_of_a_monitor_as_long_as_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let lab = stand(state).await;
    lab.create("dhcp").await.unwrap();
    assert!(!has_monitor(state));
    lab.start().await;
    assert!(has_monitor(state));
    lab.must(&["touch", "/tmp/x"]).await;
    assert!(has_monitor(state), "a change of the guest is none of that");
    drop(lab);
    let lab = stand(state).await;
    assert!(has_monitor(state), "it goes on running");
    lab.kill().await;
    assert!(!has_monitor(state));
}
