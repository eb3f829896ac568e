//! Servers that usage is sent to.

use super::{get, said};
use crate::support::seed::cluster;
use crate::support::sim::Sim;
use serde_json::json;

const ONE: &str = "/cluster/metrics/server/one";
const DONE: (u16, String) = (200, String::new());

fn refused(text: &str) -> (u16, String) {
    (500, text.into())
}

#[test]
fn a_server_is_made_changed_and_removed() {
    let mut sim = Sim::new(cluster());
    let form = [
        ("type", "influxdb"),
        ("server", "10.99.0.50"),
        ("port", "8089"),
        ("token", "hidden"),
    ];
    assert_eq!(said(&mut sim, "POST", ONE, &form), DONE);
    assert_eq!(
        said(&mut sim, "POST", ONE, &form),
        refused("Metric server 'one' already exists")
    );
    let keys = json!({"type": "influxdb", "server": "10.99.0.50", "port": 8089});
    assert_eq!(get(&mut sim, ONE), keys);
    let base = ("server", "10.99.0.50");
    let change = [base, ("port", "8090"), ("mtu", "9000"), ("disable", "1")];
    assert_eq!(said(&mut sim, "PUT", ONE, &change), DONE);
    let row = json!([{"id": "one", "type": "influxdb", "server": "10.99.0.50", "port": 8090, "disable": 1}]);
    assert_eq!(get(&mut sim, "/cluster/metrics/server"), row);
    let port = ("port", "8090");
    assert_eq!(
        said(&mut sim, "PUT", ONE, &[base, port, ("delete", "mtu")]),
        DONE
    );
    let text = "unable to delete required option 'port'";
    assert_eq!(
        said(&mut sim, "PUT", ONE, &[base, port, ("delete", "port")]),
        refused(text)
    );
    assert_eq!(said(&mut sim, "DELETE", ONE, &[]), DONE);
    let gone = "cannot lookup undefined type! at /usr/share/perl5/PVE/API2/Cluster/MetricServer.pm line 295.";
    assert_eq!(said(&mut sim, "DELETE", ONE, &[]), refused(gone));
    assert_eq!(
        said(&mut sim, "GET", ONE, &[]),
        refused("status server entry 'one' does not exist")
    );
    assert_eq!(
        said(&mut sim, "PUT", ONE, &[base, port]),
        refused("no such server 'one'")
    );
    assert!(
        !serde_json::to_string(&sim.world)
            .unwrap()
            .contains("hidden")
    );
}

#[test]
fn what_cannot_be_reached_is_not_kept_unless_it_is_switched_off() {
    let mut sim = Sim::new(cluster());
    let named = [
        ("type", "graphite"),
        ("server", "stats.lab"),
        ("port", "2003"),
    ];
    let text =
        "couldn't create carbon socket [stats.lab]:2003 - Temporary failure in name resolution";
    assert_eq!(said(&mut sim, "POST", ONE, &named), refused(text));
    let mut off = named.to_vec();
    off.push(("disable", "1"));
    assert_eq!(said(&mut sim, "POST", ONE, &off), DONE);
    let odd = [
        ("type", "graphite"),
        ("server", "10.0.0.1"),
        ("port", "1"),
        ("bucket", "b"),
    ];
    let path = "/cluster/metrics/server/two";
    assert_eq!(
        said(&mut sim, "POST", path, &odd),
        refused("unexpected property 'bucket'")
    );
    let telemetry = [
        ("type", "opentelemetry"),
        ("server", "10.0.0.1"),
        ("port", "4318"),
        ("disable", "1"),
    ];
    let text = "Connection test failed: 500 Can't connect to 10.0.0.1:4318 (Connection refused)";
    assert_eq!(said(&mut sim, "POST", path, &telemetry), refused(text));
}

#[test]
fn realms_are_told_as_they_are_without_a_file() {
    let mut sim = Sim::new(cluster());
    assert_eq!(
        get(&mut sim, "/access/domains/pam")["plugin"],
        "PVE::Auth::PAM"
    );
    assert_eq!(get(&mut sim, "/access/domains/pve")["type"], "pve");
    let text = "domain 'ldap' does not exist";
    assert_eq!(
        said(&mut sim, "GET", "/access/domains/ldap", &[]),
        refused(text)
    );
}
