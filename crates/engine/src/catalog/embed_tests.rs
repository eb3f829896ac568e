use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{SHIPPED, VERIFIED};
use crate::catalog::check::Origin;
use crate::catalog::lint::lint;
use crate::catalog::{CatalogEntry, Check, ResolvedRecipe, SettingKind, Step, UnitState, parse};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn entries() -> Vec<CatalogEntry> {
    let read = |(file, text): &(&str, &str)| {
        parse::entry(file, text, Origin::Shipped).unwrap_or_else(|error| panic!("{error}"))
    };
    SHIPPED.iter().map(read).collect()
}

/// The recipe with what a user has to give.
fn recipe(entry: &CatalogEntry) -> ResolvedRecipe {
    let needed = entry.settings.iter().filter(|setting| setting.required);
    let given: BTreeMap<String, Value> = needed
        .map(|setting| (setting.env.clone(), Value::from("Secret.Value-0123")))
        .collect();
    entry.resolve_new(&given, &mut || 7).unwrap()
}

fn written(recipe: &ResolvedRecipe) -> Vec<String> {
    let files = recipe.steps.iter().filter_map(|step| match step {
        Step::File(file) => Some(String::from_utf8(file.content.expose().to_vec()).unwrap()),
        _ => None,
    });
    files.collect()
}

#[test]
fn every_entry_of_the_folder_is_shipped_and_no_other() {
    let mut found: Vec<String> = std::fs::read_dir(root().join("catalog"))
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .map(|folder| format!("catalog/{folder}/app.yaml"))
        .collect();
    found.sort();
    let shipped: Vec<&str> = SHIPPED.iter().map(|(path, _)| *path).collect();
    assert_eq!(shipped, found);
    for (path, text) in SHIPPED {
        assert_eq!(*text, std::fs::read_to_string(root().join(path)).unwrap());
    }
    let is_shipped = |id: &&str| shipped.contains(&format!("catalog/{id}/app.yaml").as_str());
    assert!(VERIFIED.iter().all(is_shipped));
}

#[test]
fn nothing_is_wrong_with_a_shipped_entry_and_its_folder_has_its_id() {
    for (file, text) in SHIPPED {
        let problems = lint(file, text, Origin::Shipped);
        assert!(problems.is_empty(), "{problems:#?}");
    }
    let ids = entries();
    let folders = ids
        .iter()
        .map(|entry| format!("catalog/{}/app.yaml", entry.id));
    let shipped: Vec<&str> = SHIPPED.iter().map(|(path, _)| *path).collect();
    assert_eq!(folders.collect::<Vec<String>>(), shipped);
}

#[test]
fn a_shipped_entry_says_whose_it_is_and_where_new_ones_are_found() {
    for entry in entries() {
        let id = &entry.id;
        assert!(entry.website.is_some(), "{id}: website");
        assert!(entry.license.is_some(), "{id}: license");
        assert!(entry.releases.is_some(), "{id}: releases");
        assert!(!entry.tags.is_empty(), "{id}: tags");
        assert_eq!(entry.base.to_string(), "debian-12-standard", "{id}");
    }
}

#[test]
fn a_user_has_to_give_passwords_and_nothing_else() {
    for entry in entries() {
        let needed = entry.settings.iter().filter(|setting| setting.required);
        for setting in needed {
            let SettingKind::Secret { rule, generate } = &setting.kind else {
                panic!("{}: {} has no default", entry.id, setting.name);
            };
            assert_eq!(*generate, None);
            assert!(rule.min_chars >= 12, "{}: {}", entry.id, setting.name);
        }
    }
}

#[test]
fn a_shipped_recipe_listens_where_its_entry_says_and_ends_with_its_unit_started_anew() {
    for entry in entries() {
        let recipe = recipe(&entry);
        let port = entry.port.to_string();
        let says = written(&recipe).iter().any(|text| text.contains(&port));
        assert!(says, "{}: no file names port {port}", entry.id);
        let last = recipe.steps.last();
        let restarted =
            matches!(last, Some(Step::Service(unit)) if unit.state == UnitState::Restarted);
        assert!(restarted, "{}: {last:?}", entry.id);
        let asked = match &recipe.health.check {
            Check::Http(http) => http.port,
            Check::Tcp(port) => *port,
            Check::Exec(_) => entry.port,
        };
        let listed = entry.ports.iter().any(|port| port.number == asked);
        assert!(listed, "{}: {asked} is none of its ports", entry.id);
    }
}

#[test]
fn a_shipped_recipe_writes_secrets_for_its_own_accounts_alone() {
    for entry in entries() {
        let recipe = recipe(&entry);
        let secret = recipe.steps.iter().filter_map(|step| match step {
            Step::File(file) if file.content.is_secret() => Some(file),
            _ => None,
        });
        let mut files = 0_usize;
        for file in secret {
            files += 1;
            assert!(
                !file.mode.is_world_readable(),
                "{}: {}",
                entry.id,
                file.path
            );
        }
        let any = entry
            .settings
            .iter()
            .any(|setting| matches!(setting.kind, SettingKind::Secret { .. }));
        assert_eq!(files > 0, any, "{}", entry.id);
    }
}

#[test]
fn what_a_user_may_write_freely_is_escaped_where_it_is_written() {
    const HOSTILE: &str = "a\"b'c\\d $(id) `id` <e> f: {g} #";
    let mut free = 0_usize;
    for entry in entries() {
        let mut given: BTreeMap<String, Value> = BTreeMap::new();
        for setting in &entry.settings {
            let is_free = match &setting.kind {
                SettingKind::Text { rule, .. } | SettingKind::Secret { rule, .. } => {
                    rule.pattern.is_none()
                }
                _ => false,
            };
            if is_free {
                free += 1;
                given.insert(setting.env.clone(), Value::from(HOSTILE));
            } else if setting.required {
                let password = Value::from("Secret.Value-0123");
                given.insert(setting.env.clone(), password);
            }
        }
        let recipe = entry.resolve_new(&given, &mut || 7).unwrap();
        for text in written(&recipe) {
            assert!(!text.contains(HOSTILE), "{}: {text}", entry.id);
        }
    }
    assert!(free > 0);
}

#[test]
fn a_database_may_be_called_by_a_word_of_sql() {
    for (id, expected) in [
        ("mariadb", "CREATE DATABASE IF NOT EXISTS `user` "),
        ("postgresql", "'CREATE DATABASE \"user\" OWNER app "),
    ] {
        let all = entries();
        let entry = all.iter().find(|entry| entry.id.as_str() == id).unwrap();
        let given = [("PASSWORD", "Secret.Value-0123"), ("DATABASE", "user")];
        let given = given.map(|(name, value)| (name.to_owned(), Value::from(value)));
        let recipe = entry.resolve_new(&given.into(), &mut || 7).unwrap();
        let says = written(&recipe).iter().any(|text| text.contains(expected));
        assert!(says, "{id}: {recipe:?}");
    }
}

#[test]
fn the_page_of_apps_has_each_shipped_entry_with_its_version() {
    let page = std::fs::read_to_string(root().join("docs/reference/catalog-apps.md")).unwrap();
    for entry in entries() {
        let (id, version) = (&entry.id, &entry.version);
        let row = format!("| [{id}](../../catalog/{id}/app.yaml) | {version} |");
        assert!(page.contains(&row), "no {row}");
    }
    let rows = page.matches("](../../catalog/").count();
    assert_eq!(rows, SHIPPED.len());
}
