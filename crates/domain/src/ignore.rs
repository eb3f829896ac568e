//! Keys of a container's configuration that somebody else may change without it being drift: which documents may name, and what that
//! comes to. Pure.
//!
//! What is ignored is shown and not told, and nothing puts it back. What says whose a container is, or keeps it safe, is never ignored:
//! where a key holds such a part beside others, a difference in that part is told all the same.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::AppClass;
use crate::drift::{Drift, mac_of};

/// Keys of a container's configuration, as Proxmox VE's API tells them (`GET /nodes/{node}/lxc/{vmid}/config`).
const PLAIN: &[&str] = &[
    "arch",
    "cmode",
    "console",
    "cores",
    "cpulimit",
    "cpuunits",
    "debug",
    "description",
    "entrypoint",
    "env",
    "features",
    "hookscript",
    "hostname",
    "lock",
    "lxc",
    "memory",
    "nameserver",
    "onboot",
    "ostype",
    "protection",
    "rootfs",
    "searchdomain",
    "startup",
    "swap",
    "tags",
    "template",
    "timezone",
    "tty",
    "unprivileged",
];
/// Keys with a number behind their name, and the last number (`PVE::LXC::Config`: `$MAX_DEVICES`, `$MAX_MOUNT_POINTS`,
/// `$MAX_LXC_NETWORKS`, `$MAX_UNUSED_DISKS`).
const NUMBERED: &[(&str, u16)] = &[("dev", 255), ("mp", 255), ("net", 31), ("unused", 255)];

/// A key that is never ignored, and why.
type Kept = (&'static str, &'static str);

const KEPT: &[Kept] = &[
    (
        "lock",
        "it says who is at work on the container right now, and is never taken for drift",
    ),
    (
        "protection",
        "it keeps the container from being destroyed by mistake",
    ),
    (
        "template",
        "a container that was made a template never runs again",
    ),
    (
        "unprivileged",
        "it says how far the container is kept apart from its node",
    ),
];
/// Of a container that we made.
const KEPT_OF_OURS: &[Kept] = &[(
    "description",
    "the mark in it says that the container is Proximity's own",
)];

/// Keys that are never ignored of an app of this class.
fn kept(class: AppClass) -> impl Iterator<Item = &'static Kept> {
    let of_class = match class {
        AppClass::Native => KEPT_OF_OURS,
        AppClass::Adopted => &[],
    };
    KEPT.iter().chain(of_class)
}

/// What documents may name in place of a key: the key as Proxmox VE writes it (`memory`, `net0`), or how several begin, with a star behind
/// that (`net*`). There is a key that it means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyPattern(String);

/// Why a text names no keys that are ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// No key is called so, or begins so.
    #[error("{0:?} means no key of a container's configuration")]
    Unknown(String),
    /// It means a key that is never ignored.
    #[error("{}{key} is never ignored: {why}", besides(pattern, key))]
    Kept {
        /// The text.
        pattern: String,
        /// The key.
        key: &'static str,
        /// Why, a clause.
        why: &'static str,
    },
}

fn besides(pattern: &str, key: &str) -> String {
    match pattern == key {
        true => String::new(),
        false => format!("{pattern:?} means {key} as well, and "),
    }
}

impl KeyPattern {
    /// A text that names keys of an app of this class.
    ///
    /// # Errors
    /// No key is called so; one that it means is never ignored.
    pub fn of(text: &str, class: AppClass) -> Result<Self, BadPattern> {
        let pattern: Self = text.parse()?;
        match kept(class).find(|(key, _)| pattern.matches(key)) {
            Some(&(key, why)) => Err(BadPattern::Kept {
                pattern: text.to_owned(),
                key,
                why,
            }),
            None => Ok(pattern),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// It means this text, if that is a key.
    fn matches(&self, key: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == self.0,
        }
    }
}

impl FromStr for KeyPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let is_known = match text.strip_suffix('*') {
            Some(start) => begins_a_key(start),
            None => is_key(text),
        };
        match is_known {
            true => Ok(Self(text.to_owned())),
            false => Err(BadPattern::Unknown(text.to_owned())),
        }
    }
}

impl TryFrom<String> for KeyPattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        text.parse()
    }
}

impl From<KeyPattern> for String {
    fn from(pattern: KeyPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names of all keys, in order; of those with a number what stands before it.
pub fn key_names() -> impl Iterator<Item = &'static str> {
    let numbered = NUMBERED.iter().map(|(name, _)| *name);
    PLAIN.iter().copied().chain(numbered)
}

/// Whether keys of this name have a number behind it.
#[must_use]
pub fn is_numbered(name: &str) -> bool {
    NUMBERED.iter().any(|(numbered, _)| *numbered == name)
}

/// Whether this is a key of a container's configuration.
fn is_key(text: &str) -> bool {
    let mut numbered = NUMBERED.iter();
    PLAIN.contains(&text)
        || numbered.any(|(name, last)| {
            let number = text.strip_prefix(*name);
            number.is_some_and(|number| is_number(number, *last))
        })
}

fn begins_a_key(start: &str) -> bool {
    let mut numbered = NUMBERED.iter();
    PLAIN.iter().any(|key| key.starts_with(start))
        || numbered.any(|(name, last)| match start.strip_prefix(*name) {
            Some("") | None => name.starts_with(start),
            Some(number) => is_number(number, *last),
        })
}

/// A number as it stands behind a name: without a sign or zeros in front.
fn is_number(text: &str, last: u16) -> bool {
    let is_plain = text == "0" || !text.starts_with('0');
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain && is_digits && text.parse::<u16>().is_ok_and(|number| number <= last)
}

/// All that documents want ignored of one app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ignored(Vec<KeyPattern>);

impl FromIterator<KeyPattern> for Ignored {
    fn from_iter<I: IntoIterator<Item = KeyPattern>>(patterns: I) -> Self {
        Self(patterns.into_iter().collect())
    }
}

impl Ignored {
    /// Nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As documents write it.
    #[must_use]
    pub fn patterns(&self) -> &[KeyPattern] {
        &self.0
    }

    /// Whether this key of a container of such an app is ignored. What is no key of a configuration (`power`, `node`) never is.
    #[must_use]
    pub fn means(&self, class: AppClass, key: &str) -> bool {
        let is_kept = kept(class).any(|(kept, _)| *kept == key);
        !is_kept && is_key(key) && self.0.iter().any(|pattern| pattern.matches(key))
    }

    /// What differs between a container that was taken over and the day of its adoption, in two parts: what is told, and what is ignored.
    #[must_use]
    pub fn part(&self, differing: Vec<Drift>) -> (Vec<Drift>, Vec<Drift>) {
        let differing = differing.into_iter();
        differing.partition(|drift| !self.covers(drift))
    }

    fn covers(&self, drift: &Drift) -> bool {
        self.means(AppClass::Adopted, &drift.key) && keeps_identity(drift)
    }
}

/// What the container is recognised by is the same on both sides: the MAC of its first network device, the volume of its root file system.
fn keeps_identity(drift: &Drift) -> bool {
    let (then, now) = (drift.then.as_ref(), drift.now.as_ref());
    match drift.key.as_str() {
        "net0" => then.and_then(mac_of) == now.and_then(mac_of),
        "rootfs" => then.and_then(volume_of) == now.and_then(volume_of),
        _ => true,
    }
}

/// The volume in the value of `rootfs`.
fn volume_of(value: &Value) -> Option<&str> {
    let mut parts = value.as_str()?.split(',');
    parts.find_map(|part| match part.split_once('=') {
        Some(("volume", volume)) => Some(volume),
        Some(_) => None,
        None => Some(part),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::drift::drift;

    const CLASSES: [AppClass; 2] = [AppClass::Native, AppClass::Adopted];

    fn ignored(patterns: &[&str]) -> Ignored {
        let patterns = patterns.iter().map(|text| text.parse().unwrap());
        patterns.collect()
    }

    #[test]
    fn a_pattern_is_a_key_or_how_some_begin() {
        for text in [
            "memory", "net0", "net31", "net*", "net3*", "mp255", "m*", "lxc", "unused0", "s*",
        ] {
            assert!(text.parse::<KeyPattern>().is_ok(), "{text}");
        }
        let numbers = ["net", "net32", "net32*", "net00", "net+1", "mp256"];
        let stars = ["*net", "n*0", "net**", "x*"];
        let others = ["", "mem", "Memory", "power", "digest", "lxc.a", "tags "];
        for text in [&numbers[..], &stars, &others].concat() {
            let bad = text.parse::<KeyPattern>().unwrap_err();
            assert_eq!(bad, BadPattern::Unknown(text.to_owned()));
            assert!(serde_json::from_value::<KeyPattern>(json!(text)).is_err());
        }
    }

    #[test]
    fn what_says_whose_it_is_or_keeps_it_safe_is_never_ignored() {
        let key = |text: &str, class| match KeyPattern::of(text, class) {
            Err(BadPattern::Kept { key, .. }) => Some(key),
            Err(BadPattern::Unknown(_)) => panic!("{text} is unknown"),
            Ok(_) => None,
        };
        for class in CLASSES {
            for text in ["lock", "protection", "template", "unprivileged"] {
                assert_eq!(key(text, class), Some(text));
            }
            for (text, other) in [("p*", "protection"), ("t*", "template"), ("*", "lock")] {
                assert_eq!(key(text, class), Some(other), "{text}");
            }
            for text in ["tags", "net*", "memory", "rootfs", "m*"] {
                assert_eq!(key(text, class), None, "{text}");
            }
            // Whatever was written down: a plan and the record are read without the class.
            let all = ignored(&["*"]);
            assert!(!all.means(class, "protection") && all.means(class, "tags"));
            assert!(!all.means(class, "power") && !all.means(class, "node"));
        }
        assert_eq!(key("description", AppClass::Native), Some("description"));
        assert_eq!(key("d*", AppClass::Native), Some("description"));
        assert_eq!(key("description", AppClass::Adopted), None);
        let told = KeyPattern::of("p*", AppClass::Native).unwrap_err();
        assert_eq!(
            told.to_string(),
            "\"p*\" means protection as well, and protection is never ignored: it keeps the container from being destroyed by mistake"
        );
        let told = KeyPattern::of("lock", AppClass::Native).unwrap_err();
        assert!(told.to_string().starts_with("lock is never ignored: "));
    }

    fn change(key: &str, then: Option<&str>, now: Option<&str>) -> Drift {
        Drift {
            key: key.to_owned(),
            then: then.map(|value| json!(value)),
            now: now.map(|value| json!(value)),
        }
    }

    #[test]
    fn what_a_container_is_recognised_by_is_told_though_its_key_is_ignored() {
        let all = ignored(&["net*", "rootfs"]);
        let covers = |key: &str, then, now| all.covers(&change(key, Some(then), Some(now)));
        let net = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:00:01";
        assert!(covers(
            "net0",
            net,
            "name=eth0,bridge=vmbr1,hwaddr=bc:24:11:aa:00:01,firewall=1"
        ));
        let other = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:00:02";
        assert!(!covers("net0", net, other));
        assert!(covers("net1", net, other), "it is not known by that one");
        assert!(!all.covers(&change("net0", Some(net), None)));
        assert!(covers("rootfs", "a:1,size=8G", "a:1,size=9G"));
        assert!(covers("rootfs", "a:1,size=8G", "size=9G,volume=a:1"));
        assert!(!covers("rootfs", "a:1,size=8G", "a:2,size=8G"));
    }

    #[test]
    fn it_is_kept_as_documents_write_it() {
        let some = ignored(&["memory", "net*"]);
        let text = json!(["memory", "net*"]);
        assert_eq!(serde_json::to_value(&some).unwrap(), text);
        let read: Ignored = serde_json::from_value(text).unwrap();
        assert_eq!(read, some);
        assert!(Ignored::default().is_empty() && !some.is_empty());
        assert_eq!(some.patterns()[1].to_string(), "net*");
        assert!(key_names().all(|name| is_key(name) != is_numbered(name)));
    }

    fn config() -> impl Strategy<Value = BTreeMap<String, Value>> {
        let keys = vec!["cores", "lock", "memory", "mp0", "net1", "onboot", "tags"];
        let key = prop::sample::select(keys);
        let values = prop::collection::btree_map(key, 0_u8..3, 0..8);
        values.prop_map(|values| {
            let values = values.into_iter();
            let values = values.map(|(key, value)| (key.to_owned(), json!(value)));
            values.collect()
        })
    }

    proptest! {
        #[test]
        fn all_that_differs_is_told_or_ignored_and_nothing_that_is_not_named(
            then in config(),
            now in config(),
            named in prop::sample::subsequence(vec!["cores", "m*", "memory", "net*"], 0..=4),
        ) {
            let all = drift(&then, &now);
            let some = ignored(&named);
            let (told, left) = some.part(all.clone());
            prop_assert_eq!(told.len() + left.len(), all.len());
            for drift in &left {
                prop_assert!(some.means(AppClass::Adopted, &drift.key));
            }
            for drift in &told {
                prop_assert!(!some.means(AppClass::Adopted, &drift.key));
            }
            prop_assert_eq!(Ignored::default().part(all.clone()), (all, Vec::new()));
        }
    }
}
