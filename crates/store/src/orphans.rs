//! The end of the record of a container that is gone: into the archive, with its history; its ports rest.

use proximity_domain::app::StatusLabel;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, GuestId, OperationId};
use proximity_domain::operation::{OperationEvent, OperationState};
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::apps::live_app;
use crate::archive::archive;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_app_line, add_audit, add_event};
use crate::observation::end_suspicion;
use crate::operations::{advance, existing};
use crate::records::{Actor, LogLevel, OperationRecord};
use crate::row::{Columns, each};
use crate::sql::{Tx, query};
use crate::store::Store;
use crate::views::ArchivedBy;

/// An app whose container is gone, proven absent or said to be lost with its node, as it was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct OrphanFound {
    /// The app.
    pub app: AppId,
    /// Its status when it was judged.
    pub status: StatusLabel,
    /// All its guests that were not gone, each of them judged, sorted.
    pub guests: Vec<GuestId>,
    /// Its stuck operation when it was judged: what that has done to the guests is part of what is told.
    pub operation: Option<OperationId>,
    /// What is told.
    pub event: NewEvent,
    /// How grave that is.
    pub level: LogLevel,
    /// The line for its log.
    pub line: String,
    /// Who judged.
    pub actor: Actor,
}

/// How the record of a container that is gone ends.
pub(crate) struct Ending {
    /// The action of its audit entry.
    pub(crate) action: &'static str,
    /// Who puts it into the archive.
    pub(crate) by: ArchivedBy,
    /// Why a stuck operation of it ends.
    pub(crate) given_up: Failure,
}

impl Ending {
    /// Its container is proven absent.
    pub(crate) fn proven() -> Self {
        let given_up = Failure::new(
            "orphaned",
            "the app's container does not exist any more",
            "Nothing is left to do; deploy the app again if it is needed.",
        );
        Self {
            action: "app.archive_orphan",
            by: ArchivedBy::Reconciler,
            given_up,
        }
    }

    /// A person said that it was lost with its node.
    pub(crate) fn said_lost() -> Self {
        let given_up = Failure::new(
            "orphaned",
            "somebody said that the app's container was lost with its node",
            "Nothing is left to do; deploy the app again if it is needed.",
        );
        Self {
            action: "app.lost_with_node",
            by: ArchivedBy::Person,
            given_up,
        }
    }
}

impl Store {
    /// Archives an orphan in one commit: its guests are gone, its ports rest, its name and secrets go, its history stays. A
    /// stuck operation of it is given up. False if it is not what it was when it was judged: archived, worked on, of another
    /// status, with other guests, or with another operation that is stuck; nothing is written then.
    ///
    /// # Errors
    /// The database's.
    pub async fn archive_orphan(
        &self,
        orphan: &OrphanFound,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let rest_ms = self.shared.rest_ms;
        if let Some(model) = self.model() {
            return model.write(|state| state.archive_orphan(orphan, now));
        }
        self.write(async |tx| {
            let Some(stuck) = still_judged(tx, orphan).await? else {
                return Ok(false);
            };
            end(tx, orphan, stuck, Ending::proven(), rest_ms, now).await?;
            Ok(true)
        })
        .await
    }
}

/// Ends the record of what [`still_judged`] found to be as it was judged.
pub(crate) async fn end(
    tx: &mut Tx,
    orphan: &OrphanFound,
    stuck: Option<OperationRecord>,
    ending: Ending,
    rest_ms: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(operation) = stuck {
        give_up(tx, &operation, &ending.given_up, &orphan.actor, now).await?;
    }
    for guest in &orphan.guests {
        end_suspicion(tx, *guest).await?;
        query("UPDATE guests SET gone_at = $2 WHERE id = $1")
            .bind(guest.to_string())
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
    }
    add_app_line(tx, orphan.level, &orphan.line, orphan.app, now).await?;
    add_event(tx, &orphan.event, Some(orphan.app), None, now).await?;
    let target = orphan.app.to_string();
    let act = Act::request(ending.action, &target, orphan.event.body.clone());
    add_audit(tx, &orphan.actor, act, now).await?;
    archive(tx, orphan.app, ending.by, Some(rest_ms), now).await
}

/// Whether it is as it was judged; with its stuck operation, if it has one.
pub(crate) async fn still_judged(
    tx: &mut Tx,
    orphan: &OrphanFound,
) -> Result<Option<Option<OperationRecord>>, StoreError> {
    let Some(app) = live_app(tx, orphan.app).await? else {
        return Ok(None);
    };
    if app.status.label() != orphan.status || app.operation != orphan.operation {
        return Ok(None);
    }
    let stuck = match app.operation {
        None => None,
        Some(id) => Some(existing(tx, id).await?),
    };
    let worked_on = |o: &OperationRecord| !matches!(o.state, OperationState::Stuck { .. });
    if stuck.as_ref().is_some_and(worked_on) {
        return Ok(None);
    }
    let rows = query("SELECT id FROM guests WHERE app_id = $1 AND gone_at IS NULL")
        .bind(orphan.app.to_string())
        .fetch_all(tx)
        .await?;
    let mut guests: Vec<GuestId> = each(&rows, |row| row.parsed("id"))?;
    guests.sort_unstable();
    Ok((guests == orphan.guests).then_some(stuck))
}

async fn give_up(
    tx: &mut Tx,
    operation: &OperationRecord,
    why: &Failure,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    advance(tx, operation, OperationEvent::Abandoned, now).await?;
    let body = json!({ "failure": why });
    let event = NewEvent {
        kind: EventKind::OperationAbandoned,
        body: body.clone(),
    };
    add_event(tx, &event, Some(operation.app), Some(operation.id), now).await?;
    let target = operation.id.to_string();
    let act = Act::request("operation.abandon", &target, body).of(operation.id);
    add_audit(tx, actor, act, now).await
}
