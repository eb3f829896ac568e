//! What the contract says of commands inside containers, and of stacks.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::applies::{begun, document, ended};
use crate::support::live::Live;

const RUN: &str = "/api/apps/web/run";
const EXEC: &str = "/api/apps/web/exec";
const STACK: &str = "/api/stacks/shop/action";

/// What is told of a program, event by event.
async fn told(live: &Live, argv: &[&str], stdin: Option<&str>) -> Vec<Value> {
    let mut body = json!({ "argv": argv, "timeout_s": 30 });
    if let Some(stdin) = stdin {
        body["stdin"] = json!(stdin);
    }
    let request = Request::builder()
        .method("POST")
        .uri(EXEC)
        .header("content-type", "application/json")
        .header("authorization", "Bearer all");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let answer = live.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let blocks = text.split("\n\n");
    let events = blocks.filter_map(|block| block.strip_prefix("data: "));
    events
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

/// Both operations about it once; `web` runs.
pub(super) async fn entered(live: &Live) {
    let looked = live.send("POST", RUN, r#"{"command":"memory"}"#).await;
    assert_eq!(looked.status, 200, "{}", looked.body);
    assert_eq!(looked.body["exit_code"], 0, "{}", looked.body);
    let output = looked.body["output"].as_str().unwrap();
    assert!(output.contains("Mem:"), "{output}");
    let ran = live.send("POST", EXEC, r#"{"argv":["true"]}"#).await;
    assert_eq!(ran.status, 200);
    let hello = json!({ "kind": "stdout", "data": "aGVsbG8K" });
    let done = json!({ "kind": "ended", "exit_code": 0, "truncated": false });
    assert_eq!(
        told(live, &["echo", "hello"], None).await,
        [hello.clone(), done.clone()]
    );
    assert_eq!(told(live, &["cat"], Some("aGVsbG8K")).await, [hello, done]);
    let failed = json!({ "kind": "ended", "exit_code": 1, "truncated": false });
    assert_eq!(told(live, &["false"], None).await, [failed]);
    for (path, body) in [
        (RUN, json!({ "command": "config" })),
        (RUN, json!({ "command": "disk", "lines": 5 })),
        (RUN, json!({ "command": "logs", "unit": "a;reboot" })),
        (EXEC, json!({ "argv": [] })),
        (EXEC, json!({ "argv": ["A=b"] })),
        (EXEC, json!({ "argv": ["cat"], "stdin": "not base64" })),
        (EXEC, json!({ "argv": ["cat"], "timeout_s": 0 })),
    ] {
        let refused = live.send("POST", path, &body.to_string()).await;
        let said = (refused.status.as_u16(), refused.code());
        assert_eq!(said, (422, "invalid_value"), "{body}: {}", refused.body);
    }
    let operator = Some("operator");
    let may = live
        .send_as(operator, "POST", RUN, r#"{"command":"logs"}"#)
        .await;
    assert_eq!(may.status, 200, "{}", may.body);
    let may_not = live
        .send_as(operator, "POST", EXEC, r#"{"argv":["true"]}"#)
        .await;
    assert_eq!(may_not.status, 403);
    assert!(
        may_not.body["error"]["message"]
            .to_string()
            .contains("`exec`")
    );
}

/// All operations about stacks once; `web` is of one, and runs afterwards.
pub(super) async fn stacked(live: &Live) {
    let apply = begun(live, &document("web", ", host: lab, stack: shop")).await;
    assert_eq!(ended(live, &apply).await["state"], "done");
    let list = live.send("GET", "/api/stacks", "").await;
    let shown = live.send("GET", "/api/stacks/shop", "").await;
    assert_eq!(list.body["stacks"], json!([shown.body]));
    assert_eq!(shown.body["apps"][0]["hostname"], "web");
    assert_eq!(shown.body["apps"][0]["status"], "running");
    let hidden = live
        .send_as(Some("stranger"), "GET", "/api/stacks", "")
        .await;
    assert_eq!(hidden.body, json!({ "stacks": [] }));
    for (action, part, status) in [("stop", "stop", "stopped"), ("start", "start", "running")] {
        let body = json!({ "action": action });
        let first = live.send("POST", STACK, &body.to_string()).await;
        assert_eq!(first.body["state"], "going", "{}", first.body);
        let operation = &first.body["apps"][0][part]["operation_id"];
        let id = operation.as_str().unwrap().parse().unwrap();
        live.world.settled(id).await.unwrap();
        let body = json!({ "action": action, "run": first.body["run"] });
        let over = live.send("POST", STACK, &body.to_string()).await;
        assert_eq!(over.body["state"], "done", "{}", over.body);
        assert_eq!(over.body["apps"][0][part]["state"], "done");
        let app = live.send("GET", "/api/apps/web", "").await;
        assert_eq!(app.body["status"], status);
    }
    for (path, body, status, code) in [
        (
            "/api/stacks/none/action",
            json!({ "action": "stop" }),
            404,
            "not_found",
        ),
        (
            STACK,
            json!({ "action": "stop", "run": "x" }),
            422,
            "invalid_value",
        ),
    ] {
        let refused = live.send("POST", path, &body.to_string()).await;
        let said = (refused.status.as_u16(), refused.code());
        assert_eq!(said, (status, code), "{}", refused.body);
    }
}
