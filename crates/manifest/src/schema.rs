//! What documents are made of, for editors: JSON Schema, from the same table that documents are held against.

use proximity_domain::manifest::Kind;
use serde_json::{Map, Value, json};

use crate::check::MOST_SETTINGS;
use crate::kinds::{self, LINE, MOST_SETTING_CHARS, SECRET_REFERENCE, SETTING, VALUE};
use crate::shape::{Object, Rule, Shape};

/// The schema of a document, of whichever kind (JSON Schema 2020-12).
///
/// It allows whatever is read and refuses what no value that is put in could mend, with one exception: `1.0` is a whole number to
/// JSON Schema and none to a reading. Names that have to fit together, which keys of a configuration there are, and the catalog's own
/// rules, are beyond it.
#[must_use]
pub fn schema() -> Value {
    let mut parts = Parts::default();
    let kinds = Kind::ALL.map(|kind| parts.object(kinds::document(kind)));
    parts.add("Name", || {
        json!({
            "description": "A text that names a value.",
            "type": "string",
            "pattern": "\\$\\{",
        })
    });
    parts.add("Value", value);
    parts.add("ValueTree", value_tree);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Proximity: desired state",
        "oneOf": kinds,
        "$defs": parts.0,
    })
}

/// The parts that others refer to, by name.
#[derive(Default)]
struct Parts(Map<String, Value>);

impl Parts {
    fn add(&mut self, name: &str, make: impl FnOnce() -> Value) {
        if !self.0.contains_key(name) {
            let made = make();
            self.0.insert(name.to_owned(), made);
        }
    }

    /// Adds a map and all that is in it; gives what refers to it.
    fn object(&mut self, object: &'static Object) -> Value {
        if !self.0.contains_key(object.name) {
            let mut properties = Map::new();
            let mut required = Vec::new();
            for field in object.fields() {
                let mut shape = self.shape(&field.shape);
                if let Some(shape) = shape.as_object_mut() {
                    shape.insert("description".to_owned(), field.about.into());
                }
                properties.insert(field.name.to_owned(), shape);
                if field.required {
                    required.push(field.name);
                }
            }
            let made = json!({
                "description": object.about,
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            });
            self.0.insert(object.name.to_owned(), made);
        }
        refer(object.name)
    }

    fn shape(&mut self, shape: &'static Shape) -> Value {
        match shape {
            Shape::Text(rule) => text(rule),
            Shape::Word([only]) => json!({"const": only}),
            Shape::Word(words) => or_name(json!({"enum": words})),
            Shape::Integer(min, max) => {
                or_name(json!({"type": "integer", "minimum": min, "maximum": max}))
            }
            Shape::Boolean => or_name(json!({"type": "boolean"})),
            Shape::Texts(rule, most) => or_name(json!({
                "type": "array",
                "items": text(rule),
                "maxItems": most,
                "uniqueItems": true,
            })),
            Shape::Object(object) => self.object(object),
            Shape::Objects(object, most) => json!({
                "type": "array",
                "items": self.object(object),
                "minItems": 1,
                "maxItems": most,
            }),
            Shape::Settings => {
                let secret = self.object(&SECRET_REFERENCE);
                let kinds = [
                    json!({"type": ["boolean", "integer"]}),
                    json!({
                        "type": "string",
                        "pattern": LINE.pattern,
                        "maxLength": MOST_SETTING_CHARS,
                    }),
                    refer("Name"),
                    secret,
                ];
                json!({
                    "type": "object",
                    "propertyNames": {"pattern": SETTING.pattern},
                    "additionalProperties": {"anyOf": kinds},
                    "maxProperties": MOST_SETTINGS,
                })
            }
            Shape::Values => refer("ValueTree"),
        }
    }
}

fn refer(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn text(rule: &Rule) -> Value {
    or_name(json!({"type": "string", "pattern": rule.pattern}))
}

/// What may be written out, or named.
fn or_name(shape: Value) -> Value {
    json!({"anyOf": [shape, refer("Name")]})
}

fn value() -> Value {
    json!({
        "description": "A value that others name.",
        "anyOf": [
            {"type": ["boolean", "integer"]},
            {"type": "string", "not": refer("Name")},
        ],
    })
}

fn value_tree() -> Value {
    let one = refer("Value");
    json!({
        "description": "Values by name, of any depth.",
        "type": "object",
        "propertyNames": {"pattern": VALUE.pattern},
        "additionalProperties": {
            "anyOf": [one, {"type": "array", "items": one}, refer("ValueTree")],
        },
    })
}
