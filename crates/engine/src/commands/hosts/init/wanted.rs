//! The accounts that are wanted: for each token a user of its own, and the roles that both get.
//!
//! One user for each token, because in PVE a grant on a path takes the place of those above it: a user with the grants of two
//! tokens would take from the one what the other has not.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::accounts::AccountMark;
use proximity_domain::ids::Vmid;
use proximity_domain::names::{
    AccountName, ApiTokenName, BadName, BridgeName, PoolName, RoleName, StorageName,
};
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::GrantTo;
use proximity_pve::privileges::{self, Scope};

use super::roles::{self, RolePrefix};
use crate::commands::hosts::rights;

/// What the token's name is below its user's.
const TOKEN: &str = "proximity";

/// What the tokens are granted rights on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grounds {
    pub(super) pool: PoolName,
    /// Storages of root file systems.
    pub(super) storages: BTreeSet<StorageName>,
    pub(super) template_storage: StorageName,
    pub(super) bridge: BridgeName,
    /// A token that brings templates and images is wanted.
    pub(super) images: bool,
    /// A token for adopted guests is wanted.
    pub(super) adopts: bool,
    /// Guests that it may act on, beside those it was given before.
    pub(super) adopted: BTreeSet<Vmid>,
}

/// All accounts that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) mark: AccountMark,
    pub(super) pool: PoolName,
    pub(super) roles: BTreeMap<RoleName, BTreeSet<String>>,
    pub(super) tokens: Vec<WantedToken>,
}

/// One token, its user, and what both are granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedToken {
    pub(super) purpose: TokenPurpose,
    pub(super) user: AccountName,
    pub(super) token: ApiTokenName,
    pub(super) grants: Vec<GrantTo>,
}

impl Wanted {
    /// # Errors
    /// A name that PVE would not take; with names of ours there is none.
    pub(super) fn new(mark: AccountMark, grounds: &Grounds) -> Result<Self, BadName> {
        let mut wanted = Self {
            mark,
            pool: grounds.pool.clone(),
            roles: BTreeMap::new(),
            tokens: Vec::new(),
        };
        for purpose in TokenPurpose::ALL {
            let is_wanted = match purpose {
                TokenPurpose::Observe | TokenPurpose::Operate => true,
                TokenPurpose::Images => grounds.images,
                TokenPurpose::Adopted => grounds.adopts,
            };
            if is_wanted {
                wanted.add(purpose, grounds)?;
            }
        }
        Ok(wanted)
    }

    fn add(&mut self, purpose: TokenPurpose, grounds: &Grounds) -> Result<(), BadName> {
        let user: AccountName = roles::user(self.mark, purpose).parse()?;
        let token: ApiTokenName = token_of(&user)?;
        let mut grants = Vec::new();
        for (scope, privileges) in needed(purpose) {
            let paths = paths(scope, grounds);
            if paths.is_empty() {
                continue;
            }
            let prefix = RolePrefix::Purpose(purpose);
            let role: RoleName = roles::name(self.mark, prefix, scope).parse()?;
            grants.extend(paths.into_iter().map(|path| GrantTo {
                path,
                role: role.clone(),
                user: Some(user.clone()),
                token: Some(token.clone()),
                propagates: reaches_below(scope),
            }));
            self.roles.insert(role, privileges);
        }
        self.tokens.push(WantedToken {
            purpose,
            user,
            token,
            grants,
        });
        Ok(())
    }
}

/// The token of a user of ours.
fn token_of(user: &AccountName) -> Result<ApiTokenName, BadName> {
    format!("{user}!{TOKEN}").parse()
}

/// What a token of this purpose holds, by where: a role for each.
fn needed(purpose: TokenPurpose) -> BTreeMap<Scope, BTreeSet<String>> {
    let mut needed: BTreeMap<Scope, BTreeSet<String>> = BTreeMap::new();
    for grant in privileges::grants(purpose) {
        let name = grant.privilege.as_str().to_owned();
        needed.entry(grant.on).or_default().insert(name);
    }
    needed
}

/// The paths of a scope at this host; none where nothing was chosen for it.
fn paths(scope: Scope, grounds: &Grounds) -> Vec<String> {
    match scope {
        Scope::Everything => vec!["/".to_owned()],
        // No token of ours has a say in rights, and no storage of backups is chosen for a host yet.
        Scope::Access | Scope::BackupStorage => Vec::new(),
        Scope::Guest => grounds.adopted.iter().map(guest_path).collect(),
        Scope::Pool => vec![rights::pool_path(&grounds.pool)],
        Scope::Storage => grounds.storages.iter().map(rights::storage_path).collect(),
        Scope::TemplateStorage => vec![rights::storage_path(&grounds.template_storage)],
        Scope::Bridge => vec![rights::bridge_path(&grounds.bridge)],
        // Nodes come and go.
        Scope::Node => vec![rights::NODES_PATH.to_owned()],
    }
}

/// A guest's path.
fn guest_path(vmid: &Vmid) -> String {
    format!("{}/{vmid}", rights::GUESTS_PATH)
}

/// Rights on the cluster and its nodes are rights on all below; the others are on one thing. Those on a pool hold for what is
/// in it without that.
fn reaches_below(scope: Scope) -> bool {
    match scope {
        Scope::Everything | Scope::Node => true,
        Scope::Access
        | Scope::Guest
        | Scope::Pool
        | Scope::Storage
        | Scope::TemplateStorage
        | Scope::BackupStorage
        | Scope::Bridge => false,
    }
}
