//! Whether an answer is what Proxmox VE's schema says the method returns.

use std::collections::{BTreeMap, BTreeSet};

use proximity_pve_emulator::schema::table;
use serde_json::Value;

use crate::scenario::Scenario;

/// One way in which an answer is not as the schema says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deviation {
    /// `VERB schema-path`.
    pub method: String,
    /// Where in the answer, e.g. `[].prefix`; empty for all of it.
    pub place: String,
    pub what: String,
}

/// What methods return.
pub struct Returns {
    definitions: Vec<Value>,
    methods: BTreeMap<String, usize>,
}

impl Returns {
    pub fn load() -> Self {
        let text = include_str!("../../assets/returns-9.2.11.json");
        let document: Value = serde_json::from_str(text).unwrap();
        let method = |entry: &Value| {
            let name = format!(
                "{} {}",
                entry["method"].as_str().unwrap(),
                entry["path"].as_str().unwrap()
            );
            let at = entry["returns"].as_u64().unwrap();
            (name, usize::try_from(at).unwrap())
        };
        Self {
            definitions: document["definitions"].as_array().unwrap().clone(),
            methods: document["methods"]
                .as_array()
                .unwrap()
                .iter()
                .map(method)
                .collect(),
        }
    }

    /// Deviations of an answer; `path` is below the format, e.g. `/nodes/pve1/lxc`. None if the schema says nothing of it.
    pub fn check(&self, verb: &str, path: &str, body: &Value) -> Option<BTreeSet<Deviation>> {
        let found = table().lookup(verb, path)?;
        let method = format!("{verb} {}", found.method.path);
        let definition = &self.definitions[*self.methods.get(&method)?];
        let mut deviations = BTreeSet::new();
        let mut note = |place: &str, what: String| {
            deviations.insert(Deviation {
                method: method.clone(),
                place: place.to_owned(),
                what,
            });
        };
        check(definition, &body["data"], "", &mut note);
        Some(deviations)
    }

    /// Those of all answers in these recordings.
    pub fn deviations(&self, recordings: &[Scenario]) -> BTreeSet<Deviation> {
        let steps = recordings.iter().flat_map(|scenario| scenario.steps());
        let found = steps.filter_map(|step| {
            let answer = &step["response"];
            let path = step["path"].as_str()?.strip_prefix("/api2/json")?;
            let path = path.split('?').next()?;
            let well = answer["status"] == 200 && answer["body"].is_object();
            well.then(|| self.check(step["method"].as_str()?, path, &answer["body"]))?
        });
        found.flatten().collect()
    }
}

/// The kind of a value, in the schema's words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Perl has no booleans, and a whole number is a number.
fn is_of(wanted: &str, value: &Value) -> bool {
    match wanted {
        "any" => true,
        "boolean" => value.is_boolean() || matches!(value.as_u64(), Some(0 | 1)),
        "number" => value.is_number(),
        wanted => kind(value) == wanted,
    }
}

fn check(definition: &Value, value: &Value, place: &str, note: &mut dyn FnMut(&str, String)) {
    if let Some(variants) = definition["oneOf"].as_array() {
        let fits = |variant: &Value| {
            let mut fits = true;
            check(variant, value, place, &mut |_, _| fits = false);
            fits
        };
        if !variants.iter().any(fits) {
            note(place, "none of the variants".to_owned());
        }
        return;
    }
    if let Some(wanted) = definition["type"].as_str()
        && !is_of(wanted, value)
    {
        return note(place, format!("{} in place of {wanted}", kind(value)));
    }
    if let Some(allowed) = definition["enum"].as_array()
        && !allowed.contains(value)
    {
        note(place, format!("{value}, which is not in the list"));
    }
    if let Some(number) = value.as_f64() {
        let limit = |name: &str| definition[name].as_f64();
        if limit("minimum").is_some_and(|least| number < least)
            || limit("maximum").is_some_and(|most| number > most)
        {
            note(place, "beyond its limits".to_owned());
        }
    }
    match value {
        Value::Array(elements) if definition["items"].is_object() => {
            for element in elements {
                check(&definition["items"], element, &format!("{place}[]"), note);
            }
        }
        Value::Object(fields) => {
            let Some(properties) = definition["properties"].as_object() else {
                return;
            };
            for (name, property) in properties {
                let place = format!("{place}.{name}");
                match fields.get(name) {
                    Some(value) => check(property, value, &place, note),
                    None if property["optional"] == 1 => {}
                    None => note(&place, "missing".to_owned()),
                }
            }
            let closed = definition["additionalProperties"] == 0;
            for name in fields
                .keys()
                .filter(|name| closed && !properties.contains_key(*name))
            {
                note(&format!("{place}.{name}"), "not in the schema".to_owned());
            }
        }
        _ => {}
    }
}
