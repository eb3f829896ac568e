//! Caddy's admin API, as far as it is used: reading the configuration, and changing one object in it under a condition.
//!
//! It is read with its `ETag`, and changed only if it still has that (`If-Match`): between the two nobody else's change is
//! overwritten, and no index points at another object than was meant. Caddy has both since 2.5; the releases before 2.8 send the
//! `ETag` behind the body (admin.go of 2.6.2: `Trailer: ETag`). Its own mark is the path and a hash of what is there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use reqwest::header::{CONTENT_TYPE, ETAG, HOST, HeaderMap, IF_MATCH};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;

use super::objects::{Change, Verb};
use crate::seams::IngressError;

/// How long an exchange may take. A change is answered when the new configuration runs.
const EXCHANGE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(2);
/// How much of an answer is read.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// The whole configuration.
const CONFIG: &str = "/config/";
/// How much of a refusal is told, characters.
const TOLD: usize = 400;

/// Where the admin API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// `http://` and a loopback address or `localhost` with its port.
    Http(String),
    /// `unix:` and the path of a socket.
    Unix(PathBuf),
}

impl FromStr for AdminAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is neither http:// with an address of this machine and a port nor unix: with the path of a socket";
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(PathBuf::from(path))),
                false => Err(WRONG),
            };
        }
        let place = text.strip_prefix("http://").ok_or(WRONG)?;
        let place = place.strip_suffix('/').unwrap_or(place);
        let (host, port) = place.rsplit_once(':').ok_or(WRONG)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let ip = bare.unwrap_or(host).parse::<std::net::IpAddr>();
        // What is sent says where requests lead, and nothing protects it on the way.
        let is_here = host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        match is_here && is_port {
            true => Ok(Self::Http(format!("http://{place}"))),
            false => Err(WRONG),
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(base) => f.write_str(base),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The configuration as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) value: Value,
    /// What [`Admin::change`] is given for it.
    pub(super) mark: String,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// The configuration that has it runs.
    Done,
    /// Somebody else changed the configuration meanwhile; nothing was done.
    Outdated,
}

/// A client of the admin API.
#[derive(Debug)]
pub(super) struct Admin {
    client: Client,
    address: AdminAddress,
}

impl Admin {
    /// Connects when something is asked.
    pub(super) fn new(address: AdminAddress) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Caddy closes what is idle when its configuration changes.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(EXCHANGE)
            .user_agent(concat!("proximity/", env!("CARGO_PKG_VERSION")));
        let client = match &address {
            AdminAddress::Http(_) => client,
            AdminAddress::Unix(path) => client.unix_socket(path.clone()),
        };
        Ok(Self {
            client: client.build()?,
            address,
        })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        match &self.address {
            AdminAddress::Http(base) => self.client.request(method, format!("{base}{path}")),
            // On a socket Caddy takes no name but an empty one (admin.go of 2.6.2: `uniqueOrigins[""]`).
            AdminAddress::Unix(_) => {
                let request = self.client.request(method, format!("http://caddy{path}"));
                request.header(HOST, "")
            }
        }
    }

    /// Reads the configuration.
    pub(super) async fn read(&self) -> Result<Read, IngressError> {
        let sent = self.request(Method::GET, CONFIG).send().await;
        let response = sent.map_err(|e| self.away(&reason(&e)))?;
        let status = response.status();
        let (body, mark) = self.whole(response).await?;
        if !status.is_success() {
            return Err(IngressError::CaddyRefused(refusal(status, &body)));
        }
        let value = serde_json::from_slice(&body)
            .map_err(|e| self.away(&format!("its configuration is no JSON: {e}")))?;
        let mark = mark.ok_or_else(|| {
            let why =
                "it does not say by an ETag which configuration it has; Caddy 2.5 or later does";
            IngressError::CaddyRefused(why.to_owned())
        })?;
        Ok(Read { value, mark })
    }

    /// Makes a change, if the configuration is still the one that `mark` was read with.
    pub(super) async fn change(
        &self,
        change: &Change,
        mark: &str,
    ) -> Result<Changed, IngressError> {
        let method = match change.verb {
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        };
        let mut request = self.request(method, &change.path).header(IF_MATCH, mark);
        if let Some(body) = &change.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(|e| self.away(&reason(&e)))?;
        let status = response.status();
        let (body, _) = self.whole(response).await?;
        match status {
            done if done.is_success() => Ok(Changed::Done),
            // An object that is not there any more was taken away since it was read.
            StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND => Ok(Changed::Outdated),
            other => Err(IngressError::CaddyRefused(refusal(other, &body))),
        }
    }

    /// The body, and the mark before or behind it.
    async fn whole(&self, response: Response) -> Result<(Bytes, Option<String>), IngressError> {
        let before = mark_in(response.headers());
        let body = Limited::new(reqwest::Body::from(response), MOST_BYTES);
        let read = body.collect().await;
        let read = read.map_err(|e| self.away(&e.to_string()))?;
        let behind = read.trailers().and_then(mark_in);
        Ok((read.to_bytes(), before.or(behind)))
    }

    fn away(&self, why: &str) -> IngressError {
        IngressError::CaddyUnreachable(format!("{}: {why}", self.address))
    }
}

fn mark_in(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(ETAG)?.to_str().ok()?.to_owned())
}

/// What Caddy said, as far as it is told: its own errors are `{"error": "…"}`.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let error: Option<Value> = serde_json::from_slice(body).ok();
    let said = error
        .as_ref()
        .and_then(|error| error.get("error")?.as_str());
    let said = said.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let shown: String = said
        .chars()
        .filter(|c| !c.is_control())
        .take(TOLD)
        .collect();
    format!("{shown} (HTTP {})", status.as_u16())
}

/// The innermost cause.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_api_is_on_this_machine() {
        for (text, address) in [
            (
                "http://127.0.0.1:2019",
                AdminAddress::Http("http://127.0.0.1:2019".to_owned()),
            ),
            (
                "http://localhost:2019/",
                AdminAddress::Http("http://localhost:2019".to_owned()),
            ),
            (
                "http://[::1]:2019",
                AdminAddress::Http("http://[::1]:2019".to_owned()),
            ),
            (
                "unix:/run/caddy/admin.sock",
                AdminAddress::Unix("/run/caddy/admin.sock".into()),
            ),
        ] {
            assert_eq!(text.parse::<AdminAddress>(), Ok(address), "{text}");
        }
        for wrong in [
            "",
            "127.0.0.1:2019",
            "https://127.0.0.1:2019",
            "http://127.0.0.1",
            "http://127.0.0.1:0",
            "http://192.0.2.1:2019",
            "http://caddy.example.org:2019",
            "http://localhost:2019/x",
            "unix:run/caddy.sock",
        ] {
            assert!(wrong.parse::<AdminAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_caddy_says_is_told_without_what_is_around_it() {
        let told = refusal(
            StatusCode::BAD_REQUEST,
            b"{\"error\":\"loading new config: no\\nkey\"}\n",
        );
        assert_eq!(told, "loading new config: nokey (HTTP 400)");
        let told = refusal(StatusCode::BAD_GATEWAY, b"oops");
        assert_eq!(told, "oops (HTTP 502)");
    }
}
