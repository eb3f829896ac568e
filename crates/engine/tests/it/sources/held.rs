//! What no commit is let do without a person, though nothing ends by it.

use proximity_domain::apply::Consent;
use proximity_domain::source::{SourcePolicy, SourceState};
use proximity_engine::commands::StartApply;
use proximity_engine::sources::SourceLimits;
use proximity_pve_emulator::core::Access;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::WorldParts;

use super::repository::{Repository, document};
use super::{Stand, request};

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
