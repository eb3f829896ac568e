//! Under which host names apps are led to, and what was fetched by them.

use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::site::{CertificateFiles, Site};
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::apps::{live_app, not_live};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event, shown};
use crate::records::{Actor, AppRecord, AppSite};
use crate::row::Columns;
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::Store;

/// The columns of an app's site.
pub(crate) fn site(row: &Row) -> Result<Option<AppSite>, StoreError> {
    let Some(name) = row.parsed_opt("site_name")? else {
        return Ok(None);
    };
    let cert_file = row.text_opt("site_cert_file")?;
    let files = cert_file.zip(row.text_opt("site_key_file")?);
    let certificate = files.map(|(cert_file, key_file)| CertificateFiles {
        cert_file,
        key_file,
    });
    Ok(Some(AppSite {
        site: Site { name, certificate },
        url: row.text_opt("site_url")?,
        trouble: row.text_opt("site_trouble")?,
    }))
}

/// Refuses while an operation works on the app: it has read where to lead.
pub(crate) fn refuse(app: &AppRecord) -> Result<(), StoreError> {
    match app.operation {
        Some(operation) => Err(StoreError::Busy {
            app: app.id,
            operation,
        }),
        None => Ok(()),
    }
}

/// Refuses a name that another live app has.
pub(crate) async fn refuse_taken(tx: &mut Tx, app: AppId, site: &Site) -> Result<(), StoreError> {
    let others: i64 = query_scalar(
        "SELECT COUNT(*) FROM apps WHERE site_name = $1 AND id <> $2 AND archived_at IS NULL",
    )
    .bind(site.name.as_str())
    .bind(app.to_string())
    .fetch_one(tx)
    .await?;
    match others {
        0 => Ok(()),
        _ => Err(taken(site)),
    }
}

/// Another live app has the name.
pub(crate) fn taken(site: &Site) -> StoreError {
    StoreError::Exists {
        what: "host name",
        id: site.name.to_string(),
    }
}

/// What is told of it.
pub(crate) fn told(app: &AppRecord, site: Option<&Site>) -> NewEvent {
    match site {
        Some(_) => NewEvent {
            kind: EventKind::AppExposed,
            body: json!({
                "hostname": app.hostname,
                "ports": app.ports,
                "container_port": app.guest_port,
            }),
        },
        None => NewEvent {
            kind: EventKind::AppHidden,
            body: json!({ "hostname": app.hostname, "ports": app.ports }),
        },
    }
}

/// By which name it is audited, and with what: the name it ends is said too.
pub(crate) fn audited(app: &AppRecord, site: Option<&Site>) -> (&'static str, Value) {
    let before = app.site.as_ref().map(|of| &of.site.name);
    let name = site.map(|site| &site.name);
    let details = json!({
        "hostname": app.hostname,
        "host_name": name.or(before),
        "certificate": site.and_then(|site| site.certificate.as_ref()),
    });
    let action = match site {
        Some(_) => "app.lead_by_name",
        None => "app.end_name",
    };
    (action, details)
}

/// What came of fetching by a host name, as columns: the URL, or why there is none.
pub(crate) fn as_kept(fetched: Result<String, String>) -> (Option<String>, Option<String>) {
    match fetched {
        Ok(url) => (Some(url), None),
        Err(why) => (None, Some(shown(&why))),
    }
}

impl Store {
    /// Leads an app under a host name, or under none any more, on record. The same again changes nothing, and is told.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the app is not live; [`StoreError::Busy`] while an operation works on it;
    /// [`StoreError::Exists`] if another live app has the name.
    pub async fn set_site(
        &self,
        app: AppId,
        site: Option<Site>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.set_site(app, site, actor, now));
        }
        self.write(async |tx| {
            let live = live_app(tx, app).await?.ok_or_else(|| not_live(app))?;
            refuse(&live)?;
            if let Some(site) = &site {
                refuse_taken(tx, app, site).await?;
            }
            let files = site.as_ref().and_then(|site| site.certificate.as_ref());
            query(
                "UPDATE apps SET site_name = $2, site_cert_file = $3, site_key_file = $4, \
                 site_url = NULL, site_trouble = NULL WHERE id = $1",
            )
            .bind(app.to_string())
            .bind(site.as_ref().map(|site| site.name.as_str()))
            .bind(files.map(|files| files.cert_file.as_str()))
            .bind(files.map(|files| files.key_file.as_str()))
            .execute(&mut *tx)
            .await?;
            let event = told(&live, site.as_ref());
            let (action, details) = audited(&live, site.as_ref());
            let target = app.to_string();
            add_event(tx, &event, Some(app), None, now).await?;
            add_audit(tx, actor, Act::request(action, &target, details), now).await?;
            live_app(tx, app).await?.ok_or_else(|| not_live(app))
        })
        .await
    }

    /// Writes down what came of fetching an app by the host name of `site`: the URL, or why it could not be fetched. Nothing happens if
    /// the app is led under another one by now, or an operation works on it. Gives whether it was written.
    ///
    /// # Errors
    /// The database's.
    pub async fn site_fetched(
        &self,
        app: AppId,
        site: &Site,
        fetched: Result<String, String>,
    ) -> Result<bool, StoreError> {
        let (url, trouble) = as_kept(fetched);
        if let Some(model) = self.model() {
            return model.write(|state| state.site_fetched(app, site, url, trouble));
        }
        self.write(async |tx| {
            let live = live_app(tx, app).await?;
            let is_so = live.is_some_and(|live| leads_to(&live, site));
            if !is_so {
                return Ok(false);
            }
            query("UPDATE apps SET site_url = $2, site_trouble = $3 WHERE id = $1")
                .bind(app.to_string())
                .bind(url.as_deref())
                .bind(trouble.as_deref())
                .execute(&mut *tx)
                .await?;
            Ok(true)
        })
        .await
    }
}

/// The app is at rest, and led under this name.
pub(crate) fn leads_to(app: &AppRecord, site: &Site) -> bool {
    app.operation.is_none() && app.site.as_ref().is_some_and(|of| of.site == *site)
}
