//! What is written is read as what it was.

use proptest::prelude::*;
use proximity_domain::ignore::Ignored;
use proximity_domain::manifest::{
    AdoptedSpec, AppSpec, GivenValue, Manifest, Policy, ResourceWish, SecretReference,
    SettingSource, StackApp, StackSpec, WantedPower,
};
use proximity_manifest::{Manifests, write};
use serde_json::json;

use crate::read_one;

/// A text of one line, full of what has a meaning in YAML.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,12}",
        "[-?:,{}#&*!|>'\"%@`$~=. \\[\\]\\\\a0]{0,12}",
        "[+-]?[0-9._exo]{1,8}",
        Just("${name}".to_owned()),
        Just("$${".to_owned()),
        Just("true".to_owned()),
        Just("No".to_owned()),
        Just("null".to_owned()),
        Just("2026-01-01".to_owned()),
        Just("äöü 漢字 😀".to_owned()),
        Just("a ".repeat(80)),
    ]
}

fn setting() -> impl Strategy<Value = SettingSource> {
    prop_oneof![
        any::<bool>().prop_map(SettingSource::Boolean),
        any::<i64>().prop_map(SettingSource::Integer),
        line().prop_map(SettingSource::Text),
        "[a-z][a-z0-9]{0,8}".prop_map(|name| SettingSource::Secret(SecretReference {
            secret: name.parse().unwrap()
        })),
    ]
}

fn power() -> impl Strategy<Value = Option<WantedPower>> {
    prop::option::of(prop_oneof![
        Just(WantedPower::Running),
        Just(WantedPower::Stopped)
    ])
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::Warn),
        Just(Policy::Revert),
        Just(Policy::Accept)
    ]
}

fn ignore() -> impl Strategy<Value = Ignored> {
    let patterns = vec!["memory", "net*", "net0", "rootfs", "m*"];
    prop::sample::subsequence(patterns, 0..=5).prop_map(|patterns| {
        let patterns = patterns.into_iter();
        patterns.map(|pattern| pattern.parse().unwrap()).collect()
    })
}

fn app() -> impl Strategy<Value = AppSpec> {
    let resources = (
        prop::option::of(16_u64..=16 << 20),
        prop::option::of(1_u32..=8192),
        prop::option::of(1_u32..=131_072),
    );
    let settings = prop::collection::btree_map("[A-Za-z][A-Za-z0-9_]{0,8}", setting(), 0..4);
    let place = (
        prop::option::of("[a-z][A-Za-z0-9._-]{0,8}"),
        prop::option::of("[a-z0-9][a-z0-9]{0,8}"),
    );
    let said = (power(), policy(), ignore());
    (resources, settings, place, said, reach()).prop_map(
        |(
            (memory_mib, cores, disk_gib),
            settings,
            (host, node),
            (power, policy, ignore),
            reach,
        )| {
            AppSpec {
                catalog_id: "nginx".parse().unwrap(),
                host: host.map(|host| host.parse().unwrap()),
                node: node.map(|node| node.parse().unwrap()),
                resources: ResourceWish {
                    memory_mib,
                    cores,
                    disk_gib,
                },
                settings: settings
                    .into_iter()
                    .map(|(name, source)| (name.parse().unwrap(), source))
                    .collect(),
                power,
                policy,
                ignore,
                depends_on: Vec::new(),
                stack: None,
                ..reach
            }
        },
    )
}

/// How an app is attached, let root in and reached.
fn reach() -> impl Strategy<Value = AppSpec> {
    let network = prop::option::of((prop::option::of(1_u32..4095), any::<bool>()));
    let root = prop::sample::select(vec![
        json!({}),
        json!({"root_access": "none"}),
        json!({"root_access": "password"}),
        json!({"root_access": "keys", "root_keys": ["ssh-ed25519 AAAA me, myself"]}),
    ]);
    let name = prop::sample::select(vec![
        json!({}),
        json!({"host_name": "none"}),
        json!({"host_name": "blog.example.org"}),
        json!({"host_name": "b.example.org", "certificate": {"cert_file": "/a", "key_file": "/b c"}}),
    ]);
    let apart = prop::option::of(prop::collection::btree_set("[a-z]{3,8}", 0..3));
    (network, root, name, apart).prop_map(|(network, root, name, apart)| {
        let mut spec = json!({"catalog_id": "nginx"});
        let of_network = network.map(|(vlan, is_given)| match is_given {
            true => json!({"vlan": vlan, "ipv4": "192.0.2.10/24", "dns": ["192.0.2.53"]}),
            false => json!({"vlan": vlan, "ipv6": "auto"}),
        });
        for part in [
            root,
            name,
            json!({"network": of_network, "apart_from": apart}),
        ] {
            let fields = part.as_object().unwrap().clone().into_iter();
            spec.as_object_mut().unwrap().extend(fields);
        }
        serde_json::from_value(spec).unwrap()
    })
}

fn adopted() -> impl Strategy<Value = AdoptedSpec> {
    let flags = (any::<bool>(), any::<bool>());
    (
        100_u32..=999_999_999,
        prop::option::of(1_u16..),
        flags,
        power(),
        policy(),
        ignore(),
    )
        .prop_map(
            |(vmid, port, (expose, guard), power, policy, ignore)| AdoptedSpec {
                host: "home".parse().unwrap(),
                vmid: vmid.try_into().unwrap(),
                taken_for: port.map(|_| "postgres".parse().unwrap()),
                port,
                expose,
                guard,
                power,
                policy,
                ignore,
                depends_on: Vec::new(),
                stack: port.map(|_| "group".parse().unwrap()),
            },
        )
}

fn given() -> impl Strategy<Value = GivenValue> {
    // A value names no other: no document of values could say so.
    let text = line().prop_filter("names a value", |text| !text.contains("${"));
    let leaf = prop_oneof![
        any::<bool>().prop_map(GivenValue::Boolean),
        any::<i64>().prop_map(GivenValue::Integer),
        text.prop_map(GivenValue::Text),
    ]
    .boxed();
    prop_oneof![
        3 => leaf.clone(),
        1 => prop::collection::vec(leaf.clone(), 0..3).prop_map(GivenValue::List),
        1 => prop::collection::btree_map("[a-z][a-z0-9_-]{0,4}", leaf, 0..3).prop_map(|tree| {
            let tree = tree.into_iter();
            GivenValue::Tree(tree.map(|(name, value)| (name.parse().unwrap(), value)).collect())
        }),
    ]
}

/// Documents with different names, each but the first two depending on the one before.
fn documents() -> impl Strategy<Value = Vec<Manifest>> {
    let stack = (prop::collection::vec(app(), 1..3), given());
    let parts = (
        prop::collection::vec(app(), 0..3),
        prop::collection::vec(adopted(), 0..2),
        prop::collection::vec(stack, 0..2),
        prop::option::of(given()),
    );
    parts.prop_map(|(apps, adopted, stacks, values)| {
        let mut documents = Vec::new();
        for (n, mut spec) in apps.into_iter().enumerate() {
            if n > 0 {
                spec.depends_on = vec![format!("app-{}", n - 1).parse().unwrap()];
                spec.stack = Some("group".parse().unwrap());
            }
            let name = format!("app-{n}").parse().unwrap();
            documents.push(Manifest::App { name, spec });
        }
        for (n, spec) in adopted.into_iter().enumerate() {
            let name = format!("old-{n}").parse().unwrap();
            documents.push(Manifest::AdoptedApp { name, spec });
        }
        for (n, (apps, value)) in stacks.into_iter().enumerate() {
            let apps = apps.into_iter().enumerate().map(|(at, spec)| StackApp {
                name: format!("stack-{n}-{at}").parse().unwrap(),
                spec,
            });
            let spec = StackSpec {
                apps: apps.collect(),
                values: [("own".parse().unwrap(), value)].into(),
                depends_on: Vec::new(),
            };
            let name = format!("stack-{n}").parse().unwrap();
            documents.push(Manifest::Stack { name, spec });
        }
        documents.extend(values.map(|value| Manifest::Values {
            name: "values".parse().unwrap(),
            spec: [("all".parse().unwrap(), value)].into(),
        }));
        documents
    })
}

proptest! {
    #[test]
    fn documents_that_are_written_and_read_again_are_the_same(documents in documents()) {
        let text = write(&documents).unwrap();
        let read = read_one(&text);
        prop_assert!(read.is_ok(), "{:?}\n{}", read, text);
        let Manifests { documents: again, .. } = read.unwrap();
        prop_assert_eq!(again, documents, "{}", text);
    }
}

#[test]
fn a_value_that_would_name_another_cannot_be_written() {
    let values = Manifest::Values {
        name: "values".parse().unwrap(),
        spec: [("a".parse().unwrap(), GivenValue::Text("${b}".to_owned()))].into(),
    };
    assert!(write(&[values]).is_err());
    assert_eq!(write(&[]), Ok(String::new()));
}
