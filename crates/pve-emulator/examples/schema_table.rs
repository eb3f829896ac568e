//! Derives `assets/schema-9.2.11.json` from PVE's own API schema.
//!
//! Usage: `cargo run -p proximity-pve-emulator --example schema_table -- SCHEMA OUTPUT`
//!
//! Kept are the facts a server needs to check a request (names, types, limits, permissions, where a
//! call runs); descriptions and return types are left out. Equal parameter definitions are stored
//! once and referred to by index.

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

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, schema, output] = arguments.as_slice() else {
        return Err("usage: schema_table SCHEMA OUTPUT".into());
    };
    let tree: Vec<Value> = serde_json::from_slice(&std::fs::read(schema)?)?;
    let mut table = Table::default();
    for node in &tree {
        table.visit(node)?;
    }
    let document = json!({"properties": table.properties, "methods": table.methods});
    let mut bytes = serde_json::to_vec(&document)?;
    bytes.push(b'\n');
    std::fs::write(output, bytes)?;
    Ok(())
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
        Value::Object(entry)
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
            for variant in part["oneOf"].as_array().into_iter().flatten() {
                groups.push((variant, false));
            }
        }
        for (group, binding) in groups {
            for (name, property) in group["properties"].as_object().into_iter().flatten() {
                let mut definition = strip(property);
                if !binding && let Some(object) = definition.as_object_mut() {
                    object.insert("optional".into(), json!(1));
                }
                let index = self.intern(definition);
                merged.insert(name.clone(), index.into());
            }
        }
        (merged, open)
    }

    fn intern(&mut self, definition: Value) -> usize {
        let key = definition.to_string();
        if let Some(index) = self.index.get(&key) {
            return *index;
        }
        let index = self.properties.len();
        self.properties.push(definition);
        self.index.insert(key, index);
        index
    }
}

/// One definition without its texts.
fn strip(property: &Value) -> Value {
    let mut kept = Map::new();
    for key in KEPT {
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
            "optional" | "default_key" if *value == json!(0) => continue,
            "requires" if !value.is_string() => continue,
            _ => value.clone(),
        };
        kept.insert(key.into(), value);
    }
    Value::Object(kept)
}
