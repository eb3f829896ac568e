//! Finding what a path names, and whether the caller may see it.

use proximity_domain::access::{Subject, Verdict};
use proximity_domain::ids::{AppId, HostId};
use proximity_store::Reader;
use proximity_store::records::{AppRecord, HostRecord};

use crate::auth::{Caller, Scope};
use crate::refusal::Refusal;
use proximity_engine::error::EngineError;

/// The live app with this id or host name, if the caller may see it.
pub(crate) async fn app(
    reader: &Reader,
    caller: &Caller,
    name: &str,
) -> Result<AppRecord, Refusal> {
    let found = match name.parse::<AppId>() {
        Ok(id) => reader.app(id).await?,
        Err(_) => reader.app_by_hostname(name).await?,
    };
    seen(found, caller, name)
}

/// As [`app`], but a removed app is found by its id too: its log stays readable.
pub(crate) async fn app_or_archived(
    reader: &Reader,
    caller: &Caller,
    name: &str,
) -> Result<AppRecord, Refusal> {
    let Ok(id) = name.parse::<AppId>() else {
        return app(reader, caller, name).await;
    };
    // Live first: an app goes into the archive between two reads, and never comes back out of it.
    let found = match reader.app(id).await? {
        Some(live) => Some(live),
        None => reader.archived_app(id).await?.map(|app| app.record),
    };
    seen(found, caller, name)
}

/// As [`app`], for a request that changes it: it has to be the caller's to change.
pub(crate) async fn own_app(
    reader: &Reader,
    caller: &Caller,
    scope: Scope,
    name: &str,
) -> Result<AppRecord, Refusal> {
    let found = app(reader, caller, name).await?;
    is_own(caller, scope, &found)?;
    Ok(found)
}

/// Refuses a change of an app that is not the caller's to change, or not in this way.
pub(crate) fn is_own(caller: &Caller, scope: Scope, app: &AppRecord) -> Result<(), Refusal> {
    match caller.decide(scope, Subject::Of(&app.owner)) {
        Verdict::Allowed => Ok(()),
        Verdict::Unseen => Err(Refusal::no_app(app.hostname.as_str())),
        Verdict::NotOwn => Err(caller.not_own(&app.owner)),
        Verdict::Lacking => Err(caller.lacks(scope)),
    }
}

fn seen(found: Option<AppRecord>, caller: &Caller, name: &str) -> Result<AppRecord, Refusal> {
    found
        .filter(|app| {
            caller
                .sees_only()
                .is_none_or(|account| account == app.owner)
        })
        .ok_or_else(|| Refusal::no_app(name))
}

/// The host entry with this id or label.
pub(crate) async fn host(reader: &Reader, name: &str) -> Result<HostRecord, Refusal> {
    let found = match name.parse::<HostId>() {
        Ok(id) => reader.host(id).await?,
        Err(_) => reader.host_by_label(name).await?,
    };
    found.ok_or_else(|| {
        EngineError::NotFound {
            what: "host",
            name: name.to_owned(),
        }
        .into()
    })
}
