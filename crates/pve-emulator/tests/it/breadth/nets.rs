//! Network devices and the bridges of their node.

use serde_json::{Value, json};

use super::{get, said};
use crate::support::seed::{ALPINE, solo};
use crate::support::sim::Sim;

const CONFIG: &str = "/nodes/solo/lxc/100/config";
const START: &str = "/nodes/solo/lxc/100/status/start";
const NO_SUCH: &str = "bridge 'nosuch' does not exist";

/// A container at a bridge that is there; with its device as it is stored.
fn running() -> (Sim, String) {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[("net0", "name=eth0,bridge=vmbr0,ip=dhcp")]);
    sim.start("solo", 100);
    let net = get(&mut sim, CONFIG)["net0"].as_str().unwrap().to_owned();
    (sim, net)
}

/// What a change of a running container's devices says, and the device as it is in force afterwards.
fn changed(sim: &mut Sim, key: &str, value: &str) -> ((u16, String), Option<Value>) {
    let answer = sim.root("PUT", CONFIG, &[(key, value)]);
    let error = answer.body()["errors"][key].as_str().map(str::to_owned);
    let text = error.unwrap_or_else(|| answer.message().trim_end().to_owned());
    let rows = get(sim, "/nodes/solo/lxc/100/pending");
    let mut rows = rows.as_array().unwrap().iter();
    let row = rows.find(|row| row["key"] == key);
    let value = row.and_then(|row| row.get("value").cloned());
    ((answer.status(), text), value)
}

#[test]
fn a_container_at_a_bridge_that_is_not_there_is_made_and_does_not_start() {
    let mut sim = Sim::new(solo());
    let down = "name=eth0,bridge=nosuch,link_down=1";
    sim.create("solo", 100, &[("net0", down)]);
    assert_eq!(sim.task("POST", START, &[]), NO_SUCH);
    // The file is written, the one of the runtime cannot be.
    let form = [("hostname", "web")];
    assert_eq!(said(&mut sim, "PUT", CONFIG, &form), (500, NO_SUCH.into()));
    assert_eq!(get(&mut sim, CONFIG)["hostname"], "web");
    let none = [("net0", "name=eth0")];
    let text = "bridge '' does not exist";
    assert_eq!(said(&mut sim, "PUT", CONFIG, &none), (500, text.into()));
    assert_eq!(sim.task("POST", START, &[]), text);
    let form = [("net0", "name=eth0,bridge=vmbr0")];
    assert_eq!(said(&mut sim, "PUT", CONFIG, &form).0, 200);
    assert_eq!(sim.task("POST", START, &[]), "OK");
}

#[test]
fn frames_are_measured_by_a_bridge_that_is_there() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    for (net, text) in [
        ("name=eth0,bridge=nosuch,mtu=1400", NO_SUCH),
        ("name=eth0,mtu=1400", "bridge '' does not exist"),
    ] {
        let form = [("net0", net)];
        let refused = (500, text.to_owned());
        assert_eq!(said(&mut sim, "PUT", CONFIG, &form), refused);
        assert_eq!(get(&mut sim, CONFIG).get("net0"), None);
        let form = [("vmid", "101"), ("ostemplate", ALPINE), ("net0", net)];
        assert_eq!(said(&mut sim, "POST", "/nodes/solo/lxc", &form), refused);
    }
    let form = [("net0", "name=eth0,bridge=vmbr0,mtu=1400")];
    assert_eq!(said(&mut sim, "PUT", CONFIG, &form).0, 200);
}

#[test]
fn a_new_device_of_a_running_container_needs_its_bridge() {
    let (mut sim, _) = running();
    for (net, text) in [
        ("name=eth1,bridge=nosuch", NO_SUCH),
        ("name=eth1", "unable to get bridge setting"),
    ] {
        let text = format!("unable to hotplug net1: {text}\n");
        assert_eq!(changed(&mut sim, "net1", net), ((400, text), None));
    }
}

#[test]
fn a_device_that_is_moved_to_a_bridge_that_is_not_there_stays_where_it_was() {
    let (mut sim, net) = running();
    let kept = Some(json!(net));
    let moved = net.replace("vmbr0", "nosuch");
    let text = "unable to hotplug net0: bridge 'nosuch' is neither a linux nor an OVS bridge!\n\n";
    assert_eq!(
        changed(&mut sim, "net0", &moved),
        ((400, text.into()), kept)
    );
    // One that is down is plugged nowhere; then the file of the runtime fails.
    let down = format!("{moved},link_down=1");
    let (refused, now) = changed(&mut sim, "net0", &down);
    assert_eq!(refused, (500, NO_SUCH.into()));
    assert!(now.unwrap().as_str().unwrap().contains("bridge=nosuch"));
}

#[test]
fn a_device_of_another_name_leaves_before_its_bridge_is_missed() {
    let (mut sim, net) = running();
    let renamed = net.replace("vmbr0", "nosuch").replace("eth0", "eth7");
    let text = format!("unable to hotplug net0: {NO_SUCH}\n");
    let left = (400, text);
    assert_eq!(changed(&mut sim, "net0", &renamed), (left, None));
    assert_eq!(
        get(&mut sim, CONFIG)["net0"],
        renamed,
        "it waits for a start"
    );
}

#[test]
fn a_device_that_the_runtime_refuses_is_told_by_its_name() {
    let (mut sim, net) = running();
    sim.machines.fail.insert("change", "no".into());
    let tagged = format!("{net},tag=7");
    let text = "unable to hotplug net0: no\n";
    let kept = Some(json!(net));
    assert_eq!(
        changed(&mut sim, "net0", &tagged),
        ((400, text.into()), kept)
    );
}
