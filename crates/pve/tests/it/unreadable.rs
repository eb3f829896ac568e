//! Answers that make no sense: the error names the field.

use std::sync::Arc;

use bytes::Bytes;
use proximity_domain::backup::Keep;
use proximity_pve::backup::{BackupMode, NewBackup};
use proximity_pve::lxc::Feature;
use proximity_pve::pool::Members;
use proximity_pve::rrd::Timeframe;
use proximity_pve::transport::RawResponse;
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::{Client, Error, ReadClient};

use crate::world::{SetClock, host, node, vmid, warrant};

/// A client to which everything is answered with this payload.
fn client(payload: &str) -> Client {
    let body = Bytes::from(format!(r#"{{"data":{payload}}}"#));
    let transport = InProcess::new(move |_| {
        let body = body.clone();
        async move {
            Ok(RawResponse {
                status: 200,
                reason: "OK".to_owned(),
                body,
            })
        }
    });
    Client::new(
        Arc::new(transport),
        Arc::new(SetClock::default()),
        host(),
        warrant(),
    )
}

type Outcome = Result<(), Error>;

/// What a read makes of an answer.
async fn ask(call: &str, read: &ReadClient) -> Outcome {
    let (at, id, hour) = (node("pve1"), vmid(100), Timeframe::Hour);
    let storage = "local".parse().unwrap();
    let keep = Keep {
        last: 1,
        ..Keep::default()
    };
    match call {
        "snapshots" => read.guest_snapshots(&at, id).await.map(|_| ()),
        "snapshot config" => {
            let name = "before".parse().unwrap();
            read.guest_snapshot_config(&at, id, &name).await.map(|_| ())
        }
        "feature" => {
            let asked = read.has_feature(&at, id, Feature::Copy, None).await;
            asked.map(|_| ())
        }
        "pending" => read.lxc_pending(&at, id).await.map(|_| ()),
        "pools" => read.pools().await.map(|_| ()),
        "pool" => read.pool(&"apps".parse().unwrap()).await.map(|_| ()),
        "volume" => {
            let volid = "local:backup/a".parse().unwrap();
            read.volume(&at, &volid).await.map(|_| ())
        }
        "backups" => read.backups(&at, &storage, None).await.map(|_| ()),
        "not backed up" => read.not_backed_up().await.map(|_| ()),
        "prune" => {
            let rows = read.prune_preview(&at, &storage, id, keep).await;
            rows.map(|_| ())
        }
        "appliances" => read.appliances(&at).await.map(|_| ()),
        "tags" => {
            let repository = "nginx".parse().unwrap();
            read.oci_tags(&at, &repository).await.map(|_| ())
        }
        "url" => read.url_metadata(&at, "https://a").await.map(|_| ()),
        "usage" => read.lxc_usage(&at, id, hour).await.map(|_| ()),
        "node usage" => read.node_usage(&at, hour).await.map(|_| ()),
        "storage usage" => read.storage_usage(&at, &storage, hour).await.map(|_| ()),
        other => panic!("{other}"),
    }
}

/// What is asked, what is answered, and what the error must name.
const NONSENSE: &[(&str, &str, &str)] = &[
    ("snapshots", r#"{}"#, "data: "),
    ("snapshots", r#"[{"description":"x"}]"#, "`name`"),
    ("snapshots", r#"[{"name":"a b"}]"#, "name: snapshot"),
    (
        "snapshots",
        r#"[{"name":"ab","snaptime":"soon"}]"#,
        "data[0].snaptime: ",
    ),
    ("snapshot config", r#"{"memory":"much"}"#, "memory: "),
    ("feature", r#"{}"#, "`hasFeature`"),
    ("feature", r#"{"hasFeature":7}"#, "data.hasFeature: "),
    (
        "pending",
        r#"[{"key":"a"},{}]"#,
        "data[1]: missing field `key`",
    ),
    (
        "pending",
        r#"[{"key":"a","delete":"x"}]"#,
        "data[0].delete: ",
    ),
    ("pools", r#"[{"poolid":"a b"}]"#, "data[0].poolid: "),
    ("pool", r#"[]"#, "poolid: "),
    (
        "pool",
        r#"[{"poolid":"apps","members":[{"type":"lxc"}]}]"#,
        "vmid",
    ),
    (
        "pool",
        r#"[{"poolid":"apps","members":[{"type":"lxc","vmid":7}]}]"#,
        "vmid",
    ),
    (
        "pool",
        r#"[{"poolid":"apps","members":[{"type":"storage"}]}]"#,
        "storage",
    ),
    ("pool", r#"[{"poolid":"apps","members":[{}]}]"#, "`type`"),
    ("volume", r#"{"path":"/a","format":"raw"}"#, "`size`"),
    ("backups", r#"[{"volid":"nothing"}]"#, "data[0].volid: "),
    (
        "backups",
        r#"[{"volid":"a:b","protected":"maybe"}]"#,
        "data[0].protected: ",
    ),
    (
        "not backed up",
        r#"[{"vmid":1,"type":"lxc"}]"#,
        "data[0].vmid: ",
    ),
    (
        "not backed up",
        r#"[{"vmid":100,"type":"jail"}]"#,
        "data[0].type: ",
    ),
    (
        "prune",
        r#"[{"volid":"a:b","mark":"sell","ctime":1}]"#,
        "data[0].mark: ",
    ),
    ("prune", r#"[{"volid":"a:b","mark":"keep"}]"#, "`ctime`"),
    ("appliances", r#"[{"package":"a"}]"#, "`template`"),
    ("tags", r#"["a",7]"#, "data[1]: "),
    ("url", r#"{"size":"large"}"#, "data.size: "),
    ("usage", r#"[{"cpu":1}]"#, "`time`"),
    ("usage", r#"[{"time":1,"cpu":"x"}]"#, "data[0].cpu: "),
    ("node usage", r#"[{"time":[]}]"#, "data[0].time: "),
    (
        "storage usage",
        r#"[{"time":1,"used":{}}]"#,
        "data[0].used: ",
    ),
];

#[tokio::test]
async fn a_read_that_makes_no_sense_names_its_field() {
    for (call, payload, named) in NONSENSE {
        let outcome = ask(call, client(payload).read()).await;
        let Err(Error::Unreadable { call: asked, why }) = outcome else {
            panic!("{call} {payload}: {outcome:?}")
        };
        assert!(asked.starts_with("GET /"), "{asked}");
        assert!(
            why.contains(named),
            "{call}: {why:?} does not name {named:?}"
        );
    }
}

#[tokio::test]
async fn a_kind_of_member_that_came_later_hides_none_of_a_pool() {
    let rows = r#"[{"poolid":"apps","members":[{"type":"stack","id":"stack/1"},{"type":"lxc","vmid":"101"},
        {"type":"storage","storage":"nas"},{"type":"storage","storage":"nas"},{"type":"qemu","vmid":100}]}]"#;
    let client = client(rows);
    let pool = client.read().pool(&"apps".parse().unwrap()).await.unwrap();
    assert_eq!(pool.guests, [vmid(100), vmid(101)]);
    assert_eq!(pool.storages, ["nas".parse().unwrap()]);
}

#[tokio::test]
async fn a_change_whose_answer_makes_no_sense_may_have_happened() {
    let backup = NewBackup {
        vmid: vmid(100),
        storage: "local".parse().unwrap(),
        mode: BackupMode::Snapshot,
        notes: String::new(),
        protected: false,
    };
    for payload in ["null", r#""OKAY""#, "7"] {
        let client = client(payload);
        let made = client.back_up(&node("pve1"), backup.clone()).await;
        assert!(made.unwrap_err().is_maybe_applied(), "{payload}");
    }
    let client = client(r#""done""#);
    let pool = "apps".parse().unwrap();
    let added = client.add_to_pool(&pool, &Members::default()).await;
    assert!(added.unwrap_err().is_maybe_applied());
}
