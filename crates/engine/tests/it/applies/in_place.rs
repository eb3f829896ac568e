//! Apps that are changed where they are.

use proximity_domain::apply::{ApplyState, Consent};
use proximity_domain::manifest::{SettingSource, WantedPower};
use proximity_domain::operation::OperationKind;
use proximity_engine::commands::Action;
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

/// That the plan showed both sizes is the word that it may grow.
#[tokio::test]
async fn a_disk_grows_where_it_is() {
    let s = Stand::start().await;
    s.deployed("web").await;
    let before = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    let mut document = app("web", &[]);
    spec(&mut document).resources.disk_gib = Some(2);
    let documents = [document];
    let shown = s.plan(&documents, false).await.plan;
    let field = &shown.changes[0].fields[0];
    let sizes = (&field.from, &field.to);
    assert_eq!(sizes, (&Some(json!("1G")), &Some(json!("2G"))));
    let id = s.apply(&documents).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let after = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    assert_eq!((after.id, after.resources.disk_gib), (before.id, 2));
    assert_eq!(s.operations(OperationKind::Update).await, 1);
    s.is_as_wanted(&documents).await;
}

/// Power and place that nobody asked for are no part of what a plan is bound to.
#[tokio::test]
async fn a_plan_made_right_after_a_deploy_is_not_refused_for_the_list() {
    let s = Stand::start().await;
    s.deployed("web").await;
    let documents = [app("new", &[]), app("web", &[])];
    let plan = s.plan(&documents, false).await;
    assert_eq!(plan.plan.unchanged, 1, "{plan:?}");
    let web = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    let stop = Action::Stop { force: false };
    let stopped = s.w.engine.act(&s.w.actor, "web", stop).await.unwrap();
    s.w.settled(stopped.id).await.unwrap();
    let begun = s.begin(plan.id, Consent::default()).await.unwrap();
    let (state, changes) = s.ended(begun.id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let after = s.w.store.app_by_hostname("web").await.unwrap().unwrap();
    assert_eq!(after.id, web.id);
}
