//! The lab as its administrator sees it: what people do in Proxmox VE themselves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::Value;

use crate::standing::Standing;

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
pub(crate) fn call(lab: &Standing, method: &str, path: &str, params: &[&str]) -> Value {
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

/// The containers as the lab itself has them, without asking its API.
fn guests(lab: &Standing) -> Vec<Value> {
    let mut socket = UnixStream::connect(lab.dir().join("lab/control.sock")).unwrap();
    let asked =
        socket.write_all(b"GET /world/guests HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n\r\n");
    asked.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let rows: Value = serde_json::from_str(body).unwrap();
    rows.as_array().unwrap().clone()
}

/// Looks again and again until this is so of the containers.
fn come_to(lab: &Standing, what: impl Fn(&[Value]) -> bool) {
    for _ in 0..20_000 {
        if what(&guests(lab)) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("it never was so: {:?}", guests(lab));
}

fn is_at_rest(row: &Value, vmid: u32) -> bool {
    row["vmid"] == vmid && row["config"]["keys"]["lock"].is_null()
}

/// Returns when the container is in this state and nothing works on it.
pub(crate) fn until(lab: &Standing, vmid: u32, status: &str) {
    let runs = status == "running";
    let is_it = |row: &Value| is_at_rest(row, vmid) && row["running"] == runs;
    come_to(lab, |rows| rows.iter().any(is_it));
}

/// Returns when nothing works on the container.
pub(crate) fn at_rest(lab: &Standing, vmid: u32) {
    come_to(lab, |rows| rows.iter().any(|row| is_at_rest(row, vmid)));
}

/// Somebody's container, running or not.
pub(crate) fn stranger(lab: &Standing, vmid: u32, hostname: &str, runs: bool) {
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
pub(crate) fn seen(lab: &Standing, vmid: u32) -> (Value, Value) {
    let config = call(lab, "GET", &format!("/{vmid}/config"), &[]);
    assert!(config["digest"].is_string(), "{config}");
    let current = call(lab, "GET", &format!("/{vmid}/status/current"), &[]);
    (config, current["status"].clone())
}

pub(crate) fn json(lab: &Standing, line: &str) -> Value {
    serde_json::from_str(&lab.done(&format!("{line} --json"))).unwrap()
}

/// The numbers of the containers there are.
pub(crate) fn numbers(lab: &Standing) -> Vec<u64> {
    let rows = guests(lab);
    rows.iter()
        .map(|row| row["vmid"].as_u64().unwrap())
        .collect()
}

/// A person lifts the protection and deletes the container; returns when it is gone.
pub(crate) fn delete_by_hand(lab: &Standing, vmid: u32) {
    call(lab, "PUT", &format!("/{vmid}/config"), &["protection=0"]);
    call(lab, "DELETE", &format!("/{vmid}?force=1"), &[]);
    come_to(lab, |rows| rows.iter().all(|row| row["vmid"] != vmid));
}
