//! What the list shows of a container beside its power: another face holds its app's status until its identity was read.

use proximity_engine::reconcile::SweepReport;

use super::*;

/// Returns when the list tells of a container with this name and power.
pub(super) async fn listed(l: &Looked, name: &str, status: &str) {
    let shown = async || {
        l.w.pve.meddle(World::tell_now);
        let list = l.w.pve.as_root(Method::Get, "/cluster/resources", &[]);
        let list: Value = serde_json::from_slice(&list.await.body).unwrap();
        let mut rows = list["data"].as_array().unwrap().iter();
        rows.any(|row| row["name"] == name && row["status"] == status)
    };
    l.w.until(shown).await.unwrap();
}

/// The list tells that a container of the app's number, which would count by itself, is stopped; but it is a stranger's.
#[tokio::test]
async fn a_container_that_came_under_a_number_between_two_looks_lends_its_app_no_power() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    listed(&l, "web", "running").await;
    l.left_alone().await;
    l.delete_by_hand(vmid).await;
    l.w.pve.stranger_creates("pve2", vmid).await;
    listed(&l, "stranger", "stopped").await;
    let report = l.pass().await;
    assert_eq!(report.refreshed, 0, "{report:?}");
    assert_eq!(l.events(EventKind::GuestConflicted).await, 1);
    let status = l.w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(status, Status::Running);
    l.assert_sound().await;
}

/// A person destroys it and puts another one under its number, which shows the same name and tags and does not run.
pub(super) async fn replaced(l: &Looked, vmid: u32, name: &str) {
    let tags = l.w.pve.meddle(|world| {
        let mut guests = world.guests();
        let guest = guests.find(|(id, _)| *id == vmid).unwrap().1;
        guest.config.get("tags").map(ToString::to_string)
    });
    l.delete_by_hand(vmid).await;
    l.w.pve.stranger_creates("pve2", vmid).await;
    let tags = tags.unwrap_or_default();
    let mut shown = vec![("hostname", name)];
    if !tags.is_empty() {
        shown.push(("tags", tags.as_str()));
    }
    let config = format!("/nodes/pve2/lxc/{vmid}/config");
    l.w.pve.put(&config, &shown).await;
    listed(l, name, "stopped").await;
}

/// No face tells it from the one before: it is identified in the pass that shows the other power.
#[tokio::test]
async fn what_shows_the_same_face_and_another_power_is_identified_first() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    listed(&l, "web", "running").await;
    l.left_alone().await;
    replaced(&l, vmid, "web").await;
    let before = l.w.pve.calls();
    let report = l.pass().await;
    assert_eq!(report.refreshed, 0, "{report:?}");
    assert!(l.w.pve.calls() > before + 3);
    assert_eq!(l.events(EventKind::GuestConflicted).await, 1);
    let status = l.w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(status, Status::Running);
    l.assert_sound().await;
}

/// A person tags it: it is looked at, once, and counts by itself again.
#[tokio::test]
async fn another_face_is_looked_at_before_the_list_counts_again() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    listed(&l, "web", "running").await;
    l.left_alone().await;
    let config = format!("/nodes/pve2/lxc/{vmid}/config");
    l.w.pve.put(&config, &[("tags", "mine")]).await;
    l.pass().await;
    l.clock.pass(1_000);
    let swept = l.w.engine.reconciler().sweep().await.unwrap();
    assert_eq!(swept.recognised, 2, "it is read next, and in its turn");
    let stop = format!("/nodes/pve2/lxc/{vmid}/status/stop");
    l.w.pve.as_root(Method::Post, &stop, &[]).await;
    let calls = Cell::new(0);
    let followed = async || {
        let before = l.w.pve.calls();
        let report = l.pass().await;
        calls.set(l.w.pve.calls() - before);
        report.refreshed == 1
    };
    l.w.until(followed).await.unwrap();
    assert_eq!(calls.get(), 4, "the list, and its identity");
}

/// One of two apps shows another face: it alone is read, and nothing once it was.
#[tokio::test]
async fn what_came_into_doubt_is_read_by_itself() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    l.deployed("other").await;
    for name in ["web", "other"] {
        listed(&l, name, "running").await;
    }
    l.left_alone().await;
    let config = format!("/nodes/pve2/lxc/{vmid}/config");
    l.w.pve.put(&config, &[("tags", "mine")]).await;
    l.pass().await;
    let swept = async || l.w.engine.reconciler().sweep_doubtful().await.unwrap();
    let one = SweepReport {
        recognised: 1,
        ..SweepReport::default()
    };
    assert_eq!(swept().await, one);
    let calls = l.w.pve.calls();
    assert_eq!(swept().await, SweepReport::default());
    assert_eq!(l.w.pve.calls(), calls, "nobody is in doubt any more");
}
