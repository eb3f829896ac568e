//! Entries that fetch what is held against nothing: deployed, planned and moved to only where that is allowed.

use std::collections::BTreeMap;
use std::path::Path;

use proximity_domain::manifest::Manifest;
use proximity_engine::commands::{CreateApp, MakePlan, UpdateApp};
use proximity_engine::error::EngineError;
use proximity_pve_emulator::core::Access;
use proximity_testkit::pve::Pve;
use proximity_testkit::world::{TestWorld, WorldParts, fixtures};
use serde_json::json;

const DOWNLOAD: &str =
    "install:\n  - download: { url: 'https://example.org/tool', path: /opt/tool }\n";

/// Writes the beacon as an entry `loose`, which fetches something.
fn write_loose(folder: &Path, is_unpinned: bool) {
    let beacon = std::fs::read_to_string(fixtures().join("beacon/app.yaml")).unwrap();
    let loose = beacon.replacen("id: beacon", "id: loose", 1);
    let loose = match is_unpinned {
        true => loose
            .replacen("category: test", "category: test\nunpinned: true", 1)
            .replacen("install:\n", DOWNLOAD, 1),
        false => loose,
    };
    std::fs::create_dir_all(folder.join("loose")).unwrap();
    std::fs::write(folder.join("loose/app.yaml"), loose).unwrap();
}

async fn world(folder: &Path) -> TestWorld {
    TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start(Access::Full)],
        catalog: Some(folder.to_owned()),
        ..WorldParts::default()
    })
    .await
    .unwrap()
}

fn request(hostname: &str, allow_unpinned: bool) -> CreateApp {
    CreateApp {
        catalog_id: "loose".to_owned(),
        hostname: hostname.to_owned(),
        allow_unpinned,
        ..CreateApp::default()
    }
}

async fn plan(w: &TestWorld, allow_unpinned: bool) -> Result<usize, EngineError> {
    let spec = json!({"catalog_id": "loose", "allow_unpinned": allow_unpinned});
    let request = MakePlan {
        documents: vec![Manifest::App {
            name: "web".parse().unwrap(),
            spec: serde_json::from_value(spec).unwrap(),
        }],
        order: vec![vec!["web".to_owned()]],
        ..MakePlan::default()
    };
    let made = w.engine.make_plan(&w.actor, request).await?;
    Ok(made.plan.changes.len())
}

#[tokio::test]
async fn an_unpinned_entry_is_deployed_only_where_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    write_loose(folder.path(), true);
    let w = world(folder.path()).await;
    let refused = w.engine.create_app(&w.actor, request("web", false)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "entry_unpinned");
    assert!(refused.hint().contains("--allow-unpinned"), "{refused:?}");
    let field = refused.fields().keys().next().cloned();
    assert_eq!(field.as_deref(), Some("allow_unpinned"));
    let looked = w.engine.preflight(request("web", false)).await;
    assert_eq!(looked.unwrap_err().code(), "entry_unpinned");
    assert!(w.engine.preflight(request("web", true)).await.is_ok());
    let made = w.engine.create_app(&w.actor, request("web", true)).await;
    assert_eq!(made.unwrap().catalog_id.as_str(), "loose");
}

#[tokio::test]
async fn documents_of_an_unpinned_entry_say_that_they_allow_it() {
    let folder = tempfile::tempdir().unwrap();
    write_loose(folder.path(), true);
    let w = world(folder.path()).await;
    let refused = plan(&w, false).await.unwrap_err();
    assert_eq!(refused.code(), "manifest_invalid");
    let fields: BTreeMap<String, String> = refused.fields();
    assert!(
        fields.contains_key("web.allow_unpinned") && fields.len() == 1,
        "{fields:?}"
    );
    assert_eq!(plan(&w, true).await.unwrap(), 1);
}

#[tokio::test]
async fn an_app_is_moved_to_an_unpinned_entry_only_where_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    write_loose(folder.path(), false);
    let w = world(folder.path()).await;
    let app = w.engine.create_app(&w.actor, request("web", false)).await;
    let app = app.unwrap();
    w.settled(app.operation.unwrap()).await.unwrap();
    write_loose(folder.path(), true);
    w.engine.reload_catalog().await.unwrap();
    let moved = |allow_unpinned| UpdateApp {
        newest_entry: true,
        allow_unpinned,
        ..UpdateApp::default()
    };
    let refused = w.engine.preview_update("web", &moved(false)).await;
    assert_eq!(refused.unwrap_err().code(), "entry_unpinned");
    let shown = w.engine.preview_update("web", &moved(true)).await.unwrap();
    assert!(shown.changes.iter().any(|change| change.path == "entry"));
}
