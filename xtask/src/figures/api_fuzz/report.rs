//! What schemathesis wrote: every exchange, and what it found wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// A run in numbers.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Requests that were answered.
    pub(super) cases: usize,
    /// Answers with a status of 500 and more.
    pub(super) server_errors: usize,
    /// Unique failures of the checks, those of status 5xx apart.
    pub(super) failures: usize,
    /// Titles of the failures.
    pub(super) titles: Vec<String>,
    /// Longest time of an answer, those that a cluster held apart.
    pub(super) slowest_ms: f64,
    /// Answers that a cluster named in the request held: Proxmox VE waits 3 s before it refuses a token or a login.
    pub(super) held: usize,
    pub(super) by_status: BTreeMap<u64, usize>,
    /// Operations that were asked.
    pub(super) operations: usize,
    /// Those that answered 2xx at least once.
    pub(super) succeeded: BTreeSet<String>,
    /// Those that never did.
    pub(super) missing: BTreeSet<String>,
}

/// Operations whose answer is a stream of events.
pub(super) fn streams(document: &Value) -> Vec<String> {
    operations(document)
        .filter(|(_, _, operation)| {
            !operation["responses"]["200"]["content"]["text/event-stream"].is_null()
        })
        .map(|(_, _, operation)| id(operation))
        .collect()
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, String, &Value)> {
    let items = document["paths"].as_object().into_iter().flatten();
    items.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.to_uppercase(), operation))
    })
}

fn id(operation: &Value) -> String {
    operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

impl Report {
    /// Reads both files.
    pub(super) fn read(folder: &Path, document: &Value) -> Result<Self> {
        let read = |name: &str| -> Result<Value> {
            let text = std::fs::read_to_string(folder.join(name))
                .with_context(|| format!("reading {name}"))?;
            serde_json::from_str(&text).with_context(|| format!("reading {name}"))
        };
        let mut report = Self::default();
        let exchanges = read("exchanges.har")?;
        let entries = exchanges["log"]["entries"]
            .as_array()
            .context("no exchanges")?;
        for entry in entries {
            report.count(entry, document);
        }
        let found = read("report.json")?;
        // What could not be asked at all is a fault too: of the document, or of the figure.
        for error in found["errors"].as_array().context("no errors")? {
            report
                .titles
                .push(format!("{} at {}", error["title"], error["operations"]));
            report.failures += 1;
        }
        for failure in found["failures"].as_array().context("no failures")? {
            let title = failure["title"].as_str().unwrap_or_default();
            report
                .titles
                .push(format!("{title} at {}", failure["operations"]));
            // Each answer with 5xx is counted already.
            report.failures += usize::from(failure["type"] != "ServerError");
        }
        let streams = streams(document);
        for (_, _, operation) in operations(document) {
            let id = id(operation);
            if !streams.contains(&id) {
                report.operations += 1;
                if !report.succeeded.contains(&id) {
                    report.missing.insert(id);
                }
            }
        }
        Ok(report)
    }

    fn count(&mut self, entry: &Value, document: &Value) {
        let status = entry["response"]["status"].as_u64().unwrap_or(0);
        // 0: no answer came; the check of the run says why.
        self.cases += usize::from(status > 0);
        self.server_errors += usize::from(status >= 500);
        *self.by_status.entry(status).or_default() += 1;
        let text = entry["response"]["content"]["text"].as_str();
        let url = entry["request"]["url"].as_str().unwrap_or_default();
        if text.is_some_and(|text| is_held(url, text)) {
            self.held += 1;
        } else {
            self.slowest_ms = self.slowest_ms.max(entry["time"].as_f64().unwrap_or(0.0));
        }
        if (200..300).contains(&status) {
            let method = entry["request"]["method"].as_str().unwrap_or_default();
            self.succeeded.extend(operation_of(document, method, url));
        }
    }
}

/// Whether the answer says that Proxmox VE refused who asked it: a token, a login, or, to show that it is gone, each token
/// that was taken away with a host.
fn is_held(url: &str, text: &str) -> bool {
    let refused = [r#""code":"token_invalid""#, r#""code":"login_refused""#];
    let given_up = [r#""delete token "#, r#""forget host "#];
    let is_given_up = url.ends_with("/uninit") && given_up.iter().all(|step| text.contains(step));
    is_given_up || refused.iter().any(|code| text.contains(code))
}

/// The id of the operation whose path the URL fits; one without parameters goes first.
fn operation_of(document: &Value, method: &str, url: &str) -> Option<String> {
    let path = url.split_once("//")?.1.split_once('/')?.1;
    let path = path.split(['?', '#']).next()?.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let mut found: Vec<_> = operations(document)
        .filter(|(template, of, _)| {
            let template: Vec<&str> = template.trim_matches('/').split('/').collect();
            of == method
                && template.len() == parts.len()
                && template
                    .iter()
                    .zip(&parts)
                    .all(|(t, p)| t == p || t.starts_with('{'))
        })
        .collect();
    found.sort_by_key(|(template, _, _)| template.matches('{').count());
    found.first().map(|(_, _, operation)| id(operation))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({ "paths": {
            "/api/apps/": { "get": { "operationId": "list" } },
            "/api/apps/{app}": { "get": { "operationId": "show" } },
            "/api/apps/probe": { "get": { "operationId": "probe" } },
            "/api/events": { "get": { "operationId": "follow",
                "responses": { "200": { "content": { "text/event-stream": {} } } } } },
        } })
    }

    #[test]
    fn an_url_belongs_to_the_operation_it_fits_best() {
        let of =
            |method, path: &str| operation_of(&document(), method, &format!("http://h:1{path}"));
        assert_eq!(of("GET", "/api/apps/?q=1").as_deref(), Some("list"));
        assert_eq!(of("GET", "/api/apps/web").as_deref(), Some("show"));
        assert_eq!(of("GET", "/api/apps/probe").as_deref(), Some("probe"));
        assert_eq!(of("POST", "/api/apps/web"), None);
    }

    #[test]
    fn streams_are_told_by_their_content() {
        assert_eq!(streams(&document()), ["follow"]);
    }

    #[test]
    fn answers_are_counted_by_what_they_say() {
        let mut report = Report::default();
        for (status, ms) in [(200, 3.0), (404, 5.0), (502, 2500.0), (0, 0.0)] {
            let entry = json!({ "time": ms, "response": { "status": status },
                "request": { "method": "GET", "url": "http://h:1/api/apps/web" } });
            report.count(&entry, &document());
        }
        let entry = json!({ "time": 3100.0, "response": { "status": 422,
            "content": { "text": r#"{"error":{"code":"token_invalid"}}"# } } });
        report.count(&entry, &document());
        let entry = json!({ "time": 3012.0, "response": { "status": 422,
            "content": { "text": r#"{"error":{"code":"login_refused"}}"# } } });
        report.count(&entry, &document());
        for (path, ms) in [("uninit/plan", 4.0), ("uninit", 3020.0)] {
            let entry = json!({ "time": ms, "request": { "url": format!("http://h:1/api/{path}") },
                "response": { "status": 200, "content": { "text": r#"["delete token b","forget host a"]"# } } });
            report.count(&entry, &document());
        }
        assert_eq!((report.cases, report.server_errors, report.held), (7, 1, 3));
        assert_eq!(report.slowest_ms, 2500.0);
        assert_eq!(report.succeeded, BTreeSet::from(["show".to_owned()]));
    }
}
