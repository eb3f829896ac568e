//! Derives `assets/schema-9.2.11.json` and `assets/returns-9.2.11.json` from PVE's own API schema.
//!
//! Usage: `cargo run -p proximity-pve-emulator --example schema_table -- SCHEMA TABLE RETURNS`
//!
//! Kept in the first are the facts a server needs to check a request (names, types, limits, permissions, where a
//! call runs), in the second those by which an answer can be checked; descriptions are left out. Equal definitions are
//! stored once and referred to by index.

use std::collections::HashMap;
use std::error::Error;

use serde_json::{Map, Value, json};

type Failure = Box<dyn Error>;

/// Keys of a parameter definition that decide whether a value is accepted.
const KEPT: [&str; 19] = [
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "optional",
    "default",
    "requires",
    "items",
    "default_key",
    "alias",
    "keyAlias",
    "oneOf",
    "instance-types",
    "type-property",
    "properties",
];

/// Keys of a definition that decide whether an answer is as it says.
const KEPT_OF_ANSWERS: [&str; 9] = [
    "type",
    "enum",
    "minimum",
    "maximum",
    "optional",
    "items",
    "properties",
    "additionalProperties",
    "oneOf",
];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, schema, output, returns] = arguments.as_slice() else {
        return Err("usage: schema_table SCHEMA TABLE RETURNS".into());
    };
    let tree: Vec<Value> = serde_json::from_slice(&std::fs::read(schema)?)?;
    let mut table = Table::default();
    for node in &tree {
        table.visit(node)?;
    }
    write(
        output,
        &json!({"properties": table.properties, "methods": table.methods}),
    )?;
    let mut answers = Answers::default();
    for node in &tree {
        answers.visit(node)?;
    }
    write(
        returns,
        &json!({"definitions": answers.definitions, "methods": answers.methods}),
    )
}

fn write(path: &str, document: &Value) -> Result<(), Failure> {
    let mut bytes = serde_json::to_vec(document)?;
    bytes.push(b'\n');
    std::fs::write(path, bytes)?;
    Ok(())
}

/// What methods give back.
#[derive(Default)]
struct Answers {
    definitions: Vec<Value>,
    index: HashMap<String, usize>,
    methods: Vec<Value>,
}

impl Answers {
    fn visit(&mut self, node: &Value) -> Result<(), Failure> {
        let path = node["path"].as_str().ok_or("a node without path")?;
        for (verb, method) in node["info"].as_object().into_iter().flatten() {
            if method["returns"].is_object() {
                let definition = strip(&method["returns"], &KEPT_OF_ANSWERS);
                let returns = intern(&mut self.definitions, &mut self.index, definition);
                self.methods
                    .push(json!({"path": path, "method": verb, "returns": returns}));
            }
        }
        for child in node["children"].as_array().into_iter().flatten() {
            self.visit(child)?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Table {
    properties: Vec<Value>,
    index: HashMap<String, usize>,
    methods: Vec<Value>,
}

impl Table {
    fn visit(&mut self, node: &Value) -> Result<(), Failure> {
        let path = node["path"].as_str().ok_or("a node without path")?;
        if let Some(info) = node["info"].as_object() {
            for (verb, method) in info {
                let entry = self.method(path, verb, method);
                self.methods.push(entry);
            }
        }
        for child in node["children"].as_array().into_iter().flatten() {
            self.visit(child)?;
        }
        Ok(())
    }

    fn method(&mut self, path: &str, verb: &str, method: &Value) -> Value {
        let mut entry = Map::new();
        entry.insert("path".into(), path.into());
        entry.insert("method".into(), verb.into());
        entry.insert("name".into(), method["name"].clone());
        for flag in ["protected", "proxyto"] {
            if !method[flag].is_null() && method[flag] != json!(0) {
                entry.insert(flag.into(), method[flag].clone());
            }
        }
        if method["allowtoken"] == json!(0) {
            entry.insert("ticket_only".into(), json!(1));
        }
        if let Some(permissions) = method["permissions"].as_object() {
            let mut kept = permissions.clone();
            kept.remove("description");
            entry.insert("permissions".into(), Value::Object(kept));
        }
        let (parameters, open) = self.parameters(&method["parameters"]);
        entry.insert("parameters".into(), Value::Object(parameters));
        if open {
            entry.insert("open".into(), json!(1));
        }
        if let Some(variants) = self.variants(&method["parameters"]) {
            entry.insert("variants".into(), variants);
        }
        Value::Object(entry)
    }

    /// What each value of a parameter demands and allows, where a parameter decides that.
    fn variants(&mut self, parameters: &Value) -> Option<Value> {
        let parts = parameters["allOf"].as_array()?;
        let part = parts
            .iter()
            .find(|part| part["type-property-schema"].is_object())?;
        let mut kinds = Map::new();
        for variant in part["oneOf"].as_array()? {
            let mut its = Map::new();
            for (name, property) in variant["properties"].as_object()? {
                let definition = strip(property, &KEPT);
                let index = intern(&mut self.properties, &mut self.index, definition);
                its.insert(name.clone(), index.into());
            }
            kinds.insert(variant["instance-type"].as_str()?.to_owned(), its.into());
        }
        Some(json!({"by": part["type-property"], "kinds": kinds}))
    }

    /// Parameters by name, and whether others are allowed. Alternatives (`allOf` of one base and
    /// variants) are merged; what not every variant demands becomes optional.
    fn parameters(&mut self, parameters: &Value) -> (Map<String, Value>, bool) {
        let mut merged = Map::new();
        let mut open = parameters.get("additionalProperties") != Some(&json!(0));
        let mut groups: Vec<(&Value, bool)> = vec![(parameters, true)];
        for part in parameters["allOf"].as_array().into_iter().flatten() {
            open = false;
            groups.push((part, true));
            if let Some(by) = part["type-property"].as_str() {
                let mut definition = strip(&part["type-property-schema"], &KEPT);
                if let Some(object) = definition.as_object_mut() {
                    object.insert("optional".into(), json!(1));
                }
                let index = intern(&mut self.properties, &mut self.index, definition);
                merged.insert(by.to_owned(), index.into());
            }
            for variant in part["oneOf"].as_array().into_iter().flatten() {
                groups.push((variant, false));
            }
        }
        for (group, binding) in groups {
            for (name, property) in group["properties"].as_object().into_iter().flatten() {
                let mut definition = strip(property, &KEPT);
                if !binding && let Some(object) = definition.as_object_mut() {
                    object.insert("optional".into(), json!(1));
                }
                let index = intern(&mut self.properties, &mut self.index, definition);
                merged.insert(name.clone(), index.into());
            }
        }
        (merged, open)
    }
}

/// The place of a definition among those that are there, or at their end.
fn intern(
    definitions: &mut Vec<Value>,
    index: &mut HashMap<String, usize>,
    definition: Value,
) -> usize {
    let key = definition.to_string();
    *index.entry(key).or_insert_with(|| {
        definitions.push(definition);
        definitions.len() - 1
    })
}

/// One definition without its texts.
fn strip(property: &Value, wanted: &[&str]) -> Value {
    let strip = |property| strip(property, wanted);
    let mut kept = Map::new();
    for &key in wanted {
        let Some(value) = property.get(key) else {
            continue;
        };
        let value = match key {
            "format" | "properties" => match value.as_object() {
                Some(sub) => {
                    Value::Object(sub.iter().map(|(k, v)| (k.clone(), strip(v))).collect())
                }
                None => value.clone(),
            },
            "items" => strip(value),
            "oneOf" => Value::Array(value.as_array().into_iter().flatten().map(strip).collect()),
            "additionalProperties" if value.is_object() => strip(value),
            "optional" | "default_key" if *value == json!(0) => continue,
            "requires" if !value.is_string() => continue,
            _ => value.clone(),
        };
        kept.insert(key.into(), value);
    }
    Value::Object(kept)
}
