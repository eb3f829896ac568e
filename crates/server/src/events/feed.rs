//! The feed: follows the log with one reader, and keeps its newest part for all clients.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;
use proximity_store::views::EventRow;
use proximity_store::{Reader, StoreError};
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::EventLimits;
use super::told::ToldEvent;
use crate::metrics::Metrics;

/// Events kept for everybody.
const WINDOW_EVENTS: usize = 1024;
/// Their bytes at most.
const WINDOW_BYTES: usize = 8 << 20;
/// Rows of one look at the table.
const PAGE: u32 = 256;
/// Clients that read the table at once; the API needs the other connections.
const REPLAYS: usize = 2;
/// Owners that are remembered.
const OWNERS: usize = 4096;
/// Pause after the log could not be read.
const TROUBLE: Duration = Duration::from_secs(5);
/// How often the log is looked at when nobody rings and nobody follows: an idle server sleeps.
const AT_REST: Duration = Duration::from_secs(300);

/// The feed ended: the server is ending, or the feed is broken.
#[derive(Debug)]
pub(crate) struct FeedClosed;

/// Reads the log for all.
#[derive(Debug)]
pub(crate) struct EventFeed {
    log: Arc<Log>,
    head: watch::Receiver<Option<i64>>,
    /// Rung by whoever begins to follow: what others wrote meanwhile is looked for at once.
    joined: Arc<Notify>,
    places: Arc<Semaphore>,
    pub(super) limits: EventLimits,
    pub(super) closing: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Log {
    reader: Reader,
    metrics: Metrics,
    window: RwLock<Window>,
    owners: Mutex<HashMap<AppId, Arc<str>>>,
    replays: Semaphore,
}

/// What comes after a place in the table.
enum Read {
    /// These, a page at most.
    Events(Vec<Arc<ToldEvent>>),
    /// What came next was cleared away, up to this number.
    Cleared(i64),
}

#[derive(Debug, Default)]
struct Window {
    events: VecDeque<Arc<ToldEvent>>,
    bytes: usize,
}

impl EventFeed {
    /// Starts to follow the log. Needs a runtime; ends when dropped, or with `closing`.
    pub(crate) fn start(
        reader: Reader,
        limits: EventLimits,
        metrics: Metrics,
        closing: CancellationToken,
    ) -> Self {
        let log = Arc::new(Log {
            reader,
            metrics,
            window: RwLock::default(),
            owners: Mutex::default(),
            replays: Semaphore::new(REPLAYS),
        });
        let (publish, head) = watch::channel(None);
        let joined = Arc::new(Notify::new());
        let calls = Calls {
            joined: Arc::clone(&joined),
            closing: closing.clone(),
        };
        let task = follow(Arc::clone(&log), publish, limits.poll, calls);
        Self {
            log,
            head,
            joined,
            places: Arc::new(Semaphore::new(limits.clients)),
            limits,
            closing,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    /// The newest number that was seen, and word of every later one. Waits for the first look at the log.
    pub(super) async fn subscribe(&self) -> Result<watch::Receiver<Option<i64>>, FeedClosed> {
        let mut head = self.head.clone();
        self.joined.notify_one();
        head.wait_for(Option::is_some)
            .await
            .map_err(|_| FeedClosed)?;
        Ok(head)
    }

    /// All events up to this number were cleared away.
    pub(crate) async fn cleared(&self) -> Result<i64, StoreError> {
        self.log.reader.cleared_events().await
    }

    /// The newest number in the log, which the feed may not have seen yet.
    pub(crate) async fn newest(&self) -> Result<i64, StoreError> {
        self.log.reader.newest_event().await
    }

    /// The place behind which the events of that moment or later begin. Times are in the order of the numbers as long as nobody
    /// sets the clock: where somebody did, some of before it are passed over, or come too.
    pub(crate) async fn before(&self, since: Timestamp) -> Result<i64, StoreError> {
        // What is at `low` or before is older; what is behind `high` is not.
        let (mut low, mut high) = (self.cleared().await?, self.newest().await?);
        while low < high {
            let middle = low + (high - low) / 2;
            let next = self.log.reader.events(middle, 1).await?;
            match next.first() {
                Some((seq, at, ..)) if *at < since => low = *seq,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// Clients that follow now.
    pub(crate) fn followers(&self) -> usize {
        let free = self.places.available_permits();
        self.limits.clients.saturating_sub(free)
    }

    /// A place for one more client; given back when dropped.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// What comes after `seq`, a page at most, up to `head`: from memory where it is there.
    pub(super) async fn after(
        &self,
        seq: i64,
        head: i64,
    ) -> Result<Vec<Arc<ToldEvent>>, StoreError> {
        if let Some(found) = self.log.in_window(seq, head) {
            return Ok(found);
        }
        let _turn = self.log.replays.acquire().await;
        match self.log.read(seq).await? {
            Read::Events(events) => Ok(events.into_iter().filter(|e| e.seq <= head).collect()),
            // Whoever comes back to this place is told.
            Read::Cleared(_) => Ok(Vec::new()),
        }
    }
}

impl Log {
    fn in_window(&self, seq: i64, head: i64) -> Option<Vec<Arc<ToldEvent>>> {
        let window = self.window.read().unwrap_or_else(PoisonError::into_inner);
        let first = window.events.front()?.seq;
        let skip = usize::try_from(seq.checked_add(1)?.checked_sub(first)?).ok()?;
        let page = window.events.iter().skip(skip);
        let page = page.take_while(|e| e.seq <= head).take(PAGE as usize);
        let page: Vec<_> = page.map(Arc::clone).collect();
        (!page.is_empty()).then_some(page)
    }

    fn keep(&self, events: &[Arc<ToldEvent>]) {
        let mut window = self.window.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            window.bytes += event.block.len();
            window.events.push_back(Arc::clone(event));
        }
        while window.events.len() > WINDOW_EVENTS || window.bytes > WINDOW_BYTES {
            let Some(oldest) = window.events.pop_front() else {
                break;
            };
            window.bytes -= oldest.block.len();
        }
    }

    /// The next page of the table, as far as it has no hole.
    async fn read(&self, seq: i64) -> Result<Read, StoreError> {
        let rows = self.reader.events(seq, PAGE).await?;
        let mut events = Vec::with_capacity(rows.len());
        for (row, expected) in rows.into_iter().zip(seq.saturating_add(1)..) {
            if row.0 != expected {
                let cleared = self.reader.cleared_events().await?;
                if events.is_empty() && expected <= cleared {
                    return Ok(Read::Cleared(cleared));
                }
                tracing::error!(
                    expected,
                    found = row.0,
                    "an event is missing from the log; nothing after it is told"
                );
                break;
            }
            let owner = self.owner(&row).await?;
            events.push(Arc::new(ToldEvent::new(row, owner)));
        }
        Ok(Read::Events(events))
    }

    async fn owner(&self, row: &EventRow) -> Result<Option<Arc<str>>, StoreError> {
        let Some(app) = row.3 else {
            return Ok(None);
        };
        let mut owners = self.owners.lock().await;
        if let Some(owner) = owners.get(&app) {
            return Ok(Some(Arc::clone(owner)));
        }
        let found = match self.reader.app(app).await? {
            Some(live) => Some(live.owner),
            None => self.reader.archived_app(app).await?.map(|a| a.record.owner),
        };
        let Some(owner) = found else {
            return Ok(None);
        };
        if owners.len() >= OWNERS {
            owners.clear();
        }
        let owner: Arc<str> = owner.into();
        owners.insert(app, Arc::clone(&owner));
        Ok(Some(owner))
    }
}

/// What the feed hears beside commits.
struct Calls {
    joined: Arc<Notify>,
    closing: CancellationToken,
}

/// Follows the log: woken by commits of this process and by whoever joins, and now and then anyway.
async fn follow(log: Arc<Log>, publish: watch::Sender<Option<i64>>, poll: Duration, calls: Calls) {
    let mut commits = log.reader.commits();
    let mut rings = true;
    loop {
        commits.mark_unchanged();
        // The feed itself holds one of the receivers.
        let is_followed = publish.receiver_count() > 1;
        let mut pause = if is_followed { poll } else { AT_REST };
        if let Err(error) = catch_up(&log, &publish).await {
            tracing::warn!(%error, "cannot read the log of events");
            pause = TROUBLE;
        }
        tokio::select! {
            () = calls.closing.cancelled() => return,
            () = calls.joined.notified() => {}
            rung = commits.changed(), if rings => rings = rung.is_ok(),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn catch_up(log: &Log, publish: &watch::Sender<Option<i64>>) -> Result<(), StoreError> {
    let seen = *publish.borrow();
    let mut head = match seen {
        Some(head) => head,
        None => {
            let newest = log.reader.newest_event().await?;
            publish.send_replace(Some(newest));
            newest
        }
    };
    loop {
        let events = match log.read(head).await? {
            Read::Events(events) => events,
            Read::Cleared(to) => {
                tracing::warn!(
                    from = head,
                    to,
                    "events were cleared away before the feed had read them"
                );
                head = to;
                publish.send_replace(Some(head));
                continue;
            }
        };
        let Some(last) = events.last() else {
            return Ok(());
        };
        head = last.seq;
        for event in &events {
            log.metrics.told(event.kind, &event.wire);
        }
        log.keep(&events);
        publish.send_replace(Some(head));
    }
}
