//! The table of calls is held against what this client sends, and against what PVE's own schema says of permissions.

use std::collections::BTreeSet;

use proximity_pve::privileges::{Basis, Entry, Need, Scope, TABLE, entry_of};
use serde_json::Value;

use crate::schema::{all_requests, schema};

#[tokio::test]
async fn every_call_has_an_entry_and_every_entry_a_call() {
    let mut met = BTreeSet::new();
    for request in all_requests().await {
        let entry = entry_of(&request)
            .unwrap_or_else(|| panic!("no entry for {} {}", request.method, request.path));
        let at = TABLE.iter().position(|e| std::ptr::eq(e, entry)).unwrap();
        met.insert(at);
        for need in entry.needs {
            let told = |name: &str| request.params.iter().any(|(n, _)| n == name);
            if !need.given.is_empty() {
                let sent = need.given.iter().any(|name| told(name));
                assert!(
                    sent || need.by_hand || entry.path == "/pools",
                    "{}: {:?}",
                    entry.does,
                    need.given
                );
            }
        }
    }
    let unmet: Vec<&str> = TABLE
        .iter()
        .enumerate()
        .filter(|(at, _)| !met.contains(at))
        .map(|(_, entry)| entry.does)
        .collect();
    assert_eq!(unmet, Vec::<&str>::new(), "nothing sends these");
}

/// One privilege held on one path.
type Held = (&'static str, Scope);

fn held(need: &Need) -> Held {
    (need.privilege.as_str(), need.on[0])
}

/// What holds when each need is met as our tokens meet it, save that of one number something else is held.
fn with(entry: &Entry, at: usize, instead: Option<Held>) -> Vec<Held> {
    let others = entry.needs.iter().enumerate().filter(|(n, _)| *n != at);
    others.map(|(_, need)| held(need)).chain(instead).collect()
}

/// Whether PVE's declaration lets a caller in who holds this.
fn admits(permissions: &Value, held: &[Held]) -> bool {
    // `exec_api2_perm_check` in pve-access-control's RPCEnvironment.pm does not look further at what is open to all.
    permissions["user"] == "all"
        || permissions["user"] == "world"
        || evaluate(&permissions["check"], held)
}

fn evaluate(check: &Value, held: &[Held]) -> bool {
    let parts = check.as_array().unwrap();
    match parts[0].as_str().unwrap() {
        "and" => parts[1..].iter().all(|part| evaluate(part, held)),
        "or" => parts[1..].iter().any(|part| evaluate(part, held)),
        "perm" => {
            let path = parts[1].as_str().unwrap();
            let has = |privilege: &Value| {
                held.iter()
                    .any(|(name, scope)| privilege == name && is_declared(*scope, path))
            };
            let mut wanted = parts[2].as_array().unwrap().iter();
            if parts[3..].iter().any(|option| option == "any") {
                wanted.any(has)
            } else {
                wanted.all(has)
            }
        }
        // Who may hand rights out on a path: those who may do so everywhere.
        "perm-modify" => held.contains(&("Permissions.Modify", Scope::Everything)),
        "userid-param" if parts[1] == "self" => false,
        "userid-param" => held
            .iter()
            .any(|(name, scope)| parts[1] == *name && *scope == Scope::Access),
        "userid-group" => {
            let has = |privilege: &Value| {
                held.iter()
                    .any(|(name, scope)| privilege == name && *scope == Scope::Access)
            };
            parts[1].as_array().unwrap().iter().any(has)
        }
        other => panic!("{other} is not known here"),
    }
}

/// Whether a path of the schema is this scope.
fn is_declared(scope: Scope, path: &str) -> bool {
    let root = |path: &str| path.split('{').next().unwrap().to_owned();
    root(scope.pattern()) == root(path)
}

fn permissions<'a>(schema: &'a Value, entry: &Entry) -> &'a Value {
    let methods = schema["methods"].as_array().unwrap();
    let method = methods
        .iter()
        .find(|m| m["path"] == entry.path && m["method"] == entry.method.as_str())
        .unwrap_or_else(|| panic!("PVE knows no {} {}", entry.method, entry.path));
    &method["permissions"]
}

#[test]
fn what_the_table_calls_declared_is_what_the_schema_declares() {
    let schema = schema();
    for entry in TABLE {
        let declared = permissions(&schema, entry);
        let name = format!("{} {}: {}", entry.method, entry.path, entry.does);
        let all: Vec<Held> = entry.needs.iter().map(held).collect();
        assert!(admits(declared, &all), "{name}: more is needed: {declared}");
        for (at, need) in entry.needs.iter().enumerate() {
            let without = admits(declared, &with(entry, at, None));
            let is_declared = need.basis == Basis::Declared;
            assert_eq!(
                without,
                !is_declared,
                "{name}: {} is {}declared",
                need.privilege,
                if is_declared { "not " } else { "" },
            );
            let others = need.or.iter().map(|other| (other.as_str(), need.on[0]));
            let places = need
                .on
                .iter()
                .map(|scope| (need.privilege.as_str(), *scope));
            for instead in others.chain(places) {
                let instead_of_it = admits(declared, &with(entry, at, Some(instead)));
                assert!(instead_of_it, "{name}: {instead:?} is not enough");
            }
        }
    }
}

#[test]
fn the_control_a_declaration_that_lacks_something_is_noticed() {
    let schema = schema();
    let start = TABLE
        .iter()
        .find(|entry| entry.path.ends_with("/status/start"))
        .unwrap();
    let declared = permissions(&schema, start);
    assert!(!admits(declared, &[("VM.PowerMgmt", Scope::Pool)]));
    assert!(!admits(declared, &[("VM.Allocate", Scope::Guest)]));
    assert!(admits(declared, &[("VM.PowerMgmt", Scope::Guest)]));
}
