//! The cluster through the core: what lags, what is proxied and fails, who may see what, task
//! lists.

use crate::support::seed::{ALPINE, cluster, solo, token};
use crate::support::sim::{Request, Sim};
use proximity_pve_emulator::core::{Access, Daemon, Reach, Scenery};
use serde_json::{Value, json};

fn resources(sim: &mut Sim) -> Value {
    sim.root("GET", "/cluster/resources", &[("type", "vm")])
        .payload()
}

#[test]
fn name_and_power_reach_the_cluster_with_the_next_broadcast() {
    let mut sim = Sim::new(solo());
    sim.pass(100);
    sim.create("solo", 100, &[("tags", "web")]);
    let row = json!([{"id": "lxc/100", "type": "lxc", "vmid": 100, "node": "solo", "status": "unknown", "tags": "web"}]);
    assert_eq!(resources(&mut sim), row);
    sim.pass(10_000);
    assert_eq!(
        (
            &resources(&mut sim)[0]["status"],
            &resources(&mut sim)[0]["name"]
        ),
        (&json!("stopped"), &json!("CT100"))
    );
    sim.start("solo", 100);
    assert_eq!(
        resources(&mut sim)[0]["status"],
        "stopped",
        "the start is not broadcast yet"
    );
    assert_eq!(
        sim.root("GET", "/nodes/solo/lxc/100/status/current", &[])
            .payload()["status"],
        "running"
    );
    sim.pass(10_000);
    assert_eq!(resources(&mut sim)[0]["status"], "running");
    sim.world.set_lock(100, Some("backup"));
    assert_eq!(
        resources(&mut sim)[0]["lock"],
        "backup",
        "locks are seen at once"
    );
}

#[test]
fn a_node_that_cannot_be_reached_fails_in_the_proxy() {
    let mut sim = Sim::new(cluster());
    let call =
        |sim: &mut Sim, via: &str| sim.call(Request::new("GET", "/nodes/pve3/status").via(via));
    for (reach, status, reason, took_ms) in [
        (Reach::Refused, 595, "Connection refused", 0),
        (Reach::NoRoute, 595, "No route to host", 3_000),
        (Reach::Silent, 596, "Connection timed out", 30_000),
    ] {
        sim.world.node_mut("pve3").unwrap().reach = reach;
        let answer = call(&mut sim, "pve1");
        assert_eq!(
            (
                answer.status(),
                answer.response.reason.as_str(),
                answer.took_ms
            ),
            (status, reason, took_ms)
        );
        assert!(answer.response.body.is_empty());
        assert_eq!(
            call(&mut sim, "pve3").status(),
            200,
            "it answers for itself"
        );
    }
    assert_eq!(
        sim.root("GET", "/nodes", &[]).payload()[2]["status"],
        "offline"
    );
}

#[test]
fn without_its_proxy_a_node_cannot_be_asked_by_others_and_without_its_teller_its_guests_get_unknown()
 {
    let mut sim = Sim::new(cluster());
    sim.create("pve3", 100, &[("hostname", "web")]);
    sim.start("pve3", 100);
    sim.pass(11_000);
    let row = |sim: &mut Sim| {
        sim.root("GET", "/cluster/resources", &[("type", "vm")])
            .payload()[0]
            .clone()
    };
    sim.world
        .set_daemon("pve3", Daemon::named("pveproxy").unwrap(), false);
    let answer = sim.root("GET", "/nodes/pve3/status", &[]);
    assert_eq!(answer.status(), 595);
    assert_eq!(answer.response.reason, "Connection refused");
    assert_eq!(row(&mut sim)["status"], "running");
    sim.world.set_daemon("pve3", Daemon::Proxy, true);
    assert_eq!(sim.root("GET", "/nodes/pve3/status", &[]).status(), 200);

    sim.world
        .set_daemon("pve3", Daemon::named("pvestatd.service").unwrap(), false);
    sim.pass(200_000);
    assert_eq!(row(&mut sim)["status"], "running", "as it was told last");
    sim.pass(110_000);
    assert_eq!(row(&mut sim)["status"], "unknown");
    let current = sim.root("GET", "/nodes/pve3/lxc/100/status/current", &[]);
    assert_eq!(
        current.payload()["status"],
        "running",
        "the node itself knows"
    );
    sim.world.set_daemon("pve3", Daemon::Teller, true);
    sim.pass(11_000);
    assert_eq!(row(&mut sim)["status"], "running");
    assert_eq!(Daemon::named("sshd"), None);
}

#[test]
fn without_its_daemon_a_node_still_answers_what_needs_none() {
    let mut sim = Sim::new(solo());
    sim.world.node_mut("solo").unwrap().daemon_up = false;
    assert_eq!(sim.root("GET", "/nodes/solo/lxc", &[]).status(), 595);
    assert_eq!(sim.root("GET", "/cluster/resources", &[]).status(), 200);
}

#[test]
fn the_proxy_gives_up_on_a_slow_daemon_but_the_work_goes_on() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim.start("solo", 100);
    sim.machines.look_ms = Some(45_000);
    let answer = sim.root("POST", "/nodes/solo/lxc/100/status/stop", &[]);
    assert_eq!((answer.status(), answer.took_ms), (596, 30_000));
    assert!(
        sim.machines
            .machines
            .values()
            .all(|machine| machine.running)
    );
    sim.pass(20_000);
    assert!(
        sim.machines
            .machines
            .values()
            .all(|machine| !machine.running),
        "stopped after all"
    );
    assert_eq!(sim.world.tasks().last().unwrap().exit(), Some("OK"));
}

#[test]
fn freed_ids_are_given_again() {
    let mut sim = Sim::new(solo());
    for vmid in [100, 101, 103] {
        sim.create("solo", vmid, &[]);
    }
    assert_eq!(sim.root("GET", "/cluster/nextid", &[]).payload(), "102");
    assert_eq!(sim.task("DELETE", "/nodes/solo/lxc/100", &[]), "OK");
    assert_eq!(sim.root("GET", "/cluster/nextid", &[]).payload(), "100");
}

/// `pvecm delnode` changes the members alone: what the cluster's files say of a removed node's containers stays until a person
/// deletes them.
#[test]
fn containers_of_a_removed_node_are_listed_until_its_files_are_deleted() {
    let mut sim = Sim::new(cluster());
    sim.create("pve3", 100, &[("hostname", "web")]);
    sim.create("pve2", 101, &[]);
    sim.pass(11_000);
    let of_100 = |sim: &mut Sim| {
        let rows = resources(sim);
        let mut rows = rows.as_array().unwrap().iter();
        rows.find(|row| row["vmid"] == 100).cloned()
    };
    sim.world.remove_node("pve3");
    let status = sim.root("GET", "/cluster/status", &[]).payload();
    let members = status.as_array().unwrap().iter();
    let names: Vec<&Value> = members.map(|row| &row["name"]).collect();
    assert_eq!(names, ["lab", "pve1", "pve2"]);
    let told = of_100(&mut sim).unwrap();
    assert_eq!(
        (&told["node"], &told["status"]),
        (&json!("pve3"), &json!("stopped")),
        "as it was told last"
    );
    sim.pass(310_000);
    assert_eq!(of_100(&mut sim).unwrap()["status"], "unknown");
    let there = sim.root("GET", "/nodes/pve3/lxc/100/config", &[]);
    let said = there.body().to_string();
    assert_eq!(there.status(), 500);
    assert!(said.contains("hostname lookup 'pve3' failed"), "{said}");
    let here = sim.root("GET", "/nodes/pve1/lxc/100/config", &[]);
    let said = here.body().to_string();
    assert!(said.contains("does not exist"), "{said}");
    let free = |sim: &mut Sim| sim.root("GET", "/cluster/nextid", &[]).payload();
    assert_eq!(free(&mut sim), "102");
    let again = [("vmid", "100"), ("ostemplate", ALPINE)];
    let taken = sim.root("POST", "/nodes/pve1/lxc", &again);
    let said = taken.body().to_string();
    assert!(said.contains("already exists on node 'pve3'"), "{said}");

    sim.world.delete_files_of("pve3");
    assert_eq!(of_100(&mut sim), None);
    assert_eq!(free(&mut sim), "100");

    // A member's go just so.
    assert!(sim.world.guests().any(|(vmid, _)| vmid == 101));
    sim.world.delete_files_of("pve2");
    assert!(sim.world.guests().all(|(vmid, _)| vmid != 101));
    assert_eq!(free(&mut sim), "100");
}

/// The range of free numbers: its upper bound is not in it, and a number that is asked for may lie anywhere.
#[test]
fn free_ids_are_offered_within_the_datacenter_options() {
    let mut sim = Sim::new(solo());
    let options = |sim: &mut Sim| sim.root("GET", "/cluster/options", &[]).payload();
    assert_eq!(options(&mut sim).get("next-id"), None);
    let set = sim.root(
        "PUT",
        "/cluster/options",
        &[("next-id", "lower=200,upper=202")],
    );
    assert_eq!(set.status(), 200, "{}", set.body());
    assert_eq!(
        options(&mut sim)["next-id"],
        json!({"lower": "200", "upper": "202"})
    );
    let free = |sim: &mut Sim| sim.root("GET", "/cluster/nextid", &[]);
    assert_eq!(free(&mut sim).payload(), "200");
    sim.create("solo", 200, &[]);
    sim.create("solo", 201, &[]);
    let none = free(&mut sim);
    assert_eq!(none.status(), 500);
    assert_eq!(
        none.body()["message"],
        "unable to get any free VMID in range [200, 202]\n"
    );
    let other = sim.root("GET", "/cluster/nextid", &[("vmid", "150")]);
    assert_eq!(other.payload(), "150");

    let set = |sim: &mut Sim, name: &str, value: &str| {
        sim.root("PUT", "/cluster/options", &[(name, value)])
    };
    let refused = set(&mut sim, "next-id", "lower=300,upper=299");
    assert_eq!(
        refused.body()["message"],
        "lower (300) <= upper (299) boundary rule broken\n"
    );
    assert_eq!(set(&mut sim, "next-id", "first=300").status(), 400);
    assert_eq!(set(&mut sim, "keyboard", "de").status(), 200);
    assert_eq!(set(&mut sim, "next-id", "upper=201").status(), 200);
    assert_eq!(options(&mut sim)["next-id"], json!({"upper": "201"}));
    assert_eq!(free(&mut sim).payload(), "100");
    assert_eq!(set(&mut sim, "delete", "next-id").status(), 200);
    assert_eq!(options(&mut sim).get("next-id"), None);
}

/// Without Sys.Audit the options are a short list, and without Sys.Modify none is set.
#[test]
fn the_range_of_free_ids_is_not_for_everybody() {
    let mut sim = Sim::new(solo());
    let range = [("next-id", "lower=200")];
    sim.root("PUT", "/cluster/options", &range);
    let by = |sim: &mut Sim, verb: &str, token: &str| {
        let mut request = Request::new(verb, "/cluster/options").by(token);
        if verb == "PUT" {
            request = request.parameters(&range);
        }
        sim.call(request)
    };
    let all = by(&mut sim, "GET", "root@pam!gold").payload();
    assert_eq!(all["next-id"], json!({"lower": "200"}));
    let some = by(&mut sim, "GET", "limited@pve!t1").payload();
    assert_eq!(some, json!({"allowed-tags": []}));
    assert_eq!(by(&mut sim, "PUT", "limited@pve!t1").status(), 403);
    let free = sim.call(Request::new("GET", "/cluster/nextid").by("limited@pve!t1"));
    assert_eq!(free.payload(), "200", "what is offered everybody is told");
}

#[test]
fn lists_of_tasks_are_filtered_paged_and_private() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.create("pve2", 101, &[]);
    sim.start("pve1", 100);
    sim.root("POST", "/nodes/pve1/lxc/100/status/shutdown", &[]);
    let list =
        |sim: &mut Sim, more: &[(&str, &str)]| sim.root("GET", "/nodes/pve1/tasks", more).body();
    assert_eq!(list(&mut sim, &[])["total"], 2);
    assert_eq!(
        list(&mut sim, &[("source", "active")])["data"][0]["status"],
        "RUNNING"
    );
    assert_eq!(
        list(&mut sim, &[("source", "all"), ("limit", "1")])["data"][0]["type"],
        "vzshutdown"
    );
    assert_eq!(
        list(&mut sim, &[("typefilter", "vzcreate")])["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let all = sim.root("GET", "/cluster/tasks", &[]).payload();
    assert_eq!(all.as_array().unwrap().len(), 4);
    assert_eq!(
        all.as_array()
            .unwrap()
            .iter()
            .filter(|row| row.get("status").is_none())
            .count(),
        1
    );
    let nobody = sim.call(Request::new("GET", "/cluster/tasks").by("limited@pve!t1"));
    assert_eq!(nobody.payload(), json!([]));
}

#[test]
fn a_method_without_behaviour_says_which_one_it_is() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    let answer = sim.root("POST", "/nodes/solo/lxc/100/vncproxy", &[("width", "640")]);
    assert_eq!(answer.status(), 501);
    assert_eq!(
        answer.message(),
        "Method 'POST /nodes/{node}/lxc/{vmid}/vncproxy' (vncproxy) is not emulated yet"
    );
    let answer = sim.root("POST", "/nodes/solo/lxc/100/vncproxy", &[("width", "x")]);
    assert_eq!(
        answer.status(),
        400,
        "its parameters are verified all the same"
    );
}

#[test]
fn the_same_requests_give_the_same_world() {
    let run = || {
        let mut sim = Sim::new(solo());
        sim.create("solo", 100, &[("net0", "name=eth0,bridge=vmbr0,ip=dhcp")]);
        sim.start("solo", 100);
        sim.root(
            "POST",
            "/nodes/solo/lxc",
            &[("vmid", "101"), ("ostemplate", ALPINE)],
        );
        sim.pass(3_000);
        serde_json::to_string(&sim.world).unwrap()
    };
    assert_eq!(run(), run());
}

/// Containers that are only told of are containers to the API, and no driver hears of them.
#[test]
fn scenery_lives_like_other_containers() {
    let mut sim = Sim::new(cluster());
    let order = |text| serde_json::from_str::<Scenery>(text).unwrap();
    let sixty = order(r#"{"guests": 60, "first_vmid": 1000, "running_percent": 50}"#);
    sim.world.set_up_scenery(sixty, sim.now_ms).unwrap();
    sim.pass(1_000);
    let list = |sim: &mut Sim| {
        let rows = sim
            .root("GET", "/cluster/resources", &[("type", "vm")])
            .payload();
        rows.as_array().unwrap().clone()
    };
    let rows = list(&mut sim);
    let running = |row: &&Value| row["status"] == "running" && row["mem"].as_u64().unwrap() > 0;
    assert_eq!((rows.len(), rows.iter().filter(running).count()), (60, 50));
    assert!(
        rows.iter()
            .all(|row| row["name"] == format!("scenery-{}", row["vmid"]))
    );

    let node = |vmid: u32| {
        sim.world
            .guests()
            .find(|(known, _)| *known == vmid)
            .unwrap()
            .1
            .node
            .clone()
    };
    let (stopped, runs) = (
        format!("/nodes/{}/lxc/1055", node(1055)),
        format!("/nodes/{}/lxc/1001", node(1001)),
    );
    assert_eq!(
        sim.task("POST", &format!("{stopped}/status/start"), &[]),
        "OK"
    );
    let now = sim
        .root("GET", &format!("{stopped}/status/current"), &[])
        .payload();
    assert_eq!(
        (&now["status"], &now["pid"]),
        (&"running".into(), &1055.into())
    );
    assert_eq!(sim.task("POST", &format!("{runs}/status/stop"), &[]), "OK");
    assert_eq!(sim.task("DELETE", &runs, &[]), "OK");
    assert_eq!(list(&mut sim).len(), 59);
    assert!(sim.machines.seen.is_empty(), "{:?}", sim.machines.seen);

    let taken = sim
        .world
        .set_up_scenery(order(r#"{"guests": 2, "first_vmid": 999}"#), sim.now_ms);
    assert_eq!(taken.unwrap_err(), "1000 is taken");
    let low = sim
        .world
        .set_up_scenery(order(r#"{"guests": 2, "first_vmid": 99}"#), sim.now_ms);
    assert!(low.unwrap_err().starts_with("numbers go from 100"));
    let high = sim.world.set_up_scenery(
        order(r#"{"guests": 2, "first_vmid": 999999999}"#),
        sim.now_ms,
    );
    assert!(high.unwrap_err().starts_with("numbers go from 100"));
    assert_eq!(list(&mut sim).len(), 59);
}

/// Whoever may see all guests is shown the one list that is kept; who may see some is shown those.
#[test]
fn the_list_that_is_kept_is_for_whoever_may_see_all_guests() {
    let mut seed = cluster();
    seed.tokens.push(token("all@pve!t1", Access::Full));
    let mut sim = Sim::new(seed);
    for vmid in [100, 101] {
        sim.create("pve1", vmid, &[]);
    }
    sim.pass(10_000);
    let list = |sim: &mut Sim, token: &str| {
        let request = Request::new("GET", "/cluster/resources");
        let request = request.parameters(&[("type", "vm")]).by(token);
        sim.call(request).response.body
    };
    let kept = list(&mut sim, "root@pam!gold");
    let shown = list(&mut sim, "all@pve!t1");
    assert_eq!(shown, kept);
    assert_eq!(shown.as_ptr(), kept.as_ptr(), "it is not made anew");
    let shut = [
        ("path", "/vms/101"),
        ("roles", "NoAccess"),
        ("users", "all@pve"),
    ];
    assert_eq!(sim.root("PUT", "/access/acl", &shut).status(), 200);
    let shown: Value = serde_json::from_slice(&list(&mut sim, "all@pve!t1")).unwrap();
    let rows = shown["data"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["vmid"]), (1, &json!(100)));
    assert_eq!(list(&mut sim, "root@pam!gold"), kept);
}

/// What is written from where it lies says the same in the same words as all other answers: no space, and keys in their order.
#[test]
fn answers_that_are_written_at_once_have_the_form_of_all_others() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.start("pve1", 100);
    let id = sim.send(Request::new("POST", "/nodes/pve1/lxc/100/status/stop"));
    assert_eq!(sim.wait(id).status, 200);
    for (path, part) in [
        ("/cluster/status", "\"online\":1"),
        ("/cluster/tasks", "\"saved\":\"0\""),
        ("/cluster/tasks", "\"status\":\"OK\""),
        ("/access/permissions", "\"/vms\":{"),
        (
            "/access/permissions?path=/vms/100",
            "{\"data\":{\"/vms/100\":{",
        ),
    ] {
        let body = sim.call(Request::new("GET", path)).response.body;
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains(part), "{path}: {text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(text, value.to_string(), "{path}");
        let extjs = format!("/api2/extjs{path}");
        let shown = sim.call(Request::new("GET", &extjs)).body();
        assert_eq!(shown["data"], value["data"], "{path}");
    }
}
