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
        Some(0) => onwards(feed, filter, extent.cleared, limit, extent.newest).await,
        Some(after) => onwards(feed, filter, after, limit, extent.newest).await,
        None => last(feed, filter, limit, extent).await,
    }
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
        let Some(end) = found.last() else { break };
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
