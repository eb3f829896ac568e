//! The control plane's side of the control protocol.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::lines::{Line, read_line};
use crate::protocol::{
    self, Answer, AnswerLine, Hello, KnownGeneration, RemovedReport, Request, RouteList,
    RouteReport,
};
use crate::refusal::{Refusal, RefusalCode};
use crate::route::{AppId, Generation, Route};

/// Longest answer accepted; a full table needs about 2 MB.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// How long a call may take from connecting to the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls of one client that are under way at the same time: a gateway has 32 places, and others want to see it too.
const CALLS: usize = 8;

/// Speaks to a gateway. Every call makes its own connection, so a client needs no repair after the
/// gateway was restarted. A client and its clones have eight calls under way at most; others wait for their turn.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    socket: PathBuf,
    patience: Duration,
    turns: Arc<Semaphore>,
}

/// Why a call gave no answer. All requests may safely be repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers at the socket; nothing was changed.
    #[error("no gateway is running at {}: {source}", socket.display())]
    NotRunning {
        /// The socket's path.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket is there, but may not be used; nothing was changed.
    #[error("cannot use the gateway's socket {}: {source}", socket.display())]
    Unusable {
        /// The socket's path.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The calls before took all the time there was; nothing was sent.
    #[error("{CALLS} calls to the gateway were under way for {} ms", patience.as_millis())]
    NoTurn {
        /// How long the call may take.
        patience: Duration,
    },
    /// The calls before took most of the time there was; what was left was too short for an answer, and the request may have
    /// been done.
    #[error("the gateway gave no answer in what {CALLS} calls before had left of {} ms", patience.as_millis())]
    LateTurn {
        /// How long the call may take.
        patience: Duration,
    },
    /// The gateway said no; nothing was changed.
    #[error("the gateway refused: {message} ({code})")]
    Refused {
        /// For programs.
        code: RefusalCode,
        /// For people.
        message: String,
    },
    /// No whole answer came; the request may have been done.
    #[error("the gateway gave no answer, the request may have been done: {reason}")]
    NoAnswer {
        /// What happened instead.
        reason: String,
    },
    /// An answer came that this version does not understand; the request may have been done.
    #[error("the gateway's answer is not understood: {reason}")]
    Protocol {
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// Whether the request may have been done all the same.
    #[must_use]
    pub fn may_have_applied(&self) -> bool {
        match self {
            Self::NotRunning { .. }
            | Self::Unusable { .. }
            | Self::NoTurn { .. }
            | Self::Refused { .. } => false,
            Self::LateTurn { .. } | Self::NoAnswer { .. } | Self::Protocol { .. } => true,
        }
    }
}

impl GatewayClient {
    /// A client for the gateway at `socket`; each call takes at most 10 s.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            patience: PATIENCE,
            turns: Arc::new(Semaphore::new(CALLS)),
        }
    }

    /// The same client with another limit for a whole call.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Who the gateway is and how it does.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn hello(&self) -> Result<Hello, ClientError> {
        self.call(&Request::Hello {}).await
    }

    /// Adds or replaces an app's route. The report shows whether its ports really listen.
    ///
    /// # Errors
    /// [`ClientError`]; refused with [`RefusalCode::StaleGeneration`] if the gateway knows a newer
    /// decision, with [`RefusalCode::PortConflict`] if another route has one of the ports.
    pub async fn set_route(&self, route: Route) -> Result<RouteReport, ClientError> {
        self.call(&Request::SetRoute { route }).await
    }

    /// Takes an app's route away; afterwards its ports are closed.
    ///
    /// # Errors
    /// [`ClientError`]; refused with [`RefusalCode::StaleGeneration`] if the gateway knows a newer
    /// decision.
    pub async fn remove_route(
        &self,
        app_id: AppId,
        generation: Generation,
    ) -> Result<RemovedReport, ClientError> {
        self.call(&Request::RemoveRoute { app_id, generation })
            .await
    }

    /// All routes and how they do.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn list_routes(&self) -> Result<RouteList, ClientError> {
        self.call(&Request::ListRoutes {}).await
    }

    /// The generation the next request about this app has to exceed; `None` if any will do. Only for
    /// callers that have no counter of their own: asking first gives up the protection from their own
    /// delayed requests.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn known_generation(&self, app_id: AppId) -> Result<Option<Generation>, ClientError> {
        let known: KnownGeneration = self.call(&Request::KnownGeneration { app_id }).await?;
        Ok(known.generation)
    }

    async fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ClientError> {
        let line = protocol::encode_request(request).map_err(|error| ClientError::Protocol {
            reason: error.to_string(),
        })?;
        let begun = Instant::now();
        let Ok(Ok(_turn)) = timeout(self.patience, self.turns.acquire()).await else {
            return Err(ClientError::NoTurn {
                patience: self.patience,
            });
        };
        let exchange = async {
            let stream = self.connect().await?;
            let answer = exchange(stream, &line).await?;
            understand(&answer)
        };
        let waited = begun.elapsed();
        match timeout(self.patience.saturating_sub(waited), exchange).await {
            Ok(outcome) => outcome,
            // The calls before took most of the time: that is no sign that the gateway is away.
            Err(_) if waited > self.patience / 2 => Err(ClientError::LateTurn {
                patience: self.patience,
            }),
            Err(_) => Err(ClientError::NoAnswer {
                reason: format!("nothing within {} ms", self.patience.as_millis()),
            }),
        }
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        UnixStream::connect(&self.socket).await.map_err(|source| {
            let socket = self.socket.clone();
            match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ClientError::NotRunning { socket, source }
                }
                _ => ClientError::Unusable { socket, source },
            }
        })
    }
}

/// Sends the line and reads one. A refused caller is answered before it has written anything, so a
/// broken write is judged by what can be read.
async fn exchange(stream: UnixStream, line: &[u8]) -> Result<Vec<u8>, ClientError> {
    let mut stream = BufReader::new(stream);
    let written = stream.write_all(line).await;
    let no_answer = |reason: String| ClientError::NoAnswer { reason };
    match (read_line(&mut stream, MAX_ANSWER_BYTES).await, written) {
        (Ok(Line::Whole(answer)), _) => Ok(answer),
        (_, Err(error)) | (Err(error), Ok(())) => Err(no_answer(error.to_string())),
        (Ok(Line::TooLong), Ok(())) => Err(ClientError::Protocol {
            reason: format!("more than {MAX_ANSWER_BYTES} bytes"),
        }),
        (Ok(Line::Cut | Line::End), Ok(())) => Err(no_answer("the connection was closed".into())),
    }
}

fn understand<T: DeserializeOwned>(line: &[u8]) -> Result<T, ClientError> {
    let protocol = |reason: String| ClientError::Protocol { reason };
    let AnswerLine { v, answer } =
        serde_json::from_slice(line).map_err(|error| protocol(error.to_string()))?;
    if v != protocol::VERSION {
        return Err(protocol(format!("version {v}")));
    }
    match answer {
        Answer::Ok(done) => Ok(done),
        Answer::Error(Refusal { code, message }) => Err(ClientError::Refused { code, message }),
    }
}
