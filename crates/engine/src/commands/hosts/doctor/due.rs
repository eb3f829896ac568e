//! What a recorded token should hold at its host: the roles, and where. By the table of calls and privileges, as `init` grants it.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::accounts::AccountMark;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::{Grant, Holder};
use proximity_pve::privileges::{self, Reason, Scope};
use proximity_store::records::HostRecord;

use crate::commands::hosts::init::roles::{self, RolePrefix};
use crate::commands::hosts::rights;

/// One role on one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DueGrant {
    pub(super) path: String,
    pub(super) role: String,
    pub(super) privileges: BTreeSet<&'static str>,
    /// It has to hold below the path too.
    pub(super) reaches_below: bool,
}

/// All that is due to one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) grants: Vec<DueGrant>,
    /// Each privilege that a call needs → what these calls do.
    needed_for: BTreeMap<&'static str, BTreeSet<&'static str>>,
    pub(super) purposes: BTreeSet<TokenPurpose>,
    /// Where guests of ours are, if in a pool.
    pool: Option<String>,
}

impl Due {
    /// What is due to a token for these purposes.
    pub(super) fn of(
        purposes: &BTreeSet<TokenPurpose>,
        record: &HostRecord,
        mark: AccountMark,
    ) -> Self {
        let mut due = Self {
            grants: Vec::new(),
            needed_for: BTreeMap::new(),
            purposes: purposes.clone(),
            pool: record.pool.as_ref().map(rights::pool_path),
        };
        // A grant on a path takes the place of those above it, so one token for all needs there what it needs everywhere too.
        let everywhere = match due.is_for_all() {
            true => everywhere(TokenPurpose::Observe),
            false => BTreeSet::new(),
        };
        for purpose in purposes {
            due.add(*purpose, record, mark, &everywhere);
        }
        due
    }

    /// It is both for looking and for changing.
    pub(super) fn is_for_all(&self) -> bool {
        self.purposes.contains(&TokenPurpose::Observe)
            && self.purposes.contains(&TokenPurpose::Operate)
    }

    fn add(
        &mut self,
        purpose: TokenPurpose,
        record: &HostRecord,
        mark: AccountMark,
        everywhere: &BTreeSet<&'static str>,
    ) {
        let mut by_scope: BTreeMap<Scope, BTreeSet<&'static str>> = BTreeMap::new();
        for grant in privileges::grants(purpose) {
            let name = grant.privilege.as_str();
            by_scope.entry(grant.on).or_default().insert(name);
            if let Reason::Calls(calls) = grant.reason {
                self.needed_for.entry(name).or_default().extend(calls);
            }
        }
        let prefix = match self.is_for_all() {
            true => RolePrefix::Whole,
            false => RolePrefix::Purpose(purpose),
        };
        for (scope, mut privileges) in by_scope {
            let Some((path, reaches_below)) = place(scope, record) else {
                continue;
            };
            privileges.extend(everywhere);
            self.grants.push(DueGrant {
                path,
                role: roles::name(mark, prefix, scope),
                privileges,
                reaches_below,
            });
        }
    }

    /// What calls need a privilege for; empty if none does yet.
    pub(super) fn needed_for(&self, privilege: &str) -> impl Iterator<Item = &'static str> {
        self.needed_for
            .get(privilege)
            .into_iter()
            .flatten()
            .copied()
    }

    /// What may be held on a path without being too much. `is_in_pool`: a guest or a storage that rights on the pool hold for.
    ///
    /// Single storages and guests are granted one by one, and the record does not say which: what a purpose needs on one of
    /// them is never too much.
    pub(super) fn allowed(&self, path: &str, is_in_pool: bool) -> BTreeSet<&'static str> {
        let mut allowed = BTreeSet::new();
        for grant in &self.grants {
            let is_pool = Some(&grant.path) == self.pool.as_ref();
            let reaches = (grant.reaches_below || is_pool) && is_below(&grant.path, path);
            if grant.path == path || reaches || (is_pool && is_in_pool) {
                allowed.extend(grant.privileges.iter().copied());
            }
        }
        let mut purposes = self.purposes.clone();
        if self.is_for_all() {
            purposes.insert(TokenPurpose::Images);
        }
        for purpose in purposes {
            let one_by_one = privileges::grants(purpose).into_iter();
            let one_by_one = one_by_one.filter(|grant| is_single(purpose, grant.on, path));
            allowed.extend(one_by_one.map(|grant| grant.privilege.as_str()));
        }
        allowed
    }
}

/// What is due where somebody gave the token or its user a role of ours on a single thing: adopted guests and further storages,
/// of which the record does not say which they are.
pub(super) fn given_one_by_one(
    due: &Due,
    mark: AccountMark,
    grants: &[Grant],
    token: &str,
) -> Vec<DueGrant> {
    let user = token.rsplit_once('!').map_or(token, |(user, _)| user);
    let is_its = |grant: &&Grant| match &grant.holder {
        Holder::Token(id) => id == token,
        Holder::User(id) => id == user,
        Holder::Group(_) => false,
    };
    let mut given: Vec<DueGrant> = Vec::new();
    for grant in grants.iter().filter(is_its) {
        let is_known = |known: &DueGrant| known.path == grant.path && known.role == grant.role;
        if due.grants.iter().chain(&given).any(is_known) {
            continue;
        }
        let held = one_by_one(&due.purposes, mark, &grant.role, &grant.path);
        given.extend(held.map(|privileges| DueGrant {
            path: grant.path.clone(),
            role: grant.role.clone(),
            privileges,
            reaches_below: false,
        }));
    }
    given
}

/// What a role of ours for one of these purposes holds, where it is granted on a single thing of those that are given one by one:
/// an adopted guest, a further storage.
pub(super) fn one_by_one(
    purposes: &BTreeSet<TokenPurpose>,
    mark: AccountMark,
    role: &str,
    path: &str,
) -> Option<BTreeSet<&'static str>> {
    purposes.iter().find_map(|purpose| {
        let grants = privileges::grants(*purpose);
        let is_it = |scope: &Scope| {
            is_single(*purpose, *scope, path)
                && roles::name(mark, RolePrefix::Purpose(*purpose), *scope) == role
        };
        let scope = grants.iter().map(|grant| grant.on).find(is_it)?;
        let held = grants.iter().filter(|grant| grant.on == scope);
        Some(held.map(|grant| grant.privilege.as_str()).collect())
    })
}

/// Whether the path is a single thing of this scope, of those that are granted one by one.
fn is_single(purpose: TokenPurpose, scope: Scope, path: &str) -> bool {
    match scope {
        Scope::Storage | Scope::TemplateStorage | Scope::BackupStorage => Scope::Storage.is(path),
        Scope::Guest => purpose == TokenPurpose::Adopted && Scope::Guest.is(path),
        Scope::Node => path == rights::NODES_PATH || Scope::Node.is(path),
        Scope::Everything | Scope::Access | Scope::Pool | Scope::Bridge => false,
    }
}

/// What this purpose holds on everything.
fn everywhere(purpose: TokenPurpose) -> BTreeSet<&'static str> {
    let grants = privileges::grants(purpose).into_iter();
    let all = grants.filter(|grant| grant.on == Scope::Everything);
    all.map(|grant| grant.privilege.as_str()).collect()
}

/// The path of a scope at this host, and whether rights there have to reach below; none where nothing is chosen.
fn place(scope: Scope, record: &HostRecord) -> Option<(String, bool)> {
    match scope {
        Scope::Everything => Some(("/".to_owned(), true)),
        Scope::Pool => Some(match &record.pool {
            Some(pool) => (rights::pool_path(pool), false),
            None => (rights::GUESTS_PATH.to_owned(), true),
        }),
        Scope::Storage => Some((rights::storage_path(&record.storage), false)),
        Scope::TemplateStorage => Some((rights::storage_path(&record.template_storage), false)),
        Scope::Bridge => Some((rights::bridge_path(&record.bridge), false)),
        Scope::Node => Some((rights::NODES_PATH.to_owned(), true)),
        Scope::Access | Scope::BackupStorage | Scope::Guest => None,
    }
}

/// Whether a path is below another one.
pub(super) fn is_below(above: &str, path: &str) -> bool {
    let above = above.trim_end_matches('/');
    path.strip_prefix(above)
        .is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}
