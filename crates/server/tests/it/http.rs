//! The API's manners: who is let in, and what an error looks like, whatever went wrong.
use serde_json::json;

use crate::support::{World, world};

const PROTECTED: [(&str, &str); 54] = [
    ("GET", "/api/apps/"),
    ("POST", "/api/apps/"),
    ("GET", "/api/apps/web"),
    ("POST", "/api/apps/web/action"),
    ("GET", "/api/apps/web/removal"),
    ("GET", "/api/apps/web/logs"),
    ("GET", "/api/catalog/"),
    ("GET", "/api/events"),
    ("GET", "/metrics"),
    ("GET", "/api/operations"),
    ("GET", "/api/operations/x"),
    ("POST", "/api/operations/x/retry"),
    ("POST", "/api/operations/x/abandon"),
    ("POST", "/api/operations/x/cancel"),
    ("GET", "/api/proxmox/hosts"),
    ("POST", "/api/proxmox/hosts"),
    ("POST", "/api/proxmox/hosts/probe"),
    ("POST", "/api/proxmox/hosts/init"),
    ("POST", "/api/proxmox/hosts/init/plan"),
    ("POST", "/api/proxmox/hosts/x/uninit"),
    ("POST", "/api/proxmox/hosts/x/uninit/plan"),
    ("DELETE", "/api/proxmox/hosts/x"),
    ("PATCH", "/api/proxmox/hosts/x"),
    ("DELETE", "/api/proxmox/hosts/x/nodes/y"),
    ("GET", "/api/proxmox/nodes"),
    ("GET", "/api/doctor"),
    ("POST", "/api/plans"),
    ("GET", "/api/plans/x"),
    ("POST", "/api/plans/x/reject"),
    ("GET", "/api/rejected"),
    ("DELETE", "/api/rejected/x"),
    ("GET", "/api/export"),
    ("GET", "/api/apps/web/desired"),
    ("POST", "/api/apps/web/rollback"),
    ("POST", "/api/rollback"),
    ("GET", "/api/applies"),
    ("POST", "/api/applies"),
    ("GET", "/api/applies/x"),
    ("POST", "/api/applies/x/stop"),
    ("GET", "/api/secrets"),
    ("PUT", "/api/secrets/x"),
    ("DELETE", "/api/secrets/x"),
    ("GET", "/api/sources"),
    ("POST", "/api/sources"),
    ("GET", "/api/sources/x"),
    ("DELETE", "/api/sources/x"),
    ("POST", "/api/sources/x/sync"),
    ("POST", "/api/sources/x/plan"),
    ("GET", "/api/templates"),
    ("DELETE", "/api/templates/x"),
    ("GET", "/api/ports"),
    ("POST", "/api/ports/free"),
    ("GET", "/api/notify/channels"),
    ("POST", "/api/notify/test"),
];

#[tokio::test]
async fn nothing_but_health_is_told_to_strangers() {
    let world = world().await;
    for (method, path) in PROTECTED {
        for headers in [
            &[][..],
            &[("authorization", "Bearer wrong")],
            &[("authorization", "Basic all")],
        ] {
            let answer = world.send_with(method, path, "", headers).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.code(), "unauthorized");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    let health = world.send_with("GET", "/api/health", "", &[]).await;
    assert_eq!(health.status, 503, "there is no gateway");
    assert_eq!(health.body["status"], "degraded");
    assert_eq!(health.body["gateway"], "failing");
    let told = world.send("GET", "/api/health", "").await;
    assert!(
        told.body["gateway"]
            .as_str()
            .unwrap()
            .contains("gateway.sock")
    );
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_no_more() {
    let world = world().await;
    world.add_token("reader", &["read"]).await;
    world.add_token("operator", &["read", "operate"]).await;
    let app = r#"{"catalog_id":"nginx","hostname":"web"}"#;
    let host =
        r#"{"label":"x","url":"https://192.0.2.1:8006","token_id":"a@pam!b","token_secret":"s"}"#;
    let as_reader = &[("authorization", "Bearer reader")][..];
    let as_operator = &[("authorization", "Bearer operator")][..];
    assert_eq!(
        world
            .send_with("GET", "/api/apps/", "", as_reader)
            .await
            .status,
        200
    );
    let refused = world.send_with("POST", "/api/apps/", app, as_reader).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (403, "forbidden")
    );
    // The operator gets further: to the engine, which has no host.
    let no_host = world
        .send_with("POST", "/api/apps/", app, as_operator)
        .await;
    assert_eq!((no_host.status.as_u16(), no_host.code()), (404, "no_host"));
    for path in ["/api/proxmox/hosts", "/api/proxmox/hosts/probe"] {
        let refused = world.send_with("POST", path, host, as_operator).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (403, "forbidden"),
            "{path}"
        );
    }
    let refused = world
        .send_with("DELETE", "/api/proxmox/hosts/x", "", as_operator)
        .await;
    assert_eq!(refused.status, 403);
    // Ports that rest are nobody's: who looks after some apps does not end their rest for all.
    world.add_token("keeper", &["hosts"]).await;
    let as_keeper = &[("authorization", "Bearer keeper")][..];
    let mut statuses = Vec::new();
    for who in [as_operator, as_keeper] {
        let free = world.send_with("POST", "/api/ports/free", "{}", who).await;
        statuses.push(free.status.as_u16());
    }
    assert_eq!(statuses, [403, 200]);
}

#[tokio::test]
async fn documents_may_be_more_than_any_other_body() {
    let world = world().await;
    let body = |bytes: usize| {
        let text = format!("# {}\n", "x".repeat(bytes));
        let documents = json!([{ "name": "a.yaml", "text": text }]);
        json!({ "documents": documents, "prune": false }).to_string()
    };
    // What is read is looked at: there is no cluster to plan for.
    for (bytes, status, code) in [(3 << 19, 404, "no_host"), (33 << 20, 413, "body_too_large")] {
        let refused = world.send("POST", "/api/plans", &body(bytes)).await;
        assert_eq!(refused.status, status, "{}", refused.body);
        assert_eq!(refused.body["error"]["code"], code);
    }
}

#[tokio::test]
async fn every_error_is_the_same_envelope() {
    let world = world().await;
    let large = format!("{{\"hostname\":\"{}\"}}", "x".repeat(2 << 20));
    let bad_app = r#"{"catalog_id":"nginx","hostname":"web","cpu":1}"#;
    let cases = [
        ("GET", "/nope", "", 404, "no_such_path"),
        ("GET", "/api/nope", "", 404, "no_such_path"),
        ("PUT", "/api/apps/", "", 405, "method_not_allowed"),
        ("DELETE", "/api/health", "", 405, "method_not_allowed"),
        ("POST", "/api/apps/", "{", 400, "bad_json"),
        ("POST", "/api/apps/", "[]", 400, "bad_field"),
        ("POST", "/api/apps/", bad_app, 400, "unknown_field"),
        ("POST", "/api/apps/", &large, 413, "body_too_large"),
        ("POST", "/api/apps/", "", 415, "not_json"),
        ("GET", "/api/apps/?pages=2", "", 400, "bad_query"),
        ("GET", "/api/apps/web", "", 404, "app_not_found"),
        ("GET", "/api/apps/web/logs", "", 404, "app_not_found"),
        ("GET", "/api/apps/%ff", "", 400, "bad_path"),
        (
            "DELETE",
            "/api/proxmox/hosts/x/nodes/%ff",
            "",
            400,
            "bad_path",
        ),
        ("GET", "/api/catalog/nope", "", 404, "catalog_unknown"),
        (
            "GET",
            "/api/operations/nope",
            "",
            404,
            "operation_not_found",
        ),
        (
            "POST",
            "/api/operations/nope/retry",
            "",
            404,
            "operation_not_found",
        ),
        ("GET", "/api/proxmox/hosts/nope", "", 404, "host_not_found"),
        (
            "DELETE",
            "/api/proxmox/hosts/nope",
            "",
            404,
            "host_not_found",
        ),
    ];
    for case in cases {
        assert_envelope(&world, case).await;
    }
}

#[tokio::test]
async fn a_search_has_bounds_and_no_nul() {
    let world = world().await;
    for path in [
        "/api/apps/?search=",
        "/api/operations?search=",
        "/api/catalog/?q=",
    ] {
        let longest = world
            .send("GET", &format!("{path}{}", "%C3%A4".repeat(200)), "")
            .await;
        assert_eq!(longest.status, 200, "{path}: {}", longest.body);
        for wrong in ["x".repeat(201), "a%00b".to_owned()] {
            let answer = world.send("GET", &format!("{path}{wrong}"), "").await;
            let told = (answer.status.as_u16(), answer.code());
            assert_eq!(told, (422, "invalid_value"), "{path}{wrong}");
        }
    }
}

#[tokio::test]
async fn nothing_is_called_by_a_name_with_a_nul() {
    let world = world().await;
    for (method, path, code) in [
        ("GET", "/api/apps/a%00b", "app_not_found"),
        ("GET", "/api/apps/a%00b/logs", "app_not_found"),
        ("GET", "/api/operations?app=a%00b", "app_not_found"),
        ("GET", "/api/operations/a%00b", "operation_not_found"),
        ("GET", "/api/events?app=a%00b", "app_not_found"),
        ("GET", "/api/proxmox/hosts/a%00b", "host_not_found"),
        ("DELETE", "/api/proxmox/hosts/a%00b", "host_not_found"),
        (
            "DELETE",
            "/api/proxmox/hosts/a%00b/nodes/x",
            "host_not_found",
        ),
    ] {
        assert_envelope(&world, (method, path, "", 404, code)).await;
    }
}

#[tokio::test]
async fn errors_about_hosts_and_nodes_name_what_is_not_there() {
    let world = world().await;
    let cases = [
        ("GET", "/api/proxmox/nodes", "", 404, "no_host"),
        (
            "GET",
            "/api/proxmox/nodes?host=nope",
            "",
            404,
            "host_not_found",
        ),
        ("GET", "/api/proxmox/nodes?node=x", "", 400, "bad_query"),
        ("GET", "/api/doctor?host=nope", "", 404, "host_not_found"),
        ("GET", "/api/doctor?node=x", "", 400, "bad_query"),
        ("GET", "/api/ports?port=x", "", 400, "bad_query"),
        (
            "POST",
            "/api/ports/free",
            r#"{"port":8100}"#,
            404,
            "not_found",
        ),
        (
            "POST",
            "/api/ports/free",
            r#"{"now":true}"#,
            400,
            "unknown_field",
        ),
        (
            "PATCH",
            "/api/proxmox/hosts/nope",
            r#"{"vmids":null}"#,
            404,
            "host_not_found",
        ),
        (
            "PATCH",
            "/api/proxmox/hosts/nope",
            r#"{"label":"x"}"#,
            400,
            "unknown_field",
        ),
        (
            "DELETE",
            "/api/proxmox/hosts/nope/nodes/pve1",
            "",
            404,
            "host_not_found",
        ),
    ];
    for case in cases {
        assert_envelope(&world, case).await;
    }
}

async fn assert_envelope(world: &World, case: (&str, &str, &str, u16, &str)) {
    let (method, path, body, status, code) = case;
    let answer = world.send(method, path, body).await;
    let short = &body[..body.len().min(50)];
    assert_eq!(answer.status, status, "{method} {path} {short}");
    assert_eq!(answer.code(), code, "{method} {path} {short}");
    let error = &answer.body["error"];
    for part in ["message", "hint"] {
        assert!(
            error[part].as_str().is_some_and(|t| !t.is_empty()),
            "{method} {path}: {part}"
        );
    }
    assert!(error["fields"].is_object(), "{method} {path}");
    assert_eq!(
        answer.headers["content-type"], "application/json",
        "{method} {path}"
    );
}

#[tokio::test]
async fn values_outside_of_their_bounds_are_refused_by_name() {
    let world = world().await;
    for (path, field) in [
        ("/api/apps/?limit=0", "limit"),
        ("/api/apps/?limit=201", "limit"),
        ("/api/apps/?after=x", "after"),
        ("/api/apps/?status=flying", "status"),
        ("/api/operations?state=lost", "state"),
        ("/api/operations?kind=explode", "kind"),
        ("/api/operations?limit=5000", "limit"),
    ] {
        let answer = world.send("GET", path, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (422, "invalid_value")
        );
        let fields = &answer.body["error"]["fields"];
        assert!(fields[field].is_string(), "{path}: {fields}");
    }
}

#[tokio::test]
async fn answers_carry_an_id_and_headers_that_keep_them_where_they_belong() {
    let world = world().await;
    for path in ["/api/apps/", "/api/nope", "/api/health"] {
        let answer = world.send("GET", path, "").await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(
            answer.headers["x-content-type-options"], "nosniff",
            "{path}"
        );
        assert_eq!(answer.headers["x-frame-options"], "DENY", "{path}");
        assert!(!answer.headers["x-request-id"].is_empty(), "{path}");
    }
    let sent = [
        ("authorization", "Bearer all"),
        ("x-request-id", "deploy-7"),
    ];
    let answer = world.send_with("GET", "/api/apps/", "", &sent).await;
    assert_eq!(answer.headers["x-request-id"], "deploy-7");
    let odd = [
        ("authorization", "Bearer all"),
        ("x-request-id", "a b<script>"),
    ];
    let answer = world.send_with("GET", "/api/apps/", "", &odd).await;
    assert_ne!(answer.headers["x-request-id"], "a b<script>");
}

#[tokio::test]
async fn a_slash_at_the_end_makes_no_difference() {
    let world = world().await;
    for (with, without) in [
        ("/api/apps/", "/api/apps"),
        ("/api/catalog/?", "/api/catalog?"),
        ("/api/operations/?limit=3", "/api/operations?limit=3"),
        ("/api/catalog/nginx/", "/api/catalog/nginx"),
        ("/api/health/", "/api/health"),
    ] {
        let (long, short) = (
            world.send("GET", with, "").await,
            world.send("GET", without, "").await,
        );
        assert_eq!(long.status, short.status, "{with}");
        assert_ne!(long.status, 404, "{with}");
        assert_eq!(long.body, short.body, "{with}");
    }
}

#[tokio::test]
async fn every_path_takes_the_methods_of_the_document_and_no_other() {
    let world = world().await;
    let document = world.send_with("GET", "/api/openapi.json", "", &[]).await;
    let paths = document.body["paths"].as_object().unwrap();
    for (path, item) in paths {
        let path = path.replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let documented = item.get(method.to_lowercase()).is_some();
            let answer = world.send(method, &path, "").await;
            let taken = answer.status != 405 && answer.code() != "no_such_path";
            assert_eq!(taken, documented, "{method} {path}: {}", answer.body);
        }
        let head = world.send("HEAD", &path, "").await;
        assert_eq!(head.status != 405, item.get("get").is_some(), "HEAD {path}");
        assert!(head.body.is_null(), "HEAD {path}");
        let options = world.send("OPTIONS", &path, "").await;
        assert_eq!(options.status, 405, "OPTIONS {path}");
        assert!(!options.headers["allow"].is_empty(), "OPTIONS {path}");
    }
}

#[tokio::test]
async fn lists_are_empty_but_there() {
    let world = world().await;
    let apps = world.send("GET", "/api/apps", "").await;
    assert_eq!(
        apps.body,
        serde_json::json!({ "apps": [], "total": 0, "next": null })
    );
    let hosts = world.send("GET", "/api/proxmox/hosts", "").await;
    assert_eq!(hosts.body, serde_json::json!({ "hosts": [] }));
    let operations = world.send("GET", "/api/operations", "").await;
    assert_eq!(
        operations.body,
        serde_json::json!({ "operations": [], "next": null })
    );
    let catalog = world.send("GET", "/api/catalog/", "").await;
    let entries = catalog.body["entries"].as_array().unwrap();
    let ids: Vec<&str> = entries
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"nginx") && ids.is_sorted(), "{ids:?}");
    let categories = catalog.body["categories"].as_array().unwrap();
    assert!(categories.contains(&"web".into()), "{categories:?}");
    let found = async |query: &str| {
        let list = world
            .send("GET", &format!("/api/catalog/?{query}"), "")
            .await;
        let entries = list.body["entries"].as_array().unwrap().clone();
        let has_nginx = entries.iter().any(|entry| entry["id"] == "nginx");
        (has_nginx, entries.len() < ids.len())
    };
    assert_eq!(found("q=NGINX").await, (true, true));
    assert_eq!(found("q=nothing-like-it").await, (false, true));
    assert_eq!(found("category=web").await, (true, true));
    assert_eq!(found("category=none").await, (false, true));
    let stats = world.send("GET", "/api/stats", "").await;
    assert_eq!(stats.body["total"], 0);
}

#[tokio::test]
async fn wrong_requests_for_apps_name_the_field() {
    let world = world().await;
    let cases = [
        (
            r#"{"catalog_id":"nginx","hostname":"Web_1"}"#,
            422,
            "hostname",
        ),
        (
            r#"{"catalog_id":"No Such","hostname":"web"}"#,
            422,
            "catalog_id",
        ),
        (
            r#"{"catalog_id":"nope","hostname":"web"}"#,
            404,
            "catalog_id",
        ),
    ];
    for (body, status, field) in cases {
        let answer = world.send("POST", "/api/apps/", body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(
            answer.body["error"]["fields"][field].is_string(),
            "{body}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn ports_are_counted_and_one_can_be_asked_about() {
    let world = world().await;
    let list = world.send("GET", "/api/ports?port=8100", "").await;
    assert_eq!(list.status, 200);
    let public = &list.body["public"];
    assert_eq!(
        (&public["used"], &public["resting"]),
        (&0.into(), &0.into())
    );
    let (first, last) = (
        public["first"].as_u64().unwrap(),
        public["last"].as_u64().unwrap(),
    );
    assert_eq!(public["free"], last - first + 1);
    assert_eq!(list.body["asked"]["available"], true);
    assert!(
        list.body["gateway_error"].is_string(),
        "there is no gateway"
    );
    let outside = world.send("GET", "/api/ports?port=22", "").await;
    assert_eq!(outside.body["asked"]["available"], false);
    assert_eq!(outside.body["asked"]["reason"], "it lies in neither range");
    let freed = world.send("POST", "/api/ports/free", "{}").await;
    assert_eq!(freed.body, serde_json::json!({ "freed": [] }));
}
