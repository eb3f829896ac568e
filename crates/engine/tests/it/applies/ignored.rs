//! What documents let others change: it is shown, and neither told nor changed back; what the documents change is changed all the same.

use proximity_domain::drift::Drift;
use proximity_domain::event::EventKind;
use proximity_domain::merge::Verdict;
use serde_json::{Value, json};

use super::hand_edits::{set, sweep, told};
use super::policies::{config, pass};
use super::*;

fn ignoring(patterns: &[&str], policy: Policy) -> Manifest {
    let mut document = app("web", &[]);
    let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap());
    let of = spec(&mut document);
    of.resources.memory_mib = Some(128);
    of.policy = policy;
    of.ignore = patterns.collect();
    document
}

async fn applied(s: &Stand, document: &Manifest) {
    let id = s.apply(std::slice::from_ref(document)).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
}

#[tokio::test]
async fn a_hand_edit_of_it_stays_and_one_beside_it_is_changed_back() {
    let (s, mut document) = (Stand::start().await, ignoring(&["mem*"], Policy::Revert));
    applied(&s, &document).await;
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    assert!(told(&s, EventKind::DesiredDrifted).await.is_empty());
    assert!(pass(&s).await.is_empty(), "nothing is to be changed back");

    set(&s, &[("memory", "200"), ("cores", "2")]).await;
    sweep(&s).await;
    let event = told(&s, EventKind::DesiredDrifted).await.remove(0);
    let fields = json!([{
        "field": "cores", "from": 1, "to": 2, "wanted": 1, "source": "cluster",
    }]);
    assert_eq!(event["fields"], fields);
    let [operation] = pass(&s).await[..] else {
        panic!("one operation");
    };
    s.w.settled(operation).await.unwrap();
    let now = config(&s).await;
    assert_eq!((&now["memory"], &now["cores"]), (&json!(200), &json!(1)));
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDriftEnded).await.len(), 1);

    // It is hidden from nobody, and no change.
    let view = s.w.engine.drift("web").await.unwrap();
    let [field] = view.fields.as_slice() else {
        panic!("{:?}", view.fields)
    };
    let shown = (field.path.as_str(), field.verdict);
    assert_eq!(shown, ("memory", Verdict::Ignored));
    let documents = [document.clone()];
    s.is_as_wanted(&documents).await;
    let is_shown = async || {
        let plan = s.plan(&documents, false).await.plan;
        assert!(plan.changes.is_empty(), "{plan:?}");
        let fields = plan.ignored.iter().flat_map(|one| &one.fields);
        let mut fields = fields.map(|field| (field.path.as_str(), field.from.clone()));
        fields.any(|field| field == ("memory", Some(json!(200))))
    };
    s.w.until(is_shown).await.unwrap();

    // What the documents change is changed, whatever somebody made of it.
    spec(&mut document).resources.memory_mib = Some(160);
    applied(&s, &document).await;
    assert_eq!(config(&s).await["memory"], 160);
    let view = s.w.engine.drift("web").await.unwrap();
    assert!(view.fields.is_empty(), "{:?}", view.fields);
}

/// On record stays what the container was given by us.
#[tokio::test]
async fn what_documents_say_of_what_others_made_of_it_is_no_wish_for_ever() {
    let (s, mut document) = (Stand::start().await, ignoring(&["memory"], Policy::Revert));
    applied(&s, &document).await;
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    spec(&mut document).resources.memory_mib = Some(256);
    applied(&s, &document).await;
    set(&s, &[("memory", "300")]).await;
    sweep(&s).await;
    assert!(told(&s, EventKind::DesiredDrifted).await.is_empty());
    assert!(pass(&s).await.is_empty(), "nothing is to be changed back");
    let view = s.w.engine.drift("web").await.unwrap();
    assert_eq!(view.fields[0].verdict, Verdict::Ignored);
    s.is_as_wanted(std::slice::from_ref(&document)).await;
    applied(&s, &document).await;
    assert_eq!(config(&s).await["memory"], 300);
}

#[tokio::test]
async fn what_is_accepted_of_others_is_no_wish_where_it_is_ignored() {
    let document = ignoring(&["memory"], Policy::Accept);
    let s = Stand::start().await;
    applied(&s, &document).await;
    set(&s, &[("memory", "256"), ("cores", "2")]).await;
    for _ in 0..2 {
        sweep(&s).await;
    }
    let newest = s.w.store.desired(&"web".parse().unwrap()).await.unwrap();
    let newest = newest.unwrap().spec.unwrap();
    let mut expected = document;
    spec(&mut expected).resources.cores = Some(2);
    assert_eq!(newest.manifest(&"web".parse().unwrap()), expected);
}

#[tokio::test]
async fn what_was_told_is_over_once_documents_let_others_change_it() {
    let s = Stand::start().await;
    applied(&s, &ignoring(&[], Policy::Warn)).await;
    set(&s, &[("memory", "256")]).await;
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDrifted).await.len(), 1);
    applied(&s, &ignoring(&["memory"], Policy::Warn)).await;
    assert_eq!(config(&s).await["memory"], 256, "nothing was changed");
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDriftEnded).await.len(), 1);
    // And is told again once they may no more.
    let mut again = ignoring(&[], Policy::Warn);
    spec(&mut again).resources.memory_mib = Some(256);
    applied(&s, &again).await;
    set(&s, &[("memory", "300")]).await;
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDrifted).await.len(), 2);
}

#[tokio::test]
async fn keys_of_a_container_that_was_taken_over_stay_as_others_made_them() {
    let s = Stand::start().await;
    assert_eq!(s.w.pve.stranger_creates("pve1", 150).await.status, 200);
    let mut document = found("web", 150);
    match &mut document {
        Manifest::AdoptedApp { spec, .. } => {
            spec.policy = Policy::Revert;
            spec.ignore = ["memory".parse().unwrap()].into_iter().collect();
        }
        other => panic!("{other:?}"),
    }
    applied(&s, &document).await;
    set(&s, &[("memory", "640")]).await;
    sweep(&s).await;
    for kind in [EventKind::DesiredDrifted, EventKind::DriftDetected] {
        assert!(told(&s, kind).await.is_empty(), "{kind:?}");
    }
    set(&s, &[("tags", "new")]).await;
    sweep(&s).await;
    let event = told(&s, EventKind::DesiredDrifted).await.remove(0);
    let fields = json!([{"field": "config.tags", "source": "cluster"}]);
    assert_eq!(event["fields"], fields);
    let guarded = told(&s, EventKind::DriftDetected).await.remove(0);
    assert_eq!(guarded["keys"], json!(["tags"]));
    let view = s.w.engine.drift("web").await.unwrap();
    let keys = |of: &[Drift]| -> Vec<String> { of.iter().map(|one| one.key.clone()).collect() };
    assert_eq!(keys(&view.changes), ["tags"]);
    assert_eq!(keys(&view.ignored), ["memory"]);
    let [operation] = pass(&s).await[..] else {
        panic!("one operation");
    };
    let record = s.w.settled(operation).await.unwrap();
    assert_eq!(record.kind, OperationKind::RestoreKeys);
    let now = config(&s).await;
    assert_eq!((&now["memory"], &now["tags"]), (&json!(640), &Value::Null));
    sweep(&s).await;
    assert_eq!(told(&s, EventKind::DesiredDriftEnded).await.len(), 1);
    assert_eq!(told(&s, EventKind::DriftEnded).await.len(), 1);
}
