//! One operation on the page: what it takes, what it answers, how to call it.

use std::fmt::Write;

use serde_json::Value;

use super::schema::{self, sample, type_of};
use super::text::{escape, line, paragraphs};
use super::{Operation, entries, list, resolved, word};

pub(super) fn write(
    document: &Value,
    operation: &Operation,
    page: &mut String,
) -> std::fmt::Result {
    let is = operation.is;
    writeln!(
        page,
        "<article id=\"{}\"><h3><span class=\"m {m}\">{m}</span> <code>{}</code></h3>\
         <p class=\"lead\">{}{}</p>{}",
        operation.id(),
        escape(operation.path),
        line(word(is, "summary")),
        if is_public(is) {
            " <span class=\"tag\">no token needed</span>"
        } else {
            ""
        },
        paragraphs(word(is, "description")),
        m = operation.method,
    )?;
    parameters(list(&is["parameters"]), page)?;
    body(document, is, page)?;
    curl(document, operation, page)?;
    answers(document, is, page)?;
    page.push_str("</article>\n");
    Ok(())
}

fn is_public(operation: &Value) -> bool {
    list(&operation["security"])
        .iter()
        .any(|needs| needs.as_object().is_some_and(serde_json::Map::is_empty))
}

fn parameters(parameters: &[Value], page: &mut String) -> std::fmt::Result {
    if parameters.is_empty() {
        return Ok(());
    }
    page.push_str("<h4>Parameters</h4><table><thead><tr><th>name</th><th>in</th><th>type</th><th>what</th></tr></thead><tbody>");
    for parameter in parameters {
        write!(
            page,
            "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(word(parameter, "name")),
            if parameter["required"] == true {
                "<b class=\"req\" title=\"required\">*</b>"
            } else {
                ""
            },
            word(parameter, "in"),
            type_of(&parameter["schema"]),
            line(word(parameter, "description"))
        )?;
    }
    page.push_str("</tbody></table>\n");
    Ok(())
}

fn body_schema(operation: &Value) -> Option<&Value> {
    operation.pointer("/requestBody/content/application~1json/schema")
}

fn body(document: &Value, operation: &Value, page: &mut String) -> std::fmt::Result {
    let Some(of) = body_schema(operation) else {
        return Ok(());
    };
    write!(page, "<h4>Body: {}</h4>", type_of(of))?;
    schema::fields(document, resolved(document, of), page)
}

/// A command that can be pasted once `URL` and `TOKEN` are set.
fn curl(document: &Value, operation: &Operation, page: &mut String) -> std::fmt::Result {
    let mut path = operation.path.to_owned();
    for parameter in list(&operation.is["parameters"]) {
        if let Some(example) = parameter["example"].as_str() {
            path = path.replace(&format!("{{{}}}", word(parameter, "name")), example);
        }
    }
    let mut command = "curl -sS".to_owned();
    if operation.method != "get" {
        command.push_str(&format!(" -X {}", operation.method.to_uppercase()));
    }
    if !is_public(operation.is) {
        command.push_str(" -H \"authorization: Bearer $TOKEN\"");
    }
    if let Some(of) = body_schema(operation.is) {
        let example = sample(document, of, 0);
        command.push_str(" \\\n  -H 'content-type: application/json' \\\n  -d '");
        command.push_str(&example.to_string());
        command.push('\'');
    }
    write!(
        page,
        "<pre>{} \\\n  \"$URL{}\"</pre>",
        escape(&command),
        escape(&path)
    )
}

fn answers(document: &Value, operation: &Value, page: &mut String) -> std::fmt::Result {
    page.push_str("<h4>Answers</h4><table><tbody>");
    let all = || entries(&operation["responses"]);
    for (status, answer) in all().filter(|(status, _)| status.starts_with('2')) {
        success(status, answer, page)?;
    }
    for (status, answer) in all().filter(|(status, _)| !status.starts_with('2')) {
        let answer = resolved(document, answer);
        // Health answers 503 with its own body, which is no error.
        match content(answer) {
            Some((_, of)) if of["allOf"].is_null() => success(status, answer, page)?,
            Some(_) | None => write!(
                page,
                "<tr class=\"bad\"><th>{status}</th><td>{}</td></tr>",
                paragraphs(word(answer, "description"))
            )?,
        }
    }
    page.push_str("</tbody></table>\n");
    Ok(())
}

fn success(status: &str, answer: &Value, page: &mut String) -> std::fmt::Result {
    write!(
        page,
        "<tr><th>{status}</th><td>{}",
        line(word(answer, "description"))
    )?;
    if let Some((kind, of)) = content(answer) {
        write!(
            page,
            " <span class=\"quiet\">{}</span> {}",
            escape(kind),
            type_of(of)
        )?;
    }
    for (name, header) in entries(&answer["headers"]).filter(|(name, _)| *name != "x-request-id") {
        let about = line(word(header, "description"));
        write!(
            page,
            "<br><span class=\"quiet\">header</span> <code>{name}</code> {about}"
        )?;
    }
    page.push_str("</td></tr>");
    Ok(())
}

fn content(answer: &Value) -> Option<(&String, &Value)> {
    let (kind, of) = entries(&answer["content"]).next()?;
    Some((kind, &of["schema"]))
}
