//! Addresses people type: of PVE's API and of a node's SSH.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Port of PVE's API.
pub(super) const API_PORT: u16 = 8006;
/// Port of SSH.
pub(super) const SSH_PORT: u16 = 22;

/// A host name or IP address with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Lower case; an IPv6 address without its brackets.
    pub(super) host: String,
    /// Never 0.
    pub(super) port: u16,
}

impl Address {
    /// Reads the address of a PVE API: `https://host[:port]` and nothing behind it.
    ///
    /// The error is the rule that is broken, to be read after the field's name.
    pub(super) fn from_url(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
            Some(_) => return Err("must begin with https://: a token is sent over TLS only"),
            None => return Err("must be a URL such as https://192.0.2.10:8006"),
        };
        let place = rest.strip_suffix('/').unwrap_or(rest);
        if place.contains('@') {
            return Err("must not hold a user or password; the token is given apart");
        }
        if place.contains(['/', '?', '#']) {
            return Err("must end after host and port: https://host:8006");
        }
        Self::from_place(place, API_PORT)
    }

    /// Reads `host[:port]`; an IPv6 address stands in brackets when a port follows.
    pub(super) fn from_place(text: &str, default_port: u16) -> Result<Self, &'static str> {
        let (host, port) = split_port(text.trim())?;
        let port = match port {
            None => default_port,
            Some(digits) => port_number(digits)?,
        };
        Ok(Self {
            host: host_name(host)?,
            port,
        })
    }

    /// As PVE's API is addressed.
    pub(super) fn url(&self) -> String {
        format!("https://{self}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// Host and port as written.
fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or("has an opening bracket without its end")?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err("must hold an IPv6 address between the brackets");
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("must have nothing but a port after the bracket"),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn port_number(digits: &str) -> Result<u16, &'static str> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port) if plain && port > 0 => Ok(port),
        Ok(_) | Err(_) => Err("must have a port of 1 to 65535"),
    }
}

fn host_name(host: &str) -> Result<String, &'static str> {
    if host.parse::<Ipv6Addr>().is_ok() || host.parse::<Ipv4Addr>().is_ok() {
        return Ok(host.to_ascii_lowercase());
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    if (1..=253).contains(&name.len()) && name.split('.').all(label) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err("must name a host: an IP address, or letters, digits and dashes with dots between")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_pves_port_as_default() {
        for (text, url) in [
            ("https://192.0.2.10", "https://192.0.2.10:8006"),
            (
                " HTTPS://PVE1.Example.org/ ",
                "https://pve1.example.org:8006",
            ),
            ("https://pve1:443", "https://pve1:443"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]:8006"),
            ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(Address::from_url(text).unwrap().url(), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_https_address_is_refused() {
        for text in [
            "",
            "192.0.2.10:8006",
            "pve1:8006",
            "http://192.0.2.10:8006",
            "https://",
            "https://:8006",
            "https://root:secret@192.0.2.10",
            "https://192.0.2.10/api2/json",
            "https://192.0.2.10?x",
            "https://192.0.2.10#x",
            "https://192.0.2.10:0",
            "https://192.0.2.10:70000",
            "https://192.0.2.10:+80",
            "https://192.0.2.10:",
            "https://a b",
            "https://a..b",
            "https://[::1",
            "https://[192.0.2.10]",
            "https://[::1]8006",
            "https://a:b:c",
        ] {
            assert!(Address::from_url(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn places_are_read_and_printed_alike() {
        for (text, printed) in [
            ("192.0.2.10", "192.0.2.10:22"),
            ("192.0.2.10:2222", "192.0.2.10:2222"),
            ("fd00::1", "[fd00::1]:22"),
            ("[fd00::1]:2222", "[fd00::1]:2222"),
        ] {
            let read = Address::from_place(text, SSH_PORT).unwrap();
            assert_eq!(read.to_string(), printed);
            assert_eq!(Address::from_place(printed, 1).unwrap(), read);
        }
    }
}
