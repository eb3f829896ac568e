//! What names a container elsewhere: in the way of its end, or taken along by `purge`.

use serde_json::json;

use super::{by, get, said};
use crate::support::seed::cluster;
use crate::support::sim::Sim;

const GUEST: &str = "/nodes/pve1/lxc/100";
const PURGE: &[(&str, &str)] = &[("purge", "1")];

fn with_guest() -> Sim {
    let mut sim = Sim::new(cluster());
    sim.create("pve1", 100, &[]);
    sim
}

fn job(sim: &mut Sim, id: &str, of: (&str, &str)) {
    let form = [("id", id), ("schedule", "02:30"), ("storage", "local"), of];
    let made = said(sim, "POST", "/cluster/backup", &form);
    assert_eq!(made.0, 200, "{}", made.1);
}

/// The lists of each job that is left: guests, and who is left out.
fn jobs(sim: &mut Sim) -> Vec<(String, String, String)> {
    let rows = get(sim, "/cluster/backup");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (text(&row["id"]), text(&row["vmid"]), text(&row["exclude"])))
        .collect()
}

fn named(id: &str, vmid: &str, exclude: &str) -> (String, String, String) {
    (id.to_owned(), vmid.to_owned(), exclude.to_owned())
}

fn with_jobs() -> Sim {
    let mut sim = with_guest();
    job(&mut sim, "all", ("exclude", "100"));
    job(&mut sim, "both", ("vmid", "100,101"));
    job(&mut sim, "one", ("vmid", "100"));
    sim
}

#[test]
fn jobs_of_backups_keep_the_number_of_what_is_destroyed_without_purge() {
    let mut sim = with_jobs();
    let before = jobs(&mut sim);
    assert_eq!(before.len(), 3);
    assert_eq!(sim.task("DELETE", GUEST, &[]), "OK");
    assert_eq!(jobs(&mut sim), before);
}

#[test]
fn purge_takes_the_number_out_of_jobs_and_a_job_of_nothing_else_away() {
    let mut sim = with_jobs();
    assert_eq!(sim.task("DELETE", GUEST, PURGE), "OK");
    let left = [named("all", "", ""), named("both", "101", "")];
    assert_eq!(jobs(&mut sim), left);
}

#[test]
fn a_guest_that_is_replicated_goes_only_with_its_jobs() {
    let mut sim = with_guest();
    assert_eq!(sim.world.replicate(100, "pve2"), "100-0");
    let shown =
        json!([{"id": "100-0", "type": "local", "guest": 100, "jobnum": 0, "target": "pve2"}]);
    assert_eq!(get(&mut sim, "/cluster/replication"), shown);
    let refused = "There is a replication job '100-0' for guest '100' - Please remove that first.";
    let said = said(&mut sim, "DELETE", GUEST, &[]);
    assert_eq!(said, (500, refused.to_owned()));
    assert_eq!(sim.task("DELETE", GUEST, PURGE), "OK");
    assert_eq!(get(&mut sim, "/cluster/replication"), json!([]));
}

/// The task asks again what the call asked, once it has the configuration.
#[test]
fn what_is_handed_to_high_availability_before_the_task_begins_is_not_destroyed() {
    let mut sim = with_guest();
    sim.world.hold_config(100, true);
    let answer = sim.root("DELETE", GUEST, &[]);
    assert_eq!(answer.status(), 200, "{}", answer.message());
    let upid = answer.payload().as_str().unwrap().to_owned();
    let managed = [("sid", "ct:100"), ("state", "stopped")];
    assert_eq!(
        said(&mut sim, "POST", "/cluster/ha/resources", &managed).0,
        200
    );
    sim.world.hold_config(100, false);
    let ended = sim.finish(&upid);
    assert!(ended.contains("used in HA resources"), "{ended}");
    let config = get(&mut sim, &format!("{GUEST}/config"));
    assert!(config["rootfs"].is_string(), "{config}");
}

#[test]
fn replication_jobs_are_shown_to_who_may_look_at_their_guest() {
    let mut sim = with_guest();
    sim.world.replicate(100, "pve2");
    let seen = |sim: &mut Sim, token: &str| {
        let request = crate::support::sim::Request::new("GET", "/cluster/replication");
        let answer = sim.call(request.by(token));
        assert_eq!(answer.status(), 200, "{}", answer.message());
        answer.payload().as_array().unwrap().len()
    };
    assert_eq!(seen(&mut sim, "limited@pve!t1"), 0);
    super::grant(&mut sim, "limited@pve!t1", "/vms/100", "PVEAuditor");
    assert_eq!(seen(&mut sim, "limited@pve!t1"), 1);
    // Jobs of backups are for who may look at all of it.
    let refused = by(&mut sim, "limited@pve!t1", "GET", "/cluster/backup", &[]);
    assert_eq!(
        refused,
        (403, "Permission check failed (/, Sys.Audit)".to_owned())
    );
}
