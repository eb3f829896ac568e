//! Events as a page, for those who do not follow.

use proximity_api::events::EventPage;
use proximity_store::StoreError;

use super::feed::EventFeed;
use super::filter::EventFilter;
use super::told::ToldEvent;
use std::sync::Arc;

/// Events one request looks through at most; a filter may let none of them pass.
const LOOKED_AT: i64 = 10_000;

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
    let begin = newest.saturating_sub(LOOKED_AT).max(cleared);
    let (mut kept, mut position) = (Vec::<Arc<ToldEvent>>::new(), begin);
    if filter.is_open() {
        position = position.max(newest.saturating_sub(i64::try_from(limit).unwrap_or(i64::MAX)));
    }
    while position < newest {
        let found = feed.after(position, newest).await?;
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
    Ok(EventPage {
        events: kept.iter().map(|event| event.wire.clone()).collect(),
        next_after: position,
        more: false,
    })
}

#[cfg(test)]
mod tests {
    use proximity_domain::time::Timestamp;
    use proximity_pve_emulator::core::Access;
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
}
