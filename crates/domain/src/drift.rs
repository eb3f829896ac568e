//! Drift: what differs between a container's configuration now and on the day of its adoption.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::Mac;

/// Keys that say nothing of the container itself: the checksum of the file, who works on it right now, and the newest snapshot,
/// which a backup makes too.
pub(crate) const VOLATILE: [&str; 3] = ["digest", "lock", "parent"];
/// Settings of LXC itself: PVE gives them as a list of pairs, whose order tells nothing.
const UNORDERED: &str = "lxc";
/// Notes: PVE adds a newline at the end.
const NOTES: &str = "description";
/// Tags: PVE sorts them, drops repetitions and puts semicolons between (`PVE::GuestHelpers::get_unique_tags`).
const TAGS: &str = "tags";
/// Lists that PVE writes with blanks between (`verify_nameserver_list`, `verify_searchdomain_list` of `PVE::LXC`). The first one is
/// asked first, so their order counts.
const LISTS: [&str; 2] = ["nameserver", "searchdomain"];
/// The one type of network device there is; PVE adds it where it is not given (`parse_lxc_network` of `PVE::LXC::Config`).
const NET_TYPE: &str = "type=veth";

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Key of the configuration, e.g. `memory`.
    pub key: String,
    /// What it was; `None` = it was not there.
    pub then: Option<Value>,
    /// What it is; `None` = it is not there any more.
    pub now: Option<Value>,
}

/// The keys that differ, in order. What is told in another way is no difference: a number as text, pairs in another order, tags,
/// lists and network devices as PVE writes them anew.
#[must_use]
pub fn drift(then: &BTreeMap<String, Value>, now: &BTreeMap<String, Value>) -> Vec<Drift> {
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let told = keys
        .into_iter()
        .filter(|key| !VOLATILE.contains(&key.as_str()));
    let differs = |key: &&String| {
        let plain = |of: &BTreeMap<String, Value>| of.get(*key).map(|value| plain(key, value));
        plain(then) != plain(now)
    };
    let drifted = told.filter(differs).map(|key| Drift {
        key: key.clone(),
        then: then.get(key).cloned(),
        now: now.get(key).cloned(),
    });
    drifted.collect()
}

/// A value as it is compared.
pub(crate) fn plain(key: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Array(pairs) if key == UNORDERED => {
            let mut pairs: Vec<String> = pairs.iter().map(Value::to_string).collect();
            pairs.sort();
            pairs
        }
        Value::String(text) => plain_text(key, text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            vec![value.to_string()]
        }
    }
}

/// A text as it is compared.
fn plain_text(key: &str, text: &str) -> Vec<String> {
    match key {
        NOTES => vec![text.trim_end().to_owned()],
        TAGS => each(text).collect::<BTreeSet<_>>().into_iter().collect(),
        _ if LISTS.contains(&key) => each(text).collect(),
        _ if is_net(key) => properties(text),
        _ => vec![text.to_owned()],
    }
}

/// The entries of a list, as PVE takes one apart (`PVE::Tools::split_list`).
fn each(text: &str) -> impl Iterator<Item = String> {
    let entries = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '\0'));
    entries.filter(|entry| !entry.is_empty()).map(str::to_owned)
}

fn is_net(key: &str) -> bool {
    let number = key.strip_prefix("net").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The properties of a network device, whose order tells nothing.
fn properties(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    let told = parts.filter(|part| !part.is_empty() && *part != NET_TYPE);
    let plain = told.map(|part| match part.split_once('=') {
        Some(("hwaddr", mac)) => format!("hwaddr={}", mac.to_ascii_uppercase()),
        Some(_) | None => part.to_owned(),
    });
    plain.collect::<BTreeSet<String>>().into_iter().collect()
}

/// The MAC in the value of a network device.
pub(crate) fn mac_of(value: &Value) -> Option<Mac> {
    let mut parts = value.as_str()?.split(',');
    parts
        .find_map(|part| part.strip_prefix("hwaddr="))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_kind_of_difference_is_told_and_nothing_else() {
        let then = config(json!({
            "cores": 2, "memory": "512", "digest": "a", "lock": "backup", "parent": "vzdump", "description": "mine\n", "tags": "x",
            "lxc": [["lxc.a", "1"], ["lxc.b", "2"]], "net0": "name=eth0,bridge=vmbr0",
        }));
        let now = config(json!({
            "cores": "2", "memory": 1024, "digest": "b", "description": "mine", "mp0": "local:1,mp=/x",
            "lxc": [["lxc.b", "2"], ["lxc.a", "1"]], "net0": "name=eth0,bridge=vmbr0",
        }));
        let told: Vec<(String, Option<Value>, Option<Value>)> = drift(&then, &now)
            .into_iter()
            .map(|d| (d.key, d.then, d.now))
            .collect();
        let expected = [
            ("memory".to_owned(), Some(json!("512")), Some(json!(1024))),
            ("mp0".to_owned(), None, Some(json!("local:1,mp=/x"))),
            ("tags".to_owned(), Some(json!("x")), None),
        ];
        assert_eq!(told, expected);
        let other = config(json!({"lxc": [["lxc.a", "2"]]}));
        assert_eq!(
            drift(&config(json!({"lxc": [["lxc.a", "1"]]})), &other).len(),
            1
        );
    }

    #[test]
    fn what_pve_only_writes_anew_is_no_difference_and_what_it_means_is_one() {
        let differs = |key: &str, then: &str, now: &str| {
            let of = |value: &str| BTreeMap::from([(key.to_owned(), json!(value))]);
            !drift(&of(then), &of(now)).is_empty()
        };
        let net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:00:01,ip=dhcp,firewall=1";
        for (key, then, now) in [
            (
                "net0",
                net,
                "bridge=vmbr0,firewall=1,hwaddr=bc:24:11:aa:00:01,ip=dhcp,name=eth0,type=veth",
            ),
            ("tags", "b;a", "a;b"),
            ("tags", "a, b a", "a;b"),
            ("nameserver", "1.1.1.1,8.8.8.8", "1.1.1.1 8.8.8.8"),
            ("searchdomain", "lan; example.com", "lan example.com"),
        ] {
            assert!(!differs(key, then, now), "{key}: {then} | {now}");
        }
        for (key, then, now) in [
            (
                "net0",
                net,
                "name=eth0,bridge=vmbr1,hwaddr=BC:24:11:AA:00:01,ip=dhcp,firewall=1",
            ),
            (
                "net0",
                net,
                "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:00:02,ip=dhcp,firewall=1",
            ),
            (
                "net0",
                net,
                "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:00:01,ip=dhcp",
            ),
            ("net0", "name=ETH0", "name=eth0"),
            ("tags", "a;b", "a"),
            ("nameserver", "1.1.1.1 8.8.8.8", "8.8.8.8 1.1.1.1"),
            ("searchdomain", "lan", "lan2"),
            // No list, whatever is in it.
            ("hostname", "a b", "a,b"),
            ("network", "a,b", "b,a"),
        ] {
            assert!(differs(key, then, now), "{key}: {then} | {now}");
        }
    }

    proptest! {
        #[test]
        fn nothing_drifts_from_itself_and_drift_is_the_same_from_both_sides(
            a in proptest::collection::btree_map("[a-d]", 0_u8..3, 0..4),
            b in proptest::collection::btree_map("[a-d]", 0_u8..3, 0..4),
        ) {
            let of = |m: &BTreeMap<String, u8>| -> BTreeMap<String, Value> {
                m.iter().map(|(k, v)| (k.clone(), json!(v))).collect()
            };
            let (x, y) = (of(&a), of(&b));
            prop_assert!(drift(&x, &x).is_empty());
            let there = drift(&x, &y);
            let back: Vec<Drift> = drift(&y, &x)
                .into_iter()
                .map(|d| Drift { key: d.key, then: d.now, now: d.then })
                .collect();
            prop_assert_eq!(there.is_empty(), a == b);
            prop_assert_eq!(there, back);
        }
    }
}
