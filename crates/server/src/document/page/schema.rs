//! Schemas on the page: their types in words, their fields as tables, a sample of each.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::text::{escape, line};
use super::{entries, list, resolved, word};

/// How deep a sample goes.
const DEEPEST: usize = 6;

/// All schemas, each with its fields.
pub(super) fn write_all(document: &Value, page: &mut String) -> std::fmt::Result {
    page.push_str("<section id=\"schemas\"><h2>schemas</h2>\n");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        write!(
            page,
            "<article id=\"schema-{name}\"><h3>{name}</h3><p>{}</p>",
            line(word(schema, "description"))
        )?;
        fields(document, schema, page)?;
        page.push_str("</article>\n");
    }
    page.push_str("</section>\n");
    Ok(())
}

/// The fields of an object, those of its parts included, or what else it is.
pub(super) fn fields(document: &Value, schema: &Value, page: &mut String) -> std::fmt::Result {
    let all = all_fields(document, schema);
    if all.is_empty() {
        return write!(page, "<p>{}</p>", type_of(schema));
    }
    page.push_str("<table><thead><tr><th>field</th><th>type</th><th>what</th></tr></thead><tbody>");
    for (name, schema, is_required) in all {
        write!(
            page,
            "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            if is_required {
                "<b class=\"req\" title=\"always there\">*</b>"
            } else {
                ""
            },
            type_of(schema),
            line(word(schema, "description"))
        )?;
    }
    page.push_str("</tbody></table>");
    Ok(())
}

fn all_fields<'a>(document: &'a Value, schema: &'a Value) -> Vec<(&'a String, &'a Value, bool)> {
    let required = list(&schema["required"]);
    let own = entries(&schema["properties"])
        .map(|(name, of)| (name, of, required.iter().any(|r| r == name.as_str())));
    let mut all: Vec<_> = own.collect();
    for part in list(&schema["allOf"]) {
        all.extend(all_fields(document, resolved(document, part)));
    }
    all
}

/// A type in words, with its bounds; names of schemas are links.
pub(super) fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for word in ["oneOf", "anyOf"] {
        let some = list(&schema[word]);
        if !some.is_empty() {
            return some.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    let mut text = match &schema["type"] {
        Value::String(one) => named(one, schema),
        Value::Array(several) => {
            let several = several.iter().filter_map(Value::as_str);
            several
                .map(|one| named(one, schema))
                .collect::<Vec<_>>()
                .join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "any".to_owned(),
    };
    text.push_str(&bounds(schema));
    text
}

fn named(kind: &str, schema: &Value) -> String {
    match kind {
        "array" => format!("list of {}", type_of(&schema["items"])),
        "object"
            if schema["additionalProperties"].is_object() && schema["properties"].is_null() =>
        {
            format!("map of {}", type_of(&schema["additionalProperties"]))
        }
        other => escape(other),
    }
}

fn bounds(schema: &Value) -> String {
    let mut bounds = Vec::new();
    let words = list(&schema["enum"]).iter().filter_map(Value::as_str);
    let words: Vec<String> = words
        .map(|w| format!("<code>{}</code>", escape(w)))
        .collect();
    if !words.is_empty() {
        bounds.push(words.join(" "));
    }
    if let Some(format) = schema["format"].as_str().filter(|f| !f.starts_with("int")) {
        bounds.push(escape(format));
    }
    match (&schema["minimum"], &schema["maximum"]) {
        (Value::Null, Value::Null) => {}
        (least, Value::Null) => bounds.push(format!("≥ {least}")),
        (Value::Null, most) => bounds.push(format!("≤ {most}")),
        (least, most) => bounds.push(format!("{least} to {most}")),
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        bounds.push(format!("at most {most} characters"));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        bounds.push(format!("<code>{}</code>", escape(pattern)));
    }
    let bounds = bounds.join("<br>");
    if bounds.is_empty() {
        bounds
    } else {
        format!("<div class=\"quiet\">{bounds}</div>")
    }
}

/// A value of this schema: examples where there are some, and only fields that are needed or have one.
pub(super) fn sample(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolved(document, schema);
    if depth > DEEPEST {
        return Value::Null;
    }
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    if let Some(first) = list(&schema["enum"]).first() {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let needed = all_fields(document, schema).into_iter();
            let needed =
                needed.filter(|(_, of, is_required)| *is_required || !of["example"].is_null());
            let fields =
                needed.map(|(name, of, _)| (name.clone(), sample(document, of, depth + 1)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Some("array") => Value::Array(Vec::new()),
        Some("integer" | "number") => json!(schema["minimum"].as_i64().unwrap_or(1)),
        Some("boolean") => json!(false),
        Some("string") => json!("…"),
        Some(_) | None => Value::Null,
    }
}
