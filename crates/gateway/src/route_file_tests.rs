use std::num::NonZeroU16;

use super::*;
use crate::route::{Endpoint, Generation};
use crate::table::DefaultBinds;

fn table() -> RouteTable {
    let port = |port| Endpoint::on_default(NonZeroU16::new(port).unwrap());
    let route = Route {
        app_id: "a".parse().unwrap(),
        owner: Some("c".parse().unwrap()),
        generation: Generation(3),
        public: port(8100),
        internal: Endpoint {
            bind: Some("::1".parse().unwrap()),
            ..port(9100)
        },
        target: Some("10.0.0.7:8080".parse().unwrap()),
    };
    let binds = DefaultBinds {
        public: "0.0.0.0".parse().unwrap(),
        internal: "127.0.0.1".parse().unwrap(),
    };
    let table = RouteTable::default()
        .with(route, binds, 10)
        .unwrap()
        .unwrap();
    table
        .without(&"b".parse().unwrap(), Generation(4))
        .unwrap()
        .0
}

fn open(path: &Path) -> Result<(RouteFile, RouteTable), GatewayError> {
    let file = RouteFile::claim(path)?;
    let table = file.load()?;
    Ok((file, table))
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/routes.json");
    {
        let (file, empty) = open(&path).unwrap();
        assert_eq!(empty, RouteTable::default());
        file.save(&table()).unwrap();
    }
    let (file, loaded) = open(&path).unwrap();
    assert_eq!(loaded, table());
    assert_eq!(file.damaged(), Vec::<PathBuf>::new());
    assert!(!with_suffix(&path, ".tmp").exists());
}

#[test]
fn a_half_written_draft_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.json");
    std::fs::write(with_suffix(&path, ".tmp"), "{\"format\":1,\"rou").unwrap();
    let (file, _) = open(&path).unwrap();
    file.save(&table()).unwrap();
    drop(file);
    assert_eq!(open(&path).unwrap().1, table());
}

#[test]
fn the_format_on_disk_is_this() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.json");
    open(&path).unwrap().0.save(&table()).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let expected = serde_json::json!({
        "format": 2,
        "routes": [{
            "app_id": "a",
            "owner": "c",
            "generation": 3,
            "public": { "port": 8100 },
            "internal": { "bind": "::1", "port": 9100 },
            "target": "10.0.0.7:8080",
        }],
        "removed": [{ "app_id": "b", "generation": 4 }],
    });
    assert_eq!(value, expected);
}

#[test]
fn damage_of_any_kind_is_kept_and_reported() {
    let kinds: [&[u8]; 7] = [
        b"",
        b"\xff\xfe",
        b"{\"format\":2,\"rou",
        b"{\"format\":0,\"routes\":[]}",
        b"{\"format\":1,\"routes\":[],\"what\":1}",
        b"{\"format\":1,\"routes\":[{\"app_id\":\"a\",\"generation\":1,\"public\":{\"port\":0},\"internal\":{\"port\":1}}]}",
        b"{\"format\":1,\"routes\":[],\"removed\":[{\"app_id\":\"/\",\"generation\":1}]}",
    ];
    for damage in kinds {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.json");
        std::fs::write(&path, damage).unwrap();
        let (file, table) = open(&path).unwrap();
        assert_eq!(table, RouteTable::default());
        assert!(!path.exists());
        let kept = file.damaged();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(std::fs::read(&kept[0]).unwrap(), damage);
    }
}

#[test]
fn two_damaged_files_in_a_row_are_both_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.json");
    for damage in ["one", "two"] {
        std::fs::write(&path, damage).unwrap();
        drop(open(&path).unwrap());
    }
    assert_eq!(open(&path).unwrap().0.damaged().len(), 2);
}

#[test]
fn routes_of_the_format_before_have_no_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.json");
    let route = r#"{"app_id":"a","generation":3,"public":{"port":8100},"internal":{"port":9100}}"#;
    std::fs::write(&path, format!(r#"{{"format":1,"routes":[{route}]}}"#)).unwrap();
    let (file, table) = open(&path).unwrap();
    let route = table.get(&"a".parse().unwrap()).unwrap();
    assert_eq!(
        (route.owner.clone(), route.generation),
        (None, Generation(3))
    );
    file.save(&table).unwrap();
    drop(file);
    assert_eq!(open(&path).unwrap().1, table);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.json");
    let newer = "{\"format\":3,\"anything\":{}}";
    std::fs::write(&path, newer).unwrap();
    let refused = open(&path).unwrap_err();
    assert!(matches!(
        refused,
        GatewayError::NewerRouteFile {
            found: 3,
            supported: 2,
            ..
        }
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn a_file_has_one_owner_and_the_second_learns_who() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.json");
    let first = open(&path).unwrap();
    let GatewayError::AlreadyRunning { pid, .. } = open(&path).unwrap_err() else {
        panic!("the second was let in, or refused for another reason");
    };
    assert_eq!(pid, std::process::id().to_string());
    drop(first);
    open(&path).unwrap();
}
