//! One client: reads the stream with a few lines of its own, so that it shares no fault with the product's client.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Response;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::server::Server;

/// Pause before connecting again.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause of a slow client after each piece.
const SLOWNESS: Duration = Duration::from_millis(50);

/// Where a client begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    AtTheBeginning,
    Now,
}

/// How fast it takes what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Fast,
    Slow,
}

/// A client and what it was told.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
    begin: Begin,
    pace: Pace,
    /// The control: it resumes without its place.
    forgets: bool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The place its first stream has to begin after.
    start: Option<i64>,
    /// What it has to send to resume.
    last_id: Option<i64>,
    /// Numbers of the events, as they came.
    events: Vec<i64>,
    connections: u64,
}

impl Client {
    pub(super) fn new(server: &Server, begin: Begin, pace: Pace, forgets: bool) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: server.url("/api/events"),
            token: server.token().to_owned(),
            begin,
            pace,
            forgets,
            seen: Mutex::default(),
        }
    }

    /// Follows until told to stop; comes back after each break.
    pub(super) async fn follow(self: std::sync::Arc<Self>, stop: CancellationToken) {
        let follow = async {
            loop {
                // A break is what this is about; the verdict tells whether something was lost by it.
                let _ = self.one_stream().await;
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = follow => {}
            () = stop.cancelled() => {}
        }
    }

    async fn one_stream(&self) -> Result<()> {
        let mut answer = self.connect().await?;
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            text.extend_from_slice(&piece);
            while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = text.drain(..end + 2).collect();
                self.take(std::str::from_utf8(&block)?)?;
            }
            if self.pace == Pace::Slow {
                sleep(SLOWNESS).await;
            }
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Response> {
        let mut request = self.http.get(&self.url).bearer_auth(&self.token);
        request = request.header("accept", "text/event-stream");
        let last_id = self.seen(|seen| seen.last_id);
        match (last_id, self.begin) {
            (Some(id), _) if !self.forgets => {
                request = request.header("last-event-id", id.to_string());
            }
            (None, Begin::AtTheBeginning) => request = request.query(&[("after", "0")]),
            (Some(_), _) | (None, Begin::Now) => {}
        }
        let answer = request.send().await?.error_for_status()?;
        self.seen(|seen| seen.connections += 1);
        Ok(answer)
    }

    fn take(&self, block: &str) -> Result<()> {
        let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let Some(id) = line("id: ") else {
            return Ok(());
        };
        let id: i64 = id.parse().context("an id is no number")?;
        let event = match line("data: ") {
            Some(data) => Some(serde_json::from_str::<serde_json::Value>(data)?),
            None => None,
        };
        self.seen(|seen| {
            seen.last_id = Some(id);
            // What it asked for, not what it was given: a lost beginning is a gap.
            seen.start.get_or_insert(match self.begin {
                Begin::AtTheBeginning => 0,
                Begin::Now => id,
            });
            if let Some(event) = event {
                // What it was told, not what the block is called.
                seen.events.push(event["seq"].as_i64().unwrap_or(-1));
            }
        });
        Ok(())
    }

    fn seen<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn start(&self) -> Option<i64> {
        self.seen(|seen| seen.start)
    }

    pub(super) fn last(&self) -> Option<i64> {
        self.seen(|seen| seen.events.last().copied())
    }

    pub(super) fn connections(&self) -> u64 {
        self.seen(|seen| seen.connections)
    }

    pub(super) fn events(&self) -> Vec<i64> {
        self.seen(|seen| seen.events.clone())
    }
}
