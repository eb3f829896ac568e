//! The helper on the lab's nodes, put there by the program itself.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use proximity_pve::guest::ssh::generate_keypair;
use secrecy::ExposeSecret;
use serde_json::Value;

/// Lab, gateway and server; the helper is put on the nodes, and nginx deployed through it, stopped, started and removed.
fn try_with_helper(guests: &[&str]) {
    let helper = Path::new(env!("CARGO_BIN_EXE_proximity")).with_file_name("proximity-node-helper");
    assert!(
        helper.is_file(),
        "build it first: cargo build -p proximity-node-helper"
    );
    let dir = tempfile::tempdir().unwrap();
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/lab");
    let output = program::proximity()
        .args(["try", "--once", "--helper"])
        .args(guests)
        .arg("--template-cache")
        .arg(cache)
        .arg("--dir")
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\n{said}");
    // Without this it would be plain access that is seen to work.
    let noted = "putting the helper on the lab's nodes";
    assert!(complaint.contains(noted), "{complaint}");
    let report: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&report["http_status"], &report["removed"]),
        (&200.into(), &true.into())
    );
}

#[test]
fn an_app_in_a_simulated_container_lives_through_the_helper() {
    try_with_helper(&["--guests", "simulated"]);
}

#[test]
fn real_lxc_an_app_in_a_container_lives_through_the_helper() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: real containers need root");
        return;
    }
    if let Err(missing) = proximity_pve_emulator::lab::check_programs() {
        println!("SKIPPED: {missing}");
        return;
    }
    try_with_helper(&["--private"]);
}

/// A lab that stays, with a server and an app on it; asked to end when dropped.
struct Standing {
    child: Child,
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl Standing {
    fn up() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = program::proximity()
            .args(["try", "--guests", "simulated", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut lines = said.lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("--config"));
        let line = line.unwrap_or_else(|| panic!("it ended before it was up"));
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "--config").unwrap();
        let config = words[at + 1].into();
        Self { child, dir, config }
    }

    /// A command, and what it said: exit code, output, complaints.
    fn asked(&self, line: &str) -> (i32, String, String) {
        let output = program::proximity()
            .arg("--config")
            .arg(&self.config)
            .args(line.split_whitespace())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap();
        (code, text(&output.stdout), text(&output.stderr))
    }

    fn done(&self, line: &str) -> String {
        let (code, said, complaint) = self.asked(line);
        assert_eq!(code, 0, "{line}: {complaint}\n{said}");
        said
    }

    fn refused(&self, line: &str) -> String {
        let (code, said, complaint) = self.asked(line);
        assert_ne!(code, 0, "{line}: {said}");
        complaint
    }

    /// A key that root on the nodes takes: its file, and where each node's SSH is as the command line names it.
    fn root_key(&self) -> (PathBuf, String) {
        use std::os::unix::fs::PermissionsExt;
        let lab = self.dir.path().join("lab");
        let pair = generate_keypair().unwrap();
        let list = lab.join("authorized_keys");
        let keys = std::fs::read_to_string(&list).unwrap();
        std::fs::write(&list, format!("{keys}{} a person\n", pair.public_line)).unwrap();
        let file = self.dir.path().join("root_key");
        std::fs::write(&file, pair.private_pem.expose_secret()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let told: Value =
            serde_json::from_slice(&std::fs::read(lab.join("lab.json")).unwrap()).unwrap();
        let nodes = told["ssh"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let places = nodes.map(|at| {
            format!(
                "--ssh-address {}={}",
                text(&at["node"]),
                text(&at["address"])
            )
        });
        (file, places.collect::<Vec<String>>().join(" "))
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself; the wait tells.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let ended = self.child.wait();
        if !std::thread::panicking() {
            assert!(ended.unwrap().success());
        }
    }
}

#[test]
fn a_host_without_ssh_gets_the_helper_by_a_key_that_is_used_once() {
    let lab = Standing::up();
    let (key, places) = lab.root_key();
    let key = key.display();
    let said = lab.done("hosts install-helper lab --yes");
    assert!(
        said.contains("containers are reached by the helper"),
        "{said}"
    );

    let said = lab.done(&format!("hosts remove-helper lab --ssh-key {key} --yes"));
    assert!(
        said.contains("there is no way into containers any more"),
        "{said}"
    );
    let complaint = lab.refused("deploy nginx second");
    assert!(
        complaint.contains("hosts install-helper lab --ssh-key FILE"),
        "{complaint}"
    );
    let complaint = lab.refused("hosts ssh lab pve1 --yes");
    assert!(
        complaint.contains("hosts install-helper lab --ssh-key FILE"),
        "{complaint}"
    );
    let complaint = lab.refused("hosts install-helper lab --yes");
    assert!(complaint.contains("host lab has no SSH yet"), "{complaint}");
    let wrong =
        format!("hosts install-helper lab --ssh-key {key} --ssh-address pve9=192.0.2.9:22 --yes");
    let complaint = lab.refused(&wrong);
    assert!(
        complaint.contains("node pve9 is not in this cluster"),
        "{complaint}"
    );

    let whole = format!("hosts install-helper lab --ssh-key {key} {places}");
    let said = lab.done(&format!("{whole} --dry-run"));
    assert!(
        said.contains("the key that you gave is kept nowhere"),
        "{said}"
    );
    assert!(said.contains("ssh-ed25519 "), "{said}");
    let hosts = lab.done("hosts list --json");
    let hosts: Value = serde_json::from_str(&hosts).unwrap();
    let host = &hosts["hosts"][0];
    assert_eq!(host["label"], "lab", "{hosts}");
    assert!(host["ssh"].is_null(), "a look stores nothing: {hosts}");

    let said = lab.done(&format!("{whole} --yes"));
    assert!(
        said.contains("containers are reached by the helper"),
        "{said}"
    );
    let list = std::fs::read_to_string(lab.dir.path().join("lab/authorized_keys")).unwrap();
    let (of_root, rest): (Vec<&str>, Vec<&str>) =
        list.lines().partition(|line| line.ends_with("a person"));
    assert_eq!(of_root.len(), 1, "{list}");
    let leads_to_helper =
        |line: &&str| line.starts_with("restrict,command=\"proximity-node-helper serve ");
    assert!(
        !rest.is_empty() && rest.iter().all(leads_to_helper),
        "{list}"
    );
    let complaint = lab.refused(&format!("{whole} --yes"));
    assert!(
        complaint.contains("has the SSH of its nodes already"),
        "{complaint}"
    );

    lab.done("deploy nginx second");
}

#[test]
fn doctor_ends_with_a_code_that_tells_how_bad_it_is() {
    let lab = Standing::up();
    let (code, said, complaint) = lab.asked("doctor --host lab");
    assert_eq!((code, complaint.as_str()), (13, ""), "{said}");
    assert!(said.contains("it is root's shell on the nodes"), "{said}");
    let told = "-> proximity hosts install-helper lab\n";
    assert!(said.contains(told), "{said}");
    lab.done("hosts install-helper lab --yes");
    let (code, said, _) = lab.asked("doctor --host lab --all");
    assert_eq!(code, 13, "its token may do everything: {said}");
    assert!(said.contains("its helper answers, of version"), "{said}");
    assert!(!said.contains("root's shell"), "{said}");

    // Somebody takes our keys out of the list.
    let keys = lab.dir.path().join("lab/authorized_keys");
    std::fs::write(keys, "").unwrap();
    let (code, said, complaint) = lab.asked("doctor --json");
    assert_eq!((code, complaint.as_str()), (14, ""), "{said}");
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["level"], "fault");
    let findings = report["findings"].as_array().unwrap();
    let fault = findings.iter().find(|f| f["level"] == "fault").unwrap();
    assert_eq!(fault["code"], "node_not_entered", "{fault}");
    assert_eq!(report["counts"]["fault"], 1, "{said}");

    let (code, _, complaint) = lab.asked("doctor --host barn");
    assert_eq!(code, 3, "{complaint}");
}
