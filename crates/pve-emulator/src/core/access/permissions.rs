//! What an account may do on a path, as PVE computes it.
//!
//! On the way from `/` to a path each level's grants replace what was inherited: a token's before
//! its user's before those of groups. A privilege-separated token has what both it and its user
//! have. Rights on a pool hold for its members too, but not below them.

use std::collections::BTreeMap;

use super::super::world::World;
use super::accounts::Accounts;
use super::grants::{Holder, Roles};
use super::names::split_token_id;
use super::privileges::PRIVILEGES;

/// Privileges with whether they are inherited below the path.
pub(crate) type Privileges = BTreeMap<&'static str, bool>;

const NONE: &str = "NoAccess";

/// All privileges of an account (user or token) on a normal path.
pub(crate) fn permissions(world: &World, id: &str, path: &str) -> Privileges {
    if id == "root@pam" {
        return PRIVILEGES.into_iter().map(|name| (name, true)).collect();
    }
    let accounts = &world.accounts;
    let Some((user, _)) = split_token_id(id) else {
        return compile(world, id, path);
    };
    match accounts.token(id) {
        None => Privileges::new(),
        Some(token) if !token.privsep => permissions(world, user, path),
        Some(_) => {
            let own = compile(world, id, path);
            if user == "root@pam" {
                return own;
            }
            let users = permissions(world, user, path);
            own.into_iter()
                .filter_map(|(name, inherited)| {
                    let by_user = *users.get(name)?;
                    Some((name, inherited && by_user))
                })
                .collect()
        }
    }
}

fn compile(world: &World, id: &str, path: &str) -> Privileges {
    let accounts = &world.accounts;
    let mut held = roles(accounts, id, path);
    let from_pools = pool_roles(world, id, path);
    if !held.contains_key(NONE) {
        if from_pools.contains_key(NONE) {
            held = from_pools;
        } else {
            for role in from_pools.into_keys() {
                held.entry(role).or_insert(false);
            }
        }
    }
    let mut privileges = Privileges::new();
    for (role, inherited) in &held {
        for name in accounts.privileges_of(role).unwrap_or_default() {
            *privileges.entry(name).or_insert(false) |= inherited;
        }
    }
    privileges
}

/// Roles on a path by grants alone.
fn roles(accounts: &Accounts, id: &str, path: &str) -> Roles {
    let mut held = Roles::new();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for depth in 0..=parts.len() {
        let here = format!("/{}", parts[..depth].join("/"));
        let last = depth == parts.len();
        let level = [Holder::Token, Holder::User]
            .into_iter()
            .find_map(|holder| effective(accounts.grants.at(&here, holder, id)?, last))
            .or_else(|| of_groups(accounts, id, &here, last));
        if let Some(level) = level {
            held = level;
        }
    }
    match held.get(NONE) {
        Some(inherited) => Roles::from([(NONE.to_owned(), *inherited)]),
        None => held,
    }
}

/// Roles of a level that count there; nothing when none does.
fn effective(roles: &Roles, last: bool) -> Option<Roles> {
    let counting: Roles = roles
        .iter()
        .filter(|(_, propagate)| last || **propagate)
        .map(|(role, propagate)| (role.clone(), *propagate))
        .collect();
    (!counting.is_empty()).then_some(counting)
}

fn of_groups(accounts: &Accounts, id: &str, path: &str, last: bool) -> Option<Roles> {
    let mut all = Roles::new();
    for group in accounts.groups_of(id) {
        all.extend(
            accounts
                .grants
                .at(path, Holder::Group, group)
                .and_then(|roles| effective(roles, last))
                .unwrap_or_default(),
        );
    }
    (!all.is_empty()).then_some(all)
}

fn pool_roles(world: &World, id: &str, path: &str) -> Roles {
    let mut all = Roles::new();
    let mut from = |pool: &str| {
        let held = roles(&world.accounts, id, &format!("/pool/{pool}"));
        all.extend(held.into_keys().map(|role| (role, false)));
    };
    if let Some(vmid) = path
        .strip_prefix("/vms/")
        .and_then(|text| text.parse().ok())
    {
        world.pool_of(vmid).into_iter().for_each(&mut from);
    }
    if let Some(storage) = path.strip_prefix("/storage/") {
        let holding = world
            .pools
            .iter()
            .filter(|(_, pool)| pool.storages.iter().any(|id| id == storage));
        holding.for_each(|(name, _)| from(name));
    }
    all
}
