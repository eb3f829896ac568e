//! A new app: row, ports, deploy operation, event and audit entry in one commit.

use proximity_domain::app::{AppClass, Status};
use proximity_domain::event::EventKind;
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortPair;
use proximity_domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::addresses::refuse_given;
use crate::apps::{environment_place, live_app, live_or_archived, not_live};
use crate::effects::NewEvent;
use crate::entry_sources::keep;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::made_with::keep_password;
use crate::operations::{insert_operation, refuse_beyond_queue};
use crate::ports;
use crate::records::{Actor, AppRecord, NewApp, NewOperation, RequestKey};
use crate::request_keys::claim;
use crate::row::{damaged, to_json};
use crate::seal::Sealer;
use crate::sites::refuse_taken;
use crate::sql::{Tx, query, query_scalar};
use crate::store::Store;

impl Store {
    /// Records a new app, *deploying*, with its port pair and its queued operation.
    ///
    /// The same `key` of the same owner gives the app that was made first, live or as it was archived;
    /// then nothing is written, and the record's id differs from `app.id`.
    ///
    /// # Errors
    /// [`StoreError::HostnameTaken`], [`StoreError::PortsExhausted`]; [`StoreError::Exists`] if another app has its site
    /// or an address that its deploy gives by hand; [`StoreError::NotFound`] if the host is not there;
    /// [`StoreError::IllegalTransition`] if `operation` is no deploy of this app.
    pub async fn create_app(
        &self,
        app: NewApp,
        operation: NewOperation,
        actor: &Actor,
        key: Option<RequestKey>,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        if let Some(model) = self.model() {
            return model
                .write(|state| state.create_app(app, &operation, actor, key.as_ref(), now));
        }
        if operation.kind != OperationKind::Deploy || operation.app != app.id {
            let what = "an app is created with its own deploy operation".to_owned();
            return Err(StoreError::IllegalTransition { what });
        }
        let shared = &self.shared;
        self.write(async |tx| {
            let id = app.id.to_string();
            if let Some(first) = claim(tx, &app.owner, key.as_ref(), &id, now).await? {
                let first = first.parse().map_err(|_| damaged("resource", first))?;
                return live_or_archived(tx, first).await;
            }
            refuse(tx, &app).await?;
            refuse_given(tx, &app).await?;
            refuse_beyond_queue(tx).await?;
            insert(tx, &shared.sealer, &app, AppClass::Native, now).await?;
            let pair = ports::take(tx, shared, app.id, now).await?;
            let body = told(&app, pair);
            let event = NewEvent {
                kind: EventKind::AppCreated,
                body: body.clone(),
            };
            add_event(tx, &event, Some(app.id), Some(operation.id), now).await?;
            insert_operation(tx, &operation, actor, None, now).await?;
            let target = app.id.to_string();
            let act = Act::request("app.create", &target, body).of(operation.id);
            add_audit(tx, actor, act, now).await?;
            live_app(tx, app.id).await?.ok_or_else(|| not_live(app.id))
        })
        .await
    }
}

/// What is told of a new app.
pub(crate) fn told(app: &NewApp, ports: PortPair) -> Value {
    json!({
        "hostname": app.hostname,
        "owner": app.owner,
        "catalog_id": app.catalog_id,
        "catalog_version": app.catalog_version,
        "host": app.host,
        "node": app.node,
        "ports": ports,
    })
}

/// What a new app of this class is until its first operation ends.
pub(crate) fn on_its_way(class: AppClass) -> Status {
    match class {
        AppClass::Native => Status::Deploying,
        AppClass::Adopted => Status::Adopting,
    }
}

pub(crate) async fn refuse(tx: &mut Tx, app: &NewApp) -> Result<(), StoreError> {
    let hosts: i64 = query_scalar("SELECT COUNT(*) FROM hosts WHERE id = $1")
        .bind(app.host.to_string())
        .fetch_one(&mut *tx)
        .await?;
    if hosts == 0 {
        let id = app.host.to_string();
        return Err(StoreError::NotFound { what: "host", id });
    }
    let named: i64 =
        query_scalar("SELECT COUNT(*) FROM apps WHERE hostname = $1 AND archived_at IS NULL")
            .bind(app.hostname.as_str())
            .fetch_one(&mut *tx)
            .await?;
    if named > 0 {
        let hostname = app.hostname.to_string();
        return Err(StoreError::HostnameTaken { hostname });
    }
    match &app.site {
        Some(site) => refuse_taken(tx, app.id, site).await,
        None => Ok(()),
    }
}

/// A new app on its way to be one: deploying if native, adopting if adopted, which is not exposed.
pub(crate) async fn insert(
    tx: &mut Tx,
    sealer: &Sealer,
    app: &NewApp,
    class: AppClass,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = app.id.to_string();
    let sealed = sealer.seal(
        environment_place(&id),
        app.environment_sealed.expose_secret(),
    )?;
    let status = on_its_way(class);
    let files = app.site.as_ref().and_then(|site| site.certificate.as_ref());
    let added = query(
        "INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, \
         status_full, status_changed_at, resources, environment, environment_sealed, guest_port, \
         created_at, exposed, site_name, site_cert_file, site_key_file, entry_hash, made_with) \
         VALUES ($1, $15, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $10, $16, $17, $18, $19, $20, $21) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&id)
    .bind(&app.owner)
    .bind(app.hostname.as_str())
    .bind(app.catalog_id.as_str())
    .bind(&app.catalog_version)
    .bind(app.host.to_string())
    .bind(app.node.as_str())
    .bind(status.label().label())
    .bind(to_json("status", &status)?)
    .bind(now.0)
    .bind(to_json("resources", &app.resources)?)
    .bind(to_json("environment", &app.environment)?)
    .bind(sealed)
    .bind(i64::from(app.guest_port))
    .bind(class.label())
    .bind(i64::from(class == AppClass::Native))
    .bind(app.site.as_ref().map(|site| site.name.as_str()))
    .bind(files.map(|files| files.cert_file.as_str()))
    .bind(files.map(|files| files.key_file.as_str()))
    .bind(app.entry.as_ref().map(|entry| entry.hash.as_str()))
    .bind(to_json("made_with", &app.made_with)?)
    .execute(&mut *tx)
    .await?;
    if added.rows_affected() == 0 {
        return Err(StoreError::Exists { what: "app", id });
    }
    if let Some(entry) = &app.entry {
        keep(tx, entry, now).await?;
    }
    keep_password(tx, sealer, app, now).await
}
