//! Documents that are right, and what is read out of them.

use proximity_domain::ignore::Ignored;
use proximity_domain::manifest::{
    AdoptedSpec, AppSpec, Kind, Manifest, Policy, ResourceWish, SecretReference, SettingSource,
    WantedPower,
};
use proximity_domain::names::SettingName;
use proximity_manifest::{Given, read, schema};
use serde_json::{Value, json};

use crate::{read_one, source};

/// Every kind, every field.
const ALL: &str = "\
# What is the same everywhere.
apiVersion: proximity/v1
kind: Values
metadata: {name: production}
spec:
  domain: example.org
  db: {memory: 1024}
  needed: [shop-db, old]
---
apiVersion: proximity/v1
kind: App
metadata:
  name: web
spec:
  catalog_id: nginx
  host: home
  node: pve1
  resources:
    memory_mib: ${db.memory}
    cores: 2
    disk_gib: 8
  settings:
    site_title: Welcome to ${domain}
    GZIP: false
    max_body_mib: 16
    PASSWORD: {secret: web-password}
  ignore: [memory, net*, tags]
  power: running
  policy: revert
  depends_on: ${needed}
---
{\"apiVersion\": \"proximity/v1\", \"kind\": \"AdoptedApp\", \"metadata\": {\"name\": \"old\"},
 \"spec\": {\"host\": \"home\", \"vmid\": 105, \"type\": \"postgres\", \"port\": 5432, \"expose\": true,
   \"guard\": true, \"power\": \"stopped\", \"policy\": \"accept\",
   \"ignore\": [\"description\", \"mp*\"], \"depends_on\": [\"base\"]}}
---
apiVersion: proximity/v1
kind: Stack
metadata: {name: shop}
spec:
  depends_on: [old]
  values: {domain: shop.example.org}
  apps:
  - name: shop-db
    catalog_id: nginx
  - name: shop-web
    catalog_id: nginx
    settings: {site_title: \"${domain}\"}
    depends_on: [shop-db]
---
apiVersion: proximity/v1
kind: App
metadata: {name: base}
spec: {catalog_id: nginx}
";

fn ignored(patterns: &[&str]) -> Ignored {
    let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap());
    patterns.collect()
}

#[test]
fn everything_that_can_be_said_is_read() {
    let read = read_one(ALL).unwrap();
    let kinds: Vec<Kind> = read.documents.iter().map(Manifest::kind).collect();
    let expected = [
        Kind::Values,
        Kind::App,
        Kind::AdoptedApp,
        Kind::Stack,
        Kind::App,
    ];
    assert_eq!(kinds, expected);
    let text = |text: &str| SettingSource::Text(text.to_owned());
    let secret = SecretReference {
        secret: "web-password".parse().unwrap(),
    };
    let web = Manifest::App {
        name: "web".parse().unwrap(),
        spec: AppSpec {
            catalog_id: "nginx".parse().unwrap(),
            host: Some("home".parse().unwrap()),
            node: Some("pve1".parse().unwrap()),
            resources: ResourceWish {
                memory_mib: Some(1024),
                cores: Some(2),
                disk_gib: Some(8),
            },
            settings: [
                ("site_title", text("Welcome to example.org")),
                ("GZIP", SettingSource::Boolean(false)),
                ("max_body_mib", SettingSource::Integer(16)),
                ("PASSWORD", SettingSource::Secret(secret)),
            ]
            .map(|(name, source)| (name.parse().unwrap(), source))
            .into(),
            network: None,
            root_access: None,
            root_keys: Vec::new(),
            host_name: None,
            certificate: None,
            apart_from: None,
            allow_unpinned: false,
            power: Some(WantedPower::Running),
            policy: Policy::Revert,
            ignore: ignored(&["memory", "net*", "tags"]),
            depends_on: vec!["shop-db".parse().unwrap(), "old".parse().unwrap()],
            stack: None,
        },
    };
    assert_eq!(read.documents[1], web);
    let old = Manifest::AdoptedApp {
        name: "old".parse().unwrap(),
        spec: AdoptedSpec {
            host: "home".parse().unwrap(),
            vmid: "105".parse().unwrap(),
            taken_for: Some("postgres".parse().unwrap()),
            port: Some(5432),
            expose: true,
            guard: true,
            power: Some(WantedPower::Stopped),
            policy: Policy::Accept,
            ignore: ignored(&["description", "mp*"]),
            depends_on: vec!["base".parse().unwrap()],
            stack: None,
        },
    };
    assert_eq!(read.documents[2], old);
}

#[test]
fn a_value_of_a_stacks_own_goes_before_those_of_its_folder() {
    let read = read_one(ALL).unwrap();
    let Manifest::Stack { spec, .. } = &read.documents[3] else {
        panic!("{:?}", read.documents[3]);
    };
    let name: SettingName = "site_title".parse().unwrap();
    let title = &spec.apps[1].spec.settings[&name];
    let own = SettingSource::Text("shop.example.org".to_owned());
    assert_eq!(*title, own);
}

#[test]
fn apps_come_after_what_they_depend_on_and_together_where_they_can() {
    let read = read_one(ALL).unwrap();
    let order: Vec<Vec<&str>> = read
        .order
        .iter()
        .map(|layer| layer.iter().map(String::as_str).collect())
        .collect();
    assert_eq!(
        order,
        [
            vec!["base"],
            vec!["old"],
            vec!["shop-db"],
            vec!["web", "shop-web"]
        ]
    );
}

#[test]
fn what_is_given_beside_goes_before_what_documents_say() {
    let title = |values: &[&str], set: &[(&str, &str)]| {
        let values = values.iter().enumerate().map(|(n, text)| {
            let text = format!(
                "apiVersion: proximity/v1\nkind: Values\nmetadata: {{name: over}}\nspec: {{{text}}}\n"
            );
            source(&format!("v{n}.yaml"), &text)
        });
        let set = set
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let given = Given {
            documents: vec![source("all.yaml", ALL)],
            values: values.collect(),
            set: set.collect(),
        };
        let read = read(&given).unwrap();
        let Manifest::Stack { spec, .. } = &read.documents[3] else {
            panic!("{:?}", read.documents[3]);
        };
        let name: SettingName = "site_title".parse().unwrap();
        match &spec.apps[1].spec.settings[&name] {
            SettingSource::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(title(&[], &[]), "shop.example.org");
    assert_eq!(title(&["domain: one"], &[]), "one");
    assert_eq!(title(&["domain: one", "domain: two"], &[]), "two");
    assert_eq!(title(&["domain: one"], &[("domain", "three")]), "three");
    assert_eq!(title(&[], &[("domain", "a"), ("domain", "1.10")]), "1.10");
}

/// The documents of a text that JSON can say, as a schema is asked about them.
fn valid(document: &Value) -> bool {
    let built = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&schema())
        .unwrap();
    built.is_valid(document)
}

#[test]
fn the_schema_allows_what_is_read_and_refuses_what_is_not() {
    let app = |spec: Value| {
        json!({
            "apiVersion": "proximity/v1",
            "kind": "App",
            "metadata": {"name": "web"},
            "spec": spec,
        })
    };
    let cases = [
        (json!({"catalog_id": "nginx"}), true),
        (
            json!({"catalog_id": "nginx", "resources": {"memory_mib": 512}, "power": "running",
                "settings": {"A": 1, "B": "x", "C": {"secret": "s"}}, "depends_on": ["data"]}),
            true,
        ),
        (json!({}), false),
        (json!({"catalog_id": "Nginx"}), false),
        (json!({"catalog_id": "nginx", "colour": "blue"}), false),
        (
            json!({"catalog_id": "nginx", "resources": {"cores": 0}}),
            false,
        ),
        (json!({"catalog_id": "nginx", "power": "on"}), false),
        (
            json!({"catalog_id": "nginx", "ignore": ["cores", "net*"]}),
            true,
        ),
        (json!({"catalog_id": "nginx", "ignore": ["*"]}), false),
        (json!({"catalog_id": "nginx", "ignore": "cores"}), false),
        (
            json!({"catalog_id": "nginx", "settings": {"A": [1]}}),
            false,
        ),
        (
            json!({"catalog_id": "nginx", "settings": {"A": {"secret": 1}}}),
            false,
        ),
        (json!({"catalog_id": "nginx", "settings": {"1": 1}}), false),
    ];
    for (spec, expected) in cases {
        let document = app(spec);
        assert_eq!(valid(&document), expected, "schema: {document}");
        let mut needed = app(json!({"catalog_id": "nginx"}));
        needed["metadata"]["name"] = json!("data");
        let read = read_one(&format!("{document}\n---\n{needed}"));
        assert_eq!(read.is_ok(), expected, "{document}: {read:?}");
    }
    // What names a value is allowed wherever one can be.
    let named = json!({"catalog_id": "${app}", "resources": {"cores": "${n}"}});
    assert!(valid(&app(named)));
    let mut stranger = app(json!({"catalog_id": "nginx"}));
    stranger["kind"] = json!("Node");
    assert!(!valid(&stranger));
}

#[test]
fn settings_have_the_same_bounds_for_the_schema() {
    let settings = |number: usize| -> Value {
        let settings = (0..number).map(|n| (format!("S{n}"), json!(n)));
        Value::Object(settings.collect())
    };
    let text = |letters: usize| json!({"A": "ä".repeat(letters)});
    for (settings, expected) in [
        (settings(64), true),
        (settings(65), false),
        (text(8192), true),
        (text(8193), false),
    ] {
        let document = json!({
            "apiVersion": "proximity/v1",
            "kind": "App",
            "metadata": {"name": "web"},
            "spec": {"catalog_id": "nginx", "settings": settings},
        });
        assert_eq!(valid(&document), expected, "schema: {document}");
        let read = read_one(&document.to_string());
        assert_eq!(read.is_ok(), expected, "{read:?}");
    }
}

/// Nobody can put in quotes what is given on the command line.
#[test]
fn a_single_value_is_a_text_where_a_text_is_wanted() {
    let text = "apiVersion: proximity/v1\nkind: App\nmetadata: {name: \"${name}\"}\nspec:\n  \
                catalog_id: nginx\n  host: ${host}\n  node: ${node}\n  \
                resources: {memory_mib: \"${memory}\"}\n  \
                settings: {A: \"${host}\", B: {secret: \"${secret}\"}}\n  \
                depends_on: [\"${needed}\"]\n\
                ---\napiVersion: proximity/v1\nkind: Stack\nmetadata: {name: \"${needed}\"}\nspec:\n  \
                apps: [{name: \"${inner}\", catalog_id: nginx}]\n";
    let set = [
        ("name", "1234"),
        ("host", "123"),
        ("node", "007"),
        ("memory", "512"),
        ("secret", "true"),
        ("needed", "false"),
        ("inner", "4567"),
    ];
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let given = Given {
        documents: vec![source("x.yaml", text)],
        set: set.into(),
        ..Given::default()
    };
    let read = read(&given).unwrap();
    let Manifest::App { name, spec } = &read.documents[0] else {
        panic!("{:?}", read.documents[0]);
    };
    assert_eq!(name.as_str(), "1234");
    assert_eq!(spec.host, Some("123".parse().unwrap()));
    assert_eq!(spec.node, Some("007".parse().unwrap()));
    assert_eq!(spec.resources.memory_mib, Some(512));
    assert_eq!(spec.depends_on[0].as_str(), "false");
    let secret = SecretReference {
        secret: "true".parse().unwrap(),
    };
    let settings: Vec<&SettingSource> = spec.settings.values().collect();
    // A setting can be a number: its catalog entry knows.
    assert_eq!(
        settings,
        [&SettingSource::Integer(123), &SettingSource::Secret(secret)]
    );
    let Manifest::Stack { name, spec } = &read.documents[1] else {
        panic!("{:?}", read.documents[1]);
    };
    let names = (name.as_str(), spec.apps[0].name.as_str());
    assert_eq!(names, ("false", "4567"));
}
