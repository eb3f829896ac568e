//! Prepared templates are shown to those who manage hosts, and dropped by them.

use proximity_domain::guest::ContainerIdentity;
use proximity_domain::ids::{AppId, PreparedId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{Mac, Volid};
use proximity_domain::prepared::{Base, Prepared, Spot, Stage};
use proximity_domain::time::Clock;
use proximity_testkit::sources::RealClock;
use serde_json::json;
use uuid::Uuid;

use crate::support::live::Live;

const ID: Uuid = Uuid::from_u128(77);

/// One of which nothing is there yet.
async fn begin(live: &Live) {
    let store = &live.world.store;
    let host = store.hosts().await.unwrap().remove(0);
    let os_template: Volid = "local:vztmpl/debian.tar.zst".parse().unwrap();
    let now = RealClock.now();
    let one = Prepared {
        id: PreparedId(ID),
        spot: Spot {
            host: host.id,
            node: "pve1".parse().unwrap(),
            storage: "local".parse().unwrap(),
        },
        base: Base::of(os_template, 1 << 27, ["curl".to_owned()]),
        disk_gib: 4,
        identity: ContainerIdentity {
            vmid: Vmid::try_from(990).unwrap(),
            mark: Mark {
                installation: store.installation(),
                app: AppId(ID),
                nonce: 77,
            },
            net0_mac: Mac::with_pve_prefix([7, 7, 7]),
            rootfs_volid: None,
        },
        stage: Stage::Creating,
        recorded_at: now,
        stage_at: now,
        used_at: None,
    };
    store.record_prepared(&one).await.unwrap();
}

pub(super) async fn dropped(live: &Live) {
    let none = live.send("GET", "/api/templates", "").await;
    assert_eq!(none.body, json!({ "templates": [] }));
    begin(live).await;
    let listed = live.send("GET", "/api/templates", "").await;
    let one = &listed.body["templates"][0];
    let told = [&one["host"], &one["node"], &one["stage"]];
    assert_eq!(told, [&json!("lab"), &json!("pve1"), &json!("creating")]);
    assert_eq!((&one["vmid"], &one["linked"]), (&json!(990), &json!(0)));
    assert_eq!(one["packages"], json!(["curl"]));
    let at = format!("/api/templates/{ID}");
    let dropped = live.send("DELETE", &at, "").await;
    assert_eq!(dropped.status, 204, "{}", dropped.body);
    let listed = live.send("GET", "/api/templates", "").await;
    assert_eq!(listed.body["templates"][0]["stage"], "leaving");
    // Nothing has its number, so there is nothing to forget: it goes by itself.
    let kept = live.send("DELETE", &format!("{at}?forget=true"), "").await;
    assert_eq!((kept.status.as_u16(), kept.code()), (422, "invalid_value"));
    let unknown = format!("/api/templates/{}", Uuid::from_u128(78));
    let unknown = live.send("DELETE", &unknown, "").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code()),
        (404, "not_found")
    );
}
