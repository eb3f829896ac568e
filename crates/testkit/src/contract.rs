//! Whether an answer is what the OpenAPI document says: status, headers, content type, body.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use serde_json::{Map, Value, json};

/// The document as a judge of answers.
#[derive(Debug)]
pub struct Contract {
    document: Value,
    succeeded: Mutex<BTreeSet<String>>,
}

/// One request and its answer.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Path as sent, with its query.
    pub target: &'a str,
    /// HTTP status.
    pub status: u16,
    /// Headers of the answer.
    pub headers: &'a HeaderMap,
    /// Body of the answer.
    pub body: &'a [u8],
}

impl Contract {
    /// A judge by this document. Objects in answers are taken for complete: a field that is not documented is a
    /// complaint here, though clients have to ignore it.
    ///
    /// # Errors
    /// The text is no JSON.
    pub fn new(document: &str) -> Result<Self, String> {
        let mut document: Value = serde_json::from_str(document).map_err(|e| e.to_string())?;
        close(&mut document);
        Ok(Self {
            document,
            succeeded: Mutex::default(),
        })
    }

    /// Operation ids of the document.
    #[must_use]
    pub fn operations(&self) -> BTreeSet<String> {
        let items = objects(&self.document["paths"]).map(|(_, item)| item);
        items
            .flat_map(objects)
            .filter_map(|(_, operation)| operation["operationId"].as_str().map(str::to_owned))
            .collect()
    }

    /// Operation ids that have answered with 2xx so far.
    #[must_use]
    pub fn succeeded(&self) -> BTreeSet<String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.succeeded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with the answer; nothing, if it is as documented.
    #[must_use]
    pub fn complaints(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let mut complaints = Vec::new();
        self.judge(exchange, &mut complaints);
        for complaint in &mut complaints {
            *complaint = format!(
                "{} {} {}: {complaint}",
                exchange.method, exchange.target, exchange.status
            );
        }
        complaints
    }

    fn judge(&self, exchange: &Exchange<'_>, complaints: &mut Vec<String>) {
        let path = exchange.target.split('?').next().unwrap_or_default();
        let Some(item) = self.item(path) else {
            return self.is_error(exchange, (404, "no_such_path"), complaints);
        };
        let is_head = exchange.method == "HEAD";
        let method = if is_head {
            "get"
        } else {
            &exchange.method.to_lowercase()
        };
        let operation = &item[method];
        if operation.is_null() {
            if exchange.headers.get("allow").is_none() {
                complaints.push("the header allow is missing".to_owned());
            }
            return self.is_error(exchange, (405, "method_not_allowed"), complaints);
        }
        let answer = self.resolved(&operation["responses"][exchange.status.to_string()]);
        if answer.is_null() {
            complaints.push("the status is not documented".to_owned());
            return;
        }
        for (name, header) in objects(&answer["headers"]) {
            self.header(name, self.resolved(header), exchange.headers, complaints);
        }
        if is_head {
            if !exchange.body.is_empty() {
                complaints.push("an answer to HEAD has a body".to_owned());
            }
        } else {
            self.content(&answer["content"], exchange, complaints);
        }
        if (200..300).contains(&exchange.status) {
            self.lock()
                .extend(operation["operationId"].as_str().map(str::to_owned));
        }
    }

    /// The paths' item whose template the path fits; a path without parameters goes first.
    fn item(&self, path: &str) -> Option<&Value> {
        let path = path.trim_end_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let template: Vec<&str> = template.trim_end_matches('/').split('/').collect();
            template.len() == parts.len()
                && template
                    .iter()
                    .zip(&parts)
                    .all(|(t, p)| t == p || (t.starts_with('{') && !p.is_empty()))
        };
        let mut found: Vec<_> = objects(&self.document["paths"])
            .filter(|(template, _)| fits(template))
            .collect();
        found.sort_by_key(|(template, _)| template.matches('{').count());
        found.first().map(|(_, item)| *item)
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        value["$ref"]
            .as_str()
            .and_then(|reference| self.document.pointer(reference.trim_start_matches('#')))
            .unwrap_or(value)
    }

    fn header(&self, name: &str, header: &Value, sent: &HeaderMap, complaints: &mut Vec<String>) {
        let Some(value) = sent.get(name) else {
            complaints.push(format!("the header {name} is missing"));
            return;
        };
        let value = json!(String::from_utf8_lossy(value.as_bytes()));
        self.value(
            &header["schema"],
            &value,
            &format!("header {name}"),
            complaints,
        );
    }

    fn content(&self, content: &Value, exchange: &Exchange<'_>, complaints: &mut Vec<String>) {
        let sent = exchange
            .headers
            .get("content-type")
            .map(|v| String::from_utf8_lossy(v.as_bytes()));
        let Some((kind, of)) = objects(content).next() else {
            if !exchange.body.is_empty() {
                complaints.push("there is a body, and none is documented".to_owned());
            }
            return;
        };
        let sent = sent.unwrap_or_default();
        if sent.split(';').next() != Some(kind.as_str()) {
            complaints.push(format!(
                "the content type is {sent:?}, documented is {kind}"
            ));
            return;
        }
        if kind != "application/json" {
            return;
        }
        match serde_json::from_slice(exchange.body) {
            Ok(body) => self.value(&of["schema"], &body, "body", complaints),
            Err(error) => complaints.push(format!("the body is no JSON: {error}")),
        }
    }

    fn value(&self, schema: &Value, value: &Value, what: &str, complaints: &mut Vec<String>) {
        let mut root = schema.as_object().cloned().unwrap_or_default();
        root.insert("components".to_owned(), self.document["components"].clone());
        let built = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&Value::Object(root));
        match built {
            Ok(validator) => complaints.extend(
                validator
                    .iter_errors(value)
                    .map(|error| format!("{what} {}: {error}", error.instance_path())),
            ),
            Err(error) => complaints.push(format!("the schema of the {what} is wrong: {error}")),
        }
    }

    fn is_error(
        &self,
        exchange: &Exchange<'_>,
        (status, code): (u16, &str),
        complaints: &mut Vec<String>,
    ) {
        let content = json!({ "application/json": { "schema": {
            "$ref": "#/components/schemas/ErrorEnvelope",
            "properties": { "error": { "properties": { "code": { "const": code } } } },
        } } });
        if exchange.status != status {
            complaints.push(format!("the status should be {status}"));
        } else if exchange.method != "HEAD" {
            self.content(&content, exchange, complaints);
        }
    }
}

fn objects(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Lets objects have no fields but the documented ones.
fn close(document: &mut Value) {
    let text = document.to_string();
    let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    for (name, schema) in schemas {
        // What is a part of another schema knows nothing of the whole.
        let is_part = text.contains(&format!("[{{\"$ref\":\"#/components/schemas/{name}\""));
        if !is_part && (!schema["properties"].is_null() || !schema["allOf"].is_null()) {
            schema["unevaluatedProperties"] = json!(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r##"{
        "paths": { "/api/things/{thing}": { "get": { "operationId": "show", "responses": {
            "200": { "description": "", "headers": { "x-request-id": { "schema": { "type": "string" } } },
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } } } } } },
        "components": { "schemas": {
            "Thing": { "type": "object", "required": ["id"], "properties": { "id": { "type": "string", "format": "uuid" } } },
            "ErrorEnvelope": { "type": "object", "required": ["error"], "properties": { "error": { "type": "object" } } } } }
    }"##;

    fn judged(
        method: &str,
        target: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Vec<String> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.insert(*name, value.parse().unwrap());
        }
        let exchange = Exchange {
            method,
            target,
            status,
            headers: &all,
            body: body.as_bytes(),
        };
        Contract::new(DOCUMENT).unwrap().complaints(&exchange)
    }

    const GOOD: &str = r#"{"id":"018f0000-0000-7000-8000-000000000001"}"#;
    const FINE: [(&str, &str); 2] = [("x-request-id", "1"), ("content-type", "application/json")];

    #[test]
    fn an_answer_as_documented_gives_no_complaint() {
        assert_eq!(
            judged("GET", "/api/things/1?x=2", 200, &FINE, GOOD),
            Vec::<String>::new()
        );
        assert_eq!(
            judged("HEAD", "/api/things/1", 200, &FINE, ""),
            Vec::<String>::new()
        );
        let error = r#"{"error":{"code":"no_such_path"}}"#;
        assert_eq!(
            judged("GET", "/api/nothing", 404, &FINE, error),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_difference_is_seen() {
        let cases = [
            ("a status", judged("GET", "/api/things/1", 418, &FINE, GOOD)),
            (
                "a header",
                judged("GET", "/api/things/1", 200, &FINE[1..], GOOD),
            ),
            (
                "a content type",
                judged(
                    "GET",
                    "/api/things/1",
                    200,
                    &[("x-request-id", "1"), ("content-type", "text/html")],
                    GOOD,
                ),
            ),
            (
                "a format",
                judged("GET", "/api/things/1", 200, &FINE, r#"{"id":"7"}"#),
            ),
            (
                "a missing field",
                judged("GET", "/api/things/1", 200, &FINE, "{}"),
            ),
            (
                "a field too many",
                judged(
                    "GET",
                    "/api/things/1",
                    200,
                    &FINE,
                    &GOOD.replace('}', ",\"x\":1}"),
                ),
            ),
            ("no JSON", judged("GET", "/api/things/1", 200, &FINE, "<p>")),
            (
                "a body for HEAD",
                judged("HEAD", "/api/things/1", 200, &FINE, GOOD),
            ),
            ("a method", judged("PUT", "/api/things/1", 200, &FINE, GOOD)),
            ("a path", judged("GET", "/api/nothing", 200, &FINE, GOOD)),
        ];
        for (what, complaints) in cases {
            assert!(!complaints.is_empty(), "{what}");
        }
    }
}
