//! ntfy (<https://docs.ntfy.sh/publish/#publish-as-json>).

use async_trait::async_trait;
use proximity_domain::notify::{Message, Severity};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::channel::{Delivery, Notifier, SendError};
use super::chat::cut;
use super::http::{Headers, Place};
use super::webhook;

/// A longer text would become an attachment.
const LONGEST_BYTES: usize = 3_500;

/// A topic of an ntfy server. The message is JSON, so that no text of it is a header.
#[derive(Debug, Clone)]
pub struct Ntfy {
    /// The server.
    pub place: Place,
    /// The topic.
    pub topic: String,
    /// An access token, if the server wants one.
    pub token: Option<SecretString>,
}

#[async_trait]
impl Notifier for Ntfy {
    fn kind(&self) -> &'static str {
        "ntfy"
    }

    async fn send(&self, message: &Message, _: &Delivery) -> Result<String, SendError> {
        let (priority, tag) = match message.severity {
            Severity::Info => (2, "information_source"),
            Severity::Warning => (4, "warning"),
            Severity::Critical => (5, "rotating_light"),
        };
        let body = webhook::json(&json!({
            "topic": self.topic,
            "title": message.subject(),
            "message": cut(&message.text(), LONGEST_BYTES),
            "priority": priority,
            "tags": [tag],
        }))?;
        let mut headers = Headers::json();
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {}", token.expose_secret());
            headers = headers.with("authorization", &bearer)?;
        }
        self.place.post(headers, body).await
    }
}
