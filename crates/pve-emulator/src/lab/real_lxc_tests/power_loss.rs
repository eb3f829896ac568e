//! Nodes that lose their power, with real containers on them.

use serde_json::{Value, json};

use super::support::{Lab, block_on, in_private_namespace};
use crate::core::guest::GuestKey;
use crate::lab::ask_control;
use crate::lab::identity::Identity;
use crate::lxc::Place;

/// The place of a lab's guests.
fn place(lab: &Lab) -> Place {
    let identity = Identity::read(&lab.state).unwrap().expect("an identity");
    Place::new(identity.id, identity.scope)
}

fn running(place: &Place) -> Vec<(String, u32)> {
    let key = |guest: GuestKey| (guest.node, guest.vmid);
    place.running().into_iter().map(key).collect()
}

fn control(lab: &Lab, method: &str, path: &str, body: &Value) -> Value {
    let asked = block_on(ask_control(&lab.state, method, path, body.to_string()));
    let (status, answer) = asked.unwrap();
    assert_eq!(status, 200, "{method} {path}: {answer}");
    serde_json::from_str(&answer).unwrap()
}

/// Waits until these guests have processes, and no others.
fn until_running(lab: &Lab, wanted: &[(&str, u32)]) {
    let wanted: Vec<(String, u32)> = wanted
        .iter()
        .map(|(node, vmid)| ((*node).to_owned(), *vmid))
        .collect();
    let place = place(lab);
    lab.until(&format!("{wanted:?} alone to run"), || {
        // The question paces the loop.
        lab.api("GET", "/version", &[]);
        (running(&place) == wanted).then_some(())
    });
}

#[test]
fn a_node_without_power_takes_its_containers_with_it_and_keeps_their_disks() {
    let name =
        "power_loss::a_node_without_power_takes_its_containers_with_it_and_keeps_their_disks";
    in_private_namespace(name, |directory| {
        let lab = Lab::start(directory, &["--nodes", "pve1,pve2,pve3"]);
        lab.allow_ssh();
        lab.boot("100");
        assert_eq!(lab.create_on("pve2", "200", &[]), "OK");
        let start = "/nodes/pve2/lxc/200/status/start";
        assert_eq!(lab.task("POST", start, &[]), "OK");
        let written = lab.ssh_on(
            1,
            "pct exec 200 -- sh -c 'echo kept > /srv/mark && sync'",
            b"",
        );
        assert!(written.status.success(), "{written:?}");
        until_running(&lab, &[("pve1", 100), ("pve2", 200)]);

        control(
            &lab,
            "POST",
            "/nodes/pve2",
            &json!({"powered": false, "reach": "refused"}),
        );
        until_running(&lab, &[("pve1", 100)]);
        assert_eq!(lab.ssh_text("pct exec 100 -- hostname"), "web\n");
        let (status, _) = lab.answer("GET", "/nodes/pve2/lxc/200/status/current");
        assert_eq!(status, 595, "nobody answers for it");

        control(&lab, "POST", "/nodes/pve2", &json!({"powered": true}));
        let found = lab.api("GET", "/nodes/pve2/lxc/200/status/current", &[]);
        assert_eq!(
            found["status"], "stopped",
            "its power is back, and it has not been started"
        );
        assert_eq!(lab.task("POST", start, &[]), "OK");
        let read = lab.ssh_on(1, "pct exec 200 -- cat /srv/mark", b"");
        assert_eq!(String::from_utf8_lossy(&read.stdout), "kept\n", "{read:?}");
        assert!(lab.terminate().success());
    });
}

#[test]
fn after_a_power_cut_of_everything_containers_are_stopped_and_whole() {
    let name = "power_loss::after_a_power_cut_of_everything_containers_are_stopped_and_whole";
    in_private_namespace(name, |directory| {
        let lab = Lab::start(directory, &[]);
        lab.allow_ssh();
        let address = lab.boot("100");
        lab.ssh_text("pct exec 100 -- sh -c 'echo kept > /srv/mark && sync'");
        let place = place(&lab);
        lab.kill();
        for guest in place.running() {
            block_on(crate::lxc::kill(&place, &guest)).unwrap();
        }
        assert_eq!(running(&place), []);

        let lab = Lab::start(directory, &[]);
        let found = lab.api("GET", "/nodes/pve1/lxc/100/status/current", &[]);
        assert_eq!(found["status"], "stopped");
        let start = "/nodes/pve1/lxc/100/status/start";
        assert_eq!(lab.task("POST", start, &[]), "OK");
        assert_eq!(lab.address("100"), address);
        lab.trust_host_keys();
        assert_eq!(lab.ssh_text("pct exec 100 -- cat /srv/mark"), "kept\n");
        assert!(lab.terminate().success());
    });
}
