//! Puts results and refusals into the caller's format.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::request::{Handed, RequestId, Response, first_line};

/// PVE delays every 401 by this long.
pub(crate) const UNAUTHORIZED_HOLD_MS: u64 = 3_000;
const JSON: &str = "application/json;charset=UTF-8";

/// How the caller wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `/api2/json`: status codes tell.
    Json,
    /// `/api2/extjs`: always 200, `success` tells.
    Extjs,
}

impl Style {
    /// By the path component.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "extjs" => Some(Self::Extjs),
            _ => None,
        }
    }
}

/// What a method gives back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    /// To be put into the caller's format.
    Data {
        /// `data`.
        data: Value,
        /// `total`, left out when 0 or absent.
        total: Option<u64>,
    },
    /// A file to be kept under this name.
    File {
        /// Its name.
        name: String,
        /// What is in it.
        text: Bytes,
    },
    /// The whole body as [`Style::Json`] has it.
    Whole(Bytes),
}

impl Reply {
    /// A body with this as its data, written from where it lies: for what is asked for again and again. Its keys have to be in
    /// their order, as those of a [`Value`] are.
    pub(crate) fn written<T: Serialize>(data: &T) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(&Body { data });
        let body = body.map_err(|error| ApiError::died(error.to_string()))?;
        Ok(Self::Whole(body.into()))
    }

    /// A part of a list that has so many rows.
    pub(crate) fn page(data: Value, total: u64) -> Self {
        let total = Some(total);
        Self::Data { data, total }
    }
}

#[derive(Serialize)]
struct Body<'a, T> {
    data: &'a T,
}

impl From<Value> for Reply {
    fn from(data: Value) -> Self {
        Self::Data { data, total: None }
    }
}

/// A 200.
pub(crate) fn success(request: RequestId, style: Style, reply: Reply, handed: Handed) -> Response {
    let (data, total) = match reply {
        Reply::Data { data, total } => (data, total),
        Reply::File { name, text } => {
            return Response {
                content_type: Some("text/plain"),
                file_name: Some(name),
                ..respond(request, 200, "OK", text, handed)
            };
        }
        Reply::Whole(body) if style == Style::Json => {
            return respond(request, 200, "OK", body, handed);
        }
        Reply::Whole(body) => {
            let mut whole: Value = serde_json::from_slice(&body).unwrap_or_default();
            (whole["data"].take(), None)
        }
    };
    let mut body = Map::from_iter([("data".to_owned(), data)]);
    if let Some(total) = total.filter(|total| *total > 0) {
        body.insert("total".into(), total.into());
    }
    if style == Style::Extjs {
        body.insert("success".into(), json!(1));
    }
    finish(request, 200, "OK", &Value::Object(body), handed)
}

/// A refusal; in extjs style a 200 that says so.
pub(crate) fn failure(
    request: RequestId,
    style: Style,
    error: &ApiError,
    handed: Handed,
) -> Response {
    let message = error.message();
    let mut body = Map::from_iter([
        ("data".to_owned(), Value::Null),
        ("message".to_owned(), Value::String(message.clone())),
    ]);
    if let Some(errors) = error.errors() {
        body.insert("errors".into(), json!(errors));
    }
    match style {
        Style::Json => Response {
            // Every 401 is held back, whoever decided it.
            hold_ms: if error.status() == 401 {
                UNAUTHORIZED_HOLD_MS
            } else {
                0
            },
            ..finish(
                request,
                error.status(),
                &first_line(&message),
                &Value::Object(body),
                handed,
            )
        },
        Style::Extjs => {
            body.insert("success".into(), json!(0));
            body.insert("status".into(), extjs_status(error));
            finish(request, 200, "OK", &Value::Object(body), handed)
        }
    }
}

/// Exceptions that carry their own code show it as text, the others as number.
fn extjs_status(error: &ApiError) -> Value {
    match error {
        ApiError::Parameters(_) | ApiError::Denied(_) | ApiError::Raised { .. } => {
            Value::String(error.status().to_string())
        }
        ApiError::Died(_) | ApiError::NotImplemented(_) => error.status().into(),
    }
}

fn finish(request: RequestId, status: u16, reason: &str, body: &Value, handed: Handed) -> Response {
    respond(request, status, reason, body.to_string().into(), handed)
}

fn respond(request: RequestId, status: u16, reason: &str, body: Bytes, handed: Handed) -> Response {
    Response {
        request,
        status,
        reason: reason.to_owned(),
        content_type: Some(JSON),
        file_name: None,
        body,
        handed,
        hold_ms: 0,
        cut: false,
    }
}
