//! Lists of tasks, and their logs.

use super::{by, get, said};
use crate::support::seed::{cluster, token};
use crate::support::sim::{Request, Sim};
use proximity_pve_emulator::core::{Access, SceneryTasks};
use serde_json::{Value, json};

const KEEPER: &str = "keeper@pve!t1";

/// Two guests' tasks: one that went well, one that failed, one that warned, and one of somebody else.
fn with_tasks() -> Sim {
    let mut seed = cluster();
    seed.tokens.push(token(KEEPER, Access::Empty));
    let mut sim = Sim::new(seed);
    for (holder, id) in [("users", "keeper@pve"), ("tokens", KEEPER)] {
        let form = [("path", "/vms/100"), ("roles", "PVEVMAdmin"), (holder, id)];
        assert_eq!(said(&mut sim, "PUT", "/access/acl", &form).0, 200);
    }
    sim.create("pve1", 100, &[]);
    sim.pass(2_000);
    let failed = sim.task(
        "POST",
        "/nodes/pve1/lxc/100/snapshot",
        &[("snapname", "a1")],
    );
    assert_eq!(failed, "snapshot feature is not available");
    sim.pass(2_000);
    let path = "/cluster/bulk-action/guest/suspend";
    assert_eq!(sim.task("POST", path, &[]), "WARNINGS: 1");
    sim.pass(2_000);
    let start = Request::new("POST", "/nodes/pve1/lxc/100/status/start").by(KEEPER);
    let upid = sim.call(start).payload();
    sim.finish(upid.as_str().unwrap());
    sim
}

fn kinds(sim: &mut Sim, form: &[(&str, &str)]) -> Vec<String> {
    let rows = sim.root("GET", "/nodes/pve1/tasks", form).payload();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn tasks_are_chosen_by_how_they_ended_and_whose_they_are() {
    let mut sim = with_tasks();
    let all = ["vzstart", "bulk-suspend", "vzsnapshot", "vzcreate"];
    assert_eq!(kinds(&mut sim, &[]), all);
    let but_well = ["bulk-suspend", "vzsnapshot"];
    assert_eq!(
        kinds(&mut sim, &[("errors", "1")]),
        but_well,
        "warnings are no success"
    );
    assert_eq!(
        kinds(&mut sim, &[("errors", "1"), ("statusfilter", "ok")]),
        but_well
    );
    assert_eq!(
        kinds(&mut sim, &[("statusfilter", "warning,OK")]),
        ["vzstart", "bulk-suspend", "vzcreate"]
    );
    assert_eq!(kinds(&mut sim, &[("userfilter", "KEEPER")]), ["vzstart"]);
    assert_eq!(
        kinds(&mut sim, &[("userfilter", "t1")]),
        [""; 0],
        "a token is no part of the name"
    );
    let start_s = (sim.now_ms / 1000).to_string();
    assert_eq!(kinds(&mut sim, &[("since", &start_s)]), [""; 0]);
    assert_eq!(kinds(&mut sim, &[("until", "-5")]), [""; 0]);
}

#[test]
fn who_may_not_audit_sees_ended_tasks_of_his_own() {
    let mut sim = with_tasks();
    let rows = |sim: &mut Sim, path: &str, form: &[(&str, &str)]| {
        let call = Request::new("GET", path).by(KEEPER).parameters(form);
        sim.call(call).payload().as_array().unwrap().len()
    };
    assert_eq!(rows(&mut sim, "/nodes/pve1/tasks", &[]), 1);
    assert_eq!(rows(&mut sim, "/cluster/tasks", &[]), 0);
    sim.world.set_password("keeper@pve", "secret1");
    let form = [("username", "keeper@pve"), ("password", "secret1")];
    let mut login = Request::new("POST", "/access/ticket").parameters(&form);
    login.authorization = None;
    let ticket = sim.call(login).payload()["ticket"].clone();
    let told = |sim: &mut Sim, path: &str, form: &[(&str, &str)]| {
        let mut call = Request::new("GET", path).parameters(form);
        call.authorization = None;
        call.cookie = Some(format!("PVEAuthCookie={}", ticket.as_str().unwrap()));
        sim.call(call).payload()
    };
    let stop = Request::new("POST", "/nodes/pve1/lxc/100/status/shutdown").by(KEEPER);
    sim.call(stop);
    let active = [("source", "active")];
    assert_eq!(rows(&mut sim, "/nodes/pve1/tasks", &active), 1);
    let none = told(&mut sim, "/nodes/pve1/tasks", &active);
    assert_eq!(
        none,
        json!([]),
        "what his token began is his when it has ended"
    );
    let told = told(&mut sim, "/cluster/tasks", &[]);
    let of_token = |row: &Value| row["user"] == "keeper@pve" && row["tokenid"] == "t1";
    assert!(told.as_array().unwrap().iter().all(of_token), "{told}");
    assert_eq!(told.as_array().unwrap().len(), 2);
}

#[test]
fn a_log_that_is_not_there_says_so_and_one_that_is_can_be_kept() {
    let mut sim = with_tasks();
    let none = "UPID:pve1:00000001:00000001:65000000:vzstart:179:keeper@pve!t1:";
    let path = format!("/nodes/pve1/tasks/{}/log", none.replace(':', "%3A"));
    let line = json!([{"n": 1, "t": "unable to open file - No such file or directory"}]);
    assert_eq!(get(&mut sim, &path), line);
    assert_eq!(by(&mut sim, KEEPER, "GET", &path, &[]).0, 200);
    let other = by(&mut sim, "limited@pve!t1", "GET", &path, &[]);
    assert_eq!(
        other,
        (
            403,
            "Permission check failed (/nodes/pve1, Sys.Audit)".into()
        )
    );
    let text =
        format!("Could not open file '/var/log/pve/tasks/0/{none}' - No such file or directory");
    assert_eq!(
        said(&mut sim, "GET", &path, &[("download", "1")]),
        (500, text)
    );

    let upid = sim.world.tasks().nth(1).unwrap().upid.clone();
    let path = format!(
        "/nodes/pve1/tasks/{}/log",
        upid.to_string().replace(':', "%3A")
    );
    let both = [("download", "1"), ("limit", "1")];
    let text = "'download' cannot be used together with 'start' or 'limit' parameters";
    assert_eq!(said(&mut sim, "GET", &path, &both), (500, text.into()));
    let file = sim.root("GET", &path, &[("download", "1")]).response;
    assert_eq!(file.content_type, Some("text/plain"));
    assert_eq!(file.body, "TASK ERROR: snapshot feature is not available\n");
    let name = file.file_name.unwrap();
    assert!(
        name.starts_with("task-pve1-vzsnapshot-2026-11-20T") && name.ends_with("Z.log"),
        "{name}"
    );
}

#[test]
fn the_clusters_list_shows_the_newest_25_of_each_node() {
    let mut sim = Sim::new(cluster());
    let now_ms = sim.now_ms;
    let order = SceneryTasks { each: 30 };
    sim.world.list_scenery_tasks(order, now_ms).unwrap();
    let nodes = sim.world.nodes().len();
    let rows = get(&mut sim, "/cluster/tasks");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 25 * nodes);
    let oldest = rows
        .iter()
        .filter_map(|row| row["starttime"].as_u64())
        .min();
    assert_eq!(oldest, Some(now_ms / 1_000 - 25 * 3_600));
    assert!(sim.world.list_scenery_tasks(order, now_ms).is_err());
}

/// Its list would look whole, and lack what it did.
#[test]
fn what_a_busy_node_did_is_not_remembered_in_place_of_a_quiet_ones() {
    let mut sim = Sim::new(cluster());
    let (order, now_ms) = (SceneryTasks { each: 25 }, sim.now_ms);
    sim.world.list_scenery_tasks(order, now_ms).unwrap();
    for _ in 0..400 {
        sim.task("POST", "/nodes/pve1/startall", &[]);
    }
    let rows = get(&mut sim, "/cluster/tasks");
    let of_pve2 = rows.as_array().unwrap().iter();
    assert_eq!(of_pve2.filter(|row| row["node"] == "pve2").count(), 25);
}
