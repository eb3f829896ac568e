//! Events: pages, one stream, and a stream that comes back when it breaks.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, Response};

use super::sse::{Block, Parser};
use super::{Client, ClientError};
use crate::events::{Event, EventPage, EventQuery};

/// Longest silence of a stream. The server says something every 15 s.
const LONGEST_SILENCE: Duration = Duration::from_secs(45);
/// Longest time one stream is read; the server ends it much earlier.
const LONGEST_STREAM: Duration = Duration::from_secs(24 * 60 * 60);
/// Pause before connecting again, unless the server names one.
const RETRY_MS: u64 = 1_000;
/// Longest pause the server may name.
const LONGEST_RETRY_MS: u64 = 30_000;

/// What a stream gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The stream is open and begins after this number: whatever is looked up from now on is no older than that.
    Open(i64),
    /// An event.
    Event(Box<Event>),
    /// The stream broke and could not be opened again at once, for this reason. It is tried again, at the place where
    /// it was; this is told once, and [`Told::Open`] when it succeeds.
    Lost(String),
}

impl Client {
    /// `GET /api/events` as a page.
    pub async fn events(&self, query: &EventQuery) -> Result<EventPage, ClientError> {
        self.get(&["events"], query).await
    }

    /// `GET /api/events` as a stream that connects again after every break, at the place where it was.
    #[must_use]
    pub fn follow_events(&self, query: EventQuery) -> EventStream {
        EventStream {
            client: self.clone(),
            query,
            position: None,
            open: None,
            retry_ms: RETRY_MS,
            patience: None,
            failures: 0,
            pauses: false,
        }
    }
}

/// Events, one after the other; see [`Client::follow_events`].
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    query: EventQuery,
    position: Option<i64>,
    open: Option<OpenStream>,
    retry_ms: u64,
    /// How often a connection may fail in a row; `None`: for ever once there was one, but not before.
    patience: Option<u32>,
    /// How often it has failed in a row.
    failures: u32,
    /// It has failed, and the pause before the next one is not over.
    pauses: bool,
}

#[derive(Debug)]
struct OpenStream {
    answer: Response,
    parser: Parser,
    ready: VecDeque<Block>,
}

impl EventStream {
    /// Gives up, with the error, after this many failed connections in a row.
    #[must_use]
    pub fn give_up_after(mut self, failures: u32) -> Self {
        self.patience = Some(failures);
        self
    }

    /// The number after which the next connection begins; `None` before the first one.
    #[must_use]
    pub fn position(&self) -> Option<i64> {
        self.position
    }

    /// What comes next. A break is waited out; no event is given twice and none is left out.
    ///
    /// # Errors
    /// The server refuses (token, filter, position), is not to be reached for too long, was never reached (unless that
    /// is [waited for](Self::give_up_after)), or does not speak this protocol.
    pub async fn next(&mut self) -> Result<Told, ClientError> {
        loop {
            if self.pauses {
                tokio::time::sleep(Duration::from_millis(self.retry_ms)).await;
                self.pauses = false;
            }
            let error = match self.step().await {
                Ok(Some(told)) => {
                    self.failures = 0;
                    return Ok(told);
                }
                Ok(None) => continue,
                Err(error) => error,
            };
            self.open = None;
            self.failures += 1;
            let given_up = match self.patience {
                Some(most) => self.failures > most,
                // Nothing was followed yet that could be lost: whoever asks can ask again.
                None => self.position.is_none(),
            };
            if given_up || !may_pass(&error) {
                return Err(error);
            }
            self.pauses = true;
            tracing::debug!(%error, position = self.position, "the stream of events broke");
            // The first is the break itself: the server ends each stream after an hour.
            if self.failures == 2 {
                return Ok(Told::Lost(error.to_string()));
            }
        }
    }

    /// Connects, or reads one block.
    async fn step(&mut self) -> Result<Option<Told>, ClientError> {
        let Some(open) = &mut self.open else {
            let answer = self.connect().await?;
            self.open = Some(OpenStream {
                answer,
                parser: Parser::default(),
                ready: VecDeque::new(),
            });
            return Ok(None);
        };
        if let Some(block) = open.ready.pop_front() {
            return self.take(block);
        }
        let piece = tokio::time::timeout(LONGEST_SILENCE, open.answer.chunk()).await;
        let piece = match piece {
            Err(_) => return Err(self.client.broken("it was silent for 45 s")),
            Ok(Err(error)) => return Err(self.client.unsent(&error)),
            Ok(Ok(None)) => return Err(self.client.broken("the server ended the stream")),
            Ok(Ok(Some(piece))) => piece,
        };
        match open.parser.push(&piece) {
            Ok(blocks) => open.ready.extend(blocks),
            Err(_) => return Err(self.odd("an event has no end")),
        }
        Ok(None)
    }

    fn take(&mut self, block: Block) -> Result<Option<Told>, ClientError> {
        if let Some(ms) = block.retry_ms {
            self.retry_ms = ms.min(LONGEST_RETRY_MS);
        }
        let first = self.position.is_none() || block.retry_ms.is_some();
        if let Some(id) = &block.id {
            let id = id.parse().map_err(|_| self.odd("an id is no number"))?;
            self.position = Some(id);
        }
        match (block.data, self.position) {
            (Some(data), _) => {
                let event = serde_json::from_str(&data).map_err(|e| self.odd(&e.to_string()))?;
                Ok(Some(Told::Event(Box::new(event))))
            }
            (None, Some(position)) if first => Ok(Some(Told::Open(position))),
            (None, _) => Ok(None),
        }
    }

    async fn connect(&self) -> Result<Response, ClientError> {
        let mut request = self
            .client
            .request(Method::GET, &["events"])
            .header(ACCEPT, "text/event-stream")
            .timeout(LONGEST_STREAM)
            .query(&self.query);
        if let Some(position) = self.position {
            request = request.header("last-event-id", position.to_string());
        }
        let answer = request.send().await.map_err(|e| self.client.unsent(&e))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let body = self.client.read(answer).await?;
        Err(self.client.refusal(status, &body))
    }

    fn odd(&self, why: &str) -> ClientError {
        self.client
            .bad_answer(200, format!("the stream of events: {why}"))
    }
}

/// Whether connecting again may help.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::NotRunning { .. }
        | ClientError::Unreachable { .. }
        | ClientError::Broken { .. } => true,
        ClientError::Refused { status, .. } => matches!(status, 429 | 500..=599),
        ClientError::BadUrl { .. }
        | ClientError::Setup(_)
        | ClientError::TokenFile(_)
        | ClientError::BadAnswer { .. } => false,
    }
}
