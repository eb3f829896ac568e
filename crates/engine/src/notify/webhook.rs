//! A webhook of one's own: JSON, signed, so that the receiver knows who sends.

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use proximity_domain::ids::InstallationId;
use proximity_domain::notify::{Message, Notice};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;

use super::channel::{Delivery, Notifier, SendError};
use super::http::{Headers, Place};

/// The generic webhook. Its body is [`Body`], signed as [`signature`] says.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where to.
    pub place: Place,
    /// What is signed with.
    pub secret: SecretString,
    /// Who sends.
    pub installation: InstallationId,
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    version: u8,
    delivery: String,
    installation: String,
    severity: &'a str,
    title: &'a str,
    text: String,
    notices: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    seq: i64,
    at: &'a str,
    kind: &'a str,
    severity: &'a str,
    title: String,
    subject: Option<&'a str>,
    app_id: Option<String>,
    operation_id: Option<String>,
    reason: Option<&'a str>,
}

impl<'a> From<&'a Notice> for Row<'a> {
    fn from(notice: &'a Notice) -> Self {
        Self {
            seq: notice.seq,
            at: &notice.moment,
            kind: notice.kind.label(),
            severity: notice.severity.label(),
            title: notice.title(),
            subject: notice.subject.as_deref(),
            app_id: notice.app.map(|id| id.to_string()),
            operation_id: notice.operation.map(|id| id.to_string()),
            reason: notice.reason.as_deref(),
        }
    }
}

/// HMAC-SHA256 over `timestamp`, a point and the body, lower-case hex.
#[must_use]
pub fn signature(secret: &SecretString, timestamp: &str, body: &[u8]) -> String {
    let key = secret.expose_secret().as_bytes();
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        // HMAC takes keys of any length.
        Err(_) => return String::new(),
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[async_trait]
impl Notifier for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    /// Programs read it.
    fn keeps_order(&self) -> bool {
        true
    }

    async fn send(&self, message: &Message, delivery: &Delivery) -> Result<String, SendError> {
        let id = delivery.id.to_string();
        let body = Body {
            version: 1,
            delivery: id.clone(),
            installation: self.installation.to_string(),
            severity: message.severity.label(),
            title: &message.title,
            text: message.text(),
            notices: message.notices.iter().map(Row::from).collect(),
        };
        let body = json(&body)?;
        let timestamp = (delivery.at.0 / 1_000).to_string();
        let signed = signature(&self.secret, &timestamp, &body);
        let headers = Headers::json()
            .with("proximity-delivery", &id)?
            .with("proximity-timestamp", &timestamp)?
            .with("proximity-signature", &format!("v1={signed}"))?;
        self.place.post(headers, body).await
    }
}

pub(super) fn json(body: &impl Serialize) -> Result<Vec<u8>, SendError> {
    serde_json::to_vec(body).map_err(|e| SendError::Refused {
        message: format!("it cannot be written as JSON: {e}"),
    })
}
