use std::collections::BTreeMap;

use serde_json::{Value, json};

use proximity_store::entry_sources::TakenFile;

use super::*;
use crate::catalog::{Check, HttpCheck, Protocol, ResolvedRecipe, Step};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/catalog")
}

fn catalog() -> Catalog {
    Catalog::load(&[fixtures()]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn resolve(id: &str, settings: Value) -> ResolvedRecipe {
    let settings: BTreeMap<String, Value> = serde_json::from_value(settings).unwrap();
    let catalog = catalog();
    catalog
        .get(&id.parse().unwrap())
        .unwrap()
        .resolve(&settings)
        .unwrap()
}

fn http_of(recipe: &ResolvedRecipe) -> &HttpCheck {
    match &recipe.health.check {
        Check::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

fn contents(recipe: &ResolvedRecipe) -> BTreeMap<String, String> {
    let files = recipe.steps.iter().filter_map(|step| match step {
        Step::File(file) => {
            let text = String::from_utf8(file.content.expose().to_vec()).unwrap();
            Some((file.path.to_string(), text))
        }
        _ => None,
    });
    files.collect()
}

#[test]
fn shipped_entries_come_without_folders_and_extra_ones_are_added() {
    let ids = |catalog: &Catalog| -> Vec<String> {
        catalog
            .entries()
            .map(|entry| entry.id.to_string())
            .collect()
    };
    let shipped = ids(&Catalog::load(&[]).unwrap());
    assert_eq!(shipped.len(), SHIPPED.len());
    assert!(shipped.contains(&"nginx".to_owned()), "{shipped:?}");
    let mut with_ours = shipped;
    with_ours.push("beacon".to_owned());
    with_ours.sort();
    assert_eq!(ids(&catalog()), with_ours);
}

/// An entry that writes its page installs with no settings at all, its page holds what the health check looks for, and the check's
/// port is the app's.
#[test]
fn every_page_that_an_entry_writes_fits_its_health_check() {
    for id in ["beacon", "caddy", "nginx"] {
        let catalog = catalog();
        let entry = catalog.get(&id.parse().unwrap()).unwrap();
        assert_eq!(entry.protocol, Protocol::Http);
        let recipe = entry.resolve(&BTreeMap::new()).unwrap();
        let http = http_of(&recipe);
        assert_eq!(http.port, entry.port);
        let pages = contents(&recipe);
        let marked = pages
            .values()
            .any(|page| page.contains(&http.body_contains));
        assert!(marked, "{id}: no file holds {}", http.body_contains);
        assert!(entry.needs.min_memory_mib <= entry.needs.default.memory_mib);
    }
}

#[test]
fn the_page_of_nginx_shows_title_and_message_as_text() {
    let hostile = "<script>alert('x')</script>";
    let recipe = resolve("nginx", json!({"SITE_TITLE": hostile, "MESSAGE": "a & b"}));
    let page = &contents(&recipe)["/var/www/proximity/index.html"];
    assert!(!page.contains("<script"), "{page}");
    assert!(
        page.contains("<h1>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;</h1>"),
        "{page}"
    );
    assert!(page.contains("<p>a &amp; b</p>"), "{page}");
    assert!(page.contains(&http_of(&recipe).body_contains));
}

#[test]
fn nginx_is_set_up_to_listen_on_8080_alone() {
    let recipe = resolve("nginx", json!({"gzip": "false", "max_body_mib": 100}));
    let config = &contents(&recipe)["/etc/nginx/conf.d/proximity.conf"];
    assert!(config.contains("listen 8080 default_server;"), "{config}");
    assert!(config.contains("gzip off;"), "{config}");
    assert!(config.contains("client_max_body_size 100m;"), "{config}");
    let place = |found: fn(&Step) -> bool| recipe.steps.iter().position(found).unwrap();
    let installed = place(|step| matches!(step, Step::Apt(_)));
    let disabled = place(
        |step| matches!(step, Step::Absent(path) if path.as_str() == "/etc/nginx/sites-enabled/default"),
    );
    let restarted = place(|step| matches!(step, Step::Service(_)));
    assert!(installed < disabled && disabled < restarted);
    assert_eq!(restarted, recipe.steps.len() - 1);
}

#[test]
fn the_beacon_runs_busybox_on_its_port() {
    let recipe = resolve("beacon", json!({"GREETING": "<hi>"}));
    let files = contents(&recipe);
    let unit = &files["/etc/systemd/system/beacon.service"];
    assert!(
        unit.contains("ExecStart=/bin/busybox httpd -f -p 8080 -h /srv/beacon\n"),
        "{unit}"
    );
    assert!(files["/srv/beacon/index.html"].contains("<p>&lt;hi&gt;</p>"));
}

/// A copy of the beacon with something changed, in a folder of a name.
fn folder_with(name: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixtures().join("beacon/app.yaml")).unwrap();
    assert!(text.contains(from));
    std::fs::create_dir(folder.path().join(name)).unwrap();
    std::fs::write(
        folder.path().join(name).join("app.yaml"),
        text.replacen(from, to, 1),
    )
    .unwrap();
    folder
}

fn errors_of(folders: &[PathBuf]) -> Vec<CatalogError> {
    Catalog::load(folders).unwrap_err().0
}

#[test]
fn an_id_is_the_name_of_its_folder_and_there_once() {
    let wrong = folder_with("torch", "id: beacon", "id: beacon");
    let errors = errors_of(&[wrong.path().to_owned()]);
    assert!(
        matches!(errors.as_slice(), [CatalogError::WrongFolder { .. }]),
        "{errors:?}"
    );
    let again = folder_with("beacon", "id: beacon", "id: beacon");
    let errors = errors_of(&[fixtures(), again.path().to_owned()]);
    assert!(
        matches!(errors.as_slice(), [CatalogError::Twice { .. }]),
        "{errors:?}"
    );
    let shadow = folder_with("nginx", "id: beacon", "id: nginx");
    let errors = errors_of(&[shadow.path().to_owned()]);
    assert!(
        matches!(errors.as_slice(), [CatalogError::Shadows { .. }]),
        "{errors:?}"
    );
}

#[test]
fn all_bad_files_are_told_at_once() {
    let one = folder_with("beacon", "port: 8080", "port: 0");
    let other = folder_with("beacon", "format: 1", "format: 2");
    let nowhere = other.path().join("nowhere");
    let errors = errors_of(&[one.path().to_owned(), other.path().to_owned(), nowhere]);
    assert!(
        matches!(
            errors.as_slice(),
            [
                CatalogError::Invalid { .. },
                CatalogError::Newer {
                    found: 2,
                    supported: 1,
                    ..
                },
                CatalogError::Unreadable { .. }
            ]
        ),
        "{errors:?}"
    );
    let text = CatalogErrors(errors).to_string();
    assert!(
        text.contains(&format!("{}/beacon/app.yaml:14:7", one.path().display())),
        "{text}"
    );
}

#[test]
fn a_folder_without_a_file_and_a_huge_file_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("README.md"), "not an entry").unwrap();
    let errors = errors_of(&[folder.path().to_owned()]);
    assert!(
        matches!(errors.as_slice(), [CatalogError::Unreadable { .. }]),
        "{errors:?}"
    );
    std::fs::write(folder.path().join("empty/app.yaml"), vec![b'#'; 300_000]).unwrap();
    let errors = errors_of(&[folder.path().to_owned()]);
    assert!(
        errors[0]
            .to_string()
            .ends_with("it is larger than 262144 bytes"),
        "{errors:?}"
    );
}

fn codes(linted: &Linted) -> Vec<Code> {
    linted.problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn files_entries_and_folders_of_entries_are_linted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let all = lint_entries(&[root.join("catalog"), fixtures()]);
    assert_eq!(
        (all.files, codes(&all)),
        (SHIPPED.len() + 1, vec![]),
        "{:?}",
        all.problems
    );
    let one = lint_entries(&[fixtures().join("beacon")]);
    assert_eq!((one.files, codes(&one)), (1, vec![]));
    let file = lint_entries(&[fixtures().join("beacon/app.yaml")]);
    assert_eq!((file.files, codes(&file)), (1, vec![]));
}

#[test]
fn what_only_several_files_show_is_told_at_the_id() {
    let wrong = folder_with("torch", "id: beacon", "id: beacon");
    let again = folder_with("beacon", "id: beacon", "id: beacon");
    let linted = lint_entries(&[wrong.path().to_owned(), again.path().join("beacon")]);
    assert_eq!(codes(&linted), [Code::WrongFolder, Code::Twice]);
    let places: Vec<(Option<u64>, Option<u64>)> = linted
        .problems
        .iter()
        .map(|problem| (problem.line, problem.column))
        .collect();
    assert_eq!(places, [(Some(3), Some(5)), (Some(3), Some(5))]);
    // The same file twice is no other one.
    let twice = lint_entries(&[fixtures(), fixtures()]);
    assert_eq!(codes(&twice), []);
}

#[test]
fn what_is_not_there_and_what_is_no_entry_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let paths = [
        folder.path().join("nowhere.yaml"),
        folder.path().to_owned(),
        folder.path().join("empty"),
    ];
    let linted = lint_entries(&paths);
    assert_eq!(codes(&linted), [Code::Unreadable; 3]);
    assert_eq!(linted.files, 2);
}

#[test]
fn what_is_wrong_is_left_out_with_its_reason_and_the_rest_is_there() {
    let one = folder_with("torch", "id: beacon", "id: beacon");
    let other = folder_with("beacon", "port: 8080", "port: 0");
    let nowhere = one.path().join("nowhere");
    let places = CatalogPlaces {
        folders: vec![
            fixtures(),
            one.path().to_owned(),
            other.path().to_owned(),
            nowhere.clone(),
        ],
        leave_out: vec!["no-such".parse().unwrap()],
    };
    let catalog = Catalog::read(&places, &[]);
    assert!(catalog.get(&"beacon".parse().unwrap()).is_some());
    let shipped = Catalog::load(&[]).unwrap().entries().count();
    assert_eq!(catalog.entries().count(), shipped + 1);
    let told: Vec<&str> = catalog
        .problems()
        .iter()
        .map(|one| one.place.as_str())
        .collect();
    let file = |folder: &tempfile::TempDir, id: &str| {
        let file = folder.path().join(id).join("app.yaml");
        file.display().to_string()
    };
    let expected = [
        "catalog_leave_out".to_owned(),
        file(&one, "torch"),
        file(&other, "beacon"),
        nowhere.display().to_string(),
    ];
    assert_eq!(told, expected);
    assert_eq!(catalog.stats().problems, 4);
    assert_eq!(*catalog.places(), places);
}

/// To open a pipe waits for somebody who writes into it, and a device may never end: neither is opened.
#[test]
fn what_is_no_file_and_what_is_no_text_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("folder/app.yaml")).unwrap();
    std::fs::create_dir(folder.path().join("device")).unwrap();
    std::os::unix::fs::symlink("/dev/null", folder.path().join("device/app.yaml")).unwrap();
    // What is behind a NUL is not even read as YAML, and no database keeps it.
    let text = std::fs::read_to_string(fixtures().join("beacon/app.yaml")).unwrap();
    std::fs::create_dir(folder.path().join("nul")).unwrap();
    std::fs::write(folder.path().join("nul/app.yaml"), text + "\0").unwrap();
    let places = CatalogPlaces {
        folders: vec![folder.path().to_owned()],
        leave_out: Vec::new(),
    };
    let catalog = Catalog::read(&places, &[]);
    let told: Vec<&str> = catalog
        .problems()
        .iter()
        .map(|one| one.message.as_str())
        .collect();
    let no_file = "it cannot be read: it is no file";
    let no_text = "it cannot be read: it is no text: it has a NUL";
    assert_eq!(told, [no_file, no_file, no_text]);
}

#[test]
fn the_place_of_a_shipped_entry_is_taken_only_where_that_is_left_out() {
    let shadow = folder_with("nginx", "id: beacon", "id: nginx");
    let read = |leave_out: Vec<CatalogId>| {
        let places = CatalogPlaces {
            folders: vec![shadow.path().to_owned()],
            leave_out,
        };
        Catalog::read(&places, &[])
    };
    let id: CatalogId = "nginx".parse().unwrap();
    let kept = read(Vec::new());
    let offered = kept.offered(&id).unwrap();
    assert!(offered.origin == EntryOrigin::Shipped && offered.is_verified());
    let problem = &kept.problems()[0];
    assert!(problem.message.contains("catalog_leave_out"), "{problem}");
    assert!(problem.message.contains("catalog/nginx/app.yaml"));
    let replaced = read(vec![id.clone()]);
    let offered = replaced.offered(&id).unwrap();
    let origin = EntryOrigin::Folder(shadow.path().to_owned());
    assert_eq!((&offered.origin, offered.is_verified()), (&origin, false));
    assert!(replaced.problems().is_empty());
}

fn taken(source: &str, path: &str, text: &str) -> TakenEntries {
    TakenEntries {
        source: source.parse().unwrap(),
        commit: "a".repeat(40).parse().unwrap(),
        files: vec![TakenFile {
            path: path.to_owned(),
            revision: revision_of(text),
        }],
    }
}

#[test]
fn what_was_taken_comes_last_and_both_places_of_an_id_are_named() {
    let text = std::fs::read_to_string(fixtures().join("beacon/app.yaml")).unwrap();
    let lamp = text.replace("id: beacon", "id: lamp");
    let places = CatalogPlaces {
        folders: vec![fixtures()],
        leave_out: Vec::new(),
    };
    let all = [
        taken("a", "apps/lamp/app.yaml", &lamp),
        taken("b", "lamp/app.yaml", &lamp),
        taken("c", "apps/beacon/app.yaml", &text),
        taken("d", "apps/torch/app.yaml", &lamp),
    ];
    let catalog = Catalog::read(&places, &all);
    let lamp = catalog.offered(&"lamp".parse().unwrap()).unwrap();
    assert_eq!(lamp.origin.label(), "source:a");
    let told: Vec<String> = catalog.problems().iter().map(ToString::to_string).collect();
    let commit = "a".repeat(12);
    let twice = "there is another lamp in";
    let expected = format!("b@{commit}:lamp/app.yaml: {twice} a@{commit}:apps/lamp/app.yaml");
    assert!(told[0].contains("the folder is called torch"), "{told:?}");
    assert_eq!(told[1], expected);
    assert!(told[2].starts_with(&format!("c@{commit}:apps/beacon/app.yaml")));
    assert_eq!(told.len(), 3);
}

#[test]
fn a_search_has_what_fits_best_first_and_is_the_same_each_time() {
    let text = std::fs::read_to_string(fixtures().join("beacon/app.yaml")).unwrap();
    let entry = |id: &str, summary: &str| {
        let text = text.replace("id: beacon", &format!("id: {id}"));
        let text = text.replace("name: Beacon", &format!("name: {id}"));
        let text = text.replace("A page that needs nothing but busybox", summary);
        taken(id, &format!("{id}/app.yaml"), &text)
    };
    let all = [
        entry("b-lamp", "Shines"),
        entry("lamp", "Shines"),
        entry("a-lamp", "Shines"),
        entry("torch", "Shines like a lamp"),
    ];
    let catalog = Catalog::read(&CatalogPlaces::default(), &all);
    let found = |text: &str| -> Vec<String> {
        let found = catalog.search(text).into_iter();
        found.map(|one| one.entry.id.to_string()).collect()
    };
    assert_eq!(found("lamp busybox"), ["lamp", "a-lamp", "b-lamp", "torch"]);
    assert_eq!(found("LAMP shines like busybox"), ["torch"]);
    assert_eq!(found("nowhere-at-all"), [""; 0]);
    assert_eq!(found("").len(), catalog.entries().count());
}
