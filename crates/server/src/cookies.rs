//! The cookie of a session, and what a request that comes by it has to show besides.
//!
//! A browser sends cookies wherever a page makes it send something. So whoever changes something by a cookie shows that it is a page of
//! ours: by the header `Origin`, and by a token that no other page can read.

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_domain::session::LONGEST_MS;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::refusal::Refusal;

/// Over TLS. With this prefix a browser takes it with `Secure`, for this host alone and for all paths, or not at all.
pub(crate) const SECURE: &str = "__Host-proximity";
/// Over plain HTTP under the name `localhost`, which leads to the browser's own machine. Cookies are not told apart by port: an app
/// that is reached as 127.0.0.1 is not sent this one.
const LOCAL: &str = "proximity-localhost";
/// The header with the token.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
/// Longest value that is looked up, bytes.
const LONGEST: usize = 128;

/// How a session's cookie is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By [`SECURE`].
    Secure,
    /// By [`LOCAL`].
    Local,
}

/// Which cookie somebody gets who signs in from where this request comes from.
pub(crate) fn kind(headers: &HeaderMap) -> Result<Kind, Refusal> {
    let Some(origin) = text(headers, &ORIGIN) else {
        // No browser: it keeps what it is given.
        return Ok(Kind::Secure);
    };
    if !is_own(headers, origin) {
        return Err(foreign());
    }
    way(origin).ok_or_else(|| {
        Refusal::new(
            ErrorKind::Forbidden,
            ErrorBody::new(
                "https_needed",
                "over plain HTTP a password and what comes after it can be read on the way",
                "set up TLS (api.tls_cert_file and api.tls_key_file), put a proxy with TLS before it, or open it as \
                 http://localhost:PORT on its own machine",
            ),
        )
    })
}

/// The cookie for the way by which a page of this origin came; none where somebody on that way could have changed it.
fn way(origin: &str) -> Option<Kind> {
    match origin.split_once("://") {
        Some(("https", _)) => Some(Kind::Secure),
        Some(("http", host)) if is_localhost(host) => Some(Kind::Local),
        Some(_) | None => None,
    }
}

/// The secret of the session that the request comes with, if it has a cookie of ours.
pub(crate) fn sent(headers: &HeaderMap) -> Option<SecretString> {
    let host = text(headers, &HOST).unwrap_or_default();
    let local = || is_localhost(host).then(|| named(headers, LOCAL)).flatten();
    let value = named(headers, SECURE).or_else(local)?;
    (!value.is_empty() && value.len() <= LONGEST).then(|| SecretString::from(value))
}

fn named<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    Some(value)
}

/// The header that gives a browser its cookie.
pub(crate) fn set(kind: Kind, secret: &SecretString) -> HeaderValue {
    let secret = secret.expose_secret();
    let age = LONGEST_MS / 1000;
    let text = match kind {
        Kind::Secure => {
            format!("{SECURE}={secret}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Strict")
        }
        Kind::Local => {
            format!("{LOCAL}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict")
        }
    };
    // What is drawn is letters and digits.
    let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// The headers that take both cookies away.
pub(crate) fn cleared() -> [HeaderValue; 2] {
    [
        HeaderValue::from_static(
            "__Host-proximity=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict",
        ),
        HeaderValue::from_static(
            "proximity-localhost=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
        ),
    ]
}

/// The token of a session: made of its secret, which it does not tell.
pub(crate) fn csrf_token(secret: &SecretString) -> String {
    let hash = Sha256::new()
        .chain_update(b"csrf\0")
        .chain_update(secret.expose_secret().as_bytes())
        .finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses a change that comes by a cookie, unless a page of ours asks for it.
pub(crate) fn check(headers: &HeaderMap, secret: &SecretString) -> Result<(), Refusal> {
    let is_ours = |origin: &str| is_own(headers, origin) && way(origin).is_some();
    if !text(headers, &ORIGIN).is_some_and(is_ours) {
        return Err(foreign());
    }
    let sent = text(headers, &CSRF).unwrap_or_default();
    if bool::from(sent.as_bytes().ct_eq(csrf_token(secret).as_bytes())) {
        return Ok(());
    }
    Err(refused(
        "the request comes by a cookie, and its header `X-CSRF-Token` is missing or not that of the session",
        "send the `csrf_token` that GET /api/session tells, or use a token of the API instead of a cookie",
    ))
}

/// Whether a page of this very server asks: the origin's host is the one that the request is for.
fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    let host = text(headers, &HOST).unwrap_or_default();
    let of = origin.split_once("://").map(|(_, host)| host);
    !host.is_empty() && of.is_some_and(|of| of.eq_ignore_ascii_case(host))
}

fn foreign() -> Refusal {
    refused(
        "the request comes from a page that is not of this server: its header `Origin` is missing or another one",
        "open the page under the address of this server; a proxy before it has to leave the header `Host` as it is",
    )
}

fn refused(message: &str, hint: &str) -> Refusal {
    let body = ErrorBody::new("csrf_refused", message, hint);
    Refusal::new(ErrorKind::Forbidden, body)
}

fn is_localhost(host: &str) -> bool {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    fn secret() -> SecretString {
        SecretString::from("pxs_1")
    }

    #[test]
    fn the_cookie_is_as_safe_as_the_way_it_takes() {
        let kind_of = |origin, host| kind(&headers(&[("origin", origin), ("host", host)]));
        assert_eq!(kind_of("https://p.lan", "p.lan").unwrap(), Kind::Secure);
        let with_port = kind_of("https://P.lan:7640", "p.lan:7640");
        assert_eq!(with_port.unwrap(), Kind::Secure);
        let local = kind_of("http://localhost:7640", "localhost:7640");
        assert_eq!(local.unwrap(), Kind::Local);
        let without = kind(&headers(&[("host", "p.lan")]));
        assert_eq!(without.unwrap(), Kind::Secure);
        for (origin, host, code) in [
            ("http://127.0.0.1:7640", "127.0.0.1:7640", "https_needed"),
            ("http://p.lan", "p.lan", "https_needed"),
            ("http://localhost.evil", "localhost.evil", "https_needed"),
            ("https://evil.lan", "p.lan", "csrf_refused"),
            ("https://p.lan:1", "p.lan:2", "csrf_refused"),
            ("null", "p.lan", "csrf_refused"),
            ("https://", "", "csrf_refused"),
        ] {
            let refused = kind_of(origin, host).unwrap_err();
            assert_eq!(refused.body.code, code, "{origin} {host}");
        }
        let set_secure = set(Kind::Secure, &secret());
        assert_eq!(
            set_secure.to_str().unwrap(),
            "__Host-proximity=pxs_1; Path=/; Max-Age=604800; Secure; HttpOnly; SameSite=Strict"
        );
        assert!(!format!("{set_secure:?}").contains("pxs_1"));
        let set_local = set(Kind::Local, &secret());
        assert!(!set_local.to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn what_was_set_is_found_among_other_cookies() {
        let found = |host, line: &str| {
            let sent = sent(&headers(&[("host", host), ("cookie", line)]));
            sent.map(|secret| secret.expose_secret().to_owned())
        };
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(found("p.lan", "a=b; __Host-proximity=x; c=d"), of("x"));
        assert_eq!(found("p.lan", "proximity-localhost=x"), None);
        assert_eq!(found("localhost:1", "proximity-localhost=x"), of("x"));
        assert_eq!(found("p.lan", "__host-proximity=x"), None);
        assert_eq!(found("p.lan", "__Host-proximity="), None);
        let long = format!("__Host-proximity={}", "x".repeat(500));
        assert_eq!(found("p.lan", &long), None);
    }

    #[test]
    fn a_change_needs_both_the_origin_and_the_token() {
        let token = csrf_token(&secret());
        assert_eq!(token.len(), 64);
        assert!(!token.contains("pxs_1"));
        let fine = [
            ("host", "p.lan"),
            ("origin", "https://p.lan"),
            ("x-csrf-token", token.as_str()),
        ];
        assert_eq!(check(&headers(&fine), &secret()), Ok(()));
        for without in 0..3 {
            let mut some = fine.to_vec();
            some.remove(without);
            let refused = check(&headers(&some), &secret()).unwrap_err();
            assert_eq!(refused.body.code, "csrf_refused", "{without}");
        }
        // The same host without TLS: that page is whose who stands on the way.
        let plain = fine.map(|(name, value)| match name {
            "origin" => (name, "http://p.lan"),
            _ => (name, value),
        });
        let refused = check(&headers(&plain), &secret()).unwrap_err();
        assert_eq!(refused.body.code, "csrf_refused");
        let local = fine.map(|(name, value)| match name {
            "origin" => (name, "http://localhost:7640"),
            "host" => (name, "localhost:7640"),
            _ => (name, value),
        });
        assert_eq!(check(&headers(&local), &secret()), Ok(()));
        let other = SecretString::from("pxs_2");
        assert!(
            check(&headers(&fine), &other).is_err(),
            "of another session"
        );
    }
}
