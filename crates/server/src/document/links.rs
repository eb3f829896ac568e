//! Links: with what an answer to a POST names, these operations can be asked next.

use serde_json::{Map, Value, json};

/// Schema of an answer, the parameter that it gives, and where in the answer its value is.
const GIVES: [(&str, &str, &str); 5] = [
    ("App", "app", "$response.body#/id"),
    ("App", "id", "$response.body#/operation_id"),
    ("Operation", "id", "$response.body#/id"),
    ("Apply", "apply", "$response.body#/id"),
    ("Host", "host", "$response.body#/label"),
];

/// Adds them to every success of a POST.
pub(super) fn add(document: &mut Value) {
    let takers = takers(document);
    let items = document["paths"].as_object_mut().into_iter();
    let posts = items.flat_map(|items| items.values_mut().filter_map(|item| item.get_mut("post")));
    for answers in posts.filter_map(|post| post["responses"].as_object_mut()) {
        for (_, answer) in answers
            .iter_mut()
            .filter(|(status, _)| status.starts_with('2'))
        {
            let links = links(answer, &takers);
            if !links.is_empty() {
                answer["links"] = Value::Object(links);
            }
        }
    }
}

/// Each operation with the name of a parameter in its path.
fn takers(document: &Value) -> Vec<(String, String)> {
    let items = document["paths"].as_object().into_iter();
    let operations = items
        .flat_map(|items| items.values())
        .filter_map(Value::as_object)
        .flat_map(Map::values);
    let mut takers = Vec::new();
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap_or_default();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if let ("path", Some(name)) = (
                parameter["in"].as_str().unwrap_or_default(),
                parameter["name"].as_str(),
            ) {
                takers.push((id.to_owned(), name.to_owned()));
            }
        }
    }
    takers
}

fn links(answer: &Value, takers: &[(String, String)]) -> Map<String, Value> {
    let schema = &answer["content"]["application/json"]["schema"]["$ref"];
    let schema = schema.as_str().and_then(|name| name.rsplit('/').next());
    let mut links = Map::new();
    for (_, parameter, at) in GIVES.iter().filter(|(of, _, _)| Some(*of) == schema) {
        for (operation, _) in takers.iter().filter(|(_, takes)| takes == parameter) {
            let link = json!({ "operationId": operation, "parameters": { *parameter: at } });
            links.insert(operation.clone(), link);
        }
    }
    links
}
