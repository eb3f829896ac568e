//! One client's stream: its place in the log moves with what the client takes, so nothing piles up for a slow one.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::stream;
use proximity_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::feed::{EventFeed, FeedClosed};
use super::filter::EventFilter;
use crate::auth::Watch;

/// Bytes that are given at once, about.
const PIECE_BYTES: usize = 64 << 10;
/// What a client is told to wait before it comes back, milliseconds.
const RETRY_MS: u32 = 1_000;

/// Why there is no stream.
#[derive(Debug)]
pub(crate) enum NoStream {
    /// Too many clients follow.
    Full,
    /// The log is not followed.
    Closed,
    /// The log cannot be read.
    Unreadable(StoreError),
    /// The client has seen more than the log holds; the newest number.
    Ahead(i64),
    /// What follows the client's place was cleared away, up to this number.
    Cleared(i64),
}

impl From<FeedClosed> for NoStream {
    fn from(_: FeedClosed) -> Self {
        Self::Closed
    }
}

/// A body that tells everything after `after` (or after now) that passes the filter, until the client or the server
/// goes, or the client is not let in any more.
///
/// Guarantees: in order, without a gap, each event once. Every block has an id to resume from.
pub(crate) async fn stream(
    feed: Arc<EventFeed>,
    filter: EventFilter,
    after: Option<i64>,
    watch: Watch,
) -> Result<Body, NoStream> {
    let place = feed.place().ok_or(NoStream::Full)?;
    let head = feed.subscribe().await?;
    let cleared = feed.cleared().await.map_err(NoStream::Unreadable)?;
    let newest = feed.newest().await.map_err(NoStream::Unreadable)?;
    let position = match after {
        // Everything there is.
        Some(0) => cleared,
        Some(after) => after,
        None => newest,
    };
    if position > newest {
        return Err(NoStream::Ahead(newest));
    }
    if position < cleared {
        return Err(NoStream::Cleared(cleared));
    }
    let now = Instant::now();
    let client = Client {
        ends: now + feed.limits.life,
        quiet_until: now + feed.limits.silence,
        feed,
        filter,
        head,
        position,
        told: None,
        watch,
        _place: place,
    };
    Ok(Body::from_stream(stream::unfold(client, next)))
}

struct Client {
    feed: Arc<EventFeed>,
    filter: EventFilter,
    head: watch::Receiver<Option<i64>>,
    /// Everything up to here was looked at.
    position: i64,
    /// The last id the client was given.
    told: Option<i64>,
    ends: Instant,
    /// When it is told that it lives, unless something else is told before.
    quiet_until: Instant,
    watch: Watch,
    _place: OwnedSemaphorePermit,
}

type Piece = Result<Bytes, std::convert::Infallible>;

async fn next(mut client: Client) -> Option<(Piece, Client)> {
    let piece = client.piece().await?;
    client.quiet_until = Instant::now() + client.feed.limits.silence;
    Some((Ok(piece), client))
}

impl Client {
    /// What is told next; `None` when the stream ends.
    async fn piece(&mut self) -> Option<Bytes> {
        if self.told.is_none() {
            self.told = Some(self.position);
            return Some(format!("retry: {RETRY_MS}\nid: {}\n\n", self.position).into());
        }
        loop {
            if self.feed.closing.is_cancelled() || Instant::now() >= self.ends {
                return None;
            }
            if !self.watch.holds().await {
                return None;
            }
            let head = (*self.head.borrow_and_update())?;
            if self.position < head {
                let piece = self.read(head).await?;
                if !piece.is_empty() {
                    return Some(piece);
                }
                // Much happens, and the filter holds all of it back: that is silence too.
                if Instant::now() >= self.quiet_until {
                    return Some(self.alive());
                }
                continue;
            }
            tokio::select! {
                changed = self.head.changed() => changed.ok()?,
                () = self.feed.closing.cancelled() => return None,
                () = tokio::time::sleep_until(self.ends) => return None,
                () = tokio::time::sleep_until(self.watch.due()) => {}
                () = tokio::time::sleep_until(self.quiet_until) => return Some(self.alive()),
            }
        }
    }

    /// The next piece of what passes; empty when nothing of a page does. `None`: the log cannot be read, so the stream
    /// ends here, and the client comes back to the same place.
    async fn read(&mut self, head: i64) -> Option<Bytes> {
        let page = match self.feed.after(self.position, head).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "a stream of events ends: the log cannot be read");
                return None;
            }
        };
        // The feed has seen what is not there: the log has lost something, or cleared it away before this client took it.
        page.last()?;
        let mut piece = BytesMut::new();
        for event in page {
            if piece.len() >= PIECE_BYTES {
                break;
            }
            self.position = event.seq;
            if self.filter.lets(&event) {
                piece.extend_from_slice(&event.block);
                self.told = Some(event.seq);
            }
        }
        Some(piece.freeze())
    }

    /// A sign of life. Where a filter held events back, it moves the client's place past them.
    fn alive(&mut self) -> Bytes {
        if self.told == Some(self.position) {
            return Bytes::from_static(b": alive\n\n");
        }
        self.told = Some(self.position);
        format!(": alive\nid: {}\n\n", self.position).into()
    }
}
