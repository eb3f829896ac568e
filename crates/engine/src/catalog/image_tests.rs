use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::check::Origin;
use super::super::entry::CatalogEntry;
use super::super::lint::{Code, lint};
use super::super::parse;
use super::*;

const SHELF: &str = r#"
format: 1
id: shelf
name: Shelf
version: 1.0.0
summary: Serves a folder
description: For tests.
category: test
oci:
  image: registry.example.com/team/shelf:1.2
  digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  entrypoint: [/bin/httpd, -p, "{{ port }}", "--title={{ settings.title }}"]
  env:
    - { name: GREETING, value: "{{ settings.greeting }} to you" }
  volumes:
    - { path: /data, size_gib: 8 }
    - { path: /var/lib/shelf, size_gib: 1 }
resources:
  memory_mib: { min: 32, default: 64 }
  cores: { default: 1 }
  disk_gib: { default: 2 }
port: 8080
protocol: http
settings:
  - { name: title, type: string, default: shelf, help: Its title. }
  - { name: greeting, type: string, default: good day, help: What it says. }
health:
  tcp: {}
"#;

fn entry(text: &str) -> CatalogEntry {
    parse::entry("shelf/app.yaml", text, Origin::Extra).unwrap()
}

fn given(settings: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(settings).unwrap()
}

/// The codes of what is wrong with the entry once this is changed; the loader refuses it as well.
fn codes(from: &str, to: &str) -> BTreeSet<Code> {
    assert!(SHELF.contains(from), "{from:?} is not in the file");
    let text = SHELF.replacen(from, to, 1);
    let problems = lint("shelf/app.yaml", &text, Origin::Extra);
    let loaded = parse::entry("shelf/app.yaml", &text, Origin::Extra);
    assert!(loaded.is_err(), "{to}");
    problems.into_iter().map(|one| one.code).collect()
}

#[test]
fn an_entry_of_an_image_says_what_its_container_is_made_of_and_started_with() {
    let entry = entry(SHELF);
    assert!(lint("shelf/app.yaml", SHELF, Origin::Extra).is_empty());
    let image = entry.base.image().unwrap();
    assert_eq!(
        entry.base.to_string(),
        "registry.example.com/team/shelf:1.2"
    );
    assert_eq!(image.file(), "shelf_1.2_0123456789abcdef.tar");
    assert_eq!(image.volumes_gib(), 9);
    assert!(
        entry
            .base
            .matches("local:vztmpl/shelf_1.2_0123456789abcdef.tar")
    );
    assert!(!entry.base.matches("local:vztmpl/shelf_1.2.tar"));
    let recipe = entry.resolve(&given(json!({"title": "b&w"}))).unwrap();
    assert!(recipe.steps.is_empty());
    let options = recipe.image.unwrap();
    let command = ["/bin/httpd", "-p", "8080", "--title=b&w"];
    assert_eq!(options.entrypoint, command);
    assert_eq!(options.env["GREETING"], "good day to you");
}

#[test]
fn a_value_that_would_be_another_word_of_the_command_is_refused_by_its_name() {
    let entry = entry(SHELF);
    for title in ["a b", "a\\b", "\"a", "it's"] {
        let refused = entry.resolve(&given(json!({ "title": title })));
        let errors = refused.unwrap_err();
        assert!(
            errors.fields()["TITLE"].contains("blanks, quotes"),
            "{errors}"
        );
    }
    let quoted = entry.resolve(&given(json!({"greeting": "a \"b\" 'c'"})));
    let options = quoted.unwrap().image.unwrap();
    assert_eq!(options.env["GREETING"], "a \"b\" 'c' to you");
}

#[test]
fn what_is_wrong_with_an_image_is_told() {
    let one = |code: Code| BTreeSet::from([code]);
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let image = "image: registry.example.com/team/shelf:1.2";
    for (from, to, code) in [
        (
            image,
            "image: registry.example.com/team/shelf",
            Code::BadValue,
        ),
        (image, "image: Shelf:1", Code::BadValue),
        (digest, "sha256:0123", Code::BadValue),
        ("  digest: ", "  digests: ", Code::UnknownField),
        ("/bin/httpd, -p", "httpd, -p", Code::BadValue),
        ("/bin/httpd, -p", "/bin/sh, -c", Code::BadValue),
        ("/bin/httpd, -p", "/bin/httpd, a b", Code::BadTemplate),
        ("name: GREETING", "name: 1GREETING", Code::BadValue),
        ("to you", "to you\\n", Code::BadTemplate),
        ("to you", "to you ", Code::BadTemplate),
        ("/var/lib/shelf", "/data", Code::NameTaken),
        ("/var/lib/shelf", "/a;b", Code::BadValue),
        ("size_gib: 8", "size_gib: 0", Code::BadValue),
        (
            "oci:",
            "os_template: debian-12-standard\noci:",
            Code::Contradiction,
        ),
        (
            "health:",
            "install:\n  - apt: [hello]\nhealth:",
            Code::Contradiction,
        ),
        (
            "type: string, default: good day",
            "type: secret, required: true",
            Code::ExposedSecret,
        ),
    ] {
        let told = codes(from, to);
        assert!(told.is_superset(&one(code)), "{to}: {told:?}");
    }
}

#[test]
fn an_entry_without_template_and_image_lacks_something() {
    let begin = SHELF.find("oci:").unwrap();
    let end = SHELF.find("resources:").unwrap();
    let settings = SHELF.find("settings:").unwrap();
    let health = SHELF.find("health:").unwrap();
    let bare = [&SHELF[..begin], &SHELF[end..settings], &SHELF[health..]].concat();
    let told = |text: &str| {
        let problems = lint("shelf/app.yaml", text, Origin::Extra).into_iter();
        problems
            .map(|one| (one.code, one.message))
            .collect::<Vec<_>>()
    };
    let missing = told(&bare);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].1.contains("os_template is missing"),
        "{missing:?}"
    );
    let no_steps = told(&format!("{bare}os_template: debian-12-standard\n"));
    assert_eq!(no_steps.len(), 1, "{no_steps:?}");
    assert!(no_steps[0].1.contains("install is missing"), "{no_steps:?}");
    assert_eq!(no_steps[0].0, Code::MissingField);
}
