//! Plans, kept as they were shown.

use proximity_domain::app::AppClass;
use proximity_domain::desired::Documents;
use proximity_domain::ids::{AppId, PlanId};
use proximity_domain::manifest::Manifest;
use proximity_domain::plan::{
    Act, Change, Downtime, FieldDiff, MassBrake, Obstacle, Place, Plan, Source,
};
use proximity_domain::rollback::{Back, Lost, Rollback, Target};
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::plans::{PLANS_KEPT, PlanRecord};
use serde_json::json;

use super::world::{Make, World};

fn change(app: AppId) -> Change {
    Change {
        name: "web".parse().unwrap(),
        app: Some(app),
        class: AppClass::Native,
        place: Place::default(),
        layer: 1,
        depends_on: vec!["dbs".parse().unwrap()],
        act: Act::Update,
        fields: vec![FieldDiff {
            path: "memory".to_owned(),
            from: None,
            to: Some(json!(512)),
            source: Source::Both,
        }],
        downtime: Downtime::Restart,
        at_risk: vec!["local:105/vm-105-disk-0.raw".to_owned()],
        lacks: vec!["VM.Config.Memory on /pool/apps".to_owned()],
        obstacles: vec![Obstacle::new("busy", "what", "hint")],
        notes: vec!["what was not compared".to_owned()],
    }
}

fn record(world: &mut World, at: i64) -> PlanRecord {
    let app = AppId(world.id());
    let idle = Change {
        act: Act::NoOp,
        ..change(app)
    };
    PlanRecord {
        id: PlanId(world.id()),
        made_at: Timestamp(at),
        made_by: "admin".to_owned(),
        plan: Plan {
            digest: "d".repeat(64),
            basis: "b".repeat(64),
            prune: true,
            changes: vec![change(app), idle],
            unchanged: 7,
            uncompared: 2,
            ignored: Vec::new(),
            brake: Some(MassBrake {
                removed: 9,
                done: 1,
                limit: 3,
            }),
            rollback: Some(went_back()),
        },
        applied_at: None,
    }
}

/// That a plan goes back is kept with it.
fn went_back() -> Rollback {
    Rollback {
        to: Target::Revision(3),
        apps: vec![Back {
            name: "web".parse().unwrap(),
            revision: Some(3),
            since: Timestamp(7),
            kept: Vec::new(),
        }],
        stay: Vec::new(),
        left_out: Vec::new(),
        lost: vec![Lost {
            name: "web".parse().unwrap(),
            path: "memory".to_owned(),
            now: json!(512),
        }],
    }
}

/// What the documents of such a plan want.
fn documents() -> Documents {
    let spec = json!({"catalog_id": "nginx", "settings": {"TITLE": "hello", "PASSWORD": {"secret": "db"}}});
    let document = Manifest::App {
        name: "web".parse().unwrap(),
        spec: serde_json::from_value(spec).unwrap(),
    };
    Documents::of(&[document])
}

pub async fn are_kept_as_they_were_shown(make: &impl Make) {
    let mut world = World::new(make).await;
    let now = world.at().0;
    let record = record(&mut world, now);
    let (store, actor) = (world.store.clone(), world.actor.clone());
    store
        .keep_plan(&record, &documents(), &actor)
        .await
        .unwrap();
    let kept = store.plan(record.id).await.unwrap();
    assert_eq!(kept, Some(record.clone()));
    let kept = store.plan_documents(record.id).await.unwrap();
    assert_eq!(kept, Some(documents()));
    let other = PlanId(world.id());
    assert_eq!(store.plan(other).await.unwrap(), None);
    assert_eq!(store.plan_documents(other).await.unwrap(), None);
    let again = store.keep_plan(&record, &documents(), &actor).await;
    assert!(matches!(
        again,
        Err(StoreError::Exists { what: "plan", .. })
    ));
    let audit = world.audit(1_000, 0).await;
    let made: Vec<_> = audit
        .iter()
        .filter(|row| row.action == "plan.make")
        .collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].target, record.id.to_string());
    assert_eq!(made[0].details["changes"], 1);
    world.assert_sound().await;
}

pub async fn of_many_the_newest_stay(make: &impl Make) {
    let mut world = World::new(make).await;
    let (store, actor) = (world.store.clone(), world.actor.clone());
    let now = world.at().0;
    let mut ids = Vec::new();
    // Whoever plans most takes no place of anybody else.
    let mut others = record(&mut world, now - 10);
    others.made_by = "robot".to_owned();
    store
        .keep_plan(&others, &documents(), &actor)
        .await
        .unwrap();
    for n in 0..i64::from(PLANS_KEPT) {
        let record = record(&mut world, now + n);
        store
            .keep_plan(&record, &documents(), &actor)
            .await
            .unwrap();
        ids.push(record.id);
    }
    assert!(store.plan(ids[0]).await.unwrap().is_some());
    // Made under a clock that was set back: it stays, and the oldest of the others goes.
    let back = record(&mut world, now - 5);
    store.keep_plan(&back, &documents(), &actor).await.unwrap();
    assert_eq!(store.plan(back.id).await.unwrap(), Some(back.clone()));
    assert_eq!(store.plan(ids[0]).await.unwrap(), None);
    assert!(store.plan(ids[1]).await.unwrap().is_some());
    let newest = record(&mut world, now + 1_000);
    store
        .keep_plan(&newest, &documents(), &actor)
        .await
        .unwrap();
    assert_eq!(store.plan(back.id).await.unwrap(), None);
    assert!(store.plan(ids[1]).await.unwrap().is_some());
    assert_eq!(store.plan(others.id).await.unwrap(), Some(others.clone()));
    others.id = PlanId(world.id());
    store
        .keep_plan(&others, &documents(), &actor)
        .await
        .unwrap();
    assert!(store.plan(ids[1]).await.unwrap().is_some());
    world.assert_sound().await;
}
