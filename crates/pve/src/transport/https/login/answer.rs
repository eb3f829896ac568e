//! What PVE says to a login: decided purely, and without a word of it in any error, for it holds a ticket.

use http::HeaderValue;
use secrecy::SecretString;
use serde_json::Value;

use super::super::credentials::secret_header;
use crate::percent;
use crate::transport::{RawResponse, TransportError};

/// What came of a login.
#[derive(Debug)]
pub(super) enum Said {
    /// The user is logged in.
    In(Papers),
    /// The password was right, and a second factor is missing.
    Half {
        /// Names this login when the second factor is sent.
        challenge: SecretString,
        /// What PVE would take, e.g. `totp`.
        accepts: Vec<String>,
    },
}

/// What PVE hands out at a login.
#[derive(Debug)]
pub(super) struct Papers {
    /// The ticket, which is also taken as a password.
    pub(super) ticket: SecretString,
    /// The same as a header.
    pub(super) cookie: HeaderValue,
    /// What has to come along with a change.
    pub(super) csrf: HeaderValue,
}

/// The start of a ticket that is worth nothing but a second step.
const HALF: &str = "PVE:!tfa!";

/// Reads the answer to a login.
///
/// # Errors
/// [`TransportError::LoginRefused`] if PVE says no, [`TransportError::NotSent`] if it says anything that is no answer: the
/// call for which it was asked has not been sent in either case.
pub(super) fn read(answer: &RawResponse) -> Result<Said, TransportError> {
    match answer.status {
        200..=299 => {}
        // What is wrong with it PVE does not tell: user, password or second factor, or that the user is disabled.
        401 | 403 => return Err(TransportError::LoginRefused(answer.reason.clone())),
        status => {
            let reason = &answer.reason;
            return Err(not_sent(&format!("it was answered with {status} {reason}")));
        }
    }
    let whole: Value =
        serde_json::from_slice(&answer.body).map_err(|_| not_sent("its answer is no JSON"))?;
    let fields = whole
        .get("data")
        .ok_or_else(|| not_sent("its answer has no `data`"))?;
    let ticket = text(fields, "ticket")?;
    if is_set(fields.get("NeedTFA")) || ticket.starts_with(HALF) {
        return Ok(Said::Half {
            accepts: accepted(ticket),
            challenge: ticket.into(),
        });
    }
    let csrf = text(fields, "CSRFPreventionToken")?;
    // PVE unescapes the cookie, and writes it so itself.
    let cookie = format!("PVEAuthCookie={}", percent::encode(ticket));
    let header = |name: &str, value: &str| secret_header(value).ok_or_else(|| bad(name));
    Ok(Said::In(Papers {
        cookie: header("ticket", &cookie)?,
        csrf: header("CSRFPreventionToken", csrf)?,
        ticket: ticket.into(),
    }))
}

fn not_sent(what: &str) -> TransportError {
    TransportError::NotSent(format!("the login failed: {what}"))
}

fn bad(field: &str) -> TransportError {
    not_sent(&format!("`{field}` in its answer cannot be used"))
}

fn text<'a>(fields: &'a Value, name: &str) -> Result<&'a str, TransportError> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| bad(name))
}

fn is_set(flag: Option<&Value>) -> bool {
    match flag {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Number(n)) => n.as_u64() != Some(0),
        Some(Value::String(text)) => !matches!(text.as_str(), "" | "0"),
        Some(_) => true,
    }
}

/// The kinds of second factors that a half ticket offers: it holds the challenge as JSON, its colons escaped. Empty if it
/// cannot be read.
fn accepted(half: &str) -> Vec<String> {
    let challenge = half
        .strip_prefix(HALF)
        .and_then(|rest| rest.split(':').next())
        .and_then(percent::decode);
    let Some(Value::Object(kinds)) =
        challenge.and_then(|text| serde_json::from_str::<Value>(&text).ok())
    else {
        return Vec::new();
    };
    let offered = |kind: &Value| match kind {
        Value::Null | Value::Bool(false) => false,
        // A user who has used up all recovery keys.
        Value::String(state) => state != "unavailable",
        Value::Array(left) => !left.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
    };
    kinds
        .into_iter()
        .filter(|(_, kind)| offered(kind))
        .map(|(name, _)| name)
        .collect()
}
