use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::app::StatusLabel;
use crate::create::Resources;
use crate::ids::{AppId, HostId};
use crate::plan::{Downtime, FieldDiff, Place, Source};
use crate::resource::ResourceState;

fn recorded(class: AppClass) -> Recorded {
    Recorded {
        id: AppId(Uuid::from_u128(7)),
        name: "web".parse().unwrap(),
        class,
        is_own: true,
        status: StatusLabel::Running,
        busy: None,
        catalog_id: "nginx".parse().unwrap(),
        host: HostId(Uuid::from_u128(1)),
        node: "pve1".parse().unwrap(),
        vmid: Some(105_u32.try_into().unwrap()),
        resources: Resources {
            memory_mib: 512,
            cores: 2,
            disk_gib: 16,
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

fn made(spec: Value) -> DesiredSpec {
    DesiredSpec::App(serde_json::from_value(spec).unwrap())
}

fn found(spec: Value) -> DesiredSpec {
    DesiredSpec::AdoptedApp(serde_json::from_value(spec).unwrap())
}

/// Goes back beside the apps `dbs` and `web`, with the secret `key` in its second version.
fn goes(
    recorded: &Recorded,
    then: &DesiredSpec,
    put_in: i64,
) -> Result<(Value, Vec<String>), Impossible> {
    let names = ["dbs", "web"].map(|name| name.parse().unwrap());
    let key: SecretName = "key".parse().unwrap();
    let now = Now {
        recorded,
        host: &"home".parse().unwrap(),
        usual_disk_gib: Some(8),
        secrets: &BTreeMap::from([(key.clone(), 2)]),
        names: &BTreeSet::from(names),
    };
    let (spec, kept) = back(&now, then, &BTreeMap::from([(key, put_in)]))?;
    let spec = serde_json::to_value(spec).unwrap();
    let kept = kept.into_iter().map(|kept| kept.what);
    Ok((spec["spec"].clone(), kept.collect()))
}

#[test]
fn configuration_goes_back_and_place_and_disk_stay() {
    let then = made(json!({
        "catalog_id": "nginx",
        "host": "elsewhere",
        "node": "pve2",
        "resources": {"memory_mib": 256, "disk_gib": 4},
        "settings": {"TITLE": "old", "PASSWORD": {"secret": "key"}},
        "policy": "revert",
        "depends_on": ["dbs", "gone"],
    }));
    let (spec, kept) = goes(&recorded(AppClass::Native), &then, 1).unwrap();
    let expected = json!({
        "catalog_id": "nginx",
        "host": "home",
        "resources": {"memory_mib": 256, "disk_gib": 16},
        "settings": {"TITLE": "old", "PASSWORD": {"secret": "key"}},
        "policy": "revert",
        "depends_on": ["dbs"],
    });
    assert_eq!(spec, expected);
    assert_eq!(kept, ["host", "node", "disk", "depends_on", "secret key"]);
}

#[test]
fn a_disk_stays_where_the_documents_said_nothing_of_it_and_what_is_the_same_is_not_told() {
    let then = made(json!({"catalog_id": "nginx", "node": "pve1"}));
    let (spec, kept) = goes(&recorded(AppClass::Native), &then, 2).unwrap();
    assert_eq!(spec["resources"], json!({"disk_gib": 16}));
    assert_eq!(
        (spec["node"].as_str(), kept),
        (Some("pve1"), vec!["disk".to_owned()])
    );
    let mut usual = recorded(AppClass::Native);
    usual.resources.disk_gib = 8;
    let secret = made(json!({
        "catalog_id": "nginx",
        "settings": {"PASSWORD": {"secret": "key"}},
    }));
    // In which version it was put in is not known, or it is the same.
    for put_in in [0, 2] {
        let (_, kept) = goes(&usual, &secret, put_in).unwrap();
        assert!(kept.is_empty(), "{kept:?}");
    }
}

#[test]
fn what_was_taken_over_goes_back_as_far_as_that_is_written_down() {
    let one = recorded(AppClass::Adopted);
    let then = found(json!({
        "host": "home", "vmid": 105, "type": "other", "port": 81, "expose": false, "guard": true,
    }));
    let (spec, kept) = goes(&one, &then, 0).unwrap();
    let expected = json!({"host": "home", "vmid": 105, "guard": true});
    assert_eq!(
        (spec, kept),
        (expected, vec!["type".to_owned(), "port".to_owned()])
    );
    let led = found(json!({"host": "home", "vmid": 105, "port": 81, "expose": true}));
    let (spec, kept) = goes(&one, &led, 0).unwrap();
    assert_eq!((spec["port"].as_u64(), kept.len()), (Some(81), 0));
    for (host, vmid) in [("elsewhere", 105), ("home", 106)] {
        let other = found(json!({"host": host, "vmid": vmid}));
        let refused = goes(&one, &other, 0).unwrap_err();
        assert_eq!(refused, Impossible::OtherContainer(one.name.clone()));
    }
}

#[test]
fn nothing_becomes_another_container() {
    let (native, adopted) = (recorded(AppClass::Native), recorded(AppClass::Adopted));
    let other = made(json!({"catalog_id": "other"}));
    let refused = goes(&native, &other, 0).unwrap_err();
    assert!(
        matches!(refused, Impossible::OtherEntry { .. }),
        "{refused:?}"
    );
    let same = made(json!({"catalog_id": "nginx"}));
    let container = found(json!({"host": "home", "vmid": 105}));
    for (recorded, then) in [(&adopted, &same), (&native, &container)] {
        let refused = goes(recorded, then, 0).unwrap_err();
        assert_eq!(refused, Impossible::OtherClass(recorded.name.clone()));
    }
}

fn snapshot(change: SnapshotChange, state: Value) -> Snapshot {
    let state: ResourceState = serde_json::from_value(state).unwrap();
    Snapshot {
        seq: 3,
        at: Timestamp(0),
        change,
        state,
    }
}

#[test]
fn of_a_snapshot_memory_and_cores_come_back_and_nothing_else() {
    use SnapshotChange::{Deleted, Updated};
    let name: Hostname = "web".parse().unwrap();
    let as_it_is = made(json!({
        "catalog_id": "nginx",
        "resources": {"memory_mib": 512, "cores": 2, "disk_gib": 16},
        "settings": {"TITLE": "new"},
        "power": "running",
    }));
    let resources = |change, state| -> Result<Value, Impossible> {
        let spec = of_snapshot(&name, &as_it_is, &snapshot(change, state))?;
        let mut spec = serde_json::to_value(spec).unwrap();
        let resources = spec["spec"]["resources"].take();
        spec["spec"]["resources"] = json!({"memory_mib": 512, "cores": 2, "disk_gib": 16});
        assert_eq!(spec, serde_json::to_value(&as_it_is).unwrap());
        Ok(resources)
    };
    let configured = json!({
        "config.memory": "256", "config.cores": "1", "memory_mib": 300, "cpus": 9, "status": "stopped",
    });
    let expected = json!({"memory_mib": 256, "cores": 1, "disk_gib": 16});
    assert_eq!(resources(Updated, configured.clone()), Ok(expected));
    let expected = json!({"memory_mib": 300, "cores": 2, "disk_gib": 16});
    assert_eq!(resources(Updated, json!({"memory_mib": 300})), Ok(expected));
    let nothing = Err(Impossible::NothingInSnapshot(name.clone()));
    assert_eq!(resources(Updated, json!({"status": "running"})), nothing);
    assert_eq!(resources(Deleted, configured.clone()), nothing);
    let container = found(json!({"host": "home", "vmid": 105}));
    let refused = of_snapshot(&name, &container, &snapshot(Updated, configured));
    assert_eq!(refused, Err(Impossible::NothingInSnapshot(name)));
}

fn change(name: &str, act: Act) -> Change {
    Change {
        name: name.parse().unwrap(),
        app: None,
        class: AppClass::Native,
        place: Place::default(),
        layer: 0,
        depends_on: Vec::new(),
        act,
        fields: Vec::new(),
        downtime: Downtime::None,
        at_risk: Vec::new(),
        lacks: Vec::new(),
        obstacles: Vec::new(),
        notes: Vec::new(),
    }
}

#[test]
fn what_is_lost_is_what_was_set_since_and_what_goes_with_containers() {
    let field = |path: &str, from| FieldDiff {
        path: path.to_owned(),
        from,
        to: Some(json!(1)),
        source: Source::Documents,
    };
    let updated = Change {
        fields: vec![
            field("memory", Some(json!(512))),
            field("settings.NEW", None),
        ],
        ..change("web", Act::Update)
    };
    let destroyed = Change {
        at_risk: vec!["local:7/disk".to_owned()],
        ..change("young", Act::Destroy)
    };
    let told = lost(&[updated, destroyed]);
    let told: Vec<(&str, &str, &Value)> = told
        .iter()
        .map(|one| (one.name.as_str(), one.path.as_str(), &one.now))
        .collect();
    let (memory, volume) = (json!(512), json!("local:7/disk"));
    assert_eq!(
        told,
        [("web", "memory", &memory), ("young", "volume", &volume)]
    );

    let name = "web".parse().unwrap();
    let now = made(json!({
        "catalog_id": "nginx", "policy": "revert", "ignore": ["memory", "net*"],
        "depends_on": ["dbs"],
    }));
    let then = made(json!({
        "catalog_id": "nginx", "ignore": ["net*", "tags"], "depends_on": ["mail"],
    }));
    let told = unsaid(&name, &now, &then);
    let told: Vec<(&str, &Value)> = told
        .iter()
        .map(|one| (one.path.as_str(), &one.now))
        .collect();
    let (policy, pattern, need) = (json!("revert"), json!("memory"), json!("dbs"));
    let expected = [
        ("policy", &policy),
        ("ignore", &pattern),
        ("depends_on", &need),
    ];
    assert_eq!(told, expected);
    assert!(unsaid(&name, &now, &now).is_empty());
}

#[test]
fn a_plan_that_makes_takes_over_or_replaces_is_none() {
    for act in Act::ALL {
        let judged = moves_configuration_alone(&[change("web", act)]);
        let is_another = matches!(act, Act::Create | Act::Replace | Act::Adopt);
        assert_eq!(judged.is_err(), is_another, "{act:?}");
    }
    let many = ["aaa", "bbb", "ccc", "ddd", "eee", "fff"].map(|name| change(name, Act::Create));
    let refused = moves_configuration_alone(&many).unwrap_err();
    assert!(refused.to_string().ends_with("eee, …"), "{refused}");
}

#[test]
fn configuration_alone_moves() {
    let moving = Plane::ALL.into_iter().filter(|plane| plane.moves());
    assert_eq!(moving.collect::<Vec<_>>(), [Plane::Configuration]);
}

proptest! {
    /// Whatever was wanted: no disk changes its size, no container its place, and what comes out goes back to itself.
    #[test]
    fn going_back_twice_is_going_back_once(
        disk in proptest::option::of(1_u32..64),
        memory in proptest::option::of(16_u64..4096),
        host in proptest::option::of("(home|elsewhere)"),
        node in proptest::option::of("(pve1|pve2)"),
        needs in proptest::collection::vec("(dbs|web|gone|mail)", 0..4),
        size in 1_u32..64,
    ) {
        let mut one = recorded(AppClass::Native);
        one.resources.disk_gib = size;
        let mut then = json!({"catalog_id": "nginx", "depends_on": needs, "resources": {}});
        let wishes = [("disk_gib", disk.map(u64::from)), ("memory_mib", memory)];
        for (name, value) in wishes.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            then["resources"][name] = json!(value);
        }
        for (name, value) in [("host", host), ("node", node)] {
            if let Some(value) = value {
                then[name] = json!(value);
            }
        }
        let (once, _) = goes(&one, &made(then), 0).unwrap();
        prop_assert_eq!(&once["resources"]["disk_gib"], &json!(size));
        prop_assert_eq!(&once["host"], &json!("home"));
        prop_assert_ne!(&once["node"], &json!("pve2"));
        let (twice, kept) = goes(&one, &made(once.clone()), 0).unwrap();
        prop_assert_eq!(twice, once);
        prop_assert!(kept.is_empty(), "{:?}", kept);
    }
}

#[test]
fn an_app_in_error_is_left_out_and_one_on_its_way_is_waited_for() {
    for status in StatusLabel::ALL {
        let mut app = recorded(AppClass::Native);
        app.status = status;
        let why = left_out(&app);
        assert_eq!(why.is_some(), status == StatusLabel::Error, "{status:?}");
        let says_where_to_look = why.is_none_or(|why| why.contains("proximity show web"));
        assert!(says_where_to_look, "{status:?}");
    }
}

#[test]
fn what_a_container_was_made_with_stays_and_its_host_name_goes_back() {
    let now = recorded(AppClass::Native);
    let then = made(json!({
        "catalog_id": "nginx",
        "resources": {"disk_gib": 16},
        "network": {"vlan": 30},
        "root_access": "keys",
        "root_keys": ["ssh-ed25519 AAAA"],
        "host_name": "blog.example.org",
        "apart_from": ["dbs"],
    }));
    let (spec, kept) = goes(&now, &then, 0).unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(
        (&spec["host_name"], &spec["apart_from"]),
        (&json!("blog.example.org"), &json!(["dbs"]))
    );
    for gone in ["network", "root_access", "root_keys"] {
        assert_eq!(spec.get(gone), None, "{gone}");
    }
    // What it was made with anyway is no loss.
    let same = made(json!({
        "catalog_id": "nginx",
        "resources": {"disk_gib": 16},
        "network": {"ipv4": "dhcp"},
        "root_access": "none",
    }));
    let (_, kept) = goes(&now, &same, 0).unwrap();
    assert!(kept.is_empty(), "{kept:?}");
}
