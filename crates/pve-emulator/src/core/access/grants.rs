//! Access lists: which role a user, group or token has on a path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whom a role is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Holder {
    User,
    Group,
    Token,
}

impl Holder {
    /// As the API names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Token => "token",
        }
    }
}

/// Roles of one holder on one path, with whether they hold below it too.
pub(crate) type Roles = BTreeMap<String, bool>;

/// All grants, by path and holder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grants {
    /// Path, then kind and id of the holder in one text: JSON keys are texts.
    paths: BTreeMap<String, BTreeMap<String, Roles>>,
}

fn key(holder: Holder, id: &str) -> String {
    format!("{} {id}", holder.name())
}

impl Grants {
    /// Gives a role.
    pub(crate) fn add(
        &mut self,
        path: &str,
        holder: Holder,
        id: &str,
        role: &str,
        propagate: bool,
    ) {
        let node = self.paths.entry(path.to_owned()).or_default();
        let roles = node.entry(key(holder, id)).or_default();
        roles.insert(role.to_owned(), propagate);
    }

    /// Takes a role away; one that was not given is fine.
    pub(crate) fn remove(&mut self, path: &str, holder: Holder, id: &str, role: &str) {
        if let Some(roles) = self
            .paths
            .get_mut(path)
            .and_then(|node| node.get_mut(&key(holder, id)))
        {
            roles.remove(role);
        }
        self.prune();
    }

    /// Takes everything from a holder.
    pub(crate) fn forget(&mut self, holder: Holder, id: &str) {
        for node in self.paths.values_mut() {
            node.remove(&key(holder, id));
        }
        self.prune();
    }

    /// Nothing is granted on a path any more.
    pub(crate) fn forget_path(&mut self, path: &str) {
        self.paths.remove(path);
    }

    /// Nothing is granted on a path, nor below it, any more.
    pub(crate) fn forget_tree(&mut self, path: &str) {
        let below = format!("{path}/");
        self.paths
            .retain(|known, _| known != path && !known.starts_with(&below));
    }

    /// A role no longer exists.
    pub(crate) fn forget_role(&mut self, role: &str) {
        for roles in self.paths.values_mut().flat_map(BTreeMap::values_mut) {
            roles.remove(role);
        }
        self.prune();
    }

    fn prune(&mut self) {
        for node in self.paths.values_mut() {
            node.retain(|_, roles| !roles.is_empty());
        }
        self.paths.retain(|_, node| !node.is_empty());
    }

    /// A holder's roles on exactly this path.
    pub(super) fn at(&self, path: &str, holder: Holder, id: &str) -> Option<&Roles> {
        self.paths.get(path)?.get(&key(holder, id))
    }

    /// Paths with grants.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }

    /// Everything: path, kind of holder, its id, role, propagation.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &str, &str, &str, bool)> {
        self.paths.iter().flat_map(|(path, node)| {
            node.iter().flat_map(move |(key, roles)| {
                let (kind, id) = key.split_once(' ').unwrap_or_default();
                roles.iter().map(move |(role, propagate)| {
                    (path.as_str(), kind, id, role.as_str(), *propagate)
                })
            })
        })
    }
}
