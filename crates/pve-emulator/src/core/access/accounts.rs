//! Users, groups, roles and tokens as the cluster knows them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::grants::{Grants, Holder};
use super::names::split_token_id;
use super::password::{Password, Totp};
use super::privileges;

/// All accounts of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accounts {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) groups: BTreeMap<String, Group>,
    /// Roles beside those that always exist.
    pub(crate) roles: BTreeMap<String, BTreeSet<String>>,
    pub(crate) grants: Grants,
}

/// One user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) enabled: bool,
    /// Unix seconds; 0 means never.
    pub(crate) expire_s: u64,
    /// `firstname`, `lastname`, `email`, `comment`, `keys`.
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) password: Option<Password>,
    pub(crate) totp: Totp,
    pub(crate) tokens: BTreeMap<String, Token>,
}

/// A token of a user; its name is the key it is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// SHA-256 of the secret, hex.
    pub(crate) secret_sha256: String,
    /// Has only what is granted to the token itself.
    pub(crate) privsep: bool,
    /// Unix seconds; 0 means never.
    pub(crate) expire_s: u64,
    pub(crate) comment: Option<String>,
}

/// A group of users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) comment: Option<String>,
    pub(crate) members: BTreeSet<String>,
}

impl Default for Accounts {
    /// `root@pam` alone.
    fn default() -> Self {
        let root = User {
            enabled: true,
            ..User::default()
        };
        Self {
            users: BTreeMap::from([("root@pam".to_owned(), root)]),
            groups: BTreeMap::new(),
            roles: BTreeMap::new(),
            grants: Grants::default(),
        }
    }
}

impl Accounts {
    /// A user that may log in now.
    pub(crate) fn enabled(&self, user: &str, now_s: u64) -> bool {
        self.users
            .get(user)
            .is_some_and(|found| found.enabled && (found.expire_s == 0 || now_s < found.expire_s))
    }

    /// A token by its full id.
    pub(crate) fn token(&self, id: &str) -> Option<&Token> {
        let (user, name) = split_token_id(id)?;
        self.users.get(user)?.tokens.get(name)
    }

    /// What a role gives; nothing for an unknown one.
    pub(crate) fn privileges_of(&self, role: &str) -> Option<Vec<&'static str>> {
        privileges::of_special_role(role).or_else(|| {
            let own = self.roles.get(role)?;
            Some(
                own.iter()
                    .filter_map(|name| privileges::known(name))
                    .collect(),
            )
        })
    }

    /// Whether a role gives a privilege.
    pub(super) fn gives(&self, role: &str, privilege: &str) -> bool {
        let given = self.privileges_of(role);
        given.is_some_and(|names| names.contains(&privilege))
    }

    /// Removes a user with its tokens, memberships and grants. Root is there again at once, without all that, as Proxmox VE
    /// reads its file.
    pub(crate) fn remove_user(&mut self, user: &str) {
        let Some(gone) = self.users.remove(user) else {
            return;
        };
        for name in gone.tokens.keys() {
            self.grants.forget(Holder::Token, &format!("{user}!{name}"));
        }
        self.leave_groups(user);
        self.grants.forget(Holder::User, user);
        if user == "root@pam" {
            let root = User {
                enabled: true,
                password: gone.password,
                ..User::default()
            };
            self.users.insert(user.to_owned(), root);
        }
    }

    /// Ends a user's memberships.
    pub(crate) fn leave_groups(&mut self, user: &str) {
        for group in self.groups.values_mut() {
            group.members.remove(user);
        }
    }

    /// Groups a user is in.
    pub(crate) fn groups_of(&self, user: &str) -> Vec<&str> {
        let member = self
            .groups
            .iter()
            .filter(|(_, group)| group.members.contains(user));
        member.map(|(name, _)| name.as_str()).collect()
    }
}
