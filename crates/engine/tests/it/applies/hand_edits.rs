//! What somebody changes by hand about apps that documents want something of.

use proximity_domain::event::EventKind;
use proximity_domain::guest::ContainerRef;
use proximity_domain::merge::Verdict;
use proximity_engine::reconcile::Pass;
use proximity_pve::transport::Method;
use serde_json::{Value, json};

use super::*;

/// An app with so much memory that documents want, and what its policy is.
pub(super) async fn wanted(policy: Policy) -> Stand {
    wanted_on(Stand::start().await, policy).await
}

/// The same in this world.
pub(super) async fn wanted_on(s: Stand, policy: Policy) -> Stand {
    let mut document = app("web", &[]);
    spec(&mut document).resources.memory_mib = Some(128);
    spec(&mut document).policy = policy;
    let id = s.apply(&[document]).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    s
}

pub(super) async fn place(s: &Stand) -> ContainerRef {
    let app = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    let guests = s.w.store.recorded_guests(app.id).await.unwrap();
    guests[0].place().clone()
}

pub(super) async fn set(s: &Stand, params: &[(&str, &str)]) {
    let place = place(s).await;
    let config = format!("/nodes/{}/lxc/{}/config", place.node, place.vmid);
    s.w.pve.put(&config, params).await;
}

pub(super) async fn sweep(s: &Stand) {
    let swept = s.w.engine.reconciler().sweep().await.unwrap();
    assert_eq!((swept.recognised, swept.unread), (1, 0), "{swept:?}");
}

pub(super) async fn told(s: &Stand, kind: EventKind) -> Vec<Value> {
    let events = s.w.store.events(0, 1_000).await.unwrap().into_iter();
    let told = events.filter(|event| event.2.kind == kind);
    told.map(|event| event.2.body).collect()
}

#[tokio::test]
async fn a_hand_edit_is_told_once_until_it_changes_and_its_end_once() {
    let s = wanted(Policy::Warn).await;
    sweep(&s).await;
    assert!(told(&s, EventKind::DesiredDrifted).await.is_empty());
    let changes = s.w.pve.changes();
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    let first = told(&s, EventKind::DesiredDrifted).await.remove(0);
    let field = json!([{
        "field": "memory", "from": 128, "to": 256, "wanted": 128, "source": "cluster",
    }]);
    assert_eq!(
        (&first["hostname"], &first["fields"]),
        (&json!("web"), &field)
    );
    // Proxmox VE has no task of a plain change: nobody is named.
    assert_eq!((&first["by"], &first["at"]), (&Value::Null, &Value::Null));
    let commit = *s.w.store.commits().borrow();
    sweep(&s).await;
    assert_eq!(*s.w.store.commits().borrow(), commit, "nothing new, no row");
    let view = s.w.engine.drift("web").await.unwrap();
    assert_eq!(view.wanted, Some((1, Policy::Warn)));
    assert!(view.told_since.is_some() && view.changes.is_empty());
    let [field] = view.fields.as_slice() else {
        panic!("{:?}", view.fields)
    };
    assert_eq!(
        (field.path.as_str(), field.verdict),
        ("memory", Verdict::Theirs)
    );
    set(&s, &[("memory", "300")]).await;
    sweep(&s).await;
    let second = told(&s, EventKind::DesiredDrifted).await.remove(1);
    assert_eq!(second["fields"][0]["to"], 300);
    set(&s, &[("memory", "128")]).await;
    for _ in 0..2 {
        sweep(&s).await;
    }
    let over = told(&s, EventKind::DesiredDriftEnded).await;
    assert_eq!(over.len(), 1);
    assert_eq!(over[0]["since"], second["since"]);
    assert_eq!(told(&s, EventKind::DesiredDrifted).await.len(), 2);
    assert_eq!(s.w.pve.changes(), changes, "warned, and nothing else");
    let view = s.w.engine.drift("web").await.unwrap();
    assert!(view.fields.is_empty() && view.told_since.is_none());
}

#[tokio::test]
async fn what_is_as_wanted_costs_no_further_request() {
    let s = Stand::start().await;
    s.deployed("web").await;
    // The first one reads where it is reached.
    sweep(&s).await;
    let before = s.w.pve.calls();
    sweep(&s).await;
    let without = s.w.pve.calls() - before;
    let id = s.apply(&[app("web", &[])]).await;
    assert_eq!(s.ended(id).await.0, ApplyState::Done);
    let before = s.w.pve.calls();
    sweep(&s).await;
    assert_eq!(s.w.pve.calls() - before, without);
}

/// Nothing is to be said of an app that no document names, and it is shown all the same.
#[tokio::test]
async fn without_documents_it_is_shown_against_what_was_applied_and_not_told() {
    let s = Stand::start().await;
    s.deployed("web").await;
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    assert!(told(&s, EventKind::DesiredDrifted).await.is_empty());
    let view = s.w.engine.drift("web").await.unwrap();
    let paths: Vec<&str> = view.fields.iter().map(|one| one.path.as_str()).collect();
    assert_eq!((paths, view.wanted), (vec!["memory"], None));
}

/// The list of a pass shows other limits: that container is read with those in doubt, long before its turn.
#[tokio::test]
async fn what_the_list_shows_is_looked_at_with_the_next_doubts() {
    let s = wanted(Policy::Warn).await;
    let reconciler = s.w.engine.reconciler();
    sweep(&s).await;
    let is_listed = async || {
        s.w.pve.meddle(|world| world.tell_now());
        let list = s.w.pve.as_root(Method::Get, "/cluster/resources", &[]);
        String::from_utf8_lossy(&list.await.body).contains("\"web\"")
    };
    s.w.until(is_listed).await.unwrap();
    reconciler.pass(&Pass::Work).await.unwrap();
    set(&s, &[("memory", "256")]).await;
    s.w.pve.meddle(|world| world.tell_now());
    let is_told = async || {
        reconciler.pass(&Pass::Work).await.unwrap();
        reconciler.sweep_doubtful().await.unwrap();
        !told(&s, EventKind::DesiredDrifted).await.is_empty()
    };
    s.w.until(is_told).await.unwrap();
}

/// A disk is made larger by a task, whose list tells who began it and when.
#[tokio::test]
async fn who_made_a_disk_larger_is_said() {
    let s = wanted(Policy::Warn).await;
    sweep(&s).await;
    let at = place(&s).await;
    let resize = format!("/nodes/{}/lxc/{}/resize", at.node, at.vmid);
    let params = [("disk", "rootfs"), ("size", "+1G")];
    s.w.pve.as_root(Method::Put, &resize, &params).await;
    s.w.pve.quiet().await;
    let is_told = async || {
        sweep(&s).await;
        !told(&s, EventKind::DesiredDrifted).await.is_empty()
    };
    s.w.until(is_told).await.unwrap();
    let event = told(&s, EventKind::DesiredDrifted).await.remove(0);
    assert_eq!(event["fields"][0]["field"], "rootfs");
    assert_eq!(event["by"], "root@pam!proximity");
    assert!(event["at"].is_i64(), "{event}");
}
