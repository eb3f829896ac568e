//! What doctor says of guests: a number proves nothing, mark, MAC and volume do.

use proximity_domain::operation::OperationState;
use proximity_domain::time::Timestamp;
use proximity_engine::commands::{Code, CreateApp, Finding, Level};
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{Place, TestWorld, WorldParts, damage};

/// A host with a pool, and an app whose container is in it.
async fn deployed() -> (TestWorld, u32) {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: "web".to_owned(),
        ..CreateApp::default()
    };
    let app = w.engine.create_app(&w.actor, request).await.unwrap();
    let op = w.settled(app.operation.unwrap()).await.unwrap();
    assert_eq!(op.state, OperationState::Succeeded);
    let guest = w.store.native_guests(app.id).await.unwrap().pop().unwrap();
    let vmid = guest.identity.vmid.get();
    let mut host = w.store.hosts().await.unwrap().pop().unwrap();
    host.pool = Some("apps".parse().unwrap());
    w.store
        .update_host(host, &w.actor, Timestamp(1))
        .await
        .unwrap();
    for name in ["apps", "prod"] {
        call(&w, Method::Post, &[("poolid", name)]).await;
    }
    into(&w, "apps", vmid).await;
    (w, vmid)
}

async fn call(w: &TestWorld, method: Method, params: &[(&str, &str)]) {
    let answer = w.pve.as_root(method, "/pools", params).await;
    assert_eq!(answer.status, 200, "{params:?}: {}", answer.reason);
}

async fn into(w: &TestWorld, pool: &str, vmid: u32) {
    let vmid = vmid.to_string();
    let params = [("poolid", pool), ("vms", &vmid), ("allow-move", "1")];
    call(w, Method::Put, &params).await;
}

/// What is worse than a note and about guests.
async fn of_guests(w: &TestWorld) -> Vec<Finding> {
    let all = w.engine.doctor(None).await.unwrap();
    let unread = |f: &Finding| f.code == Code::PoolUnread;
    assert!(!all.iter().any(unread), "{all:#?}");
    let about = |f: &Finding| f.subject.starts_with("guest") && f.level() > Level::Note;
    all.into_iter().filter(about).collect()
}

fn no_command(findings: &[Finding]) {
    let told = |f: &Finding| f.next.join(" ");
    assert!(
        !findings.iter().any(|f| told(f).contains("pveum")),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn a_guest_of_ours_outside_the_pool_is_told_and_moved_out_of_another_by_no_command() {
    let (w, vmid) = deployed().await;
    assert_eq!(of_guests(&w).await, []);
    let out = [
        ("poolid", "apps"),
        ("vms", &vmid.to_string()),
        ("delete", "1"),
    ];
    call(&w, Method::Put, &out).await;
    let found = of_guests(&w).await;
    assert_eq!(found[0].code, Code::GuestOutsidePool);
    assert_eq!(
        found[0].next,
        [format!("pveum pool modify apps --vms {vmid}")]
    );
    into(&w, "prod", vmid).await;
    let found = of_guests(&w).await;
    assert_eq!((found.len(), found[0].code), (1, Code::GuestOutsidePool));
    assert!(found[0].next[0].contains("prod"), "{found:?}");
    assert!(!found[0].next.join(" ").contains("allow-move"), "{found:?}");
}

/// Somebody destroyed our container, and PVE gave its number to somebody's guest.
#[tokio::test]
async fn a_stranger_at_our_number_gets_no_command_and_is_not_called_ours() {
    let (w, vmid) = deployed().await;
    for machine in [false, true] {
        w.pve.meddle(|world| world.forget_guest(vmid));
        w.pve.stranger_creates("pve1", vmid).await;
        if machine {
            w.pve.show_guests_as_machines();
        }
        for pool in [None, Some("prod"), Some("apps")] {
            if let Some(pool) = pool {
                into(&w, pool, vmid).await;
            }
            let found = of_guests(&w).await;
            assert_eq!(
                (found.len(), found[0].code),
                (1, Code::GuestConflict),
                "{found:?}"
            );
            no_command(&found);
            let all = w.engine.doctor(None).await.unwrap();
            assert!(all.iter().all(|f| f.code != Code::PoolOurs), "{all:#?}");
        }
    }
}

/// The audit has a finding of its own: what is wrong with it hides no rule, and no rule hides it.
#[tokio::test]
async fn an_entry_of_the_audit_that_was_altered_is_told_beside_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let w = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        place: Place::Folder(folder.path().to_owned()),
        ..WorldParts::default()
    })
    .await
    .unwrap();
    let alter = "DROP TRIGGER audit_is_not_altered; UPDATE audit SET account = 'x' WHERE seq = 1";
    let codes = async || {
        let all = w.engine.doctor(None).await.unwrap();
        let own = all.into_iter().filter(|f| f.host.is_none());
        own.map(|f| f.code).collect::<Vec<Code>>()
    };
    let sound = codes().await;
    assert!(sound.contains(&Code::AuditWhole), "{sound:?}");
    damage(folder.path(), alter).unwrap();
    let altered = codes().await;
    assert_eq!(altered[0], Code::AuditBroken, "{altered:?}");
    assert!(altered.contains(&Code::RecordSound), "{altered:?}");
    let rule = "UPDATE clearings SET cleared = 5 WHERE journal = 'operations'";
    damage(folder.path(), rule).unwrap();
    let both = codes().await;
    assert_eq!(both[..2], [Code::RecordBroken, Code::AuditBroken]);
    w.store.close().await;
}

#[tokio::test]
async fn there_is_one_look_at_a_time() {
    let w = TestWorld::start(Access::Full).await.unwrap();
    let go_on = w.pve.hold(Method::Get, "/version");
    let calls = w.pve.calls();
    let mut first = Box::pin(w.engine.doctor(None));
    tokio::select! {
        biased;
        _ = &mut first => panic!("its question for the version is held"),
        () = w.pve.calls_arrived(calls + 1) => {}
    }
    let second = w.engine.doctor(None).await.unwrap_err();
    assert_eq!(second.code(), "doctor_at_work");
    assert!(second.hint().contains("ask again"), "{}", second.hint());
    // One whose caller has gone makes way.
    drop(first);
    go_on.send(true).unwrap();
    assert!(w.engine.doctor(None).await.is_ok());
}
