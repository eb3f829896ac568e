//! The mass brake: it stops, and a person lets go of exactly what was missing.

use proximity_domain::observe::Brake;
use proximity_engine::commands::GiveUp;

use super::*;

#[tokio::test]
async fn too_many_at_once_stop_until_the_very_number_is_confirmed() {
    let l = Looked::new().await;
    let mut apps = Vec::new();
    for name in ["one", "two", "three", "four"] {
        apps.push(l.deployed(name).await);
    }
    for (_, vmid) in &apps {
        l.delete_by_hand(*vmid).await;
    }
    let stopped = l.looks(5).await;
    assert_eq!(stopped.result.orphans_purged, 0);
    assert!(!stopped.result.success);
    assert_eq!(stopped.brake.unwrap().missing, 4);
    assert_eq!(l.events(EventKind::MassBrakeStopped).await, 1);
    let confirm = |missing| Pass::Confirmed {
        missing,
        actor: l.w.actor.clone(),
    };
    let reconciler = l.w.engine.reconciler();
    let wrong = reconciler.pass(&confirm(3)).await.unwrap();
    let said = wrong.result.errors.join("\n");
    assert!(said.contains("3 were confirmed, 4 have been"), "{said}");
    assert_eq!(
        (wrong.result.orphans_purged, wrong.brake.is_some()),
        (0, true)
    );
    let right = reconciler.pass(&confirm(4)).await.unwrap();
    assert_eq!(
        (right.result.orphans_purged, right.result.success),
        (4, true)
    );
    assert_eq!(l.events(EventKind::MassBrakeReleased).await, 1);
    let audit = l.w.store.audit(1_000, 0).await.unwrap();
    let archived = audit.iter().filter(|a| a.action == "app.archive_orphan");
    assert!(archived.clone().all(|a| a.account == l.w.actor.account));
    assert_eq!(archived.count(), 4, "the person is in each entry");
    let (app, vmid) = l.deployed("five").await;
    l.delete_by_hand(vmid).await;
    l.looks(3).await;
    assert!(!l.is_live(&app).await, "what was confirmed does not count");
    l.assert_sound().await;
}

#[tokio::test]
async fn what_is_proven_is_confirmed_though_more_is_missing() {
    let l = Looked::new().await;
    let mut apps = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        apps.push(l.deployed(name).await);
    }
    let (late, others) = apps.split_last().unwrap();
    for (_, vmid) in others {
        l.delete_by_hand(*vmid).await;
    }
    let early = l.looks(1).await.brake.unwrap();
    assert_eq!((early.missing, early.ripe), (4, 0));
    assert!(early.hint.contains("in a minute"), "{}", early.hint);
    l.looks(3).await;
    l.delete_by_hand(late.1).await;
    let stopped = l.pass().await.brake.unwrap();
    assert_eq!((stopped.missing, stopped.ripe), (5, 4));
    assert!(stopped.hint.contains("--confirm-missing 4"));
    let confirmed = Pass::Confirmed {
        missing: 4,
        actor: l.w.actor.clone(),
    };
    let done = l.w.engine.reconciler().pass(&confirmed).await.unwrap();
    assert_eq!(done.result.orphans_purged, 4, "{done:?}");
    assert!(l.is_live(&late.0).await, "of it nothing is proven yet");
    l.assert_sound().await;
}

/// The confirmation is on record with what came of it, though not all of it could be done.
#[tokio::test]
async fn a_confirmation_that_is_done_in_part_is_audited_with_its_person() {
    let l = Looked::new().await;
    let mut apps = Vec::new();
    for name in ["one", "two", "three", "four"] {
        apps.push(l.deployed(name).await);
    }
    for (_, vmid) in &apps {
        l.delete_by_hand(*vmid).await;
    }
    l.looks(5).await;
    let silent = format!("/lxc/{}/config", apps[3].1);
    l.w.pve.lose(Method::Get, &silent, u32::MAX);
    let confirm = |missing| Pass::Confirmed {
        missing,
        actor: l.w.actor.clone(),
    };
    let reconciler = l.w.engine.reconciler();
    let part = reconciler.pass(&confirm(4)).await.unwrap();
    assert_eq!(part.result.orphans_purged, 3, "{part:?}");
    let entries = async || {
        let audit = l.w.store.audit(1_000, 0).await.unwrap().into_iter();
        let of = audit.filter(|entry| entry.action == "reconcile.confirm_missing");
        of.collect::<Vec<_>>()
    };
    let [entry]: [_; 1] = entries().await.try_into().unwrap();
    assert_eq!(entry.account, l.w.actor.account);
    assert_eq!(entry.details["confirmed"], 4);
    assert_eq!(entry.details["archived"], 3);
    let mut names: Vec<&str> = Vec::new();
    for name in entry.details["apps"].as_array().unwrap() {
        names.push(name.as_str().unwrap());
    }
    names.sort_unstable();
    assert_eq!(names, ["one", "three", "two"]);
    assert_eq!(l.events(EventKind::MassBrakeReleased).await, 0);
    l.w.pve.lose(Method::Get, &silent, 0);
    let rest = reconciler.pass(&confirm(1)).await.unwrap();
    assert_eq!(rest.result.orphans_purged, 1, "{rest:?}");
    assert_eq!(entries().await.len(), 2);
    assert_eq!(l.events(EventKind::MassBrakeReleased).await, 1);
    l.assert_sound().await;
}

#[tokio::test]
async fn twice_as_many_missing_are_told_of_anew() {
    let l = Looked::new().await;
    let mut vmids = Vec::new();
    for name in [
        "one", "two", "three", "four", "five", "six", "seven", "eight",
    ] {
        vmids.push(l.deployed(name).await.1);
    }
    for (n, vmid) in (1..).zip(vmids) {
        l.delete_by_hand(vmid).await;
        l.pass().await;
        let told = [0, 0, 0, 1, 1, 1, 1, 2][n - 1];
        assert_eq!(l.events(EventKind::MassBrakeStopped).await, told, "{n}");
    }
}

/// What a person gave up with a node were records as well: the hour after it has no room for more.
#[tokio::test]
async fn what_was_lost_with_a_node_counts() {
    let mut l = Looked::new().await;
    for name in ["one", "two", "three"] {
        l.deployed(name).await;
    }
    let (app, vmid) = l.deployed("four").await;
    l.w.stop_worker().await.unwrap();
    l.w.pve.meddle(|world| world.move_guest(vmid, "pve1"));
    let followed = async || l.pass().await.moved == 1;
    l.w.until(followed).await.unwrap();
    l.w.pve.meddle(|world| {
        world.remove_node("pve2");
        world.delete_files_of("pve2");
    });
    let (engine, actor) = (&l.w.engine, &l.w.actor);
    let lost = engine.give_up_node(actor, "lab", "pve2", GiveUp::Lost(3));
    assert!(lost.await.unwrap().is_done);
    l.w.pve.meddle(|world| world.forget_guest(vmid));
    let stopped = l.looks(4).await.brake.unwrap();
    assert_eq!((stopped.missing, stopped.done), (1, 3));
    assert!(l.is_live(&app).await);
    l.assert_sound().await;
}

/// More than may go in an hour: the number that is typed lets go of them, and an hour later there is room again.
#[tokio::test]
async fn what_is_lost_with_a_node_goes_by_its_number_and_counts_for_an_hour() {
    let mut l = Looked::new().await;
    for name in ["one", "two", "three", "four"] {
        l.deployed(name).await;
    }
    let (app, vmid) = l.deployed("five").await;
    l.w.stop_worker().await.unwrap();
    l.w.pve.meddle(|world| world.move_guest(vmid, "pve1"));
    let followed = async || l.pass().await.moved == 1;
    l.w.until(followed).await.unwrap();
    l.w.pve.meddle(|world| {
        world.remove_node("pve2");
        world.delete_files_of("pve2");
    });
    let give_up = async |said| {
        let lost = l.w.engine.give_up_node(&l.w.actor, "lab", "pve2", said);
        lost.await.unwrap()
    };
    let shown = give_up(GiveUp::Show).await;
    assert!(
        matches!(
            shown.brake,
            Brake::Stops {
                done: 0,
                limit: 3,
                ..
            }
        ),
        "{:?}",
        shown.brake
    );
    assert!(give_up(GiveUp::Lost(4)).await.is_done);
    l.w.pve.meddle(|world| world.forget_guest(vmid));
    let stopped = l.looks(4).await.brake.unwrap();
    assert_eq!((stopped.missing, stopped.done), (1, 4));
    assert!(l.is_live(&app).await);
    l.clock.pass(3_600_000);
    l.looks(1).await;
    assert!(!l.is_live(&app).await, "the hour is over");
    l.assert_sound().await;
}

/// It is told of once, and its end once; what begins anew is told anew.
#[tokio::test]
async fn a_brake_that_is_let_go_by_what_is_seen_again_says_so() {
    let l = Looked::new().await;
    let mut vmids = Vec::new();
    for name in ["one", "two", "three", "four"] {
        vmids.push(l.deployed(name).await.1);
    }
    let told = async || {
        let events = l.w.store.events(0, 1_000).await.unwrap().into_iter();
        let kinds = [EventKind::MassBrakeStopped, EventKind::MassBrakeEnded];
        let of_it = events.filter(|row| kinds.contains(&row.2.kind));
        let since = of_it.map(|row| (row.2.kind, row.2.body["since"].clone()));
        since.collect::<Vec<_>>()
    };
    for round in 1..=2 {
        l.pass_without(&vmids).await;
        l.pass_without(&vmids).await;
        l.clock.pass(1_000);
        l.pass_without(&[]).await;
        l.pass_without(&[]).await;
        let told = told().await;
        assert_eq!(told.len(), 2 * round, "{told:?}");
        let [.., stopped, ended] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(stopped.0, EventKind::MassBrakeStopped);
        assert_eq!(ended.0, EventKind::MassBrakeEnded);
        assert_eq!(stopped.1, ended.1, "of the same moment");
    }
    let told = told().await;
    assert_ne!(told[0].1, told[2].1, "it began anew");
}
