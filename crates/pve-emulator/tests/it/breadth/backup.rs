//! Jobs of backups, and limits of single ones.

use super::{by, get, said};
use crate::support::seed::{cluster, solo};
use crate::support::sim::Sim;

const JOBS: &str = "/cluster/backup";

#[test]
fn a_job_is_kept_as_it_was_given_and_says_when_it_runs_next() {
    let mut sim = Sim::new(solo());
    sim.create(
        "solo",
        100,
        &[
            ("mp0", "local:1,mp=/data"),
            ("mp1", "local:1,mp=/more,backup=1"),
        ],
    );
    let form = [
        ("id", "nightly"),
        ("schedule", "02:30"),
        ("vmid", "100,999"),
        ("storage", "local"),
    ];
    assert_eq!(said(&mut sim, "POST", JOBS, &form).0, 200);
    assert_eq!(
        said(&mut sim, "POST", JOBS, &form),
        (500, "Job 'nightly' already exists".into())
    );
    let job = get(&mut sim, "/cluster/backup/nightly");
    assert_eq!(
        job,
        serde_json::json!({
            "id": "nightly", "type": "vzdump", "enabled": 1, "schedule": "02:30", "vmid": "100,999", "storage": "local",
        })
    );
    let listed = get(&mut sim, JOBS);
    let next = listed[0]["next-run"].as_u64().unwrap();
    assert!(next > sim.now_ms / 1000 && next % 86_400 == 9_000, "{next}");

    let tree = get(&mut sim, "/cluster/backup/nightly/included_volumes");
    let guest = &tree["children"][0];
    let volumes: Vec<_> = guest["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["id"].as_str().unwrap(),
                row["included"].as_u64().unwrap(),
                row["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        volumes,
        [
            ("100:rootfs", 1, "rootfs"),
            ("100:mp0", 0, "disabled"),
            ("100:mp1", 1, "enabled")
        ]
    );
    assert_eq!(
        tree["children"][1],
        serde_json::json!({"id": 999, "type": "unknown", "leaf": 1})
    );

    assert_eq!(
        said(
            &mut sim,
            "PUT",
            "/cluster/backup/nightly",
            &[("all", "1"), ("exclude", "101")]
        )
        .0,
        200
    );
    let job = get(&mut sim, "/cluster/backup/nightly");
    assert!(job.get("vmid").is_none() && job["all"] == 1, "{job}");
}

#[test]
fn refusals_of_jobs_carry_their_code_where_proxmox_has_it_in_the_text() {
    let mut sim = Sim::new(solo());
    let post = |sim: &mut Sim, form: &[(&str, &str)]| said(sim, "POST", JOBS, form);
    assert_eq!(
        post(&mut sim, &[("schedule", "02:30")]),
        (
            500,
            "400 Parameter verification failed.\nvmid: property is missing".into()
        )
    );
    assert_eq!(
        post(&mut sim, &[("all", "1")]),
        (
            400,
            "Parameter verification failed.|schedule: neither 'starttime' nor 'schedule' were set"
                .into()
        )
    );
    assert_eq!(
        post(
            &mut sim,
            &[("schedule", "02:30"), ("all", "1"), ("vmid", "100")]
        )
        .1,
        "400 Parameter verification failed.\nall: option conflicts with option 'vmid'"
    );
    let path = "/cluster/backup/nosuch";
    assert_eq!(
        said(&mut sim, "PUT", path, &[("enabled", "0")]),
        (500, "no such vzdump job".into())
    );
    assert_eq!(
        said(&mut sim, "PUT", path, &[]),
        (500, "no options specified".into())
    );
    assert_eq!(
        said(&mut sim, "GET", path, &[]),
        (
            400,
            "Parameter verification failed.|id: No such job 'nosuch'".into()
        )
    );
    let old = [
        ("starttime", "03:00"),
        ("dow", "mon,tue"),
        ("all", "1"),
        ("id", "old"),
    ];
    assert_eq!(post(&mut sim, &old).0, 200);
    assert_eq!(
        get(&mut sim, "/cluster/backup/old")["schedule"],
        "mon,tue 03:00"
    );
    assert_eq!(
        said(
            &mut sim,
            "PUT",
            "/cluster/backup/old",
            &[("delete", "nosuch")]
        )
        .1,
        "400 Parameter verification failed.\ndelete: unknown option 'nosuch'"
    );
}

#[test]
fn older_backups_go_or_hold_up_new_ones() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    let mut dump = |more: &[(&str, &str)]| {
        let form = [&[("vmid", "100"), ("storage", "local")], more].concat();
        let exit = sim.task("POST", "/nodes/solo/vzdump", &form);
        sim.pass(2_000);
        let rows = sim.root(
            "GET",
            "/nodes/solo/storage/local/content",
            &[("content", "backup")],
        );
        (exit, rows.payload().as_array().unwrap().len())
    };
    assert_eq!(dump(&[]), ("OK".into(), 1));
    assert_eq!(dump(&[("protected", "1")]), ("OK".into(), 2));
    assert_eq!(
        dump(&[("prune-backups", "keep-last=1")]),
        ("OK".into(), 2),
        "the protected one stays"
    );
    assert_eq!(
        dump(&[("prune-backups", "keep-last=1"), ("remove", "0")]),
        ("job errors".into(), 2)
    );
}

#[test]
fn what_a_backup_may_not_be_given_is_refused_in_the_call() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    let path = "/nodes/solo/vzdump";
    let mut root = |form: &[(&str, &str)]| said(&mut sim, "POST", path, form).1;
    assert_eq!(
        root(&[("vmid", "100"), ("all", "1")]),
        "Parameter verification failed.|all: option conflicts with option 'vmid'"
    );
    assert_eq!(root(&[("pool", "nosuch")]), "pool 'nosuch' does not exist");
    assert_eq!(
        root(&[
            ("vmid", "100"),
            ("storage", "local"),
            ("notes-template", "{{owner}}")
        ]),
        "Parameter verification failed.|notes-template: found unknown: variable 'owner' at char 4\n"
    );
    let mut limited = |form: &[(&str, &str)]| by(&mut sim, "limited@pve!t1", "POST", path, form);
    assert_eq!(limited(&[("vmid", "100"), ("script", "/x")]).0, 400);
    assert_eq!(
        limited(&[("vmid", "100"), ("bwlimit", "5")]),
        (403, "Permission check failed (/, Sys.Modify)".into())
    );
}

#[test]
fn the_configuration_in_a_backup_can_be_read() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[("hostname", "web")]);
    assert_eq!(
        sim.task(
            "POST",
            "/nodes/solo/vzdump",
            &[("vmid", "100"), ("storage", "local")]
        ),
        "OK"
    );
    let rows = sim
        .root(
            "GET",
            "/nodes/solo/storage/local/content",
            &[("content", "backup")],
        )
        .payload();
    let volid = rows[0]["volid"].as_str().unwrap().to_owned();
    let text = sim
        .root(
            "GET",
            "/nodes/solo/vzdump/extractconfig",
            &[("volume", &volid)],
        )
        .payload();
    assert!(text.as_str().unwrap().contains("hostname: web\n"), "{text}");
    assert_eq!(
        get(&mut sim, "/nodes/solo/vzdump/defaults")["storage"],
        "local"
    );
}

#[test]
fn pruning_needs_rights_and_takes_backups_of_the_wanted_kind() {
    let mut seed = solo();
    let keeper = "keeper@pve!t1";
    let access = proximity_pve_emulator::core::Access::Empty;
    seed.tokens
        .push(crate::support::seed::token(keeper, access));
    let mut sim = Sim::new(seed);
    sim.create("solo", 100, &[]);
    for _ in 0..2 {
        let form = [("vmid", "100"), ("storage", "local")];
        assert_eq!(sim.task("POST", "/nodes/solo/vzdump", &form), "OK");
        sim.pass(2_000);
    }
    let path = "/nodes/solo/storage/local/prunebackups";
    let rule = ("prune-backups", "keep-last=1");
    let marks = |sim: &mut Sim, kind: &str| {
        let rows = sim.root("GET", path, &[rule, ("type", kind)]).payload();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["mark"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(marks(&mut sim, "lxc"), ["keep", "remove"]);
    assert_eq!(marks(&mut sim, "qemu"), [""; 0]);
    let grant = |sim: &mut Sim, path: &str, role: &str| {
        for (holder, id) in [("users", "keeper@pve"), ("tokens", keeper)] {
            let form = [("path", path), ("roles", role), (holder, id)];
            assert_eq!(said(sim, "PUT", "/access/acl", &form).0, 200);
        }
    };
    grant(&mut sim, "/storage/local", "PVEDatastoreUser");
    let refused = |sim: &mut Sim, form: &[(&str, &str)]| by(sim, keeper, "DELETE", path, form);
    let text = |what: &str| (403, format!("Permission check failed ({what})"));
    let whole = refused(&mut sim, &[rule]);
    assert_eq!(whole, text("/storage/local, Datastore.Allocate"));
    let one = refused(&mut sim, &[rule, ("vmid", "100")]);
    assert_eq!(one, text("/vms/100, VM.Backup"));
    let rows = by(&mut sim, keeper, "GET", path, &[rule]);
    assert_eq!(rows.0, 200, "a look needs no more than the storage");

    let backup = sim.root("GET", path, &[rule]).payload()[0]["volid"].clone();
    grant(&mut sim, "/storage/local", "PVEDatastoreAdmin");
    let volume = [("volume", backup.as_str().unwrap())];
    let config = by(
        &mut sim,
        keeper,
        "GET",
        "/nodes/solo/vzdump/extractconfig",
        &volume,
    );
    assert_eq!(
        config,
        text("/vms/100, VM.Backup"),
        "the storage is not enough"
    );
    grant(&mut sim, "/vms/100", "PVEVMAdmin");
    let pruned = refused(&mut sim, &[rule, ("vmid", "100"), ("type", "qemu")]);
    assert_eq!(pruned.0, 200);
    sim.pass(2_000);
    assert_eq!(marks(&mut sim, "lxc").len(), 2, "they are of no machine");
}

#[test]
fn all_that_is_wrong_with_a_storage_is_told_in_one_line() {
    let mut sim = Sim::new(cluster());
    sim.create("pve2", 100, &[]);
    // It is on the first node alone, and not for backups.
    let form = [("vmid", "100"), ("storage", "btr")];
    assert_eq!(
        sim.task("POST", "/nodes/pve2/vzdump", &form),
        "could not activate storage 'btr': storage 'btr' is not available on node 'pve2' \
         could not get storage information for 'btr': can't use storage 'btr' for backups - wrong content type"
    );
}

#[test]
fn a_managed_container_is_not_stopped_for_a_backup_even_if_it_does_not_run() {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    let form = [("sid", "ct:100"), ("state", "started")];
    assert_eq!(
        said(&mut sim, "POST", "/cluster/ha/resources", &form).0,
        200
    );
    let form = [("vmid", "100"), ("storage", "local"), ("mode", "stop")];
    let upid = sim.root("POST", "/nodes/pve1/vzdump", &form).payload();
    let upid = upid.as_str().unwrap().to_owned();
    assert_eq!(sim.finish(&upid), "job errors");
    let log = get(&mut sim, &format!("/nodes/pve1/tasks/{upid}/log")).to_string();
    assert!(
        log.contains("Cannot execute a backup with stop mode on a HA managed"),
        "{log}"
    );
}

#[test]
fn who_may_not_allocate_a_storage_keeps_five_protected_backups() {
    let mut sim = Sim::new(solo());
    sim.create("solo", 100, &[]);
    let token = "limited@pve!t1";
    super::grant(&mut sim, token, "/", "PVEVMAdmin");
    super::grant(&mut sim, token, "/storage/local", "PVEDatastoreUser");
    let form = [("vmid", "100"), ("storage", "local"), ("protected", "1")];
    for _ in 0..5 {
        let end = super::task_by(&mut sim, token, "/nodes/solo/vzdump", &form);
        assert_eq!(end, "OK");
        sim.pass(2_000);
    }
    assert_eq!(
        super::task_by(&mut sim, token, "/nodes/solo/vzdump", &form),
        "job errors"
    );
    assert_eq!(sim.task("POST", "/nodes/solo/vzdump", &form), "OK");
}
