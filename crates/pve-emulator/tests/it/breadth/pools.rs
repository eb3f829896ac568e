//! Pools: their names, members, and who may change them.

use serde_json::json;

use super::{by, get, said};
use crate::support::seed::{cluster, token};
use crate::support::sim::Sim;
use proximity_pve_emulator::core::Access;

const DONE: (u16, String) = (200, String::new());

fn refused(text: &str) -> (u16, String) {
    (500, text.into())
}

#[test]
fn a_nested_pool_needs_its_parent_and_every_name_begins_with_a_letter() {
    let mut sim = Sim::new(cluster());
    let mut make = |name: &str| {
        said(
            &mut sim,
            "POST",
            "/pools",
            &[("poolid", name), ("comment", "0")],
        )
    };
    let text = "create pool failed: parent 'a' of pool 'a/b' does not exist";
    assert_eq!(make("a/b"), refused(text));
    let letter = "create pool failed: pool name must start with a letter";
    assert_eq!(make("1a"), refused(letter));
    for name in ["a", "a/b", "a/b/c"] {
        assert_eq!(make(name), DONE, "{name}");
    }
    assert_eq!(make("a/1"), refused(letter));
    for (name, why) in [
        (
            "a/b/c/d",
            "pool name 'a/b/c/d' nested too deeply (max levels = 3)",
        ),
        ("a/b/", "pool name 'a/b/' contains invalid characters"),
    ] {
        let text = format!("Parameter verification failed.|poolid: invalid format - {why}\n");
        assert_eq!(make(name), (400, text));
    }
    let shown = sim.root("GET", "/pools", &[("poolid", "a/b")]).payload();
    assert_eq!(shown, json!([{"poolid": "a/b", "members": []}]));
    for (name, inner) in [("a", "a/b"), ("a/b", "a/b/c")] {
        let text =
            format!("delete pool failed: pool '{name}' is not empty (contains pool '{inner}')");
        assert_eq!(
            said(&mut sim, "DELETE", "/pools", &[("poolid", name)]),
            refused(&text)
        );
    }
}

#[test]
fn with_a_pool_goes_what_was_granted_on_it() {
    let mut sim = Sim::new(cluster());
    for name in ["a", "a/b"] {
        assert_eq!(said(&mut sim, "POST", "/pools", &[("poolid", name)]), DONE);
        let path = format!("/pool/{name}");
        let grant = [
            ("path", path.as_str()),
            ("roles", "PVEPoolUser"),
            ("users", "limited@pve"),
        ];
        assert_eq!(said(&mut sim, "PUT", "/access/acl", &grant), DONE);
    }
    let paths = |sim: &mut Sim| {
        let rows = get(sim, "/access/acl");
        let rows = rows.as_array().unwrap().iter();
        let rows = rows.map(|row| row["path"].as_str().unwrap().to_owned());
        rows.filter(|path| path.starts_with("/pool"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        said(&mut sim, "DELETE", "/pools", &[("poolid", "a/b")]),
        DONE
    );
    // Those of a nested one stay: they are looked for under its whole name.
    assert_eq!(paths(&mut sim), ["/pool/a", "/pool/a/b"]);
    assert_eq!(said(&mut sim, "DELETE", "/pools", &[("poolid", "a")]), DONE);
    assert_eq!(paths(&mut sim), [""; 0]);
}

#[test]
fn members_need_rights_on_themselves_and_on_the_pool_they_leave() {
    let mut seed = cluster();
    seed.tokens.push(token("keeper@pve!t1", Access::Empty));
    let mut sim = Sim::new(seed);
    sim.create("pve1", 100, &[]);
    sim.create("pve1", 101, &[("pool", "apps")]);
    assert_eq!(said(&mut sim, "POST", "/pools", &[("poolid", "own")]), DONE);
    let mut grant = |path: &str, role: &str| {
        for holder in ["users", "tokens"] {
            let id = if holder == "users" {
                "keeper@pve"
            } else {
                "keeper@pve!t1"
            };
            let form = [("path", path), ("roles", role), (holder, id)];
            assert_eq!(said(&mut sim, "PUT", "/access/acl", &form), DONE);
        }
    };
    grant("/pool/own", "PVEPoolAdmin");
    grant("/vms/101", "PVEVMAdmin");
    let put = |sim: &mut Sim, form: &[(&str, &str)]| {
        let mut all = vec![("poolid", "own")];
        all.extend_from_slice(form);
        by(sim, "keeper@pve!t1", "PUT", "/pools", &all)
    };
    let text = "update pools failed: 403 Permission check failed (/vms/100, Permissions.Modify|VM.Allocate)";
    assert_eq!(
        put(&mut sim, &[("vms", "101,100"), ("allow-move", "1")]),
        refused("update pools failed: 403 Permission check failed (/pool/apps, Pool.Allocate)")
    );
    assert_eq!(put(&mut sim, &[("vms", "100")]), refused(text));
    let text = "update pools failed: 403 Permission check failed (/storage/shared, Permissions.Modify|Datastore.Allocate)";
    assert_eq!(put(&mut sim, &[("storage", "shared")]), refused(text));
    let pool = |sim: &mut Sim, name: &str| get(sim, &format!("/pools/{name}"))["members"].clone();
    assert_eq!(pool(&mut sim, "own"), json!([]), "nothing of it was done");
    assert_eq!(
        said(
            &mut sim,
            "PUT",
            "/pools",
            &[("poolid", "own"), ("vms", "101"), ("allow-move", "1")]
        ),
        DONE
    );
    assert_eq!(pool(&mut sim, "own")[0]["vmid"], 101);
    assert_eq!(put(&mut sim, &[("vms", "101"), ("delete", "1")]), DONE);
    assert_eq!(pool(&mut sim, "own"), json!([]));
    let shown = by(
        &mut sim,
        "limited@pve!t1",
        "GET",
        "/pools",
        &[("poolid", "apps")],
    );
    assert_eq!(shown.0, 200, "a named pool is shown to everybody");
}

#[test]
fn a_storage_of_a_pool_has_one_row_and_one_that_is_gone_keeps_no_pool() {
    let mut sim = Sim::new(cluster());
    let form = [("poolid", "apps"), ("storage", "btr,shared")];
    assert_eq!(said(&mut sim, "PUT", "/pools", &form), DONE);
    let ids = |sim: &mut Sim, via: &str| {
        let request = crate::support::sim::Request::new("GET", "/pools/apps").via(via);
        let rows = sim.call(request).payload()["members"].clone();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let expected = [
        "storage/pve1/btr",
        "storage/pve2/local",
        "storage/pve2/shared",
    ];
    assert_eq!(ids(&mut sim, "pve2"), expected);
    let text = "delete pool failed: pool 'apps' is not empty (contains storage 'btr')";
    assert_eq!(said(&mut sim, "DELETE", "/pools/apps", &[]), refused(text));
}
