//! `/cluster/notifications`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::notify::{self, Entity, MATCHER};
use crate::schema::{perl_text, split_list};

const LOCK: &str = "file-notifications_cfg";
/// Lists; a lone entry is one too.
const LISTS: [&str; 8] = [
    "header",
    "mailto",
    "mailto-user",
    "match-calendar",
    "match-field",
    "match-severity",
    "secret",
    "target",
];
const NUMBERS: [&str; 3] = ["disable", "invert-match", "port"];
/// What is no part of an entity, or secret.
const FOREIGN: [&str; 5] = ["name", "delete", "digest", "token", "password"];

pub(super) fn index(_: &mut Call<'_>) -> Outcome {
    let names = [
        "endpoints",
        "matchers",
        "targets",
        "matcher-fields",
        "matcher-field-values",
    ];
    Ok(named(&names).into())
}

pub(super) fn endpoints_index(_: &mut Call<'_>) -> Outcome {
    Ok(named(&["gotify", "sendmail", "smtp", "webhook"]).into())
}

fn named(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"name": name})).collect()
}

pub(super) fn fields(_: &mut Call<'_>) -> Outcome {
    Ok(named(&["type", "hostname", "job-id"]).into())
}

/// What matchers can ask for: kinds of events, jobs of backups for auditors, and nodes.
pub(super) fn field_values(call: &mut Call<'_>) -> Outcome {
    let kinds = [
        "package-updates",
        "fencing",
        "replication",
        "vzdump",
        "system-mail",
    ];
    let mut rows: Vec<Value> = kinds
        .iter()
        .map(|kind| json!({"field": "type", "value": kind}))
        .collect();
    if call.may("/", "Sys.Audit") {
        rows.extend(call.world.backup_jobs.iter().map(
            |(id, job)| json!({"field": "job-id", "value": id, "comment": job.get("comment")}),
        ));
    }
    let nodes = call.world.nodes().iter();
    rows.extend(nodes.map(|node| json!({"field": "hostname", "value": node.name})));
    Ok(Value::Array(rows).into())
}

fn row(name: &str, entity: &Entity) -> Map<String, Value> {
    let mut row: Map<String, Value> = entity.keys.clone().into_iter().collect();
    row.insert("name".into(), name.into());
    row.insert("origin".into(), notify::origin(name, entity).into());
    row
}

pub(super) fn list(call: &mut Call<'_>, kind: &str) -> Outcome {
    let all = call.world.notify_entities();
    let rows = all.iter().filter(|(_, entity)| entity.kind == kind);
    let rows = rows.map(|(name, entity)| Value::Object(row(name, entity)));
    Ok(rows.collect::<Value>().into())
}

pub(super) fn targets(call: &mut Call<'_>) -> Outcome {
    let all = call.world.notify_entities();
    let rows = all.iter().filter(|(_, entity)| entity.kind != MATCHER);
    let rows = rows.map(|(name, entity)| {
        let mut row = row(name, entity);
        row.retain(|key, _| matches!(key.as_str(), "name" | "comment" | "disable" | "origin"));
        row.insert("type".into(), entity.kind.clone().into());
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

fn name(call: &Call<'_>) -> String {
    call.text("name").unwrap_or_default()
}

pub(super) fn read(call: &mut Call<'_>, kind: &str) -> Outcome {
    let name = name(call);
    let entity = notify::find(call.world, kind, &name)?;
    let mut row = row(&name, &entity);
    row.insert("digest".into(), call.world.notify_digest().into());
    Ok(Value::Object(row).into())
}

/// An entry of a list; of secrets the name alone is kept.
fn entry(key: &str, text: String) -> Value {
    if key != "secret" {
        return text.into();
    }
    let parts = split_list(&text);
    let name = parts.into_iter().find(|part| part.starts_with("name="));
    name.unwrap_or_default().into()
}

/// A given value in the type the API has for it.
fn typed(key: &str, value: &Value) -> Option<Value> {
    if LISTS.contains(&key) {
        let texts: Vec<String> = match value {
            Value::Array(list) => list.iter().filter_map(perl_text).collect(),
            other => perl_text(other).into_iter().collect(),
        };
        return Some(texts.into_iter().map(|text| entry(key, text)).collect());
    }
    let text = perl_text(value)?;
    if NUMBERS.contains(&key) {
        return Some(text.parse::<i64>().unwrap_or(1).into());
    }
    Some(text.into())
}

/// What was given of an entity.
fn given(call: &Call<'_>) -> BTreeMap<String, Value> {
    let given = call.params.iter();
    let given = given.filter(|(key, value)| !FOREIGN.contains(&key.as_str()) && !value.is_null());
    given
        .filter_map(|(key, value)| Some((key.clone(), typed(key, value)?)))
        .collect()
}

/// What Proxmox' library cannot read.
fn check_values(entity: &Entity) -> Result<(), ApiError> {
    let odd = |text: &&&str| {
        let rest = text.strip_prefix("exact:").or(text.strip_prefix("regex:"));
        !rest.is_some_and(|rest| rest.contains('='))
    };
    if let Some(text) = entity.list("match-field").iter().find(odd) {
        let text = format!("could not apply filter: invalid match-field statement: {text}");
        return Err(ApiError::died(text));
    }
    let known = ["info", "notice", "warning", "error", "unknown"];
    let lists = entity.list("match-severity");
    let mut words = lists.iter().flat_map(|list| list.split(',').map(str::trim));
    match words.find(|word| !known.contains(word)) {
        Some(word) => Err(ApiError::died(format!("unknown severity {word}"))),
        None => Ok(()),
    }
}

pub(super) fn create(call: &mut Call<'_>, kind: &str) -> Outcome {
    call.cluster_lock(LOCK, "")?;
    let name = name(call);
    let entity = Entity::new(kind, given(call));
    check_values(&entity)?;
    if call.world.notify_entities().contains_key(&name) {
        let text = format!("Cannot create '{name}', an entity with the same name already exists");
        return Err(ApiError::raised(400, text).into());
    }
    notify::check(call.world, &entity)?;
    call.world.notifications.insert(name, entity);
    Ok(Value::Null.into())
}

pub(super) fn update(call: &mut Call<'_>, kind: &str) -> Outcome {
    call.cluster_lock(LOCK, "")?;
    let name = name(call);
    let changes = Entity::new(kind, given(call));
    check_values(&changes)?;
    let removed = removed(call, kind)?;
    let digest = call.text("digest").filter(|digest| !digest.is_empty());
    if digest.is_some_and(|digest| digest != call.world.notify_digest()) {
        let text = "detected modified configuration - file changed by other user? Try again.";
        return Err(ApiError::raised(400, text).into());
    }
    let mut entity = notify::find(call.world, kind, &name)?;
    entity.keys.retain(|key, _| !removed.contains(key));
    entity.keys.extend(changes.keys);
    notify::check(call.world, &entity)?;
    call.world.notifications.insert(name, entity);
    Ok(Value::Null.into())
}

/// What can be taken away from an entity of a kind.
fn optional(kind: &str) -> &'static [&'static str] {
    match kind {
        "gotify" => &["comment", "disable"],
        "sendmail" => &[
            "author",
            "comment",
            "disable",
            "from-address",
            "mailto",
            "mailto-user",
        ],
        "smtp" => &[
            "author",
            "comment",
            "disable",
            "mailto",
            "mailto-user",
            "password",
            "port",
            "username",
        ],
        "webhook" => &["body", "comment", "disable", "header", "secret"],
        _ => &[
            "comment",
            "disable",
            "invert-match",
            "match-calendar",
            "match-field",
            "match-severity",
            "mode",
            "target",
        ],
    }
}

fn removed(call: &Call<'_>, kind: &str) -> Result<Vec<String>, ApiError> {
    let keys: Vec<String> = match call.params.get("delete") {
        Some(Value::Array(list)) => list.iter().filter_map(perl_text).collect(),
        Some(other) => perl_text(other).into_iter().collect(),
        None => Vec::new(),
    };
    let known = optional(kind);
    match keys.iter().find(|key| !known.contains(&key.as_str())) {
        None => Ok(keys),
        Some(key) => {
            let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
            let text = format!(
                "unknown variant `{key}`, expected one of {}",
                known.join(", ")
            );
            Err(ApiError::died(text))
        }
    }
}

pub(super) fn delete(call: &mut Call<'_>, kind: &str) -> Outcome {
    call.cluster_lock(LOCK, "")?;
    let name = name(call);
    notify::find(call.world, kind, &name)?;
    notify::check_removal(call.world, &name)?;
    call.world.notifications.remove(&name);
    Ok(Value::Null.into())
}

pub(super) fn test(call: &mut Call<'_>) -> Outcome {
    notify::test(call.world, &name(call))?;
    Ok(Value::Null.into())
}
