//! A rule, an alias or a member of a set.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

/// What is kept as numbers.
const NUMBERS: [&str; 4] = ["enable", "ipversion", "nomatch", "pos"];

/// Its parts as Perl would print them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) keys: BTreeMap<String, String>,
    /// What is wrong in it, by part.
    pub(crate) errors: BTreeMap<String, String>,
}

impl Row {
    /// Of these parts.
    pub(crate) fn of<const N: usize>(parts: [(&str, &str); N]) -> Self {
        let keys = parts.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self {
            keys: keys.into(),
            errors: BTreeMap::new(),
        }
    }

    /// A part, or the empty text.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.keys.get(key).map_or("", String::as_str)
    }

    /// A part that Perl takes for true.
    pub(crate) fn set(&self, key: &str) -> Option<&str> {
        self.keys
            .get(key)
            .map(String::as_str)
            .filter(|it| is_true(it))
    }

    /// Keeps a part that Perl takes for true.
    pub(crate) fn put(&mut self, key: &str, value: Option<String>) {
        if let Some(value) = value.filter(|value| is_true(value)) {
            self.keys.insert(key.to_owned(), value);
        }
    }

    /// As answers have it.
    pub(crate) fn shown(&self) -> Map<String, Value> {
        let parts = self.keys.iter();
        let mut shown: Map<String, Value> = parts
            .map(|(key, value)| {
                let number = value.parse::<i64>().ok();
                let number = number.filter(|_| NUMBERS.contains(&key.as_str()));
                (
                    key.clone(),
                    number.map_or_else(|| json!(value), Value::from),
                )
            })
            .collect();
        if !self.errors.is_empty() {
            shown.insert("errors".into(), json!(self.errors));
        }
        shown
    }
}

/// Whether Perl takes a text for true.
pub(crate) fn is_true(text: &str) -> bool {
    !matches!(text, "" | "0")
}

/// The digest of a list, or of options as a list of one.
pub(crate) fn digest_of<'a>(rows: impl Iterator<Item = &'a BTreeMap<String, String>>) -> String {
    let mut sum = Sha1::new();
    for (key, value) in rows.flatten() {
        sum.update(format!("{key}:{value}\n").as_bytes());
    }
    hex::encode(sum.finalize())
}
