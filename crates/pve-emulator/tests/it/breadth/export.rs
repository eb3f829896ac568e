//! The export of usage for monitoring systems.

use super::said;
use crate::support::seed::{cluster, solo};
use crate::support::sim::{Request, Sim};
use serde_json::Value;

fn rows(sim: &mut Sim, form: &[(&str, &str)]) -> Vec<Value> {
    let answer = sim.root("GET", "/cluster/metrics/export", form);
    assert_eq!(answer.status(), 200, "{}", answer.message());
    answer.payload()["data"].as_array().unwrap().clone()
}

fn metrics(rows: &[Value], id: &str) -> Vec<String> {
    let of = rows.iter().filter(|row| row["id"] == id);
    of.map(|row| row["metric"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_stopped_guest_has_less_to_tell() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim.pass(11_000);
    let expected = ["uptime", "cpu_max", "mem_total", "disk_total"];
    assert_eq!(metrics(&rows(&mut sim, &[]), "lxc/100"), expected);
    sim.start("pve1", 100);
    sim.pass(11_000);
    let told = metrics(&rows(&mut sim, &[]), "lxc/100");
    assert_eq!(told.len(), 11, "{told:?}");
}

#[test]
fn nodes_are_chosen_and_unknown_ones_refused() {
    let mut sim = Sim::new(cluster());
    let nodes = |rows: &[Value]| {
        let rows = rows.iter().filter(|row| row["metric"] == "cpu_max");
        rows.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(nodes(&rows(&mut sim, &[])).len(), 3);
    assert_eq!(
        nodes(&rows(&mut sim, &[("local-only", "1")])),
        ["node/pve1"]
    );
    let list = [("node-list", "pve2,pve3"), ("local-only", "1")];
    assert_eq!(
        nodes(&rows(&mut sim, &list)),
        ["node/pve2", "node/pve3"],
        "a list goes before"
    );
    let path = "/cluster/metrics/export";
    let text = "Requested node-list contains unknown nodes - a, b";
    let list = [("node-list", "pve1,a,b")];
    assert_eq!(said(&mut sim, "GET", path, &list), (500, text.into()));
    let mut sim = Sim::new(solo());
    let text = "Requested node-list contains unknown nodes - solo";
    let list = [("node-list", "solo")];
    assert_eq!(
        said(&mut sim, "GET", path, &list),
        (500, text.into()),
        "alone it has no members"
    );
}

#[test]
fn older_values_are_kept_for_half_an_hour_and_told_from_a_moment_on() {
    let mut sim = Sim::new(cluster());
    sim.pass(11_000);
    let moments = |rows: &[Value]| {
        let of_node = rows.iter();
        let of_node = of_node.filter(|row| row["id"] == "node/pve1" && row["metric"] == "uptime");
        of_node
            .map(|row| row["timestamp"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let newest = moments(&rows(&mut sim, &[]));
    assert_eq!(newest.len(), 1);
    let all = moments(&rows(&mut sim, &[("history", "1")]));
    assert_eq!((all.len(), all.last()), (181, newest.last()));
    assert!(all.is_sorted());
    let since = (newest[0] - 20).to_string();
    let some = [("history", "1"), ("start-time", since.as_str())];
    assert_eq!(moments(&rows(&mut sim, &some)), [newest[0] - 10, newest[0]]);
    let later = [("start-time", newest[0].to_string())];
    let later = [("start-time", later[0].1.as_str())];
    assert_eq!(rows(&mut sim, &later).len(), 0, "only what came after it");
    let foreign = Request::new("GET", "/cluster/metrics/export").by("limited@pve!t1");
    assert_eq!(sim.call(foreign).status(), 403);
}
