//! Plans that are carried out on the emulated PVE: in order, once, and no further than was agreed to.

mod attached;
mod back;
mod carried;
mod cut_off;
mod ends;
mod hand_edits;
mod hands;
mod ignored;
mod in_place;
mod later;
mod policies;
mod round_trip;
mod stacks;
mod switched;
mod takes_over;

use std::collections::BTreeMap;

use proximity_domain::apply::{ApplyState, ChangeState, Consent};
use proximity_domain::desired::Documents;
use proximity_domain::ids::{ApplyId, PlanId};
use proximity_domain::ignore::Ignored;
use proximity_domain::manifest::{
    AdoptedSpec, AppSpec, Manifest, Policy, ResourceWish, WantedPower,
};
use proximity_domain::operation::OperationKind;
use proximity_engine::apply::Applier;
use proximity_engine::commands::{Action, CreateApp, MakePlan, StartApply};
use proximity_engine::error::EngineError;
use proximity_pve_emulator::core::Access;
use proximity_store::applies::{ApplyChange, ApplyRecord};
use proximity_store::plans::PlanRecord;
use proximity_store::views::{AppFilter, OperationFilter};
use proximity_testkit::world::TestWorld;
use tokio::sync::Mutex;

/// A world, and what carries applies out in it, by hand.
struct Stand {
    w: TestWorld,
    applier: Mutex<Applier>,
}

impl Stand {
    async fn start() -> Self {
        Self::over(TestWorld::start(Access::Full).await.unwrap())
    }

    fn over(w: TestWorld) -> Self {
        let applier = Mutex::new(Applier::new(w.engine.clone(), true));
        Self { w, applier }
    }

    async fn plan(&self, documents: &[Manifest], prune: bool) -> PlanRecord {
        let request = MakePlan {
            documents: documents.to_vec(),
            order: Documents::of(documents).order(),
            prune,
            ..MakePlan::default()
        };
        let made = self.w.engine.make_plan(&self.w.actor, request).await;
        made.unwrap()
    }

    async fn begin(&self, plan: PlanId, consent: Consent) -> Result<ApplyRecord, EngineError> {
        let request = StartApply {
            plan,
            consent,
            parallel: None,
            owner: None,
            key: None,
        };
        self.w.engine.start_apply(&self.w.actor, request).await
    }

    /// Plans, and begins to apply; again where the cluster's list, which is told anew every ten seconds, was another one in between.
    async fn agreed(&self, documents: &[Manifest], prune: bool, consent: Consent) -> ApplyRecord {
        let begun = Mutex::new(None);
        let is_begun = async || {
            let plan = self.plan(documents, prune).await;
            match self.begin(plan.id, consent).await {
                Ok(apply) => *begun.lock().await = Some(apply),
                Err(refused) => assert_eq!(refused.code(), "plan_outdated", "{refused}"),
            }
            begun.lock().await.is_some()
        };
        self.w.until(is_begun).await.unwrap();
        begun.into_inner().unwrap()
    }

    /// The same where it needs nobody's word.
    async fn apply(&self, documents: &[Manifest]) -> ApplyId {
        self.agreed(documents, false, Consent::default()).await.id
    }

    async fn pass(&self) {
        self.applier.lock().await.pass().await.unwrap();
    }

    /// Brings it forward until it has ended.
    async fn ended(&self, id: ApplyId) -> (ApplyState, Vec<ApplyChange>) {
        let is_over = async || {
            self.pass().await;
            let apply = self.w.store.apply(id).await.unwrap().unwrap();
            apply.state.is_over()
        };
        self.w.until(is_over).await.unwrap();
        let apply = self.w.store.apply(id).await.unwrap().unwrap();
        let changes = self.w.store.apply_changes(id).await.unwrap();
        (apply.state, changes)
    }

    /// Brings it forward until this change is being made.
    async fn has_begun(&self, id: ApplyId, position: usize) {
        let is_begun = async || {
            self.pass().await;
            let changes = self.w.store.apply_changes(id).await.unwrap();
            changes[position].operation.is_some()
        };
        self.w.until(is_begun).await.unwrap();
    }

    async fn hostnames(&self) -> Vec<String> {
        let filter = AppFilter {
            per_page: 100,
            ..AppFilter::default()
        };
        let (apps, _) = self.w.store.apps(filter).await.unwrap();
        let mut names: Vec<String> = apps.iter().map(|app| app.hostname.to_string()).collect();
        names.sort_unstable();
        names
    }

    async fn operations(&self, kind: OperationKind) -> usize {
        let filter = OperationFilter {
            kind: Some(kind),
            ..OperationFilter::default()
        };
        self.w.store.operations(filter).await.unwrap().len()
    }

    async fn deployed(&self, hostname: &str) {
        let request = CreateApp {
            catalog_id: "beacon".to_owned(),
            hostname: hostname.to_owned(),
            ..CreateApp::default()
        };
        let app = self.w.engine.create_app(&self.w.actor, request).await;
        self.w
            .settled(app.unwrap().operation.unwrap())
            .await
            .unwrap();
    }

    /// Documents that lead to nothing more, once the cluster's list tells it.
    async fn is_as_wanted(&self, documents: &[Manifest]) {
        self.w.pve.meddle(|world| world.tell_now());
        let is_quiet = async || self.plan(documents, true).await.plan.changes.is_empty();
        self.w.until(is_quiet).await.unwrap();
    }
}

fn app(name: &str, needs: &[&str]) -> Manifest {
    Manifest::App {
        name: name.parse().unwrap(),
        spec: AppSpec {
            catalog_id: "beacon".parse().unwrap(),
            host: None,
            node: None,
            resources: ResourceWish::default(),
            settings: BTreeMap::new(),
            network: None,
            root_access: None,
            root_keys: Vec::new(),
            host_name: None,
            certificate: None,
            apart_from: None,
            allow_unpinned: false,
            power: None,
            policy: Policy::Warn,
            ignore: Ignored::default(),
            depends_on: needs.iter().map(|need| need.parse().unwrap()).collect(),
            stack: None,
        },
    }
}

fn spec(document: &mut Manifest) -> &mut AppSpec {
    match document {
        Manifest::App { spec, .. } => spec,
        other => panic!("{other:?}"),
    }
}

fn found(name: &str, vmid: u32) -> Manifest {
    Manifest::AdoptedApp {
        name: name.parse().unwrap(),
        spec: AdoptedSpec {
            host: "lab".parse().unwrap(),
            vmid: vmid.try_into().unwrap(),
            taken_for: None,
            port: Some(8080),
            expose: true,
            guard: true,
            power: None,
            policy: Policy::Warn,
            ignore: Ignored::default(),
            depends_on: Vec::new(),
            stack: None,
        },
    }
}

fn states(changes: &[ApplyChange]) -> Vec<(&str, ChangeState)> {
    let changes = changes.iter();
    changes
        .map(|change| (change.name.as_str(), change.state))
        .collect()
}

fn code(result: Result<ApplyRecord, EngineError>) -> &'static str {
    match result {
        Err(refused) => refused.code(),
        Ok(begun) => panic!("{begun:?}"),
    }
}

#[tokio::test]
async fn apps_are_made_after_what_they_depend_on_and_nothing_is_left_to_do() {
    let s = Stand::start().await;
    let documents = [
        app("web", &["mid"]),
        app("mid", &["data"]),
        app("data", &[]),
    ];
    let id = s.apply(&documents).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let order: Vec<&str> = changes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(order, ["data", "mid", "web"]);
    for pair in changes.windows(2) {
        assert!(pair[0].ended_at <= pair[1].started_at, "{changes:?}");
        assert!(pair[0].ended_at.is_some() && pair[1].operation.is_some());
    }
    s.is_as_wanted(&documents).await;
    let desired = s.w.store.all_desired().await.unwrap();
    assert_eq!(desired.len(), 3);
}

#[tokio::test]
async fn a_change_that_fails_holds_up_what_depends_on_it_and_nothing_else() {
    let s = Stand::start().await;
    let documents = [
        app("data", &[]),
        app("mid", &[]),
        app("other", &["data"]),
        app("web", &["mid"]),
    ];
    let id = s.apply(&documents).await;
    // Its name is taken before its turn comes.
    s.deployed("mid").await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Failed);
    let expected = [
        ("data", ChangeState::Done),
        ("mid", ChangeState::Failed),
        ("other", ChangeState::Done),
        ("web", ChangeState::HeldUp),
    ];
    assert_eq!(states(&changes), expected, "{changes:?}");
    let codes = [1, 3].map(|at| changes[at].why.as_ref().map(|why| why.code.as_str()));
    assert_eq!(codes, [Some("hostname_taken"), Some("held_up")]);
    assert_eq!(s.hostnames().await, ["data", "mid", "other"]);
}

#[tokio::test]
async fn one_that_is_stopped_begins_nothing_more_and_ends_what_it_began() {
    let s = Stand::start().await;
    let documents = [app("data", &[]), app("web", &["data"])];
    let id = s.apply(&documents).await;
    s.has_begun(id, 0).await;
    let engine = &s.w.engine;
    let stopping = engine.stop_apply(&s.w.actor, id).await.unwrap();
    assert_eq!(stopping.state, ApplyState::Stopping);
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Stopped);
    let expected = [
        ("data", ChangeState::Done),
        ("web", ChangeState::NotStarted),
    ];
    assert_eq!(states(&changes), expected);
    assert_eq!(s.hostnames().await, ["data"]);
    let again = engine.stop_apply(&s.w.actor, id).await;
    assert_eq!(code(again), "not_in_state", "it is over");
}

#[tokio::test]
async fn no_more_are_made_at_once_than_was_asked_for() {
    let s = Stand::start().await;
    let documents = [app("aaa", &[]), app("bbb", &[]), app("ccc", &[])];
    let plan = s.plan(&documents, false).await;
    for (parallel, told) in [(0, "invalid_value"), (17, "invalid_value")] {
        let request = StartApply {
            plan: plan.id,
            consent: Consent::default(),
            parallel: Some(parallel),
            owner: None,
            key: None,
        };
        let refused = s.w.engine.start_apply(&s.w.actor, request).await;
        assert_eq!(code(refused), told, "{parallel}");
    }
    let request = StartApply {
        plan: plan.id,
        consent: Consent::default(),
        parallel: Some(1),
        owner: None,
        key: None,
    };
    let begun = s.w.engine.start_apply(&s.w.actor, request).await.unwrap();
    let (state, changes) = s.ended(begun.id).await;
    assert_eq!(state, ApplyState::Done);
    for pair in changes.windows(2) {
        assert!(pair[0].ended_at <= pair[1].started_at, "{changes:?}");
    }
}

#[tokio::test]
async fn a_container_that_was_there_is_taken_over_under_the_name_of_its_document() {
    let s = Stand::start().await;
    assert_eq!(s.w.pve.stranger_creates("pve1", 150).await.status, 200);
    s.w.pve.quiet().await;
    let before = s.w.pve.changes().len();
    let documents = [found("dbs", 150)];
    let id = s.apply(&documents).await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Done, "{changes:?}");
    let adopted = s.w.store.app_by_hostname("dbs").await.unwrap().unwrap();
    assert_eq!((adopted.exposed, adopted.guest_port), (true, 8080));
    let guarded = s.w.store.guarded_since(adopted.id).await.unwrap();
    assert!(guarded.is_some());
    assert_eq!(s.w.pve.changes().len(), before, "it is not touched");
    s.is_as_wanted(&documents).await;
}

/// The app that was planned for was removed, and another one has its name by the time its turn comes.
#[tokio::test]
async fn nothing_is_forced_on_an_app_that_is_gone() {
    let s = Stand::start().await;
    s.deployed("web").await;
    let mut document = app("web", &[]);
    spec(&mut document).power = Some(WantedPower::Stopped);
    let documents = [document];
    let is_seen = async || !s.plan(&documents, false).await.plan.changes.is_empty();
    s.w.until(is_seen).await.unwrap();
    let id = s.apply(&documents).await;
    let action = Action::Delete {
        confirm: Some("web".to_owned()),
        force_stop: false,
        purge: false,
    };
    let removed = s.w.engine.act(&s.w.actor, "web", action).await.unwrap();
    s.w.settled(removed.id).await.unwrap();
    s.deployed("web").await;
    let (state, changes) = s.ended(id).await;
    assert_eq!(state, ApplyState::Failed);
    let why = changes[0].why.as_ref().map(|why| why.code.as_str());
    assert_eq!(
        why,
        Some("app_not_found"),
        "the one of that name is another"
    );
    assert_eq!(s.operations(OperationKind::Stop).await, 0);
}
