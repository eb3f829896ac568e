//! An entry's file, for editors: JSON Schema, from the same table that files are held against.

use serde_json::{Map, Value, json};

use super::table::{ENTRY, Object, Rule, Shape};

/// The schema of an entry's file (JSON Schema 2020-12).
///
/// It allows whatever is read, but for a text that looks like a number and stands without quotes. What several fields say together
/// (types of settings, what templates use) is beyond it; `proximity catalog lint` tells that.
#[must_use]
pub fn schema() -> Value {
    let mut parts = Map::new();
    let entry = object(&ENTRY, &mut parts);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Proximity: entry of the catalog",
        "$ref": entry["$ref"],
        "$defs": parts,
    })
}

/// Adds a map and all that is in it to the parts; gives what refers to it.
fn object(of: &'static Object, parts: &mut Map<String, Value>) -> Value {
    if !parts.contains_key(of.name) {
        let mut properties = Map::new();
        for field in of.fields {
            let mut shape = shape(&field.shape, parts);
            if let Some(shape) = shape.as_object_mut() {
                shape.insert("description".to_owned(), field.about.into());
            }
            properties.insert(field.name.to_owned(), shape);
        }
        let required: Vec<&str> = of
            .fields
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .collect();
        let mut made = json!({
            "description": of.about,
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        if let Some(made) = made.as_object_mut().filter(|_| !of.one_of.is_empty()) {
            let kinds = of.one_of.iter().map(|kind| json!({"required": [kind]}));
            made.insert("oneOf".to_owned(), kinds.collect());
        }
        parts.insert(of.name.to_owned(), made);
    }
    json!({"$ref": format!("#/$defs/{}", of.name)})
}

fn shape(shape: &'static Shape, parts: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Text(rule) => text(rule),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Integer(i64::MIN, i64::MAX) => json!({"type": "integer"}),
        Shape::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Scalar => json!({"type": ["boolean", "integer", "string"]}),
        Shape::Texts(rule, least, most) => json!({
            "type": "array",
            "items": text(rule),
            "minItems": least,
            "maxItems": most,
        }),
        Shape::Object(of) => object(of, parts),
        Shape::Objects(of, least, most) => json!({
            "type": "array",
            "items": object(of, parts),
            "minItems": least,
            "maxItems": most,
        }),
    }
}

fn text(rule: &Rule) -> Value {
    let mut text = json!({
        "type": "string",
        "minLength": rule.min,
        "maxLength": rule.max,
    });
    if let Some(text) = text.as_object_mut().filter(|_| !rule.pattern.is_empty()) {
        text.insert("pattern".to_owned(), rule.pattern.into());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference in a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str().filter(|_| name == "$ref") {
                        Some(to) => found.push(to.to_owned()),
                        None => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_part_is_there_and_closed() {
        let schema = schema();
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(found.len() > 15, "{found:?}");
        for to in found {
            let name = to.strip_prefix("#/$defs/").unwrap();
            assert_eq!(schema["$defs"][name]["type"], "object", "{to}");
            assert_eq!(schema["$defs"][name]["additionalProperties"], false);
        }
        let step = &schema["$defs"]["Step"];
        let kinds = step["oneOf"].as_array().unwrap();
        assert_eq!(kinds.len(), step["properties"].as_object().unwrap().len());
        let entry = &schema["$defs"]["Entry"];
        assert_eq!(entry["properties"]["port"]["maximum"], 65_535);
        assert!(
            entry["required"]
                .as_array()
                .unwrap()
                .contains(&"health".into())
        );
    }
}
