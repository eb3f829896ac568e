use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::catalog::check::Origin;
use crate::catalog::parse;
use crate::catalog::recipe::Check;

const YAML: &str = r#"
format: 1
id: demo
name: Demo
version: "1"
summary: A demo
description: A demo.
category: test
os_template: debian-12-standard
resources: {memory_mib: {min: 32, default: 64}, cores: {default: 1}, disk_gib: {default: 1}}
port: 8080
protocol: tcp
settings:
  - {name: title, type: string, default: Hi, max: 40, help: The title.}
  - {name: limit, type: integer, default: 3, min: 1, max: 9, help: A limit., env: DEMO_LIMIT}
  - {name: password, type: secret, required: true, min: 4, help: A password.}
install:
  - apt: [hello, cowsay]
  - file: {path: /srv/page, escape: html, content: "{{ settings.title }}"}
  - file: {path: /etc/demo.conf, escape: nginx, content: "t {{ settings.title }};"}
  - file:
      path: /etc/demo.env
      mode: "0640"
      group: www-data
      escape: shell-env
      content: |
        PASSWORD={{ settings.password }}
        LIMIT={{ settings.limit }}
  - absent: {path: /etc/old}
  - run: {argv: [/usr/bin/demo, init, "$HOME; rm"], creates: /var/lib/demo}
  - service: {name: demo, state: started}
health: {http: {path: /up, body_contains: demo-marker}}
"#;

fn demo() -> CatalogEntry {
    parse::entry("demo/app.yaml", YAML, Origin::Extra).unwrap_or_else(|error| panic!("{error}"))
}

fn given(value: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn file<'a>(recipe: &'a ResolvedRecipe, path: &str) -> &'a ResolvedFile {
    let files = recipe.steps.iter().filter_map(|step| match step {
        Step::File(file) => Some(file),
        _ => None,
    });
    files
        .into_iter()
        .find(|file| file.path.as_str() == path)
        .unwrap()
}

#[test]
fn steps_are_concrete_and_in_order() {
    let recipe = demo()
        .resolve(&given(json!({"PASSWORD": "p\"w$d", "title": "<1>"})))
        .unwrap();
    let kinds: Vec<&str> = recipe
        .steps
        .iter()
        .map(|step| match step {
            Step::Apt(_) => "apt",
            Step::File(_) => "file",
            Step::Absent(_) => "absent",
            Step::Service(_) => "service",
            Step::Run(_) => "run",
            Step::User(_) => "user",
            Step::Directory(_) => "directory",
            Step::Venv(_) => "venv",
            Step::Npm(_) => "npm",
            Step::Download(_) => "download",
        })
        .collect();
    assert_eq!(
        kinds,
        ["apt", "file", "file", "file", "absent", "run", "service"]
    );
    assert_eq!(file(&recipe, "/srv/page").content.expose(), b"&lt;1&gt;");
    assert_eq!(
        file(&recipe, "/etc/demo.conf").content.expose(),
        b"t \"<1>\";"
    );
    let env = file(&recipe, "/etc/demo.env");
    assert_eq!(env.content.expose(), b"PASSWORD=\"p\\\"w\\$d\"\nLIMIT=3\n");
    assert_eq!(
        (env.mode.bits(), env.owner.as_str(), env.group.as_str()),
        (0o640, "root", "www-data")
    );
    let Check::Http(http) = &recipe.health.check else {
        panic!("{:?}", recipe.health.check);
    };
    assert_eq!(http.port, 8080, "the entry's port unless it says another");
    assert_eq!(
        (recipe.health.timeout_ms, recipe.health.interval_ms),
        (5000, 1000)
    );
}

#[test]
fn the_packages_of_a_recipe_are_known_before_anything_is_chosen() {
    let absent = "  - absent: {path: /etc/old}";
    let again = YAML.replace(absent, &format!("  - apt: [sl, hello]\n{absent}"));
    let entry = parse::entry("demo/app.yaml", &again, Origin::Extra);
    let entry = entry.unwrap_or_else(|error| panic!("{error}"));
    let packages: Vec<&str> = entry.packages().into_iter().collect();
    assert_eq!(packages, ["cowsay", "hello", "sl"]);
}

#[test]
fn what_holds_a_secret_does_not_print_and_what_does_not_does() {
    let recipe = demo()
        .resolve(&given(json!({"password": "hunter2"})))
        .unwrap();
    assert!(file(&recipe, "/etc/demo.env").content.is_secret());
    assert!(!file(&recipe, "/srv/page").content.is_secret());
    let printed = format!("{recipe:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("Open(\"Hi\")"), "{printed}");
    assert_eq!(
        recipe.open_settings(),
        json!({"TITLE": "Hi", "DEMO_LIMIT": 3, "PASSWORD": null})
    );
}

#[test]
fn sealed_settings_resolve_to_the_same_again() {
    let recipe = demo()
        .resolve(&given(json!({"password": "hunter2", "limit": "7"})))
        .unwrap();
    let sealed = recipe.sealed_settings();
    let again = demo()
        .resolve(&serde_json::from_str(sealed.expose_secret()).unwrap())
        .unwrap();
    let path = "/etc/demo.env";
    assert_eq!(
        file(&again, path).content.expose(),
        file(&recipe, path).content.expose()
    );
    assert_eq!(
        again.sealed_settings().expose_secret(),
        sealed.expose_secret()
    );
}

#[test]
fn all_wrong_settings_are_told_at_once() {
    let wrong = json!({"LIMIT": 5, "limit": 99, "DEMO_LIMIT": 2, "title": "x".repeat(41)});
    let errors = demo().resolve(&given(wrong)).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "DEMO_LIMIT is given twice, as limit as well; \
         LIMIT is unknown; demo has TITLE, DEMO_LIMIT, PASSWORD; \
         PASSWORD must be given; \
         TITLE must have 0 to 40 characters, has 41"
    );
    assert_eq!(errors.fields().len(), 4);
}

#[test]
fn a_value_a_file_cannot_take_is_a_wrong_setting() {
    let errors = demo()
        .resolve(&given(json!({"password": "hunter2", "title": "$host"})))
        .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "TITLE must not contain '$', which nginx would read as a variable"
    );
}

/// The demo with a setting that is asked for only where the limit is 5.
fn with_condition(more: &str) -> CatalogEntry {
    const MORE: &str = r#"
  - {name: extra, type: string, help: More., shown_when: {setting: limit, equals: 5}, OTHER}
install:
  - file:
      path: /etc/extra
      escape: plain
      content: "{% if settings.limit == 5 %}{{ settings.extra }}{% endif %}"
"#;
    let text = YAML.replacen("\ninstall:\n", &MORE.replace("OTHER", more), 1);
    parse::entry("demo/app.yaml", &text, Origin::Extra).unwrap_or_else(|error| panic!("{error}"))
}

fn extra(recipe: &ResolvedRecipe) -> (Vec<String>, Value, String) {
    let content = file(recipe, "/etc/extra").content.expose().to_vec();
    (
        recipe.hidden.clone(),
        recipe.open_settings()["EXTRA"].clone(),
        String::from_utf8(content).unwrap(),
    )
}

#[test]
fn what_is_not_asked_for_has_its_default_or_no_value() {
    let hidden = vec!["EXTRA".to_owned()];
    let entry = with_condition("default: none");
    let password = json!({"PASSWORD": "secret"});
    let recipe = entry.resolve(&given(password.clone())).unwrap();
    assert_eq!(
        extra(&recipe),
        (hidden.clone(), json!("none"), String::new())
    );
    // A record may hold what was given while it was asked for.
    let recorded = json!({"PASSWORD": "secret", "EXTRA": "old"});
    let recipe = entry.resolve(&given(recorded.clone())).unwrap();
    assert_eq!(extra(&recipe).1, json!("none"));
    let asked: Map<String, Value> = serde_json::from_value(recorded).unwrap();
    let errors = entry.refuse_hidden(&asked, &recipe).unwrap_err();
    assert_eq!(errors.fields()["EXTRA"], "is only for where limit is 5");
    let entry = with_condition("required: true");
    let recipe = entry.resolve(&given(password)).unwrap();
    assert_eq!(extra(&recipe), (hidden, Value::Null, String::new()));
    let shown = json!({"PASSWORD": "secret", "DEMO_LIMIT": 5, "EXTRA": "now"});
    let recipe = entry.resolve(&given(shown)).unwrap();
    assert_eq!(extra(&recipe), (Vec::new(), json!("now"), "now".to_owned()));
    let missing = json!({"PASSWORD": "secret", "DEMO_LIMIT": 5});
    let errors = entry.resolve(&given(missing)).unwrap_err();
    assert_eq!(errors.fields()["EXTRA"], "must be given");
}
