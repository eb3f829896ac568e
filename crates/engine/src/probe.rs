//! Health requests: over HTTP, and connections alone.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::seams::{HttpAnswer, PROBE_BODY_BYTES, Probe};

/// For how long a connection has to be kept: a gateway takes one before it knows whether it leads anywhere.
const KEPT_MS: u64 = 300;

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

    async fn tcp_open(&self, address: SocketAddr, timeout_ms: u64) -> Result<(), String> {
        let taken = tokio::time::timeout(
            Duration::from_millis(timeout_ms),
            TcpStream::connect(address),
        );
        let mut connection = taken
            .await
            .map_err(|_| format!("no connection within {timeout_ms} ms"))?
            .map_err(|error| error.to_string())?;
        let mut first = [0; 1];
        let heard = tokio::time::timeout(
            Duration::from_millis(KEPT_MS.min(timeout_ms)),
            connection.read(&mut first),
        );
        match heard.await {
            // Nobody speaks first: it waits for us.
            Err(_) => Ok(()),
            Ok(Ok(0)) => Err("the connection was ended at once".to_owned()),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
        }
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn probe() -> HttpProbe {
        // Another test of this process may have been first.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        HttpProbe::new().unwrap()
    }

    #[tokio::test]
    async fn a_connection_counts_if_it_is_taken_and_kept() {
        let (kept, address) = listener().await;
        assert_eq!(probe().tcp_open(address, 2_000).await, Ok(()));
        drop(kept);
        let refused = probe().tcp_open(address, 2_000).await;
        assert!(refused.is_err(), "{refused:?}");
    }

    #[tokio::test]
    async fn one_that_is_ended_at_once_leads_to_nobody() {
        let (ends, address) = listener().await;
        let ending = tokio::spawn(async move {
            let (connection, _) = ends.accept().await.unwrap();
            drop(connection);
        });
        let told = probe().tcp_open(address, 5_000).await.unwrap_err();
        assert_eq!(told, "the connection was ended at once");
        ending.await.unwrap();
    }
}
