//! Every call that changes accounts, with every parameter it has; and the recorded exchanges, through the same calls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use proximity_domain::accounts::{AccountMark, OwnPool, OwnRole, OwnToken, OwnUser};
use proximity_domain::ids::InstallationId;
use proximity_domain::names::{AccountName, ApiTokenName, PoolName, RoleName};
use proximity_pve::Error;
use proximity_pve::accounts::{AccountClient, GrantTo};
use proximity_pve::transport::in_process::InProcess;
use proximity_pve::transport::{Request, TransportError};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::recordings::{Outcome, Step, rows, steps};
use crate::world::{SetClock, host, warrant};

fn mark() -> AccountMark {
    AccountMark(InstallationId(host().0))
}

fn user() -> AccountName {
    "proximity-operate-00000001@pve".parse().unwrap()
}

fn token() -> ApiTokenName {
    format!("{}!proximity", user()).parse().unwrap()
}

fn role() -> RoleName {
    format!("ProximityOperate-{}", mark().short())
        .parse()
        .unwrap()
}

fn own_user(user: &AccountName) -> OwnUser {
    mark().own_user(user, Some(&mark().to_string())).unwrap()
}

fn own_token(token: &ApiTokenName) -> OwnToken {
    mark().own_token(token, Some(&mark().to_string())).unwrap()
}

fn own_pool(pool: &PoolName) -> OwnPool {
    mark().own_pool(pool, Some(&mark().to_string())).unwrap()
}

fn own_role() -> OwnRole {
    mark().own_role(&role()).unwrap()
}

fn privileges() -> BTreeSet<String> {
    ["VM.Audit", "VM.PowerMgmt"].map(str::to_owned).into()
}

fn client(transport: InProcess) -> AccountClient {
    AccountClient::in_process(transport, Arc::new(SetClock::default()), host(), warrant())
}

/// Sends every call there is, with every parameter it has, and returns the requests.
pub(crate) async fn all_requests() -> Vec<Request> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = sent.clone();
    let person = client(InProcess::new(move |request| {
        log.lock().unwrap().push(request);
        async { Err(TransportError::NotSent("only recorded".to_owned())) }
    }));
    send_all(&person).await;
    drop(person);
    Arc::try_unwrap(sent).unwrap().into_inner().unwrap()
}

/// None of them gets an answer.
async fn send_all(client: &AccountClient) {
    let grant = GrantTo {
        path: "/pool/apps".to_owned(),
        role: role(),
        user: Some(user()),
        token: Some(token()),
        propagates: true,
    };
    let pool = "apps".parse().unwrap();
    let failed = [
        client.roles().await.is_err(),
        client.role(&role()).await.is_err(),
        client.users().await.is_err(),
        client.tokens(&user()).await.is_err(),
        client.grants().await.is_err(),
        client.realms().await.is_err(),
        client.create_role(&role(), &privileges()).await.is_err(),
        client
            .change_role(&own_role(), &privileges())
            .await
            .is_err(),
        client.create_user(&user(), mark()).await.is_err(),
        client.enable_user(&own_user(&user())).await.is_err(),
        client.create_token(&token(), mark()).await.is_err(),
        client.grant(&grant).await.is_err(),
        client.revoke(&grant).await.is_err(),
        client.create_pool(&pool, mark()).await.is_err(),
        client.delete_token(own_token(&token())).await.is_err(),
        client.delete_user(own_user(&user())).await.is_err(),
        client.delete_role(own_role()).await.is_err(),
        client.delete_pool(own_pool(&pool)).await.is_err(),
    ];
    assert!(failed.iter().all(|failed| *failed));
}

fn client_of(step: &Step, sent: &Arc<Mutex<Option<Request>>>) -> AccountClient {
    let (answer, sent) = (step.answer.clone(), sent.clone());
    client(InProcess::new(move |request| {
        *sent.lock().unwrap() = Some(request);
        let answer = answer.clone();
        async move { Ok(answer) }
    }))
}

fn nothing((): ()) -> Value {
    Value::Null
}

/// The call of a step, if it is one of these; with the recorded parameters that it says too.
async fn replay(step: &Step, client: &AccountClient) -> Option<(Outcome, &'static [&'static str])> {
    let segments: Vec<&str> = step.segments.iter().map(String::as_str).collect();
    let given = |name: &str| step.given.get(name).cloned();
    Some(match (step.method.as_str(), segments.as_slice()) {
        ("GET", ["access", "roles"]) => (client.roles().await.map(|r| rows(&r)), &[]),
        ("GET", ["access", "roles", role]) => {
            let held = client.role(&role.parse().ok()?).await;
            (held.map(|p| Value::from(p.len())), &[])
        }
        ("GET", ["access", "users"]) => (client.users().await.map(|u| rows(&u)), &[]),
        ("GET", ["access", "users", user, "token"]) => {
            let all = client.tokens(&user.parse().ok()?).await;
            (all.map(|t| rows(&t)), &[])
        }
        ("GET", ["access", "acl"]) => (client.grants().await.map(|g| rows(&g)), &[]),
        ("GET", ["access", "domains"]) => (client.realms().await.map(|r| rows(&r)), &[]),
        ("POST", ["access", "roles"]) => {
            let listed = given("privs").unwrap_or_default();
            let privileges = listed.split(' ').map(str::to_owned).collect();
            let made = client
                .create_role(&given("roleid")?.parse().ok()?, &privileges)
                .await;
            (made.map(nothing), &["roleid"])
        }
        ("POST", ["access", "users"]) => {
            let made = client
                .create_user(&given("userid")?.parse().ok()?, mark())
                .await;
            (made.map(nothing), &["userid"])
        }
        ("POST", ["access", "users", user, "token", name]) => {
            let token = format!("{user}!{name}").parse().ok()?;
            let made = client.create_token(&token, mark()).await;
            (
                made.map(|secret| secret.expose_secret().into()),
                &["privsep"],
            )
        }
        ("PUT", ["access", "acl"]) => return grant(step, client).await,
        ("DELETE", ["access", "users", user]) => {
            let gone = client.delete_user(own_user(&user.parse().ok()?)).await;
            (gone.map(nothing), &[])
        }
        ("DELETE", ["access", "users", user, "token", name]) => {
            let token = format!("{user}!{name}").parse().ok()?;
            let gone = client.delete_token(own_token(&token)).await;
            (gone.map(nothing), &[])
        }
        _ => return None,
    })
}

async fn grant(step: &Step, client: &AccountClient) -> Option<(Outcome, &'static [&'static str])> {
    let given = |name: &str| step.given.get(name).cloned();
    let grant = GrantTo {
        path: given("path")?,
        role: match given("roles")?.parse() {
            Ok(role) => role,
            // One of PVE's own, which the type does not take.
            Err(_) => return None,
        },
        user: given("users").and_then(|user| user.parse().ok()),
        token: given("tokens").and_then(|token| token.parse().ok()),
        propagates: true,
    };
    let done = client.grant(&grant).await;
    Some((done.map(nothing), &["path", "roles", "users", "tokens"]))
}

fn decoded(path: &str) -> Vec<String> {
    let parts = path.split('/').skip(1);
    parts
        .map(|part| part.replace("%40", "@").replace("%21", "!"))
        .collect()
}

#[tokio::test]
async fn recorded_changes_of_accounts_are_made_and_understood_alike() {
    let (mut good, mut refused) = (0, 0);
    for step in steps() {
        let sent = Arc::default();
        let client = client_of(&step, &sent);
        let Some((outcome, said)) = replay(&step, &client).await else {
            continue;
        };
        let request = sent.lock().unwrap().take().expect(&step.id);
        assert_eq!(request.method.as_str(), step.method, "{}", step.id);
        assert_eq!(decoded(&request.path), step.segments, "{}", step.id);
        for name in said {
            let of = |n: &str| {
                request
                    .params
                    .iter()
                    .find(|(k, _)| k == n)
                    .map(|(_, v)| v.clone())
            };
            assert_eq!(
                of(name),
                step.given.get(*name).cloned(),
                "{}: {name}",
                step.id
            );
        }
        match (outcome, step.answer.status) {
            (Ok(value), 200) => {
                good += 1;
                check(&step, &value);
            }
            (
                Err(Error::Refused {
                    message, errors, ..
                }),
                status,
            ) if status != 200 => {
                refused += 1;
                let told = errors.values().any(|e| !e.is_empty()) || step.answer.reason == message;
                assert!(told, "{}: {message:?} {errors:?}", step.id);
            }
            (outcome, status) => panic!("{}: {status} gave {outcome:?}", step.id),
        }
    }
    assert!(good >= 15 && refused >= 8, "{good} good, {refused} refused");
}

/// A read gives as many rows as were recorded; a change gives what it is for.
fn check(step: &Step, value: &Value) {
    let body: Value = serde_json::from_slice(&step.answer.body).unwrap();
    let data = &body["data"];
    let expected = match data {
        Value::Array(rows) => Value::from(rows.len()),
        Value::Object(fields) if step.method == "GET" => Value::from(fields.len()),
        Value::Object(fields) => fields["value"].clone(),
        _ => Value::Null,
    };
    assert_eq!(*value, expected, "{}", step.id);
}

#[tokio::test]
async fn a_tokens_secret_is_in_no_text() {
    let transport = InProcess::new(|_| async {
        let body = br#"{"data":{"value":"canary","full-tokenid":"a@pve!t1","info":{}}}"#;
        Ok(proximity_pve::transport::RawResponse {
            status: 200,
            reason: "OK".to_owned(),
            body: body.as_slice().into(),
        })
    });
    let made = client(transport)
        .create_token(&token(), mark())
        .await
        .unwrap();
    assert_eq!(made.expose_secret(), "canary");
    assert!(!format!("{made:?}").contains("canary"));
}
