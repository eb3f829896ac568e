//! Reading bodies, queries and headers, with errors that name the field.

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_engine::error::EngineError;
use proximity_store::Reader;
use proximity_store::records::RequestKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::Caller;
use crate::refusal::Refusal;

/// Largest body, bytes.
pub(crate) const LARGEST_BODY_BYTES: usize = 1 << 20;
/// Largest body with documents of desired state, bytes: all that is read of them ([`proximity_manifest::MOST_BYTES`]) with each of
/// their bytes written as two.
pub(crate) const LARGEST_DOCUMENTS_BYTES: usize = 32 << 20;

/// A JSON body of the documented shape.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let named_json = is_json(request.headers());
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(rejection.status()))?;
        if !named_json {
            return Err(Refusal::new(
                ErrorKind::MediaType,
                ErrorBody::new(
                    "not_json",
                    "the body does not say that it is JSON",
                    "send the header `Content-Type: application/json`",
                ),
            ));
        }
        parse(&body).map(Self)
    }
}

/// The part of the URL after the question mark.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| {
                let why = innermost(&rejection);
                Refusal::new(
                    ErrorKind::Malformed,
                    ErrorBody::new(
                        "bad_query",
                        format!("the part of the URL after the question mark is wrong: {why}"),
                        "correct it; the API reference lists what this path takes",
                    ),
                )
            })
    }
}

/// What a path names: an id, a host name or a label.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        named(parts, state).await.map(Self)
    }
}

/// As [`Name`], in a path that names something of something else.
#[derive(Debug)]
pub(crate) struct Names(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Names {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        named(parts, state).await.map(|(of, what)| Self(of, what))
    }
}

async fn named<S: Send + Sync, T: DeserializeOwned + Send>(
    parts: &mut Parts,
    state: &S,
) -> Result<T, Refusal> {
    let named = axum::extract::Path::<T>::from_request_parts(parts, state).await;
    named.map(|axum::extract::Path(named)| named).map_err(|_| {
        Refusal::new(
            ErrorKind::Malformed,
            ErrorBody::new(
                "bad_path",
                "the path is not text in UTF-8",
                "percent-encode what is not a letter, a digit or a dash",
            ),
        )
    })
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    /// The caller that `authenticate` found. On a path without it, that is a fault of ours.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Refusal::new(ErrorKind::Internal, internal()))
    }
}

/// How many rows are asked for, within the documented bounds.
pub(crate) fn limit(asked: Option<u32>, default: u32, most: u32) -> Result<u32, Refusal> {
    let limit = asked.unwrap_or(default);
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(invalid("limit", format!("{limit} is not 1 to {most}")))
    }
}

/// Longest text that is searched for, characters.
const LONGEST_SEARCH: usize = 200;

/// A text to search for, within the documented bounds. What can be nowhere is refused rather than looked for: not every
/// database takes a NUL.
pub(crate) fn search(field: &str, asked: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(text) = asked else { return Ok(None) };
    let length = text.chars().count();
    if length > LONGEST_SEARCH {
        let wrong = format!("{length} characters are more than {LONGEST_SEARCH}");
        return Err(invalid(field, wrong));
    }
    if text.contains('\0') {
        return Err(invalid(field, "it holds a NUL character".to_owned()));
    }
    Ok(Some(text))
}

/// Where a page begins: the `next` of the one before.
pub(crate) fn cursor<T: std::str::FromStr>(after: Option<&str>) -> Result<Option<T>, Refusal> {
    let wrong = |_| invalid("after", "it is no `next` of a page of this list".to_owned());
    after.map(|text| text.parse().map_err(wrong)).transpose()
}

/// A value that breaks its rule.
pub(crate) fn invalid(field: &str, message: String) -> Refusal {
    EngineError::Invalid {
        field: field.to_owned(),
        message,
    }
    .into()
}

/// The error of a fault of ours.
pub(crate) fn internal() -> ErrorBody {
    ErrorBody::new(
        "internal",
        "the server made a mistake on this request",
        "look in the server's log for the id in the header `x-request-id`, and report it",
    )
}

/// The key under which the request may come twice, if one was sent, with a hash of what is asked for.
///
/// The hash is the store's own: it is kept, and the body may hold secrets.
pub(crate) fn request_key(
    reader: &Reader,
    headers: &HeaderMap,
    what: &str,
    body: &impl Serialize,
) -> Result<Option<RequestKey>, Refusal> {
    let Some(key) = idempotency_key(headers)? else {
        return Ok(None);
    };
    // What was read from JSON can be written as JSON.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let fingerprint = reader.fingerprint(&[what.as_bytes(), &body]);
    Ok(Some(RequestKey { key, fingerprint }))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let fine = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fine {
        return Ok(Some(text.to_owned()));
    }
    Err(Refusal::new(
        ErrorKind::Malformed,
        ErrorBody::new(
            "bad_header",
            "the header `Idempotency-Key` must be 1 to 128 printable ASCII characters without blanks",
            "send a UUID, a new one for each new request",
        ),
    ))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

pub(crate) fn unreadable(status: StatusCode) -> Refusal {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Refusal::new(
            ErrorKind::TooLarge,
            ErrorBody::new(
                "body_too_large",
                "the body is larger than 1 MiB, or than 32 MiB where it has documents to plan",
                "send less; plan documents in several parts",
            ),
        )
    } else {
        Refusal::new(
            ErrorKind::Malformed,
            ErrorBody::new("bad_json", "the body ended early", "send the request again"),
        )
    }
}

/// Reads JSON, and on failure says where and what.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // Serde would take a list of the fields' values as well; nobody should come to rely on that.
    if body.trim_ascii_start().starts_with(b"[") {
        let hint = "send the fields by name, between { and }";
        let message = "the body must be a JSON object, not a list";
        let body = ErrorBody::new("bad_field", message, hint);
        return Err(Refusal::new(ErrorKind::Malformed, body));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        wrong(&path, error.inner())
    })?;
    reader.end().map_err(|error| wrong(".", &error))?;
    Ok(value)
}

fn wrong(path: &str, error: &serde_json::Error) -> Refusal {
    let malformed = |body| Refusal::new(ErrorKind::Malformed, body);
    if !error.is_data() {
        let hint = "check the body with a JSON tool such as `jq .`";
        return malformed(ErrorBody::new(
            "bad_json",
            format!("the body is not JSON: {error}"),
            hint,
        ));
    }
    let why = without_place(&error.to_string());
    let hint = "correct the field; the API reference shows the body";
    if let Some(rest) = why.strip_prefix("unknown field ") {
        let known = rest.split_once(", ").map_or("", |(_, known)| known);
        return malformed(
            ErrorBody::new(
                "unknown_field",
                format!("the body has a field this request does not know: {path}"),
                hint,
            )
            .field(path, format!("unknown; {known}")),
        );
    }
    let missing = why
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    let field = match missing {
        Some(name) if path == "." => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None => path.to_owned(),
    };
    let message = match missing {
        Some(_) => format!("the body lacks the field {field}"),
        None if field == "." => format!("the body is wrong: {why}"),
        None => format!("the field {field} is wrong: {why}"),
    };
    let wrong = if missing.is_some() {
        "missing".to_owned()
    } else {
        why
    };
    malformed(ErrorBody::new("bad_field", message, hint).field(field, wrong))
}

/// serde_json ends its texts with the line and column; the field's path says more.
fn without_place(text: &str) -> String {
    text.rfind(" at line ")
        .map_or(text, |end| &text[..end])
        .to_owned()
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use proximity_api::apps::{ActionRequest, CreateApp};

    use super::*;

    fn refused<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> ErrorBody {
        parse::<T>(text.as_bytes()).unwrap_err().body
    }

    #[test]
    fn errors_of_bodies_read_well() {
        let bodies = [
            "",
            "{",
            "[]",
            "{} {}",
            r#"{"hostname":"web"}"#,
            r#"{"catalog_id":"nginx","hostname":7}"#,
            r#"{"catalog_id":"nginx","hostname":"web","cpu":1}"#,
            r#"{"catalog_id":"nginx","hostname":"web","config":{"ram":512}}"#,
            r#"{"catalog_id":"nginx","hostname":"web","config":{"memory":"512"}}"#,
            r#"{"catalog_id":"nginx","hostname":"web","config":{"memory":-1}}"#,
        ];
        let mut text = String::new();
        for body in bodies {
            let error = refused::<CreateApp>(body);
            text.push_str(&format!(
                "{body}\n  error[{}]: {}\n",
                error.code, error.message
            ));
            for (field, wrong) in &error.fields {
                text.push_str(&format!("    {field}: {wrong}\n"));
            }
        }
        let error = refused::<ActionRequest>(r#"{"action":"explode"}"#);
        text.push_str(&format!(
            "action explode\n  error[{}]: {}\n",
            error.code, error.message
        ));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn idempotency_keys_are_short_and_printable() {
        let with = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", text.parse().unwrap());
            idempotency_key(&headers)
        };
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(with("a-1").unwrap(), Some("a-1".to_owned()));
        assert!(with("").is_err());
        assert!(with("a b").is_err());
        assert!(with(&"x".repeat(129)).is_err());
    }
}
