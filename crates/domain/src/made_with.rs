//! What an app's container is made with beside its resources, as it is on record: how it is attached to the network, who may log in as root,
//! and which apps it is kept apart from. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::names::Hostname;
use crate::network::Network;

/// Keys of root at most.
pub const MOST_KEYS: usize = 16;
/// Apps at most that one is kept apart from.
pub const MOST_APART: usize = 16;

/// What a container is made with. What was recorded before there was a field has what it was made with then: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MadeWith {
    /// How it is attached to the network.
    #[serde(skip_serializing_if = "Network::is_usual")]
    pub network: Network,
    /// Public keys that root logs in with, each without its comment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub root_keys: Vec<String>,
    /// Root has a password, which is shown once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub root_password: bool,
    /// Apps that it is kept apart from, by their names: whichever app has one of them when a node is chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart_from: Vec<Hostname>,
}

impl MadeWith {
    /// DHCP on the host entry's bridge, no way in for root, and beside anybody.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// How root is let in.
    #[must_use]
    pub fn root(&self) -> RootAccess {
        RootAccess {
            keys: self.root_keys.clone(),
            password: self.root_password,
        }
    }
}

/// How root of a container is let in. Without keys and without a password there is no way in but through the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RootAccess {
    /// By these public keys.
    pub keys: Vec<String>,
    /// By a password that is made for it.
    pub password: bool,
}

impl RootAccess {
    /// The same ways in, in whichever order the keys are written and however often each.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.password == other.password && self.each_key() == other.each_key()
    }

    fn each_key(&self) -> BTreeSet<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    /// As plans show it: `none`, `password`, or the keys.
    #[must_use]
    pub fn shown(&self) -> Value {
        match (self.password, self.keys.is_empty()) {
            (false, true) => json!("none"),
            (true, true) => json!("password"),
            (false, false) => json!({ "keys": self.keys }),
            (true, false) => json!({ "keys": self.keys, "password": true }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_of_a_deploy_before_is_read_and_what_is_usual_is_not_written() {
        let usual = serde_json::to_string(&MadeWith::default()).unwrap();
        assert_eq!(usual, "{}");
        let before = json!({
            "network": {"vlan": 30, "ipv4": {"by": "static", "address": "192.0.2.10", "prefix": 24, "gateway": null}},
            "root_keys": ["ssh-ed25519 AAAA"],
        });
        let read: MadeWith = serde_json::from_value(before).unwrap();
        assert_eq!(read.network.vlan, Some(30));
        assert_eq!(read.network.given().len(), 1);
        assert!(!read.is_usual() && !read.root_password && read.apart_from.is_empty());
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<MadeWith>(&text).unwrap(), read);
        assert!(text.contains("\"address\":\"192.0.2.10\""), "{text}");
    }

    #[test]
    fn the_order_of_keys_is_no_other_way_in() {
        let by = |keys: &[&str], password| RootAccess {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            password,
        };
        assert!(by(&["a", "b"], false).is_same(&by(&["b", "a", "b"], false)));
        assert!(!by(&["a", "b"], false).is_same(&by(&["a"], false)));
        assert!(!by(&[], true).is_same(&by(&[], false)));
    }

    #[test]
    fn how_root_is_let_in_is_told_in_the_words_of_documents() {
        let shown = |keys: &[&str], password| {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            RootAccess { keys, password }.shown()
        };
        assert_eq!(shown(&[], false), json!("none"));
        assert_eq!(shown(&[], true), json!("password"));
        assert_eq!(shown(&["a"], false), json!({"keys": ["a"]}));
    }
}
