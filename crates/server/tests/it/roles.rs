//! What each route asks of whom. A route without a row fails here, and so does a row without a route.

use std::collections::BTreeSet;

use proximity_domain::access::Role;
use proximity_server::Scope;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::contract::applies::{begun, document, ended};
use crate::contract::body_for;
use crate::support::live::{Live, live};
use crate::support::{Answer, exchange};

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Nothing.
    Nothing,
    /// That it is known who asks.
    ToBeKnown,
    /// That somebody signed in.
    Session,
    /// This right, about what is nobody's in particular.
    Right(Scope),
    /// This right, about an app, or what belongs to one: `web` is the admin's, `mine` the operator's.
    OfApp(Scope),
}

use Asks::{Nothing, OfApp, Right, Session, ToBeKnown};
use Scope::{Accounts, Destroy, Exec, Hosts, Operate, Read};

#[rustfmt::skip] // one line per route is what makes it a table
const ROUTES: &[(&str, Asks)] = &[
    ("abandon_operation", OfApp(Operate)),
    ("act_on_app", OfApp(Operate)),
    ("act_on_stack", Right(Operate)),
    ("add_account", Right(Accounts)),
    ("add_catalog_source", Right(Hosts)),
    ("add_host", Right(Hosts)),
    ("add_source", Right(Hosts)),
    ("adopt_app", Right(Hosts)),
    ("adopt_apps", Right(Hosts)),
    ("app_desired", OfApp(Read)),
    ("cancel_operation", OfApp(Operate)),
    ("change_account", Right(Accounts)),
    ("change_host", Right(Hosts)),
    ("change_password", Session),
    ("create_app", Right(Operate)),
    ("diff_catalog_source", Right(Hosts)),
    ("discover_containers", Right(Read)),
    ("docs", Nothing),
    ("doctor", Right(Read)),
    ("drop_template", Right(Hosts)),
    ("end_session", ToBeKnown),
    ("exec_in_app", OfApp(Exec)),
    ("export", Right(Read)),
    ("expose_app", OfApp(Operate)),
    ("forget_node", Right(Hosts)),
    ("free_ports", Right(Hosts)),
    ("give_link", Right(Accounts)),
    ("give_up_node", Right(Hosts)),
    ("guard_app", OfApp(Operate)),
    ("init_host", Right(Hosts)),
    ("install_helper", Right(Hosts)),
    ("list_accounts", Right(Accounts)),
    ("list_app_addresses", OfApp(Read)),
    ("list_applies", Right(Read)),
    ("list_apps", Right(Read)),
    ("list_archive", Right(Read)),
    ("list_catalog", Right(Read)),
    ("list_catalog_sources", Right(Hosts)),
    ("list_channels", Right(Read)),
    ("list_events", Right(Read)),
    ("list_hosts", Right(Read)),
    ("list_log", OfApp(Read)),
    ("list_nodes", Right(Read)),
    ("list_operations", Right(Read)),
    ("list_ports", Right(Read)),
    ("list_rejected", Right(Read)),
    ("list_resources", Right(Hosts)),
    ("list_secrets", Right(Hosts)),
    ("list_sessions", ToBeKnown),
    ("list_sources", Right(Hosts)),
    ("list_stacks", Right(Read)),
    ("list_templates", Right(Hosts)),
    ("make_plan", Right(Read)),
    ("nudge_source", Nothing),
    ("openapi", Nothing),
    ("plan_init", Right(Hosts)),
    ("plan_removal", OfApp(Read)),
    ("plan_source", Right(Hosts)),
    ("plan_uninit", Right(Hosts)),
    ("preflight_app", Right(Operate)),
    ("preview_restore", OfApp(Read)),
    ("preview_update", OfApp(Operate)),
    ("probe_host", Right(Hosts)),
    ("reconcile", Right(Hosts)),
    ("reidentify_app", OfApp(Destroy)),
    ("reject_plan", Right(Operate)),
    ("reload_catalog", Right(Hosts)),
    ("remove_account", Right(Accounts)),
    ("remove_catalog_source", Right(Hosts)),
    ("remove_helper", Right(Hosts)),
    ("remove_host", Right(Hosts)),
    ("remove_secret", Right(Hosts)),
    ("remove_source", Right(Hosts)),
    ("resolve_app", OfApp(Operate)),
    ("resource_at", Right(Hosts)),
    ("resource_diff", Right(Hosts)),
    ("resource_history", Right(Hosts)),
    ("restore_keys", OfApp(Operate)),
    ("retry_operation", OfApp(Operate)),
    ("rollback_all", Right(Operate)),
    ("rollback_app", OfApp(Operate)),
    ("run_command", OfApp(Operate)),
    ("run_janitor", Right(Hosts)),
    ("set_host_ssh", Right(Hosts)),
    ("set_secret", Right(Hosts)),
    ("set_up", Nothing),
    ("show_adoption", OfApp(Read)),
    ("show_app", OfApp(Read)),
    ("show_apply", Right(Read)),
    ("show_archived", Right(Read)),
    ("show_catalog_entry", Right(Read)),
    ("show_drift", OfApp(Read)),
    ("show_health", Nothing),
    ("show_host", Right(Read)),
    ("show_metrics", Right(Read)),
    ("show_operation", OfApp(Read)),
    ("show_plan", Right(Read)),
    ("show_resource", Right(Hosts)),
    ("show_root_password", OfApp(Operate)),
    ("show_session", ToBeKnown),
    ("show_source", Right(Hosts)),
    ("show_stack", Right(Read)),
    ("show_stats", Right(Read)),
    ("sign_in", Nothing),
    ("sign_out", Session),
    ("start_apply", Right(Operate)),
    ("stop_apply", Right(Operate)),
    ("sync_source", Right(Hosts)),
    ("take_catalog_source", Right(Hosts)),
    ("test_channels", Right(Hosts)),
    ("trust_certificate", Right(Hosts)),
    ("unexpose_app", OfApp(Operate)),
    ("unguard_app", OfApp(Operate)),
    ("uninit_host", Right(Hosts)),
    ("unreject", Right(Operate)),
    ("update_app", OfApp(Operate)),
    ("verify_audit", Right(Hosts)),
];

/// Whether this role is let through, said once more and by hand: what decides in the product is [`proximity_domain::access`].
fn is_let_through(role: Role, asks: Asks, is_own: bool) -> bool {
    match (role, asks) {
        (_, Nothing | ToBeKnown | Session | Right(Read) | OfApp(Read)) | (Role::Admin, _) => true,
        (Role::Operator, Right(Operate | Destroy)) => true,
        (Role::Operator, OfApp(_)) => is_own,
        (Role::Operator | Role::Viewer, Right(_)) | (Role::Viewer, OfApp(_)) => false,
    }
}

/// Somebody with each role, and one app of the admin and one of the operator.
struct Somebody {
    live: Live,
    /// The deploys of `web` and `mine`.
    deploys: [String; 2],
}

fn name_of(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Operator => "olga",
        Role::Viewer => "vera",
    }
}

impl Somebody {
    async fn new() -> Self {
        let live = live().await;
        for role in Role::ALL {
            let (engine, actor) = (&live.world.engine, &live.world.actor);
            let name = name_of(role).parse().unwrap();
            let link = engine.add_account(actor, &name, role).await.unwrap();
            let link = proximity_server::token_hash(link.secret.expose_secret());
            engine.set_up(&link, "no hash", None).await.unwrap();
        }
        let mut somebody = Self {
            live,
            deploys: Default::default(),
        };
        for (at, (role, app)) in [(Role::Admin, "web"), (Role::Operator, "mine")]
            .into_iter()
            .enumerate()
        {
            let body = body_for("POST", "/api/apps/").replace("web", app);
            let made = somebody.ask(role, "POST", "/api/apps/", &body).await;
            assert_eq!(made.status, 202, "{}", made.body);
            let id = made.body["operation_id"].as_str().unwrap().to_owned();
            let settled = somebody.live.world.settled(id.parse().unwrap());
            settled.await.unwrap();
            somebody.deploys[at] = id;
        }
        somebody
    }

    /// Asks by a new session, for a request may have ended the one before.
    async fn ask(&self, role: Role, method: &str, path: &str, body: &str) -> Answer {
        let (engine, store) = (&self.live.world.engine, &self.live.world.store);
        let name = name_of(role).parse().unwrap();
        let account = store.account(&name).await.unwrap().unwrap();
        let begun = engine.begin_session(&account, None, None).await.unwrap();
        let cookie = format!("__Host-proximity={}", begun.secret.expose_secret());
        let by_cookie = [
            ("host", "p.lan"),
            ("origin", "https://p.lan"),
            ("cookie", cookie.as_str()),
        ];
        let (router, contract) = (&self.live.router, &self.live.contract);
        let who = exchange(router, contract, "GET", "/api/session", "", &by_cookie).await;
        let csrf = who.body["csrf_token"].as_str().unwrap();
        let [host, origin, cookie] = by_cookie;
        let headers = [host, origin, cookie, ("x-csrf-token", csrf)];
        exchange(router, contract, method, path, body, &headers).await
    }

    /// Asks each role for this route about one of the apps.
    async fn assert_route(&self, asks: Asks, route: (&str, &str), at: usize) {
        let (method, template) = route;
        let path = filled(template, ["web", "mine"][at], &self.deploys[at]);
        let as_known = path.replace("/apps/mine", "/apps/web");
        let body = body_for(method, as_known.split('?').next().unwrap());
        let nobody = self.live.send_as(None, method, &path, &body).await;
        let is_unknown = nobody.code() == "unauthorized";
        assert_eq!(
            is_unknown,
            asks != Nothing,
            "{method} {path}: {}",
            nobody.body
        );
        for role in [Role::Viewer, Role::Operator, Role::Admin] {
            let answer = self.ask(role, method, &path, &body).await;
            let is_own = at == 1 && role == Role::Operator;
            let is_refused = (answer.status.as_u16(), answer.code()) == (403, "forbidden");
            let told = format!("{method} {path} as {role:?}: {}", answer.body);
            assert_eq!(is_refused, !is_let_through(role, asks, is_own), "{told}");
            let refusals = ["unauthorized", "csrf_refused"];
            assert!(!refusals.contains(&answer.code()), "{told}");
        }
    }
}

/// The path, with what is there for apps and with what is not for the rest.
fn filled(template: &str, app: &str, deploy: &str) -> String {
    let path = template.replace("/api/apps/{app}", &format!("/api/apps/{app}"));
    let path = path.replace("/api/operations/{id}", &format!("/api/operations/{deploy}"));
    let path = path.replace("{host}", "lab").replace("{node}", "pve1");
    let path = path.replace("{entry}", "beacon");
    // A source that is there would be read over the network.
    let path = path.replace("{source}", "x");
    let names = ["app", "plan", "apply", "resource", "secret", "name"];
    let names = names
        .into_iter()
        .chain(["account", "session", "stack", "template", "id"]);
    let path = names.fold(path, |path, name| path.replace(&format!("{{{name}}}"), "x"));
    match path.as_str() {
        "/api/resources/x/at" => format!("{path}?time=2026-01-01T00:00:00Z"),
        "/api/resources/x/diff" => format!("{path}?from=2026-01-01T00:00:00Z"),
        _ => path,
    }
}

#[tokio::test]
async fn every_route_asks_each_role_for_what_the_table_says() {
    let somebody = Somebody::new().await;
    let document: Value = somebody
        .live
        .send("GET", "/api/openapi.json", "")
        .await
        .body;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            routes.push((id, method.to_uppercase(), path.as_str()));
        }
    }
    let there: BTreeSet<&str> = routes.iter().map(|(id, _, _)| *id).collect();
    let rows: BTreeSet<&str> = ROUTES.iter().map(|(id, _)| *id).collect();
    assert_eq!(rows.len(), ROUTES.len(), "a route has two rows");
    assert_eq!(there, rows, "routes on the left, rows on the right");
    for (id, method, path) in routes {
        let (_, asks) = ROUTES.iter().find(|(row, _)| *row == id).unwrap();
        let apps = match asks {
            OfApp(_) => 0..2,
            Nothing | ToBeKnown | Session | Right(_) => 0..1,
        };
        for at in apps {
            somebody
                .assert_route(*asks, (method.as_str(), path), at)
                .await;
        }
    }
}

/// What is an admin's is not changed by an operator through a stack, a plan or an apply that it is a part of.
#[tokio::test]
async fn there_is_no_way_around_to_the_apps_of_others() {
    let somebody = Somebody::new().await;
    let live = &somebody.live;
    let in_stack = document("web", ", host: lab, stack: shop");
    let apply = begun(live, &in_stack).await;
    assert_eq!(ended(live, &apply).await["state"], "done");
    let stack = somebody.ask(Role::Operator, "GET", "/api/stacks/shop", "");
    assert_eq!(stack.await.status, 200, "it is seen");
    let before = live.world.pve.changes().len();
    let refused = async |path: &str, body: Value, wanted: (u16, &str)| {
        let body = body.to_string();
        let refused = somebody.ask(Role::Operator, "POST", path, &body).await;
        let told = (refused.status.as_u16(), refused.code());
        assert_eq!(told, wanted, "{path}: {}", refused.body);
    };
    let stop = json!({ "action": "stop" });
    refused("/api/stacks/shop/action", stop, (404, "not_found")).await;

    let less = document("web", ", host: lab, resources: {memory_mib: 1024}");
    let wish = json!({ "documents": [{ "name": "shop.yaml", "text": less }] }).to_string();
    let plan = live.send("POST", "/api/plans", &wish).await;
    assert_eq!(plan.status, 201, "{}", plan.body);
    let body = json!({ "plan_id": plan.body["id"] });
    refused("/api/applies", body, (404, "not_found")).await;
    let own = somebody
        .ask(Role::Operator, "POST", "/api/plans", &wish)
        .await;
    let body = json!({ "plan_id": own.body["id"].as_str().unwrap_or("none") }).to_string();
    let applied = somebody
        .ask(Role::Operator, "POST", "/api/applies", &body)
        .await;
    assert!(applied.status.is_client_error(), "{}", applied.body);

    let running = begun(live, &in_stack).await;
    let stop = format!("/api/applies/{}/stop", running["id"].as_str().unwrap());
    refused(&stop, json!({}), (403, "forbidden")).await;
    assert_eq!(live.world.pve.changes().len(), before);
    let web = live.send("GET", "/api/apps/web", "").await;
    assert_eq!(web.body["status"], "running");
}

/// A person says the name of what goes; a token's scope is its word.
#[tokio::test]
async fn who_signed_in_confirms_a_removal() {
    let somebody = Somebody::new().await;
    let at = "/api/apps/mine/action";
    let unsaid = r#"{"action":"delete"}"#;
    let said = r#"{"action":"delete","confirm":"mine"}"#;
    let refused = somebody.ask(Role::Operator, "POST", at, unsaid).await;
    let told = (refused.status.as_u16(), refused.code());
    assert_eq!(told, (422, "confirmation_needed"), "{}", refused.body);
    let removed = somebody.ask(Role::Operator, "POST", at, said).await;
    assert_eq!(removed.status, 202, "{}", removed.body);
    let by_token = somebody
        .live
        .send("POST", "/api/apps/web/action", unsaid)
        .await;
    assert_eq!(by_token.status, 202, "{}", by_token.body);
}

/// What a session is for is no token's, and a token keeps what it had.
#[tokio::test]
async fn what_is_of_a_session_is_refused_to_tokens() {
    let live = live().await;
    for (id, method, path) in [
        ("change_password", "PUT", "/api/session/password"),
        ("sign_out", "DELETE", "/api/session"),
    ] {
        let body = body_for(method, path);
        let refused = live.send(method, path, &body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (403, "forbidden"),
            "{id}"
        );
    }
    for path in ["/api/sessions", "/api/accounts"] {
        for (token, status) in [("reader", 403), ("keeper", 403), ("all", 200)] {
            let answer = live.send_as(Some(token), "GET", path, "").await;
            assert_eq!(answer.status, status, "{path} as {token}");
        }
    }
}
