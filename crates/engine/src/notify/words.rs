//! From a row of the log to what people are told: names and reasons are looked up.

use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::notify::Notice;
use proximity_domain::operation::{OperationState, UnwindCause};
use proximity_store::views::EventRow;
use proximity_store::{Reader, StoreError};
use serde_json::Value;

use super::wall_clock::moment;

/// Most facts of one notice.
const FACTS: usize = 12;
/// Fields that are told in another way, or say nothing to people.
const TOLD_OTHERWISE: [&str; 11] = [
    "app",
    "operation",
    "hostname",
    "label",
    "problem",
    "id",
    "silent",
    "resource",
    "pass",
    "change",
    "snapshot",
];

/// The notice of event `seq`; `None` if there is none, or it is nothing people are told of.
pub(super) async fn notice(reader: &Reader, seq: i64) -> Result<Option<Notice>, StoreError> {
    let rows = reader.events(seq - 1, 1).await?;
    let Some(row) = rows.into_iter().next().filter(|row| row.0 == seq) else {
        return Ok(None);
    };
    of_row(reader, row).await
}

async fn of_row(reader: &Reader, row: EventRow) -> Result<Option<Notice>, StoreError> {
    let (seq, at, event, app, operation) = row;
    let Some(spec) = event.kind.notice_of(&event.body) else {
        return Ok(None);
    };
    let said = text(&event.body, "hostname").or_else(|| text(&event.body, "label"));
    let subject = match said.or_else(|| resource(&event.body)) {
        Some(subject) => Some(subject),
        None => name_of(reader, app).await?,
    };
    let reason = match problem(&event.body) {
        Some(reason) => Some(reason),
        None => failure_of(reader, operation).await?.map(|f| sentence(&f)),
    };
    Ok(Some(Notice {
        seq,
        at,
        moment: moment(at),
        kind: event.kind,
        severity: spec.severity,
        app,
        subject,
        operation,
        reason,
        facts: facts(&event.body),
    }))
}

fn text(body: &Value, field: &str) -> Option<String> {
    body.get(field)?.as_str().map(str::to_owned)
}

/// As people name a resource: `lab/container 101 (web)`.
fn resource(body: &Value) -> Option<String> {
    let of = |field: &str| text(body, field);
    let (_, host, kind, key) = (of("resource")?, of("host")?, of("kind")?, of("key")?);
    Some(match of("name").filter(|name| *name != key) {
        Some(name) => format!("{host}/{kind} {key} ({name})"),
        None => format!("{host}/{kind} {key}"),
    })
}

fn problem(body: &Value) -> Option<String> {
    let problem = body.get("problem")?;
    let failure = serde_json::from_value::<Failure>(problem.clone()).ok();
    failure
        .map(|f| sentence(&f))
        .or_else(|| problem.as_str().map(str::to_owned))
}

fn sentence(failure: &Failure) -> String {
    let Failure {
        message,
        hint,
        code,
        ..
    } = failure;
    match hint.as_str() {
        "" => format!("{message} ({code})"),
        hint => format!("{message} ({code}). Next: {hint}"),
    }
}

async fn name_of(reader: &Reader, app: Option<AppId>) -> Result<Option<String>, StoreError> {
    let Some(app) = app else { return Ok(None) };
    if let Some(live) = reader.app(app).await? {
        return Ok(Some(live.hostname.to_string()));
    }
    let archived = reader.archived_app(app).await?;
    Ok(archived.map(|a| a.record.hostname.to_string()))
}

async fn failure_of(
    reader: &Reader,
    operation: Option<OperationId>,
) -> Result<Option<Failure>, StoreError> {
    let Some(operation) = operation else {
        return Ok(None);
    };
    let found = reader.operation(operation).await?;
    Ok(found.and_then(|o| match o.state {
        OperationState::Failed { failure } | OperationState::Stuck { failure, .. } => Some(failure),
        OperationState::Unwinding { cause } => match cause {
            UnwindCause::Failure { failure } => Some(failure),
            UnwindCause::Cancel => None,
        },
        OperationState::Queued
        | OperationState::Running
        | OperationState::Succeeded
        | OperationState::Cancelled => None,
    }))
}

/// Fields that hold one value or a list of them.
fn facts(body: &Value) -> Vec<(String, String)> {
    let Some(fields) = body.as_object() else {
        return Vec::new();
    };
    let told = fields
        .iter()
        .filter(|(name, _)| !TOLD_OTHERWISE.contains(&name.as_str()));
    let told = told.filter_map(|(name, value)| Some((name.clone(), plain(value)?)));
    told.take(FACTS).collect()
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => changed(fields),
        Value::Null => None,
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::String(s) => Some(s.clone()),
        Value::Array(all) => {
            let parts: Option<Vec<String>> = all.iter().map(plain).collect();
            parts.filter(|p| !p.is_empty()).map(|p| p.join(", "))
        }
    }
}

/// A field that differs, as a resource's change tells it: `status: running -> stopped`.
fn changed(fields: &serde_json::Map<String, Value>) -> Option<String> {
    let name = fields.get("field")?.as_str()?;
    // Of values that nobody is to read there is only the name.
    if !fields.contains_key("from") && !fields.contains_key("to") {
        return Some(name.to_owned());
    }
    let side = |side: &str| match fields.get(side)? {
        Value::Null => Some("nothing".to_owned()),
        Value::Object(_) => None,
        other => plain(other),
    };
    Some(format!("{name}: {} -> {}", side("from")?, side("to")?))
}
