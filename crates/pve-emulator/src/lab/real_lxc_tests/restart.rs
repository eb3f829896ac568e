//! A lab that is killed, and what the next one finds.

use std::ffi::OsString;
use std::process::Command;

use super::support::{Lab, block_on, cache, in_private_namespace, lab_program, processes_about};
use crate::lab::cgroup;

#[test]
fn a_killed_lab_finds_its_guests_again() {
    in_private_namespace(
        "restart::a_killed_lab_finds_its_guests_again",
        |directory| {
            let lab = Lab::start(directory, &[]);
            let address = lab.boot("100");
            let status = lab.api("GET", "/nodes/pve1/lxc/100/status/current", &[]);
            let init = status["pid"].as_u64().unwrap();
            lab.kill();
            let lab = Lab::start(directory, &[]);
            let status = lab.api("GET", "/nodes/pve1/lxc/100/status/current", &[]);
            assert_eq!(status["status"], "running");
            assert_eq!(status["pid"].as_u64(), Some(init), "the same init goes on");
            assert_eq!(lab.address("100"), address);
            lab.allow_ssh();
            assert_eq!(lab.ssh_text("pct exec 100 -- hostname"), "web\n");
            assert_eq!(
                lab.task("POST", "/nodes/pve1/lxc/100/status/shutdown", &[]),
                "OK"
            );
            assert_eq!(
                lab.task("POST", "/nodes/pve1/lxc/100/status/start", &[]),
                "OK"
            );
            assert_eq!(
                lab.address("100"),
                address,
                "a lease outlives stop and restart"
            );
            assert!(lab.terminate().success());
        },
    );
}

#[test]
fn a_second_lab_on_the_same_state_is_refused() {
    in_private_namespace(
        "restart::a_second_lab_on_the_same_state_is_refused",
        |directory| {
            let lab = Lab::start(directory, &[]);
            let second = Command::new(lab_program())
                .arg("run")
                .args([&lab.state, &cache()])
                .args(["--network", "private"])
                .output()
                .unwrap();
            assert!(!second.status.success());
            let said = String::from_utf8_lossy(&second.stderr).into_owned();
            assert!(said.contains("another lab runs on"), "{said}");
            lab.api("GET", "/version", &[]);
            assert!(lab.terminate().success());
        },
    );
}

#[test]
fn clean_removes_everything_of_a_killed_lab() {
    in_private_namespace(
        "restart::clean_removes_everything_of_a_killed_lab",
        |directory| {
            let lab = Lab::start(directory, &[]);
            lab.boot("100");
            let (state, bridge) = (lab.state.clone(), lab.file.machine_bridge.clone());
            let device = std::path::Path::new("/sys/class/net").join(&bridge);
            lab.kill();
            assert!(device.exists());
            assert_eq!(processes_about("/var/lib/lxc/").len(), 1, "the monitor");
            for _ in 0..2 {
                let clean = Command::new(lab_program())
                    .arg("clean")
                    .arg(&state)
                    .output();
                let clean = clean.unwrap();
                assert!(clean.status.success(), "{clean:?}");
                assert!(!state.exists() && !device.exists());
            }
            assert_eq!(processes_about("/var/lib/lxc/"), Vec::<String>::new());
            let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
            assert!(!sockets.contains("/var/lib/lxc/"), "{sockets}");
            let tables = Command::new("nft")
                .args(["list", "tables"])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&tables.stdout), "");
            let scope = crate::lab::private::scope().unwrap();
            assert!(cgroup::trees(&format!("pxlab-s{scope}-")).is_empty());
        },
    );
}

#[test]
fn a_lab_whose_parent_is_gone_ends_and_tidies_up() {
    in_private_namespace(
        "restart::a_lab_whose_parent_is_gone_ends_and_tidies_up",
        |directory| {
            let lab = Lab::start(directory, &[]);
            lab.boot("100");
            let (state, bridge) = (lab.state.clone(), lab.file.machine_bridge.clone());
            assert!(lab.abandon().success());
            assert!(!std::path::Path::new("/sys/class/net").join(bridge).exists());
            assert!(!state.join("lab.json").exists() && state.join("world.json").exists());
            // The next lab on this state finds the guest as after a power cut: there, and stopped.
            let lab = Lab::start(directory, &[]);
            let started = lab.task("POST", "/nodes/pve1/lxc/100/status/start", &[]);
            assert_eq!(started, "OK");
            lab.address("100");
            assert!(lab.terminate().success());
        },
    );
}

#[test]
fn a_killed_namespace_takes_everything_with_it() {
    // The inner run only shows a place for the outer one's namespace to be killed in.
    let name = "restart::a_killed_namespace_takes_everything_with_it";
    in_private_namespace(name, |directory| {
        let state = directory.join("state");
        let lab = [
            lab_program().into_os_string(),
            "run".into(),
            state.into(),
            cache().into(),
        ];
        let network = ["--network".into(), "private".into()];
        block_on(kill_a_namespace(
            lab.into_iter().chain(network),
            "lab ready",
        ));
        assert_eq!(
            processes_about(&directory.to_string_lossy()),
            Vec::<String>::new()
        );
    });
}

#[test]
fn what_a_killed_namespace_left_is_swept_by_the_next() {
    let name = "restart::what_a_killed_namespace_left_is_swept_by_the_next";
    in_private_namespace(name, |_| {
        let script = "tree=/sys/fs/cgroup; [ -d $tree/pids ] && tree=$tree/pids\n\
            mkdir -p $tree/pxlab-s$(cat /run/proximity-lab/private)-abcd/pve1-100\n\
            echo made >&2; exec sleep 600";
        let argv = ["sh", "-c", script].map(OsString::from);
        block_on(kill_a_namespace(argv.into_iter(), "made"));
        let scopes = std::path::Path::new("/run/proximity-lab/scopes");
        let killed = std::fs::read_dir(scopes)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .file_name();
        let prefix = format!("pxlab-s{}-", killed.to_string_lossy());
        assert_eq!(cgroup::trees(&prefix).len(), 1);
        let next = Command::new(lab_program())
            .args(["private", "true"])
            .status()
            .unwrap();
        assert!(next.success());
        assert!(cgroup::trees(&prefix).is_empty() && !scopes.exists());
    });
}

/// Runs `argv` in a namespace of its own, waits until it says `ready`, and kills the process that keeps it.
async fn kill_a_namespace(argv: impl Iterator<Item = OsString>, ready: &str) {
    let mut keeper = tokio::process::Command::new(lab_program())
        .arg("private")
        .args(argv)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let log = tokio::io::BufReader::new(keeper.stderr.take().unwrap());
    let mut lines = tokio::io::AsyncBufReadExt::lines(log);
    while !lines
        .next_line()
        .await
        .unwrap()
        .expect("it gets ready")
        .contains(ready)
    {}
    keeper.kill().await.unwrap();
    // The kernel ends the namespace with its first process; the end of the log says that all have gone.
    while lines.next_line().await.unwrap().is_some() {}
}
