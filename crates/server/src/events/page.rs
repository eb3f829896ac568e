//! Events as a page, for those who do not follow.

use proximity_api::events::EventPage;
use proximity_store::StoreError;

use super::feed::EventFeed;
use super::filter::EventFilter;
use super::told::ToldEvent;
use std::sync::Arc;

/// Events one request looks through at most on its way on; a filter may let none of them pass.
const LOOKED_AT: i64 = 10_000;
/// And on its way back from the newest: what a large cluster tells at once must not hide what happened before.
const LOOKED_BACK: i64 = 5 * LOOKED_AT;

/// From where to where the log goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// All up to this number were cleared away.
    pub(crate) cleared: i64,
    /// Number of the newest event.
    pub(crate) newest: i64,
}

/// What comes after `after`, where 0 is the beginning; without it, the newest.
pub(crate) async fn page(
    feed: &EventFeed,
    filter: &EventFilter,
    after: Option<i64>,
    limit: usize,
    extent: Extent,
) -> Result<EventPage, StoreError> {
    match after {
        Some(0) => from_the_beginning(feed, filter, limit, extent).await,
        Some(after) => onwards(feed, filter, after, limit, extent.newest).await,
        None => last(feed, filter, limit, extent).await,
    }
}

async fn from_the_beginning(
    feed: &EventFeed,
    filter: &EventFilter,
    limit: usize,
    Extent { cleared, newest }: Extent,
) -> Result<EventPage, StoreError> {
    let page = onwards(feed, filter, cleared, limit, newest).await?;
    if page.next_after > cleared || !page.more {
        return Ok(page);
    }
    // The first ones were cleared away since it was looked where they begin.
    let cleared = feed.cleared().await?;
    onwards(feed, filter, cleared, limit, newest).await
}

async fn onwards(
    feed: &EventFeed,
    filter: &EventFilter,
    after: i64,
    limit: usize,
    newest: i64,
) -> Result<EventPage, StoreError> {
    let until = newest.min(after.saturating_add(LOOKED_AT));
    let (mut events, mut position) = (Vec::new(), after);
    'pages: while position < until {
        let found = feed.after(position, until).await?;
        if found.is_empty() {
            break;
        }
        for event in found {
            position = event.seq;
            if filter.lets(&event) {
                events.push(event.wire.clone());
                if events.len() == limit {
                    break 'pages;
                }
            }
        }
    }
    Ok(EventPage {
        events,
        next_after: position,
        more: position < newest,
    })
}

/// The newest `limit` that pass, of the last ones that are looked at.
async fn last(
    feed: &EventFeed,
    filter: &EventFilter,
    limit: usize,
    Extent { cleared, newest }: Extent,
) -> Result<EventPage, StoreError> {
    let first = newest.saturating_sub(LOOKED_BACK).max(cleared);
    let at_once = match filter.is_open() {
        true => i64::try_from(limit).unwrap_or(i64::MAX),
        false => LOOKED_AT,
    };
    let begin = newest.saturating_sub(at_once).max(first);
    let (mut kept, next_after) = passing(feed, filter, begin, newest, limit).await?;
    let mut end = begin;
    while end > first && kept.len() < limit {
        let begin = end.saturating_sub(LOOKED_AT).max(first);
        let missing = limit - kept.len();
        let (mut before, _) = passing(feed, filter, begin, end, missing).await?;
        before.append(&mut kept);
        kept = before;
        end = begin;
    }
    Ok(EventPage {
        events: kept.iter().map(|event| event.wire.clone()).collect(),
        next_after,
        more: false,
    })
}

/// The last `limit` that pass of those after `from`, up to `to`, and how far that is.
async fn passing(
    feed: &EventFeed,
    filter: &EventFilter,
    from: i64,
    to: i64,
    limit: usize,
) -> Result<(Vec<Arc<ToldEvent>>, i64), StoreError> {
    let (mut kept, mut position) = (Vec::<Arc<ToldEvent>>::new(), from);
    while position < to {
        let found = feed.after(position, to).await?;
        let Some(end) = found.last() else {
            // They were cleared away since it was looked where they begin, or there are none.
            let cleared = feed.cleared().await?;
            if cleared <= position {
                break;
            }
            position = cleared;
            continue;
        };
        position = end.seq;
        kept.extend(found.into_iter().filter(|event| filter.lets(event)));
        kept.drain(..kept.len().saturating_sub(limit));
    }
    Ok((kept, position))
}

#[cfg(test)]
mod tests {
    use proximity_domain::event::EventKind;
    use proximity_domain::ids::InstallationId;
    use proximity_domain::ports::PortRange;
    use proximity_domain::time::Timestamp;
    use proximity_pve_emulator::core::Access;
    use proximity_store::effects::NewEvent;
    use proximity_store::{MemoryOptions, Store};
    use proximity_testkit::world::TestWorld;
    use tokio_util::sync::CancellationToken;

    use super::super::EventLimits;
    use super::*;
    use crate::metrics::Metrics;

    /// Housekeeping clears between the look at where the events begin and the look at the events.
    #[tokio::test]
    async fn what_is_cleared_away_meanwhile_hides_nothing_of_what_is_left() {
        let w = TestWorld::start(Access::Full).await.unwrap();
        let host = w.store.hosts().await.unwrap().pop().unwrap();
        for at in 0..8 {
            let changed = w.store.update_host(host.clone(), &w.actor, Timestamp(at));
            changed.await.unwrap();
        }
        let newest = w.store.newest_event().await.unwrap();
        let (limits, metrics) = (EventLimits::default(), Metrics::new("0"));
        let closing = CancellationToken::new();
        let feed = EventFeed::start(w.store.reader(), limits, metrics, closing);
        let (before, filter) = (Extent { cleared: 0, newest }, EventFilter::default());
        w.store.clear_events(newest - 3).await.unwrap();
        let left: Vec<i64> = (newest - 2..=newest).collect();
        for after in [None, Some(0)] {
            let found = page(&feed, &filter, after, 50, before).await.unwrap();
            let seqs: Vec<i64> = found.events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, left, "{after:?}");
            let end = (found.next_after, found.more);
            assert_eq!(end, (newest, false), "{after:?}");
        }
    }
    /// The first look at a large cluster tells of all that is there.
    #[tokio::test]
    async fn what_is_told_at_once_does_not_hide_what_happened_before() {
        let store = Store::in_memory(&MemoryOptions {
            installation: InstallationId(uuid::Uuid::nil()),
            public: PortRange::PUBLIC,
            internal: PortRange::INTERNAL,
            rest_ms: 0,
        });
        let tell = async |kind| {
            let body = serde_json::json!({});
            let event = NewEvent { kind, body };
            store.announce(&event, Timestamp(0)).await.unwrap();
        };
        tell(EventKind::PortsFreed).await;
        for _ in 0..2 * LOOKED_AT {
            tell(EventKind::ResourceDiscovered).await;
        }
        tell(EventKind::PortsFreed).await;
        let newest = store.newest_event().await.unwrap();
        let (limits, metrics) = (EventLimits::default(), Metrics::new("0"));
        let closing = CancellationToken::new();
        let feed = EventFeed::start(store.reader(), limits, metrics, closing);
        let extent = Extent { cleared: 0, newest };
        let filter = EventFilter {
            kinds: vec![EventKind::PortsFreed],
            ..EventFilter::default()
        };
        for (limit, expected) in [(50, vec![1, newest]), (1, vec![newest])] {
            let found = page(&feed, &filter, None, limit, extent).await.unwrap();
            let seqs: Vec<i64> = found.events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, expected);
            assert_eq!((found.next_after, found.more), (newest, false));
        }
    }
}
