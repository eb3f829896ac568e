//! What is on record, written as documents, is read as what was written, and a plan of it changes nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proximity_domain::app::{AppClass, StatusLabel};
use proximity_domain::create::Resources;
use proximity_domain::export;
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::manifest::{Manifest, SettingSource, WantedPower};
use proximity_domain::names::HostLabel;
use proximity_domain::plan::{
    Figure, HostSight, Observed, Recorded, SeenBy, State, Wanted, WantedAdopted, WantedApp,
    WantedKind, WantedSetting, decide,
};
use proximity_manifest::{write, write_json};
use serde_json::{Value, json};

use crate::read_one;

const HOST: &str = "018f0000-0000-7000-8000-000000000001";

fn host() -> HostId {
    HOST.parse().unwrap()
}

fn label() -> HostLabel {
    "home".parse().unwrap()
}

fn setting() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[-?:,{}#&*!|>'\"%@`$~=. \\[\\]\\\\a0]{0,12}".prop_map(Value::from),
        Just(json!("${name} $${")),
        Just(json!("true")),
        Just(Value::Null),
    ]
}

prop_compose! {
    fn record()(
        is_native in any::<bool>(),
        runs in any::<bool>(),
        figures in (16_u64..=16 << 20, 1_u32..=8192, 1_u32..=131_072),
        settings in prop::collection::btree_map("[A-Z][A-Za-z0-9_]{0,8}", setting(), 0..4),
        port in any::<u16>(),
        told in any::<(bool, bool)>(),
    ) -> Recorded {
        let class = if is_native { AppClass::Native } else { AppClass::Adopted };
        Recorded {
            // Id, name and number are those of its place.
            id: HOST.parse().unwrap(),
            name: "app".parse().unwrap(),
            class,
            is_own: true,
            status: if runs { StatusLabel::Running } else { StatusLabel::Stopped },
            busy: None,
            catalog_id: "nginx".parse().unwrap(),
            host: host(),
            node: "pve1".parse().unwrap(),
            vmid: None,
            resources: Resources { memory_mib: figures.0, cores: figures.1, disk_gib: figures.2 },
            settings,
            port,
            exposed: told.0,
            guarded: told.1,
            made_with: Default::default(),
            bridge: None,
            site: None,
            depends_on: Vec::new(),
            secrets: BTreeMap::new(),
        }
    }
}

fn numbered(records: Vec<Recorded>) -> Vec<Recorded> {
    let records = records.into_iter().zip(100_u32..);
    let numbered = records.map(|(one, n)| Recorded {
        id: format!("018f0000-0000-7000-8000-{n:012}")
            .parse::<AppId>()
            .unwrap(),
        name: format!("app-{n}").parse().unwrap(),
        vmid: Some(n.try_into().unwrap()),
        ..one
    });
    numbered.collect()
}

/// The cluster as the records say, but that somebody migrated every container.
fn seen(one: &Recorded) -> Observed {
    let power = match one.status {
        StatusLabel::Running => WantedPower::Running,
        _ => WantedPower::Stopped,
    };
    Observed {
        by: SeenBy::Configuration,
        node: "pve2".parse().unwrap(),
        power: Some(power),
        memory_mib: Figure::Is(one.resources.memory_mib),
        cores: Figure::Is(u64::from(one.resources.cores)),
        disk_bytes: Figure::Is(u64::from(one.resources.disk_gib) << 30),
        listed_disk_bytes: None,
        digest: Some("ab".to_owned()),
        volumes: Some(Vec::new()),
        obstacles: Vec::new(),
    }
}

fn state(recorded: &[Recorded]) -> State {
    let containers = recorded.iter();
    let containers = containers.map(|one| ((host(), one.vmid.unwrap()), seen(one)));
    let entry = HostSight {
        label: label(),
        unread: None,
    };
    State {
        recorded: recorded.to_vec(),
        hosts: BTreeMap::from([(host(), entry)]),
        containers: containers.collect(),
        ..State::default()
    }
}

/// What a document wants, with a catalog that takes all settings as they are.
fn wanted(document: &Manifest) -> Wanted {
    let (name, kind) = match document {
        Manifest::App { name, spec } => {
            let settings = spec.settings.iter().map(|(name, source)| {
                let wanted = match source {
                    SettingSource::Boolean(yes) => WantedSetting::Open(json!(yes)),
                    SettingSource::Integer(number) => WantedSetting::Open(json!(number)),
                    SettingSource::Text(text) => WantedSetting::Open(json!(text)),
                    SettingSource::Secret(secret) => WantedSetting::Secret(secret.secret.clone()),
                };
                (name.as_str().to_owned(), wanted)
            });
            let app = WantedApp {
                catalog_id: spec.catalog_id.clone(),
                host: spec.host.as_ref().map(|_| host()),
                node: spec.node.clone(),
                resources: Resources {
                    memory_mib: spec.resources.memory_mib.unwrap(),
                    cores: spec.resources.cores.unwrap(),
                    disk_gib: spec.resources.disk_gib.unwrap(),
                },
                settings: settings.collect(),
                power: spec.power,
                ignore: spec.ignore.clone(),
                network: spec
                    .network
                    .as_ref()
                    .map(|wish| Box::new(wish.check().unwrap())),
                root: None,
                site: None,
                apart_from: None,
            };
            (name, WantedKind::App(app))
        }
        Manifest::AdoptedApp { name, spec } => {
            let adopted = WantedAdopted {
                host: host(),
                vmid: spec.vmid,
                taken_for: spec.taken_for.clone(),
                port: spec.port,
                expose: spec.expose,
                guard: spec.guard,
                power: spec.power,
            };
            (name, WantedKind::Adopted(adopted))
        }
        Manifest::Stack { .. } | Manifest::Values { .. } => unreachable!("an app is no such thing"),
    };
    Wanted {
        name: name.clone(),
        layer: 0,
        depends_on: Vec::new(),
        kind,
    }
}

/// Every secret that is wanted is there.
fn with_secrets(state: State, wanted: &[Wanted]) -> State {
    let settings = wanted.iter().filter_map(|one| match &one.kind {
        WantedKind::App(app) => Some(app.settings.values()),
        WantedKind::Adopted(_) => None,
    });
    let named = settings.flatten().filter_map(|setting| match setting {
        WantedSetting::Secret(name) => Some((name.clone(), 1)),
        WantedSetting::Open(_) => None,
    });
    State {
        secrets: named.collect(),
        ..state
    }
}

fn exported(recorded: &[Recorded], power: bool) -> Vec<Manifest> {
    let written = recorded.iter().map(|one| {
        let written = export::document(one, Some(&label()), None, power);
        written.unwrap().document
    });
    written.collect()
}

proptest! {
    #[test]
    fn a_plan_of_what_was_exported_changes_nothing(
        records in prop::collection::vec(record(), 1..6),
        power in any::<bool>(),
    ) {
        let records = numbered(records);
        let documents = exported(&records, power);
        let text = write(&documents).unwrap();
        let read = read_one(&text);
        prop_assert!(read.is_ok(), "{:?}\n{}", read, text);
        let read = read.unwrap().documents;
        prop_assert_eq!(&read, &documents, "{}", text);
        prop_assert_eq!(write(&read).unwrap(), text);
        let wanted: Vec<Wanted> = read.iter().map(wanted).collect();
        let decided = decide(&wanted, &with_secrets(state(&records), &wanted), true);
        prop_assert!(decided.plan.changes.is_empty(), "{:?}", decided.plan);
        prop_assert_eq!(decided.plan.unchanged, records.len() as u64);
        prop_assert!(decided.doubts.is_empty());
    }

    #[test]
    fn a_document_in_json_is_read_as_the_one_in_yaml(
        records in prop::collection::vec(record(), 1..4),
    ) {
        let documents = exported(&numbered(records), true);
        let texts: Vec<String> = documents.iter().map(|one| write_json(one).unwrap()).collect();
        for (text, document) in texts.iter().zip(&documents) {
            let value: Value = serde_json::from_str(text).unwrap();
            prop_assert_eq!(value["metadata"]["name"].as_str(), Some(document.name()));
        }
        let text = texts.join("---\n");
        let read = read_one(&text);
        prop_assert!(read.is_ok(), "{:?}\n{}", read, text);
        prop_assert_eq!(read.unwrap().documents, documents, "{}", text);
    }
}

#[test]
fn what_is_changed_by_hand_is_told_of_what_was_exported() {
    let one = Recorded {
        id: HOST.parse().unwrap(),
        name: "web".parse().unwrap(),
        class: AppClass::Native,
        is_own: true,
        status: StatusLabel::Running,
        busy: None,
        catalog_id: "nginx".parse().unwrap(),
        host: host(),
        node: "pve1".parse().unwrap(),
        vmid: Some(105_u32.try_into().unwrap()),
        resources: Resources {
            memory_mib: 512,
            cores: 1,
            disk_gib: 8,
        },
        settings: BTreeMap::new(),
        port: 80,
        exposed: true,
        guarded: false,
        made_with: Default::default(),
        bridge: None,
        site: None,
        depends_on: Vec::new(),
        secrets: BTreeMap::new(),
    };
    let records = [one];
    let mut there = state(&records);
    for seen in there.containers.values_mut() {
        seen.memory_mib = Figure::Is(1024);
    }
    let wanted: Vec<Wanted> = exported(&records, false).iter().map(wanted).collect();
    let plan = decide(&wanted, &there, false).plan;
    assert_eq!((plan.changes.len(), plan.unchanged), (1, 0));
    assert_eq!(plan.changes[0].fields[0].path, "memory");
}
