//! Health requests over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;

use crate::seams::{HttpAnswer, PROBE_BODY_BYTES, Probe};

/// The real [`Probe`]: one connection per request, no redirects, bounded body.
#[derive(Debug)]
pub struct HttpProbe {
    client: reqwest::Client,
}

impl HttpProbe {
    /// A probe.
    ///
    /// # Errors
    /// The HTTP client cannot be built (no TLS provider).
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .user_agent(concat!("proximity/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Probe for HttpProbe {
    async fn http_get(
        &self,
        address: SocketAddr,
        path: &str,
        timeout_ms: u64,
    ) -> Result<HttpAnswer, String> {
        let url = format!("http://{address}{path}");
        let asked = async {
            let response = self.client.get(&url).send().await.map_err(|e| reason(&e))?;
            let status = response.status().as_u16();
            let mut body = Vec::new();
            let mut stream = response.bytes_stream();
            while let Some(chunk) = stream.next().await {
                body.extend_from_slice(&chunk.map_err(|e| reason(&e))?);
                if body.len() >= PROBE_BODY_BYTES {
                    body.truncate(PROBE_BODY_BYTES);
                    break;
                }
            }
            Ok(HttpAnswer {
                status,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        tokio::time::timeout(Duration::from_millis(timeout_ms), asked)
            .await
            .map_err(|_| format!("no answer within {timeout_ms} ms"))?
    }
}

/// The innermost cause: what the operating system said, not three layers around it.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
