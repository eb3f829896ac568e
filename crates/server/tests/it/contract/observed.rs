//! What the contract says of resources that were observed.

use proximity_engine::reconcile::Pass;
use serde_json::json;

use crate::support::live::Live;

/// The lab's node as it was recorded, and what it was.
pub(super) async fn resources(live: &Live) {
    let reconciler = live.world.engine.reconciler();
    reconciler.pass(&Pass::Work).await.unwrap();
    let recorded = reconciler.record_resources().await.unwrap();
    assert!(recorded.written > 0, "{recorded:?}");
    let list = "/api/resources?host=lab&kind=node&status=online";
    let list = live.send("GET", list, "").await;
    assert_eq!(list.body["total"], 1, "{}", list.body);
    let node = &list.body["resources"][0];
    assert_eq!(
        (&node["key"], &node["host"]),
        (&json!("pve1"), &json!("lab"))
    );
    let (id, since) = (&node["id"], &node["changed_at"]);
    let of = format!("/api/resources/{}", id.as_str().unwrap());
    let since = since.as_str().unwrap();
    let shown = live.send("GET", &of, "").await;
    assert_eq!(shown.body["state"]["status"], "online", "{}", shown.body);
    let history = live.send("GET", &format!("{of}/history"), "").await;
    let first = &history.body["snapshots"][0];
    assert_eq!(first["change"], "discovered", "{}", history.body);
    assert!(first["changes"].is_null() && history.body["next"].is_null());
    let then = live.send("GET", &format!("{of}/at?time={since}"), "").await;
    assert_eq!(then.body["state"], shown.body["state"], "{}", then.body);
    let same = live
        .send("GET", &format!("{of}/diff?from={since}"), "")
        .await;
    assert_eq!(same.body["changes"], json!([]), "{}", same.body);
    let page = live.send("GET", "/api/resources?limit=1", "").await;
    let next = page.body["next"].as_str().unwrap();
    let next = format!("/api/resources?limit=1&after={next}");
    let next = live.send("GET", &next, "").await;
    assert_ne!(next.body["resources"], page.body["resources"]);
    for (path, status, code) in [
        ("/api/resources/x".to_owned(), 404, "resource_not_found"),
        (
            format!("{of}/at?time=2001-01-01T00:00:00Z"),
            404,
            "resource_not_found",
        ),
        ("/api/resources?kind=lxc".to_owned(), 422, "invalid_value"),
        ("/api/resources?host=x".to_owned(), 404, "host_not_found"),
    ] {
        let refused = live.send("GET", &path, "").await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, (status, code), "{path}");
    }
    let theirs = live.send_as(Some("reader"), "GET", "/api/resources", "");
    assert_eq!(theirs.await.status, 403, "they are everybody's");
}
