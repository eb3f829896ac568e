use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::ImportCode as C;
use super::ImportFate::{Part, Refused, There, Whole};
use super::*;
use crate::catalog::{CatalogEntry, kept, revision_of};

/// What becomes of each file of the fixtures, and codes that are told of it.
const EXPECTED: &[(&str, ImportFate, &[ImportCode])] = &[
    ("adminer", Whole, &[C::HostNetwork, C::UnpinnedImage]),
    ("adminer-pinned", Whole, &[]),
    ("broken", Refused, &[C::Unreadable]),
    ("built", Refused, &[C::UnknownField, C::NoRecipe]),
    ("gpu", Refused, &[C::NeedsMachine, C::NoRecipe]),
    ("grafana", There, &[C::Shipped, C::UnknownField]),
    ("large", Part, &[C::BadValue]),
    ("long-volume", Whole, &[C::Volume]),
    (
        "nextcloud",
        There,
        &[C::Shipped, C::SeveralServices, C::UnpinnedImage],
    ),
    ("no-compose", Refused, &[C::MissingField]),
    ("no-id", Refused, &[C::MissingField]),
    ("no-services", Refused, &[C::MissingField]),
    ("odd-words", Part, &[C::BadValue]),
    (
        "plausible",
        Refused,
        &[C::PeerByName, C::SeveralServices, C::HostNetwork],
    ),
    ("portainer", Refused, &[C::DockerSocket, C::NoRecipe]),
    ("postgres", There, &[C::Shipped]),
    ("pypi", Part, &[C::Command, C::MachineFolder]),
    ("radarr", Refused, &[C::NoRecipe, C::HostNetwork]),
    (
        "radio",
        Part,
        &[C::HardCodedSecret, C::Environment, C::UnpinnedImage],
    ),
    (
        "radio-list",
        Part,
        &[C::HardCodedSecret, C::Environment, C::NoPorts],
    ),
    ("redis", There, &[C::Shipped]),
    ("sidecar", Refused, &[C::NeedsMachine]),
    ("squid", Whole, &[C::Volume]),
    ("transmission", There, &[C::Shipped]),
    ("twice", Refused, &[C::Twice]),
    ("unknown-fields", Part, &[C::UnknownField]),
    ("wallabag", Refused, &[C::PeerByName, C::SeveralServices]),
    ("website", Part, &[C::OtherPort, C::MachineFolder]),
    ("wireguard", Refused, &[C::NeedsMachine, C::NoRecipe]),
    ("wrong-types", Part, &[C::WrongType]),
];

/// What stands in the fixtures as a password.
const PASSWORDS: [&str; 9] = [
    "hackme",
    "changeme",
    "wallapass",
    "wallaroot",
    "replace-me",
    "postgres:postgres",
    "\"root\"",
    "\"admin\"",
    "requirepass",
];

fn read(text: &str) -> CatalogEntry {
    kept(&revision_of(text)).unwrap()
}

fn files() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/ancestor");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn each_shape_and_each_fault_becomes_what_it_has_to() {
    let all = import(&files());
    let names: Vec<&str> = all.iter().map(|one| one.file.as_str()).collect();
    let expected: Vec<&str> = EXPECTED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, expected);
    let mut wrong = Vec::new();
    for (one, (name, fate, codes)) in all.iter().zip(EXPECTED) {
        let told: BTreeSet<ImportCode> = one.notes.iter().map(|note| note.code).collect();
        if one.fate != *fate || !codes.iter().all(|code| told.contains(code)) {
            wrong.push(format!("{name}: {:?}, {:#?}", one.fate, one.notes));
        }
        assert_eq!(one.entry.is_some(), matches!(fate, Whole | Part), "{name}");
        // Who reads it knows why, and what to do.
        assert!(*fate == Whole || !one.notes.is_empty(), "{name}");
        assert!(one.notes.iter().all(|note| !note.next.is_empty()), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn so_many_are_imported_and_so_many_refused_each_with_its_reasons() {
    let all = import(&files());
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &all {
        *counted.entry(one.fate.label()).or_default() += 1;
        for note in &one.notes {
            println!(
                "{}: {}: {} [{}]",
                one.file, note.at, note.message, note.code
            );
        }
    }
    println!("{counted:?}");
    let expected = [
        ("imported", 4),
        ("in_part", 8),
        ("refused", 13),
        ("there", 5),
    ];
    assert_eq!(counted, BTreeMap::from(expected));
}

#[test]
fn what_is_written_is_an_entry_and_can_be_carried_out() {
    let all = import(&files());
    let mut ids = BTreeSet::new();
    for one in all.iter().filter(|one| one.entry.is_some()) {
        let text = one.entry.as_deref().unwrap();
        assert!(lint_text(&one.file, text, false).is_empty(), "{text}");
        let entry = read(text);
        assert_eq!(Some(entry.id.as_str()), one.id.as_deref());
        assert!(ids.insert(entry.id.to_string()), "{}", entry.id);
        let needed = entry.settings.iter().filter(|setting| setting.required);
        let password = Value::from("Secret.Value-0123");
        let given = needed.map(|one| (one.env.clone(), password.clone()));
        let recipe = entry.resolve_new(&given.collect(), &mut || 7).unwrap();
        assert!(!recipe.steps.is_empty());
    }
    assert_eq!(ids.len(), 12);
}

#[test]
fn no_password_that_stood_there_is_told_or_written() {
    let files = files();
    let texts: String = files.iter().map(|(_, text)| text.as_str()).collect();
    for password in PASSWORDS {
        assert!(texts.contains(password), "{password} is in no file");
    }
    for one in import(&files) {
        let told = serde_json::to_string(&one).unwrap() + one.entry.as_deref().unwrap_or("");
        for password in PASSWORDS {
            assert!(!told.contains(password), "{}: {told}", one.file);
        }
    }
}

#[test]
fn words_of_secrets_become_settings_that_are_asked_for_or_made() {
    let all = import(&files());
    let radio = all.iter().find(|one| one.file == "radio").unwrap();
    let text = radio.entry.as_deref().unwrap();
    let entry = read(text);
    let required: Vec<(&str, bool)> = entry
        .settings
        .iter()
        .map(|setting| (setting.name.as_str(), setting.required))
        .collect();
    assert_eq!(
        required,
        [
            ("source_password", true),
            ("admin_password", true),
            ("relay_password", false),
            ("listeners", false),
        ]
    );
    for carrier in carriers::CARRIERS.iter() {
        for secret in carrier.secrets {
            let named = format!("- name: {}\n    type: secret", secret.setting);
            assert!(carrier.recipe.contains(&named), "{named}");
        }
    }
}

#[test]
fn what_is_hostile_is_read_within_bounds() {
    let deep = "[".repeat(100_000);
    let many: Vec<String> = (0..5_000).map(|n| format!("\"field-{n}\": 1")).collect();
    let many = format!("{{\"id\": \"many\", {}}}", many.join(", "));
    let large = format!("{{\"id\": \"{}\"}}", "a".repeat(300_000));
    let escape = r#"{"id": "a\u001b[2J", "name": "x\u0000y", "docker_compose": {"services": {"a\u001b": 7}}}"#;
    let files = [
        deep,
        many,
        large,
        escape.to_owned(),
        "[]".to_owned(),
        String::new(),
    ];
    let files: Vec<(String, String)> = files
        .into_iter()
        .enumerate()
        .map(|(n, text)| (n.to_string(), text))
        .collect();
    for one in import(&files) {
        assert_eq!(one.fate, Refused, "{one:?}");
        assert!(one.notes.len() <= MOST_NOTES + 1, "{}", one.notes.len());
        let plain = |text: &str| !text.contains(char::is_control);
        assert!(one.notes.iter().all(|note| plain(&note.message)), "{one:?}");
    }
}

#[test]
fn codes_have_words_and_hints_of_their_own() {
    let labels: BTreeSet<&str> = ImportCode::ALL.iter().map(|code| code.label()).collect();
    assert_eq!(labels.len(), ImportCode::ALL.len());
    assert!(ImportCode::ALL.iter().all(|code| !code.next().is_empty()));
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/catalog.md");
    let page = std::fs::read_to_string(page).unwrap();
    for label in labels {
        assert!(page.contains(&format!("`{label}`")), "{label}");
    }
}
