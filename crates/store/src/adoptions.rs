//! Adopted apps: recorded with their guest in one commit, and the clinical record that outlives them.

use std::collections::BTreeMap;

use proximity_domain::adopted::AdoptedGuest;
use proximity_domain::adoption::AdoptionRecord;
use proximity_domain::app::AppClass;
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::operation::OperationKind;
use proximity_domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::apps::{live_app, live_or_archived, not_live};
use crate::create::{insert, refuse, told};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::guests::insert_adopted;
use crate::journal::{Act, add_audit, add_event};
use crate::operations::{insert_operation, refuse_beyond_queue};
use crate::ports;
use crate::records::{Actor, AppRecord, NewApp, NewOperation, RequestKey};
use crate::request_keys::claim;
use crate::row::{Columns, damaged, to_json};
use crate::seal::{Place, Sealer};
use crate::sql::{Row, Tx, query};
use crate::store::{Reader, Store};

/// What is wrong with an adoption as it was put together, if anything.
pub(crate) fn refuse_mismatch(
    app: &NewApp,
    guest: &AdoptedGuest,
    operation: &NewOperation,
) -> Result<(), StoreError> {
    let fits = operation.kind == OperationKind::Adopt
        && operation.app == app.id
        && guest.app == app.id
        && guest.created_by == operation.id
        && guest.place.host == app.host
        && guest.place.vmid == guest.identity.vmid;
    if fits {
        return Ok(());
    }
    let what = "an app is adopted with its own guest and its own adoption".to_owned();
    Err(StoreError::IllegalTransition { what })
}

impl Store {
    /// Records an app, *adopting*, with the guest it was found in, its reserved port pair and its queued operation.
    ///
    /// The same `key` of the same owner gives the app that was made first, as [`Store::create_app`] does.
    ///
    /// # Errors
    /// [`StoreError::Exists`] (`guest`) if a guest that is not gone holds the number on this cluster;
    /// [`StoreError::HostnameTaken`], [`StoreError::PortsExhausted`]; [`StoreError::NotFound`] if the host is not there;
    /// [`StoreError::IllegalTransition`] if app, guest and operation do not belong together.
    pub async fn adopt_app(
        &self,
        app: NewApp,
        guest: AdoptedGuest,
        operation: NewOperation,
        actor: &Actor,
        key: Option<RequestKey>,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        refuse_mismatch(&app, &guest, &operation)?;
        if let Some(model) = self.model() {
            return model
                .write(|state| state.adopt_app(app, guest, &operation, actor, key.as_ref(), now));
        }
        let shared = &self.shared;
        self.write(async |tx| {
            let id = app.id.to_string();
            if let Some(first) = claim(tx, &app.owner, key.as_ref(), &id, now).await? {
                let first = first.parse().map_err(|_| damaged("resource", first))?;
                return live_or_archived(tx, first).await;
            }
            refuse(tx, &app).await?;
            refuse_beyond_queue(tx).await?;
            insert(tx, &shared.sealer, &app, AppClass::Adopted, now).await?;
            let pair = ports::take(tx, shared, app.id, now).await?;
            let body = told(&app, pair);
            let event = NewEvent {
                kind: EventKind::AppCreated,
                body: body.clone(),
            };
            add_event(tx, &event, Some(app.id), Some(operation.id), now).await?;
            insert_operation(tx, &operation, actor, None, now).await?;
            insert_adopted(tx, &guest, now).await?;
            let act = Act::request("app.adopt", &id, body).of(operation.id);
            add_audit(tx, actor, act, now).await?;
            live_app(tx, app.id).await?.ok_or_else(|| not_live(app.id))
        })
        .await
    }
}

impl Reader {
    /// What was read of an adopted app's container on the day of its adoption; of a live or of an archived app.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if it does not read back.
    pub async fn adoption(&self, app: AppId) -> Result<Option<AdoptionRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.adoption(app)));
        }
        let row = query("SELECT record, configuration_sealed FROM adoptions WHERE app_id = $1")
            .bind(app.to_string())
            .fetch_optional(self.named("adoption"))
            .await?;
        row.map(|row| opened(&self.shared.sealer, app, &row))
            .transpose()
    }
}

/// The record of `app` with its configuration.
fn opened(sealer: &Sealer, app: AppId, row: &Row) -> Result<AdoptionRecord, StoreError> {
    let app = app.to_string();
    let sealed = row.text("configuration_sealed")?;
    let text = sealer.unseal(configuration_place(&app), &sealed)?;
    let configuration = serde_json::from_str(text.expose_secret());
    Ok(AdoptionRecord {
        // What is in there must not get into an error.
        proxmox_config_snapshot: configuration.map_err(|_| damaged("configuration_sealed", app))?,
        ..row.json("record")?
    })
}

fn configuration_place(app: &str) -> Place<'_> {
    Place {
        table: "adoptions",
        id: app,
        column: "configuration_sealed",
    }
}

/// Writes the record of an adopted app, once; its configuration sealed. The app is what the record says that it is, and listens
/// where that says.
pub(crate) async fn record(
    tx: &mut Tx,
    sealer: &Sealer,
    app: AppId,
    record: &AdoptionRecord,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = app.to_string();
    let configuration = to_json("configuration", &record.proxmox_config_snapshot)?;
    let open = AdoptionRecord {
        proxmox_config_snapshot: BTreeMap::new(),
        ..record.clone()
    };
    let added = query(
        "INSERT INTO adoptions (app_id, record, adopted_at, configuration_sealed) \
         SELECT id, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT) FROM apps \
         WHERE id = $1 AND class = 'adopted' ON CONFLICT (app_id) DO NOTHING",
    )
    .bind(&id)
    .bind(to_json("adoption record", &open)?)
    .bind(now.0)
    .bind(sealer.seal(configuration_place(&id), &configuration)?)
    .execute(&mut *tx)
    .await?;
    if added.rows_affected() == 0 {
        return Err(no_second_record(app));
    }
    query("UPDATE apps SET catalog_id = $2, guest_port = $3 WHERE id = $1")
        .bind(&id)
        .bind(record.suggested_type.as_str())
        .bind(i64::from(record.container_port))
        .execute(tx)
        .await?;
    Ok(())
}

/// What is told of an adoption that came to nothing before a worker could say so.
pub(crate) fn came_to_nothing(app: &AppRecord, operation: OperationId) -> NewEvent {
    NewEvent {
        kind: EventKind::AppAdoptFailed,
        body: json!({ "app": app.id, "hostname": app.hostname, "operation": operation }),
    }
}

/// What is told of a restore of keys that came to nothing before a worker could say so. The app stays what it is: nothing of it
/// depends on the keys.
pub(crate) fn restore_came_to_nothing(app: &AppRecord, operation: OperationId) -> NewEvent {
    NewEvent {
        kind: EventKind::AppKeysRestoreFailed,
        body: json!({ "app": app.id, "hostname": app.hostname, "operation": operation }),
    }
}

pub(crate) fn no_second_record(app: AppId) -> StoreError {
    let what = format!("app {app} was not adopted, or its adoption is on record already");
    StoreError::IllegalTransition { what }
}
