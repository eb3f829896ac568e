//! From status, reason and bytes to a value or an error: decided purely.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::transport::RawResponse;

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// What a refusal may carry; all of it can be missing.
#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    errors: BTreeMap<String, serde_json::Value>,
}

/// How much of an answer that cannot be understood is shown.
const EXCERPT_CHARS: usize = 200;

/// The value in an answer of 2xx, or the error the answer stands for.
pub(crate) fn read<T: DeserializeOwned>(
    call: &str,
    is_read: bool,
    answer: &RawResponse,
) -> Result<T> {
    if !(200..=299).contains(&answer.status) {
        return Err(refusal(call, is_read, answer));
    }
    parse(&answer.body).map_err(|why| {
        let why = format!("{why} in {:?}", excerpt(&answer.body));
        not_understood(call, is_read, why)
    })
}

/// The payload of an answer, or which field of it cannot be read and why.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    match serde_json::from_slice::<Envelope<T>>(body) {
        Ok(envelope) => Ok(envelope.data),
        Err(e) => Err(match field::<T>(body) {
            Some(path) => format!("{path}: {e}"),
            None => e.to_string(),
        }),
    }
}

/// Which field cannot be read. Looked for only then, for keeping track of it makes reading a long list slower.
fn field<T: DeserializeOwned>(body: &[u8]) -> Option<String> {
    let mut text = serde_json::Deserializer::from_slice(body);
    let read: Result<Envelope<T>, _> = serde_path_to_error::deserialize(&mut text);
    let path = read.err()?.path().to_string();
    (path != ".").then_some(path)
}

/// A change that was answered with 2xx happened in some form, even if the answer makes no sense.
fn not_understood(call: &str, is_read: bool, why: String) -> Error {
    let call = call.to_owned();
    if is_read {
        Error::Unreadable { call, why }
    } else {
        Error::MaybeApplied { call, why }
    }
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .take(EXCERPT_CHARS)
        .collect()
}

fn refusal(call: &str, is_read: bool, answer: &RawResponse) -> Error {
    let call = call.to_owned();
    let parsed = serde_json::from_slice::<Refusal>(&answer.body).ok();
    if answer.status == 401 {
        return Error::Unauthorized {
            call,
            reason: answer.reason.clone(),
        };
    }
    if !is_read && let Some(error) = in_doubt(&call, answer, parsed.is_some()) {
        return error;
    }
    let body = parsed.unwrap_or_default();
    let message = body
        .message
        .map(|m| m.trim_end().to_owned())
        .filter(|m| !m.is_empty());
    Error::Refused {
        call,
        status: answer.status,
        reason: answer.reason.clone(),
        message: message.unwrap_or_else(|| without_message(answer)),
        errors: body
            .errors
            .into_iter()
            .map(|(name, text)| (name, as_text(text)))
            .collect(),
    }
}

fn without_message(answer: &RawResponse) -> String {
    match answer.status {
        300..=399 => {
            "a redirect, which is never followed; is this the address of a PVE API?".to_owned()
        }
        _ if answer.reason.is_empty() => format!("status {} without a message", answer.status),
        _ => answer.reason.clone(),
    }
}

fn as_text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.trim_end().to_owned(),
        other => other.to_string(),
    }
}

/// Answers to a change that do not come from the code that would have made it.
fn in_doubt(call: &str, answer: &RawResponse, has_pve_body: bool) -> Option<Error> {
    let call = call.to_owned();
    let why = format!("{} {}", answer.status, answer.reason);
    match answer.status {
        // The proxying node could not even connect: with these reasons certainly so.
        595 if ["Connection refused", "No route to host"].contains(&answer.reason.as_str()) => {
            Some(Error::NotSent { call, why })
        }
        595..=599 => Some(Error::MaybeApplied { call, why }),
        // A gateway in between lost the answer, or a daemon died over it. PVE's own refusals have a JSON body.
        500 | 502..=504 if !has_pve_body => Some(Error::MaybeApplied { call, why }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(status: u16, reason: &str, body: &str) -> RawResponse {
        RawResponse {
            status,
            reason: reason.to_owned(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn write(status: u16, reason: &str, body: &str) -> Error {
        read::<String>("POST /x", false, &answer(status, reason, body)).unwrap_err()
    }

    fn get(status: u16, reason: &str, body: &str) -> Error {
        read::<String>("GET /x", true, &answer(status, reason, body)).unwrap_err()
    }

    #[test]
    fn a_lost_node_is_certain_only_when_nothing_was_connected() {
        assert!(write(595, "Connection refused", "").is_not_sent());
        assert!(write(595, "No route to host", "").is_not_sent());
        assert!(write(595, "Broken pipe", "").is_maybe_applied());
        assert!(write(596, "Connection timed out", "").is_maybe_applied());
        assert!(write(599, "", "").is_maybe_applied());
        assert!(get(595, "Connection refused", "").is_node_unreachable());
        assert!(get(596, "", "").is_node_unreachable());
    }

    #[test]
    fn a_gateway_in_between_leaves_a_change_in_doubt() {
        assert!(write(502, "Bad Gateway", "<html>").is_maybe_applied());
        assert!(write(500, "", "").is_maybe_applied());
        let refused = write(500, "CT 1 x", r#"{"data":null,"message":"CT 1 x\n"}"#);
        assert!(
            matches!(refused, Error::Refused { status: 500, ref message, .. } if message == "CT 1 x")
        );
    }

    #[test]
    fn nonsense_after_success_is_no_failure_of_the_change() {
        assert!(write(200, "OK", "<html>").is_maybe_applied());
        assert!(matches!(get(200, "OK", "<html>"), Error::Unreadable { .. }));
        assert!(matches!(
            get(200, "OK", r#"{"data":7}"#),
            Error::Unreadable { .. }
        ));
    }

    #[test]
    fn parameter_errors_are_named() {
        let body = r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"vmid":"VM 100 already exists"}}"#;
        let error = get(400, "Parameter verification failed.", body);
        assert!(error.is_vmid_taken());
        assert!(
            error.to_string().contains("[vmid: VM 100 already exists]"),
            "{error}"
        );
    }

    #[test]
    fn redirects_and_bad_tokens_are_told_apart() {
        assert!(
            matches!(get(301, "Moved", ""), Error::Refused { status: 301, ref message, .. } if message.contains("redirect"))
        );
        assert!(matches!(
            write(401, "No ticket", ""),
            Error::Unauthorized { .. }
        ));
    }
}
