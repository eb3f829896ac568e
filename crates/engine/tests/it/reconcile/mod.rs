//! The record follows the clusters: orphans are proven before they are archived, and nothing else is taken for one.

mod anew;
mod brake;
mod doubts;
mod faces;
mod lines;
mod lists;
mod lost;
mod many;
mod passes;
mod resources;
mod stuck;

use std::cell::Cell;
use std::sync::Arc;

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::HolderId;
use proximity_domain::operation::OperationState;
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::janitor::LEFT_LINE;
use proximity_engine::reconcile::{ANOMALOUS_LINE, EXPECTED_LINE, Pass, ReconcileReport};
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::{Access, Reach, World};
use proximity_store::effects::Effects;
use proximity_store::records::AppRecord;
use proximity_testkit::pve::{Distort, Pve};
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::{TestWorld, WorldParts};
use serde_json::Value;

/// The cluster's list as it would be without this guest.
fn list_without(vmid: u32) -> Arc<Distort> {
    Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            let answer = answer?;
            if request.path != "/cluster/resources" {
                return Ok(answer);
            }
            let mut list: Value = serde_json::from_slice(&answer.body).unwrap();
            let rows = list["data"].as_array_mut().unwrap();
            rows.retain(|row| row["vmid"] != vmid);
            let body = list.to_string().into();
            Ok(RawResponse { body, ..answer })
        },
    )
}

struct Looked {
    w: TestWorld,
    clock: Arc<MovedClock>,
}

impl Looked {
    async fn new() -> Self {
        Self::of(&["pve1", "pve2", "pve3"]).await
    }

    async fn of(nodes: &[&str]) -> Self {
        let clock = Arc::new(MovedClock::default());
        let w = TestWorld::start_of(WorldParts {
            clusters: vec![Pve::cluster(0, nodes, Access::Full)],
            clock: Some(clock.clone()),
            endpoint_of_each_node: true,
            pairs: 12,
            limits: EngineLimits {
                retry: RetryPolicy {
                    first_ms: 20,
                    ..RetryPolicy::DEFAULT
                },
                ..EngineLimits::default()
            },
            ..WorldParts::default()
        })
        .await
        .unwrap();
        Self { w, clock }
    }

    async fn deployed(&self, name: &str) -> (AppRecord, u32) {
        self.deployed_on(name, "pve2").await
    }

    async fn deployed_on(&self, name: &str, node: &str) -> (AppRecord, u32) {
        let request = CreateApp {
            catalog_id: "beacon".to_owned(),
            hostname: name.to_owned(),
            node: Some(node.to_owned()),
            ..CreateApp::default()
        };
        let app = self
            .w
            .engine
            .create_app(&self.w.actor, request)
            .await
            .unwrap();
        let op = self.w.settled(app.operation.unwrap()).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded);
        let guest = self
            .w
            .store
            .native_guests(app.id)
            .await
            .unwrap()
            .pop()
            .unwrap();
        let app = self.w.store.app(app.id).await.unwrap().unwrap();
        (app, guest.identity.vmid.get())
    }

    async fn pass(&self) -> ReconcileReport {
        self.w.engine.reconciler().pass(&Pass::Work).await.unwrap()
    }

    /// So many looks, each long enough after the one before.
    async fn looks(&self, count: u32) -> ReconcileReport {
        let mut last = ReconcileReport::default();
        for _ in 0..count {
            last = self.pass().await;
            self.clock.pass(30_000);
        }
        last
    }

    /// As long as a list may be of before, from the pass on that finds the last work ended, without a gap; then each container
    /// shows its identity.
    async fn left_alone(&self) {
        for _ in 0..15 {
            self.clock.pass(25_000);
            self.pass().await;
        }
        self.w.engine.reconciler().sweep().await.unwrap();
    }

    /// A person deletes the container in Proxmox VE.
    async fn delete_by_hand(&self, vmid: u32) {
        let path = format!("/nodes/pve2/lxc/{vmid}");
        self.w
            .pve
            .put(&format!("{path}/config"), &[("protection", "0")])
            .await;
        let gone = self
            .w
            .pve
            .as_root(Method::Delete, &path, &[("force", "1")])
            .await;
        assert_eq!(gone.status, 200, "{gone:?}");
        let there = || {
            self.w
                .pve
                .meddle(|world| world.guests().any(|(id, _)| id == vmid))
        };
        self.w.until(async || !there()).await.unwrap();
    }

    async fn events(&self, kind: EventKind) -> usize {
        let events = self.w.store.events(0, 1_000).await.unwrap();
        events
            .iter()
            .filter(|(_, _, e, _, _)| e.kind == kind)
            .count()
    }

    async fn is_live(&self, app: &AppRecord) -> bool {
        self.w.store.app(app.id).await.unwrap().is_some()
    }

    async fn last_line(&self, app: &AppRecord) -> String {
        let mut lines = self.w.store.log_tail(app.id, 1).await.unwrap();
        lines.pop().unwrap().message
    }

    /// A removal is asked for, a person deletes the container first, and whoever took the removal up sticks.
    async fn removal_that_sticks(&self, vmid: u32, name: &str) {
        let remove = Action::Delete {
            confirm: Some(name.to_owned()),
            force_stop: false,
            purge: false,
        };
        let op = self
            .w
            .engine
            .act(&self.w.actor, name, remove)
            .await
            .unwrap();
        self.delete_by_hand(vmid).await;
        let waiting = self.looks(4).await;
        assert_eq!(waiting.suspected, 0, "it is left to its operation");
        let seen = self.w.store.claimable().await.unwrap().pop().unwrap();
        let holder = HolderId(uuid::Uuid::from_u128(9));
        let claimed = self
            .w
            .store
            .claim_as_seen(&seen, holder, 1_000, op.created_at);
        let (_, fence) = claimed.await.unwrap().unwrap();
        let (why, none) = (
            Failure::new("x", "it is locked", "Look."),
            Effects::default(),
        );
        let stuck = self.w.store.stick(&fence, None, why, none, op.created_at);
        stuck.await.unwrap();
    }

    async fn assert_sound(&self) {
        let wrong = self.w.store.invariants().await.unwrap();
        assert_eq!(wrong, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_container_deleted_by_hand_is_an_anomalous_orphan_told_of_once() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.delete_by_hand(vmid).await;
    let changes = l.w.pve.changes().len();
    let first = l.looks(2).await;
    assert_eq!((first.result.orphans_found, first.suspected), (0, 1));
    assert!(l.is_live(&app).await, "two looks prove nothing");
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 1);
    let found = l.pass().await.result;
    assert_eq!(
        (
            found.success,
            found.orphans_found,
            found.anomalous_orphans,
            found.orphans_purged
        ),
        (true, 1, 1, 1)
    );
    l.looks(3).await;
    assert_eq!(l.events(EventKind::AnomalousOrphanDetected).await, 1);
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 1);
    assert!(!l.is_live(&app).await);
    assert_eq!(l.last_line(&app).await, ANOMALOUS_LINE);
    let ports = l.w.store.ports().await.unwrap();
    assert!(ports.freed.iter().all(|port| port.rests_until.is_some()));
    assert_eq!(
        l.w.pve.changes().len(),
        changes,
        "nothing was sent that changes anything"
    );
    l.assert_sound().await;
}

#[tokio::test]
async fn one_of_an_app_that_is_being_removed_is_an_expected_orphan() {
    let mut l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.w.crash_worker().await;
    l.removal_that_sticks(vmid, "web").await;
    let found = l.looks(3).await.result;
    assert_eq!((found.expected_orphans, found.orphans_purged), (1, 1));
    assert_eq!(l.last_line(&app).await, EXPECTED_LINE);
    assert_eq!(l.events(EventKind::ExpectedOrphanArchived).await, 1);
    assert_eq!(l.events(EventKind::AnomalousOrphanDetected).await, 0);
    l.assert_sound().await;
}

#[tokio::test]
async fn an_app_in_error_is_resolved_by_what_its_container_says() {
    let mut l = Looked::new().await;
    let (app, _) = l.deployed("web").await;
    let early = l.w.engine.resolve(&l.w.actor, "web").await.unwrap_err();
    assert_eq!(early.code(), "not_in_state");
    l.w.crash_worker().await;
    let stop = Action::Stop { force: false };
    let op = l.w.engine.act(&l.w.actor, "web", stop).await.unwrap();
    let busy = l.w.engine.resolve(&l.w.actor, "web").await.unwrap_err();
    assert_eq!(busy.code(), "busy");
    let seen = l.w.store.claimable().await.unwrap().pop().unwrap();
    let holder = HolderId(uuid::Uuid::from_u128(9));
    let claimed = l.w.store.claim_as_seen(&seen, holder, 1_000, op.created_at);
    let (_, fence) = claimed.await.unwrap().unwrap();
    let (why, none) = (
        Failure::new("x", "it is locked", "Look."),
        Effects::default(),
    );
    l.w.store
        .stick(&fence, None, why.clone(), none, op.created_at)
        .await
        .unwrap();
    l.w.store
        .abandon(op.id, why, &l.w.actor, op.created_at)
        .await
        .unwrap();
    let changes = l.w.pve.changes().len();
    let resolved = l.w.engine.resolve(&l.w.actor, "web").await.unwrap();
    assert_eq!((resolved.id, resolved.status), (app.id, Status::Running));
    assert_eq!(l.w.pve.changes().len(), changes);
    assert_eq!(l.events(EventKind::AppResolved).await, 1);
    l.assert_sound().await;
}

#[tokio::test]
async fn looks_too_close_together_prove_nothing() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.delete_by_hand(vmid).await;
    for _ in 0..6 {
        assert_eq!(l.pass().await.result.orphans_found, 0);
    }
    l.clock.set_forward(3_600_000);
    for _ in 0..3 {
        assert_eq!(
            l.pass().await.result.orphans_found,
            0,
            "a clock that is set forward"
        );
    }
    assert!(l.is_live(&app).await);
}

#[tokio::test]
async fn what_cannot_be_seen_is_unknown() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.delete_by_hand(vmid).await;
    l.w.pve.allow(Access::Empty);
    let unseen = l.looks(5).await.result;
    assert!(!unseen.success && unseen.errors.len() == 1, "{unseen:?}");
    assert_eq!(unseen.orphans_found, 0);
    let whole = |is_whole| vec![("lab".to_owned(), is_whole)];
    let reconciler = l.w.engine.reconciler();
    assert_eq!(reconciler.seen_whole(), whole(false));
    l.w.pve.allow(Access::Full);
    l.w.pve
        .meddle(|world| world.node_mut("pve2").unwrap().reach = Reach::Refused);
    let off = l.looks(5).await;
    assert_eq!(reconciler.seen_whole(), whole(true));
    assert_eq!(
        (off.suspected, off.result.orphans_found),
        (0, 0),
        "its node is off"
    );
    assert!(l.is_live(&app).await);
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 0);
    l.w.pve
        .meddle(|world| world.node_mut("pve2").unwrap().reach = Reach::Up);
    assert_eq!(l.looks(3).await.result.orphans_purged, 1);
}

/// An event each time would tell of the node, and not of the container.
#[tokio::test]
async fn a_missing_container_is_told_of_once_until_it_is_seen_again() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    let list_lacks_it = |lacks: bool| l.w.pve.distort(lacks.then(|| list_without(vmid)));
    let node_is = |reach| {
        l.w.pve
            .meddle(|world| world.node_mut("pve2").unwrap().reach = reach);
    };
    list_lacks_it(true);
    for _ in 0..3 {
        assert_eq!(l.pass().await.suspected, 1);
        node_is(Reach::Refused);
        assert_eq!(l.pass().await.suspected, 0, "its node is off");
        node_is(Reach::Up);
    }
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 1);
    assert_eq!(l.events(EventKind::GuestSeenAgain).await, 0);
    list_lacks_it(false);
    for _ in 0..2 {
        assert_eq!(l.pass().await.suspected, 0);
    }
    assert_eq!(l.events(EventKind::GuestSeenAgain).await, 1, "its end once");
    list_lacks_it(true);
    let dry = l.w.engine.reconciler().pass(&Pass::Dry).await.unwrap();
    assert_eq!(dry.suspected, 1, "a dry pass tells nobody");
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 1);
    assert_eq!(l.pass().await.suspected, 1);
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 2);
    assert!(l.is_live(&app).await);
    l.assert_sound().await;
}

#[tokio::test]
async fn more_than_the_brake_lets_by_are_suspected_as_one() {
    let l = Looked::new().await;
    let mut vmids = Vec::new();
    for name in ["one", "two", "three", "four"] {
        vmids.push(l.deployed(name).await.1);
    }
    for vmid in vmids {
        l.delete_by_hand(vmid).await;
    }
    assert_eq!(l.pass().await.suspected, 4);
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 0);
    assert_eq!(l.events(EventKind::OrphanAmongMany).await, 4);
    let events = l.w.store.events(0, 1_000).await.unwrap().into_iter();
    let events = events.filter(|event| event.2.kind == EventKind::OrphansSuspected);
    let [(_, _, told, app, _)]: [_; 1] = events.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((told.body["count"].as_u64(), app), (Some(4), None));
    assert_eq!(told.body["hosts"], serde_json::json!(["lab"]));
    let names = told.body["hostnames"].as_array().unwrap();
    assert!(names.len() == 4 && names.contains(&"three".into()));
    assert_eq!(l.looks(3).await.suspected, 4);
    assert_eq!(l.events(EventKind::OrphansSuspected).await, 1);
    l.assert_sound().await;
}

/// The node that lists the guests has stood still since before the container went to another one, and still has quorum.
#[tokio::test]
async fn what_another_node_has_is_not_missing_though_an_old_list_lacks_it() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.w.pve.meddle(|world| world.move_guest(vmid, "pve3"));
    l.w.pve.distort(Some(list_without(vmid)));
    let report = l.looks(5).await;
    assert_eq!((report.suspected, report.result.orphans_found), (1, 0));
    let said = report.result.errors.join("\n");
    assert!(said.contains("its configuration is there"), "{said}");
    l.w.pve.distort(None);
    assert_eq!(l.pass().await.moved, 1, "it is followed");
    assert!(l.is_live(&app).await);
    l.assert_sound().await;
}

/// It left before it was on record: no person said that it has left for good, and its containers may live on there.
#[tokio::test]
async fn what_is_recorded_on_a_node_that_is_no_member_is_unknown() {
    let l = Looked::new().await;
    let (app, _) = l.deployed("web").await;
    l.w.pve.meddle(|world| world.remove_node("pve2"));
    let mut host = l.w.store.hosts().await.unwrap().pop().unwrap();
    host.known_nodes.retain(|node| node.as_str() != "pve2");
    // Something to learn, so that the entry is read anew.
    "9.0.0".clone_into(&mut host.pve_version);
    let (id, kind) = (host.id, EventKind::HostUpdated);
    let store = &l.w.store;
    let changed = store.change_host(host, kind, "host.update", &l.w.actor, app.created_at);
    changed.await.unwrap();
    assert!(l.w.engine.learn_host(id).await.unwrap());
    // The cluster keeps the node's files, and lists its containers by them: no look is complete.
    let report = l.looks(5).await;
    assert_eq!((report.suspected, report.result.orphans_found), (0, 0));
    let said = report.result.errors.join("\n");
    let stray = "the list mentions the node pve2, which is no member";
    assert!(said.contains(stray), "{said}");
    l.w.pve.meddle(|world| world.delete_files_of("pve2"));
    let report = l.looks(5).await;
    assert_eq!((report.suspected, report.result.orphans_found), (0, 0));
    let said = report.result.errors.join("\n");
    let outside = "recorded on the node pve2, which is not in the cluster";
    assert!(said.contains(outside), "{said}");
    assert!(said.contains("--containers-lost"), "{said}");
    assert!(l.is_live(&app).await);
    l.assert_sound().await;
}

#[tokio::test]
async fn power_and_place_follow_what_was_read_from_the_container() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    let stop = format!("/nodes/pve2/lxc/{vmid}/status/stop");
    l.w.pve.as_root(Method::Post, &stop, &[]).await;
    l.w.until(async || l.pass().await.refreshed == 1)
        .await
        .unwrap();
    let status = l.w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(status, Status::Stopped);
    l.w.pve.meddle(|world| world.move_guest(vmid, "pve3"));
    assert_eq!(l.pass().await.moved, 1);
    let guest =
        l.w.store
            .native_guests(app.id)
            .await
            .unwrap()
            .pop()
            .unwrap();
    assert_eq!(guest.place.node.as_str(), "pve3");
    assert_eq!(l.pass().await.moved, 0);
}

#[tokio::test]
async fn a_list_counts_by_itself_for_a_container_that_was_identified_and_left_alone() {
    let l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    // The list tells of the deploy: nothing is to be asked.
    let told = async || {
        let before = l.w.pve.calls();
        l.pass().await;
        l.w.pve.calls() - before == 3
    };
    l.w.until(told).await.unwrap();
    l.left_alone().await;
    let power = async |power: &str| {
        let path = format!("/nodes/pve2/lxc/{vmid}/status/{power}");
        l.w.pve.as_root(Method::Post, &path, &[]).await;
    };
    let followed = async || {
        let calls = Cell::new(0);
        let one = async || {
            let before = l.w.pve.calls();
            let report = l.pass().await;
            calls.set(l.w.pve.calls() - before);
            report.refreshed == 1
        };
        l.w.until(one).await.unwrap();
        let app = l.w.store.app(app.id).await.unwrap().unwrap();
        (app.status, calls.get())
    };
    power("stop").await;
    let identified = "the list, and its identity: its power is not asked for";
    assert_eq!(followed().await, (Status::Stopped, 4), "{identified}");
    power("start").await;
    assert_eq!(followed().await, (Status::Running, 4));
    let (id, stop) = (app.id.to_string(), Action::Stop { force: false });
    let op = l.w.engine.act(&l.w.actor, &id, stop).await.unwrap();
    l.w.settled(op.id).await.unwrap();
    power("start").await;
    assert_eq!(
        followed().await,
        (Status::Running, 5),
        "the list may be of before that: identity and power are read"
    );
}
