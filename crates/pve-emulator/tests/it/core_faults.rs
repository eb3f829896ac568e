//! What each kind of fault does to a call, on virtual time.

use crate::support::seed::{ALPINE, cluster, solo};
use crate::support::sim::{Answer, Request, Sim};
use proximity_pve_emulator::core::{FaultId, FaultWish, Release, TaskTimes};
use serde_json::{Value, json};

const START: &str = "/nodes/solo/lxc/100/status/start";
const CONFIG: &str = "/nodes/solo/lxc/100/config";

fn fault(sim: &mut Sim, wish: Value) -> FaultId {
    let wish: FaultWish = serde_json::from_value(wish).unwrap();
    sim.world.add_fault(wish).unwrap()
}

/// Hits the next call that changes something.
fn once(sim: &mut Sim, kind: Value) -> FaultId {
    let calls = json!({"calls": {"vmid": 100}, "times": 1, "kind": kind});
    fault(sim, calls)
}

/// A container that is stopped.
fn with_guest() -> Sim {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    sim
}

fn describe(sim: &mut Sim, text: &str) -> Answer {
    sim.root("PUT", CONFIG, &[("description", text)])
}

/// What the configuration says, whatever calls see.
fn description(sim: &Sim) -> Option<String> {
    let (_, guest) = sim.world.guests().next().unwrap();
    guest.config.get("description").map(str::to_owned)
}

#[test]
fn refusals_read_as_pves_and_nothing_happens() {
    let mut sim = with_guest();
    for (kind, status, reason, took_ms) in [
        (
            json!({"refused": {"message": "CT is locked (backup)"}}),
            500,
            "CT is locked (backup)",
            0,
        ),
        (
            json!({"refused": {"errors": {"memory": "unable to hotplug memory"}}}),
            400,
            "Parameter verification failed.",
            0,
        ),
        (
            json!({"unauthorized": {}}),
            401,
            "Authentication failed!",
            3_000,
        ),
        (
            json!({"forbidden": {"missing": "/vms/100, VM.Config.Options"}}),
            403,
            "Permission check failed (/vms/100, VM.Config.Options)",
            0,
        ),
        (json!({"forbidden": {}}), 403, "Permission check failed", 0),
        (
            json!({"broken": {"message": "internal error"}}),
            500,
            "internal error",
            0,
        ),
        (json!({"unreachable": {}}), 595, "Connection refused", 0),
        (json!({"given_up": {}}), 596, "Connection timed out", 30_000),
    ] {
        once(&mut sim, kind.clone());
        let answer = describe(&mut sim, "new");
        let found = (
            answer.status(),
            answer.response.reason.as_str(),
            answer.took_ms,
        );
        assert_eq!(found, (status, reason, took_ms), "{kind}");
        assert_eq!(description(&sim), None, "{kind}");
    }
    assert_eq!(describe(&mut sim, "new").status(), 200, "each hits once");
}

/// What a call is told.
fn told(answer: &Answer) -> (u16, &str, u64) {
    let reason = answer.response.reason.as_str();
    (answer.status(), reason, answer.took_ms)
}

#[test]
fn only_calls_that_are_passed_on_find_nobody() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    let no_route = json!({"unreachable": {"no_route": true}});
    let once = json!({"times": 1, "kind": no_route});
    let id = fault(&mut sim, once);
    let put = Request::new("PUT", "/nodes/pve1/lxc/100/config").parameters(&[("cores", "1")]);
    let here = [
        put.clone().via("pve1"),
        Request::new("GET", "/version").via("pve1"),
        Request::new("GET", "/nodes/pve1/status").via("pve1"),
        Request::new("GET", "/cluster/resources").via("pve2"),
    ];
    for call in here {
        assert_eq!(sim.call(call.clone()).status(), 200, "{call:?}");
    }
    assert_eq!(sim.world.fault_hits(id), Some(0));
    let answer = sim.call(put.clone().via("pve2"));
    assert_eq!(told(&answer), (595, "No route to host", 3_000));
    assert_eq!(sim.world.fault_hits(id), Some(1));
    // To the privileged daemon of the same node a call is passed on, too.
    for (kind, expected) in [
        (json!({"unreachable": {}}), (595, "Connection refused", 0)),
        (
            json!({"given_up": {}}),
            (596, "Connection timed out", 30_000),
        ),
    ] {
        fault(&mut sim, json!({"times": 1, "kind": kind}));
        let own = Request::new("GET", "/nodes/pve1/status").via("pve1");
        assert_eq!(sim.call(own).status(), 200);
        assert_eq!(told(&sim.call(put.clone().via("pve1"))), expected);
    }
}

#[test]
fn faults_that_can_do_nothing_are_refused() {
    let mut sim = Sim::new(cluster());
    let path = "/nodes/{node}/lxc";
    let task_error = json!({"task_error": {"message": "no"}});
    let no_route = json!({"unreachable": {"no_route": true}});
    let errors = json!({"refused": {"errors": {"memory": "no"}}});
    let passed_on =
        "calls: none of them is passed on, neither to another node nor to the privileged daemon";
    for (calls, kind, why) in [
        (
            json!({"verb": "GET", "path": path}),
            &task_error,
            "calls: none of them starts a task",
        ),
        (
            json!({"path": "/version"}),
            &json!({"unreachable": {}}),
            passed_on,
        ),
        (
            json!({"path": "/cluster/nextid"}),
            &json!({"given_up": {}}),
            passed_on,
        ),
        (
            json!({"path": path, "node": "pve1", "via": "pve1"}),
            &no_route,
            passed_on,
        ),
        (
            json!({"verb": "GET", "path": path}),
            &errors,
            "calls: no method of theirs has the parameters memory",
        ),
    ] {
        let wish = json!({"calls": calls, "kind": kind});
        let wish: FaultWish = serde_json::from_value(wish).unwrap();
        assert_eq!(sim.world.add_fault(wish).unwrap_err(), why, "{calls}");
    }
    for (calls, kind) in [
        (json!({"path": path}), &task_error),
        (json!({}), &no_route),
        (json!({"path": path}), &errors),
        (
            json!({"path": path}),
            &json!({"refused": {"errors": {"net0": "no", "mp255": "no"}}}),
        ),
    ] {
        fault(&mut sim, json!({"calls": calls, "kind": kind}));
    }
}

#[test]
fn errors_hit_only_calls_that_have_the_parameter() {
    let mut sim = with_guest();
    let id = once(&mut sim, json!({"refused": {"errors": {"memory": "no"}}}));
    let status = sim.root("GET", "/nodes/solo/lxc/100/status/current", &[]);
    assert_eq!((status.status(), sim.world.fault_hits(id)), (200, Some(0)));
    assert_eq!(describe(&mut sim, "new").status(), 400);
}

#[test]
fn a_call_that_starts_no_task_is_not_hit_by_a_fault_for_tasks() {
    let mut sim = with_guest();
    let id = once(&mut sim, json!({"task_error": {"message": "hit"}}));
    let counts = |sim: &Sim| {
        let rule = sim.world.faults().find(|it| it.rule.id == id).unwrap().rule;
        (rule.seen, rule.hits)
    };
    assert_eq!(describe(&mut sim, "new").status(), 200);
    sim.root("GET", CONFIG, &[]);
    let migrate = "/nodes/solo/lxc/100/migrate";
    sim.root("POST", migrate, &[("target", "nowhere")]);
    assert_eq!(counts(&sim), (0, 0));
    assert_eq!(sim.task("POST", START, &[]), "hit");
    assert_eq!(counts(&sim), (1, 1));
    assert_eq!(sim.task("POST", START, &[]), "OK");
    assert_eq!(counts(&sim), (2, 1));
}

#[test]
fn a_task_of_a_call_that_the_proxy_gave_up_is_hit() {
    let mut sim = with_guest();
    let times = TaskTimes {
        lock_ms: 60_000,
        ..sim.world.task_times()
    };
    sim.world.set_task_times(times);
    sim.world.hold_config(100, true);
    let id = once(&mut sim, json!({"task_error": {"message": "hit"}}));
    let clone = Request::new("POST", "/nodes/solo/lxc/100/clone").parameters(&[("newid", "101")]);
    let clone = sim.send(clone);
    assert_eq!(sim.wait(clone).status, 596);
    assert_eq!(sim.world.fault_hits(id), Some(0));
    sim.world.hold_config(100, false);
    sim.pass(10_000);
    assert_eq!(sim.world.fault_hits(id), Some(1));
    let exit = sim.world.tasks().last().unwrap().exit();
    assert_eq!(exit, Some("hit"));
}

#[test]
fn a_refusal_has_the_body_and_the_style_of_pves() {
    let mut sim = with_guest();
    let errors = json!({"errors": {"memory": "too much"}});
    once(&mut sim, json!({"refused": errors}));
    let body = describe(&mut sim, "new").body();
    let said = json!({"data": null, "message": "Parameter verification failed.\n", "errors": {"memory": "too much"}});
    assert_eq!(body, said);
    once(&mut sim, json!({"refused": {"message": "no"}}));
    let answer = sim.root("GET", &format!("/api2/extjs{CONFIG}"), &[]);
    assert_eq!(
        (answer.status(), &answer.body()["success"]),
        (200, &json!(0))
    );
    assert_eq!(answer.message(), "no\n");
    once(&mut sim, json!({"unauthorized": {}}));
    assert!(describe(&mut sim, "new").response.body.is_empty());
}

#[test]
fn the_proxy_gives_up_and_the_effect_is_there() {
    let mut sim = with_guest();
    once(&mut sim, json!({"given_up": {"effect": true}}));
    let answer = describe(&mut sim, "new");
    assert_eq!((answer.status(), answer.took_ms), (596, 30_000));
    assert_eq!(description(&sim).as_deref(), Some("new\n"));
}

#[test]
fn a_timeout_has_no_effect_and_no_answer_until_the_fault_ends() {
    let mut sim = with_guest();
    let id = once(&mut sim, json!({"timeout": {}}));
    let put = Request::new("PUT", CONFIG).parameters(&[("description", "new")]);
    let request = sim.send(put);
    sim.pass(120_000);
    assert_eq!(sim.answered(request), None);
    assert_eq!(sim.world.faults().next().unwrap().held.len(), 1);
    assert!(sim.world.end_fault(id));
    assert!(sim.wait(request).cut);
    assert_eq!(description(&sim), None);
    assert!(!sim.world.end_fault(id), "it is gone");
}

#[test]
fn a_connection_that_waits_for_nothing_ends_by_itself() {
    let mut sim = with_guest();
    once(&mut sim, json!({"timeout": {}}));
    let request = sim.send(Request::new("GET", CONFIG));
    sim.pass(599_000);
    assert_eq!(sim.answered(request), None);
    sim.pass(2_000);
    assert!(sim.answered(request).unwrap().cut);
}

#[test]
fn a_cut_comes_behind_the_effect_or_instead_of_it() {
    let mut sim = with_guest();
    once(&mut sim, json!({"cut": {"effect": false}}));
    assert!(describe(&mut sim, "first").response.cut);
    assert_eq!(description(&sim), None);
    once(&mut sim, json!({"cut": {}}));
    let answer = describe(&mut sim, "second");
    assert!(answer.response.cut && answer.took_ms == 0);
    assert_eq!(description(&sim).as_deref(), Some("second\n"));
}

#[test]
fn a_late_effect_comes_when_nobody_waits_for_it_also_behind_a_restart() {
    let mut sim = with_guest();
    for restart in [false, true] {
        once(&mut sim, json!({"late": {"ms": 5_000}}));
        let text = format!("restart {restart}");
        let answer = describe(&mut sim, &text);
        assert!(answer.response.cut && answer.took_ms == 0);
        if restart {
            sim.kill_and_restart();
        }
        sim.pass(4_999);
        assert_ne!(description(&sim), Some(format!("{text}\n")));
        sim.pass(1);
        assert_eq!(description(&sim), Some(format!("{text}\n")));
    }
}

#[test]
fn nothing_secret_of_a_late_call_is_written_down() {
    let mut sim = with_guest();
    let id = once(&mut sim, json!({"late": {"ms": 5_000}}));
    assert!(describe(&mut sim, "public").response.cut);
    let state = serde_json::to_string(&sim.world).unwrap();
    assert!(state.contains("root@pam!gold") && !state.contains("gold=secret"));
    // Who has lost the right meanwhile is refused.
    sim.root("DELETE", "/access/users/root@pam/token/gold", &[]);
    sim.pass(5_000);
    assert_eq!(description(&sim), None);
    assert_eq!(sim.world.fault_hits(id), Some(1));

    let mut sim = with_guest();
    let id = fault(&mut sim, json!({"kind": {"late": {"ms": 5_000}}}));
    let form = [("userid", "ops@pve"), ("password", "very secret")];
    assert_eq!(sim.root("POST", "/access/users", &form).status(), 200);
    assert_eq!(sim.world.fault_hits(id), Some(0));
    let strangers = Request::new("PUT", CONFIG).by("root@pam!nobody");
    assert!(sim.call(strangers).response.cut);
    let state = serde_json::to_string(&sim.world).unwrap();
    assert!(!state.contains("very secret") && !state.contains("nobody"));
}

#[test]
fn a_late_create_that_is_parked_on_its_way_still_comes() {
    let mut sim = Sim::new(solo());
    once(&mut sim, json!({"late": {"ms": 1_000}}));
    let form = [("vmid", "100"), ("ostemplate", ALPINE)];
    assert!(sim.root("POST", "/nodes/solo/lxc", &form).response.cut);
    assert_eq!(sim.world.guests().count(), 0);
    sim.pass(60_000);
    assert_eq!(sim.world.guests().count(), 1);
    assert_eq!(sim.world.tasks().next().unwrap().exit(), Some("OK"));
}

#[test]
fn a_slow_call_is_answered_later_and_done_at_once() {
    let mut sim = with_guest();
    once(&mut sim, json!({"slow": {"ms": 7_000}}));
    let put = Request::new("PUT", CONFIG).parameters(&[("description", "new")]);
    let before = sim.now_ms;
    let request = sim.send(put);
    assert_eq!(description(&sim).as_deref(), Some("new\n"));
    assert_eq!(sim.wait(request).status, 200);
    assert_eq!(sim.now_ms - before, 7_000);
}

#[test]
fn a_call_hangs_before_its_effect_or_behind_it_until_it_is_released() {
    let mut sim = with_guest();
    for after_effect in [false, true] {
        let id = once(&mut sim, json!({"hang": {"after_effect": after_effect}}));
        let text = format!("after {after_effect}");
        let put = Request::new("PUT", CONFIG).parameters(&[("description", &text)]);
        let request = sim.send(put);
        sim.pass(120_000);
        assert_eq!(sim.answered(request), None);
        let there = description(&sim) == Some(format!("{text}\n"));
        assert_eq!(there, after_effect);
        let state = if after_effect { "holding" } else { "hanging" };
        let held = sim.world.faults().last().unwrap().held;
        assert_eq!(held[0].state, state);
        assert_eq!(sim.world.release(id, Release::GoOn), 1);
        assert_eq!(sim.world.release(id, Release::GoOn), 0, "only once");
        assert_eq!(sim.wait(request).status, 200);
        assert_eq!(description(&sim), Some(format!("{text}\n")));
    }
}

#[test]
fn a_call_that_hangs_may_be_cut_instead() {
    let mut sim = with_guest();
    for after_effect in [false, true] {
        let id = once(&mut sim, json!({"hang": {"after_effect": after_effect}}));
        let put = Request::new("PUT", CONFIG).parameters(&[("description", "new")]);
        let request = sim.send(put);
        assert_eq!(sim.world.release(id, Release::Cut), 1);
        assert!(sim.wait(request).cut);
        assert_eq!(description(&sim).is_some(), after_effect);
    }
}

#[test]
fn ending_a_fault_releases_what_it_holds() {
    let mut sim = with_guest();
    let id = once(&mut sim, json!({"hang": {}}));
    let request = sim.send(Request::new("GET", CONFIG));
    assert!(sim.world.end_fault(id));
    assert_eq!(sim.wait(request).status, 200);
}

#[test]
fn a_task_fails_before_its_work_or_behind_it() {
    let mut sim = with_guest();
    let runs = |sim: &Sim| {
        sim.machines
            .machines
            .values()
            .any(|machine| machine.running)
    };
    once(
        &mut sim,
        json!({"task_error": {"message": "command 'lxc-start' failed: exit code 1"}}),
    );
    assert_eq!(
        sim.task("POST", START, &[]),
        "command 'lxc-start' failed: exit code 1"
    );
    assert!(!runs(&sim));
    let upid = sim.world.tasks().last().unwrap().upid.to_string();
    let last = sim.log(&upid).pop().unwrap();
    assert_eq!(last, "TASK ERROR: command 'lxc-start' failed: exit code 1");
    once(
        &mut sim,
        json!({"task_error": {"message": "hook failed", "after_effect": true}}),
    );
    assert_eq!(sim.task("POST", START, &[]), "hook failed");
    assert!(runs(&sim));
}

#[test]
fn a_create_that_fails_leaves_nothing() {
    let mut sim = Sim::new(solo());
    once(
        &mut sim,
        json!({"task_error": {"message": "unable to create CT 100 - no space"}}),
    );
    let form = [("vmid", "100"), ("ostemplate", ALPINE)];
    let exit = sim.task("POST", "/nodes/solo/lxc", &form);
    assert_eq!(exit, "unable to create CT 100 - no space");
    assert_eq!(sim.world.guests().count(), 0);
}

#[test]
fn a_task_ends_with_warnings() {
    let mut sim = with_guest();
    let lines = [
        "Systemd 252 detected. You may need to enable nesting.",
        "two",
    ];
    once(&mut sim, json!({"task_warnings": {"lines": lines}}));
    assert_eq!(sim.task("POST", START, &[]), "WARNINGS: 2");
    let upid = sim.world.tasks().last().unwrap().upid.to_string();
    let log = sim.log(&upid);
    let end = &log[log.len() - 3..];
    assert!(end[0].starts_with("WARN: Systemd 252"));
    assert_eq!(end[1..], ["WARN: two", "TASK WARNINGS: 2"]);
    let warned = sim.root("GET", "/nodes/solo/tasks", &[("statusfilter", "warning")]);
    assert_eq!(warned.body()["total"], 1);
}

#[test]
fn a_killed_create_leaves_its_lock_and_an_unexpected_status() {
    let mut sim = Sim::new(solo());
    once(&mut sim, json!({"task_lost": {}}));
    let form = [("vmid", "100"), ("ostemplate", ALPINE)];
    let exit = sim.task("POST", "/nodes/solo/lxc", &form);
    assert_eq!(exit, "unexpected status");
    sim.pass(10_000);
    let (_, guest) = sim.world.guests().next().unwrap();
    assert_eq!(guest.config.get("lock"), Some("create"));
    let upid = sim.world.tasks().next().unwrap().upid.to_string();
    assert!(!sim.log(&upid).last().unwrap().starts_with("TASK"));
}

#[test]
fn a_forgotten_task_works_and_nobody_knows_of_it_also_behind_a_restart() {
    let mut sim = with_guest();
    once(&mut sim, json!({"task_lost": {"forgotten": true}}));
    let upid = sim.root("POST", START, &[]).payload();
    let status = format!("/nodes/solo/tasks/{}/status", upid.as_str().unwrap());
    sim.kill_and_restart();
    sim.pass(10_000);
    let answer = sim.root("GET", &status, &[]);
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.body()["errors"]["upid"], "no such task");
    let here = sim.root("GET", "/nodes/solo/tasks", &[("source", "all")]);
    assert_eq!(here.body()["total"], 1, "only the create");
    let everywhere = sim.root("GET", "/cluster/tasks", &[]).payload();
    assert_eq!(everywhere.as_array().unwrap().len(), 1);
    let current = sim.root("GET", "/nodes/solo/lxc/100/status/current", &[]);
    assert_eq!(current.payload()["status"], "running");
}

#[test]
fn calls_are_chosen_by_verb_path_node_taker_guest_and_number() {
    let mut sim = Sim::new(cluster());
    let refused = json!({"refused": {"message": "hit"}});
    let mut hits = |calls: Value, nth: u64, times: Value, request: &Request| -> Vec<bool> {
        let wish = json!({"calls": calls, "nth": nth, "times": times, "kind": refused});
        let id = fault(&mut sim, wish);
        let hit = (0..4)
            .map(|_| sim.call(request.clone()).message() == "hit\n")
            .collect();
        sim.world.end_fault(id);
        hit
    };
    let all = vec![true; 4];
    let none = vec![false; 4];
    let status = Request::new("GET", "/nodes/pve2/status").via("pve1");
    let path = "/nodes/{node}/status";
    assert_eq!(hits(json!({}), 1, Value::Null, &status), all);
    assert_eq!(
        hits(json!({}), 2, json!(2), &status),
        [false, true, true, false]
    );
    for (calls, expected) in [
        (
            json!({"verb": "GET", "path": path, "node": "pve2", "via": "pve1"}),
            &all,
        ),
        (json!({"verb": "POST"}), &none),
        (json!({"path": "/nodes/{node}/lxc"}), &none),
        (json!({"node": "pve1"}), &none),
        (json!({"via": "pve2"}), &none),
        (json!({"vmid": 100}), &none),
    ] {
        assert_eq!(
            &hits(calls.clone(), 1, Value::Null, &status),
            expected,
            "{calls}"
        );
    }
    let own = Request::new("GET", "/version").via("pve3");
    assert_eq!(hits(json!({"node": "pve3"}), 1, Value::Null, &own), all);
    let form = [("vmid", "105"), ("ostemplate", "x")];
    let create = Request::new("POST", "/nodes/pve1/lxc").parameters(&form);
    assert_eq!(hits(json!({"vmid": 105}), 1, Value::Null, &create), all);
}

#[test]
fn the_oldest_fault_that_hits_has_the_call_and_all_count_it() {
    let mut sim = with_guest();
    let calls = json!({"path": "/version"});
    let refused = |text: &str| json!({"refused": {"message": text}});
    fault(
        &mut sim,
        json!({"calls": calls, "nth": 2, "times": 1, "kind": refused("first")}),
    );
    fault(&mut sim, json!({"calls": calls, "kind": refused("second")}));
    let said: Vec<String> = (0..3)
        .map(|_| sim.root("GET", "/version", &[]).message())
        .collect();
    assert_eq!(said, ["second\n", "first\n", "second\n"]);
    let counts = sim.world.faults().map(|f| (f.rule.seen, f.rule.hits));
    assert_eq!(counts.collect::<Vec<_>>(), [(3, 1), (3, 2)]);
}

#[test]
fn counts_outlive_the_emulator() {
    let mut sim = with_guest();
    fault(
        &mut sim,
        json!({"nth": 2, "times": 1, "kind": {"refused": {"message": "hit"}}}),
    );
    assert_eq!(sim.root("GET", "/version", &[]).status(), 200);
    sim.kill_and_restart();
    assert_eq!(sim.root("GET", "/version", &[]).message(), "hit\n");
    sim.kill_and_restart();
    assert_eq!(sim.root("GET", "/version", &[]).status(), 200);
}
