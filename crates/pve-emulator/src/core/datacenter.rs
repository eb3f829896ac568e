//! Options of the whole cluster (pve-cluster, `DataCenterConfig.pm`), and what follows from them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::guest_config::normal_description;
use super::rights::Rights;
use super::world::World;
use crate::schema::{Format, Property, parse_property_string, split_list, table};

/// Prefix of generated network addresses, unless another one is set.
pub(crate) const MAC_PREFIX: &str = "BC:24:11";

/// Options as they were given.
pub(crate) type Options = BTreeMap<String, String>;

/// How tags are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TagStyle {
    /// Capital letters stay.
    pub(crate) cased: bool,
    /// The order stays.
    pub(crate) as_given: bool,
}

impl TagStyle {
    /// Each tag once, joined by semicolons.
    pub(crate) fn normal(self, list: &str) -> String {
        let mut tags: Vec<String> = split_list(list)
            .into_iter()
            .map(|tag| {
                if self.cased {
                    tag.to_owned()
                } else {
                    tag.to_lowercase()
                }
            })
            .collect();
        if !self.as_given {
            tags.sort();
        }
        let mut seen = BTreeSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        tags.join(";")
    }
}

fn property(key: &str) -> Option<&'static Property> {
    let method = table().lookup("PUT", "/cluster/options")?;
    method.method.parameter(key)
}

/// The parts of an option that has parts.
pub(crate) fn parts(options: &Options, key: &str) -> BTreeMap<String, String> {
    let Some(Format::Keys(keys)) = property(key).and_then(|property| property.format.as_ref())
    else {
        return BTreeMap::new();
    };
    let text = options.get(key).map(String::as_str).unwrap_or_default();
    parse_property_string(keys, text).unwrap_or_default()
}

/// An option as it is shown: those with parts as objects, lists of tags as lists.
fn shown(options: &Options, key: &str, text: &str) -> Value {
    let words = |text: &str| -> Vec<String> { text.split(';').map(str::to_owned).collect() };
    let kind = |property: &Property, text: &str| match property.kind.as_deref() {
        Some("boolean") => json!(u8::from(matches!(text, "1" | "on" | "yes" | "true"))),
        Some(_) | None => json!(text),
    };
    match property(key).map(|property| (property, &property.format)) {
        Some((_, Some(Format::Keys(keys)))) if key != "bwlimit" => {
            let parts = parts(options, key).into_iter().map(|(name, text)| {
                let value = match (name.as_str(), keys.get(&name)) {
                    ("user-allow-list", _) => json!(words(&text)),
                    (_, Some(property)) => kind(property, &text),
                    (_, None) => json!(text),
                };
                (name, value)
            });
            Value::Object(parts.collect())
        }
        Some(_) if key == "registered-tags" => json!(words(text)),
        Some((property, _)) => kind(property, text),
        None => json!(text),
    }
}

/// All options as they are shown to who may see them.
pub(crate) fn all(options: &Options) -> Map<String, Value> {
    let mut row = Map::from_iter([
        ("mac_prefix".to_owned(), json!(MAC_PREFIX)),
        ("description".to_owned(), json!("")),
    ]);
    for (key, text) in options {
        let value = match key.as_str() {
            "description" => json!(normal_description(text)),
            _ => shown(options, key, text),
        };
        row.insert(key.clone(), value);
    }
    row
}

/// Those that everybody may see.
pub(crate) fn open(options: &Options) -> Map<String, Value> {
    let open = ["console", "tag-style"];
    let mut row = all(options);
    row.retain(|key, _| open.contains(&key.as_str()));
    row
}

impl World {
    /// How tags are written here.
    pub(crate) fn tag_style(&self) -> TagStyle {
        let parts = parts(&self.datacenter, "tag-style");
        let is = |key: &str, value: &str| parts.get(key).is_some_and(|text| text == value);
        TagStyle {
            cased: is("case-sensitive", "1"),
            as_given: is("ordering", "config"),
        }
    }
}

/// Tags somebody may set, those that are reserved, and whether any other is free.
pub(crate) struct TagRights {
    pub(crate) allowed: BTreeSet<String>,
    pub(crate) reserved: BTreeSet<String>,
    pub(crate) free: bool,
}

/// What a caller may do with tags (pve-guest-common, `GuestHelpers.pm`, `get_allowed_tags`).
pub(crate) fn tag_rights(rights: Rights<'_>) -> TagRights {
    let options = &rights.world.datacenter;
    let privileged = rights.has("/", "Sys.Modify");
    let words = |text: Option<&String>| -> BTreeSet<String> {
        let text = text.cloned().unwrap_or_default();
        text.split(';')
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let reserved = words(options.get("registered-tags"));
    let access = parts(options, "user-tag-access");
    let mode = access.get("user-allow").map_or("free", String::as_str);
    let mut allowed = BTreeSet::new();
    if mode != "none" || privileged {
        allowed.extend(words(access.get("user-allow-list")));
    }
    if matches!(mode, "free" | "existing") || privileged {
        let seen = rights
            .world
            .guests()
            .filter(|(vmid, _)| privileged || rights.has(&format!("/vms/{vmid}"), "VM.Audit"));
        for (_, guest) in seen {
            let list = guest.config.get("tags").unwrap_or_default();
            allowed.extend(split_list(list).into_iter().map(str::to_owned));
        }
    }
    if privileged {
        allowed.extend(reserved.iter().cloned());
    } else {
        allowed.retain(|tag| !reserved.contains(tag));
    }
    TagRights {
        allowed,
        reserved,
        free: mode == "free",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_the_style_says() {
        let style = |cased, as_given| TagStyle { cased, as_given };
        assert_eq!(style(false, false).normal("b;a;A"), "a;b");
        assert_eq!(style(false, false).normal("web,Blue web"), "blue;web");
        assert_eq!(style(false, true).normal("web,Blue web"), "web;blue");
        assert_eq!(style(true, true).normal("b;A;a;A"), "b;A;a");
    }

    #[test]
    fn options_with_parts_are_shown_as_objects() {
        let pairs = [
            ("tag-style", "case-sensitive=1,ordering=config"),
            ("registered-tags", "a;b"),
            ("keyboard", "de"),
            ("description", "one"),
            ("migration", "secure,network=10.0.0.0/8"),
        ];
        let options = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let row = Value::Object(all(&options.into()));
        assert_eq!(
            row["tag-style"],
            json!({"case-sensitive": 1, "ordering": "config"})
        );
        assert_eq!(row["registered-tags"], json!(["a", "b"]));
        assert_eq!(row["description"], "one\n");
        assert_eq!(row["migration"]["type"], "secure");
        assert_eq!(
            (&row["keyboard"], &row["mac_prefix"]),
            (&json!("de"), &json!("BC:24:11"))
        );
    }
}
