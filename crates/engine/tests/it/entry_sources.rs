//! The catalog of a server that runs: what a person takes of a repository, folders that are read again, and apps that go on with what they
//! were made from.

use std::path::Path;

use proximity_domain::names::{CatalogId, CommitId, SourceName};
use proximity_domain::operation::OperationState;
use proximity_engine::catalog::Catalog;
use proximity_engine::commands::{
    Action, AddEntrySource, CreateApp, EntryFate, EntryUpdate, UpdateApp,
};
use proximity_engine::engine::EngineLimits;
use proximity_engine::entries::CatalogWatch;
use proximity_engine::error::EngineError;
use proximity_engine::sources::SourceLimits;
use proximity_pve_emulator::core::Access;
use proximity_store::records::AppRecord;
use proximity_testkit::guests::address;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sources::repository::Repository;

/// The beacon under another id.
fn entry(id: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/catalog");
    let text = std::fs::read_to_string(fixtures.join("beacon/app.yaml")).unwrap();
    text.replace("id: beacon", &format!("id: {id}"))
}

/// What it became: another version, another page, and another word by which that is known.
fn newer(id: &str) -> String {
    let text = entry(id).replace("version: 1.0.0", "version: 2.0.0");
    let text = text.replace("proximity-app-beacon", "proximity-app-newer");
    text.replace(
        "<p>{{ settings.greeting }}</p>",
        "<b>{{ settings.greeting }}</b>",
    )
}

fn write(folder: &Path, id: &str, text: &str) {
    std::fs::create_dir_all(folder.join(id)).unwrap();
    std::fs::write(folder.join(id).join("app.yaml"), text).unwrap();
}

/// A world with a folder of entries, of which the beacon is one.
struct Stand {
    w: TestWorld,
    entries: TempDir,
    _fetched: TempDir,
}

impl Stand {
    async fn start() -> Self {
        let (entries, fetched) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(entries.path(), "beacon", &entry("beacon"));
        let limits = EngineLimits {
            sources: SourceLimits {
                folder: Some(fetched.path().join("sources")),
                allow_files: true,
                ..SourceLimits::default()
            },
            ..EngineLimits::default()
        };
        let parts = WorldParts {
            clusters: vec![Pve::start(Access::Full)],
            catalog: Some(entries.path().to_owned()),
            limits,
            ..WorldParts::default()
        };
        Self {
            w: TestWorld::start_of(parts).await.unwrap(),
            entries,
            _fetched: fetched,
        }
    }

    async fn add(&self, name: &str, repository: &Repository) {
        let request = AddEntrySource {
            name: name.to_owned(),
            url: repository.url(),
            branch: None,
            path: Some("apps".to_owned()),
            signers: None,
            credential: None,
        };
        let added = self.w.engine.add_entry_source(&self.w.actor, request).await;
        assert_eq!(added.unwrap().taken, None);
    }

    async fn look(&self, source: &str) -> EntryUpdate {
        self.w.engine.entry_update(&name(source)).await.unwrap()
    }

    async fn take(&self, source: &str, commit: &str) -> Result<EntryUpdate, EngineError> {
        let commit: CommitId = commit.parse().unwrap();
        let (engine, actor) = (&self.w.engine, &self.w.actor);
        engine.take_entries(actor, &name(source), &commit).await
    }

    /// The version that the catalog has.
    fn version(&self, entry: &str) -> Option<String> {
        let catalog = self.w.engine.catalog();
        let entry = catalog.get(&id(entry))?;
        Some(entry.version.clone())
    }

    async fn deploy(&self, entry: &str, hostname: &str) -> AppRecord {
        let request = CreateApp {
            catalog_id: entry.to_owned(),
            hostname: hostname.to_owned(),
            ..CreateApp::default()
        };
        let w = &self.w;
        let app = w.engine.create_app(&w.actor, request).await.unwrap();
        let ended = w.settled(app.operation.unwrap()).await.unwrap();
        assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
        self.app(&app).await
    }

    async fn app(&self, app: &AppRecord) -> AppRecord {
        self.w.store.app(app.id).await.unwrap().unwrap()
    }

    async fn update(&self, hostname: &str, request: UpdateApp) {
        let w = &self.w;
        let op = w.engine.update_app(&w.actor, hostname, request).await;
        let ended = w.settled(op.unwrap().id).await.unwrap();
        assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    }

    async fn restart(&self, hostname: &str) {
        let w = &self.w;
        let action = Action::Restart { force: false };
        let op = w.engine.act(&w.actor, hostname, action).await.unwrap();
        let ended = w.settled(op.id).await.unwrap();
        assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    }

    async fn page(&self, app: &AppRecord) -> String {
        let guests = self.w.store.native_guests(app.id).await.unwrap();
        let vmid = guests[0].place.vmid.get();
        let at = (address(vmid), 8080).into();
        let (status, page) = self.w.pve.guests.fetch(at, "/").unwrap();
        assert_eq!(status, 200);
        page
    }

    fn newer(&self, app: &AppRecord) -> Option<String> {
        let offered = self.w.engine.newer_entry(app)?;
        Some(offered.entry.version.clone())
    }
}

fn name(source: &str) -> SourceName {
    source.parse().unwrap()
}

fn id(entry: &str) -> CatalogId {
    entry.parse().unwrap()
}

fn greeting(text: &str) -> UpdateApp {
    UpdateApp {
        settings: [("greeting".to_owned(), json!(text))].into_iter().collect(),
        ..UpdateApp::default()
    }
}

#[tokio::test]
async fn what_a_repository_has_is_shown_and_used_once_a_person_took_it() {
    let (stand, repository) = (Stand::start().await, Repository::new());
    repository.write("apps/lamp/app.yaml", entry("lamp"));
    repository.write("apps/broken/app.yaml", "format: 1\nid: broken\n");
    repository.write("apps/nginx/app.yaml", entry("nginx"));
    repository.write("apps/beacon/app.yaml", entry("beacon"));
    let first = repository.commit();
    stand.add("team", &repository).await;
    let seen = stand.look("team").await;
    assert_eq!(seen.commit.as_str(), first);
    assert!(seen.entries.iter().all(|one| one.fate == EntryFate::New));
    assert_eq!((seen.entries.len(), seen.same), (4, 0));
    assert_eq!(stand.version("lamp"), None, "looking takes nothing");
    let told = |end: &str| {
        let mut places = seen.problems.iter().filter(|one| one.place.ends_with(end));
        places.next().map(|one| one.message.clone()).unwrap()
    };
    assert!(told("apps/broken/app.yaml").contains("missing"), "{seen:?}");
    assert!(told("apps/nginx/app.yaml").contains("catalog/nginx/app.yaml"));
    let beacon = stand.entries.path().join("beacon/app.yaml");
    assert!(told("apps/beacon/app.yaml").contains(&beacon.display().to_string()));
    assert_eq!(seen.problems.len(), 3, "{seen:?}");

    // Nothing is taken that was not shown.
    repository.write("apps/lamp/app.yaml", newer("lamp"));
    let second = repository.commit();
    let late = stand.take("team", &first).await.unwrap_err();
    assert_eq!(late.code(), "not_in_state", "{late}");
    assert_eq!(stand.version("lamp"), None);

    stand.take("team", &second).await.unwrap();
    assert_eq!(stand.version("lamp").as_deref(), Some("2.0.0"));
    let catalog = stand.w.engine.catalog();
    assert_eq!(catalog.problems().len(), 3, "{:?}", catalog.problems());
    let origin = catalog.offered(&id("nginx")).unwrap().origin.label();
    assert_eq!(origin, "shipped");
    let (stats, shipped) = (catalog.stats(), Catalog::load(&[]).unwrap().stats());
    let beside = stats.entries - shipped.entries;
    assert_eq!((beside, stats.problems), (2, 3));
    assert!(stats.verified > 0 && stats.verified == shipped.verified);
    assert_eq!(stats.origins["source:team"], 1);
    let lamp = stand.deploy("lamp", "first").await;
    assert!(stand.page(&lamp).await.contains("<b>hello</b>"));

    let again = stand.look("team").await;
    assert_eq!((again.entries.len(), again.same), (0, 4));
    assert_eq!(again.problems, []);
}

#[tokio::test]
async fn an_app_goes_on_with_what_it_was_made_from_until_it_is_moved() {
    let (stand, repository) = (Stand::start().await, Repository::new());
    repository.write("apps/lamp/app.yaml", entry("lamp"));
    let first = repository.commit();
    stand.add("team", &repository).await;
    stand.take("team", &first).await.unwrap();
    let app = stand.deploy("lamp", "first").await;
    assert_eq!(stand.newer(&app), None);

    repository.write("apps/lamp/app.yaml", newer("lamp"));
    let second = repository.commit();
    let seen = stand.look("team").await;
    let [lamp] = seen.entries.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!(lamp.fate, EntryFate::Changed);
    let paths: Vec<&str> = lamp.changes.iter().map(|one| one.path.as_str()).collect();
    let expected = [
        "health.http.body_contains",
        "install[0].file.content",
        "version",
    ];
    assert_eq!(paths, expected);
    assert_eq!(stand.newer(&app), None, "looking takes nothing");
    stand.take("team", &second).await.unwrap();
    assert_eq!(stand.newer(&app).as_deref(), Some("2.0.0"));

    // Whatever is done with it is done by what it was made from.
    stand.restart("first").await;
    stand.update("first", greeting("bye")).await;
    assert!(stand.page(&app).await.contains("<p>bye</p>"));
    let now = stand.app(&app).await;
    assert_eq!(
        (&now.entry_hash, now.catalog_version.as_str()),
        (&app.entry_hash, "1.0.0")
    );

    let moved = UpdateApp {
        newest_entry: true,
        ..UpdateApp::default()
    };
    let preview = stand.w.engine.preview_update("first", &moved).await;
    let preview = preview.unwrap();
    assert_eq!(preview.changes[0].path, "entry");
    let to = preview.changes[0].to.as_str().unwrap();
    assert!(
        to.starts_with("2.0.0 (") && to.ends_with(" of source:team"),
        "{to}"
    );
    stand.update("first", moved.clone()).await;
    assert!(stand.page(&app).await.contains("<b>bye</b>"));
    let now = stand.app(&app).await;
    assert_ne!(now.entry_hash, app.entry_hash);
    assert_eq!(now.catalog_version, "2.0.0");
    assert_eq!(stand.newer(&now), None);

    // What it is made from stays also where its source goes.
    let (engine, actor) = (&stand.w.engine, &stand.w.actor);
    let removed = engine.remove_entry_source(actor, &name("team")).await;
    removed.unwrap();
    assert_eq!(stand.version("lamp"), None);
    stand.restart("first").await;
    stand.update("first", greeting("still here")).await;
    assert!(stand.page(&app).await.contains("<b>still here</b>"));
}

/// What an entry makes by chance is made for an app that is moved to it, and then stays.
#[tokio::test]
async fn a_secret_that_only_the_newer_entry_has_is_made_by_the_move() {
    let stand = Stand::start().await;
    let app = stand.deploy("beacon", "first").await;
    let text = newer("beacon");
    let text = text.replace(
        "settings:\n",
        "settings:\n  - name: token\n    type: secret\n    help: What the beacon shows who it is with\n    generate: { length: 24 }\n",
    );
    let text = text.replace(
        "install:\n",
        "install:\n  - file:\n      path: /etc/beacon-token\n      mode: \"0600\"\n      escape: plain\n      content: |\n        {{ settings.token }}\n",
    );
    write(stand.entries.path(), "beacon", &text);
    let catalog = stand.w.engine.reload_catalog().await.unwrap();
    assert_eq!(catalog.problems(), []);
    let moved = UpdateApp {
        newest_entry: true,
        ..UpdateApp::default()
    };
    stand.update("first", moved).await;
    let token = async || {
        let sealed = stand.w.store.app_environment(app.id).await.unwrap();
        let settings: Value = serde_json::from_str(sealed.expose_secret()).unwrap();
        settings["TOKEN"].as_str().unwrap().to_owned()
    };
    let made = token().await;
    assert_eq!(made.len(), 24);
    stand.update("first", greeting("bye")).await;
    assert_eq!(token().await, made);
    let shown = stand.app(&app).await.environment.to_string();
    assert!(!shown.contains(&made), "{shown}");
}

#[tokio::test]
async fn a_move_that_needs_another_container_is_refused() {
    let stand = Stand::start().await;
    stand.deploy("beacon", "first").await;
    let other = entry("beacon").replace("port: 8080", "port: 8081");
    write(stand.entries.path(), "beacon", &other);
    stand.w.engine.reload_catalog().await.unwrap();
    let moved = UpdateApp {
        newest_entry: true,
        ..UpdateApp::default()
    };
    let refused = stand.w.engine.preview_update("first", &moved).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "needs_replacement");
    assert!(refused.to_string().contains("port 8081"), "{refused}");
}

#[tokio::test]
async fn folders_are_read_again_without_a_start_and_a_bad_file_stops_no_other() {
    let stand = Stand::start().await;
    let mut watch = CatalogWatch::new(stand.w.engine.clone());
    assert!(!watch.pass().await.unwrap(), "the first look");
    assert!(!watch.pass().await.unwrap(), "nothing was changed");
    write(stand.entries.path(), "lamp", &entry("lamp"));
    assert!(watch.pass().await.unwrap());
    assert_eq!(stand.version("lamp").as_deref(), Some("1.0.0"));

    write(stand.entries.path(), "broken", "format: 1\n");
    write(stand.entries.path(), "torch", &entry("lamp"));
    assert!(watch.pass().await.unwrap());
    let catalog = stand.w.engine.catalog();
    let places: Vec<&str> = catalog
        .problems()
        .iter()
        .map(|one| one.place.as_str())
        .collect();
    assert_eq!(places.len(), 2, "{places:?}");
    assert!(places[0].ends_with("broken/app.yaml"));
    assert!(places[1].ends_with("torch/app.yaml"));
    stand.deploy("lamp", "first").await;

    std::fs::remove_dir_all(stand.entries.path().join("lamp")).unwrap();
    assert!(watch.pass().await.unwrap());
    assert_eq!(stand.version("lamp"), None);
    stand.restart("first").await;
}

#[tokio::test]
async fn a_repository_that_is_no_repository_of_entries_is_told() {
    let (stand, repository) = (Stand::start().await, Repository::new());
    repository.write("README.md", "nothing");
    let commit = repository.commit();
    stand.add("team", &repository).await;
    let told = stand.w.engine.entry_update(&name("team")).await;
    assert_eq!(told.unwrap_err().code(), "documents_not_found");
    let told = stand.take("team", &commit).await;
    assert_eq!(told.unwrap_err().code(), "documents_not_found");
    let gone = Repository::new();
    stand.add("gone", &gone).await;
    drop(gone);
    let told = stand.w.engine.entry_update(&name("gone")).await;
    let told = told.unwrap_err();
    assert_eq!(told.code(), "source_unreachable", "{told}");
    // That is true of sources of documents alone.
    let hint = told.hint();
    assert!(hint.ends_with("reaches the repository"), "{hint}");
    let told = stand.w.engine.entry_update(&name("nobody")).await;
    assert_eq!(told.unwrap_err().code(), "source_not_found");
    let request = AddEntrySource {
        name: "other".to_owned(),
        url: "ext::sh -c id".to_owned(),
        branch: None,
        path: None,
        signers: None,
        credential: None,
    };
    let (engine, actor) = (&stand.w.engine, &stand.w.actor);
    let refused = engine.add_entry_source(actor, request).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_value");
}
