//! Prepared templates on the emulated PVE: made of what is deployed again, cloned from, and gone when their time is over.

mod others;

use proximity_domain::ids::PreparedId;
use proximity_domain::operation::OperationState;
use proximity_domain::prepared::{Call, Kept, Policy, Stage};
use proximity_domain::retry::RetryPolicy;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::templates::Templates;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::{Access, Template};
use proximity_store::records::{AppRecord, OperationRecord};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};

/// What makes a template here, and undoes it: each call by the end of its path.
const CALLS: [(Method, &str); 4] = [
    (Method::Post, "/lxc"),
    (Method::Post, "/status/start"),
    (Method::Post, "/status/shutdown"),
    (Method::Post, "/template"),
];

fn limits(on: bool) -> EngineLimits {
    EngineLimits {
        late_ms: 10,
        destroy_late_ms: 20,
        power_off_late_ms: 20,
        proxied_late_ms: 20,
        retry: RetryPolicy {
            first_ms: 10,
            ..RetryPolicy::DEFAULT
        },
        templates: Policy {
            on,
            ..Policy::default()
        },
        ..EngineLimits::default()
    }
}

/// A world whose storage shares what clones have in common, or copies it.
async fn world(links: bool) -> TestWorld {
    world_with(links, limits(true)).await
}

async fn world_with(links: bool, limits: EngineLimits) -> TestWorld {
    let pve = Pve::start_with(Access::Full, |seed| {
        if links {
            seed.storages[0].kind = "btrfs".to_owned();
        }
    });
    TestWorld::start_of(WorldParts {
        clusters: vec![pve],
        limits,
        pairs: 8,
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

async fn ask(w: &TestWorld, name: &str) -> AppRecord {
    let request = CreateApp {
        catalog_id: "nginx".to_owned(),
        hostname: name.to_owned(),
        ..CreateApp::default()
    };
    w.engine.create_app(&w.actor, request).await.unwrap()
}

async fn end_of(w: &TestWorld, app: &AppRecord) -> OperationRecord {
    w.settled(app.operation.unwrap()).await.unwrap()
}

async fn deployed(w: &TestWorld, name: &str) -> AppRecord {
    let app = ask(w, name).await;
    let op = end_of(w, &app).await;
    assert_eq!(op.state, OperationState::Succeeded, "{name}");
    app
}

/// Looks after the templates until what is on record of them is so.
async fn tended(w: &TestWorld, what: &str, is_so: impl Fn(&[Kept]) -> bool) {
    let templates = Templates::new(w.engine.clone());
    let came = w.until(async || {
        templates.pass().await.unwrap();
        is_so(&w.store.prepared().await.unwrap())
    });
    if let Err(why) = came.await {
        let told = w.engine.templates().await.unwrap();
        panic!("{what}: {why}: {told:?}");
    }
}

fn is_ready(all: &[Kept]) -> bool {
    all.iter().any(|kept| kept.prepared.stage == Stage::Ready)
}

/// Two deploys of one base, and the template that is made after them.
async fn prepared(w: &TestWorld) -> (PreparedId, u32) {
    for name in ["web-a", "web-b"] {
        deployed(w, name).await;
    }
    tended(w, "none is ready", is_ready).await;
    let all = w.store.prepared().await.unwrap();
    let one = &all[0].prepared;
    (one.id, one.identity.vmid.get())
}

fn sent(w: &TestWorld, call: &str) -> usize {
    let changes = w.pve.changes();
    changes.iter().filter(|one| one.as_str() == call).count()
}

async fn dropped(w: &TestWorld, id: PreparedId) {
    let dropped = w.engine.drop_template(&w.actor, id, false);
    dropped.await.unwrap();
}

async fn assert_sound(w: &TestWorld) {
    assert_eq!(w.store.invariants().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_third_deploy_of_a_base_is_a_clone_of_what_the_second_one_made_worth_while() {
    for links in [true, false] {
        let w = world(links).await;
        deployed(&w, "web").await;
        let templates = Templates::new(w.engine.clone());
        templates.pass().await.unwrap();
        assert!(w.store.prepared().await.unwrap().is_empty(), "once is not");
        let (_, template) = prepared(&w).await;
        let shows = |path: &str| w.pve.guests.file(template, path).flatten();
        assert_eq!(shows("/etc/machine-id"), Some(Vec::new()));
        assert_eq!(shows("/etc/ssh/ssh_host_ed25519_key"), None);
        let unpacked = sent(&w, "POST /nodes/pve1/lxc");
        let app = deployed(&w, "web-c").await;
        let clone = format!("POST /nodes/pve1/lxc/{template}/clone");
        assert_eq!(sent(&w, &clone), 1, "{:?}", w.pve.changes());
        assert_eq!(sent(&w, "POST /nodes/pve1/lxc"), unpacked);
        let kept = &w.store.prepared().await.unwrap()[0];
        assert_eq!(kept.clones.linked, u32::from(links));
        assert_eq!(kept.clones.unconfirmed, 0);
        let guest = w.store.native_guests(app.id).await.unwrap().remove(0);
        let (mac, name) = w.pve.meddle(|world| {
            let mut guests = world.guests();
            let (_, found) = guests
                .find(|(id, _)| *id == guest.identity.vmid.get())
                .unwrap();
            let key = |key: &str| found.config.get(key).unwrap_or_default().to_owned();
            (key("net0"), key("hostname"))
        });
        assert!(mac.contains(&guest.identity.net0_mac.to_string()), "{mac}");
        assert_eq!(name, "web-c");
        assert_sound(&w).await;
    }
}

#[tokio::test]
async fn with_the_cache_off_nothing_is_counted_made_or_cloned() {
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        limits: limits(false),
        pairs: 8,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    for name in ["web-a", "web-b", "web-c"] {
        deployed(&w, name).await;
    }
    Templates::new(w.engine.clone()).pass().await.unwrap();
    assert!(w.store.prepared().await.unwrap().is_empty());
    assert_eq!(sent(&w, "POST /nodes/pve1/lxc"), 3);
}

/// Whatever call gets no answer, or is not sent: the template is made all the same, and goes when it is dropped.
#[tokio::test]
async fn no_answer_that_is_lost_leaves_anything() {
    for is_sent in [true, false] {
        for (method, end) in CALLS {
            let w = world(true).await;
            for name in ["web-a", "web-b"] {
                deployed(&w, name).await;
            }
            if is_sent {
                w.pve.cut_after(method, end);
            } else {
                w.pve.lose(method, end, 1);
            }
            let what = format!("{end}, sent: {is_sent}");
            tended(&w, &what, is_ready).await;
            let all = w.store.prepared().await.unwrap();
            let (id, vmid) = (all[0].prepared.id, all[0].prepared.identity.vmid);
            w.pve.cut_after(Method::Delete, &format!("/lxc/{vmid}"));
            dropped(&w, id).await;
            tended(&w, &what, <[Kept]>::is_empty).await;
            assert_eq!(w.pve.guests.vmids().len(), 2, "{what}");
            assert_sound(&w).await;
        }
    }
}

/// A process that dies in the middle of the making, wherever that is: the next one goes on.
#[tokio::test]
async fn whoever_is_cut_off_goes_on() {
    for (method, end) in CALLS {
        let w = world(true).await;
        for name in ["web-a", "web-b"] {
            deployed(&w, name).await;
        }
        let held = w.pve.hold(method, end);
        cut_off_at(&w, call_of(end)).await;
        held.send(true).unwrap();
        tended(&w, end, is_ready).await;
        dropped(&w, w.store.prepared().await.unwrap()[0].prepared.id).await;
        tended(&w, end, <[Kept]>::is_empty).await;
        assert_eq!(w.pve.guests.vmids().len(), 2, "{end}");
    }
}

fn call_of(end: &str) -> Call {
    match end {
        "/lxc" => Call::Create,
        "/status/start" => Call::Start,
        "/status/shutdown" => Call::Stop,
        "/template" => Call::Convert,
        other => panic!("{other} is no call for a template"),
    }
}

/// Passes until a call of this kind is on record, and cuts them off there.
async fn cut_off_at(w: &TestWorld, call: Call) {
    let templates = Templates::new(w.engine.clone());
    let dies = async {
        for _ in 0..1_000 {
            templates.pass().await.unwrap();
        }
    };
    let is_sent = w.until(async || {
        let all = w.store.prepared().await.unwrap();
        let sent = all.first().and_then(|kept| kept.sent);
        sent.is_some_and(|sent| sent.call == call)
    });
    tokio::select! {
        () = dies => panic!("nothing was cut off at {call:?}"),
        reached = is_sent => reached.unwrap(),
    }
}

#[tokio::test]
async fn a_clone_whose_answers_are_lost_is_found_and_is_ours() {
    for (method, end) in [(Method::Post, "/clone"), (Method::Put, "/config")] {
        let w = world(true).await;
        prepared(&w).await;
        w.pve.cut_after(method, end);
        let app = deployed(&w, "web-c").await;
        assert_eq!(w.pve.guests.vmids().len(), 4, "{end}");
        let guest = w.store.native_guests(app.id).await.unwrap().remove(0);
        assert!(guest.identity.rootfs_volid.is_some(), "{end}");
        assert_eq!(w.store.prepared().await.unwrap()[0].clones.linked, 1);
        assert_sound(&w).await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_between_the_two_calls_of_a_clone_loses_nothing() {
    let mut w = world(true).await;
    prepared(&w).await;
    let held = w.pve.hold(Method::Put, "/config");
    let app = ask(&w, "web-c").await;
    w.until(async || w.pve.guests.vmids().len() == 4)
        .await
        .unwrap();
    w.crash_worker().await;
    held.send(true).unwrap();
    w.start_worker();
    let op = end_of(&w, &app).await;
    assert_eq!(op.state, OperationState::Succeeded);
    assert_eq!(w.pve.guests.vmids().len(), 4);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_clone_that_is_refused_is_unpacked_from_the_archive() {
    let w = world(true).await;
    prepared(&w).await;
    let unpacked = sent(&w, "POST /nodes/pve1/lxc");
    w.pve.refuse(Method::Post, "/clone", "no room for it", 1);
    let app = deployed(&w, "web-c").await;
    assert_eq!(sent(&w, "POST /nodes/pve1/lxc"), unpacked + 1);
    let log = w.store.log_tail(app.id, 100).await.unwrap();
    let told = log
        .iter()
        .filter(|line| line.message.contains("no room for it"));
    assert_eq!(told.count(), 1);
    let kept = &w.store.prepared().await.unwrap()[0];
    assert_eq!((kept.clones.linked, kept.clones.unconfirmed), (0, 0));
}

#[tokio::test]
async fn a_deploy_that_turns_back_takes_its_clone_with_it() {
    let w = world(true).await;
    let (_, template) = prepared(&w).await;
    w.pve.refuse(Method::Post, "/status/start", "no", 100);
    let app = ask(&w, "web-c").await;
    let op = end_of(&w, &app).await;
    assert!(matches!(op.state, OperationState::Failed { .. }), "{op:?}");
    assert_eq!(w.pve.guests.vmids().len(), 3);
    assert!(w.pve.guests.vmids().contains(&template));
    let kept = &w.store.prepared().await.unwrap()[0];
    assert_eq!((kept.clones.linked, kept.clones.unconfirmed), (0, 0));
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_template_stays_as_long_as_a_container_shares_with_it() {
    let w = world(true).await;
    let (id, template) = prepared(&w).await;
    let app = deployed(&w, "web-c").await;
    dropped(&w, id).await;
    let templates = Templates::new(w.engine.clone());
    for _ in 0..3 {
        templates.pass().await.unwrap();
    }
    assert!(w.pve.guests.vmids().contains(&template));
    let removal = Action::Delete {
        confirm: Some("web-c".to_owned()),
        force_stop: true,
        purge: false,
    };
    let removed = w.engine.act(&w.actor, "web-c", removal).await.unwrap();
    let removed = w.settled(removed.id).await.unwrap();
    assert_eq!(removed.state, OperationState::Succeeded);
    tended(&w, "it stays", <[Kept]>::is_empty).await;
    assert!(!w.pve.guests.vmids().contains(&template));
    assert_eq!(w.pve.guests.vmids().len(), 2, "{}", app.hostname);
    assert_sound(&w).await;
}

#[tokio::test]
async fn a_template_goes_when_its_archive_is_another_one() {
    let w = world(true).await;
    prepared(&w).await;
    let file = "debian-12-standard_12.0-1_amd64.tar.zst";
    w.pve.meddle(|world| {
        world.set_templates(vec![Template {
            storage: "local".to_owned(),
            node: None,
            file: file.to_owned(),
            size_bytes: 65 << 20,
            ctime_s: 1_700_000_001,
            ostype: "debian".to_owned(),
        }]);
    });
    tended(&w, "it stays", <[Kept]>::is_empty).await;
    assert_eq!(w.pve.guests.vmids().len(), 2);
}

#[tokio::test]
async fn what_is_not_provably_ours_is_neither_destroyed_nor_cloned() {
    let w = world(true).await;
    let (id, template) = prepared(&w).await;
    let path = format!("/nodes/pve1/lxc/{template}/config");
    w.pve.put(&path, &[("description", "mine by now")]).await;
    deployed(&w, "web-c").await;
    let clone = format!("POST /nodes/pve1/lxc/{template}/clone");
    assert_eq!(sent(&w, &clone), 0);
    dropped(&w, id).await;
    let templates = Templates::new(w.engine.clone());
    for _ in 0..3 {
        templates.pass().await.unwrap();
    }
    let told = w.engine.templates().await.unwrap();
    assert!(told[0].trouble.is_some(), "{told:?}");
    assert!(w.pve.guests.vmids().contains(&template));
    let forgotten = w.engine.drop_template(&w.actor, id, true);
    forgotten.await.unwrap();
    assert!(w.store.prepared().await.unwrap().is_empty());
    assert!(w.pve.guests.vmids().contains(&template), "it is left alone");
    let delete = format!("DELETE /nodes/pve1/lxc/{template}");
    assert_eq!(sent(&w, &delete), 0);
}

#[tokio::test]
async fn a_making_that_comes_to_nothing_leaves_nothing_and_is_not_tried_at_once() {
    let w = world(true).await;
    for name in ["web-a", "web-b"] {
        deployed(&w, name).await;
    }
    w.pve
        .refuse(Method::Post, "/template", "no templates here", 1);
    let is_over = |all: &[Kept]| {
        let changes = w.pve.changes();
        all.is_empty() && changes.iter().any(|call| call.ends_with("/template"))
    };
    tended(&w, "it was not begun, or stays", is_over).await;
    assert_eq!(w.pve.guests.vmids().len(), 2);
    deployed(&w, "web-c").await;
    Templates::new(w.engine.clone()).pass().await.unwrap();
    assert!(w.store.prepared().await.unwrap().is_empty());
}

/// A destroy that failed is for a person to look at: it is tried again when they say so.
#[tokio::test]
async fn a_destroy_that_failed_is_tried_again_when_a_person_says_so() {
    let w = world(true).await;
    let (id, template) = prepared(&w).await;
    w.pve.guests.refuse_destroy(template, true);
    dropped(&w, id).await;
    let delete = format!("DELETE /nodes/pve1/lxc/{template}");
    let templates = Templates::new(w.engine.clone());
    w.until(async || {
        templates.pass().await.unwrap();
        let told = w.engine.templates().await.unwrap();
        let trouble = told[0].trouble.clone().unwrap_or_default();
        trouble.contains("an earlier destroy")
    })
    .await
    .unwrap();
    assert_eq!(sent(&w, &delete), 1);
    w.pve.guests.refuse_destroy(template, false);
    dropped(&w, id).await;
    tended(&w, "it stays", <[Kept]>::is_empty).await;
    assert_eq!(sent(&w, &delete), 2);
}
