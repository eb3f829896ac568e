//! `/api/events`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use proximity_api::error::{ErrorBody, ErrorKind};
use proximity_api::events::{EventPage, EventQuery};
use proximity_domain::event::EventKind;
use proximity_domain::resource::ResourceId;
use proximity_domain::time::Timestamp;

use crate::auth::{Caller, Scope, Watch};
use crate::events::{self, EventFilter, Extent, NoStream};
use crate::extract::{Query, invalid, limit};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::{lookup, operations};

const MOST: u32 = 1000;
/// Seconds after which a client that found no place may ask again.
const COME_BACK: HeaderValue = HeaderValue::from_static("5");
/// Proxies pass a stream on as it comes.
pub(super) const UNBUFFERED: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
    (
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    ),
    (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    ),
];

/// List events, or follow them
///
/// With `Accept: text/event-stream` a stream of Server-Sent Events: everything after the place named, then what happens,
/// in order, each once. `Last-Event-ID` (or `after`) resumes without loss. Otherwise a page. What the clusters have, and what
/// passes of the reconciler found, is told to whoever has the scope `hosts`.
#[utoipa::path(get, path = "/api/events", tag = "events", operation_id = "list_events",
    params(EventQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "The id of the last event that was received.")),
    responses((status = 200, description = "The events.",
        content((EventPage = "application/json"), (String = "text/event-stream",
            extensions(("x-item-schema" = json!({"$ref": "#/components/schemas/Event"}))))))),
    extensions(("x-codes" = json!(["invalid_value", "app_not_found", "operation_not_found", "event_ahead",
        "event_cleared", "events_unavailable", "too_many_streams"]))))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<EventQuery>,
) -> Result<Response, Refusal> {
    caller.require(Scope::Read)?;
    let limit = limit(query.limit, 50, MOST)?;
    let filter = filter(&state, &caller, &query).await?;
    let feed = state.feed();
    let after = match (position(&headers, query.after)?, query.since) {
        (None, Some(since)) => Some(feed.before(Timestamp(since.as_millisecond())).await?),
        (after, _) => after,
    };
    if wants_stream(&headers) {
        let watch = Watch::new(&state, &caller);
        return match events::stream(feed, filter, after, watch).await {
            Ok(body) => Ok((UNBUFFERED, body).into_response()),
            Err(NoStream::Ahead(newest)) => Err(ahead(newest)),
            Err(NoStream::Cleared(to)) => Err(cleared(to)),
            Err(NoStream::Closed) => Err(closed()),
            Err(NoStream::Unreadable(error)) => Err(error.into()),
            Err(NoStream::Full) => Ok(full()),
        };
    }
    let gone = feed.cleared().await?;
    let newest = feed.newest().await?;
    if after.is_some_and(|after| after > newest) {
        return Err(ahead(newest));
    }
    if after.is_some_and(|after| after > 0 && after < gone) {
        return Err(cleared(gone));
    }
    let extent = Extent {
        cleared: gone,
        newest,
    };
    let page = events::page(&feed, &filter, after, limit as usize, extent).await?;
    Ok(Json(page).into_response())
}

async fn filter(
    state: &AppState,
    caller: &Caller,
    query: &EventQuery,
) -> Result<EventFilter, Refusal> {
    let reader = state.reader();
    let app = match &query.app {
        Some(name) => Some(lookup::app_or_archived(&reader, caller, name).await?.id),
        None => None,
    };
    let operation = match &query.operation {
        Some(id) => Some(operations::find(&reader, caller, id).await?.0.id),
        None => None,
    };
    if query.resource.is_some() {
        caller.require(Scope::Hosts)?;
    }
    Ok(EventFilter {
        app,
        operation,
        kinds: query.kind.as_deref().map_or(Ok(Vec::new()), kinds)?,
        resource: query.resource.as_deref().map(resource).transpose()?,
        since: query.since,
        hides_clusters: !caller.may(Scope::Hosts),
        account: caller.sees_only().map(str::to_owned),
    })
}

/// Its id: what was told of one is kept longer than the resource may be.
fn resource(id: &str) -> Result<ResourceId, Refusal> {
    id.parse().map_err(|_| {
        let message =
            format!("{id:?} is no id of a resource; proximity snapshots list --json has it");
        invalid("resource", message)
    })
}

fn kinds(text: &str) -> Result<Vec<EventKind>, Refusal> {
    let parse = |name: &str| {
        EventKind::parse(name.trim()).ok_or_else(|| {
            malformed(
                "bad_query",
                format!("there is no event of the kind {name:?}"),
                "docs/reference/events.md lists the kinds; separate several by commas",
            )
        })
    };
    text.split(',').map(parse).collect()
}

/// Where to begin. What a client had last goes before what its URL said at first.
fn position(headers: &HeaderMap, after: Option<i64>) -> Result<Option<i64>, Refusal> {
    let Some(value) = headers.get("last-event-id") else {
        return match after {
            Some(after) if after < 0 => Err(malformed(
                "bad_query",
                "`after` must be 0 or the number of an event".to_owned(),
                "0 begins with the first event",
            )),
            other => Ok(other),
        };
    };
    let text = value.to_str().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(seq) if digits => Ok(Some(seq)),
        Ok(_) | Err(_) => Err(malformed(
            "bad_header",
            "the header `Last-Event-ID` must be the id of an event, which is a number".to_owned(),
            "send the id of the last event that was received, or leave the header out",
        )),
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).into_iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn malformed(code: &str, message: String, hint: &str) -> Refusal {
    Refusal::new(ErrorKind::Malformed, ErrorBody::new(code, message, hint))
}

fn ahead(newest: i64) -> Refusal {
    Refusal::new(
        ErrorKind::Conflict,
        ErrorBody::new(
            "event_ahead",
            format!(
                "the log of events ends with {newest}; the number sent is of another log, or of a later state of it"
            ),
            "begin anew: without `Last-Event-ID` and `after`, or with `after=0` for everything",
        ),
    )
}

fn cleared(to: i64) -> Refusal {
    Refusal::new(
        ErrorKind::Conflict,
        ErrorBody::new(
            "event_cleared",
            format!(
                "the events up to {to} were cleared away, and what followed the number sent is among them"
            ),
            "begin anew: without `Last-Event-ID` and `after`, or with `after=0` for all that are kept; how long that is \
             the server's `retention` says",
        ),
    )
}

fn closed() -> Refusal {
    Refusal::new(
        ErrorKind::Unavailable,
        ErrorBody::new(
            "events_unavailable",
            "events cannot be followed now: the server is ending, or cannot read its database",
            "come back in a moment; nothing is lost",
        ),
    )
}

fn full() -> Response {
    let refusal = Refusal::new(
        ErrorKind::Unavailable,
        ErrorBody::new(
            "too_many_streams",
            "as many clients follow events as this server takes",
            "come back later, or read pages: the same URL without `Accept: text/event-stream`",
        ),
    );
    let mut answer = refusal.into_response();
    answer.headers_mut().insert(RETRY_AFTER, COME_BACK);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn the_last_id_goes_before_the_url() {
        let last = headers("last-event-id", "7");
        assert_eq!(position(&last, Some(3)).unwrap(), Some(7));
        assert_eq!(position(&HeaderMap::new(), Some(3)).unwrap(), Some(3));
        assert_eq!(position(&HeaderMap::new(), None).unwrap(), None);
    }

    #[test]
    fn what_is_no_number_of_an_event_is_refused() {
        for bad in ["", "x", "-1", "+1", "1.5", " 1", "99999999999999999999"] {
            let refusal = position(&headers("last-event-id", bad), None).unwrap_err();
            assert_eq!(refusal.body.code, "bad_header", "{bad:?}");
        }
        assert!(position(&HeaderMap::new(), Some(-1)).is_err());
    }

    #[test]
    fn only_who_accepts_a_stream_gets_one() {
        for yes in [
            "text/event-stream",
            "Text/Event-Stream; q=1",
            "a/b, text/event-stream",
        ] {
            assert!(wants_stream(&headers("accept", yes)), "{yes}");
        }
        for no in ["*/*", "application/json", "text/*"] {
            assert!(!wants_stream(&headers("accept", no)), "{no}");
        }
    }

    #[test]
    fn kinds_are_known_ones() {
        let two = kinds("AppStarted, HostAdded").unwrap();
        assert_eq!(two, [EventKind::AppStarted, EventKind::HostAdded]);
        assert!(kinds("AppExploded").is_err());
        assert!(kinds("").is_err());
    }
}
