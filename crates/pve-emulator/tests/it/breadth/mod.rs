//! The wider API: high availability, storages, jobs, arriving files and what else a cluster's administrator asks for.

mod accounts;
mod arrivals;
mod backup;
mod bulk;
mod consoles;
mod container_rights;
mod crossing;
mod edges;
mod export;
mod firewall;
mod firewall_names;
mod ha;
mod metric_servers;
mod mounts;
mod nets;
mod nodes;
mod notifications;
mod options;
mod pools;
mod power;
mod purge;
mod reading;
mod restore;
mod storage;
mod tasks;
mod templates;
mod volumes;
mod zfs;

use crate::support::sim::{Answer, Request, Sim};

/// A call as root that must be answered well; its data.
fn get(sim: &mut Sim, path: &str) -> serde_json::Value {
    let answer = sim.root("GET", path, &[]);
    assert_eq!(answer.status(), 200, "{path}: {}", answer.message());
    answer.payload()
}

/// Status and message of a call as root.
fn said(sim: &mut Sim, verb: &str, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let answer = sim.root(verb, path, form);
    (answer.status(), told(&answer))
}

/// What a refusal tells: the message, and the refused parameters.
fn told(answer: &Answer) -> String {
    let errors = answer.body()["errors"].clone();
    let mut text = answer.message().trim_end().to_owned();
    for (name, error) in errors.as_object().into_iter().flatten() {
        text.push_str(&format!("|{name}: {}", error.as_str().unwrap_or_default()));
    }
    text
}

/// A call by somebody else.
fn by(sim: &mut Sim, token: &str, verb: &str, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let answer = sim.call(Request::new(verb, path).by(token).parameters(form));
    (answer.status(), told(&answer))
}

/// Gives a token a role on a path, and its user, which it cannot have more than.
fn grant(sim: &mut Sim, token: &str, path: &str, role: &str) {
    let user = token.split('!').next().unwrap();
    for holder in [("users", user), ("tokens", token)] {
        let form = [("path", path), ("roles", role), holder];
        assert_eq!(said(sim, "PUT", "/access/acl", &form), (200, String::new()));
    }
}

/// How the task ends that a POST by somebody else starts.
fn task_by(sim: &mut Sim, token: &str, path: &str, form: &[(&str, &str)]) -> String {
    let answer = sim.call(Request::new("POST", path).by(token).parameters(form));
    assert_eq!(answer.status(), 200, "{}", told(&answer));
    sim.finish(answer.payload().as_str().unwrap())
}

/// The volume id of a new backup of a container on `local`.
fn backup_of(sim: &mut Sim, node: &str, vmid: &str) -> String {
    let form = [("vmid", vmid), ("storage", "local"), ("mode", "stop")];
    assert_eq!(
        sim.task("POST", &format!("/nodes/{node}/vzdump"), &form),
        "OK"
    );
    let content = format!("/nodes/{node}/storage/local/content");
    let rows = sim
        .root("GET", &content, &[("content", "backup")])
        .payload();
    rows.as_array().unwrap().last().unwrap()["volid"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A call by root itself, with a ticket; status, and the data or what was told.
fn itself(sim: &mut Sim, verb: &str, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    sim.world.set_password("root@pam", "secret-of-root");
    let login = [("username", "root@pam"), ("password", "secret-of-root")];
    let mut request = Request::new("POST", "/access/ticket").parameters(&login);
    request.authorization = None;
    let ticket = sim.call(request).payload();
    let text = |name: &str| ticket[name].as_str().unwrap().to_owned();
    let mut request = Request::new(verb, path).parameters(form);
    request.authorization = None;
    let value = crate::support::sim::escape(&text("ticket"));
    request.cookie = Some(format!("PVEAuthCookie={value}"));
    request.csrf = Some(text("CSRFPreventionToken"));
    let answer = sim.call(request);
    if answer.status() == 200 {
        let data = answer.payload().as_str().unwrap_or_default().to_owned();
        return (200, data);
    }
    (answer.status(), told(&answer))
}
