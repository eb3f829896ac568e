//! The helper on the lab's nodes, put there by the program itself.
#![allow(clippy::unwrap_used)] // helpers of tests may fail the test

#[path = "support/program.rs"]
mod program;

use std::path::Path;

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
