//! Requests that may come twice: what the first one under a key made is the answer to the second.

use std::str::FromStr;

use http::HeaderMap;
use proximity_store::StoreError;
use proximity_store::records::RequestKey;
use serde::Serialize;
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::extract::request_key;
use crate::refusal::Refusal;
use crate::router::AppState;

/// The header, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // read as a header, not by name
pub(crate) struct IdempotencyKey {
    /// A name for this request. Sent again within a day with the same body, it gives what the first one made, and
    /// nothing is done.
    #[param(
        rename = "idempotency-key",
        min_length = 1,
        max_length = 128,
        pattern = "^[!-~]+$"
    )]
    key: Option<String>,
}

/// What there is to be done about a request.
#[derive(Debug)]
pub(crate) enum Once<T> {
    /// It is new; its key goes into the commit that carries it out.
    New(Option<RequestKey>),
    /// It was carried out before, and made this.
    Before(T),
}

/// Looks whether this caller has made this request before. `what` names it and what it is about.
pub(crate) async fn once<T: FromStr>(
    state: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    what: &str,
    body: &impl Serialize,
) -> Result<Once<T>, Refusal> {
    let reader = state.reader();
    let Some(key) = request_key(&reader, headers, what, body)? else {
        return Ok(Once::New(None));
    };
    match made(state, caller, &key).await? {
        None => Ok(Once::New(Some(key))),
        Some(made) => Ok(Once::Before(made)),
    }
}

/// The answer to a request that is refused: the same one may have been carried out beside it, and the refusal may come of
/// that (the name is taken, the app is busy, the queue is full). What that one made is the answer then.
pub(crate) async fn unless_made<T: FromStr>(
    state: &AppState,
    caller: &Caller,
    key: Option<&RequestKey>,
    refusal: impl Into<Refusal>,
) -> Result<T, Refusal> {
    let made = match key {
        // Whatever it is refused for, it was committed before that, so that it is seen now.
        Some(key) => made(state, caller, key).await?,
        None => None,
    };
    made.ok_or_else(|| refusal.into())
}

/// What this caller's request under this key made.
async fn made<T: FromStr>(
    state: &AppState,
    caller: &Caller,
    key: &RequestKey,
) -> Result<Option<T>, Refusal> {
    let now = state.clock().now();
    let account = &caller.actor().account;
    let Some(made) = state.reader().request(account, key, now).await? else {
        return Ok(None);
    };
    // The fingerprint tells requests apart, so that what is kept is always of the kind asked for.
    let other_kind = |_| StoreError::Damaged {
        what: "resource",
        why: "it is of another kind than the request".to_owned(),
    };
    Ok(Some(made.parse().map_err(other_kind)?))
}
