//! `/api/docs`: the document for people, made here, without a script and without anything from elsewhere.

mod operation;
mod schema;
mod text;

use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::document;
use text::{escape, paragraphs};

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(crate) static PAGE: LazyLock<String> = LazyLock::new(|| page(&document()));

/// What the page may do: look as its one style says, and nothing else.
pub(crate) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'"
    )
});

/// One operation of the document.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    is: &'a Value,
}

impl Operation<'_> {
    fn id(&self) -> &str {
        word(self.is, "operationId")
    }
}

fn page(document: &Value) -> String {
    let mut page = String::with_capacity(1 << 18);
    // Writing to a String cannot fail; the errors are dropped on purpose.
    let _ = write(document, &mut page);
    page
}

fn write(document: &Value, page: &mut String) -> std::fmt::Result {
    let about = &document["info"];
    let (title, version) = (word(about, "title"), word(about, "version"));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} API {version}</title><style>{STYLE}</style></head><body>\n\
         <nav aria-label=\"Operations\"><a class=\"home\" href=\"#top\">{title} API</a>\n"
    )?;
    let tags = list(&document["tags"]);
    for tag in tags {
        let name = word(tag, "name");
        write!(page, "<h2><a href=\"#tag-{name}\">{name}</a></h2>\n<ul>")?;
        for operation in of_tag(document, name) {
            write!(
                page,
                "<li><a href=\"#{}\"><span class=\"m {m}\">{m}</span> {}</a></li>",
                operation.id(),
                escape(word(operation.is, "summary")),
                m = operation.method
            )?;
        }
        page.push_str("</ul>\n");
    }
    page.push_str("<h2><a href=\"#schemas\">schemas</a></h2></nav>\n<main id=\"top\">");
    writeln!(
        page,
        "<header><h1>{title} API <small>{version}</small></h1>{}\
         <p>The same as data: <a href=\"/api/openapi.json\">openapi.json</a> (OpenAPI {}).</p></header>",
        paragraphs(word(about, "description")),
        word(document, "openapi")
    )?;
    for tag in tags {
        let name = word(tag, "name");
        let about = escape(word(tag, "description"));
        writeln!(
            page,
            "<section id=\"tag-{name}\"><h2>{name}</h2><p>{about}</p>"
        )?;
        for operation in of_tag(document, name) {
            operation::write(document, &operation, page)?;
        }
        page.push_str("</section>\n");
    }
    schema::write_all(document, page)?;
    page.push_str("</main></body></html>\n");
    Ok(())
}

/// The operations with this tag, by path.
fn of_tag<'a>(document: &'a Value, tag: &str) -> Vec<Operation<'a>> {
    let mut found = Vec::new();
    for (path, item) in entries(&document["paths"]) {
        for (method, is) in entries(item) {
            if list(&is["tags"]).iter().any(|t| t == tag) {
                found.push(Operation { method, path, is });
            }
        }
    }
    found
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// What a `$ref` leads to, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"]
        .as_str()
        .and_then(|reference| document.pointer(reference.trim_start_matches('#')))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::DOCUMENT;

    #[test]
    fn every_operation_schema_and_code_is_on_the_page() {
        for (path, item) in entries(&DOCUMENT["paths"]) {
            assert!(PAGE.contains(&format!("<code>{path}</code>")), "{path}");
            for (_, operation) in entries(item) {
                let id = word(operation, "operationId");
                assert!(PAGE.contains(&format!("id=\"{id}\"")), "{id}");
                assert!(PAGE.contains(&format!("href=\"#{id}\"")), "{id}");
            }
        }
        for (name, _) in entries(&DOCUMENT["components"]["schemas"]) {
            assert!(PAGE.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        assert!(PAGE.contains("<code>hostname_taken</code>"));
    }

    #[test]
    fn every_link_inside_of_the_page_leads_somewhere() {
        for link in PAGE.split("href=\"#").skip(1) {
            let target = link.split('"').next().unwrap();
            assert!(PAGE.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_runs_nothing() {
        for word in ["<script", "http://", "src=", "@import", "url("] {
            assert!(!STYLE.contains(word), "{word}");
        }
        for word in ["<script", "<img", "<link", " style=", " onclick"] {
            assert!(!PAGE.contains(word), "{word}");
        }
        assert!(!POLICY.contains("unsafe"));
    }
}
