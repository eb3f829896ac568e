//! Apps: reading live and archived ones.

use proximity_domain::app::{AppClass, Status};
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::names::Hostname;
use proximity_domain::ports::PortPair;
use proximity_domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::effects::{AppChange, NewEvent};
use crate::error::StoreError;
use crate::journal::add_event;
use crate::records::AppRecord;
use crate::row::{Columns, damaged, each, to_json};
use crate::seal::{Place, Sealer};
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::Reader;
use crate::views::{AppFilter, ArchiveFilter, ArchivedApp};

/// An app with its ports and its live operation.
macro_rules! select_apps {
    ($tail:literal) => {
        concat!(
            "SELECT a.*, p.port AS public_port, i.port AS internal_port, o.id AS operation_id FROM apps a \
             LEFT JOIN ports p ON p.app_id = a.id AND p.side = 'public' \
             LEFT JOIN ports i ON i.app_id = a.id AND i.side = 'internal' \
             LEFT JOIN operations o ON o.app_id = a.id \
             AND o.state IN ('queued', 'running', 'unwinding', 'stuck') ",
            $tail
        )
    };
}

/// Live apps that pass a filter; `$1` status, `$2` owner, `$3` pattern.
macro_rules! where_filter {
    () => {
        "WHERE a.archived_at IS NULL AND ($1 IS NULL OR a.status = $1) AND ($2 IS NULL OR a.owner = $2) \
         AND ($3 IS NULL OR LOWER(a.hostname) LIKE $3 ESCAPE '!' OR LOWER(a.catalog_id) LIKE $3 ESCAPE '!')"
    };
}

/// Apps that are kept apart from one and are looked at, at most.
pub(crate) const MOST_APART_FROM_ONE: i64 = 1_000;

const COUNT: &str = concat!("SELECT COUNT(*) FROM apps a ", where_filter!());
const PAGE: &str = concat!(
    select_apps!("LEFT JOIN apps b ON b.id = $6 "),
    where_filter!(),
    " AND ($6 IS NULL OR a.created_at < b.created_at OR (a.created_at = b.created_at AND a.id < b.id)) \
      ORDER BY a.created_at DESC, a.id DESC LIMIT $4 OFFSET $5"
);

impl Reader {
    /// Live apps in the order of their ids, from behind one on: all of them, one part after the other, each once whatever comes and goes
    /// meanwhile. At most [`AppFilter::MAX_PER_PAGE`]; none when there are no more.
    ///
    /// # Errors
    /// The database's.
    pub async fn apps_by_id(&self, after: Option<AppId>) -> Result<Vec<AppRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.apps_by_id(after)));
        }
        let rows = query(select_apps!(
            "WHERE a.archived_at IS NULL AND a.id > $1 ORDER BY a.id LIMIT $2"
        ))
        .bind(after.map(|id| id.to_string()).unwrap_or_default())
        .bind(i64::from(AppFilter::MAX_PER_PAGE))
        .fetch_all(self.named("apps_by_id"))
        .await?;
        each(&rows, app)
    }

    /// A live app.
    ///
    /// # Errors
    /// The database's.
    pub async fn app(&self, id: AppId) -> Result<Option<AppRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.live_app(id)));
        }
        self.read(async |tx| live_app(tx, id).await).await
    }

    /// The live app with this host name.
    ///
    /// # Errors
    /// The database's.
    pub async fn app_by_hostname(&self, hostname: &str) -> Result<Option<AppRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.app_by_hostname(hostname)));
        }
        if is_no_name(hostname) {
            return Ok(None);
        }
        let row = query(select_apps!(
            "WHERE a.hostname = $1 AND a.archived_at IS NULL"
        ))
        .bind(hostname)
        .fetch_optional(self.named("app_by_hostname"))
        .await?;
        row.as_ref().map(app).transpose()
    }

    /// Live apps that are kept apart from the one of this name, by their ids, as many as are looked at.
    ///
    /// # Errors
    /// The database's.
    pub async fn apps_apart_from(&self, hostname: &Hostname) -> Result<Vec<AppRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.apps_apart_from(hostname)));
        }
        // A host name has no character that means something to LIKE; that it is one of the list is looked at below.
        let rows = query(select_apps!(
            "WHERE a.archived_at IS NULL AND a.made_with LIKE $1 ORDER BY a.id LIMIT $2"
        ))
        .bind(format!("%\"apart_from\":[%\"{hostname}\"%"))
        .bind(MOST_APART_FROM_ONE)
        .fetch_all(self.named("apps_apart_from"))
        .await?;
        let mut apps = each(&rows, app)?;
        apps.retain(|app| app.made_with.apart_from.contains(hostname));
        Ok(apps)
    }

    /// One page of live apps, newest first, and how many pass the filter in all.
    ///
    /// # Errors
    /// The database's.
    pub async fn apps(&self, filter: AppFilter) -> Result<(Vec<AppRecord>, u64), StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.list_apps(&filter)));
        }
        let status = filter.status.map(|s| s.label());
        let pattern = filter.search.as_deref().map(contains);
        let per_page = match filter.per_page {
            0 => AppFilter::DEFAULT_PER_PAGE,
            n => n.min(AppFilter::MAX_PER_PAGE),
        };
        let offset = i64::from(filter.page.saturating_sub(1)) * i64::from(per_page);
        self.read(async |tx| {
            let total: i64 = query_scalar(COUNT)
                .bind(status)
                .bind(&filter.owner)
                .bind(&pattern)
                .fetch_one(&mut *tx)
                .await?;
            let rows = query(PAGE)
                .bind(status)
                .bind(&filter.owner)
                .bind(&pattern)
                .bind(i64::from(per_page))
                .bind(offset)
                .bind(filter.after.map(|a| a.to_string()))
                .fetch_all(tx)
                .await?;
            let total = u64::try_from(total).map_err(|e| damaged("count", e.to_string()))?;
            Ok((each(&rows, app)?, total))
        })
        .await
    }

    /// Settings of a live app with their secrets, as the JSON object text given at creation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an app that is not there or archived (its secrets are gone);
    /// [`StoreError::Damaged`] if they do not open.
    pub async fn app_environment(&self, id: AppId) -> Result<SecretString, StoreError> {
        if let Some(model) = self.model() {
            return model.read(|state| state.environment_of(id));
        }
        let id = id.to_string();
        let sealed: Option<String> = query_scalar(
            "SELECT environment_sealed FROM apps WHERE id = $1 AND archived_at IS NULL",
        )
        .bind(&id)
        .fetch_optional(self.named("app_environment"))
        .await?;
        match sealed {
            Some(sealed) => self.shared.sealer.unseal(environment_place(&id), &sealed),
            None => Err(StoreError::NotFound { what: "app", id }),
        }
    }

    /// A removed app.
    ///
    /// # Errors
    /// The database's.
    pub async fn archived_app(&self, id: AppId) -> Result<Option<ArchivedApp>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.archived_app(id)));
        }
        let row = query("SELECT * FROM apps WHERE id = $1 AND archived_at IS NOT NULL")
            .bind(id.to_string())
            .fetch_optional(self.named("archived_app"))
            .await?;
        row.as_ref().map(archived).transpose()
    }

    /// Archived apps, those archived last first.
    ///
    /// # Errors
    /// The database's.
    pub async fn archived_apps(
        &self,
        filter: ArchiveFilter,
    ) -> Result<Vec<ArchivedApp>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.list_archived(&filter)));
        }
        if filter.hostname.as_deref().is_some_and(is_no_name) {
            return Ok(Vec::new());
        }
        let rows = query(
            "SELECT a.* FROM apps a LEFT JOIN apps b ON b.id = $2 AND b.archived_at IS NOT NULL \
             WHERE a.archived_at IS NOT NULL AND ($1 IS NULL OR a.owner = $1) AND ($2 IS NULL \
             OR a.archived_at < b.archived_at OR (a.archived_at = b.archived_at AND a.id < b.id)) \
             AND ($4 IS NULL OR a.hostname = $4) ORDER BY a.archived_at DESC, a.id DESC LIMIT $3",
        )
        .bind(&filter.owner)
        .bind(filter.before.map(|id| id.to_string()))
        .bind(i64::from(filter.rows()))
        .bind(&filter.hostname)
        .fetch_all(self.named("archived_apps"))
        .await?;
        each(&rows, archived)
    }
}

/// Nothing has such a name, and not every database can be asked for it: a NUL ends a text.
pub(crate) fn is_no_name(text: &str) -> bool {
    text.contains('\0')
}

/// A LIKE pattern for "contains this text", with `!` as escape.
pub(crate) fn contains(text: &str) -> String {
    let text = text.to_lowercase();
    let text = text
        .replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_");
    format!("%{text}%")
}

pub(crate) fn environment_place(app: &str) -> Place<'_> {
    Place {
        table: "apps",
        id: app,
        column: "environment_sealed",
    }
}

/// A live app, seen from inside a transaction.
pub(crate) async fn live_app(tx: &mut Tx, id: AppId) -> Result<Option<AppRecord>, StoreError> {
    let row = query(select_apps!("WHERE a.id = $1 AND a.archived_at IS NULL"))
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(app).transpose()
}

/// An app, live or as it was archived.
pub(crate) async fn live_or_archived(tx: &mut Tx, id: AppId) -> Result<AppRecord, StoreError> {
    let row = query(select_apps!("WHERE a.id = $1"))
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    let row = row.ok_or_else(|| not_live(id))?;
    match row.moment_opt("archived_at")? {
        Some(_) => Ok(archived(&row)?.record),
        None => app(&row),
    }
}

/// Writes a new status; the moment changes only if the status does.
pub(crate) async fn set_status(
    tx: &mut Tx,
    id: AppId,
    status: &Status,
    operation: Option<OperationId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = live_app(tx, id).await?.ok_or_else(|| not_live(id))?;
    if before.status != *status {
        let event = status_changed(&before.status, status);
        add_event(tx, &event, Some(id), operation.or(before.operation), now).await?;
    }
    let changed = query(
        "UPDATE apps SET status = $2, status_full = $3, \
         status_changed_at = CASE WHEN status_full = $3 THEN status_changed_at ELSE $4 END \
         WHERE id = $1 AND archived_at IS NULL",
    )
    .bind(id.to_string())
    .bind(status.label().label())
    .bind(to_json("status", status)?)
    .bind(now.0)
    .execute(tx)
    .await?;
    match changed.rows_affected() {
        0 => Err(not_live(id)),
        _ => Ok(()),
    }
}

/// Writes what a live app was changed to in place.
pub(crate) async fn change_app(
    tx: &mut Tx,
    sealer: &Sealer,
    id: AppId,
    change: &AppChange,
) -> Result<(), StoreError> {
    let name = id.to_string();
    let changed = query("UPDATE apps SET resources = $2 WHERE id = $1 AND archived_at IS NULL")
        .bind(&name)
        .bind(to_json("resources", &change.resources)?)
        .execute(&mut *tx)
        .await?;
    if changed.rows_affected() == 0 {
        return Err(not_live(id));
    }
    if let Some(entry) = &change.entry {
        query(
            "UPDATE apps SET entry_hash = $2, catalog_version = $3 \
             WHERE id = $1 AND archived_at IS NULL",
        )
        .bind(&name)
        .bind(&entry.hash)
        .bind(&entry.version)
        .execute(&mut *tx)
        .await?;
    }
    if let Some(settings) = &change.settings {
        let sealed = sealer.seal(environment_place(&name), settings.sealed.expose_secret())?;
        query(
            "UPDATE apps SET environment = $2, environment_sealed = $3 \
             WHERE id = $1 AND archived_at IS NULL",
        )
        .bind(&name)
        .bind(to_json("environment", &settings.open)?)
        .bind(sealed)
        .execute(tx)
        .await?;
    }
    Ok(())
}

pub(crate) fn status_changed(from: &Status, to: &Status) -> NewEvent {
    let problem = match to {
        Status::Error { why, .. } => Some(why),
        Status::Deploying
        | Status::Adopting
        | Status::Cloning
        | Status::Running
        | Status::Stopped
        | Status::Updating
        | Status::Removing => None,
    };
    NewEvent {
        kind: EventKind::AppStatusChanged,
        body: json!({
            "from": from.label().label(),
            "to": to.label().label(),
            "problem": problem,
        }),
    }
}

pub(crate) fn not_live(id: AppId) -> StoreError {
    let id = id.to_string();
    StoreError::NotFound { what: "app", id }
}

pub(crate) fn app(row: &Row) -> Result<AppRecord, StoreError> {
    let status: Status = row.json("status_full")?;
    if status.label().label() != row.text("status")? {
        return Err(damaged("status", "label and story differ"));
    }
    let public = row.number_opt::<u16>("public_port")?;
    let internal = row.number_opt::<u16>("internal_port")?;
    let ports = public.zip(internal);
    Ok(AppRecord {
        id: row.parsed("id")?,
        class: row.label("class", AppClass::parse)?,
        owner: row.text("owner")?,
        hostname: row.parsed("hostname")?,
        catalog_id: row.parsed("catalog_id")?,
        catalog_version: row.text("catalog_version")?,
        entry_hash: row.text_opt("entry_hash")?,
        host: row.parsed("host_id")?,
        node: row.parsed("node")?,
        status,
        resources: row.json("resources")?,
        environment: row.json("environment")?,
        ports: ports.map(|(public, internal)| PortPair { public, internal }),
        guest_port: row.number("guest_port")?,
        exposed: row.int("exposed")? == 1,
        url: row.text_opt("url")?,
        site: crate::sites::site(row)?,
        made_with: row.json("made_with")?,
        operation: row.parsed_opt("operation_id")?,
        created_at: row.moment("created_at")?,
        status_changed_at: row.moment("status_changed_at")?,
    })
}

fn archived(row: &Row) -> Result<ArchivedApp, StoreError> {
    let mut record: AppRecord = row.json("archived_record")?;
    let ports = record.ports.take();
    Ok(ArchivedApp {
        record,
        ports,
        by: row.parsed("archived_by")?,
        archived_at: row.moment("archived_at")?,
    })
}
