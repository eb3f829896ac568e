//! Keys that documents want ignored: the rules of what can be named, and what to do about what cannot.

use proximity_domain::app::AppClass;
use proximity_domain::ignore::{BadPattern, KeyPattern, is_numbered, key_names};

use crate::nearest::nearest;
use crate::shape::Rule;

/// Entries of one app's list.
pub(crate) const MOST_IGNORED: usize = 64;
/// As much of the rules as a regular expression is worth saying.
const PATTERN: &str = "^[a-z]+[0-9]*\\*?$";

/// Of an app whose container is made.
pub(crate) static OF_APP: Rule = Rule {
    pattern: PATTERN,
    check: |text| check(text, AppClass::Native),
    hint: Some(hint_of_app),
};
/// Of a container that is taken over.
pub(crate) static OF_ADOPTED: Rule = Rule {
    pattern: PATTERN,
    check: |text| check(text, AppClass::Adopted),
    hint: Some(hint_of_adopted),
};

/// What people write for a key or for something that is none, and what to do.
const OTHERWISE: &[(&str, &str)] = &[
    ("memory_mib", "did you mean `memory`?"),
    ("disk_gib", "did you mean `rootfs`?"),
    ("disk", "did you mean `rootfs`?"),
    (
        "power",
        "leave `power` out of the document instead: then it may run or not",
    ),
    (
        "node",
        "leave `node` out of the document instead: then it may be on any",
    ),
];

/// What keys look like.
const OF_KEYS: &str =
    "a key is written as Proxmox VE does: memory, tags, net0; net* is all that begin so";

fn check(text: &str, class: AppClass) -> Result<(), String> {
    let pattern = KeyPattern::of(text, class);
    pattern.map(drop).map_err(|bad| bad.to_string())
}

fn hint_of_app(text: &str) -> String {
    hint(text, AppClass::Native)
}

fn hint_of_adopted(text: &str) -> String {
    hint(text, AppClass::Adopted)
}

fn hint(text: &str, class: AppClass) -> String {
    match KeyPattern::of(text, class) {
        Err(BadPattern::Kept { pattern, key, .. }) if pattern == key => {
            "take it out of the list".to_owned()
        }
        Err(BadPattern::Kept { .. }) => {
            "name the keys that are meant, or more of how they begin".to_owned()
        }
        Err(BadPattern::Unknown(_)) | Ok(_) => meant(text.trim_end_matches('*')),
    }
}

/// What was probably meant by a name that is no key's.
fn meant(name: &str) -> String {
    if let Some((_, hint)) = OTHERWISE.iter().find(|(word, _)| *word == name) {
        return (*hint).to_owned();
    }
    let family = name.trim_end_matches(|sign: char| sign.is_ascii_digit());
    if is_numbered(family) {
        return format!("write `{family}0` for one of them, and `{family}*` for all");
    }
    match nearest(name, key_names()) {
        Some(key) if is_numbered(key) => format!("did you mean `{key}0`, or `{key}*`?"),
        Some(key) => format!("did you mean `{key}`?"),
        None => OF_KEYS.to_owned(),
    }
}
