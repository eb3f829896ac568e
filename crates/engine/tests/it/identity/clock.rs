//! What is known of a container whose identity changed, where the wall clock was set meanwhile, or the server was started anew.

use proximity_domain::observe::Suspicion;
use proximity_domain::time::Clock as _;
use proximity_store::observation::SuspicionChange;
use proximity_testkit::world::Place;

use super::*;

impl Swept {
    /// Somebody destroys a container of ours and makes another one with its number and notes.
    async fn made_anew(&self, vmid: u32) {
        let notes = self.config(vmid, "description");
        self.put(vmid, &[("protection", "0")]).await;
        let path = format!("/nodes/pve2/lxc/{vmid}");
        let pve = &self.w.pve;
        pve.as_root(Method::Delete, &path, &[]).await;
        let is_gone = async || !pve.meddle(|world| world.guests().any(|(id, _)| id == vmid));
        self.w.until(is_gone).await.unwrap();
        pve.stranger_creates("pve2", vmid).await;
        self.put(vmid, &[("description", &notes)]).await;
    }

    /// A look does not list the container of `web`, and the next one does.
    async fn missed_once(&self) {
        let store = &self.w.store;
        let app = store.app_by_hostname("web").await.unwrap().unwrap().id;
        let guest = store.native_guests(app).await.unwrap().remove(0).id;
        let now = self.clock.now();
        let begun = SuspicionChange::Begun {
            guest,
            app,
            suspicion: Suspicion::begun(now),
            event: None,
            among_many: false,
        };
        let ended = SuspicionChange::Ended { guest, event: None };
        store.change_suspicions(&[begun], now).await.unwrap();
        store.change_suspicions(&[ended], now).await.unwrap();
    }

    /// The same record under a server that was started anew, with ids of its own, and the world before, in whose folder it is.
    async fn started_anew(mut self, seed: u64) -> (Self, TestWorld) {
        self.w.stop_worker().await.unwrap();
        let w = TestWorld::start_of(WorldParts {
            clock: Some(self.clock.clone()),
            clusters: vec![self.w.pve.clone()],
            seed,
            place: Place::Opened(self.w.store.clone()),
            ..WorldParts::default()
        });
        let anew = Self {
            w: w.await.unwrap(),
            clock: self.clock,
        };
        (anew, self.w)
    }
}

/// A stopped app that was verified while the clock was an hour ahead, which is set right then.
async fn verified_ahead() -> (Swept, u32) {
    let s = Swept::new().await;
    s.clock.set_forward(3_600_000);
    let (_, vmid) = s.deployed("web").await;
    let stop = Action::Stop { force: false };
    assert_eq!(s.act("web", stop).await, OperationState::Succeeded);
    assert_eq!(s.sweep().await.recognised, 1);
    s.clock.set_back(3_600_000);
    (s, vmid)
}

/// By the wall clock it was verified after that, and by no other.
#[tokio::test]
async fn what_was_made_anew_after_the_clock_was_set_back_is_not_learned() {
    let (s, vmid) = verified_ahead().await;
    s.made_anew(vmid).await;
    assert_eq!(s.sweep().await.conflicts, 1);
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 0);
    let shown = s.reidentify(&Reidentify::Show).await.unwrap();
    let destroyed = shown.tasks.iter().any(|upid| upid.contains("vzdestroy"));
    assert!(destroyed && !shown.learned, "{:?}", shown.tasks);

    // Nor by a server that was started since, and has the moment on record alone.
    let (s, vmid) = verified_ahead().await;
    s.made_anew(vmid).await;
    let (s, _before) = s.started_anew(7).await;
    assert_eq!(s.sweep().await.conflicts, 1);
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 0);
}

/// What is the same container is learned all the same: no task of others is there since.
#[tokio::test]
async fn a_change_after_the_clock_was_set_back_is_learned_where_the_tasks_tell() {
    let (s, vmid) = verified_ahead().await;
    s.other_mac(vmid).await;
    assert_eq!(s.sweep().await.recognised, 1);
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 1);

    let (s, vmid) = verified_ahead().await;
    let (s, _before) = s.started_anew(7).await;
    s.other_mac(vmid).await;
    assert_eq!(s.sweep().await.recognised, 1);
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 1);
}

/// Of a container that a list was without once a start tells no more than of any other, as soon as it was verified after that.
#[tokio::test]
async fn what_was_missed_once_is_a_conflict_until_it_is_verified_and_not_for_good() {
    let s = Swept::new().await;
    let (vmid, _) = s.verified("web").await;
    s.missed_once().await;
    let (s, _before) = s.started_anew(7).await;
    s.other_mac(vmid).await;
    assert_eq!(s.sweep().await.conflicts, 1);
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 0);

    let s = Swept::new().await;
    let (vmid, _) = s.verified("web").await;
    s.missed_once().await;
    let (s, _first) = s.started_anew(7).await;
    assert_eq!(s.sweep().await.recognised, 1);
    let (s, _second) = s.started_anew(8).await;
    s.other_mac(vmid).await;
    assert_eq!(s.sweep().await.recognised, 1);
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 1);
}

/// Of one that was taken over there is no task of ours: after a start nothing tells since when it is what is recorded.
#[tokio::test]
async fn what_nothing_tells_of_waits_for_a_person() {
    let s = Swept::new().await;
    s.w.pve.stranger_creates("pve2", 300).await;
    // Its own task is of long before, so that none of others is there either since it was verified.
    s.clock.set_forward(3_600_000);
    let request = AdoptContainer {
        host: Some("lab".to_owned()),
        node: Some("pve2".to_owned()),
        vmid: 300,
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    };
    let asked = s.w.engine.adopt(&s.w.actor, request).await.unwrap();
    let op = s.w.settled(asked.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(s.sweep().await.recognised, 1);
    let (s, _before) = s.started_anew(7).await;
    s.other_mac(300).await;
    assert_eq!(s.sweep().await.conflicts, 1);
    assert_eq!(s.events(EventKind::GuestIdentityLearned).await, 0);
}
