//! Looking at a server's certificate before it is trusted.

use std::time::Duration;

use tokio::time::timeout;

use super::address::Address;
use super::connection;
use super::trust::looking_connector;
use super::{Fingerprint, ShownCertificate};
use crate::transport::TransportError;

const PATIENCE: Duration = Duration::from_secs(10);

/// The fingerprint of the certificate a server shows now, for a person to compare: trust on first use.
///
/// Makes a TLS handshake (so the server proves that it holds the key) and hangs up; no request, no token is sent.
///
/// # Errors
/// [`TransportError::NotSent`] if the address is bad or there is no TLS server.
pub async fn fetch_fingerprint(url: &str) -> Result<Fingerprint, TransportError> {
    Ok(fetch_certificate(url).await?.fingerprint)
}

/// The certificate a server shows now: its fingerprint, and until when it is good. Looks as [`fetch_fingerprint`] does.
///
/// # Errors
/// Those of [`fetch_fingerprint`].
pub async fn fetch_certificate(url: &str) -> Result<ShownCertificate, TransportError> {
    let not_sent = |why: String| TransportError::NotSent(why);
    let address = Address::parse(url).map_err(|e| not_sent(e.to_string()))?;
    let tls = looking_connector().map_err(|e| not_sent(e.to_string()))?;
    let stream = match timeout(PATIENCE, connection::handshake(&address, &tls)).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(not_sent(format!("{address}: no connection in time"))),
    };
    let (_, session) = stream.get_ref();
    session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(ShownCertificate::of)
        .ok_or_else(|| not_sent(format!("{address}: it showed no certificate")))
}
