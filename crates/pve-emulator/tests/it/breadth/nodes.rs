//! What nodes and the cluster's communication are configured with.

use super::{get, said};
use crate::support::seed::{cluster, solo};
use crate::support::sim::{Request, Sim};
use proximity_pve_emulator::core::Daemon;
use serde_json::json;

const CONFIG: &str = "/nodes/pve2/config";
const DONE: (u16, String) = (200, String::new());

#[test]
fn settings_of_a_node_are_kept_with_a_digest() {
    let mut sim = Sim::new(cluster());
    assert_eq!(get(&mut sim, CONFIG), json!({}));
    let form = [("description", "rack 4"), ("startall-onboot-delay", "30")];
    assert_eq!(said(&mut sim, "PUT", CONFIG, &form), DONE);
    let found = get(&mut sim, CONFIG);
    assert_eq!(
        (&found["description"], &found["startall-onboot-delay"]),
        (&"rack 4\n".into(), &30.into())
    );
    let one = sim
        .root("GET", CONFIG, &[("property", "startall-onboot-delay")])
        .payload();
    assert_eq!(one, json!({"startall-onboot-delay": 30}));
    let digest = found["digest"].as_str().unwrap().to_owned();
    let form = [("delete", "description"), ("digest", digest.as_str())];
    assert_eq!(said(&mut sim, "PUT", CONFIG, &form), DONE);
    let text = "detected modified configuration - file changed by other user? Try again.";
    assert_eq!(said(&mut sim, "PUT", CONFIG, &form), (500, text.into()));
    assert_eq!(
        get(&mut sim, "/nodes/pve1/config"),
        json!({}),
        "each node has its own"
    );
    for (form, text) in [
        (
            [("acmedomain0", "a.lab"), ("acmedomain1", "A.lab")],
            "duplicate domain 'a.lab' in ACME config properties 'acmedomain1' and 'acmedomain0'",
        ),
        (
            [("acmedomain0", "a.lab,plugin=dns"), ("location", "")],
            "plugin 'dns' for domain 'a.lab' not found!",
        ),
    ] {
        let form: Vec<_> = form
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        assert_eq!(said(&mut sim, "PUT", CONFIG, &form), (500, text.into()));
    }
    let now_ms = sim.now_ms;
    sim.world.partition("pve2", now_ms);
    sim.pass(30_000);
    let call = Request::new("PUT", CONFIG)
        .via("pve2")
        .parameters(&[("description", "x")]);
    let answer = sim.call(call);
    assert!(
        answer
            .message()
            .starts_with("unable to open file '/etc/pve/nodes/pve2/config.tmp."),
        "{}",
        answer.message()
    );
}

#[test]
fn names_and_units_of_a_node_are_told() {
    let mut sim = Sim::new(cluster());
    let hosts = get(&mut sim, "/nodes/pve1/hosts");
    assert!(hosts["data"].as_str().unwrap().contains("10.99.0.11 pve1"));
    let digest = hosts["digest"].as_str().unwrap();
    let form = [("data", "127.0.0.1 localhost\n"), ("digest", digest)];
    assert_eq!(said(&mut sim, "POST", "/nodes/pve1/hosts", &form), DONE);
    assert_eq!(
        get(&mut sim, "/nodes/pve1/hosts")["data"],
        "127.0.0.1 localhost\n"
    );
    assert_eq!(said(&mut sim, "POST", "/nodes/pve1/hosts", &form).0, 500);
    let state = "/nodes/pve3/services/pvestatd/state";
    assert_eq!(get(&mut sim, state)["active-state"], "active");
    sim.world.set_daemon("pve3", Daemon::Teller, false);
    assert_eq!(get(&mut sim, state)["state"], "dead");
    assert_eq!(
        get(&mut sim, "/nodes/pve3/services")
            .as_array()
            .unwrap()
            .len(),
        23
    );
    assert_eq!(
        get(&mut sim, "/nodes/pve3/services/cron")[0],
        json!({"subdir": "state"})
    );
    assert_eq!(
        said(&mut sim, "GET", "/nodes/pve3/services/nosuch/state", &[]).0,
        400
    );
    let none = get(&mut sim, "/nodes/pve1/subscription");
    assert_eq!(
        (&none["status"], none["serverid"].as_str().unwrap().len()),
        (&"notfound".into(), 32)
    );
    assert_eq!(get(&mut sim, "/nodes/pve1/netstat"), json!([]));
}

#[test]
fn a_cluster_tells_how_to_join_it_and_a_lone_node_does_not() {
    let mut sim = Sim::new(cluster());
    let join = sim
        .root("GET", "/cluster/config/join", &[("node", "pve2")])
        .payload();
    assert_eq!(join["preferred_node"], "pve2");
    assert_eq!(join["nodelist"][1]["pve_addr"], "10.99.0.12");
    assert_eq!(join["totem"], get(&mut sim, "/cluster/config/totem"));
    assert_eq!(get(&mut sim, "/cluster/config/apiversion"), 1);
    assert_eq!(get(&mut sim, "/cluster/config/qdevice"), json!({}));
    assert_eq!(
        get(&mut sim, "/cluster/config")[0],
        json!({"name": "nodes"})
    );
    let unknown = said(&mut sim, "GET", "/cluster/config/join", &[("node", "pve9")]);
    assert_eq!(unknown, (500, "unknown node 'pve9'".into()));
    let mut sim = Sim::new(solo());
    let text = "node is not in a cluster, no join info available!";
    assert_eq!(
        said(&mut sim, "GET", "/cluster/config/join", &[]),
        (424, text.into())
    );
}

#[test]
fn the_log_tells_of_tasks_to_whom_may_read_it() {
    let mut sim = Sim::new(cluster());
    sim.create("pve2", 100, &[]);
    let rows = get(&mut sim, "/cluster/log");
    let text = |at: usize| rows[at]["msg"].as_str().unwrap().to_owned();
    assert!(
        text(0).starts_with("end task UPID:pve2:") && text(0).ends_with(": OK"),
        "{}",
        text(0)
    );
    assert!(
        text(1).starts_with("starting task UPID:pve2:"),
        "{}",
        text(1)
    );
    assert_eq!(rows[0]["id"], format!("{}:pve2", rows[0]["uid"]));
    let one = sim.root("GET", "/cluster/log", &[("max", "1")]).payload();
    assert_eq!(one.as_array().unwrap().len(), 1);
    let foreign = Request::new("GET", "/cluster/log").by("limited@pve!t1");
    assert_eq!(sim.call(foreign).payload(), json!([]));
}

#[test]
fn units_are_ordered_about_and_names_are_looked_up_elsewhere() {
    let mut sim = Sim::new(cluster());
    let order = |sim: &mut Sim, service: &str, command: &str| {
        sim.task(
            "POST",
            &format!("/nodes/pve1/services/{service}/{command}"),
            &[],
        )
    };
    let state = |sim: &mut Sim, service: &str| {
        get(sim, &format!("/nodes/pve1/services/{service}/state"))["state"].clone()
    };
    for service in ["pvestatd", "cron"] {
        assert_eq!(order(&mut sim, service, "stop"), "OK");
        assert_eq!(order(&mut sim, service, "reload"), "OK");
        assert_eq!(state(&mut sim, service), "dead", "{service}");
        assert_eq!(order(&mut sim, service, "restart"), "OK");
        assert_eq!(state(&mut sim, service), "running", "{service}");
    }
    let text = "invalid service cmd 'pveproxy stop': refusing to stop essential service!";
    assert_eq!(order(&mut sim, "pveproxy", "stop"), text);
    let text = "command 'systemctl start syslog' failed: exit code 5";
    assert_eq!(order(&mut sim, "syslog", "start"), text);
    let form = [
        ("search", "lab"),
        ("dns1", "10.0.0.1"),
        ("dns2", "10.0.0.1"),
        ("dns3", "10.0.0.2"),
    ];
    assert_eq!(said(&mut sim, "PUT", "/nodes/pve1/dns", &form), DONE);
    let expected = json!({"search": "lab", "dns1": "10.0.0.1", "dns2": "10.0.0.2"});
    assert_eq!(get(&mut sim, "/nodes/pve1/dns"), expected);
    assert_eq!(
        get(&mut sim, "/nodes/pve2/dns"),
        json!({"dns1": "127.0.0.1"})
    );
}
