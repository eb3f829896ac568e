//! Sources of documents over real repositories, on the emulated PVE: what is pushed is applied as far as the policy lets it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

mod held;
mod hostile;
pub(crate) mod repository;
mod ways;

use proximity_domain::event::EventKind;
use proximity_domain::names::SourceName;
use proximity_domain::source::{Sight, SourcePolicy, SourceState};
use proximity_domain::time::Timestamp;
use proximity_engine::apply::Applier;
use proximity_engine::commands::{AddSource, StartApply};
use proximity_engine::engine::EngineLimits;
use proximity_engine::error::EngineError;
use proximity_engine::sources::{SourceLimits, Sources};
use proximity_pve_emulator::core::Access;
use proximity_store::sources::SourceRecord;
use proximity_store::views::AppFilter;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use repository::{Repository, document};

/// A world, and what looks at sources and carries applies out in it, by hand.
pub struct Stand {
    w: TestWorld,
    sources: Sources,
    applier: Mutex<Applier>,
    folder: TempDir,
}

impl Stand {
    pub async fn start() -> Self {
        Self::limited(SourceLimits::default()).await
    }

    pub async fn limited(sources: SourceLimits) -> Self {
        let parts = WorldParts {
            clusters: vec![Pve::start(Access::Full)],
            ..WorldParts::default()
        };
        Self::over(parts, sources).await
    }

    pub async fn over(parts: WorldParts, sources: SourceLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = SourceLimits {
            folder: Some(folder.path().join("sources")),
            allow_files: true,
            ..sources
        };
        let limits = EngineLimits {
            sources,
            ..EngineLimits::default()
        };
        let parts = WorldParts { limits, ..parts };
        let w = TestWorld::start_of(parts).await.unwrap();
        Self {
            sources: Sources::new(w.engine.clone()),
            applier: Mutex::new(Applier::new(w.engine.clone(), true)),
            w,
            folder,
        }
    }

    pub async fn add(&self, request: AddSource) -> Result<(), EngineError> {
        let added = self.w.engine.add_source(&self.w.actor, request).await;
        added.map(|_| ())
    }

    pub async fn source(&self) -> SourceRecord {
        self.w.store.source(&name()).await.unwrap().unwrap()
    }

    /// Looks once, whenever the next look was due.
    pub async fn look(&self) -> Sight {
        let seen = self.source().await;
        let due = Sight {
            due_at: Timestamp(0),
            ..seen.sight.clone()
        };
        let noted = self.w.store.note_source(&seen, &due, Timestamp(1)).await;
        noted.unwrap();
        self.sources.pass(&CancellationToken::new()).await.unwrap();
        let left = std::fs::read_dir(self.folder.path().join("sources"));
        let left = left.map_or(0, |entries| entries.count());
        assert_eq!(left, 0, "nothing of a look is left");
        self.source().await.sight
    }

    /// Looks and applies until the source stands so.
    pub async fn reaches(&self, state: SourceState) -> Sight {
        let is_so = async || {
            let sight = self.look().await;
            self.applier.lock().await.pass().await.unwrap();
            sight.state == state
        };
        if self.w.until(is_so).await.is_err() {
            panic!("{:?}", self.source().await);
        }
        self.source().await.sight
    }

    pub async fn hostnames(&self) -> Vec<String> {
        let filter = AppFilter {
            per_page: 100,
            ..AppFilter::default()
        };
        let (apps, _) = self.w.store.apps(filter).await.unwrap();
        let mut names: Vec<String> = apps.iter().map(|app| app.hostname.to_string()).collect();
        names.sort_unstable();
        names
    }

    async fn told(&self, kind: EventKind) -> usize {
        let events = self.w.store.events(0, 1_000).await.unwrap();
        events.iter().filter(|event| event.2.kind == kind).count()
    }
}

fn name() -> SourceName {
    "home".parse().unwrap()
}

/// A source of one app, which was looked at by nobody yet.
pub async fn of_web(policy: SourcePolicy) -> (Stand, Repository) {
    let (s, repository) = (Stand::start().await, Repository::new());
    repository.write("apps/web.yaml", document("web", ""));
    repository.commit();
    s.add(request(&repository.url(), policy)).await.unwrap();
    (s, repository)
}

pub fn request(url: &str, policy: SourcePolicy) -> AddSource {
    AddSource {
        name: "home".to_owned(),
        url: url.to_owned(),
        branch: None,
        path: Some("apps".to_owned()),
        every_s: None,
        policy,
        prune: false,
        signers: None,
        credential: None,
        owner: None,
    }
}

pub fn code(sight: &Sight) -> Option<&str> {
    sight.why.as_ref().map(|why| why.code.as_str())
}

#[tokio::test]
async fn what_is_pushed_is_applied_and_told_once() {
    let (s, repository) = (Stand::start().await, Repository::new());
    repository.write("apps/web.yaml", document("web", ""));
    repository.write("README.yaml", "not: documents, and outside of the path");
    let first = repository.commit();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    let sight = s.reaches(SourceState::AsWanted).await;
    assert_eq!(sight.applied.unwrap().as_str(), first);
    assert_eq!(s.hostnames().await, ["web"]);
    let apply =
        s.w.store
            .apply(sight.apply.unwrap())
            .await
            .unwrap()
            .unwrap();
    assert_eq!(apply.asked_by, "admin");
    let plan = sight.plan;
    assert_eq!(s.look().await.plan, plan, "the same commit is done with");
    assert_eq!(s.told(EventKind::SourceApplied).await, 1);

    repository.write("apps/more/dbs.yaml", document("dbs", ""));
    // A branch that is moved to another history is followed as any other.
    repository.git(&["checkout", "--quiet", "--orphan", "other"]);
    repository.git(&["branch", "--quiet", "-D", "main"]);
    let second = repository.commit();
    repository.git(&["branch", "--quiet", "-m", "main"]);
    s.reaches(SourceState::Applying).await;
    let sight = s.reaches(SourceState::AsWanted).await;
    assert_eq!(sight.applied.unwrap().as_str(), second);
    assert_eq!(s.hostnames().await, ["dbs", "web"]);
    assert_eq!(s.told(EventKind::SourceApplied).await, 2);
    assert_eq!(s.told(EventKind::SourceFailed).await, 0);
    // Of the apps of others nobody is told more than that their names are taken.
    let seen = s.w.engine.preview_source(&name(), Some("stranger")).await;
    let changes = seen.unwrap().plan.changes;
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(|one| one.app.is_none()), "{changes:?}");
}

#[tokio::test]
async fn wrong_documents_are_told_with_their_place_and_change_nothing() {
    let (s, repository) = (Stand::start().await, Repository::new());
    let right = document("web", "");
    repository.write("apps/a.yaml", &right);
    repository.write("apps/b.yaml", document("dbs", "  memory: lots\n"));
    let commit = repository.commit();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    let before = s.w.pve.changes().len();
    for _ in 0..2 {
        let sight = s.look().await;
        assert_eq!(sight.state, SourceState::Wrong);
        assert_eq!(code(&sight), Some("manifest_invalid"));
        assert_eq!(sight.commit.unwrap().as_str(), commit);
        let place = &sight.problems[0].place;
        assert!(place.starts_with("apps/b.yaml:7:"), "{:?}", sight.problems);
    }
    assert_eq!(s.told(EventKind::SourceFailed).await, 1);
    assert_eq!(s.w.pve.changes().len(), before);
    assert!(s.hostnames().await.is_empty());
    repository.write("apps/b.yaml", document("dbs", ""));
    repository.commit();
    s.reaches(SourceState::AsWanted).await;
    assert_eq!(s.told(EventKind::SourceRecovered).await, 1);
    assert_eq!(s.hostnames().await, ["dbs", "web"]);
}

#[tokio::test]
async fn a_commit_that_would_destroy_waits_for_a_person_with_its_plan() {
    let (s, repository) = (Stand::start().await, Repository::new());
    let with_disk = |gib| document("web", &format!("  resources: {{disk_gib: {gib}}}\n"));
    repository.write("apps/web.yaml", with_disk(2));
    repository.commit();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    let applied = s.reaches(SourceState::AsWanted).await.applied;
    s.w.pve.quiet().await;
    let before = s.w.pve.changes().len();
    // A smaller disk is another container.
    repository.write("apps/web.yaml", with_disk(1));
    let commit = repository.commit();
    let sight = s.reaches(SourceState::Waiting).await;
    assert_eq!(code(&sight), Some("source_waits"));
    assert_eq!(sight.commit.clone().unwrap().as_str(), commit);
    assert_eq!(sight.applied, applied);
    let plan = s.w.store.plan(sight.plan.unwrap()).await.unwrap().unwrap();
    assert_eq!(plan.applied_at, None);
    s.look().await;
    s.applier.lock().await.pass().await.unwrap();
    assert_eq!(s.w.pve.changes().len(), before, "nothing was touched");
    assert_eq!(s.told(EventKind::SourceWaits).await, 1);
    // An app that no document names stays: the source does not prune.
    repository.git(&["mv", "apps/web.yaml", "apps/dbs.yaml"]);
    repository.write("apps/dbs.yaml", document("dbs", ""));
    repository.commit();
    s.reaches(SourceState::AsWanted).await;
    assert_eq!(s.hostnames().await, ["dbs", "web"]);
}

#[tokio::test]
async fn by_the_policy_plan_a_person_applies_what_was_told() {
    let (s, repository) = (Stand::start().await, Repository::new());
    repository.write("apps/web.yaml", document("web", ""));
    let commit = repository.commit();
    s.add(request(&repository.url(), SourcePolicy::Plan))
        .await
        .unwrap();
    let preview = s.w.engine.preview_source(&name(), None).await.unwrap();
    assert_eq!(preview.plan.changes.len(), 1);
    assert!(s.w.store.plan(preview.id).await.unwrap().is_none());
    s.reaches(SourceState::Waiting).await;
    assert!(s.hostnames().await.is_empty());
    let begun = Mutex::new(None);
    // The cluster's list is told anew every ten seconds: a plan that is another one by then is made again by the next look.
    let is_begun = async || {
        let plan = s.look().await.plan.unwrap();
        let request = StartApply {
            plan,
            consent: proximity_domain::apply::Consent::default(),
            parallel: None,
            owner: None,
            key: None,
        };
        match s.w.engine.start_apply(&s.w.actor, request).await {
            Ok(apply) => *begun.lock().await = Some(apply.id),
            Err(refused) => assert_eq!(refused.code(), "plan_outdated", "{refused}"),
        }
        begun.lock().await.is_some()
    };
    s.w.until(is_begun).await.unwrap();
    let sight = s.reaches(SourceState::AsWanted).await;
    assert_eq!(sight.applied.unwrap().as_str(), commit);
    assert_eq!(s.hostnames().await, ["web"]);
    assert_eq!(s.told(EventKind::SourceWaits).await, 1);
    assert_eq!(s.told(EventKind::SourceApplied).await, 1);
}

#[tokio::test]
async fn an_apply_that_a_person_stops_is_not_begun_again_by_itself() {
    let (s, repository) = (Stand::start().await, Repository::new());
    let needs = "  depends_on: [dbs]\n";
    repository.write("apps/web.yaml", document("web", needs));
    repository.write("apps/dbs.yaml", document("dbs", ""));
    repository.commit();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    let is_applying = async || s.look().await.state == SourceState::Applying;
    s.w.until(is_applying).await.unwrap();
    let apply = s.source().await.sight.apply.unwrap();
    s.w.engine.stop_apply(&s.w.actor, apply).await.unwrap();
    let sight = s.reaches(SourceState::Failed).await;
    assert_eq!(code(&sight), Some("apply_stopped"));
    assert_eq!(sight.applied, None);
    assert_eq!(s.look().await.state, SourceState::Failed);
    // Nor after the repository was away for a while.
    let (git, away) = (
        repository.path().join(".git"),
        repository.path().join("away"),
    );
    std::fs::rename(&git, &away).unwrap();
    assert_eq!(s.look().await.state, SourceState::Unreachable);
    std::fs::rename(&away, &git).unwrap();
    assert_eq!(s.look().await.state, SourceState::Failed);
    assert!(s.hostnames().await.is_empty());
    s.w.engine.ask_source(&name()).await.unwrap();
    s.reaches(SourceState::AsWanted).await;
    assert_eq!(s.hostnames().await, ["dbs", "web"]);
}

/// No container shows it, and no plan has a change for it.
#[tokio::test]
async fn what_only_documents_say_is_recorded_though_nothing_is_to_be_done() {
    let (s, repository) = of_web(SourcePolicy::Apply).await;
    s.reaches(SourceState::AsWanted).await;
    let before = s.w.pve.changes().len();
    repository.write("apps/web.yaml", document("web", "  ignore: [memory]\n"));
    let commit = repository.commit();
    s.reaches(SourceState::Applying).await;
    let sight = s.reaches(SourceState::AsWanted).await;
    assert_eq!(sight.applied.unwrap().as_str(), commit);
    assert_eq!(s.w.pve.changes().len(), before, "nothing was changed");
    let newest = s.w.store.desired(&"web".parse().unwrap()).await.unwrap();
    let newest = newest.unwrap();
    assert_eq!(newest.revision, 2);
    let ignored = newest.spec.as_ref().unwrap().ignored();
    assert_eq!(ignored.patterns()[0].as_str(), "memory");
    // What is on record by now is no news.
    repository.write("README", "of no matter");
    repository.commit();
    s.reaches(SourceState::AsWanted).await;
    let still = s.w.store.desired(&"web".parse().unwrap()).await.unwrap();
    assert_eq!(still.unwrap().revision, 2);
}
