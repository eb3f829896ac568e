//! HTTPS as it goes over the wire: all headers in order, nothing joined and nothing followed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::server::Answer;
use crate::support::sim::Request;

/// Longer than any answer that PVE holds back on purpose.
const ANSWER: Duration = Duration::from_secs(60);
/// Largest answer, bytes.
const ANSWER_BYTES: usize = 64 << 20;

/// Accepts certificates by their fingerprint alone.
#[derive(Debug)]
struct Pinned {
    accepted: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let print: [u8; 32] = Sha256::digest(end_entity).into();
        if self.accepted.contains(&print) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!(
            "its certificate has another fingerprint: {}",
            hex::encode(print)
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Opens connections to servers whose certificates are known.
pub struct Wire {
    connector: TlsConnector,
}

impl Wire {
    /// Trusts an authority, or else certificates with these fingerprints.
    pub fn new(ca: Option<&Path>, accepted: &[[u8; 32]]) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let config = match ca {
            Some(file) => {
                let wrong = |e: String| format!("{}: {e}", file.display());
                let mut roots = rustls::RootCertStore::empty();
                let found =
                    CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))?;
                for certificate in found {
                    let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
                    roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned {
                    accepted: accepted.to_vec(),
                    provider,
                }))
                .with_no_client_auth(),
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Sends one request on a connection of its own. An answer without a status means that the
    /// connection ended unanswered.
    pub async fn call(&self, authority: &str, request: Request) -> Result<Answer, String> {
        let began = tokio::time::Instant::now();
        let told = |e: std::io::Error| format!("{authority}: {e}");
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host).map_err(|e| format!("{authority}: {e}"))?;
        let stream = TcpStream::connect(authority).await.map_err(told)?;
        let mut stream = self.connector.connect(name, stream).await.map_err(told)?;
        let bytes = bytes(authority, &request);
        let exchange = async {
            // A server that refuses early answers before it has read everything.
            let _sent = stream.write_all(&bytes).await;
            let _flushed = stream.flush().await;
            read(&mut stream, request.method == "HEAD").await
        };
        let read = tokio::time::timeout(ANSWER, exchange).await;
        let mut answer = read.ok().flatten().unwrap_or_default();
        answer.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(answer)
    }
}

fn bytes(authority: &str, request: &Request) -> Vec<u8> {
    let query = if request.query.is_empty() {
        String::new()
    } else {
        format!("?{}", request.query)
    };
    let mut head = format!(
        "{} {}{query} HTTP/1.1\r\nHost: {authority}\r\n",
        request.method, request.path
    );
    let own = [
        ("Authorization", &request.authorization),
        ("Cookie", &request.cookie),
        ("CSRFPreventionToken", &request.csrf),
        ("Content-Type", &request.content_type),
    ];
    for (name, value) in own {
        if let Some(value) = value {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let told = |name: &str| {
        request
            .headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case(name))
    };
    let has_body = !request.body.is_empty() || matches!(request.method.as_str(), "POST" | "PUT");
    if has_body && !told("content-length") && !told("transfer-encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

/// Reads one answer; none when the connection ends before its head is there.
async fn read(stream: &mut (impl AsyncReadExt + Unpin), bodiless: bool) -> Option<Answer> {
    let mut buffer = Vec::new();
    let head_end = loop {
        let found = buffer.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(at) = found {
            break at;
        }
        if !fill(stream, &mut buffer).await {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut body = buffer.split_off(head_end + 4);
    let (mut answer, length) = head_of(&head)?;
    let length = if bodiless { Some(0) } else { length };
    while length.is_none_or(|length| body.len() < length) && fill(stream, &mut body).await {}
    if length.is_some_and(|length| body.len() < length) {
        return None;
    }
    answer.body = body;
    Some(answer)
}

async fn fill(stream: &mut (impl AsyncReadExt + Unpin), buffer: &mut Vec<u8>) -> bool {
    let before = buffer.len();
    before < ANSWER_BYTES && matches!(stream.read_buf(buffer).await, Ok(count) if count > 0)
}

/// The answer without its body, and how long that is; none means until the connection ends.
fn head_of(head: &str) -> Option<(Answer, Option<usize>)> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.splitn(3, ' ').skip(1);
    let mut answer = Answer {
        status: Some(words.next()?.parse().ok()?),
        reason: words.next().unwrap_or_default().to_owned(),
        ..Answer::default()
    };
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "connection" => answer.connection.push(value.to_owned()),
            "content-type" => answer.content_type = Some(value.to_owned()),
            "content-length" => length = value.parse().ok(),
            _ => {}
        }
    }
    Some((answer, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_connection_headers_and_the_reason_are_kept() {
        let head = "HTTP/1.1 500 CT 9 already exists\r\nConnection: close\r\nConnection: Keep-Alive\r\n\
                    Content-Type: application/json;charset=UTF-8\r\nContent-Length: 12";
        let (answer, length) = head_of(head).unwrap();
        assert_eq!((answer.status, length), (Some(500), Some(12)));
        assert_eq!(answer.reason, "CT 9 already exists");
        assert_eq!(answer.connection, ["close", "Keep-Alive"]);
        assert!(head_of("nonsense").is_none());
    }
}
