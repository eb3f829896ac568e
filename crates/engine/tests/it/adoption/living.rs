//! What becomes of adopted containers: power, routes, drift, names and numbers that clash, and what else there is to adopt.

use std::time::Duration;

use proximity_engine::commands::Deadline;

use super::*;

#[tokio::test]
async fn adopted_apps_are_stopped_started_and_restarted_on_request() {
    let w = world().await;
    stranger(&w, 150, "web", true).await;
    let (app, _) = adopt(&w, 150).await;
    let configured = file(&w, 150).await;
    assert_eq!(
        act(&w, "web", Action::Stop { force: false }).await,
        OperationState::Succeeded
    );
    assert_eq!(status(&w, &app).await, StatusLabel::Stopped);
    assert!(!is_up(&w, 150));
    assert_eq!(
        act(&w, "web", Action::Start).await,
        OperationState::Succeeded
    );
    assert_eq!(status(&w, &app).await, StatusLabel::Running);
    let again = Action::Restart { force: false };
    assert_eq!(act(&w, "web", again).await, OperationState::Succeeded);
    assert!(is_up(&w, 150));
    assert_eq!(file(&w, 150).await, configured);
    assert!(w.routes.routes().await.unwrap().is_empty());
    assert_sound(&w).await;
}

/// Proxmox VE would only note the wish, and its manager would keep a container that is restarted down.
#[tokio::test]
async fn a_container_under_high_availability_is_left_to_it() {
    let w = world().await;
    stranger(&w, 150, "web", true).await;
    let (app, _) = adopt(&w, 150).await;
    let member = [("sid", "ct:150"), ("state", "started")];
    let made = w
        .pve
        .as_root(Method::Post, "/cluster/ha/resources", &member);
    assert_eq!(made.await.status, 200);
    let changes = w.pve.changes();
    for action in [
        Action::Stop { force: true },
        Action::Restart { force: false },
    ] {
        let op = w.engine.act(&w.actor, "web", action).await.unwrap();
        let state = w.settled(op.id).await.unwrap().state;
        let OperationState::Failed { failure } = state else {
            panic!("{state:?}");
        };
        assert_eq!(failure.code, "ha_managed", "{failure:?}");
    }
    assert_eq!(w.pve.changes(), changes);
    assert_eq!(status(&w, &app).await, StatusLabel::Running);
    assert_sound(&w).await;
}

#[tokio::test]
async fn an_adopted_app_is_led_to_when_a_person_exposes_it_and_only_then() {
    let w = world().await;
    stranger(&w, 150, "web", true).await;
    let (app, _) = adopt(&w, 150).await;
    let (before, changes) = (file(&w, 150).await, w.pve.changes());
    let open = w.engine.expose(&w.actor, "web", Exposure::Open(Some(8080)));
    let open = open.await.unwrap();
    assert!(open.app.exposed && open.listening, "{open:?}");
    assert_eq!(open.target.map(|t| t.port()), Some(8080));
    assert_eq!(w.routes.routes().await.unwrap().len(), 1);
    // Another port is led to at once, although the one before still answers.
    let other = w.engine.expose(&w.actor, "web", Exposure::Open(Some(9090)));
    let other = other.await.unwrap();
    assert_eq!(other.target.map(|t| t.port()), Some(9090), "{other:?}");
    // A stop closes it before its address may become another one's; a start lets the sweep open it again.
    act(&w, "web", Action::Stop { force: false }).await;
    assert!(w.routes.routes().await.unwrap().is_empty());
    act(&w, "web", Action::Start).await;
    // It leaves alone what somebody is at work on, which an operation is for a moment after its end is on record.
    let opened = async || {
        proximity_engine::route_sweep::sweep(&w.engine)
            .await
            .unwrap();
        w.routes.routes().await.unwrap().len() == 1
    };
    w.until(opened).await.unwrap();
    let shut = w
        .engine
        .expose(&w.actor, "web", Exposure::Closed)
        .await
        .unwrap();
    assert!(
        !shut.app.exposed && !shut.listening && shut.trouble.is_none(),
        "{shut:?}"
    );
    assert!(w.routes.routes().await.unwrap().is_empty());
    assert_eq!(file(&w, 150).await, before);
    let power = |calls: Vec<String>| {
        calls
            .into_iter()
            .filter(|c| !c.contains("/status/"))
            .count()
    };
    assert_eq!(power(w.pve.changes()), power(changes));
    // Another device's address is never led to.
    w.pve
        .as_root(Method::Post, "/nodes/pve1/lxc/150/status/stop", &[])
        .await;
    w.until(async || !is_up(&w, 150)).await.unwrap();
    w.pve.quiet().await;
    let other = "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=02:00:00:00:00:77";
    w.pve
        .put("/nodes/pve1/lxc/150/config", &[("net0", other)])
        .await;
    assert!(file(&w, 150).await.contains("02:00:00:00:00:77"));
    w.pve
        .as_root(Method::Post, "/nodes/pve1/lxc/150/status/start", &[])
        .await;
    w.until(async || is_up(&w, 150)).await.unwrap();
    let blind = w
        .engine
        .expose(&w.actor, "web", Exposure::Open(None))
        .await
        .unwrap();
    assert!(
        blind.target.is_none() && blind.trouble.is_some(),
        "{blind:?}"
    );
    act(&w, "web", removal("web")).await;
    assert!(w.store.app(app.id).await.unwrap().is_none());
    assert_sound(&w).await;
}

#[tokio::test]
async fn drift_is_told_key_by_key_against_the_day_of_adoption() {
    let w = world().await;
    stranger(&w, 150, "web", false).await;
    adopt(&w, 150).await;
    assert!(w.engine.drift("web").await.unwrap().changes.is_empty());
    w.pve
        .put(
            "/nodes/pve1/lxc/150/config",
            &[("memory", "640"), ("tags", "new")],
        )
        .await;
    let view = w.engine.drift("web").await.unwrap();
    let keys: Vec<&str> = view.changes.iter().map(|d| d.key.as_str()).collect();
    assert_eq!(keys, ["memory", "tags"]);
    assert_eq!(
        (&view.changes[1].then, &view.changes[1].now),
        (&None, &Some(json!("new")))
    );
    let other = "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=02:00:00:00:00:77";
    w.pve
        .put("/nodes/pve1/lxc/150/config", &[("net0", other)])
        .await;
    assert_eq!(
        w.engine.drift("web").await.unwrap_err().code(),
        "identity_conflict"
    );
}

#[tokio::test]
async fn a_container_that_is_not_recognised_gets_no_call() {
    let w = world().await;
    stranger(&w, 150, "web", false).await;
    let (_, state) = adopt(&w, 150).await;
    assert_eq!(state, OperationState::Succeeded);
    let other = "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=02:00:00:00:00:77";
    w.pve
        .put("/nodes/pve1/lxc/150/config", &[("net0", other)])
        .await;
    let changes = w.pve.changes();
    let state = act(&w, "web", Action::Start).await;
    assert!(matches!(state, OperationState::Failed { .. }), "{state:?}");
    assert_eq!(w.pve.changes(), changes);
    // It can still be given back.
    assert_eq!(
        act(&w, "web", removal("web")).await,
        OperationState::Succeeded
    );
    assert_eq!(w.pve.changes(), changes);
    assert_sound(&w).await;
}

#[tokio::test]
async fn names_and_ports_that_clash_are_told_apart() {
    let w = world().await;
    for vmid in [150, 151, 152] {
        stranger(&w, vmid, "web", false).await;
    }
    let (first, second) = tokio::join!(adopt(&w, 150), adopt(&w, 151));
    let third = adopt(&w, 152).await;
    let apps = [first.0, second.0, third.0];
    let names: std::collections::BTreeSet<&str> =
        apps.iter().map(|a| a.hostname.as_str()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(
        names.contains("web") && names.contains("web-152"),
        "{names:?}"
    );
    let inner: Vec<u16> = apps.iter().map(|app| app.guest_port).collect();
    assert_eq!(inner, [80, 80, 80]);
    let public: std::collections::BTreeSet<u16> =
        apps.iter().map(|app| app.ports.unwrap().public).collect();
    assert_eq!(public.len(), 3);
    assert_sound(&w).await;
}

#[tokio::test]
async fn two_clusters_may_use_the_same_number() {
    let (first, second) = (
        Pve::cluster(0, &["pve1"], Access::Full),
        Pve::cluster(1, &["pve1"], Access::Full),
    );
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![first, second.clone()],
        place: Place::Memory,
        ..WorldParts::default()
    })
    .await
    .unwrap();
    stranger(&w, 150, "web", false).await;
    second.stranger_creates("pve1", 150).await;
    let unnamed = AdoptContainer {
        host: None,
        ..asked(150)
    };
    assert_eq!(
        code(w.engine.adopt(&w.actor, unnamed).await),
        "invalid_value"
    );
    let (one, _) = adopt(&w, 150).await;
    let there = AdoptContainer {
        host: Some("lab2".to_owned()),
        ..asked(150)
    };
    let two = w.engine.adopt(&w.actor, there).await.unwrap();
    w.settled(two.operation.unwrap()).await.unwrap();
    assert_ne!(one.host, two.host);
    assert_sound(&w).await;
}

/// A node that hangs takes no word from what was asked of others, and nothing is recorded of what was not looked at.
#[tokio::test]
async fn what_is_not_asked_in_time_is_told_as_such() {
    let w = world().await;
    stranger(&w, 150, "redis-cache", false).await;
    stranger(&w, 151, "silent", false).await;
    let held = w.pve.hold(Method::Get, "/lxc/151/config");
    let soon = || Deadline::within(Duration::from_millis(500));
    let found = w.engine.discover_by(None, soon()).await.unwrap();
    let marks: Vec<_> = found.containers.iter().map(|c| c.mark).collect();
    assert_eq!(marks, [DiscoveredMark::No, DiscoveredMark::Unread]);
    let [(host, gap)] = found.gaps.as_slice() else {
        panic!("{:?}", found.gaps);
    };
    assert!(host == "lab" && gap.contains("1 container(s) were not read in time"));
    assert!(!found.complete);
    let late = w.engine.adopt_by(&w.actor, asked(151), soon()).await;
    let late = late.unwrap_err();
    assert_eq!(late.code(), "pve_unreachable");
    assert!(late.to_string().contains("151 was not looked at"), "{late}");
    assert!(late.hint().contains("proximity doctor --host lab"));
    held.send(true).unwrap();
    // Without any time left nothing is asked at all.
    let (over, calls) = (Deadline::within(Duration::ZERO), w.pve.calls());
    let refused = w.engine.adopt_by(&w.actor, asked(150), over).await;
    assert_eq!(code(refused), "pve_unreachable");
    let blind = w.engine.discover_by(None, over).await.unwrap();
    assert!(blind.containers.is_empty() && !blind.complete);
    assert_eq!(w.pve.calls(), calls);
    let apps = w.store.live_apps().await.unwrap();
    assert_eq!(apps, 0);
    let adopted = w.engine.adopt_by(&w.actor, asked(150), soon()).await;
    w.settled(adopted.unwrap().operation.unwrap())
        .await
        .unwrap();
    assert_sound(&w).await;
}

#[tokio::test]
async fn discovery_lists_what_no_app_has_and_says_what_it_does_not_know() {
    let w = world().await;
    stranger(&w, 150, "redis-cache", true).await;
    stranger(&w, 151, "copied", false).await;
    let mark = format!(
        "proximity-mark:v1:{}:{}:{:032x}",
        uuid::Uuid::nil(),
        uuid::Uuid::nil(),
        7
    );
    w.pve
        .put("/nodes/pve1/lxc/151/config", &[("description", &mark)])
        .await;
    let changes = w.pve.changes();
    let found = w.engine.discover(None).await.unwrap();
    assert!(found.complete, "{:?}", found.gaps);
    let numbers: Vec<u32> = found.containers.iter().map(|c| c.vmid.get()).collect();
    assert_eq!(numbers, [150, 151]);
    let (redis, copied) = (&found.containers[0], &found.containers[1]);
    assert_eq!(
        (redis.suggested_type, redis.suggested_port),
        ("redis", 6379)
    );
    assert_eq!(redis.mark, DiscoveredMark::No);
    assert_eq!(copied.mark, DiscoveredMark::Foreign);
    adopt(&w, 150).await;
    let left = w.engine.discover(Some("lab")).await.unwrap();
    assert_eq!(left.containers.len(), 1);
    assert_eq!(w.pve.changes(), changes);
    w.pve.refuse(Method::Get, "/lxc/151/config", "no", u32::MAX);
    let unread = w.engine.discover(None).await.unwrap();
    assert_eq!(unread.containers[0].mark, DiscoveredMark::Unread);
    w.pve.allow(Access::Empty);
    let blind = w.engine.discover(None).await.unwrap();
    assert!(!blind.complete && !blind.gaps.is_empty());
    // Of a container that is not listed it has to be known whether it would be: it is not told to be missing before that.
    w.pve.allow(Access::Full);
    assert_eq!(
        code(w.engine.adopt(&w.actor, asked(999)).await),
        "not_found"
    );
    w.pve
        .refuse(Method::Get, "/access/permissions", "no", u32::MAX);
    let unseen = code(w.engine.adopt(&w.actor, asked(999)).await);
    assert!(unseen.starts_with("pve_"), "{unseen}");
}
