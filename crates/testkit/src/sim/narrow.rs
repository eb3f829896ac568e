//! A token with the rights that the table of calls gives, and no more: our containers are in a pool, all others are not.

use std::collections::BTreeMap;

use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::privileges::{Scope, grants};
use proximity_pve::transport::Method;

use super::act::{APPS, FOUND};
use super::cluster::{SimCluster, TOKEN, USER};
use super::found;

/// The pool of our containers.
pub(super) const POOL: &str = "ours";

/// The paths of a scope in a simulated cluster.
fn paths(scope: Scope) -> Vec<String> {
    let one = |path: &str| vec![path.to_owned()];
    match scope {
        Scope::Everything | Scope::Access => one(scope.pattern()),
        Scope::Guest => (APPS..APPS + FOUND)
            .filter_map(found::number)
            .map(|vmid| format!("/vms/{vmid}"))
            .collect(),
        Scope::Pool => vec![format!("/pool/{POOL}")],
        Scope::Storage | Scope::TemplateStorage | Scope::BackupStorage => one("/storage/local"),
        Scope::Bridge => one("/sdn/zones/localnetwork/vmbr0"),
        Scope::Node => super::act::NODES
            .map(|node| format!("/nodes/{node}"))
            .to_vec(),
    }
}

/// What is granted, by path.
fn granted() -> BTreeMap<String, Vec<&'static str>> {
    let mut all: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for grant in TokenPurpose::ALL.into_iter().flat_map(grants) {
        for path in paths(grant.on) {
            let there = all.entry(path).or_default();
            let privilege = grant.privilege.as_str();
            if !there.contains(&privilege) {
                there.push(privilege);
            }
        }
    }
    all
}

fn role(path: &str) -> String {
    let letters = path.chars().filter(char::is_ascii_alphanumeric);
    format!("Sim{}", letters.collect::<String>())
}

/// The roles that are granted on single containers.
pub(super) fn roles_on_guests() -> Vec<String> {
    paths(Scope::Guest).iter().map(|path| role(path)).collect()
}

/// Makes the pool, and grants what the table says. The token had no rights before.
pub(super) fn restrict(cluster: &SimCluster) {
    cluster.somebody_calls(Method::Post, "/pools", &[("poolid", POOL)]);
    for (path, privileges) in granted() {
        let (role, privileges) = (role(&path), privileges.join(","));
        let new = [("roleid", role.as_str()), ("privs", privileges.as_str())];
        cluster.somebody_calls(Method::Post, "/access/roles", &new);
        let grant = [
            ("path", path.as_str()),
            ("roles", role.as_str()),
            ("users", USER),
            ("tokens", TOKEN),
        ];
        cluster.somebody_calls(Method::Put, "/access/acl", &grant);
    }
}
