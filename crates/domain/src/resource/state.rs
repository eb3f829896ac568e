//! The state of a resource: flat fields, in two parts that are read in two ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::adoption::without_secrets;
use crate::drift::VOLATILE;

/// Before the names of fields that are keys of a container's configuration. No field of a list begins like this.
const CONFIG: &str = "config.";
/// Power, or whatever else the kind has for it.
const STATUS: &str = "status";
/// What people call it.
const NAME: &str = "name";
/// What is said of a status that nothing is known of.
const UNKNOWN: &str = "unknown";
/// What is told as the status of what is gone.
const GONE: &str = "gone";
/// Settings of LXC itself: a list of pairs, whose order tells nothing.
const UNORDERED: &str = "lxc";

/// A whole state. Fields are texts, whole numbers, yes or no, and lists of them; what a container's configuration says has
/// names like `config.memory`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceState(BTreeMap<String, Value>);

/// A checksum of what a list said of a resource ([`ResourceState::listed_digest`]); its text is 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedDigest([u8; 16]);

impl fmt::Display for ListedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for ListedDigest {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// A field that differs between two states.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field.
    pub field: String,
    /// What it was; `None` = it was not there.
    pub from: Option<Value>,
    /// What it is; `None` = it is not there.
    pub to: Option<Value>,
}

impl ResourceState {
    /// A state of these fields.
    #[must_use]
    pub fn of(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let fields = fields.into_iter();
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        Self(fields.collect())
    }

    /// What a container's configuration says, without what changes by itself and with secrets hidden. A number is told as its text:
    /// whether Proxmox VE gives it as the one or the other tells nothing.
    #[must_use]
    pub fn of_config(config: &BTreeMap<String, Value>) -> Self {
        let told = config
            .iter()
            .filter(|(key, _)| !VOLATILE.contains(&key.as_str()));
        let fields = told.map(|(key, value)| {
            let shown = without_secrets(key, value.clone());
            (format!("{CONFIG}{key}"), plain(key, shown))
        });
        Self(fields.collect())
    }

    /// Of what is there and of which nobody tells anything.
    #[must_use]
    pub(super) fn untold() -> Self {
        Self::of([(STATUS, Value::from(UNKNOWN))])
    }

    /// As it is told of what is gone: its status says that, and the rest is as it was seen last.
    #[must_use]
    pub(super) fn of_gone(&self) -> Self {
        self.with_status(GONE)
    }

    /// What it was, while nobody tells any more how it stands.
    #[must_use]
    pub(super) fn of_lost(&self) -> Self {
        self.with_status(UNKNOWN)
    }

    fn with_status(&self, status: &str) -> Self {
        let mut fields = self.0.clone();
        fields.insert(STATUS.to_owned(), Value::from(status));
        Self(fields)
    }

    /// Whether it has anything of a configuration.
    #[must_use]
    pub(super) fn has_config(&self) -> bool {
        self.0.keys().any(|name| is_config(name))
    }

    /// All fields, by name.
    #[must_use]
    pub fn fields(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// Its status, e.g. `running`; `unknown` where there is none.
    #[must_use]
    pub fn status(&self) -> &str {
        self.text(STATUS).unwrap_or(UNKNOWN)
    }

    /// What people call it, if it has a name beside its key.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.text(NAME)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// A checksum of what was read of it in a list: the same in every process.
    #[must_use]
    pub fn listed_digest(&self) -> ListedDigest {
        let mut digest = Sha256::new();
        for (name, value) in self.0.iter().filter(|(name, _)| !is_config(name)) {
            // Neither a name nor the text of a value has a NUL in it.
            digest.update(name.as_bytes());
            digest.update([0]);
            digest.update(value.to_string().as_bytes());
            digest.update([0]);
        }
        let mut bytes = [0; 16];
        for (byte, of) in bytes.iter_mut().zip(digest.finalize().iter()) {
            *byte = *of;
        }
        ListedDigest(bytes)
    }

    /// The state with what a newer list says of it.
    #[must_use]
    pub(super) fn with_listed(&self, listed: &Self) -> Self {
        let kept = self.0.iter().filter(|(name, _)| is_config(name));
        Self(joined(kept, &listed.0))
    }

    /// The state with what its configuration says by now.
    #[must_use]
    pub(super) fn with_config(&self, config: &Self) -> Self {
        let kept = self.0.iter().filter(|(name, _)| !is_config(name));
        Self(joined(kept, &config.0))
    }
}

fn is_config(name: &str) -> bool {
    name.starts_with(CONFIG)
}

fn joined<'a>(
    kept: impl Iterator<Item = (&'a String, &'a Value)>,
    newer: &'a BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let all = kept.chain(newer);
    all.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A value of a configuration as it is kept.
fn plain(key: &str, value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.to_string()),
        Value::Array(mut pairs) if key == UNORDERED => {
            pairs.sort_by_key(Value::to_string);
            Value::from(pairs)
        }
        other => other,
    }
}

/// The fields that differ, by name.
#[must_use]
pub fn differences(from: &ResourceState, to: &ResourceState) -> Vec<FieldChange> {
    let names: BTreeSet<&String> = from.0.keys().chain(to.0.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| from.0.get(*name) != to.0.get(*name));
    let changes = differ.map(|name| FieldChange {
        field: name.clone(),
        from: from.0.get(name).cloned(),
        to: to.0.get(name).cloned(),
    });
    changes.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> ResourceState {
        ResourceState::of_config(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_configuration_is_kept_without_secrets_and_what_changes_by_itself() {
        let shown = config(json!({
            "memory": 512, "digest": "a", "lock": "backup", "parent": "x", "env": "PASSWORD=x",
            "lxc": [["lxc.b", "2"], ["lxc.environment", "K=secret"], ["lxc.a", "1"]],
        }));
        let expected = json!({
            "config.memory": "512",
            "config.env": "[secret]",
            "config.lxc": [["lxc.a", "1"], ["lxc.b", "2"], ["lxc.environment", "[secret]"]],
        });
        assert_eq!(serde_json::to_value(&shown).unwrap(), expected);
        let again = config(json!({
            "memory": "512", "digest": "b", "env": "PASSWORD=y",
            "lxc": [["lxc.environment", "K=other"], ["lxc.a", "1"], ["lxc.b", "2"]],
        }));
        assert_eq!(shown, again);
    }

    #[test]
    fn each_part_is_replaced_by_itself() {
        let listed = |status: &str| ResourceState::of([("status", json!(status))]);
        let running = listed("running").with_config(&config(json!({ "memory": 512, "cores": 2 })));
        let stopped = running.with_listed(&listed("stopped"));
        assert_eq!(
            differences(&running, &stopped),
            [FieldChange {
                field: "status".to_owned(),
                from: Some(json!("running")),
                to: Some(json!("stopped")),
            }]
        );
        let changed = stopped.with_config(&config(json!({ "memory": 512, "swap": 0 })));
        let fields: Vec<_> = differences(&stopped, &changed)
            .into_iter()
            .map(|change| (change.field, change.from, change.to))
            .collect();
        assert_eq!(
            fields,
            [
                ("config.cores".to_owned(), Some(json!("2")), None),
                ("config.swap".to_owned(), None, Some(json!("0"))),
            ]
        );
        assert_eq!(differences(&changed, &changed), []);
        assert_eq!(changed.listed_digest(), listed("stopped").listed_digest());
        assert_ne!(changed.listed_digest(), running.listed_digest());
    }

    #[test]
    fn a_checksum_is_the_same_in_every_process_and_read_back() {
        let digest = ResourceState::of([("status", json!("online"))]).listed_digest();
        let text = digest.to_string();
        let all = Sha256::digest(b"status\0\"online\"\0");
        assert_eq!(text, hex::encode(&all[..16]));
        assert_eq!(text.parse(), Ok(digest));
        for bad in ["", "0", &text[2..], "x".repeat(32).as_str()] {
            assert!(bad.parse::<ListedDigest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_has_no_status_or_name_says_so() {
        let nothing = ResourceState::default();
        assert_eq!((nothing.status(), nothing.name()), ("unknown", None));
        let named = ResourceState::of([("status", json!("online")), ("name", json!("web"))]);
        assert_eq!((named.status(), named.name()), ("online", Some("web")));
    }
}
