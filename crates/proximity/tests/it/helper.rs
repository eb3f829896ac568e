//! The helper on the lab's nodes, put there by the program itself.

use std::path::Path;

use serde_json::Value;

use crate::standing::Standing;

/// Lab, gateway and server; the helper is put on the nodes, and nginx deployed through it, stopped, started and removed.
fn try_with_helper(guests: &[&str]) {
    let helper = Path::new(env!("CARGO_BIN_EXE_proximity")).with_file_name("proximity-node-helper");
    assert!(
        helper.is_file(),
        "build it first: cargo build -p proximity-node-helper"
    );
    let dir = tempfile::tempdir().unwrap();
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/lab");
    let output = crate::program::proximity()
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

#[test]
fn a_host_without_ssh_gets_the_helper_by_a_key_that_is_used_once() {
    let lab = Standing::up(&["--guests", "simulated"]);
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
    let list = std::fs::read_to_string(lab.dir().join("lab/authorized_keys")).unwrap();
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
    let lab = Standing::up(&["--guests", "simulated"]);
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

    // Our key leads to the helper for another installation, in a line above ours.
    let keys = lab.dir().join("lab/authorized_keys");
    let list = std::fs::read_to_string(&keys).unwrap();
    let own = list
        .lines()
        .find(|line| line.contains("proximity-node-helper serve "))
        .unwrap();
    let (before, after) = own.split_once(" serve ").unwrap();
    let (_, key) = after.split_once('"').unwrap();
    let other = format!("{before} serve 00000000-0000-0000-0000-0000000000ff\"{key}");
    std::fs::write(&keys, format!("{other}\n{list}")).unwrap();
    let (code, said, _) = lab.asked("doctor --host lab");
    assert_eq!(code, 14, "{said}");
    assert!(said.contains("serves installation 00000000-"), "{said}");
    let told = "proximity hosts install-helper lab --node pve1 --ssh-key FILE";
    assert!(said.contains(told), "{said}");
    let (root_key, _) = lab.root_key();
    let root_key = root_key.display();
    lab.done(&format!(
        "hosts install-helper lab --node pve1 --ssh-key {root_key} --yes"
    ));
    let (code, said, _) = lab.asked("doctor --host lab --all");
    assert_eq!(code, 13, "{said}");
    assert!(said.contains("its helper answers, of version"), "{said}");

    // Somebody takes our keys out of the list.
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
