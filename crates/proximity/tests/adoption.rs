//! Containers that were there before: adopted by the program itself, and given back as they were.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

#[path = "support/program.rs"]
mod program;
#[path = "support/standing.rs"]
mod standing;

use std::process::Command;

use serde_json::Value;

use standing::Standing;

/// One call to Proxmox VE as its administrator makes it, in a language of its own: method, URL, token, parameters.
const CALL: &str = "
import ssl, sys, urllib.parse, urllib.request
method, url, token, *params = sys.argv[1:]
pairs = [tuple(p.split('=', 1)) for p in params]
data = urllib.parse.urlencode(pairs).encode() if method != 'GET' else None
request = urllib.request.Request(url, data, {'Authorization': 'PVEAPIToken=' + token}, method=method)
trust = ssl.create_default_context()
trust.check_hostname = False
trust.verify_mode = ssl.CERT_NONE
print(urllib.request.urlopen(request, context=trust, timeout=60).read().decode())";

/// A call to the node, and its data.
fn call(lab: &Standing, method: &str, path: &str, params: &[&str]) -> Value {
    let seen = lab.lab();
    let url = format!("{}/api2/json/nodes/pve1/lxc{path}", seen.api[0].url);
    let token = format!("{}={}", seen.tokens.full.id, seen.tokens.full.secret);
    let mut python = Command::new("python3");
    python.args(["-c", CALL, method, &url, &token]).args(params);
    let (code, said, complaint) = lab.heard(&python);
    assert_eq!(code, 0, "{method} {path}: {complaint}");
    let answer: Value = serde_json::from_str(&said).unwrap();
    answer["data"].clone()
}

/// Asks again and again until the container is in this state and nothing works on it.
fn until(lab: &Standing, vmid: u32, status: &str) {
    for _ in 0..600 {
        let current = call(lab, "GET", &format!("/{vmid}/status/current"), &[]);
        if current["status"] == status && current["lock"].is_null() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("container {vmid} never was {status}");
}

/// Somebody's container, running or not.
fn stranger(lab: &Standing, vmid: u32, hostname: &str, runs: bool) {
    let (number, name) = (format!("vmid={vmid}"), format!("hostname={hostname}"));
    let template = format!("ostemplate={}", lab.lab().template);
    let rootfs = format!("rootfs={}:1", lab.lab().storage);
    let net = format!("net0=name=eth0,bridge={},ip=dhcp", lab.lab().bridge);
    let params = [&*number, &name, &template, &rootfs, &net, "unprivileged=1"];
    call(lab, "POST", "", &params);
    until(lab, vmid, "stopped");
    if runs {
        call(lab, "POST", &format!("/{vmid}/status/start"), &[]);
        until(lab, vmid, "running");
    }
}

/// The whole configuration with its SHA-1, and whether it runs.
fn seen(lab: &Standing, vmid: u32) -> (Value, Value) {
    let config = call(lab, "GET", &format!("/{vmid}/config"), &[]);
    assert!(config["digest"].is_string(), "{config}");
    let current = call(lab, "GET", &format!("/{vmid}/status/current"), &[]);
    (config, current["status"].clone())
}

fn json(lab: &Standing, line: &str) -> Value {
    serde_json::from_str(&lab.done(&format!("{line} --json"))).unwrap()
}

/// One that runs and one that does not: both keep their state and their configuration, adopted and given back.
fn adopt_and_give_back(args: &[&str]) {
    let lab = Standing::up(args);
    stranger(&lab, 150, "my-redis", true);
    stranger(&lab, 151, "asleep", false);
    let (awake, asleep) = (seen(&lab, 150), seen(&lab, 151));

    let found = json(&lab, "discover");
    let numbers: Vec<&Value> = found["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["vmid"])
        .collect();
    assert_eq!(numbers, [150, 151], "{found}");
    assert_eq!(
        (
            &found["complete"],
            &found["containers"][0]["suggested_port"]
        ),
        (&true.into(), &6379.into())
    );

    let said = lab.done("adopt lab/150 lab/151");
    assert!(
        said.contains("lab/150 is my-redis now: running, redis, port 6379"),
        "{said}"
    );
    assert!(
        said.contains("lab/151 is asleep now: stopped, custom, port 80"),
        "{said}"
    );
    let complaint = lab.refused("adopt lab/150");
    assert!(
        complaint.contains("managed already, as my-redis"),
        "{complaint}"
    );
    assert_eq!(
        (seen(&lab, 150), seen(&lab, 151)),
        (awake.clone(), asleep.clone())
    );

    let plan = lab.done("remove my-redis --dry-run");
    assert!(
        plan.contains("leave container 150 on pve1 as it is"),
        "{plan}"
    );
    lab.done("remove my-redis --yes");
    lab.done("forget asleep");
    assert_eq!((seen(&lab, 150), seen(&lab, 151)), (awake, asleep));
    assert_eq!(
        json(&lab, "discover")["containers"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let native = json(&lab, "apps")["apps"][0]["hostname"]
        .as_str()
        .unwrap()
        .to_owned();
    let complaint = lab.refused(&format!("forget {native}"));
    assert!(complaint.contains("was made by Proximity"), "{complaint}");
}

#[test]
fn simulated_containers_are_adopted_and_given_back_as_they_were() {
    adopt_and_give_back(&["--guests", "simulated"]);
}

#[test]
fn real_lxc_adoption_of_a_running_and_a_stopped_container_and_removal_leave_them_as_they_were() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: real containers need root");
        return;
    }
    if let Err(missing) = proximity_pve_emulator::lab::check_programs() {
        println!("SKIPPED: {missing}");
        return;
    }
    adopt_and_give_back(&["--private"]);
}
