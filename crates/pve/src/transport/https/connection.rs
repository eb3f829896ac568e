//! One HTTP/1.1 connection, and how far a request got on it.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Fingerprint;
use super::address::Address;
use super::hearing::Hearing;
use super::proof::Proof;
use super::trust::PinMismatch;
use super::wire::{Wire, WireState};
use crate::percent;
use crate::transport::{Method, OUT_OF_FILES, RawResponse, Request, TransportError};

/// The longest answer that is read. A list of 10,000 guests has about 5 MB.
const LONGEST_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// The longest head of an answer.
pub(super) const LONGEST_HEAD_BYTES: usize = 64 * 1024;

/// A request as it goes over the wire.
pub(super) type Message = http::Request<Full<Bytes>>;
/// Its answer, whole, or why there is none.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<RawResponse, String>> + Send>>;

impl TransportError {
    pub(super) fn is_not_sent(&self) -> bool {
        match self {
            Self::NotSent(_)
            | Self::Untrusted { .. }
            | Self::LoginRefused(_)
            | Self::SecondFactor(_) => true,
            Self::MaybeApplied(_) => false,
        }
    }
}

/// Encodes a request: parameters in the query for GET and DELETE (PVE refuses a body there), in the body otherwise.
pub(super) fn message(
    request: &Request,
    address: &Address,
    proof: &Proof,
) -> Result<Message, TransportError> {
    const AGENT: &str = concat!("proximity/", env!("CARGO_PKG_VERSION"));
    let agent = match &request.reference {
        Some(reference) => format!("{AGENT} ({reference})"),
        None => AGENT.to_owned(),
    };
    let encoded = percent::pairs(&request.params);
    let mut uri = format!("/api2/json{}", request.path);
    let body = match request.method {
        Method::Get | Method::Delete => {
            if !encoded.is_empty() {
                uri.push('?');
                uri.push_str(&encoded);
            }
            None
        }
        Method::Post | Method::Put => Some(encoded),
    };
    let mut builder = http::Request::builder()
        .method(request.method.as_str())
        .uri(uri)
        .header(HOST, &address.authority)
        .header(USER_AGENT, agent)
        .header(ACCEPT, "application/json");
    for (name, value) in proof.headers(request.method) {
        builder = builder.header(name, value);
    }
    if let Some(body) = &body {
        builder = builder
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(CONTENT_LENGTH, body.len());
    }
    builder
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|e| TransportError::NotSent(format!("the request cannot be encoded: {e}")))
}

/// Connects and makes the TLS handshake.
pub(super) async fn handshake(
    address: &Address,
    tls: &TlsConnector,
) -> Result<TlsStream<TcpStream>, TransportError> {
    let tcp = TcpStream::connect((address.host.as_str(), address.port))
        .await
        .map_err(|e| cannot_connect(&e))?;
    tcp.set_nodelay(true).map_err(|e| cannot_connect(&e))?;
    tls.connect(address.server_name.clone(), tcp)
        .await
        .map_err(|e| tls_failure(&e))
}

fn cannot_connect(error: &std::io::Error) -> TransportError {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let why = match error.raw_os_error() {
        Some(ENFILE | EMFILE) => format!("cannot connect: {OUT_OF_FILES}: {error}"),
        Some(_) | None => format!("cannot connect: {error}"),
    };
    TransportError::NotSent(why)
}

fn tls_failure(error: &std::io::Error) -> TransportError {
    let rustls_error = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(reason)) = rustls_error else {
        return TransportError::NotSent(format!("no TLS connection: {error}"));
    };
    if let rustls::CertificateError::Other(other) = reason
        && let Some(mismatch) = other.0.downcast_ref::<PinMismatch>()
    {
        return TransportError::Untrusted {
            why: mismatch.to_string(),
            seen: Some(mismatch.seen),
        };
    }
    TransportError::Untrusted {
        why: error.to_string(),
        seen: None::<Fingerprint>,
    }
}

/// An open connection. Dropping it hangs up.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    wire: Arc<WireState>,
    written_before: u64,
    driver: Driver,
}

/// The task that moves the bytes.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    pub(super) async fn open(
        address: &Address,
        tls: &TlsConnector,
    ) -> Result<Self, TransportError> {
        Self::over(handshake(address, tls).await?).await
    }

    /// Over a stream that is open.
    pub(super) async fn over<S>(stream: S) -> Result<Self, TransportError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (io, wire) = Wire::new(stream);
        let (sender, connection) = http1::Builder::new()
            .max_header_size(LONGEST_HEAD_BYTES)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|e| TransportError::NotSent(format!("no HTTP connection: {e}")))?;
        let driver = Driver(tokio::spawn(async move {
            // Its error reaches whoever waits for an answer; without a waiter it does not matter.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "connection to PVE ended");
            }
        }));
        Ok(Self {
            sender,
            wire,
            written_before: 0,
            driver,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Hands one request over; no byte of it is written from `send_before` on. After an error, see [`Connection::hang_up`].
    /// What comes of the answer is noted in `hearing`.
    pub(super) fn send(
        &mut self,
        message: Message,
        send_before: Option<Instant>,
        hearing: Hearing,
    ) -> Answering {
        self.written_before = self.wire.written_bytes();
        self.wire.set_send_before(send_before);
        self.wire.expect_answer(hearing);
        let sent = self.sender.send_request(message);
        Box::pin(async move {
            let response = sent.await.map_err(|e| chain(&e))?;
            read_whole(response).await
        })
    }

    /// Nothing more is written from now on. Whether something of the request was; if not, this hangs up.
    pub(super) fn stop_writing(&self) -> bool {
        self.wire.set_send_before(Some(Instant::now()));
        let was_written = self.was_written();
        if !was_written {
            self.driver.0.abort();
        }
        was_written
    }

    /// Hangs up, and says whether something of the request was written, so that it may have arrived. To be called once.
    pub(super) async fn hang_up(&mut self) -> bool {
        // The driver may be about to write: the count is final only when it has ended.
        self.driver.0.abort();
        let _cancelled = (&mut self.driver.0).await;
        self.was_written()
    }

    fn was_written(&self) -> bool {
        self.wire.written_bytes() != self.written_before
    }
}

async fn read_whole(response: Response<Incoming>) -> Result<RawResponse, String> {
    let (head, body) = response.into_parts();
    let reason = match head.extensions.get::<ReasonPhrase>() {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        None => head
            .status
            .canonical_reason()
            .unwrap_or_default()
            .to_owned(),
    };
    let told = body.size_hint().exact();
    let told = told.and_then(|bytes| usize::try_from(bytes).ok());
    // Into one piece as it comes: kept in pieces until its end a long answer would be there twice.
    let mut whole = BytesMut::with_capacity(told.unwrap_or(0).min(LONGEST_ANSWER_BYTES));
    let mut body = Limited::new(body, LONGEST_ANSWER_BYTES);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| format!("the answer broke off: {}", chain(e.as_ref())))?;
        if let Ok(piece) = frame.into_data() {
            whole.extend_from_slice(&piece);
        }
    }
    Ok(RawResponse {
        status: head.status.as_u16(),
        reason,
        body: whole.freeze(),
    })
}

/// An error with its causes, for hyper keeps the telling part there.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::says_out_of_files;

    #[test]
    fn a_want_of_files_here_is_told_from_a_node_that_is_down() {
        let of = |number| cannot_connect(&std::io::Error::from_raw_os_error(number)).to_string();
        assert!(says_out_of_files(&of(24)) && says_out_of_files(&of(23)));
        let refused = of(111);
        assert!(
            !says_out_of_files(&refused) && refused.contains("refused"),
            "{refused}"
        );
    }
}
