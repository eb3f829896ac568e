//! Adds to each operation what its extractors and the layers around it answer, so that no route repeats it.

use proximity_api::error::ErrorKind;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::{links, refusals};

/// Where a route declares its own codes; it is taken out again.
const DECLARED: &str = "x-codes";

/// The document with error answers and shared headers.
pub(super) fn complete(declared: OpenApi) -> Value {
    // Structs of strings always serialise; the tests read what comes out.
    let mut document = serde_json::to_value(declared).unwrap_or_default();
    let paths = document
        .get_mut("paths")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut);
    let mut common = Map::new();
    for operation in paths
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
    {
        complete_operation(operation, &mut common);
    }
    document["components"]["responses"] = Value::Object(common);
    links::add(&mut document);
    let header = json!({
        "description": "The request's id, as in the server's log.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 64 },
    });
    document["components"]["headers"] = json!({ "RequestId": header });
    document
}

fn complete_operation(operation: &mut Map<String, Value>, common: &mut Map<String, Value>) {
    let declared = operation.remove(DECLARED).unwrap_or_default();
    let own = declared.as_array().into_iter().flatten();
    let mut codes: Vec<&str> = own.filter_map(Value::as_str).collect();
    codes.extend(shared(operation));
    let mut answers = Map::new();
    for mut refusal in refusals::responses(&refusals::rows(codes)) {
        with_headers(&refusal.status, &mut refusal.answer);
        // One with few codes is the same in many operations: it stands once, under its codes.
        let answer = match refusal.codes.as_slice() {
            [_] | [_, _] => {
                let name = refusal.codes.join("-");
                let reference = json!({ "$ref": format!("#/components/responses/{name}") });
                common.insert(name, refusal.answer);
                reference
            }
            _ => refusal.answer,
        };
        answers.insert(refusal.status, answer);
    }
    let successes = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    for (status, mut success) in successes.map(std::mem::take).unwrap_or_default() {
        with_headers(&status, &mut success);
        answers.insert(status, success);
    }
    operation.insert("responses".to_owned(), Value::Object(answers));
}

/// Adds the headers of the layers.
fn with_headers(status: &str, answer: &mut Value) {
    let headers = &mut answer["headers"];
    headers["x-request-id"] = json!({ "$ref": "#/components/headers/RequestId" });
    if status == ErrorKind::Unauthorized.status().as_str() {
        headers["www-authenticate"] = json!({ "schema": { "const": "Bearer" } });
    }
}

/// What the layers and extractors of the operation answer.
fn shared(operation: &Map<String, Value>) -> Vec<&'static str> {
    let mut codes = vec!["internal", "timeout"];
    // An operation that says nothing of its own needs a token or a session, as the document says above all paths.
    if !operation.contains_key("security") {
        codes.extend(["unauthorized", "forbidden", "csrf_refused"]);
        codes.extend(["disk_full", "database_unavailable", "database_error"]);
    }
    if operation.contains_key("requestBody") {
        codes.extend(["bad_json", "bad_field", "unknown_field"]);
        codes.extend(["body_too_large", "not_json"]);
    }
    let parameters = operation.get("parameters").and_then(Value::as_array);
    for parameter in parameters.into_iter().flatten() {
        codes.extend(match parameter["in"].as_str() {
            Some("path") => ["bad_path"].as_slice(),
            Some("query") => &["bad_query"],
            Some("header") => &["bad_header"],
            Some(_) | None => &[],
        });
    }
    codes
}
