//! What people have run inside containers.

use proximity_domain::ids::AppId;
use proximity_store::StoreError;
use serde_json::json;
use uuid::Uuid;

use super::world::{Make, World};

pub async fn commands_are_audited_of_live_apps_alone(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, _) = world.deployed("web", 101).await;
    let before = world.audit(100, 0).await.len();
    let details = json!({ "argv": ["df", "-h"] });
    let (store, actor) = (&world.store, &world.actor);
    let noted = store.note_command(app.id, "app.exec", details.clone(), actor, world.at());
    noted.await.unwrap();
    let entries = world.audit(100, 0).await.split_off(before);
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(
        (entry.action.as_str(), entry.target.clone(), &entry.details),
        ("app.exec", app.id.to_string(), &details)
    );
    assert_eq!(entry.account, world.actor.account);
    let nobody = AppId(Uuid::from_u128(9));
    let refused = store.note_command(nobody, "app.exec", details, actor, world.at());
    let refused = refused.await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { what: "app", .. })),
        "{refused:?}"
    );
    assert_eq!(world.audit(100, 0).await.len(), before + 1);
    world.assert_sound().await;
}
