//! Apps that are changed where they are.

use proximity_domain::apply::ApplyState;
use proximity_domain::manifest::{SettingSource, WantedPower};
use proximity_domain::operation::OperationKind;
use serde_json::json;

use super::{Stand, app, spec};

#[tokio::test]
async fn what_differs_is_changed_in_the_container_that_is_there() {
    let s = Stand::start().await;
    s.deployed("web").await;
    let before = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    let mut document = app("web", &[]);
    spec(&mut document).resources.memory_mib = Some(128);
    let greeting = SettingSource::Text("bye".to_owned());
    let settings = [("greeting".parse().unwrap(), greeting)];
    spec(&mut document).settings = settings.into_iter().collect();
    let documents = [document];
    let id = s.apply(&documents).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let after = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    assert_eq!(
        (after.id, after.resources.memory_mib),
        (before.id, 128),
        "{after:?}"
    );
    assert_eq!(after.environment, json!({ "GREETING": "bye" }));
    assert_eq!(s.operations(OperationKind::Update).await, 1);
    s.is_as_wanted(&documents).await;
}

#[tokio::test]
async fn an_app_is_changed_and_then_shut_down() {
    let s = Stand::start().await;
    s.deployed("web").await;
    let mut document = app("web", &[]);
    spec(&mut document).resources.memory_mib = Some(128);
    spec(&mut document).power = Some(WantedPower::Stopped);
    let documents = [document];
    // That it runs is in the cluster's list some seconds later.
    let both = async || {
        let plan = s.plan(&documents, false).await.plan;
        plan.changes.iter().any(|one| one.fields.len() == 2)
    };
    s.w.until(both).await.unwrap();
    let id = s.apply(&documents).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let counted = (
        s.operations(OperationKind::Update).await,
        s.operations(OperationKind::Stop).await,
    );
    assert_eq!(counted, (1, 1));
    s.is_as_wanted(&documents).await;
}
