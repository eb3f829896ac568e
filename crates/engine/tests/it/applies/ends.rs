//! What is taken away: agreed to for one run, counted, and put in order.

use proximity_domain::apply::{ApplyState, Consent};
use proximity_domain::operation::OperationKind;
use proximity_domain::plan::{Act, MassBrake};
use tokio::sync::Mutex;

use super::{Stand, app, code, spec};

#[tokio::test]
async fn what_no_document_names_is_removed_with_consent_alone() {
    let s = Stand::start().await;
    s.deployed("web").await;
    let plan = s.plan(&[], true).await;
    let refused = s.begin(plan.id, Consent::default()).await;
    assert_eq!(code(refused), "prune_not_allowed");
    let mut consent = Consent {
        prune: true,
        ..Consent::default()
    };
    for destroyed in [None, Some(2)] {
        consent.confirm_destroyed = destroyed;
        let refused = s.begin(plan.id, consent).await;
        assert_eq!(code(refused), "destroy_not_confirmed");
    }
    assert_eq!(s.hostnames().await, ["web"]);
    consent.confirm_destroyed = Some(1);
    let begun = s.begin(plan.id, consent).await.unwrap();
    let (state, changes) = s.ended(begun.id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    assert!(s.hostnames().await.is_empty());
    assert_eq!(s.operations(OperationKind::Remove).await, 1);
}

#[tokio::test]
async fn an_app_that_needs_another_container_gets_one_under_its_name() {
    let s = Stand::start().await;
    let mut document = app("web", &[]);
    spec(&mut document).resources.disk_gib = Some(2);
    let id = s.apply(std::slice::from_ref(&document)).await;
    assert_eq!(s.ended(id).await.0, ApplyState::Done);
    let first = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    spec(&mut document).resources.disk_gib = Some(1);
    let plan = s.plan(std::slice::from_ref(&document), false).await;
    assert_eq!(plan.plan.changes[0].act, Act::Replace, "{plan:?}");
    let consent = Consent {
        confirm_destroyed: Some(1),
        ..Consent::default()
    };
    let begun = s.begin(plan.id, consent).await.unwrap();
    let (state, changes) = s.ended(begun.id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let second = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(changes[0].app, Some(second.id));
    assert_eq!(second.resources.disk_gib, 1);
    let counted = (
        s.operations(OperationKind::Remove).await,
        s.operations(OperationKind::Deploy).await,
    );
    assert_eq!(counted, (1, 2));
    s.is_as_wanted(&[document]).await;
}

#[tokio::test]
async fn a_plan_is_refused_once_it_would_be_another_one_and_once_it_was_applied() {
    let s = Stand::start().await;
    let documents = [app("web", &[])];
    let old = s.plan(&documents, false).await;
    s.deployed("web").await;
    let refused = s.begin(old.id, Consent::default()).await;
    assert_eq!(code(refused), "plan_outdated");
    assert_eq!(s.operations(OperationKind::Deploy).await, 1);
    let begun = s.agreed(&documents, false, Consent::default()).await;
    assert_eq!(s.ended(begun.id).await.0, ApplyState::Done);
    let twice = s.begin(begun.plan, Consent::default()).await;
    assert_eq!(code(twice), "plan_applied");
}

#[tokio::test]
async fn what_applies_removed_in_the_last_hour_counts_for_the_mass_brake() {
    let s = Stand::start().await;
    for name in ["aaa", "bbb", "ccc", "ddd"] {
        s.deployed(name).await;
    }
    let kept = [app("ccc", &[]), app("ddd", &[])];
    assert_eq!(s.plan(&kept, true).await.plan.brake, None);
    let consent = Consent {
        prune: true,
        confirm_removed: None,
        confirm_destroyed: Some(2),
    };
    let begun = s.agreed(&kept, true, consent).await;
    assert_eq!(s.ended(begun.id).await.0, ApplyState::Done);
    let rest = s.plan(&[], true).await;
    let brake = MassBrake {
        removed: 2,
        done: 2,
        limit: 3,
    };
    assert_eq!(rest.plan.brake, Some(brake));
    let refused = s.begin(rest.id, consent).await;
    assert_eq!(code(refused), "brake_not_released");
    let confirmed = Consent {
        confirm_removed: Some(2),
        ..consent
    };
    let begun = s.begin(rest.id, confirmed).await.unwrap();
    assert_eq!(s.ended(begun.id).await.0, ApplyState::Done);
    assert!(s.hostnames().await.is_empty());
}

#[tokio::test]
async fn what_an_apply_is_about_to_remove_counts_for_the_mass_brake() {
    let s = Stand::start().await;
    for name in ["aaa", "bbb", "ccc", "ddd"] {
        s.deployed(name).await;
    }
    let consent = Consent {
        prune: true,
        confirm_removed: None,
        confirm_destroyed: Some(2),
    };
    // Nothing of it is begun yet.
    s.agreed(&[app("ccc", &[]), app("ddd", &[])], true, consent)
        .await;
    let others = s.plan(&[app("aaa", &[]), app("bbb", &[])], true).await;
    let brake = MassBrake {
        removed: 2,
        done: 2,
        limit: 3,
    };
    assert_eq!(others.plan.brake, Some(brake));
}

/// Neither is there yet when the other one is looked at.
#[tokio::test]
async fn two_that_begin_at_the_same_moment_are_stopped_by_the_mass_brake_together() {
    let s = Stand::start().await;
    let with_disk = |name: &str, gib: u32| {
        let mut document = app(name, &[]);
        spec(&mut document).resources.disk_gib = Some(gib);
        document
    };
    let all = ["aaa", "bbb", "ccc", "ddd"].map(|name| with_disk(name, 2));
    let made = s.apply(&all).await;
    assert_eq!(s.ended(made).await.0, ApplyState::Done);
    s.is_as_wanted(&all).await;
    // A smaller disk is another container.
    let these = ["aaa", "bbb"].map(|name| with_disk(name, 1));
    let others = ["ccc", "ddd"].map(|name| with_disk(name, 1));
    let consent = Consent {
        confirm_destroyed: Some(2),
        ..Consent::default()
    };
    let left = Mutex::new(None);
    let is_decided = async || {
        let (one, other) = (s.plan(&these, false).await, s.plan(&others, false).await);
        assert_eq!((one.plan.brake, other.plan.brake), (None, None));
        let both = tokio::join!(s.begin(one.id, consent), s.begin(other.id, consent));
        match both {
            (Ok(_), Ok(_)) => panic!("four of four may end"),
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => {
                *left.lock().await = Some(refused.code());
                true
            }
            // The cluster's list was told anew in between.
            (Err(one), Err(other)) => {
                let codes = [one.code(), other.code()];
                assert_eq!(codes, ["plan_outdated", "plan_outdated"]);
                false
            }
        }
    };
    Box::pin(s.w.until(is_decided)).await.unwrap();
    let refused = left.into_inner().unwrap();
    let told = ["brake_not_released", "plan_outdated"];
    assert!(told.contains(&refused), "{refused}");
    assert_eq!(s.w.store.applies(None, 10).await.unwrap().len(), 2);
}

/// Somebody gives a container more after it was agreed that it goes, and before its turn comes.
#[tokio::test]
async fn nothing_is_destroyed_that_was_not_shown() {
    let s = Stand::start().await;
    s.deployed("web").await;
    let consent = Consent {
        prune: true,
        confirm_removed: None,
        confirm_destroyed: Some(1),
    };
    let id = s.agreed(&[], true, consent).await.id;
    let web = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    let guests = s.w.store.native_guests(web.id).await.unwrap();
    let place = &guests[0].place;
    let resize = format!("/nodes/{}/lxc/{}/resize", place.node, place.vmid);
    let more = [("disk", "rootfs"), ("size", "+1G")];
    s.w.pve.put(&resize, &more).await;
    s.w.pve.quiet().await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Failed, "{changes:?}");
    let why = changes[0].why.as_ref().map(|why| why.code.as_str());
    assert_eq!(why, Some("plan_outdated"));
    assert_eq!(s.hostnames().await, ["web"]);
    assert_eq!(s.operations(OperationKind::Remove).await, 0);
}
