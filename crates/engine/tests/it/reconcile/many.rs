//! Many that are missing at once: one event for people, one of each for whoever follows its app, and those that are left told of
//! by themselves.

use proximity_domain::ids::AppId;
use proximity_testkit::world::Place;

use super::*;

/// The cluster's list as it would be without these guests.
fn list_without_all(vmids: Vec<u32>) -> Arc<Distort> {
    Arc::new(
        move |request: &Request,
              answer: Result<RawResponse, TransportError>|
              -> Result<RawResponse, TransportError> {
            let lacks = vmids.iter().copied().map(list_without);
            lacks.fold(answer, |answer, without| without(request, answer))
        },
    )
}

impl Looked {
    /// The apps of the events of this kind, in their order.
    async fn told_of(&self, kind: EventKind) -> Vec<Option<AppId>> {
        let events = self.w.store.events(0, 1_000).await.unwrap();
        let of_kind = events.into_iter().filter(|event| event.2.kind == kind);
        of_kind.map(|event| event.3).collect()
    }

    /// A pass over a list without these, which finds as many missing.
    pub(super) async fn pass_without(&self, vmids: &[u32]) {
        self.w.pve.distort(Some(list_without_all(vmids.to_vec())));
        let missing = u64::try_from(vmids.len()).unwrap();
        assert_eq!(self.pass().await.suspected, missing);
    }

    /// The next process over the same record: nothing is in its memory.
    async fn restarted(&mut self, seed: u64) -> Self {
        self.w.crash_worker().await;
        let again = TestWorld::start_of(WorldParts {
            clusters: vec![self.w.pve.clone()],
            clock: Some(self.clock.clone()),
            pairs: 8,
            seed,
            place: Place::Opened(self.w.store.clone()),
            ..WorldParts::default()
        });
        Self {
            w: again.await.unwrap(),
            clock: self.clock.clone(),
        }
    }
}

#[tokio::test]
async fn what_is_left_of_many_is_told_of_by_itself_once() {
    let l = Looked::new().await;
    let mut apps = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        apps.push(l.deployed(name).await);
    }
    let vmids: Vec<u32> = apps.iter().map(|(_, vmid)| *vmid).collect();
    for _ in 0..2 {
        l.pass_without(&vmids).await;
    }
    assert_eq!(l.events(EventKind::OrphansSuspected).await, 1);
    assert_eq!(l.told_of(EventKind::OrphanSuspected).await, []);
    let mut each: Vec<_> = apps.iter().map(|(app, _)| Some(app.id)).collect();
    let mut among = l.told_of(EventKind::OrphanAmongMany).await;
    each.sort_unstable();
    among.sort_unstable();
    assert_eq!(among, each, "each hears of its own app");
    // Four are missing still: more than the brake lets by.
    l.pass_without(&vmids[1..]).await;
    assert_eq!(l.told_of(EventKind::OrphanSuspected).await, []);
    for _ in 0..3 {
        l.pass_without(&vmids[4..]).await;
    }
    let fifth = [Some(apps[4].0.id)];
    assert_eq!(l.told_of(EventKind::OrphanSuspected).await, fifth);
    assert_eq!(l.events(EventKind::OrphanAmongMany).await, 5);
    // Seen again, and missing again by itself.
    l.pass_without(&[]).await;
    l.pass_without(&vmids[4..]).await;
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 2);
    assert_eq!(l.events(EventKind::OrphansSuspected).await, 1);
    for (app, _) in &apps {
        assert!(l.is_live(app).await);
    }
    l.assert_sound().await;
}

/// What was told before a restart is on record: nothing is lost, and nothing told twice.
#[tokio::test]
async fn what_is_left_is_told_of_after_a_restart_too() {
    let mut l = Looked::new().await;
    let mut apps = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        apps.push(l.deployed(name).await);
    }
    let vmids: Vec<u32> = apps.iter().map(|(_, vmid)| *vmid).collect();
    l.pass_without(&vmids).await;
    for seed in 1..=2 {
        let l = l.restarted(seed).await;
        l.pass_without(&vmids[4..]).await;
        let fifth = [Some(apps[4].0.id)];
        assert_eq!(l.told_of(EventKind::OrphanSuspected).await, fifth);
        assert_eq!(l.events(EventKind::OrphansSuspected).await, 1);
        l.assert_sound().await;
    }
}

/// Its node goes off, and the server begins anew before it is back: nobody has seen the container in between, and nobody is told of
/// it again; its end is told when it is seen.
#[tokio::test]
async fn what_was_told_stays_told_while_its_node_is_off_over_a_restart_too() {
    let mut l = Looked::new().await;
    let (app, vmid) = l.deployed("web").await;
    l.pass_without(&[vmid]).await;
    let reach = |l: &Looked, reach| {
        l.w.pve
            .meddle(|world| world.node_mut("pve2").unwrap().reach = reach);
    };
    reach(&l, Reach::Refused);
    assert_eq!(l.pass().await.suspected, 0, "its node is off");
    let commit = *l.w.store.commits().borrow();
    l.pass().await;
    assert_eq!(*l.w.store.commits().borrow(), commit, "written once");
    let mut l = l.restarted(1).await;
    assert_eq!(l.pass().await.suspected, 0);
    reach(&l, Reach::Up);
    l.pass_without(&[vmid]).await;
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 1);
    assert_eq!(l.events(EventKind::GuestSeenAgain).await, 0);
    reach(&l, Reach::Refused);
    l.pass().await;
    reach(&l, Reach::Up);
    let l = l.restarted(2).await;
    l.pass_without(&[]).await;
    assert_eq!(l.events(EventKind::GuestSeenAgain).await, 1, "its end");
    assert_eq!(l.events(EventKind::OrphanSuspected).await, 1);
    assert!(l.is_live(&app).await);
    l.assert_sound().await;
}
