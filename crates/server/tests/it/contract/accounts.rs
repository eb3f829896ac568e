//! Accounts and sessions, each operation once with success.

use serde_json::{Value, json};

use crate::support::live::Live;
use crate::support::{Answer, exchange};

const PASSWORD: &str = "correct horse battery";

async fn by_cookie(live: &Live, cookie: &str, csrf: &str, asked: (&str, &str, &str)) -> Answer {
    let (method, path, body) = asked;
    let headers = [
        ("host", "p.lan"),
        ("origin", "https://p.lan"),
        ("cookie", cookie),
        ("x-csrf-token", csrf),
    ];
    exchange(&live.router, &live.contract, method, path, body, &headers).await
}

pub(super) async fn signed_in(live: &Live) {
    let ann = json!({ "name": "ann", "role": "viewer" }).to_string();
    let added = live.send("POST", "/api/accounts", &ann).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let link = live.send("POST", "/api/accounts/ann/link", "").await;
    assert_eq!(link.status, 200, "{}", link.body);
    let set_up = json!({ "token": link.body["token"], "password": PASSWORD }).to_string();
    let set_up = live.send_as(None, "POST", "/api/setup", &set_up).await;
    assert_eq!(set_up.status, 200, "{}", set_up.body);
    let role = json!({ "role": "operator" }).to_string();
    let changed = live.send("PATCH", "/api/accounts/ann", &role).await;
    assert_eq!(changed.body["role"], "operator", "{}", changed.body);
    let all = live.send("GET", "/api/accounts", "").await;
    assert_eq!(all.body["accounts"].as_array().map(Vec::len), Some(1));

    let sign_in = json!({ "account": "ann", "password": PASSWORD }).to_string();
    let answer = live.send_as(None, "POST", "/api/session", &sign_in).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let csrf = answer.body["csrf_token"].as_str().unwrap().to_owned();
    let ask = async |method, path, body: &Value| {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        by_cookie(live, &cookie, &csrf, (method, path, body.as_str())).await
    };
    let who = ask("GET", "/api/session", &Value::Null).await;
    assert_eq!(who.body, answer.body);
    let token = live.send("GET", "/api/session", "").await;
    assert_eq!(token.body["scopes"], json!(["*"]), "{}", token.body);
    let password = json!({ "current": PASSWORD, "password": "another long one" });
    let changed = ask("PUT", "/api/session/password", &password).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    let sessions = live.send("GET", "/api/sessions", "").await;
    let id = sessions.body["sessions"][0]["id"].as_str().unwrap();
    assert_eq!(who.body["session_id"], id);
    let out = ask("DELETE", "/api/session", &Value::Null).await;
    assert_eq!(out.status, 204, "{}", out.body);

    let sign_in = json!({ "account": "ann", "password": "another long one" }).to_string();
    let again = live.send_as(None, "POST", "/api/session", &sign_in).await;
    let id = again.body["session_id"].as_str().unwrap();
    let ended = live
        .send("DELETE", &format!("/api/sessions/{id}"), "")
        .await;
    assert_eq!(ended.status, 204, "{}", ended.body);
    let removed = live.send("DELETE", "/api/accounts/ann", "").await;
    assert_eq!(removed.status, 204, "{}", removed.body);
}
