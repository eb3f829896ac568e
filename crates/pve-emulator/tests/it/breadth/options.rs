//! Options of the datacenter, and logins of new containers.

use super::{get, said};
use crate::support::seed::{ALPINE, cluster, solo};
use crate::support::sim::Sim;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8RLJ9B0iGqUYE9tYJ6Kk0e4aH8jmXxXQ0Zy2J0Yt5d a@b";

#[test]
fn tags_addresses_and_words_follow_the_options() {
    let mut sim = Sim::new(cluster());
    let set = [
        ("tag-style", "case-sensitive=1,ordering=config"),
        ("mac_prefix", "AA:BB"),
        ("registered-tags", "prod"),
        ("keyboard", "de"),
        ("description", "ours"),
    ];
    assert_eq!(said(&mut sim, "PUT", "/cluster/options", &set).0, 200);
    let options = get(&mut sim, "/cluster/options");
    assert_eq!(
        options["tag-style"],
        serde_json::json!({"case-sensitive": 1, "ordering": "config"})
    );
    assert_eq!(
        (&options["keyboard"], &options["description"]),
        (&"de".into(), &"ours\n".into())
    );
    assert_eq!(options["allowed-tags"], serde_json::json!(["prod"]));
    sim.create(
        "pve1",
        100,
        &[("tags", "b;A;b"), ("net0", "name=eth0,bridge=vmbr0")],
    );
    sim.kill_and_restart();
    sim.create("pve1", 101, &[("net0", "name=eth0,bridge=vmbr0")]);
    for vmid in [100, 101] {
        let config = get(&mut sim, &format!("/nodes/pve1/lxc/{vmid}/config"));
        assert!(
            config["net0"].as_str().unwrap().contains("hwaddr=AA:BB:"),
            "{config}"
        );
    }
    assert_eq!(get(&mut sim, "/nodes/pve1/lxc/100/config")["tags"], "b;A");
    assert_eq!(
        said(
            &mut sim,
            "PUT",
            "/cluster/options",
            &[("delete", "tag-style,mac_prefix")]
        )
        .0,
        200
    );
    assert_eq!(get(&mut sim, "/cluster/options")["mac_prefix"], "BC:24:11");
}

#[test]
fn who_logs_in_is_handed_to_the_new_container_and_checked_before() {
    let mut sim = Sim::new(solo());
    let form = [
        ("vmid", "100"),
        ("ostemplate", ALPINE),
        ("rootfs", "local:1"),
        ("ssh-public-keys", "no key"),
    ];
    assert_eq!(
        said(&mut sim, "POST", "/nodes/solo/lxc", &form),
        (500, "SSH public key validation error".into())
    );
    sim.create(
        "solo",
        101,
        &[("password", "secret"), ("ssh-public-keys", KEY)],
    );
    let machine = sim.machines.machines.values().next().unwrap();
    let login = machine.spec.login.clone().unwrap();
    assert_eq!(login.ssh_keys.as_deref(), Some(KEY));
    assert!(login.password_hash.unwrap().starts_with("$6$"));
    let config = get(&mut sim, "/nodes/solo/lxc/101/config");
    assert!(config.get("password").is_none() && config.get("ssh-public-keys").is_none());
    let journal = serde_json::to_string(&sim.world).unwrap();
    assert!(!journal.contains("secret\""), "passwords are not kept");
}

#[test]
fn a_schedule_tells_its_next_moments() {
    let mut sim = Sim::new(solo());
    let form = [
        ("schedule", "02:30"),
        ("starttime", "1795170000"),
        ("iterations", "2"),
    ];
    let path = "/cluster/jobs/schedule-analyze";
    let rows = sim.root("GET", path, &form).payload();
    let expected = serde_json::json!([
        {"timestamp": 1_795_228_200, "utc": "Sat Nov 21 02:30:00 2026"},
        {"timestamp": 1_795_314_600, "utc": "Sun Nov 22 02:30:00 2026"},
    ]);
    assert_eq!(rows, expected);
    let rows = sim.root("GET", path, &form[..2]).payload();
    assert_eq!(rows.as_array().unwrap().len(), 10);
    for path in [
        "/cluster/jobs/realm-sync",
        "/cluster/mapping/dir",
        "/cluster/sdn/zones",
    ] {
        assert_eq!(get(&mut sim, path), serde_json::json!([]), "{path}");
    }
    assert_eq!(get(&mut sim, "/cluster/jobs")[1]["subdir"], "realm-sync");
    assert_eq!(get(&mut sim, "/cluster/mapping")[0]["name"], "dir");
}
