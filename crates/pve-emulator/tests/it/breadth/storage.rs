//! The list of storages, and what a node says of them.

use super::{by, get, said};
use crate::support::seed::cluster;
use crate::support::sim::Sim;

#[test]
fn a_storage_is_added_changed_switched_off_and_removed() {
    let mut sim = Sim::new(cluster());
    let form = [
        ("storage", "fast"),
        ("type", "dir"),
        ("path", "/mnt//fast/"),
        ("content", "rootdir,vztmpl"),
    ];
    let made = sim.root("POST", "/storage", &form);
    assert_eq!(
        made.payload(),
        serde_json::json!({"storage": "fast", "type": "dir"})
    );
    assert_eq!(
        said(&mut sim, "POST", "/storage", &form),
        (
            500,
            "create storage failed: storage ID 'fast' already defined".into()
        )
    );
    let fast = get(&mut sim, "/storage/fast");
    assert_eq!(
        (&fast["path"], &fast["content"]),
        (&"/mnt/fast".into(), &"rootdir,vztmpl".into())
    );
    sim.create("pve1", 100, &[("rootfs", "fast:1")]);

    let change = [
        ("nodes", "pve1,pve2"),
        ("prune-backups", "keep-last=2"),
        ("disable", "1"),
    ];
    assert_eq!(said(&mut sim, "PUT", "/storage/fast", &change).0, 200);
    let fast = get(&mut sim, "/storage/fast");
    assert_eq!(
        (&fast["disable"], &fast["nodes"]),
        (&1.into(), &"pve1,pve2".into())
    );
    let content = "/nodes/pve1/storage/fast/content";
    assert_eq!(
        said(&mut sim, "GET", content, &[]),
        (500, "storage 'fast' is disabled".into())
    );
    assert_eq!(
        said(&mut sim, "PUT", "/storage/fast", &[("delete", "disable")]).0,
        200
    );
    assert_eq!(said(&mut sim, "GET", content, &[]).0, 200);
    let pool = said(&mut sim, "PUT", "/storage/fast", &[("sparse", "1")]);
    let text = "update storage failed: unexpected property 'sparse'";
    assert_eq!(pool, (500, text.into()));
    assert_eq!(said(&mut sim, "DELETE", "/storage/fast", &[]).0, 200);
    assert_eq!(
        said(&mut sim, "DELETE", "/storage/fast", &[]),
        (
            500,
            "delete storage failed: storage 'fast' does not exist".into()
        )
    );
}

#[test]
fn what_cannot_be_a_storage_is_refused() {
    let mut sim = Sim::new(cluster());
    let post = |sim: &mut Sim, more: &[(&str, &str)]| {
        let form = [&[("storage", "new"), ("type", "dir")], more].concat();
        said(sim, "POST", "/storage", &form).1
    };
    assert_eq!(
        post(&mut sim, &[]),
        "missing value for required option 'path'"
    );
    assert_eq!(
        post(&mut sim, &[("path", "/a b")]),
        "illegal path for directory storage: /a b"
    );
    assert_eq!(
        post(&mut sim, &[("path", "/a"), ("pool", "x")]),
        "unexpected property 'pool'"
    );
    assert_eq!(
        post(&mut sim, &[("path", "/mnt/no"), ("is_mountpoint", "yes")]),
        "create storage failed: unable to activate storage 'new' - directory is expected to be a mount point but is not mounted: '/mnt/no'"
    );
    assert_eq!(
        by(&mut sim, "limited@pve!t1", "GET", "/storage/local", &[]),
        (
            403,
            "Permission check failed (/storage/local, Datastore.Allocate)".into()
        )
    );
}

#[test]
fn a_node_lists_storages_of_others_as_empty_and_says_of_unknown_ones_so() {
    let mut sim = Sim::new(cluster());
    let rows = get(&mut sim, "/nodes/pve2/storage");
    let find = |id: &str| {
        rows.as_array()
            .unwrap()
            .iter()
            .find(|row| row["storage"] == id)
            .unwrap()
            .clone()
    };
    let elsewhere = find("btr");
    assert_eq!(
        (
            &elsewhere["enabled"],
            &elsewhere["active"],
            &elsewhere["total"]
        ),
        (&0.into(), &0.into(), &0.into())
    );
    assert!(elsewhere.get("used_fraction").is_none() && find("local")["active"] == 1);
    let unknown = (
        400,
        "Parameter verification failed.|storage: No such storage.".to_owned(),
    );
    assert_eq!(
        said(&mut sim, "GET", "/nodes/pve1/storage/nosuch/status", &[]),
        unknown
    );
    assert_eq!(
        said(
            &mut sim,
            "GET",
            "/nodes/pve1/storage",
            &[("storage", "nosuch")]
        ),
        unknown
    );
    let shared = sim
        .root(
            "GET",
            "/nodes/pve1/storage",
            &[("target", "pve2"), ("format", "1")],
        )
        .payload();
    assert_eq!(shared.as_array().unwrap().len(), 1);
    assert_eq!(shared[0]["formats"]["default"], "raw");
}
