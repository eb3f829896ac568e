//! What a pass asks and writes when there is nothing new, and whom it waits for.

use super::*;

#[tokio::test]
async fn a_pass_that_finds_nothing_new_sends_three_requests_and_writes_nothing() {
    let mut l = Looked::new().await;
    l.deployed("web").await;
    l.w.stop_worker().await.unwrap();
    l.pass().await;
    let (calls, commit) = (l.w.pve.calls(), *l.w.store.commits().borrow());
    let report = l.pass().await;
    assert!(report.result.success, "{report:?}");
    assert_eq!(
        (report.result.total_apps, report.result.real_vmids_count),
        (1, 1)
    );
    assert_eq!(l.w.pve.calls() - calls, 3);
    assert_eq!(*l.w.store.commits().borrow(), commit);
}

/// Two rows for a pass that tells of something, none for one that does not.
#[tokio::test]
async fn a_pass_that_tells_of_something_says_that_it_begins_and_what_came_of_it() {
    let mut l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    l.w.stop_worker().await.unwrap();
    l.pass().await;
    let newest = async |l: &Looked| l.w.store.newest_event().await.unwrap();
    let before = newest(&l).await;
    l.pass().await;
    assert_eq!(newest(&l).await, before, "nothing is new");
    l.delete_by_hand(vmid).await;
    let mut passes = std::collections::BTreeSet::new();
    // The look between the two counts, and tells nothing.
    for (tells, looks, purged) in [
        (EventKind::OrphanSuspected, 1, 0),
        (EventKind::AnomalousOrphanDetected, 2, 1),
    ] {
        let before = newest(&l).await;
        l.looks(looks).await;
        let events = l.w.store.events(before, 100).await.unwrap();
        let kinds: Vec<EventKind> = events.iter().map(|event| event.2.kind).collect();
        let expected = [
            EventKind::ReconciliationStarted,
            tells,
            EventKind::ReconciliationCompleted,
        ];
        let told: Vec<EventKind> = kinds
            .iter()
            .copied()
            .filter(|kind| expected.contains(kind))
            .collect();
        assert_eq!(told, expected, "{kinds:?}");
        assert_eq!((kinds[0], kinds.last()), (expected[0], Some(&expected[2])));
        let (first, last) = (&events[0].2.body, &events[events.len() - 1].2.body);
        assert_eq!(first["pass"], last["pass"]);
        let counted = (
            &last["suspected"],
            &last["orphans_purged"],
            &last["success"],
        );
        assert_eq!(counted, (&1.into(), &purged.into(), &true.into()));
        passes.insert(first["pass"].to_string());
    }
    assert_eq!(passes.len(), 2, "each has its own name");
    l.assert_sound().await;
}

/// What is asked side by side needs a connection each, with a handshake.
#[tokio::test]
async fn a_look_asks_for_the_list_beside_one_other_thing() {
    let mut l = Looked::new().await;
    l.w.stop_worker().await.unwrap();
    let go_on = l.w.pve.hold(Method::Get, "/cluster/status");
    let before = l.w.pve.calls();
    let beside = async {
        l.w.pve.calls_arrived(before + 1).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let arrived = l.w.pve.calls() - before;
        go_on.send_replace(true);
        arrived
    };
    let (report, arrived) = tokio::join!(l.pass(), beside);
    assert!(report.result.success, "{report:?}");
    assert_eq!((arrived, l.w.pve.calls() - before), (1, 3));
}

/// So that it needs one connection alone.
#[tokio::test]
async fn a_look_at_what_is_near_asks_one_thing_after_the_other() {
    let mut l = Looked::new().await;
    l.w.stop_worker().await.unwrap();
    l.w.pve.come_near();
    let go_on = l.w.pve.hold(Method::Get, "/cluster/status");
    let before = l.w.pve.calls();
    let beside = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let arrived = l.w.pve.calls() - before;
        go_on.send_replace(true);
        arrived
    };
    let (report, arrived) = tokio::join!(l.pass(), beside);
    assert!(report.result.success, "{report:?}");
    assert_eq!((arrived, l.w.pve.calls() - before), (0, 3));
}

#[tokio::test]
async fn connections_are_let_go_after_a_pass_unless_the_sweep_uses_them() {
    let mut l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    l.w.stop_worker().await.unwrap();
    let before = l.w.pve.rests();
    l.pass().await;
    assert_eq!(l.w.pve.rests() - before, 1);
    let path = format!("/lxc/{vmid}/config");
    let go_on = l.w.pve.hold(Method::Get, &path);
    let beside = async {
        l.pass().await;
        go_on.send_replace(true);
    };
    let (swept, ()) = tokio::join!(l.w.engine.reconciler().sweep(), beside);
    assert_eq!(swept.unwrap().recognised, 1);
    assert_eq!(l.w.pve.rests() - before, 1);
    l.pass().await;
    assert_eq!(l.w.pve.rests() - before, 2);
}

#[tokio::test]
async fn a_node_that_hangs_holds_up_one_pass_for_three_seconds_and_then_none() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    l.w.pve.meddle(|world| world.move_guest(vmid, "pve3"));
    let held = l.w.pve.hold_node("pve3");
    let report = l.pass().await;
    let [why] = report.result.errors.as_slice() else {
        panic!("{report:?}");
    };
    assert!(why.contains("node pve3 does not answer"), "{why}");
    let calls = l.w.pve.calls();
    assert_eq!((l.pass().await.moved, l.w.pve.calls() - calls), (0, 3));
    held.send_replace(true);
    assert_eq!(l.pass().await.moved, 0, "it is left for a minute");
    l.clock.pass(60_000);
    assert_eq!(l.pass().await.moved, 1);
}

#[tokio::test]
async fn a_dry_pass_writes_nothing() {
    let l = Looked::new().await;
    let (_, vmid) = l.deployed("web").await;
    l.delete_by_hand(vmid).await;
    l.looks(2).await;
    let before = *l.w.store.commits().borrow();
    let told = l.w.engine.reconciler().pass(&Pass::Dry).await.unwrap();
    assert_eq!(
        (told.result.orphans_found, told.result.orphans_purged),
        (1, 0)
    );
    assert_eq!(*l.w.store.commits().borrow(), before);
}
