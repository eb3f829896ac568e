//! Apps that go back to what was wanted of them, or observed, before.

use proximity_domain::app::StatusLabel;
use proximity_domain::apply::{ApplyState, Consent};
use proximity_domain::desired::DesiredSpec;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, HolderId};
use proximity_domain::manifest::{Manifest, SettingSource};
use proximity_domain::names::Hostname;
use proximity_domain::plan::{Act, Plan};
use proximity_domain::resource::{ResourceId, ResourceKey};
use proximity_domain::rollback::{Impossible, Target};
use proximity_domain::time::Timestamp;
use proximity_engine::commands::{Action, RollbackAll, RollbackApp};
use proximity_engine::error::EngineError;
use proximity_engine::reconcile::Pass;
use proximity_store::desired::DesiredRecord;
use proximity_store::effects::Effects;
use proximity_store::plans::PlanRecord;
use proximity_store::records::AppRecord;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Stand, app, code, found, spec};

/// An app that greets so.
fn greets(name: &str, needs: &[&str], greeting: &str) -> Manifest {
    let mut document = app(name, needs);
    let greeting = SettingSource::Text(greeting.to_owned());
    let settings = [("greeting".parse().unwrap(), greeting)];
    spec(&mut document).settings = settings.into_iter().collect();
    document
}

impl Stand {
    async fn done(&self, documents: &[Manifest]) {
        let id = self.apply(documents).await;
        let (state, changes) = self.ended(id).await;
        assert_eq!(state, ApplyState::Done, "{changes:?}");
    }

    async fn named(&self, name: &str) -> AppRecord {
        self.w.store.app_by_hostname(name).await.unwrap().unwrap()
    }

    async fn revisions(&self, name: &str) -> Vec<DesiredRecord> {
        let name = name.parse().unwrap();
        self.w.store.desired_revisions(&name).await.unwrap()
    }

    async fn back(&self, app: AppId, to: Target) -> Result<PlanRecord, EngineError> {
        let request = RollbackApp {
            app,
            to,
            owner: None,
            passing: false,
        };
        self.w.engine.rollback_app(&self.w.actor, request).await
    }

    async fn back_with_all(&self, at: Timestamp, prune: bool) -> Result<PlanRecord, EngineError> {
        let request = RollbackAll {
            at,
            prune,
            owner: None,
            passing: false,
        };
        self.w.engine.rollback_all(&self.w.actor, request).await
    }

    /// Carries out what is planned, again where the cluster's list was told anew in between; gives the plan.
    async fn goes(
        &self,
        planned: impl AsyncFn() -> Result<PlanRecord, EngineError>,
        consent: Consent,
    ) -> Plan {
        let begun = Mutex::new(None);
        let is_begun = async || {
            let plan = planned().await.unwrap();
            match self.begin(plan.id, consent).await {
                Ok(apply) => *begun.lock().await = Some((apply.id, plan.plan)),
                Err(refused) => assert_eq!(refused.code(), "plan_outdated", "{refused}"),
            }
            begun.lock().await.is_some()
        };
        self.w.until(is_begun).await.unwrap();
        let (id, plan) = begun.into_inner().unwrap();
        let (state, changes) = self.ended(id).await;
        assert_eq!(state, ApplyState::Done, "{changes:?}");
        plan
    }
}

fn impossible(result: Result<PlanRecord, EngineError>) -> Impossible {
    match result {
        Err(EngineError::NotBack(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_app_goes_back_to_a_revision_by_a_new_one() {
    let s = Stand::start().await;
    s.done(&[greets("web", &["dbs"], "old"), app("dbs", &[])])
        .await;
    s.done(&[greets("web", &["dbs"], "new"), app("dbs", &[])])
        .await;
    let web = s.named("web").await;
    let before = s.revisions("web").await;
    let plan = s
        .goes(|| s.back(web.id, Target::Revision(1)), Consent::default())
        .await;
    assert_eq!(plan.changes.len(), 1, "{plan:?}");
    let told = plan.rollback.unwrap();
    assert_eq!(
        (told.to, told.apps[0].revision),
        (Target::Revision(1), Some(1))
    );
    let lost: Vec<(&str, &serde_json::Value)> = told
        .lost
        .iter()
        .map(|lost| (lost.path.as_str(), &lost.now))
        .collect();
    assert_eq!(lost, [("settings.GREETING", &json!("new"))]);
    let after = s.named("web").await;
    assert_eq!(
        (after.id, after.environment),
        (web.id, json!({ "GREETING": "old" }))
    );
    let revisions = s.revisions("web").await;
    assert_eq!(revisions[..2], before[..], "what was is not rewritten");
    assert_eq!((revisions.len(), revisions[2].revision), (3, 3));
    let spec = revisions[2].spec.as_ref().unwrap();
    assert_eq!(
        spec.depends_on(),
        ["dbs".parse::<Hostname>().unwrap()],
        "though it is planned alone"
    );
    assert_eq!(
        s.revisions("dbs").await.len(),
        1,
        "nothing is wanted anew of others"
    );
    // To where it is by now there is nothing to do.
    let is_there = async || {
        let plan = s.back(web.id, Target::Revision(3)).await.unwrap().plan;
        plan.changes.is_empty()
    };
    s.w.until(is_there).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_has_grown_stays_and_no_container_is_replaced() {
    let s = Stand::start().await;
    s.done(&[greets("web", &[], "old")]).await;
    let mut larger = greets("web", &[], "new");
    spec(&mut larger).resources.disk_gib = Some(2);
    s.done(&[larger]).await;
    let web = s.named("web").await;
    assert_eq!(web.resources.disk_gib, 2);
    let plan = s
        .goes(|| s.back(web.id, Target::Revision(1)), Consent::default())
        .await;
    let acts: Vec<Act> = plan.changes.iter().map(|one| one.act).collect();
    assert_eq!(acts, [Act::Update]);
    let kept = &plan.rollback.unwrap().apps[0].kept;
    let kept: Vec<&str> = kept.iter().map(|kept| kept.what.as_str()).collect();
    assert_eq!(kept, ["disk"]);
    let after = s.named("web").await;
    assert_eq!((after.id, after.resources.disk_gib), (web.id, 2));
}

#[tokio::test]
async fn what_was_not_there_or_was_another_container_is_not_gone_back_to() {
    let s = Stand::start().await;
    s.done(&[app("web", &[])]).await;
    let web = s.named("web").await;
    assert_eq!(
        code_of(s.back(web.id, Target::Revision(9)).await),
        "not_found"
    );
    assert_eq!(
        code_of(s.back(web.id, Target::Snapshot(900)).await),
        "not_found"
    );
    let never = Target::Moment(Timestamp(i64::MAX));
    assert_eq!(code_of(s.back(web.id, never).await), "invalid_value");
    let before = Timestamp(web.created_at.0 - 1);
    let early = impossible(s.back(web.id, Target::Moment(before)).await);
    assert_eq!(early, Impossible::NotThen(web.hostname.clone()));
    let early = impossible(s.back_with_all(before, false).await);
    assert_eq!(early, Impossible::NothingThen);
    // By now a container that was found has the name.
    let consent = Consent {
        prune: true,
        confirm_destroyed: Some(1),
        ..Consent::default()
    };
    let gone = s.agreed(&[], true, consent).await.id;
    assert_eq!(s.ended(gone).await.0, ApplyState::Done);
    assert_eq!(s.w.pve.stranger_creates("pve1", 150).await.status, 200);
    s.w.pve.quiet().await;
    s.done(&[found("web", 150)]).await;
    let other = s.named("web").await;
    let refused = impossible(s.back(other.id, Target::Revision(1)).await);
    assert_eq!(refused, Impossible::OtherClass(other.hostname.clone()));
    let ended = impossible(s.back(other.id, Target::Revision(2)).await);
    assert_eq!(ended, Impossible::NothingWanted(other.hostname));
}

fn code_of(result: Result<PlanRecord, EngineError>) -> &'static str {
    match result {
        Err(refused) => refused.code(),
        Ok(plan) => panic!("{plan:?}"),
    }
}

#[tokio::test]
async fn all_apps_go_back_to_a_moment_and_those_made_since_go_with_consent_alone() {
    let s = Stand::start().await;
    s.deployed("kept").await;
    s.done(&[greets("web", &[], "old")]).await;
    let then = s.revisions("web").await[0].applied_at;
    s.done(&[greets("web", &[], "new")]).await;
    s.deployed("young").await;
    let shown = s.back_with_all(then, false).await.unwrap().plan;
    let named: Vec<&str> = shown.changes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(named, ["web"], "{shown:?}");
    let stay = shown.rollback.unwrap().stay;
    let stay: Vec<&str> = stay.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(stay, ["kept", "young"]);

    let pruned = s.back_with_all(then, true).await.unwrap();
    let refused = s.begin(pruned.id, Consent::default()).await;
    assert_eq!(code(refused), "prune_not_allowed");
    let consent = Consent {
        prune: true,
        confirm_destroyed: Some(1),
        ..Consent::default()
    };
    let plan = s.goes(|| s.back_with_all(then, true), consent).await;
    let destroyed = plan.changes.iter().filter(|one| one.act == Act::Destroy);
    let destroyed: Vec<&str> = destroyed.map(|one| one.name.as_str()).collect();
    assert_eq!(destroyed, ["young"]);
    let told = plan.rollback.unwrap();
    assert!(
        told.lost.iter().any(|lost| lost.path == "volume"),
        "{told:?}"
    );
    assert_eq!(s.hostnames().await, ["kept", "web"]);
    let web = s.named("web").await;
    assert_eq!(web.environment, json!({ "GREETING": "old" }));
    // Apps that ended since do not come back.
    let now = s.revisions("web").await.last().unwrap().applied_at;
    let gone = s.agreed(&[app("kept", &[])], true, consent).await.id;
    assert_eq!(s.ended(gone).await.0, ApplyState::Done);
    let plan = s.back_with_all(now, false).await.unwrap().plan;
    let told = plan.rollback.unwrap();
    let ended = told.stay.iter().find(|one| one.name.as_str() == "web");
    let why = &ended.unwrap().why;
    assert!(why.contains("not there any more"), "{why}");
    assert!(plan.changes.iter().all(|one| one.name.as_str() != "web"));
}

impl Stand {
    /// An operation about it got stuck, and somebody gave that up.
    async fn comes_into_error(&mut self, name: &str) {
        self.w.crash_worker().await;
        let (store, actor) = (&self.w.store, &self.w.actor);
        let stop = Action::Stop { force: false };
        let asked = self.w.engine.act(actor, name, stop).await.unwrap();
        let seen = store.claimable().await.unwrap().pop().unwrap();
        let holder = HolderId(Uuid::from_u128(9));
        let claimed = store.claim_as_seen(&seen, holder, 1_000, asked.created_at);
        let (_, fence) = claimed.await.unwrap().unwrap();
        let why = Failure::new("x", "it is locked", "Look.");
        let (none, at) = (Effects::default(), asked.created_at);
        let stuck = store.stick(&fence, None, why.clone(), none, at).await;
        stuck.unwrap();
        store.abandon(asked.id, why, actor, at).await.unwrap();
        assert_eq!(self.named(name).await.status.label(), StatusLabel::Error);
        self.w.start_worker();
    }
}

#[tokio::test]
async fn an_app_in_error_is_left_out_and_keeps_no_other_back() {
    let mut s = Stand::start().await;
    let both = |greeting| [greets("sad", &[], greeting), greets("web", &[], greeting)];
    s.done(&both("old")).await;
    let then = s.revisions("web").await[0].applied_at;
    let then = Timestamp(then.0.max(s.revisions("sad").await[0].applied_at.0));
    s.done(&both("new")).await;
    s.comes_into_error("sad").await;
    let before = (s.named("sad").await, s.revisions("sad").await);
    // Also where what no document names goes: it is not what is meant by that.
    for prune in [true, false] {
        let shown = s.back_with_all(then, prune).await.unwrap().plan;
        let named: Vec<&str> = shown.changes.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(named, ["web"], "{shown:?}");
        let told = shown.rollback.unwrap();
        let left_out: Vec<&str> = told.left_out.iter().map(|one| one.name.as_str()).collect();
        assert_eq!((left_out, told.stay.len()), (vec!["sad"], 0));
        assert!(told.left_out[0].why.contains("in error"), "{told:?}");
    }
    s.goes(|| s.back_with_all(then, true), Consent::default())
        .await;
    let web = s.named("web").await;
    assert_eq!(web.environment, json!({ "GREETING": "old" }));
    let after = (s.named("sad").await, s.revisions("sad").await);
    assert_eq!(after, before, "nothing of it has changed");
}

#[tokio::test]
async fn where_each_of_them_is_in_error_none_goes_back() {
    let mut s = Stand::start().await;
    s.done(&[greets("sad", &[], "old")]).await;
    let then = s.revisions("sad").await[0].applied_at;
    s.comes_into_error("sad").await;
    let refused = impossible(s.back_with_all(then, false).await);
    assert_eq!(
        refused,
        Impossible::AllLeftOut(vec!["sad".parse().unwrap()])
    );
}

#[tokio::test]
async fn apps_that_depended_on_each_other_at_different_times_go_back_all_the_same() {
    let s = Stand::start().await;
    s.done(&[greets("web", &["dbs"], "old"), app("dbs", &[])])
        .await;
    // What they depend on is written down though it changes nothing, so that no circle comes of it.
    s.done(&[greets("web", &[], "old"), greets("dbs", &["web"], "old")])
        .await;
    let then = s.revisions("dbs").await.last().unwrap().applied_at;
    s.done(&[greets("web", &[], "new"), greets("dbs", &[], "new")])
        .await;
    let plan = s
        .goes(|| s.back_with_all(then, false), Consent::default())
        .await;
    let told = plan.rollback.unwrap().apps;
    let kept: Vec<(&str, &str)> = told
        .iter()
        .flat_map(|one| {
            one.kept
                .iter()
                .map(move |kept| (one.name.as_str(), kept.what.as_str()))
        })
        .collect();
    assert_eq!(kept, []);
    for name in ["dbs", "web"] {
        let greeting = s.named(name).await.environment;
        assert_eq!(greeting, json!({ "GREETING": "old" }), "{name}");
    }
}

/// The number of a snapshot of the app's container that tells this memory, once there is one.
async fn snapshot_with(s: &Stand, app: &AppRecord, memory_mib: u64) -> i64 {
    let guests = s.w.store.recorded_guests(app.id).await.unwrap();
    let key = ResourceKey::container(guests[0].place().vmid);
    let id = ResourceId::of(app.host, &key);
    let found = Mutex::new(None);
    let is_there = async || {
        let reconciler = s.w.engine.reconciler();
        reconciler.pass(&Pass::Work).await.unwrap();
        reconciler.record_resources().await.unwrap();
        let all = s.w.store.snapshots(id, None, 100).await.unwrap();
        let with = all.iter().find(|one| {
            let told = one.state.fields().get("memory_mib");
            told == Some(&json!(memory_mib))
        });
        *found.lock().await = with.map(|one| one.seq);
        with.is_some()
    };
    s.w.until(is_there).await.unwrap();
    found.into_inner().unwrap()
}

#[tokio::test]
async fn an_app_goes_back_to_what_was_observed_of_its_container() {
    let s = Stand::start().await;
    s.deployed("web").await;
    let web = s.named("web").await;
    let seq = snapshot_with(&s, &web, 64).await;
    let mut larger = greets("web", &[], "new");
    spec(&mut larger).resources.memory_mib = Some(128);
    s.done(&[larger]).await;
    let plan = s
        .goes(|| s.back(web.id, Target::Snapshot(seq)), Consent::default())
        .await;
    let fields: Vec<&str> = plan.changes[0]
        .fields
        .iter()
        .map(|field| field.path.as_str())
        .collect();
    assert_eq!(fields, ["memory"], "no setting is in a snapshot");
    let after = s.named("web").await;
    assert_eq!(after.resources.memory_mib, 64);
    assert_eq!(after.environment, json!({ "GREETING": "new" }));
    let newest = s.revisions("web").await.pop().unwrap();
    assert!(matches!(
        newest.spec,
        Some(DesiredSpec::App(spec)) if spec.resources.memory_mib == Some(64)
    ));
}
