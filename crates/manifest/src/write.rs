//! Writes documents, so that they are read as what they were.

use std::fmt;

use proximity_domain::manifest::{API_VERSION, Manifest};
use serde::Serialize;
use serde_json::{Value, json};

/// Documents that cannot be written so that they are read as what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteError(String);

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WriteError {}

/// The documents as YAML.
///
/// # Errors
/// A value among them holds `${`, for which no document has a way of writing.
pub fn write(documents: &[Manifest]) -> Result<String, WriteError> {
    let documents = documents.iter().map(document);
    let documents = documents.collect::<Result<Vec<Value>, WriteError>>()?;
    // What is folded over lines is read the same, and compared badly.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_multiple_with_options(&documents, options)
        .map_err(|error| WriteError(error.to_string()))
}

/// One document as JSON, indented, with a line end; what holds several has a line `---` between them.
///
/// # Errors
/// Those of [`write`].
pub fn write_json(manifest: &Manifest) -> Result<String, WriteError> {
    Ok(format!("{:#}\n", document(manifest)?))
}

fn document(manifest: &Manifest) -> Result<Value, WriteError> {
    let spec = match manifest {
        Manifest::App { spec, .. } => escaped(value(spec)?),
        Manifest::AdoptedApp { spec, .. } => escaped(value(spec)?),
        Manifest::Stack { spec, .. } => {
            let mut written = value(spec)?;
            let values = written
                .as_object_mut()
                .and_then(|spec| spec.remove("values"));
            let mut written = escaped(written);
            if let (Some(values), Some(spec)) = (values, written.as_object_mut()) {
                spec.insert("values".to_owned(), literal(values)?);
            }
            written
        }
        Manifest::Values { spec, .. } => literal(value(spec)?)?,
    };
    Ok(json!({
        "apiVersion": API_VERSION,
        "kind": manifest.kind().label(),
        "metadata": {"name": manifest.name()},
        "spec": spec,
    }))
}

fn value(spec: &impl Serialize) -> Result<Value, WriteError> {
    serde_json::to_value(spec).map_err(|error| WriteError(error.to_string()))
}

/// With every `${` written as one that names no value.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.replace("${", "$${")),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, escaped(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// As it is, for where no names are put in.
fn literal(value: Value) -> Result<Value, WriteError> {
    if has_name(&value) {
        let why = "a value holds ${, which a document of values has no way of writing";
        return Err(WriteError(why.to_owned()));
    }
    Ok(value)
}

fn has_name(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(has_name),
        Value::Object(fields) => fields.values().any(has_name),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
