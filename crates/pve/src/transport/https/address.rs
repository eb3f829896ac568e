//! Where a node's API is.

use std::fmt;

use http::Uri;
use rustls::pki_types::ServerName;

use super::ConfigError;

const PVE_PORT: u16 = 8006;

/// Host and port of a PVE API, taken from its address `https://HOST[:PORT]`.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `HOST:PORT` for the `Host` header, with brackets if needed.
    pub(super) authority: String,
    pub(super) server_name: ServerName<'static>,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        let bad = |why: &str| ConfigError::BadUrl {
            url: url.to_owned(),
            why: why.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|_| bad("it is not an URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(bad("it must begin with https://"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad("it must end after host and port"));
        }
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it must not hold a user"));
        }
        let bracketed = authority.host();
        let host = bracketed
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = authority.port_u16().unwrap_or(PVE_PORT);
        let server_name = ServerName::try_from(host.clone())
            .map_err(|_| bad("its host is no name or address"))?;
        Ok(Self {
            authority: format!("{bracketed}:{port}"),
            host,
            port,
            server_name,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_taken_apart() {
        for (url, host, port, shown) in [
            ("https://pve1", "pve1", 8006, "https://pve1:8006"),
            (
                "https://10.0.0.1:443/",
                "10.0.0.1",
                443,
                "https://10.0.0.1:443",
            ),
            (
                "https://[fe80::1]:8006",
                "fe80::1",
                8006,
                "https://[fe80::1]:8006",
            ),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for bad in [
            "",
            "pve1",
            "http://pve1",
            "https://",
            "https://pve1/api2",
            "https://u:p@pve1",
            "https://a b",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
