//! `key=value,key=value` values such as `net0`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::{Errors, add, check_property};
use super::table::Property;

/// A parsed property string; switches are `0` or `1`.
pub type PropertyMap = BTreeMap<String, String>;

/// Parses and checks a value outside of a call's verification.
///
/// # Errors
/// PVE's text, ending in a newline.
pub fn parse(keys: &BTreeMap<String, Property>, text: &str) -> Result<PropertyMap, String> {
    parse_at(keys, text, "")
}

/// Parses and checks the value of the parameter at `path`.
pub(super) fn parse_at(
    keys: &BTreeMap<String, Property>,
    text: &str,
    path: &str,
) -> Result<PropertyMap, String> {
    let values = split(keys, text)?;
    let errors = check(keys, &values, path);
    if errors.is_empty() {
        return Ok(values);
    }
    let mut message = String::from("format error\n");
    for (place, error) in errors {
        message.push_str(&format!("{place}: {error}\n"));
    }
    Err(message)
}

fn split(keys: &BTreeMap<String, Property>, text: &str) -> Result<PropertyMap, String> {
    let mut values = PropertyMap::new();
    let mut default_seen = false;
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        match part.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                insert(keys, &mut values, key, value)?
            }
            Some(_) => return Err("missing key in comma-separated list property\n".into()),
            None => {
                let default = keys
                    .iter()
                    .find(|(_, property)| property.default_key)
                    .map(|(key, _)| key);
                let Some(key) = default else {
                    return Err(
                        "value without key, but schema does not define a default key\n".into(),
                    );
                };
                if default_seen || values.contains_key(key) {
                    return Err(format!(
                        "duplicate key in comma-separated list property: {key}\n"
                    ));
                }
                default_seen = true;
                values.insert(key.clone(), part.to_owned());
            }
        }
    }
    Ok(values)
}

fn insert(
    keys: &BTreeMap<String, Property>,
    values: &mut PropertyMap,
    key: &str,
    value: &str,
) -> Result<(), String> {
    if values.contains_key(key) {
        return Err(format!(
            "duplicate key in comma-separated list property: {key}\n"
        ));
    }
    let mut target = key;
    if let Some(alias) = keys.get(key).and_then(|property| property.alias.as_deref()) {
        if let Some(key_alias) = keys
            .get(key)
            .and_then(|property| property.key_alias.as_deref())
        {
            if values.contains_key(key_alias) {
                return Err(format!("key alias '{key_alias}' is already defined\n"));
            }
            values.insert(key_alias.to_owned(), key.to_owned());
        }
        target = alias;
    }
    let boolean = keys
        .get(target)
        .and_then(|property| property.kind.as_deref())
        == Some("boolean");
    let value = if boolean { switch(value) } else { value };
    values.insert(target.to_owned(), value.to_owned());
    Ok(())
}

fn switch(value: &str) -> &str {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => "1",
        "0" | "off" | "no" | "false" => "0",
        _ => value,
    }
}

fn check(keys: &BTreeMap<String, Property>, values: &PropertyMap, path: &str) -> Errors {
    let place = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    let mut errors = Errors::new();
    for (key, property) in keys {
        match values.get(key) {
            Some(value) => check_property(
                property,
                &Value::String(value.clone()),
                &place(key),
                &mut errors,
            ),
            None if property.optional || property.alias.is_some() => {}
            None => add(
                &mut errors,
                &place(key),
                "property is missing and it is not optional".into(),
            ),
        }
    }
    for key in values.keys() {
        match keys.get(key) {
            None => add(
                &mut errors,
                &place(key),
                "property is not defined in schema and the schema does not allow additional properties".into(),
            ),
            Some(property) => {
                if let Some(required) = property.requires.as_ref().filter(|name| !values.contains_key(*name)) {
                    let message = format!("missing property required by '{}'", place(key));
                    add(&mut errors, &place(required), message);
                }
            }
        }
    }
    errors
}
