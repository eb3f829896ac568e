use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::create::Resources;
use crate::ids::HostId;
use crate::site::Site;

fn recorded(class: AppClass, status: StatusLabel) -> Recorded {
    Recorded {
        id: AppId(Uuid::from_u128(7)),
        name: "web".parse().unwrap(),
        class,
        is_own: true,
        status,
        busy: None,
        catalog_id: "nginx".parse().unwrap(),
        host: HostId(Uuid::from_u128(1)),
        node: "pve1".parse().unwrap(),
        vmid: Some(105_u32.try_into().unwrap()),
        resources: Resources {
            memory_mib: 512,
            cores: 2,
            disk_gib: 8,
        },
        settings: BTreeMap::new(),
        port: 80,
        exposed: true,
        guarded: true,
        made_with: Default::default(),
        bridge: None,
        site: None,
        depends_on: Vec::new(),
        secrets: BTreeMap::new(),
    }
}

fn exported(recorded: &Recorded, power: bool) -> Result<Exported, LeftOut> {
    document(recorded, Some(&"home".parse().unwrap()), None, power)
}

#[test]
fn an_app_is_written_with_all_that_is_on_record_and_without_its_node() {
    let mut one = recorded(AppClass::Native, StatusLabel::Stopped);
    one.settings = BTreeMap::from([
        ("GZIP".to_owned(), json!(true)),
        ("PASSWORD".to_owned(), json!(null)),
        ("TITLE".to_owned(), json!("${x}")),
        ("WORKERS".to_owned(), json!(-3)),
    ]);
    let written = exported(&one, false).unwrap();
    let Manifest::App { name, spec } = &written.document else {
        panic!("{written:?}");
    };
    assert_eq!(name, &one.name);
    let expected = json!({
        "catalog_id": "nginx",
        "host": "home",
        "resources": {"memory_mib": 512, "cores": 2, "disk_gib": 8},
        "settings": {
            "GZIP": true,
            "PASSWORD": {"secret": "web--password"},
            "TITLE": "${x}",
            "WORKERS": -3,
        },
    });
    assert_eq!(serde_json::to_value(spec).unwrap(), expected);
    let secret = ExportedSecret {
        setting: "PASSWORD".parse().unwrap(),
        secret: "web--password".parse().unwrap(),
    };
    assert_eq!(
        (written.secrets, written.notes.len(), written.app),
        (vec![secret], 0, one.id)
    );
}

#[test]
fn an_adopted_app_is_written_by_its_container() {
    let one = recorded(AppClass::Adopted, StatusLabel::Running);
    let written = exported(&one, true).unwrap();
    let Manifest::AdoptedApp { spec, .. } = &written.document else {
        panic!("{written:?}");
    };
    let expected = json!({
        "host": "home",
        "vmid": 105,
        "type": "nginx",
        "port": 80,
        "expose": true,
        "guard": true,
        "power": "running",
    });
    assert_eq!(serde_json::to_value(spec).unwrap(), expected);
    let quiet = Recorded {
        port: 0,
        exposed: false,
        guarded: false,
        ..one
    };
    let Ok(Exported {
        document: Manifest::AdoptedApp { spec, .. },
        ..
    }) = exported(&quiet, false)
    else {
        panic!("it is adopted");
    };
    let expected = json!({"host": "home", "vmid": 105, "type": "nginx"});
    assert_eq!(serde_json::to_value(spec).unwrap(), expected);
}

#[test]
fn what_is_not_there_yet_or_about_to_go_has_no_document() {
    use StatusLabel as S;
    for status in [S::Deploying, S::Adopting, S::Cloning, S::Removing] {
        for class in [AppClass::Native, AppClass::Adopted] {
            let none = exported(&recorded(class, status), false);
            assert_eq!(none, Err(LeftOut::OnItsWay(status)));
        }
    }
    // Its record is whole, and what it says is not lost with it.
    for status in [S::Error, S::Updating] {
        let written = exported(&recorded(AppClass::Native, status), true).unwrap();
        assert!(written.notes[0].contains(status.label()), "{written:?}");
        let Manifest::App { spec, .. } = written.document else {
            panic!("it is made");
        };
        assert_eq!(spec.power, None);
    }
    let nowhere = Recorded {
        vmid: None,
        ..recorded(AppClass::Adopted, S::Error)
    };
    assert_eq!(exported(&nowhere, false), Err(LeftOut::NoContainer));
    let one = recorded(AppClass::Native, S::Running);
    assert_eq!(document(&one, None, None, false), Err(LeftOut::NoHost));
}

#[test]
fn what_no_document_holds_is_told_and_never_left_away() {
    for (key, value) in [
        ("LIST", json!(["a"])),
        ("HALF", json!(1.5)),
        ("LINES", json!("a\nb")),
        ("NOT A NAME", json!("a")),
    ] {
        let mut one = recorded(AppClass::Native, StatusLabel::Running);
        one.settings.insert(key.to_owned(), value);
        let left_out = exported(&one, false);
        assert_eq!(left_out, Err(LeftOut::Setting(key.to_owned())));
    }
}

#[test]
fn what_a_document_said_that_no_record_holds_is_written_again() {
    let host = "home".parse().unwrap();
    let mut one = recorded(AppClass::Native, StatusLabel::Running);
    one.settings = BTreeMap::from([
        ("PASSWORD".to_owned(), json!(null)),
        ("TOKEN".to_owned(), json!(null)),
    ]);
    let wishes = json!({
        "catalog_id": "other",
        "host": "elsewhere",
        "node": "pve9",
        "resources": {"memory_mib": 16},
        "settings": {"password": {"secret": "db"}, "TITLE": "gone"},
        "power": "stopped",
        "policy": "revert",
        "ignore": ["memory"],
        "depends_on": ["dbs"],
    });
    let applied = Manifest::App {
        name: "web".parse().unwrap(),
        spec: serde_json::from_value(wishes).unwrap(),
    };
    let written = document(&one, Some(&host), Some(&applied), false).unwrap();
    let Manifest::App { spec, .. } = &written.document else {
        panic!("{written:?}");
    };
    let expected = json!({
        "catalog_id": "nginx",
        "host": "home",
        "resources": {"memory_mib": 512, "cores": 2, "disk_gib": 8},
        "settings": {"PASSWORD": {"secret": "db"}, "TOKEN": {"secret": "web--token"}},
        "power": "running",
        "policy": "revert",
        "ignore": ["memory"],
        "depends_on": ["dbs"],
    });
    assert_eq!(serde_json::to_value(spec).unwrap(), expected);
    // Of its power what is on record is written, for that may have changed since; where that is not known, what was wanted.
    let power = |status, asked| {
        let one = Recorded {
            status,
            ..one.clone()
        };
        let written = document(&one, Some(&host), Some(&applied), asked).unwrap();
        match written.document {
            Manifest::App { spec, .. } => spec.power,
            other => panic!("{other:?}"),
        }
    };
    for asked in [true, false] {
        let (running, stopped) = (WantedPower::Running, WantedPower::Stopped);
        assert_eq!(power(StatusLabel::Running, asked), Some(running));
        assert_eq!(power(StatusLabel::Stopped, asked), Some(stopped));
        assert_eq!(power(StatusLabel::Error, asked), Some(stopped));
    }
    // One of the other class is about something else.
    let found = recorded(AppClass::Adopted, StatusLabel::Running);
    let written = document(&found, Some(&host), Some(&applied), false).unwrap();
    assert_eq!(Ok(written), exported(&found, false));
    let wishes = json!({
        "host": "home", "vmid": 106, "policy": "accept", "ignore": ["mp*"], "depends_on": ["web"],
    });
    let applied = Manifest::AdoptedApp {
        name: "web".parse().unwrap(),
        spec: serde_json::from_value(wishes).unwrap(),
    };
    let written = document(&found, Some(&host), Some(&applied), false).unwrap();
    let Manifest::AdoptedApp { spec, .. } = &written.document else {
        panic!("{written:?}");
    };
    assert_eq!((spec.vmid.get(), spec.policy), (105, Policy::Accept));
    assert_eq!(spec.depends_on[0].as_str(), "web");
    assert_eq!(spec.ignore.patterns()[0].as_str(), "mp*");
}

fn named(app: &str, setting: &str) -> String {
    let name = secret_name(&app.parse().unwrap(), &setting.parse().unwrap());
    name.map(String::from).unwrap()
}

#[test]
fn a_secret_is_called_by_app_and_setting_and_by_no_other() {
    assert_eq!(named("web", "DB_PASSWORD"), "web--db-password");
    let long = named(&"a".repeat(63), &"B".repeat(48));
    assert_eq!(long.matches("--").count(), 2, "{long}");
    let pairs = [
        ("web-db", "PASSWORD"),
        ("web", "DB_PASSWORD"),
        ("web", "DB__PASSWORD"),
        ("web", "DB_PASSWORD_"),
        ("web", "db_password"),
        ("web--db", "PASSWORD"),
    ];
    let names: BTreeSet<String> = pairs.iter().map(|(a, s)| named(a, s)).collect();
    assert_eq!(names.len(), pairs.len(), "{names:?}");
}

proptest! {
    #[test]
    fn no_two_settings_share_a_secret(
        apps in ("[a-c]([a-c-]{1,60})[a-c]", "[a-c]([a-c-]{1,3})[a-c]"),
        settings in ("[A-Ca-b][A-C_]{0,46}", "[A-B][A-B_]{0,3}"),
    ) {
        let mut names = BTreeSet::new();
        for app in [&apps.0, &apps.1] {
            for setting in [&settings.0, &settings.1] {
                names.insert(named(app, setting));
            }
        }
        let many = |a: &str, b: &str| if a == b { 1 } else { 2 };
        let pairs = many(&apps.0, &apps.1) * many(&settings.0, &settings.1);
        prop_assert_eq!(names.len(), pairs, "{:?}", names);
    }
}

#[test]
fn what_a_container_was_made_with_and_its_host_name_are_written_where_they_are_not_the_usual() {
    let mut one = recorded(AppClass::Native, StatusLabel::Running);
    let written = exported(&one, false).unwrap();
    let plain = serde_json::to_value(spec_of(&written)).unwrap();
    for field in [
        "network",
        "root_access",
        "root_keys",
        "host_name",
        "certificate",
        "apart_from",
    ] {
        assert_eq!(plain.get(field), None, "{field}");
    }
    one.made_with.network.vlan = Some(30);
    one.made_with.root_keys = vec!["ssh-ed25519 AAAA".to_owned(); 2];
    one.made_with.apart_from = vec!["mail".parse().unwrap(); 2];
    one.site = Some(Site {
        name: "blog.example.org".parse().unwrap(),
        certificate: None,
    });
    let written = exported(&one, false).unwrap();
    let said = serde_json::to_value(spec_of(&written)).unwrap();
    let network = json!({"vlan": 30, "ipv4": "dhcp", "ipv6": "none"});
    assert_eq!(said["network"], network);
    assert_eq!(said["root_access"], json!("keys"));
    assert_eq!(said["root_keys"], json!(["ssh-ed25519 AAAA"]));
    assert_eq!(said["host_name"], json!("blog.example.org"));
    assert_eq!(said["apart_from"], json!(["mail"]));
    one.made_with.root_keys = Vec::new();
    one.made_with.root_password = true;
    let written = exported(&one, false).unwrap();
    assert_eq!(spec_of(&written).root_access, Some(RootMode::Password));
}

fn spec_of(written: &Exported) -> &AppSpec {
    match &written.document {
        Manifest::App { spec, .. } => spec,
        other => panic!("{other:?}"),
    }
}
