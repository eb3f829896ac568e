//! Tokens as init makes them: one for each purpose, with a user of its own, and with the rights that the table of calls gives
//! it, and no more. Our containers are in a pool, all others are not.

use std::collections::BTreeMap;

use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::privileges::{Scope, grants};
use proximity_pve::transport::Method;
use proximity_pve::transport::tokens::Tokens;
use proximity_pve_emulator::core::{Access, TokenSeed, hash_secret};
use proximity_store::records::{HostToken, PurposeTokens};

use super::act::{APPS, FOUND};
use super::cluster::{SECRET, SimCluster, TOKEN};
use super::found;

/// The pool of our containers.
pub(super) const POOL: &str = "ours";

fn user(purpose: TokenPurpose) -> String {
    format!("{purpose}@pve")
}

/// The token of a purpose.
pub(super) fn token(purpose: TokenPurpose) -> String {
    format!("{}!engine", user(purpose))
}

/// The tokens as calls choose among them; or one for everything.
pub(super) fn tokens(narrow: bool) -> Tokens<String> {
    let wide = Tokens::one(TOKEN.to_owned());
    if !narrow {
        return wide;
    }
    let each = TokenPurpose::ALL.into_iter();
    each.fold(wide, |all, purpose| all.with(purpose, token(purpose)))
}

/// The same as a host has them on record, beside its main one.
pub(super) fn recorded() -> PurposeTokens {
    let token = |purpose| {
        Some(HostToken {
            id: token(purpose),
            secret: SECRET.to_owned().into(),
        })
    };
    PurposeTokens {
        observe: token(TokenPurpose::Observe),
        images: token(TokenPurpose::Images),
        adopted: token(TokenPurpose::Adopted),
    }
}

/// They have no rights yet.
pub(super) fn seeds() -> impl Iterator<Item = TokenSeed> {
    TokenPurpose::ALL.into_iter().map(|purpose| TokenSeed {
        id: token(purpose),
        secret_sha256: hash_secret(SECRET),
        access: Access::Empty,
    })
}

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

/// What a token is granted, by path.
fn granted(purpose: TokenPurpose) -> BTreeMap<String, Vec<&'static str>> {
    let mut all: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for grant in grants(purpose) {
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

fn role(purpose: TokenPurpose, path: &str) -> String {
    let letters = path.chars().filter(char::is_ascii_alphanumeric);
    format!("{purpose}{}", letters.collect::<String>())
}

/// Makes the pool, and grants what the table says. The tokens had no rights before.
pub(super) fn restrict(cluster: &SimCluster) {
    cluster.somebody_calls(Method::Post, "/pools", &[("poolid", POOL)]);
    for purpose in TokenPurpose::ALL {
        for (path, privileges) in granted(purpose) {
            let (role, privileges) = (role(purpose, &path), privileges.join(","));
            let new = [("roleid", role.as_str()), ("privs", privileges.as_str())];
            cluster.somebody_calls(Method::Post, "/access/roles", &new);
            let grant = [
                ("path", path.as_str()),
                ("roles", role.as_str()),
                ("users", &user(purpose)),
                ("tokens", &token(purpose)),
            ];
            cluster.somebody_calls(Method::Put, "/access/acl", &grant);
        }
    }
}

/// Whoever destroys a container by the API takes all rights on its number away, and its place in a pool.
pub(super) fn forget(cluster: &SimCluster, vmid: u32) {
    let path = format!("/vms/{vmid}");
    for purpose in TokenPurpose::ALL {
        if granted(purpose).contains_key(&path) {
            let grant = [
                ("path", path.as_str()),
                ("roles", &role(purpose, &path)),
                ("users", &user(purpose)),
                ("tokens", &token(purpose)),
                ("delete", "1"),
            ];
            cluster.somebody_calls(Method::Put, "/access/acl", &grant);
        }
    }
    let number = vmid.to_string();
    let out = [("poolid", POOL), ("vms", number.as_str()), ("delete", "1")];
    cluster.somebody_calls(Method::Put, "/pools", &out);
}

/// Takes the right to look at a number away, or gives it back: the cluster lists it for us no more.
pub(super) fn hide(cluster: &SimCluster, vmid: u32, on: bool) {
    let observer = cluster.lock().tokens.of(TokenPurpose::Observe).clone();
    let user = observer.split('!').next().unwrap_or_default();
    let grant = [
        ("path", format!("/vms/{vmid}")),
        ("users", user.to_owned()),
        ("roles", "NoAccess".to_owned()),
        ("delete", if on { "0" } else { "1" }.to_owned()),
    ];
    let grant = grant.each_ref().map(|(key, value)| (*key, value.as_str()));
    cluster.somebody_calls(Method::Put, "/access/acl", &grant);
}
