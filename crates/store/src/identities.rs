//! Identities that changed: learned by a look, or accepted by a person; and when a guest was verified or missed last. What a
//! guest was born with stays in its row.

use proximity_domain::identity::Shown;
use proximity_domain::ids::{AppId, GuestId};
use proximity_domain::operation::OperationState;
use proximity_domain::time::Timestamp;

use crate::apps::{live_app, not_live};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::operations::existing;
use crate::records::{Actor, OperationRecord};
use crate::row::Columns;
use crate::sql::{Tx, query};
use crate::store::{Reader, Store};

/// When a guest was looked at, as far as that is kept: not each look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuestLooks {
    /// When it showed its whole identity; it may have done so later too.
    pub verified_at: Option<Timestamp>,
    /// When complete lists began to be without it, if it was not verified after them.
    pub missed_at: Option<Timestamp>,
}

/// A guest that a person re-identified, by what was read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its app.
    pub app: AppId,
    /// Row.
    pub guest: GuestId,
    /// What it is known by from now on, its mark included.
    pub shown: Shown,
    /// What is told.
    pub event: NewEvent,
    /// Who.
    pub actor: Actor,
}

impl Store {
    /// Keeps that these guests showed their whole identity, to reads that were asked for after every list that was without them: that they
    /// were missed is forgotten. Gives those of which it is kept; left out are those that are gone, and those that are suspected to be.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_verified(
        &self,
        guests: &[GuestId],
        now: Timestamp,
    ) -> Result<Vec<GuestId>, StoreError> {
        if guests.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.note_verified(guests, now)));
        }
        self.write(async |tx| {
            let mut noted = Vec::new();
            for guest in guests {
                if put_verified(tx, *guest, now).await? {
                    noted.push(*guest);
                }
            }
            Ok(noted)
        })
        .await
    }

    /// Learns what a guest shows instead of what is recorded, or that it shows what is recorded again (`None`), and tells of
    /// it. False, and nothing is written, if the guest is gone, or nothing else was learned that would be forgotten.
    ///
    /// # Errors
    /// The database's.
    pub async fn learn_identity(
        &self,
        guest: GuestId,
        app: AppId,
        shown: Option<&Shown>,
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.learn_identity(guest, app, shown, event, now)));
        }
        self.write(async |tx| {
            if !is_present(tx, guest, app).await? {
                return Ok(false);
            }
            let forgotten = forget_learned(tx, guest).await?;
            match shown {
                Some(shown) => put_identity(tx, guest, "learned", shown, now).await?,
                None if !forgotten => return Ok(false),
                None => {}
            }
            add_event(tx, event, Some(app), None, now).await?;
            Ok(true)
        })
        .await
    }

    /// What a person accepts is what the guest is known by from now on, also for what destroys; its conflict is over.
    /// Audited.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while an operation is at work on the app, one that is stuck aside; [`StoreError::NotFound`];
    /// [`StoreError::IllegalTransition`] without the mark.
    pub async fn accept_identity(
        &self,
        accepted: &Accepted,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.accept_identity(accepted, now));
        }
        self.write(async |tx| accept(tx, accepted, now).await).await
    }
}

async fn accept(tx: &mut Tx, accepted: &Accepted, now: Timestamp) -> Result<(), StoreError> {
    let (id, guest) = (accepted.app, accepted.guest);
    let app = live_app(tx, id).await?.ok_or_else(|| not_live(id))?;
    if let Some(operation) = app.operation {
        refuse_at_work(&existing(tx, operation).await?)?;
    }
    refuse_unmarked(&accepted.shown)?;
    if !is_present(tx, guest, id).await? {
        return Err(no_guest(guest));
    }
    query("DELETE FROM guest_identities WHERE guest_id = $1")
        .bind(guest.to_string())
        .execute(&mut *tx)
        .await?;
    put_identity(tx, guest, "accepted", &accepted.shown, now).await?;
    put_verified(tx, guest, now).await?;
    query("DELETE FROM identity_alarms WHERE guest_id = $1 AND kind = 'conflict'")
        .bind(guest.to_string())
        .execute(&mut *tx)
        .await?;
    add_event(tx, &accepted.event, Some(id), None, now).await?;
    let target = id.to_string();
    let act = Act::request("app.reidentify", &target, accepted.event.body.clone());
    add_audit(tx, &accepted.actor, act, now).await
}

/// An operation that waits for a person keeps nobody from saying what it waits for.
pub(crate) fn refuse_at_work(operation: &OperationRecord) -> Result<(), StoreError> {
    if matches!(operation.state, OperationState::Stuck { .. }) {
        return Ok(());
    }
    Err(StoreError::Busy {
        app: operation.app,
        operation: operation.id,
    })
}

pub(crate) fn refuse_unmarked(shown: &Shown) -> Result<(), StoreError> {
    if shown.marked {
        return Ok(());
    }
    let what = "a container without its mark is not re-identified".to_owned();
    Err(StoreError::IllegalTransition { what })
}

pub(crate) fn no_guest(guest: GuestId) -> StoreError {
    let id = guest.to_string();
    StoreError::NotFound { what: "guest", id }
}

async fn is_present(tx: &mut Tx, guest: GuestId, app: AppId) -> Result<bool, StoreError> {
    let row = query("SELECT id FROM guests WHERE id = $1 AND app_id = $2 AND gone_at IS NULL")
        .bind(guest.to_string())
        .bind(app.to_string())
        .fetch_optional(tx)
        .await?;
    Ok(row.is_some())
}

/// False if nothing was learned.
async fn forget_learned(tx: &mut Tx, guest: GuestId) -> Result<bool, StoreError> {
    let forgotten =
        query("DELETE FROM guest_identities WHERE guest_id = $1 AND standing = 'learned'")
            .bind(guest.to_string())
            .execute(tx)
            .await?;
    Ok(forgotten.rows_affected() > 0)
}

async fn put_identity(
    tx: &mut Tx,
    guest: GuestId,
    standing: &'static str,
    shown: &Shown,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO guest_identities (guest_id, standing, marked, net0_mac, rootfs_volid, at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(guest.to_string())
    .bind(standing)
    .bind(i64::from(shown.marked))
    .bind(shown.net0_mac.to_string())
    .bind(shown.rootfs_volid.as_str())
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// False if the guest is gone, or complete lists are without it.
async fn put_verified(tx: &mut Tx, guest: GuestId, now: Timestamp) -> Result<bool, StoreError> {
    let put = query(
        "INSERT INTO guest_looks (guest_id, verified_at) \
         SELECT id, CAST($2 AS BIGINT) FROM guests WHERE id = $1 AND gone_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM suspicions WHERE guest_id = $1) \
         ON CONFLICT (guest_id) DO UPDATE SET verified_at = excluded.verified_at, missed_at = NULL",
    )
    .bind(guest.to_string())
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(put.rows_affected() > 0)
}

/// Complete lists begin to be without it.
pub(crate) async fn put_missed(
    tx: &mut Tx,
    guest: GuestId,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO guest_looks (guest_id, missed_at) VALUES ($1, $2) \
         ON CONFLICT (guest_id) DO UPDATE SET missed_at = excluded.missed_at",
    )
    .bind(guest.to_string())
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

impl Reader {
    /// When a guest was verified, and missed after that, as far as that is kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn guest_looks(&self, guest: GuestId) -> Result<GuestLooks, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.guest_looks(guest)));
        }
        let row = query("SELECT * FROM guest_looks WHERE guest_id = $1")
            .bind(guest.to_string())
            .fetch_optional(self.named("guest_looks"))
            .await?;
        let Some(row) = row else {
            return Ok(GuestLooks::default());
        };
        Ok(GuestLooks {
            verified_at: row.moment_opt("verified_at")?,
            missed_at: row.moment_opt("missed_at")?,
        })
    }
}
