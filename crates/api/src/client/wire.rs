//! One request and its answer.

use std::error::Error as StdError;

use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder, Response, Url};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, ClientError};
use crate::error::ErrorEnvelope;

/// Longest answer that is read, bytes.
const LONGEST_ANSWER_BYTES: usize = 16 << 20;

impl Client {
    /// A request to the path made of `segments`, each percent-encoded as needed.
    pub(super) fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        let request = self.http.request(method, self.url(segments));
        match &self.token {
            Some(token) => {
                let mut value = format!("Bearer {}", token.expose_secret())
                    .parse::<reqwest::header::HeaderValue>()
                    .unwrap_or_else(|_| reqwest::header::HeaderValue::from_static(""));
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            None => request,
        }
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // The scheme is http or https (checked at start), so there is a path to extend.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("api").extend(segments);
        }
        url
    }

    pub(super) async fn get<A: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &(impl Serialize + ?Sized),
    ) -> Result<A, ClientError> {
        self.send(self.request(Method::GET, segments).query(query))
            .await
    }

    pub(super) async fn post<A: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &(impl Serialize + ?Sized),
    ) -> Result<A, ClientError> {
        self.send(self.request(Method::POST, segments).json(body))
            .await
    }

    /// Sends, and gives the answer if it is a success.
    pub(super) async fn send<A: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<A, ClientError> {
        let (status, body) = self.exchange(request).await?;
        if !(200..300).contains(&status) {
            return Err(self.refusal(status, &body));
        }
        // An empty success (204) is read as JSON's null, which `()` takes.
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(text).map_err(|e| self.bad_answer(status, e.to_string()))
    }

    /// Sends, and gives status and body whatever they are.
    pub(super) async fn exchange(
        &self,
        request: RequestBuilder,
    ) -> Result<(u16, Vec<u8>), ClientError> {
        let answer = request.send().await.map_err(|e| self.unsent(&e))?;
        let status = answer.status().as_u16();
        let path = answer.url().path().to_owned();
        let body = self.read(answer).await?;
        tracing::debug!(%path, status, bytes = body.len(), "answered");
        Ok((status, body))
    }

    pub(super) async fn read(&self, mut answer: Response) -> Result<Vec<u8>, ClientError> {
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| self.unsent(&e))? {
            if body.len() + chunk.len() > LONGEST_ANSWER_BYTES {
                return Err(self.bad_answer(status, "it is larger than 16 MiB".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(super) fn refusal(&self, status: u16, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<ErrorEnvelope>(body) {
            Ok(envelope) => ClientError::Refused {
                status,
                body: Box::new(envelope.error),
            },
            Err(_) => self.bad_answer(status, "the body is not an error of Proximity's".to_owned()),
        }
    }

    pub(super) fn unsent(&self, error: &reqwest::Error) -> ClientError {
        let (url, why) = (self.base.to_string(), chain(error));
        if is_refused(error) {
            ClientError::NotRunning { url, why }
        } else if error.is_connect() {
            ClientError::Unreachable { url, why }
        } else {
            ClientError::Broken { url, why }
        }
    }

    pub(super) fn broken(&self, why: &str) -> ClientError {
        ClientError::Broken {
            url: self.base.to_string(),
            why: why.to_owned(),
        }
    }

    pub(super) fn bad_answer(&self, status: u16, why: String) -> ClientError {
        ClientError::BadAnswer {
            url: self.base.to_string(),
            status,
            why,
        }
    }
}

/// Nobody listens there.
fn is_refused(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The innermost cause: what the system said, without the layers in between.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
