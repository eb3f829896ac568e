//! A lab that is killed, and what the next one finds.

use super::support::{Lab, block_on, in_private_namespace, lab_program};

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
            let second = std::process::Command::new(lab_program())
                .arg("run")
                .args([&lab.state, &super::support::cache()])
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
            assert_eq!(
                super::support::processes_about("/var/lib/lxc/").len(),
                1,
                "the monitor"
            );
            for _ in 0..2 {
                let clean = std::process::Command::new(lab_program())
                    .arg("clean")
                    .arg(&state)
                    .output();
                let clean = clean.unwrap();
                assert!(clean.status.success(), "{clean:?}");
                assert!(!state.exists() && !device.exists());
            }
            assert_eq!(
                super::support::processes_about("/var/lib/lxc/"),
                Vec::<String>::new()
            );
            let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
            assert!(!sockets.contains("/var/lib/lxc/"), "{sockets}");
            let tables = std::process::Command::new("nft")
                .args(["list", "tables"])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&tables.stdout), "");
            let scope = crate::lab::private::scope().unwrap();
            assert!(crate::lab::cgroup::trees(&format!("pxlab-s{scope}-")).is_empty());
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
        block_on(async {
            let state = directory.join("state");
            let mut outer = tokio::process::Command::new(lab_program())
                .args([
                    "private".as_ref(),
                    lab_program().as_os_str(),
                    "run".as_ref(),
                ])
                .args([&state, &super::support::cache()])
                .args(["--network", "private"])
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let log = tokio::io::BufReader::new(outer.stderr.take().unwrap());
            let mut lines = tokio::io::AsyncBufReadExt::lines(log);
            while !lines
                .next_line()
                .await
                .unwrap()
                .expect("a ready lab")
                .contains("lab ready")
            {}
            outer.kill().await.unwrap();
            // The kernel ends the namespace with its first process; the log's end says that all have gone.
            while lines.next_line().await.unwrap().is_some() {}
        });
        assert_eq!(
            super::support::processes_about(&directory.to_string_lossy()),
            Vec::<String>::new()
        );
    });
}
