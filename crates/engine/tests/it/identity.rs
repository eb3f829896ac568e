//! Whose a container is its configuration says: the slow sweep reads each in turn, and what is not the recorded one is told
//! of once and gets no call.

mod clock;

use std::collections::BTreeSet;
use std::sync::Arc;

use proximity_domain::app::StatusLabel;
use proximity_domain::event::EventKind;
use proximity_domain::ids::HostId;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::{Action, AdoptContainer, CreateApp, Reidentification, Reidentify};
use proximity_engine::error::EngineError;
use proximity_engine::reconcile::{Pass, SweepReport};
use proximity_pve::transport::{Method, RawResponse, Request, TransportError};
use proximity_pve_emulator::core::{Access, Reach};
use proximity_store::records::AppRecord;
use proximity_testkit::pve::Pve;
use proximity_testkit::sources::MovedClock;
use proximity_testkit::world::{TestWorld, WorldParts};
use uuid::Uuid;

const OTHER_MAC: &str = "BC:24:11:AA:BB:CC";

struct Swept {
    w: TestWorld,
    clock: Arc<MovedClock>,
}

impl Swept {
    async fn new() -> Self {
        let clock = Arc::new(MovedClock::default());
        let w = TestWorld::start_of(WorldParts {
            clock: Some(clock.clone()),
            clusters: vec![Pve::cluster(0, &["pve1", "pve2", "pve3"], Access::Full)],
            pairs: 4,
            ..WorldParts::default()
        })
        .await
        .unwrap();
        Self { w, clock }
    }

    async fn deployed(&self, name: &str) -> (AppRecord, u32) {
        self.deployed_on("pve2", name).await
    }

    async fn deployed_on(&self, node: &str, name: &str) -> (AppRecord, u32) {
        let request = CreateApp {
            catalog_id: "beacon".to_owned(),
            hostname: name.to_owned(),
            node: Some(node.to_owned()),
            ..CreateApp::default()
        };
        let made = self.w.engine.create_app(&self.w.actor, request).await;
        let app = made.unwrap();
        let op = self.w.settled(app.operation.unwrap()).await.unwrap();
        assert_eq!(op.state, OperationState::Succeeded);
        let guests = self.w.store.native_guests(app.id).await.unwrap();
        let app = self.w.store.app(app.id).await.unwrap().unwrap();
        (app, guests[0].identity.vmid.get())
    }

    async fn act(&self, app: &str, action: Action) -> OperationState {
        let op = self.w.engine.act(&self.w.actor, app, action).await.unwrap();
        self.w.settled(op.id).await.unwrap().state
    }

    async fn sweep(&self) -> SweepReport {
        self.w.engine.reconciler().sweep().await.unwrap()
    }

    async fn put(&self, vmid: u32, params: &[(&str, &str)]) {
        let path = format!("/nodes/pve2/lxc/{vmid}/config");
        let put = self.w.pve.as_root(Method::Put, &path, params).await;
        assert_eq!(put.status, 200, "{put:?}");
    }

    fn config(&self, vmid: u32, key: &str) -> String {
        let value = self.w.pve.meddle(|world| {
            let guest = world.guests().find(|(id, _)| *id == vmid).unwrap().1;
            guest.config.get(key).map(ToString::to_string)
        });
        value.unwrap()
    }

    async fn events(&self, kind: EventKind) -> usize {
        let events = self.w.store.events(0, 1_000).await.unwrap();
        let of_kind = events.iter().filter(|(_, _, e, _, _)| e.kind == kind);
        of_kind.count()
    }

    /// A stopped app whose container was verified long after it was made, with its number and notes.
    async fn verified(&self, name: &str) -> (u32, String) {
        self.verified_of(name, 1).await
    }

    /// The same, one of so many containers.
    async fn verified_of(&self, name: &str, all: usize) -> (u32, String) {
        let (_, vmid) = self.deployed(name).await;
        let stop = Action::Stop { force: false };
        assert_eq!(self.act(name, stop).await, OperationState::Succeeded);
        self.clock.pass(600_000);
        assert_eq!(self.sweep().await.recognised, all);
        (vmid, self.config(vmid, "description"))
    }

    async fn other_mac(&self, vmid: u32) {
        let net0 = format!("name=eth0,bridge=vmbr0,hwaddr={OTHER_MAC},ip=dhcp,type=veth");
        self.put(vmid, &[("net0", &net0)]).await;
    }

    async fn reidentify(&self, said: &Reidentify) -> Result<Reidentification, EngineError> {
        self.w.engine.reidentify(&self.w.actor, "web", said).await
    }

    async fn alarms(&self) -> usize {
        self.w.store.alarms().await.unwrap().len()
    }
}

#[tokio::test]
async fn what_is_as_recorded_is_recognised_and_nothing_is_written() {
    let s = Swept::new().await;
    s.deployed("web").await;
    // The first look of a day is put on record.
    s.sweep().await;
    let commit = *s.w.store.commits().borrow();
    let changes = s.w.pve.changes().len();
    let swept = s.sweep().await;
    assert_eq!((swept.recognised, swept.conflicts, swept.unread), (1, 0, 0));
    assert_eq!(*s.w.store.commits().borrow(), commit);
    assert_eq!(s.w.pve.changes().len(), changes);
}

/// A large cluster that is new here.
#[tokio::test]
async fn what_is_read_first_of_several_containers_is_no_commit_for_each() {
    let mut s = Swept::new().await;
    let mut apps = Vec::new();
    for name in ["one", "two", "three", "four"] {
        apps.push(s.deployed(name).await.0.id);
    }
    s.w.stop_worker().await.unwrap();
    let before = *s.w.store.commits().borrow();
    assert_eq!(s.sweep().await.recognised, apps.len());
    let commits = *s.w.store.commits().borrow() - before;
    assert!(
        commits <= 3,
        "{commits}, one of them that all were verified"
    );
    for app in apps {
        let guests = s.w.store.native_guests(app).await.unwrap();
        let seen = s.w.store.interfaces(guests[0].id).await.unwrap().unwrap();
        assert_eq!(seen.interfaces[0].mac, Some(guests[0].identity.net0_mac));
    }
}

/// Another read holds the round up: what was gathered is written all the same, ten seconds after the first of it.
#[tokio::test]
async fn what_is_read_first_is_not_kept_back_until_the_end_of_a_round() {
    let s = Swept::new().await;
    let (app, _) = s.deployed("web").await;
    for vmid in [300, 301] {
        s.w.pve.stranger_creates("pve2", vmid).await;
    }
    let clock = s.clock.clone();
    let slow = move |request: &Request, answer: Result<RawResponse, TransportError>| {
        if request.path.ends_with("/lxc/301/config") {
            clock.pass(10_000);
        }
        answer
    };
    s.w.pve.distort(Some(Arc::new(slow)));
    let go_on = s.w.pve.hold(Method::Get, "/lxc/300/config");
    let guest = s.w.store.native_guests(app.id).await.unwrap()[0].id;
    let is_written = async || s.w.store.interfaces(guest).await.unwrap().is_some();
    assert!(!is_written().await);
    let written = async {
        s.w.until(is_written).await.unwrap();
        go_on.send_replace(true);
    };
    let (swept, ()) = tokio::join!(s.sweep(), written);
    assert_eq!((swept.recognised, swept.others), (1, 2));
}

#[tokio::test]
async fn another_container_under_our_number_is_noticed_though_its_power_is_the_same() {
    let s = Swept::new().await;
    let (app, vmid) = s.deployed("web").await;
    let stop = Action::Stop { force: false };
    assert_eq!(s.act("web", stop).await, OperationState::Succeeded);
    s.put(vmid, &[("protection", "0")]).await;
    let path = format!("/nodes/pve2/lxc/{vmid}");
    s.w.pve.as_root(Method::Delete, &path, &[]).await;
    let gone = || {
        !s.w.pve
            .meddle(|world| world.guests().any(|(id, _)| id == vmid))
    };
    s.w.until(async || gone()).await.unwrap();
    s.w.pve.stranger_creates("pve2", vmid).await;
    let pass = s.w.engine.reconciler().pass(&Pass::Work).await.unwrap();
    assert!(
        pass.result.success,
        "the list shows no difference: {pass:?}"
    );
    for _ in 0..2 {
        assert_eq!(s.sweep().await.conflicts, 1);
    }
    assert_eq!(s.events(EventKind::GuestConflicted).await, 1, "told once");
    let changes = s.w.pve.changes().len();
    let start = s.act("web", Action::Start).await;
    assert!(matches!(start, OperationState::Failed { .. }), "{start:?}");
    assert_eq!(s.w.pve.changes().len(), changes, "no call on a stranger");
    let status = s.w.store.app(app.id).await.unwrap().unwrap().status;
    assert_eq!(status.label(), StatusLabel::Error);
}

#[tokio::test]
async fn a_conflict_that_ends_is_told_and_the_next_one_again() {
    let s = Swept::new().await;
    let (_, vmid) = s.deployed("web").await;
    // The device of a running container is not changed.
    let stop = Action::Stop { force: false };
    assert_eq!(s.act("web", stop).await, OperationState::Succeeded);
    let (net0, notes) = (s.config(vmid, "net0"), s.config(vmid, "description"));
    let other = format!("name=eth0,bridge=vmbr0,hwaddr={OTHER_MAC},ip=dhcp,type=veth");
    let altered = [("net0", other.as_str()), ("description", "mine")];
    let ours = [("net0", net0.as_str()), ("description", notes.as_str())];
    s.put(vmid, &altered).await;
    assert_eq!(s.sweep().await.conflicts, 1);
    assert_eq!(s.alarms().await, 1);
    s.put(vmid, &ours).await;
    assert_eq!(s.sweep().await.recognised, 1);
    assert_eq!(s.alarms().await, 0);
    assert_eq!(s.events(EventKind::GuestConflictEnded).await, 1);
    s.sweep().await;
    s.put(vmid, &altered).await;
    s.sweep().await;
    assert_eq!(s.events(EventKind::GuestConflicted).await, 2);
    assert_eq!(s.events(EventKind::GuestConflictEnded).await, 1);
}

#[tokio::test]
async fn one_mark_on_two_containers_leaves_the_app_its_own() {
    let s = Swept::new().await;
    let (_, vmid) = s.deployed("web").await;
    let notes = s.config(vmid, "description");
    s.w.pve.stranger_creates("pve2", 300).await;
    s.put(300, &[("description", &notes)]).await;
    for _ in 0..2 {
        let swept = s.sweep().await;
        assert_eq!((swept.recognised, swept.twins, swept.conflicts), (1, 1, 0));
    }
    assert_eq!(s.events(EventKind::GuestTwinFound).await, 1, "told once");
    let before = s.w.pve.changes().len();
    let stop = Action::Stop { force: false };
    assert_eq!(s.act("web", stop).await, OperationState::Succeeded);
    let sent = s.w.pve.changes().split_off(before);
    assert!(sent.iter().all(|call| !call.contains("300")), "{sent:?}");
    s.w.pve
        .as_root(Method::Delete, "/nodes/pve2/lxc/300", &[])
        .await;
    let gone = || {
        !s.w.pve
            .meddle(|world| world.guests().any(|(id, _)| id == 300))
    };
    s.w.until(async || gone()).await.unwrap();
    let over = async || {
        s.sweep().await;
        s.alarms().await == 0
    };
    s.w.until(over).await.unwrap();
    s.sweep().await;
    let told = s.events(EventKind::GuestTwinGone).await;
    assert_eq!(told, 1, "its end is told, once");
}

/// A person takes the mark off the other one, and puts it on again.
#[tokio::test]
async fn a_twin_without_the_mark_is_none() {
    let s = Swept::new().await;
    let (_, vmid) = s.deployed("web").await;
    let notes = s.config(vmid, "description");
    s.w.pve.stranger_creates("pve2", 300).await;
    for times in 1..=2 {
        s.put(300, &[("description", &notes)]).await;
        let swept = s.sweep().await;
        assert_eq!((swept.twins, swept.others), (1, 0));
        assert_eq!(s.alarms().await, 1);
        s.put(300, &[("description", "mine")]).await;
        for _ in 0..2 {
            let swept = s.sweep().await;
            assert_eq!((swept.twins, swept.others), (0, 1));
            assert_eq!(s.alarms().await, 0);
        }
        assert_eq!(s.events(EventKind::GuestTwinFound).await, times);
        assert_eq!(s.events(EventKind::GuestTwinGone).await, times);
    }
}

#[tokio::test]
async fn what_is_not_seen_whole_is_left_out() {
    let s = Swept::new().await;
    s.deployed("web").await;
    s.w.pve.allow(Access::Empty);
    let unseen = SweepReport {
        unseen: 1,
        ..SweepReport::default()
    };
    assert_eq!(s.sweep().await, unseen);
    s.w.pve.allow(Access::Full);
    s.w.pve
        .meddle(|world| world.node_mut("pve2").unwrap().reach = Reach::Refused);
    let off = s.sweep().await;
    assert_eq!((off.unseen, off.conflicts, off.recognised), (0, 0, 0));
    assert_eq!(s.alarms().await, 0);
}

/// What was left out is read early by itself, and nothing is asked of the clusters that were not.
#[tokio::test]
async fn a_round_over_some_clusters_asks_nothing_of_the_others() {
    let s = Swept::new().await;
    s.deployed("web").await;
    let host = s.w.store.hosts().await.unwrap().pop().unwrap().id;
    let reconciler = s.w.engine.reconciler();
    let calls = s.w.pve.calls();
    let others = BTreeSet::from([HostId(Uuid::from_u128(9))]);
    let none = reconciler.sweep_clusters(&others).await.unwrap();
    assert_eq!(none, SweepReport::default());
    assert_eq!(s.w.pve.calls(), calls);
    let its_own = BTreeSet::from([host]);
    let swept = reconciler.sweep_clusters(&its_own).await.unwrap();
    assert_eq!(swept.recognised, 1, "{swept:?}");
}

#[tokio::test]
async fn one_changed_factor_is_learned_and_a_destroy_waits_for_a_person() {
    let s = Swept::new().await;
    let (vmid, _) = s.verified("web").await;
    s.other_mac(vmid).await;
    for _ in 0..2 {
        let swept = s.sweep().await;
        assert_eq!((swept.recognised, swept.conflicts), (1, 0));
    }
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 1);
    let delete = || Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    let before = s.w.pve.changes().len();
    let waits = s.w.engine.act(&s.w.actor, "web", delete()).await;
    assert_eq!(waits.unwrap_err().code(), "identity_conflict");
    let shown = s.reidentify(&Reidentify::Show).await.unwrap();
    assert_eq!((shown.factor.label(), shown.learned), ("mac", true));
    assert_eq!((shown.read.as_str(), shown.accepted), (OTHER_MAC, false));
    assert_eq!((shown.tasks.len(), &shown.untold), (0, &None));
    let accept = |confirm: Option<&str>, digest: &str| Reidentify::Accept {
        confirm: confirm.map(str::to_owned),
        digest: Some(digest.to_owned()),
    };
    let unasked = s
        .reidentify(&accept(None, &shown.digest))
        .await
        .unwrap_err();
    assert_eq!(unasked.code(), "confirmation_needed");
    let stale = s.reidentify(&accept(Some("web"), "0")).await.unwrap_err();
    assert_eq!(stale.code(), "state_changed");
    assert_eq!(s.events(EventKind::GuestReidentified).await, 0);
    let done = s.reidentify(&accept(Some("web"), &shown.digest)).await;
    assert!(done.unwrap().accepted);
    assert_eq!(s.events(EventKind::GuestReidentified).await, 1);
    assert_eq!(
        s.w.pve.changes().len(),
        before,
        "nothing was changed in PVE"
    );
    let again = s.reidentify(&Reidentify::Show).await.unwrap_err();
    assert_eq!(again.code(), "not_in_state", "it is as recorded now");
    assert_eq!(s.sweep().await.recognised, 1);
    assert_eq!(s.act("web", delete()).await, OperationState::Succeeded);
    assert!(
        !s.w.pve
            .meddle(|world| world.guests().any(|(id, _)| id == vmid))
    );
    assert_eq!(s.w.store.invariants().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_factor_that_comes_back_is_forgotten_as_a_change() {
    let s = Swept::new().await;
    let (vmid, notes) = s.verified("web").await;
    s.put(vmid, &[("description", "mine")]).await;
    assert_eq!(s.sweep().await.recognised, 1);
    let shown = s.reidentify(&Reidentify::Show).await.unwrap();
    assert_eq!((shown.factor.label(), shown.learned), ("mark", true));
    let accept = Reidentify::Accept {
        confirm: Some("web".to_owned()),
        digest: Some(shown.digest),
    };
    let lost = s.reidentify(&accept).await.unwrap_err();
    assert_eq!(lost.code(), "identity_conflict");
    assert!(
        notes
            .trim_end()
            .ends_with(lost.hint().rsplit(' ').next().unwrap()),
        "{notes}"
    );
    s.put(vmid, &[("description", &notes)]).await;
    assert_eq!(s.sweep().await.recognised, 1);
    assert_eq!(s.events(EventKind::GuestIdentityRestored).await, 1);
    let again = s.reidentify(&Reidentify::Show).await.unwrap_err();
    assert_eq!(again.code(), "not_in_state");
}

#[tokio::test]
async fn what_was_destroyed_and_made_anew_is_not_learned() {
    let s = Swept::new().await;
    let (_, vmid) = s.deployed("web").await;
    let stop = Action::Stop { force: false };
    assert_eq!(s.act("web", stop).await, OperationState::Succeeded);
    s.sweep().await;
    let notes = s.config(vmid, "description");
    s.put(vmid, &[("protection", "0")]).await;
    let path = format!("/nodes/pve2/lxc/{vmid}");
    s.w.pve.as_root(Method::Delete, &path, &[]).await;
    let gone = || {
        !s.w.pve
            .meddle(|world| world.guests().any(|(id, _)| id == vmid))
    };
    s.w.until(async || gone()).await.unwrap();
    s.w.pve.stranger_creates("pve2", vmid).await;
    s.put(vmid, &[("description", &notes)]).await;
    assert_eq!(
        s.sweep().await.conflicts,
        1,
        "mark and volume are as recorded"
    );
    let shown = s.reidentify(&Reidentify::Show).await.unwrap();
    assert!(!shown.learned);
    let destroyed = shown.tasks.iter().any(|upid| upid.contains("vzdestroy"));
    assert!(destroyed, "{:?}", shown.tasks);
}

#[tokio::test]
async fn what_the_task_lists_do_not_tell_is_a_conflict_until_they_do() {
    let s = Swept::new().await;
    let (vmid, _) = s.verified("web").await;
    s.other_mac(vmid).await;
    let reach = |reach| {
        s.w.pve
            .meddle(|world| world.node_mut("pve3").unwrap().reach = reach)
    };
    reach(Reach::Refused);
    assert_eq!(s.sweep().await.conflicts, 1);
    let shown = s.reidentify(&Reidentify::Show).await.unwrap();
    assert_eq!(shown.untold.as_deref(), Some("node pve3 is offline"));
    reach(Reach::Up);
    let learned = async || s.sweep().await.recognised == 1;
    s.w.until(learned).await.unwrap();
    assert_eq!(s.events(EventKind::GuestConflictEnded).await, 1);
    assert_eq!(s.alarms().await, 0);
}

#[tokio::test]
async fn a_node_that_hangs_holds_up_no_other() {
    let s = Swept::new().await;
    s.deployed_on("pve3", "slow").await;
    let (vmid, _) = s.verified_of("web", 2).await;
    s.other_mac(vmid).await;
    s.put(vmid, &[("description", "another one")]).await;
    let hangs = s.w.pve.hold_node("pve3");
    let engine = s.w.engine.clone();
    let sweeping = tokio::spawn(async move { engine.reconciler().sweep().await.unwrap() });
    let is_told = async || s.events(EventKind::GuestConflicted).await == 1;
    s.w.until(is_told).await.unwrap();
    assert!(!sweeping.is_finished(), "pve3 hangs still");
    hangs.send(true).unwrap();
    let swept = sweeping.await.unwrap();
    assert_eq!((swept.recognised, swept.conflicts, swept.unread), (1, 1, 0));
}

#[tokio::test]
async fn an_adopted_app_whose_address_was_learned_can_be_started() {
    let s = Swept::new().await;
    s.w.pve.stranger_creates("pve2", 150).await;
    s.put(150, &[("hostname", "web")]).await;
    let container = AdoptContainer {
        host: Some("lab".to_owned()),
        node: None,
        vmid: 150,
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    };
    let app = s.w.engine.adopt(&s.w.actor, container).await.unwrap();
    let op = s.w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    s.clock.pass(600_000);
    assert_eq!(s.sweep().await.recognised, 1);
    s.other_mac(150).await;
    assert_eq!(s.sweep().await.recognised, 1);
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 1);
    assert_eq!(s.act("web", Action::Start).await, OperationState::Succeeded);
    let app = s.w.store.app(app.id).await.unwrap().unwrap();
    assert_eq!(app.status.label(), StatusLabel::Running);
}
