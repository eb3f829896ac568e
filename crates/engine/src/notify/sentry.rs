//! Sentry's protocol: an envelope with one event (<https://develop.sentry.dev/sdk/data-model/envelopes/>).

use async_trait::async_trait;
use proximity_domain::ids::InstallationId;
use proximity_domain::notify::{Message, Severity};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::channel::{Delivery, Notifier, SendError};
use super::http::{Headers, Place, PlaceError};
use super::webhook;

/// Name and version, as Sentry wants to know them.
const CLIENT: &str = concat!("proximity/", env!("CARGO_PKG_VERSION"));

/// A project of a Sentry server.
#[derive(Debug, Clone)]
pub struct Sentry {
    place: Place,
    key: SecretString,
    installation: InstallationId,
    environment: String,
}

impl Sentry {
    /// By its DSN, `https://KEY@HOST/PROJECT`.
    ///
    /// # Errors
    /// It is none, or its place cannot be used. The text never repeats it.
    pub fn new(
        dsn: &SecretString,
        ca_pem: Option<&[u8]>,
        insecure_http: bool,
        installation: InstallationId,
        environment: String,
    ) -> Result<Self, PlaceError> {
        let mut url = Url::parse(dsn.expose_secret()).map_err(|_| PlaceError::NoUrl)?;
        let key = SecretString::from(url.username().to_owned());
        let (folder, project) = url.path().rsplit_once('/').ok_or(PlaceError::NoUrl)?;
        let digits = project.bytes().all(|b| b.is_ascii_digit());
        if key.expose_secret().is_empty() || project.is_empty() || !digits {
            return Err(PlaceError::NoUrl);
        }
        let path = format!("{folder}/api/{project}/envelope/");
        url.set_path(&path);
        url.set_query(None);
        let bare = url.set_username("").and_then(|()| url.set_password(None));
        bare.map_err(|()| PlaceError::NoUrl)?;
        let place = Place::new(&String::from(url).into(), ca_pem, insecure_http)?;
        Ok(Self {
            place,
            key,
            installation,
            environment,
        })
    }

    fn event(&self, message: &Message, delivery: &Delivery) -> Value {
        // The level of the ancestors' alert; `fatal` is for programs that ended.
        let level = match message.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "error",
        };
        let first = message.notices.first();
        let kind = first.map_or("Test", |n| n.kind.label());
        let subject = first.and_then(|n| n.subject.as_deref());
        let kind = if message.notices.len() > 1 {
            "Digest"
        } else {
            kind
        };
        json!({
            "event_id": delivery.id.simple().to_string(),
            "timestamp": delivery.at.0 / 1_000,
            "platform": "other",
            "level": level,
            "logger": "proximity",
            "release": format!("proximity@{}", env!("CARGO_PKG_VERSION")),
            "environment": self.environment,
            "message": {"formatted": format!("{}\n{}", message.subject(), message.text())},
            "fingerprint": [kind, subject.unwrap_or_default()],
            "tags": {
                "kind": kind,
                "severity": message.severity.label(),
                "subject": subject,
                "installation": self.installation.to_string(),
            },
        })
    }
}

/// Three lines of JSON: the envelope's, the item's, the event.
fn envelope(event: &Value, delivery: &Delivery) -> Result<Vec<u8>, SendError> {
    let payload = webhook::json(event)?;
    let head = json!({
        "event_id": delivery.id.simple().to_string(),
        "sdk": {"name": "proximity", "version": env!("CARGO_PKG_VERSION")},
    });
    let item = json!({
        "type": "event",
        "content_type": "application/json",
        "length": payload.len(),
    });
    let lines = [webhook::json(&head)?, webhook::json(&item)?, payload];
    let mut whole = lines.join(&b'\n');
    whole.push(b'\n');
    Ok(whole)
}

#[async_trait]
impl Notifier for Sentry {
    fn kind(&self) -> &'static str {
        "sentry"
    }

    async fn send(&self, message: &Message, delivery: &Delivery) -> Result<String, SendError> {
        let body = envelope(&self.event(message, delivery), delivery)?;
        let key = self.key.expose_secret();
        let auth = format!("Sentry sentry_version=7, sentry_client={CLIENT}, sentry_key={key}");
        let headers = Headers::of("application/x-sentry-envelope").with("x-sentry-auth", &auth)?;
        self.place.post(headers, body).await
    }
}
