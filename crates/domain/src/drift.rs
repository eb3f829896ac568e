//! Drift: what differs between a container's configuration now and on the day of its adoption.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Keys that say nothing of the container itself: the checksum of the file, and who works on it right now.
const VOLATILE: [&str; 2] = ["digest", "lock"];
/// Settings of LXC itself: PVE gives them as a list of pairs, whose order tells nothing.
const UNORDERED: &str = "lxc";
/// Notes: PVE adds a newline at the end.
const NOTES: &str = "description";

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

/// The keys that differ, in order. What is told in another way is no difference: a number as text, pairs in another order.
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
fn plain(key: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Array(pairs) if key == UNORDERED => {
            let mut pairs: Vec<String> = pairs.iter().map(Value::to_string).collect();
            pairs.sort();
            pairs
        }
        Value::String(text) if key == NOTES => vec![text.trim_end().to_owned()],
        Value::String(text) => vec![text.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            vec![value.to_string()]
        }
    }
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
            "cores": 2, "memory": "512", "digest": "a", "lock": "backup", "description": "mine\n", "tags": "x",
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
