//! Configuration files of the cluster that consist of named sections: rules of high availability, metric servers,
//! realms … Values are texts, as in the files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::call::Call;
use super::error::ApiError;
use super::world::World;
use crate::schema::{perl_text, split_list, table};

/// One section of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// What stands before its name, e.g. `node-affinity`.
    pub(crate) kind: String,
    pub(crate) keys: BTreeMap<String, String>,
}

impl Section {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// A switch that is on.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }
}

/// A file: its sections in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sections(Vec<Section>);

impl Sections {
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Section> {
        self.0.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Section> {
        self.0.iter().find(|section| section.name == name)
    }

    /// Puts a section in, in place of the one of its name or at the end.
    pub(crate) fn put(&mut self, section: Section) {
        match self.0.iter_mut().find(|found| found.name == section.name) {
            Some(found) => *found = section,
            None => self.0.push(section),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Section> {
        let at = self.0.iter().position(|section| section.name == name)?;
        Some(self.0.remove(at))
    }

    /// Keeps the sections that are wanted.
    pub(crate) fn retain(&mut self, wanted: impl FnMut(&mut Section) -> bool) {
        self.0.retain_mut(wanted);
    }

    /// SHA-1 of the file, hex; that of nothing when there is no section.
    pub(crate) fn digest(&self) -> String {
        let text: String = self.0.iter().map(text).collect();
        hex::encode(Sha1::digest(text.as_bytes()))
    }
}

fn text(section: &Section) -> String {
    let mut text = format!("{}: {}\n", section.kind, section.name);
    for (key, value) in &section.keys {
        text.push_str(&format!("\t{key} {value}\n"));
    }
    text.push('\n');
    text
}

static NOTHING: Sections = Sections(Vec::new());

impl World {
    /// A file by its name below `/etc/pve`.
    pub(crate) fn file(&self, name: &str) -> &Sections {
        self.files.get(name).unwrap_or(&NOTHING)
    }

    /// The same to change.
    pub(crate) fn file_mut(&mut self, name: &str) -> &mut Sections {
        self.files.entry(name.to_owned()).or_default()
    }
}

/// What may be done to an option of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Optional,
    Required,
    Fixed,
}

/// PVE's refusal when a file changed meanwhile.
pub(crate) fn check_digest(given: Option<&str>, found: &str) -> Result<(), ApiError> {
    match given {
        Some(given) if !given.is_empty() && given != found => Err(ApiError::died(
            "detected modified configuration - file changed by other user? Try again.",
        )),
        _ => Ok(()),
    }
}

/// Takes keys out of a section, in the words of `SectionConfig`.
pub(crate) fn remove_keys(
    keys: &mut BTreeMap<String, String>,
    list: &str,
    option: impl Fn(&str) -> Option<Kept>,
) -> Result<(), ApiError> {
    for key in split_list(list) {
        match option(key) {
            None => return Err(ApiError::died(format!("no such option '{key}'"))),
            Some(Kept::Required) => {
                let text = format!("unable to delete required option '{key}'");
                return Err(ApiError::died(text));
            }
            Some(Kept::Fixed) => {
                let text = format!("unable to delete fixed option '{key}'");
                return Err(ApiError::died(text));
            }
            Some(Kept::Optional) => keys.remove(key),
        };
    }
    Ok(())
}

/// The given parameters as texts, without those that are no keys.
pub(crate) fn given(call: &Call<'_>, foreign: &[&str]) -> BTreeMap<String, String> {
    let names = call.params.iter();
    names
        .filter(|(name, _)| !foreign.contains(&name.as_str()))
        .filter_map(|(name, value)| {
            let text = match value {
                Value::Array(list) => {
                    let parts: Vec<String> = list.iter().filter_map(perl_text).collect();
                    Some(parts.join(","))
                }
                other => perl_text(other),
            };
            Some((name.clone(), text?))
        })
        .collect()
}

/// A value in the type that a method's schema has for it.
pub(crate) fn typed((verb, path): (&str, &str), key: &str, text: &str) -> Value {
    let method = table().lookup(verb, path);
    let property = method.and_then(|found| found.method.parameter(key));
    let number = match property.and_then(|property| property.kind.as_deref()) {
        Some("boolean" | "integer") => text.parse::<i64>().ok().map(Value::from),
        Some("number") => text.parse::<f64>().ok().map(|number| {
            if number.fract() == 0.0 {
                json!(text.parse::<i64>().unwrap_or_default())
            } else {
                json!(number)
            }
        }),
        Some(_) | None => None,
    };
    number.unwrap_or_else(|| text.into())
}

/// A section's keys in the types of a method.
pub(crate) fn fields(section: &Section, method: (&str, &str)) -> Map<String, Value> {
    let keys = section.keys.iter();
    keys.map(|(key, value)| (key.clone(), typed(method, key, value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_an_empty_file_is_that_of_nothing_and_changes_with_each_key() {
        let mut file = Sections::default();
        assert_eq!(file.digest(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let mut section = Section {
            name: "one".into(),
            kind: "graphite".into(),
            keys: BTreeMap::new(),
        };
        file.put(section.clone());
        let before = file.digest();
        section.keys.insert("port".into(), "2003".into());
        file.put(section);
        assert!(file.digest() != before && file.iter().count() == 1);
        assert!(file.remove("one").is_some() && file.remove("one").is_none());
    }

    #[test]
    fn what_is_required_or_unknown_is_not_removed() {
        let mut keys = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let option = |key: &str| match key {
            "a" => Some(Kept::Optional),
            "b" => Some(Kept::Required),
            "c" => Some(Kept::Fixed),
            _ => None,
        };
        let said = |list: &str, keys: &mut BTreeMap<String, String>| {
            remove_keys(keys, list, option).map_err(|error| error.text())
        };
        assert_eq!(
            said("b", &mut keys),
            Err("unable to delete required option 'b'".into())
        );
        assert_eq!(
            said("c", &mut keys),
            Err("unable to delete fixed option 'c'".into())
        );
        assert_eq!(said("d", &mut keys), Err("no such option 'd'".into()));
        assert_eq!(said("a", &mut keys), Ok(()));
        assert!(keys.is_empty());
    }
}
