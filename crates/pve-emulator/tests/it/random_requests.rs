//! No request, however odd, breaks the core: every one is answered exactly once, in order of the
//! API's rules.

use crate::support::seed::{ALPINE, cluster};
use crate::support::sim::{Request, Sim, credential};
use proptest::prelude::*;
use proximity_pve_emulator::core::FaultWish;
use proximity_pve_emulator::schema::table;
use serde_json::json;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("100".to_owned()),
        Just("pve1".to_owned()),
        Just("pve2".to_owned()),
        Just("nosuch".to_owned()),
        Just("local".to_owned()),
        Just(ALPINE.to_owned()),
        Just("name=eth0,bridge=vmbr0,ip=dhcp".to_owned()),
        Just("UPID:pve1:00000001:00000001:65000000:vzstart:100:root@pam:".to_owned()),
        Just("-1".to_owned()),
        Just("99999999999999999999".to_owned()),
        "[a-z0-9:,=/;%_.-]{0,12}",
        any::<String>(),
    ]
}

fn path() -> impl Strategy<Value = (String, String, Vec<String>)> {
    let known: Vec<(String, String, Vec<String>)> = table()
        .methods()
        .iter()
        .map(|method| {
            (
                method.verb.clone(),
                method.path.clone(),
                method.parameters.keys().cloned().collect(),
            )
        })
        .collect();
    let emulated = known
        .iter()
        .filter(|(_, path, _)| path.contains("/lxc") || path.contains("/tasks"))
        .cloned()
        .collect::<Vec<_>>();
    prop_oneof![
        proptest::sample::select(known),
        proptest::sample::select(emulated)
    ]
}

#[derive(Debug, Clone)]
struct Odd {
    method: String,
    path: String,
    query: String,
    body: Vec<u8>,
    content_type: Option<String>,
    token: u8,
}

fn odd() -> impl Strategy<Value = Odd> {
    let content = prop_oneof![
        Just(None),
        Just(Some("application/x-www-form-urlencoded".to_owned())),
        Just(Some("application/json".to_owned())),
        Just(Some("text/plain".to_owned())),
    ];
    let choice = (
        path(),
        proptest::collection::vec((any::<prop::sample::Index>(), word()), 0..6),
        word(),
        content,
        any::<u8>(),
    );
    choice.prop_map(|((verb, path, names), values, fill, content_type, token)| {
        let path: String = path
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    crate::support::sim::escape(&fill)
                } else {
                    part.to_owned()
                }
            })
            .collect::<Vec<_>>()
            .join("/");
        let pairs: Vec<(String, String)> = values
            .into_iter()
            .filter(|_| !names.is_empty())
            .map(|(at, value)| (names[at.index(names.len())].replace("[n]", "0"), value))
            .collect();
        let form = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", crate::support::sim::escape(value)))
            .collect::<Vec<_>>()
            .join("&");
        let json = content_type.as_deref() == Some("application/json");
        let object: serde_json::Map<String, serde_json::Value> = pairs
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        let body = if json {
            serde_json::Value::Object(object).to_string()
        } else {
            form.clone()
        };
        let reads = verb == "GET" || verb == "DELETE";
        Odd {
            method: verb,
            path: if token % 5 == 0 {
                format!("/api2/extjs{path}")
            } else {
                format!("/api2/json{path}")
            },
            query: if reads { form } else { String::new() },
            body: if reads && token % 7 != 0 {
                Vec::new()
            } else {
                body.into_bytes()
            },
            content_type,
            token,
        }
    })
}

/// Any fault, for all calls or some.
fn broken() -> impl Strategy<Value = FaultWish> {
    let kinds = [
        json!({"refused": {"message": "no"}}),
        json!({"refused": {"errors": {"vmid": "no"}}}),
        json!({"unauthorized": {}}),
        json!({"forbidden": {}}),
        json!({"broken": {"message": "no"}}),
        json!({"unreachable": {"no_route": true}}),
        json!({"given_up": {"effect": false}}),
        json!({"given_up": {"effect": true}}),
        json!({"timeout": {}}),
        json!({"cut": {"effect": false}}),
        json!({"cut": {}}),
        json!({"late": {"ms": 5_000}}),
        json!({"slow": {"ms": 5_000}}),
        json!({"hang": {}}),
        json!({"hang": {"after_effect": true}}),
        json!({"task_error": {"message": "no"}}),
        json!({"task_error": {"message": "no", "after_effect": true}}),
        json!({"task_warnings": {"lines": ["careful"]}}),
        json!({"task_lost": {}}),
        json!({"task_lost": {"forgotten": true}}),
    ];
    let calls = proptest::sample::select(vec![
        json!({}),
        json!({"verb": "POST"}),
        json!({"vmid": 100}),
        json!({"node": "pve1"}),
    ]);
    let times = proptest::option::of(1..4_u64);
    let choice = (
        proptest::sample::select(kinds.to_vec()),
        calls,
        1..4_u64,
        times,
    );
    choice.prop_map(|(kind, calls, nth, times)| {
        let wish = json!({"calls": calls, "nth": nth, "times": times, "kind": kind});
        serde_json::from_value(wish).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered(requests in proptest::collection::vec(odd(), 1..25)) {
        let mut sim = Sim::new(cluster());
        sim.create("pve1", 100, &[("net0", "name=eth0,bridge=vmbr0,ip=dhcp")]);
        sim.start("pve1", 100);
        for odd in requests {
            let mut request = Request::new(&odd.method, &odd.path);
            request.query = odd.query;
            request.body = odd.body;
            request.content_type = odd.content_type;
            request.authorization = match odd.token % 10 {
                0 => None,
                1 => Some(credential("limited@pve!t1")),
                _ => Some(credential("root@pam!gold")),
            };
            let answer = sim.call(request);
            prop_assert!((200..=599).contains(&answer.status()));
            prop_assert!(!answer.response.reason.contains(['\r', '\n']));
            prop_assert!(answer.took_ms <= 30_000);
        }
        sim.pass(120_000);
        prop_assert!(sim.world.tasks().all(|task| !task.is_running()), "a task never ends");
    }

    #[test]
    fn whatever_is_broken_every_request_has_one_end_once_it_is_mended(
        faults in proptest::collection::vec(broken(), 1..6),
        requests in proptest::collection::vec((odd(), 0..20_000_u64), 1..15),
    ) {
        let mut sim = Sim::new(cluster());
        sim.create("pve1", 100, &[]);
        for wish in faults {
            sim.world.add_fault(wish).unwrap();
        }
        let mut ids = Vec::new();
        for (odd, pause_ms) in requests {
            let mut request = Request::new(&odd.method, &odd.path);
            request.query = odd.query;
            request.body = odd.body;
            request.content_type = odd.content_type;
            ids.push(sim.send(request));
            sim.pass(pause_ms);
        }
        let made: Vec<_> = sim.world.faults().map(|fault| fault.rule.id).collect();
        for id in made {
            prop_assert!(sim.world.end_fault(id));
        }
        for id in ids {
            // The harness refuses a second answer to a request.
            let response = sim.wait(id);
            prop_assert!(response.cut || (200..=599).contains(&response.status));
        }
        prop_assert_eq!(sim.world.violations(), []);
        sim.pass(120_000);
        prop_assert!(sim.world.tasks().all(|task| !task.is_running()), "a task never ends");
    }

    #[test]
    fn any_path_is_answered(method in "[A-Z]{0,8}", path in any::<String>(), query in any::<String>()) {
        let mut sim = Sim::new(cluster());
        let mut request = Request::new(&method, "/api2");
        request.path = path;
        request.query = query;
        let answer = sim.call(request);
        prop_assert!(answer.status() >= 400);
    }
}
