//! The HTTP client the CLI uses.

mod calls;
mod error;
mod events;
mod inside;
mod people;
mod sse;
mod templates;
mod token_file;
mod wire;

pub use error::ClientError;
pub use events::{EventStream, Told};
pub use inside::{ExecStream, ExecTold, as_input};
pub use token_file::{TokenFileError, read_token_file};

use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

/// What a client is made from.
#[derive(Debug)]
pub struct ClientOptions {
    /// e.g. `http://127.0.0.1:7640`.
    pub base_url: String,
    /// The token; without it only public paths answer.
    pub token: Option<SecretString>,
    /// Certificates of the authorities to trust instead of the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Longest time one request may take.
    pub timeout: Duration,
}

/// A client of one server. Cheap to clone.
///
/// # Assumptions
/// The process has installed a default rustls provider; the binary does so first thing.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`] if the base URL is not one of http or https; [`ClientError::Setup`] if the
    /// certificates cannot be read.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let base = base_url(&options.base_url)?;
        let mut http = reqwest::Client::builder()
            // Tokens go to the server that was named, nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .timeout(options.timeout)
            .user_agent(concat!("proximity/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &options.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|e| ClientError::Setup(wire::chain(&e)))?;
            http = http.tls_certs_only(certificates);
        }
        let http = http
            .build()
            .map_err(|e| ClientError::Setup(wire::chain(&e)))?;
        Ok(Self {
            http,
            base,
            token: options.token,
        })
    }

    /// The server's URL, for texts.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base.as_str()
    }
}

fn base_url(text: &str) -> Result<Url, ClientError> {
    let bad = |why: &str| ClientError::BadUrl {
        url: text.to_owned(),
        why: why.to_owned(),
    };
    let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(bad(
            "it must start with http:// or https:// and name a host",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it must not hold a user name or a password"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_urls_without_secrets_are_taken() {
        assert!(base_url("http://127.0.0.1:7640").is_ok());
        assert!(base_url("https://proximity.example/").is_ok());
        for bad in ["", "127.0.0.1:7640", "ftp://x", "http://u:p@x", "unix:/x"] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }
}
