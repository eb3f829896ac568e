//! A cluster on which tokens hold what the table of calls gives them, and nothing more.

pub mod cases;
pub mod fences;
pub mod flows;

use std::collections::BTreeMap;

use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::privileges::{Privilege, Scope, grants};
use proximity_pve::transport::Method;
use proximity_pve::transport::https::ApiToken;
use proximity_pve::transport::tokens::Tokens;
use proximity_pve_emulator::core::{Access, Storage, WorldSeed};
use proximity_store::records::{HostRecord, HostToken, PurposeTokens};
use serde_json::Value;

use crate::pve::Pve;

/// The pool of our guests.
pub const POOL: &str = "ours";
/// Another pool, of others.
pub const OTHERS: &str = "theirs";
/// The storage of root file systems.
pub const ROOTS: &str = "roots";
/// The storage of OS templates.
pub const TEMPLATES: &str = "templates";
/// The storage of backups.
pub const BACKUPS: &str = "backups";
/// The guest that was adopted: in no pool.
pub const ADOPTED: u32 = 900;

/// One privilege of a token, where it is held.
pub type Held = (TokenPurpose, Privilege, Scope);

/// Tokens for each purpose. The user of each holds the same.
#[derive(Debug, Clone)]
pub struct Least {
    main: HostToken,
    others: PurposeTokens,
}

/// A cluster with a pool, a storage for each kind of content, and a bridge.
#[must_use]
pub fn cluster() -> Pve {
    Pve::start_with(Access::Full, furnish)
}

fn furnish(seed: &mut WorldSeed) {
    let local = seed.storages.first().cloned();
    let storage = |id: &str, kind: &str, content: &[&str]| {
        local.clone().map(|local| Storage {
            id: id.to_owned(),
            kind: kind.to_owned(),
            content: content.iter().map(|c| (*c).to_owned()).collect(),
            path: format!("/mnt/{id}"),
            ..local
        })
    };
    seed.storages
        .extend(storage(ROOTS, "btrfs", &["rootdir", "images"]));
    seed.storages.extend(storage(TEMPLATES, "dir", &["vztmpl"]));
    seed.storages.extend(storage(BACKUPS, "dir", &["backup"]));
    let template = seed.templates.first().cloned();
    seed.templates.extend(template.map(|mut template| {
        template.storage = TEMPLATES.to_owned();
        template
    }));
}

/// Where a scope is on [`cluster`].
#[must_use]
pub fn path(scope: Scope) -> String {
    match scope {
        Scope::Everything | Scope::Access => scope.pattern().to_owned(),
        Scope::Guest => format!("/vms/{ADOPTED}"),
        Scope::Pool => format!("/pool/{POOL}"),
        Scope::Storage => format!("/storage/{ROOTS}"),
        Scope::TemplateStorage => format!("/storage/{TEMPLATES}"),
        Scope::BackupStorage => format!("/storage/{BACKUPS}"),
        Scope::Bridge => "/sdn/zones/localnetwork/vmbr0".to_owned(),
        Scope::Node => "/nodes/pve1".to_owned(),
    }
}

impl Least {
    /// Makes pools, roles, users, tokens and grants, as the table of calls says, save for one privilege.
    ///
    /// # Errors
    /// What the cluster refused, as text.
    pub async fn on(pve: &Pve, without: Option<Held>) -> Result<Self, String> {
        for pool in [POOL, OTHERS] {
            root(pve, Method::Post, "/pools", &[("poolid", pool)]).await?;
        }
        let mut tokens = BTreeMap::new();
        for purpose in TokenPurpose::ALL {
            tokens.insert(purpose, token(pve, purpose, without).await?);
        }
        let main = tokens.remove(&TokenPurpose::Operate);
        Ok(Self {
            main: main.ok_or("there is a token for each purpose")?,
            others: PurposeTokens {
                observe: tokens.remove(&TokenPurpose::Observe),
                images: tokens.remove(&TokenPurpose::Images),
                adopted: tokens.remove(&TokenPurpose::Adopted),
            },
        })
    }

    /// Makes the record one of this cluster, reached with these tokens.
    ///
    /// # Panics
    /// Never: the names are constants.
    #[allow(clippy::unwrap_used)] // constants
    pub fn write_into(&self, record: &mut HostRecord) {
        record.token_id = self.main.id.clone();
        record.token_secret = self.main.secret.clone();
        record.purpose_tokens = self.others.clone();
        record.pool = Some(POOL.parse().unwrap());
        record.storage = ROOTS.parse().unwrap();
        record.template_storage = TEMPLATES.parse().unwrap();
    }

    /// As calls choose among them.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        let api = |token: &HostToken| ApiToken {
            id: token.id.clone(),
            secret: token.secret.clone(),
        };
        let others = self.others.iter();
        others.fold(Tokens::one(api(&self.main)), |all, (purpose, token)| {
            all.with(purpose, api(token))
        })
    }

    /// The ids of those whose rights are looked at when a host is added.
    pub fn ids(&self) -> impl Iterator<Item = (TokenPurpose, &str)> {
        let observe = self.others.observe.iter();
        observe
            .map(|token| (TokenPurpose::Observe, token.id.as_str()))
            .chain([(TokenPurpose::Operate, self.main.id.as_str())])
    }
}

/// Makes a user with a token, and gives both what the table gives this purpose.
async fn token(
    pve: &Pve,
    purpose: TokenPurpose,
    without: Option<Held>,
) -> Result<HostToken, String> {
    let user = format!("{purpose}@pve");
    root(pve, Method::Post, "/access/users", &[("userid", &user)]).await?;
    let made = format!("/access/users/{user}/token/proximity");
    let made = root(pve, Method::Post, &made, &[]).await?;
    let secret = made["data"]["value"]
        .as_str()
        .ok_or("no secret")?
        .to_owned();
    let id = format!("{user}!proximity");
    let mut by_path: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for grant in grants(purpose) {
        if without != Some((purpose, grant.privilege, grant.on)) {
            let there = by_path.entry(path(grant.on)).or_default();
            there.push(grant.privilege.as_str());
        }
    }
    for ((path, privileges), number) in by_path.iter().zip(1..) {
        let role = format!("{purpose}{number}");
        let privileges = privileges.join(",");
        let new = [("roleid", role.as_str()), ("privs", &privileges)];
        root(pve, Method::Post, "/access/roles", &new).await?;
        for (kind, holder) in [("users", &user), ("tokens", &id)] {
            let grant = [("path", path.as_str()), ("roles", &role), (kind, holder)];
            root(pve, Method::Put, "/access/acl", &grant).await?;
        }
    }
    Ok(HostToken {
        id,
        secret: secret.into(),
    })
}

async fn root(
    pve: &Pve,
    method: Method,
    path: &str,
    params: &[(&str, &str)],
) -> Result<Value, String> {
    let answer = pve.as_root(method, path, params).await;
    if answer.status != 200 {
        return Err(format!("{method} {path}: {answer:?}"));
    }
    serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
}
