//! What no commit is let do without a person, though nothing ends by it.

use std::sync::Arc;

use proximity_domain::apply::Consent;
use proximity_domain::desired::DesiredSpec;
use proximity_domain::event::EventKind;
use proximity_domain::names::Hostname;
use proximity_domain::source::{SourcePolicy, SourceState};
use proximity_engine::commands::{RejectPlan, StartApply};
use proximity_engine::sources::SourceLimits;
use proximity_pve::transport::{RawResponse, Request, TransportError};
use proximity_pve_emulator::core::Access;
use proximity_store::rejections::{NewRejection, RejectedRevision};
use proximity_testkit::pve::Pve;
use proximity_testkit::world::WorldParts;

use super::repository::{Repository, document};
use super::{Stand, name, of_web, request};

/// An app that is told a secret.
const KEEPER: &str = r#"
format: 1
id: keeper
name: Keeper
version: 1.0.0
summary: Keeps a password
description: For tests.
category: test
os_template: debian-12-standard
resources:
  memory_mib: { min: 32, default: 64 }
  cores: { default: 1 }
  disk_gib: { default: 1 }
port: 8080
protocol: http
settings:
  - { name: password, type: secret, required: true, min: 8, help: A password. }
install:
  - file: { path: /srv/keeper/index.html, escape: html, content: "proximity-app-keeper" }
  - file: { path: /etc/keeper, mode: "0600", escape: plain, content: "{{ settings.password }}" }
  - file:
      path: /etc/systemd/system/keeper.service
      escape: plain
      content: |
        [Service]
        ExecStart=/bin/busybox httpd -f -p {{ port }} -h /srv/keeper
        [Install]
        WantedBy=multi-user.target
  - service: { name: keeper, state: restarted }
health:
  http: { path: /, body_contains: proximity-app-keeper }
  timeout_s: 2
  interval_s: 1
  attempts: 20
"#;

/// Looks until it waits for this.
async fn waits_for(s: &Stand, what: &str) {
    // The cluster's list may be ten seconds old.
    let waits = async || {
        let sight = s.look().await;
        let why = sight.why.map(|why| why.message).unwrap_or_default();
        assert_ne!(sight.state, SourceState::Applying, "{why}");
        sight.state == SourceState::Waiting && why.contains(what)
    };
    if s.w.until(waits).await.is_err() {
        panic!("{:?}", s.source().await);
    }
}

#[tokio::test]
async fn no_commit_has_an_app_told_a_secret_that_it_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let entry = folder.path().join("keeper");
    std::fs::create_dir_all(&entry).unwrap();
    std::fs::write(entry.join("app.yaml"), KEEPER).unwrap();
    let parts = WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        catalog: Some(folder.path().to_owned()),
        ..WorldParts::default()
    };
    let s = Stand::over(parts, SourceLimits::default()).await;
    let repository = Repository::new();
    for secret in ["shared", "root"] {
        let value = format!("correct-horse-{secret}").into();
        let name = secret.parse().unwrap();
        let set = s.w.engine.set_secret(&s.w.actor, &name, &value).await;
        set.unwrap();
    }
    let named = |secret: &str, more: &str| {
        let settings = format!("  settings:\n    password: {{secret: {secret}}}\n{more}");
        document("web", &settings).replace("beacon", "keeper")
    };
    repository.write("apps/web.yaml", named("shared", ""));
    repository.commit();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    waits_for(&s, "secret for the first time: web").await;
    assert!(s.hostnames().await.is_empty());

    // A person agrees; what follows is the source's again.
    let is_begun = async || {
        let request = StartApply {
            plan: s.look().await.plan.unwrap(),
            consent: Consent::default(),
            parallel: None,
            owner: None,
            key: None,
        };
        match s.w.engine.start_apply(&s.w.actor, request).await {
            Ok(_) => true,
            Err(refused) => {
                assert_eq!(refused.code(), "plan_outdated", "{refused}");
                false
            }
        }
    };
    s.w.until(is_begun).await.unwrap();
    s.reaches(SourceState::AsWanted).await;
    let larger = "  resources: {memory_mib: 128}\n";
    repository.write("apps/web.yaml", named("shared", larger));
    repository.commit();
    s.reaches(SourceState::Applying).await;
    s.reaches(SourceState::AsWanted).await;

    // Beside another change it would get another secret.
    repository.write("apps/web.yaml", named("root", ""));
    repository.commit();
    waits_for(&s, "secret for the first time: web").await;
}

#[tokio::test]
async fn no_commit_takes_a_container_over() {
    let (s, repository) = (Stand::start().await, Repository::new());
    assert_eq!(s.w.pve.stranger_creates("pve1", 150).await.status, 200);
    s.w.pve.quiet().await;
    let before = s.w.pve.changes().len();
    repository.write(
        "apps/old.yaml",
        "apiVersion: proximity/v1\nkind: AdoptedApp\nmetadata:\n  name: old\nspec:\n  host: lab\n  vmid: 150\n  power: stopped\n",
    );
    repository.commit();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    waits_for(&s, "taken over, though no app has had it: old").await;
    assert!(s.hostnames().await.is_empty());
    assert_eq!(s.w.pve.changes().len(), before, "nothing was touched");
}

impl Stand {
    /// A person applies what waits, again where it is another plan by then.
    async fn person_applies(&self) {
        let is_begun = async || {
            let request = StartApply {
                plan: self.look().await.plan.unwrap(),
                consent: Consent::default(),
                parallel: None,
                owner: None,
                key: None,
            };
            match self.w.engine.start_apply(&self.w.actor, request).await {
                Ok(_) => true,
                Err(refused) => {
                    assert_eq!(refused.code(), "plan_outdated", "{refused}");
                    false
                }
            }
        };
        self.w.until(is_begun).await.unwrap();
    }

    async fn rejected(&self) -> Vec<RejectedRevision> {
        let mut all = self.w.store.rejected_revisions().await.unwrap();
        all.retain(RejectedRevision::is_in_force);
        all
    }
}

#[tokio::test]
async fn content_that_came_to_nothing_waits_for_a_person_until_it_is_another_one() {
    let (s, repository) = of_web(SourcePolicy::Apply).await;
    let is_applying = async || s.look().await.state == SourceState::Applying;
    s.w.until(is_applying).await.unwrap();
    s.w.pve.distort(Some(Arc::new(
        |_: &Request,
         _: Result<RawResponse, TransportError>|
         -> Result<RawResponse, TransportError> { panic!("a fault of the test") },
    )));
    s.applier.lock().await.pass().await.unwrap();
    s.w.pve.distort(None);
    s.reaches(SourceState::Failed).await;
    let rejected = s.rejected().await;
    let [row] = rejected.as_slice() else {
        panic!("{rejected:?}");
    };
    let told = (row.name.as_str(), row.by.as_str());
    assert_eq!(told, ("web", "source home"));
    assert!(row.why.is_some(), "{row:?}");

    // Neither a commit that changes something else nor a look that is asked for tries it again.
    repository.write("apps/dbs.yaml", document("dbs", ""));
    repository.commit();
    waits_for(&s, "web was rejected by source home").await;
    s.w.engine.ask_source(&name()).await.unwrap();
    waits_for(&s, "web was rejected by source home").await;
    assert!(s.hostnames().await.is_empty(), "half a commit is none");
    assert_eq!(s.told(EventKind::RevisionRejected).await, 1);
    assert_eq!(s.told(EventKind::SourceWaits).await, 1);
    let plan = s.look().await.plan.unwrap();
    let plan = s.w.store.plan(plan).await.unwrap().unwrap().plan;
    let web = plan.changes.iter().find(|one| one.name.as_str() == "web");
    let notes = &web.unwrap().notes;
    assert!(notes[0].contains("rejected by source home"), "{notes:?}");

    // Other content is no business of that.
    let larger = "  resources: {memory_mib: 128}\n";
    repository.write("apps/web.yaml", document("web", larger));
    repository.commit();
    s.reaches(SourceState::AsWanted).await;
    assert_eq!(s.hostnames().await, ["dbs", "web"]);
    let still = s.rejected().await;
    assert_eq!(still, rejected, "other content that is done lets it not be");
}

#[tokio::test]
async fn what_a_person_rejected_waits_until_a_person_applies_it_or_lets_it_be() {
    let (s, repository) = of_web(SourcePolicy::Plan).await;
    let plan = s.reaches(SourceState::Waiting).await.plan.unwrap();
    let (engine, actor) = (&s.w.engine, &s.w.actor);
    let reject = async |app: Option<&str>| {
        let request = RejectPlan {
            plan,
            app: app.map(|app| app.parse().unwrap()),
            why: Some(" not on a Friday ".to_owned()),
        };
        engine.reject_plan(actor, request).await
    };
    let other = reject(Some("dbs")).await.unwrap_err();
    assert_eq!(other.code(), "invalid_value", "{other}");
    let rejected = reject(Some("web")).await.unwrap();
    assert_eq!(rejected[0].why.as_deref(), Some("not on a Friday"));
    assert_eq!(reject(None).await.unwrap(), rejected, "once");
    assert_eq!(s.told(EventKind::RevisionRejected).await, 1);

    engine.remove_source(actor, &name()).await.unwrap();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    waits_for(&s, "web was rejected by admin").await;
    assert!(s.hostnames().await.is_empty());
    let nobody = engine.unreject(actor, &"dbs".parse().unwrap()).await;
    assert_eq!(nobody.unwrap_err().code(), "not_found");
    s.person_applies().await;
    s.reaches(SourceState::AsWanted).await;
    assert_eq!(s.hostnames().await, ["web"]);
    assert_eq!(s.rejected().await, [], "it is so by now");
}

#[tokio::test]
async fn what_is_let_be_is_applied_by_itself_again() {
    let (s, repository) = of_web(SourcePolicy::Plan).await;
    let plan = s.reaches(SourceState::Waiting).await.plan.unwrap();
    let request_of_all = RejectPlan {
        plan,
        app: None,
        why: None,
    };
    let (engine, actor) = (&s.w.engine, &s.w.actor);
    engine.reject_plan(actor, request_of_all).await.unwrap();
    engine.remove_source(actor, &name()).await.unwrap();
    s.add(request(&repository.url(), SourcePolicy::Apply))
        .await
        .unwrap();
    waits_for(&s, "web was rejected by admin").await;
    engine
        .unreject(actor, &"web".parse().unwrap())
        .await
        .unwrap();
    s.reaches(SourceState::AsWanted).await;
    assert_eq!(s.hostnames().await, ["web"]);
}

/// It is recorded with an apply that has no changes.
#[tokio::test]
async fn what_was_rejected_is_not_recorded_either_where_no_container_shows_it() {
    let (s, repository) = of_web(SourcePolicy::Apply).await;
    s.reaches(SourceState::AsWanted).await;
    let (store, actor) = (&s.w.store, &s.w.actor);
    let web: Hostname = "web".parse().unwrap();
    let newest = async || store.desired(&web).await.unwrap().unwrap();
    let first = newest().await;
    let Some(DesiredSpec::App(mut spec)) = first.spec else {
        panic!("an app is wanted");
    };
    spec.ignore = ["memory".parse().unwrap()].into_iter().collect();
    let new = [NewRejection {
        name: web.clone(),
        spec_hash: store.spec_hash(Some(&DesiredSpec::App(spec))).unwrap(),
        why: None,
    }];
    let rejected = store.reject_revisions(&new, "ann", actor, first.applied_at);
    assert_eq!(rejected.await.unwrap().len(), 1);
    repository.write("apps/web.yaml", document("web", "  ignore: [memory]\n"));
    repository.commit();
    waits_for(&s, "web was rejected by ann").await;
    assert_eq!(newest().await.revision, 1);
    s.w.engine.unreject(actor, &web).await.unwrap();
    s.reaches(SourceState::AsWanted).await;
    assert_eq!(newest().await.revision, 2);
}

/// Whoever applies by itself has looked before that.
#[tokio::test]
async fn what_is_rejected_after_the_look_is_begun_by_a_person_alone() {
    let (s, _repository) = of_web(SourcePolicy::Plan).await;
    let plan = s.reaches(SourceState::Waiting).await.plan.unwrap();
    let (engine, actor) = (&s.w.engine, &s.w.actor);
    let request_of_all = RejectPlan {
        plan,
        app: None,
        why: None,
    };
    engine.reject_plan(actor, request_of_all).await.unwrap();
    let is_refused = async || {
        let request = StartApply {
            plan: s.look().await.plan.unwrap(),
            consent: Consent::default(),
            parallel: None,
            owner: None,
            key: None,
        };
        match engine.start_apply_unless_rejected(actor, request).await {
            Ok(begun) => panic!("{begun:?}"),
            Err(refused) if refused.code() == "plan_outdated" => false,
            Err(refused) => {
                assert_eq!(refused.code(), "source_waits", "{refused}");
                assert!(refused.to_string().contains("web"), "{refused}");
                true
            }
        }
    };
    s.w.until(is_refused).await.unwrap();
    assert_eq!(s.w.store.applies(None, 10).await.unwrap(), []);
    s.person_applies().await;
    assert_eq!(s.w.store.applies(None, 10).await.unwrap().len(), 1);
}
