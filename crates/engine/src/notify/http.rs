//! Messages over HTTP: no redirect is followed, little of the answer is read, and the place is a secret.

use std::time::Duration;

use futures::StreamExt;
use proximity_domain::notify::one_line;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::channel::SendError;
use crate::mask::Masker;

/// Connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// A whole exchange.
const EXCHANGE: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 2 * 1024;
/// Characters of an answer that are told.
const ANSWER_CHARS: usize = 200;

/// Where to send: a URL that is never shown, for some hold the right to send.
#[derive(Clone)]
pub struct Place {
    url: SecretString,
    /// What may be said of it: scheme, host, port.
    shown: String,
    client: reqwest::Client,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.shown).finish()
    }
}

/// The URL cannot be used. The text never repeats it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It is no URL of http or https.
    #[error("it is no URL of http or https")]
    NoUrl,
    /// Secrets would cross the network unprotected.
    #[error("it is http to another machine: what is sent would cross the network unprotected")]
    Unprotected,
    /// The authorities cannot be used.
    #[error("the certificates of the authorities cannot be used: {0}")]
    Authorities(String),
}

impl Place {
    /// A place at `url`. `ca_pem`: authorities to trust instead of the system's. Plain HTTP is for this machine alone
    /// unless `insecure_http`.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn new(
        url: &SecretString,
        ca_pem: Option<&[u8]>,
        insecure_http: bool,
    ) -> Result<Self, PlaceError> {
        let parsed = Url::parse(url.expose_secret()).map_err(|_| PlaceError::NoUrl)?;
        let host = parsed.host_str().ok_or(PlaceError::NoUrl)?;
        match parsed.scheme() {
            "https" => {}
            "http" if insecure_http || is_own(host) => {}
            "http" => return Err(PlaceError::Unprotected),
            _ => return Err(PlaceError::NoUrl),
        }
        let port = parsed.port().map(|port| format!(":{port}"));
        let shown = format!("{}://{host}{}", parsed.scheme(), port.unwrap_or_default());
        Ok(Self {
            url: url.clone(),
            shown,
            client: client(ca_pem)?,
        })
    }

    /// The place below this one.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let base = self.url.expose_secret().trim_end_matches('/');
        Self {
            url: format!("{base}/{path}").into(),
            shown: self.shown.clone(),
            client: self.client.clone(),
        }
    }

    /// What may be shown of it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Posts a body; what the receiver answered, in one line.
    pub(super) async fn post(&self, headers: Headers, body: Vec<u8>) -> Result<String, SendError> {
        let secrets = secrets_of(&self.url, &headers.0);
        let request = self
            .client
            .post(self.url.expose_secret())
            .headers(headers.0)
            .body(body);
        let response = request.send().await.map_err(|e| self.failed(e))?;
        let status = response.status();
        let retry_after_ms = retry_after(response.headers());
        // A server may repeat what it was sent, and the place alone may be the right to send.
        let text = Masker::new(&secrets).mask(&beginning(response).await);
        let said = match one_line(&text, ANSWER_CHARS).as_str() {
            "" => format!("HTTP {status}"),
            text => format!("HTTP {status}: {text}"),
        };
        judge(status, said, &self.shown, retry_after_ms)
    }

    /// Posts what is no message to people. The values of `headers` are the receiver's alone, and in no text.
    ///
    /// # Errors
    /// It was not taken, or nobody knows whether it was.
    pub async fn hand_over(
        &self,
        content_type: &'static str,
        headers: &[(String, SecretString)],
        body: Vec<u8>,
    ) -> Result<(), SendError> {
        let mut all = Headers::of(content_type);
        for (name, value) in headers {
            all = all.with_named(name, value.expose_secret())?;
        }
        self.post(all, body).await.map(drop)
    }

    /// Without the URL, which the library's own text repeats.
    fn failed(&self, error: reqwest::Error) -> SendError {
        let never_sent = error.is_connect() || error.is_builder();
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let cause = one_line(&cause.to_string(), ANSWER_CHARS);
        let message = format!("{} does not answer: {cause}", self.shown);
        if !never_sent {
            return SendError::MaybeTaken { message };
        }
        SendError::not_taken(message)
    }
}

/// What of a message nobody but its receiver may read: the parts of the place behind its host, and headers marked so.
fn secrets_of(url: &SecretString, headers: &HeaderMap) -> Vec<SecretString> {
    let mut secrets = vec![url.expose_secret().to_owned()];
    if let Ok(url) = Url::parse(url.expose_secret()) {
        secrets.push(url.path().to_owned());
        secrets.extend(url.path_segments().into_iter().flatten().map(str::to_owned));
        secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        secrets.extend(url.query().map(str::to_owned));
        secrets.extend(url.password().map(str::to_owned));
    }
    let marked = headers.values().filter(|value| value.is_sensitive());
    for value in marked.filter_map(|value| value.to_str().ok()) {
        secrets.push(value.to_owned());
        secrets.extend(value.split_whitespace().map(str::to_owned));
    }
    secrets.into_iter().map(SecretString::from).collect()
}

/// Headers of a message. A value that is none for a header cannot be made, so no text breaks out of its line.
#[derive(Debug, Default)]
pub(super) struct Headers(HeaderMap);

impl Headers {
    pub(super) fn json() -> Self {
        Self::of("application/json")
    }

    pub(super) fn of(content_type: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        Self(headers)
    }

    pub(super) fn with(self, name: &'static str, value: &str) -> Result<Self, SendError> {
        self.with_named(name, value)
    }

    fn with_named(mut self, name: &str, value: &str) -> Result<Self, SendError> {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| SendError::not_taken(format!("{name} is no name of a header")))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            SendError::not_taken(format!("the value of {name} is none for a header"))
        })?;
        value.set_sensitive(true);
        self.0.insert(key, value);
        Ok(self)
    }
}

fn judge(
    status: StatusCode,
    said: String,
    shown: &str,
    retry_after_ms: Option<u64>,
) -> Result<String, SendError> {
    if status.is_success() {
        return Ok(said);
    }
    if status.is_redirection() {
        let message =
            format!("{shown} leads elsewhere ({said}), and a redirection is not followed");
        return Err(SendError::not_taken(message));
    }
    let message = format!("{shown} did not take it: {said}");
    match status.as_u16() {
        // It is about this message; all others are about the channel or the moment.
        400 | 413 | 415 | 422 => Err(SendError::Refused { message }),
        _ => Err(SendError::NotTaken {
            message,
            retry_after_ms,
        }),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    Some(seconds.trim().parse::<u64>().ok()?.saturating_mul(1_000))
}

async fn beginning(response: reqwest::Response) -> String {
    let mut read = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(Ok(chunk)) = stream.next().await {
        read.extend_from_slice(&chunk);
        if read.len() >= ANSWER_BYTES {
            read.truncate(ANSWER_BYTES);
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn client(ca_pem: Option<&[u8]>) -> Result<reqwest::Client, PlaceError> {
    let refused = |e: reqwest::Error| PlaceError::Authorities(e.to_string());
    let mut client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .no_proxy()
        .connect_timeout(CONNECT)
        .timeout(EXCHANGE)
        .user_agent(concat!("proximity/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = ca_pem {
        let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(refused)?;
        if authorities.is_empty() {
            return Err(PlaceError::Authorities("there is none".to_owned()));
        }
        client = client.tls_certs_only(authorities);
    }
    client.build().map_err(refused)
}

fn is_own(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}
