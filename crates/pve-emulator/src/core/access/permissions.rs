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

/// Whether an account holds a privilege on a normal path: whether [`permissions`] has it. Asked for each guest of each list, so
/// nothing is put together for it.
pub(crate) fn holds(world: &World, id: &str, path: &str, privilege: &str) -> bool {
    if id == "root@pam" {
        return PRIVILEGES.contains(&privilege);
    }
    let accounts = &world.accounts;
    let by_its_roles = || {
        let held = held_roles(world, id, path);
        held.keys().any(|role| accounts.gives(role, privilege))
    };
    let Some((user, _)) = split_token_id(id) else {
        return by_its_roles();
    };
    match accounts.token(id) {
        None => false,
        Some(token) if !token.privsep => holds(world, user, path, privilege),
        Some(_) => by_its_roles() && (user == "root@pam" || holds(world, user, path, privilege)),
    }
}

fn compile(world: &World, id: &str, path: &str) -> Privileges {
    let mut privileges = Privileges::new();
    for (role, inherited) in &held_roles(world, id, path) {
        for name in world.accounts.privileges_of(role).unwrap_or_default() {
            *privileges.entry(name).or_insert(false) |= inherited;
        }
    }
    privileges
}

/// Roles on a path by grants and by the pools of what it names, with whether they are inherited below it.
fn held_roles(world: &World, id: &str, path: &str) -> Roles {
    let mut held = roles(&world.accounts, id, path);
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
    held
}

/// Roles on a path by grants alone.
fn roles(accounts: &Accounts, id: &str, path: &str) -> Roles {
    let mut held = Roles::new();
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    let mut here = "/".to_owned();
    loop {
        let last = parts.peek().is_none();
        let level = [Holder::Token, Holder::User]
            .into_iter()
            .find_map(|holder| effective(accounts.grants.at(&here, holder, id)?, last))
            .or_else(|| of_groups(accounts, id, &here, last));
        if let Some(level) = level {
            held = level;
        }
        let Some(part) = parts.next() else { break };
        if here.len() > 1 {
            here.push('/');
        }
        here.push_str(part);
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

#[cfg(test)]
mod tests {
    use super::super::accounts::{Group, Token};
    use super::*;
    use crate::core::{Pool, TaskTimes, WorldSeed};

    const ACCOUNTS: [&str; 9] = [
        "root@pam",
        "root@pam!narrow",
        "root@pam!wide",
        "a@pve",
        "a@pve!narrow",
        "a@pve!wide",
        "a@pve!none",
        "b@pve",
        "nobody@pve",
    ];
    const PATHS: [&str; 10] = [
        "/",
        "/vms",
        "/vms/100",
        "/vms/101",
        "/vms/102",
        "//vms//100/",
        "/storage/local",
        "/pool/web",
        "/pool/shut",
        "/nodes/pve1",
    ];

    fn world() -> World {
        let seed = WorldSeed {
            cluster_name: None,
            nodes: Vec::new(),
            storages: Vec::new(),
            templates: Vec::new(),
            pools: BTreeMap::new(),
            tokens: Vec::new(),
            random: 1,
            times: TaskTimes::default(),
        };
        let mut world = World::new(seed, 1_795_170_000_000);
        let token = |privsep| Token {
            secret_sha256: String::new(),
            privsep,
            expire_s: 0,
            comment: None,
        };
        for name in ["root@pam", "a@pve", "b@pve"] {
            let user = world.accounts.users.entry(name.to_owned());
            let tokens = &mut user.or_default().tokens;
            tokens.insert("narrow".to_owned(), token(true));
            tokens.insert("wide".to_owned(), token(false));
        }
        let group = Group {
            comment: None,
            members: ["a@pve", "b@pve"].map(str::to_owned).into(),
        };
        world.accounts.groups.insert("people".to_owned(), group);
        let own = ["VM.Audit", "Sys.Audit", "No.Such"].map(str::to_owned);
        world.accounts.roles.insert("Own".to_owned(), own.into());
        let pool = |vmid| Pool {
            comment: None,
            vms: vec![vmid],
            storages: vec!["local".to_owned()],
        };
        world.pools.insert("web".to_owned(), pool(100));
        world.pools.insert("shut".to_owned(), pool(101));
        for (path, holder, id, role, propagate) in [
            ("/", Holder::User, "a@pve", "Administrator", false),
            ("/vms", Holder::User, "a@pve", "PVEVMUser", true),
            ("/vms/102", Holder::User, "a@pve", "NoAccess", true),
            ("/vms", Holder::Token, "a@pve!narrow", "Own", true),
            (
                "/vms/100",
                Holder::Token,
                "root@pam!narrow",
                "PVEAuditor",
                true,
            ),
            ("/", Holder::Token, "root@pam!narrow", "PVEAdmin", true),
            ("/", Holder::Group, "people", "PVEDatastoreUser", true),
            ("/nodes/pve1", Holder::Group, "people", "Own", true),
            ("/pool/web", Holder::User, "b@pve", "PVEVMAdmin", true),
            ("/pool/shut", Holder::User, "b@pve", "NoAccess", true),
        ] {
            world.accounts.grants.add(path, holder, id, role, propagate);
        }
        world
    }

    #[test]
    fn who_holds_a_privilege_is_who_has_it_among_all_of_his() {
        let world = world();
        let mut held = 0;
        for id in ACCOUNTS {
            for path in PATHS {
                let all = permissions(&world, id, path);
                for privilege in PRIVILEGES.into_iter().chain(["No.Such"]) {
                    let expected = all.contains_key(privilege);
                    let found = holds(&world, id, path, privilege);
                    assert_eq!(found, expected, "{id} {path} {privilege}");
                    held += usize::from(found);
                }
            }
        }
        assert!(held > 500, "hardly anybody holds anything: {held}");
    }
}
