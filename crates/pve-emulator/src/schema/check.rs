//! Parameter verification: which values a definition accepts, and PVE's words for the refusal.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pattern;
use super::property_string;
use super::table::{Format, Method, Property, Variants};
use super::{format, registered};

/// Parameters of a call by name. Urlencoded values are strings; JSON bodies keep their types.
pub type Params = BTreeMap<String, Value>;

/// Refused parameters by path, e.g. `net0` or `vms[0]`.
pub type Errors = BTreeMap<String, String>;

const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";
const MISSING: &str = "property is missing and it is not optional";

/// Joins what came as several values where one text with a list in it is wanted, as PVE does with repeated keys of a form
/// (pve-common, `RESTHandler`, `normalize_legacy_param_formats`). Only the parameters themselves, nothing inside them.
pub fn join_lists(method: &Method, params: &mut Params) {
    for (name, value) in params {
        let Value::Array(elements) = value else {
            continue;
        };
        let wanted = method.parameter(name).is_some_and(|property| {
            let list =
                matches!(&property.format, Some(Format::Named(name)) if name.ends_with("-list"));
            list && property.kind.as_deref() == Some("string")
        });
        if wanted && !elements.is_empty() {
            let texts: Vec<String> = elements.iter().filter_map(perl_text).collect();
            *value = Value::String(texts.join(","));
        }
    }
}

/// Checks all parameters of a call; empty means accepted.
pub fn verify(method: &Method, params: &Params) -> Errors {
    let mut errors = Errors::new();
    for (name, property) in &method.parameters {
        let indexed = name.ends_with("[n]");
        if !indexed
            && !property.optional
            && given(params, name).is_none()
            && property.type_property.is_none()
        {
            add(&mut errors, name, MISSING.to_owned());
        }
    }
    if let Some(variants) = &method.variants {
        verify_variant(variants, params, &mut errors);
    }
    for (name, value) in params {
        match method.parameter(name) {
            Some(_) if belongs_to_variant(method, name) => {}
            None if method.open => {}
            None => add(&mut errors, name, UNKNOWN.to_owned()),
            Some(property) => {
                if let Some(required) = &property.requires
                    && given(params, required).is_none()
                {
                    add(
                        &mut errors,
                        required,
                        format!("missing property required by '{name}'"),
                    );
                }
                if !value.is_null() {
                    check_property(property, value, name, &mut errors);
                }
            }
        }
    }
    errors
}

fn belongs_to_variant(method: &Method, name: &str) -> bool {
    let variants = method.variants.as_ref();
    variants.is_some_and(|variants| variants.kinds.values().any(|its| its.contains_key(name)))
}

/// What the deciding parameter's value demands, and nothing that only goes with others (pve-common, `check_one_of`).
fn verify_variant(variants: &Variants, params: &Params, errors: &mut Errors) {
    let kind = given(params, &variants.by).and_then(perl_text);
    if kind.is_none() {
        add(errors, &variants.by, MISSING.to_owned());
    }
    let its = kind.and_then(|kind| Some((variants.kinds.get(&kind)?, kind)));
    let known = |name: &str| variants.kinds.values().any(|its| its.contains_key(name));
    for name in params.keys().filter(|name| known(name)) {
        if !its.as_ref().is_some_and(|(its, _)| its.contains_key(name)) {
            add(errors, name, UNKNOWN.to_owned());
        }
    }
    let Some((its, kind)) = its else { return };
    for (name, property) in its {
        let path = format!("oneOf[{kind}].{name}");
        match given(params, name) {
            Some(value) => check_property(property, value, &path, errors),
            None if !property.optional => add(errors, &path, MISSING.to_owned()),
            None => {}
        }
    }
}

fn given<'a>(params: &'a Params, name: &str) -> Option<&'a Value> {
    params.get(name).filter(|value| !value.is_null())
}

/// A second complaint about the same place is appended after a literal backslash and `n`, as PVE
/// does.
pub(super) fn add(errors: &mut Errors, path: &str, message: String) {
    errors
        .entry(path.to_owned())
        .and_modify(|first| {
            first.push_str("\\n");
            first.push_str(&message);
        })
        .or_insert(message);
}

/// Checks one given value.
pub(super) fn check_property(property: &Property, value: &Value, path: &str, errors: &mut Errors) {
    if property.type_property.is_some() {
        return;
    }
    if !property.one_of.is_empty() {
        return check_alternatives(property, value, path, errors);
    }
    // One value where a list is wanted is a list of one.
    if property.kind.as_deref() == Some("array")
        && matches!(value, Value::String(_) | Value::Number(_))
        && let Some(items) = &property.items
    {
        return check_property(items, value, &format!("{path}[0]"), errors);
    }
    if let Err(message) = check_type(property.kind.as_deref(), value) {
        return add(errors, path, message);
    }
    if let Value::Array(elements) = value {
        for (index, element) in elements.iter().enumerate() {
            if let Some(items) = &property.items {
                check_property(items, element, &format!("{path}[{index}]"), errors);
            }
        }
        return;
    }
    if let Some(text) = perl_text(value)
        && let Err(message) = check_text(property, &text, path)
    {
        add(errors, path, message);
    }
}

fn check_alternatives(property: &Property, value: &Value, path: &str, errors: &mut Errors) {
    let mut collected = Errors::new();
    for alternative in &property.one_of {
        let mut inner = Errors::new();
        check_property(alternative, value, path, &mut inner);
        if inner.is_empty() {
            return;
        }
        for (place, message) in inner {
            add(&mut collected, &place, message);
        }
    }
    for (place, message) in collected {
        add(errors, &place, message);
    }
}

fn check_type(kind: Option<&str>, value: &Value) -> Result<(), String> {
    let Some(kind) = kind else { return Ok(()) };
    let failed = |got: &str| Err(format!("type check ('{kind}') failed - got {got}"));
    match (kind, value) {
        ("array", Value::Array(_)) | ("object", Value::Object(_)) => Ok(()),
        ("array" | "object", _) => Err(format!("type check ('{kind}') failed")),
        ("boolean", Value::Bool(_)) => Ok(()),
        (_, Value::Bool(_)) => failed("JSON::PP::Boolean"),
        (_, Value::Array(_)) => failed("ARRAY"),
        (_, Value::Object(_)) => failed("HASH"),
        (_, Value::Null) => Ok(()),
        (_, Value::String(_) | Value::Number(_)) => {
            let text = perl_text(value).unwrap_or_default();
            let fits = match kind {
                "boolean" => text == "0" || text == "1",
                "integer" => is_integer(&text),
                "number" => is_number(&text),
                _ => true,
            };
            if fits {
                Ok(())
            } else {
                failed(&format!("'{text}'"))
            }
        }
    }
}

fn check_text(property: &Property, text: &str, path: &str) -> Result<(), String> {
    match &property.format {
        Some(Format::Named(name)) => match registered::check(name, text, path) {
            Some(fits) => fits.map_err(|e| format!("invalid format - {e}"))?,
            None => {
                format::check_named(name, text).map_err(|e| format!("invalid format - {e}\n"))?
            }
        },
        Some(Format::Keys(keys)) => {
            property_string::parse_at(keys, text, path)
                .map_err(|e| format!("invalid format - {e}"))?;
        }
        None => {}
    }
    if let Some(expression) = &property.pattern
        && !pattern::matches(expression, text)
    {
        return Err("value does not match the regex pattern".into());
    }
    check_bounds(property, text)?;
    if let Some(values) = &property.values {
        let names: Vec<String> = values.iter().filter_map(perl_text).collect();
        if !names.iter().any(|name| name == text) {
            let known = names.join(", ");
            return Err(format!(
                "value '{text}' does not have a value in the enumeration '{known}'"
            ));
        }
    }
    Ok(())
}

fn check_bounds(property: &Property, text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if let Some(max) = property.max_length.filter(|max| length > *max) {
        return Err(format!("value may only be {max} characters long"));
    }
    if let Some(min) = property.min_length.filter(|min| length < *min) {
        return Err(format!("value must be at least {min} characters long"));
    }
    if !is_number(text) {
        return Ok(());
    }
    let number: f64 = text.trim_start_matches('+').parse().unwrap_or(f64::NAN);
    if let Some(max) = property.maximum.as_ref().filter(|max| number > max.value) {
        return Err(format!("value must have a maximum value of {}", max.text));
    }
    if let Some(min) = property.minimum.as_ref().filter(|min| number < min.value) {
        return Err(format!("value must have a minimum value of {}", min.text));
    }
    Ok(())
}

/// A scalar as Perl would print it; nothing for null, arrays and objects.
pub fn perl_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("1".into()),
        Value::Bool(false) => Some("0".into()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let dots = mantissa.bytes().filter(|b| *b == b'.').count();
    let clean = digits > 0 && dots <= 1 && digits + dots == mantissa.len();
    clean && exponent.is_none_or(is_integer)
}
