//! What the reconciler keeps between its looks: suspicions, and how far the mass brake has counted.

use proximity_domain::app::StatusLabel;
use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, GuestId, HostId, OperationId, Vmid};
use proximity_domain::names::Hostname;
use proximity_domain::observe::{Suspicion, Watched};
use proximity_domain::time::Timestamp;
use serde_json::Value;

use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::identities::put_missed;
use crate::journal::{Act, add_audit, add_event};
use crate::pages::by_vmid;
use crate::records::Actor;
use crate::row::{Columns, damaged, each};
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::{Reader, Store};

/// A recorded guest, native or adopted, as far as a look at its cluster is judged by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedGuest {
    /// Row, app, place.
    pub watched: Watched,
    /// It was found, not made by us.
    pub adopted: bool,
    /// Its app's host name.
    pub hostname: Hostname,
    /// Its app's status.
    pub status: StatusLabel,
    /// Its app's live operation, and whether that waits for a person.
    pub operation: Option<(OperationId, bool)>,
}

impl WatchedGuest {
    /// The app has a live operation, in the doctrine's sense: somebody is at work on it, or will be without being asked, so that
    /// the guest is left to that. One that is stuck waits for a person, maybe for ever: what is lost behind it is told as what
    /// is lost elsewhere, and the operation is given up with its orphan.
    #[must_use]
    pub fn is_worked_on(&self) -> bool {
        self.operation.is_some_and(|(_, stuck)| !stuck)
    }
}

/// A suspicion as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptSuspicion {
    /// How often, and since when, the guest was missing.
    pub suspicion: Suspicion,
    /// It was told of with others, and not by itself yet.
    pub among_many: bool,
}

/// What a complete look changes about a suspicion.
#[derive(Debug, Clone, PartialEq)]
pub enum SuspicionChange {
    /// The first look without the guest.
    Begun {
        /// Row.
        guest: GuestId,
        /// Its app.
        app: AppId,
        /// What is kept.
        suspicion: Suspicion,
        /// What is told; nothing of one that was told of before.
        event: Option<NewEvent>,
        /// It is told of with others, or was before, and not by itself yet.
        among_many: bool,
    },
    /// It was told of with others, and is told of by itself now. Nothing is written if that is not so any more.
    ToldAlone {
        /// Row.
        guest: GuestId,
        /// Its app.
        app: AppId,
        /// What is told.
        event: NewEvent,
    },
    /// What is told of many that begin at once.
    Told {
        /// It.
        event: NewEvent,
    },
    /// One more look without it counted.
    Counted {
        /// Row.
        guest: GuestId,
        /// What is kept.
        suspicion: Suspicion,
    },
    /// It was seen, or can no longer be judged.
    Ended {
        /// Row.
        guest: GuestId,
        /// What is told, and of which app; nothing of one that was told of with others alone, or that was not seen. Of a guest that
        /// is gone by now nothing is told.
        event: Option<(AppId, NewEvent)>,
    },
}

/// The mass brake as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BrakeRecord {
    /// Since when it is on, and how many were missing when that was told last; `None` while it is off.
    pub stopped: Option<(Timestamp, u64)>,
    /// What was archived up to this moment does not count: a person confirmed it.
    pub baseline_at: Option<Timestamp>,
}

/// A change of the mass brake.
#[derive(Debug, Clone, PartialEq)]
pub enum BrakeChange {
    /// It stops: so many are missing.
    Stops {
        /// How many.
        missing: u64,
        /// What is told.
        event: NewEvent,
    },
    /// What made it stop is over. Nothing is told if it was off.
    Ends {
        /// What is told.
        event: NewEvent,
    },
    /// A person confirmed the number, and that was done.
    Released {
        /// What is told.
        event: NewEvent,
        /// What was confirmed and done, for the audit.
        details: Value,
        /// Who.
        actor: Actor,
    },
    /// A person confirmed the number, and some of that was done: the brake stays as it is.
    ReleasedInPart {
        /// What was confirmed and done, for the audit.
        details: Value,
        /// Who.
        actor: Actor,
    },
}

/// See [`by_vmid`].
const WATCHED: &str = "SELECT g.id, g.app_id, g.host_id, g.node, g.vmid, \
     CASE WHEN g.rootfs_volid IS NULL THEN 0 ELSE 1 END AS confirmed, \
     CASE WHEN g.class = 'adopted' THEN 1 ELSE 0 END AS adopted, a.hostname, a.status, \
     o.id AS operation_id, o.state FROM guests g JOIN apps a ON a.id = g.app_id \
     LEFT JOIN operations o ON o.app_id = a.id \
     AND o.state IN ('queued', 'running', 'unwinding', 'stuck') \
     WHERE g.host_id = $1 AND g.gone_at IS NULL AND a.archived_at IS NULL AND g.vmid > $2 \
     ORDER BY g.vmid LIMIT $3";

impl Store {
    /// Writes what a look changed about suspicions, in one commit; nothing for no change. A guest that is gone by now is left
    /// out.
    ///
    /// # Errors
    /// The database's.
    pub async fn change_suspicions(
        &self,
        changes: &[SuspicionChange],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.change_suspicions(changes, now);
                Ok(())
            });
        }
        self.write(async |tx| {
            for change in changes {
                change_suspicion(tx, change, now).await?;
            }
            Ok(())
        })
        .await
    }

    /// Writes an event about an app, and nothing else.
    ///
    /// # Errors
    /// The database's.
    pub async fn tell(
        &self,
        event: &NewEvent,
        app: AppId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.add_event(event, Some(app), None, now);
                Ok(())
            });
        }
        self.write(async |tx| add_event(tx, event, Some(app), None, now).await)
            .await
    }

    /// Changes the mass brake; a person's release is audited, also where it was done in part.
    ///
    /// # Errors
    /// The database's.
    pub async fn change_brake(
        &self,
        change: &BrakeChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.change_brake(change, now);
                Ok(())
            });
        }
        self.write(async |tx| {
            let before = read_brake(tx).await?;
            let after = before.after(change, now);
            put_brake(tx, after).await?;
            match change {
                BrakeChange::Stops { event, .. } => add_event(tx, event, None, None, now).await,
                BrakeChange::Ends { .. } if before.stopped.is_none() => Ok(()),
                BrakeChange::Ends { event } => add_event(tx, event, None, None, now).await,
                BrakeChange::Released {
                    event,
                    details,
                    actor,
                } => {
                    add_event(tx, event, None, None, now).await?;
                    add_audit(tx, actor, release_act(details), now).await
                }
                BrakeChange::ReleasedInPart { details, actor } => {
                    add_audit(tx, actor, release_act(details), now).await
                }
            }
        })
        .await
    }
}

pub(crate) fn release_act(details: &Value) -> Act<'static> {
    Act::request("reconcile.confirm_missing", "mass brake", details.clone())
}

impl BrakeRecord {
    /// As it is after `change`.
    pub(crate) fn after(self, change: &BrakeChange, now: Timestamp) -> Self {
        match change {
            BrakeChange::Stops { missing, .. } => Self {
                stopped: Some((self.stopped.map_or(now, |(since, _)| since), *missing)),
                ..self
            },
            BrakeChange::Ends { .. } => Self {
                stopped: None,
                ..self
            },
            BrakeChange::Released { .. } => Self {
                stopped: None,
                baseline_at: Some(now),
            },
            BrakeChange::ReleasedInPart { .. } => self,
        }
    }
}

async fn change_suspicion(
    tx: &mut Tx,
    change: &SuspicionChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    match change {
        SuspicionChange::Begun {
            guest,
            app,
            suspicion,
            event,
            among_many,
        } => {
            if put_suspicion(tx, *guest, suspicion, Some(*among_many)).await? {
                put_missed(tx, *guest, now).await?;
                if let Some(event) = event {
                    add_event(tx, event, Some(*app), None, now).await?;
                }
            }
            Ok(())
        }
        SuspicionChange::ToldAlone { guest, app, event } => {
            if leave_the_many(tx, *guest).await? {
                add_event(tx, event, Some(*app), None, now).await?;
            }
            Ok(())
        }
        SuspicionChange::Told { event } => add_event(tx, event, None, None, now).await,
        SuspicionChange::Counted { guest, suspicion } => {
            put_suspicion(tx, *guest, suspicion, None).await?;
            Ok(())
        }
        SuspicionChange::Ended { guest, event } => {
            end_suspicion(tx, *guest).await?;
            if let Some((app, event)) = event
                && is_present(tx, *guest).await?
            {
                add_event(tx, event, Some(*app), None, now).await?;
            }
            Ok(())
        }
    }
}

async fn is_present(tx: &mut Tx, guest: GuestId) -> Result<bool, StoreError> {
    let present: i64 =
        query_scalar("SELECT COUNT(*) FROM guests WHERE id = $1 AND gone_at IS NULL")
            .bind(guest.to_string())
            .fetch_one(tx)
            .await?;
    Ok(present > 0)
}

/// False if the guest is gone. How it was told of stays as it is where nothing is said of it.
async fn put_suspicion(
    tx: &mut Tx,
    guest: GuestId,
    suspicion: &Suspicion,
    among_many: Option<bool>,
) -> Result<bool, StoreError> {
    let put = query(
        "INSERT INTO suspicions (guest_id, since, looks, last_look_at, among_many) \
         SELECT id, CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), \
         COALESCE(CAST($5 AS BIGINT), 0) FROM guests WHERE id = $1 AND gone_at IS NULL \
         ON CONFLICT (guest_id) DO UPDATE SET since = excluded.since, looks = excluded.looks, \
         last_look_at = excluded.last_look_at, \
         among_many = COALESCE(CAST($5 AS BIGINT), suspicions.among_many)",
    )
    .bind(guest.to_string())
    .bind(suspicion.since.0)
    .bind(i64::from(suspicion.looks))
    .bind(suspicion.last.0)
    .bind(among_many.map(i64::from))
    .execute(tx)
    .await?;
    Ok(put.rows_affected() > 0)
}

/// False if it is not told of with others alone.
async fn leave_the_many(tx: &mut Tx, guest: GuestId) -> Result<bool, StoreError> {
    let left = query("UPDATE suspicions SET among_many = 0 WHERE guest_id = $1 AND among_many = 1")
        .bind(guest.to_string())
        .execute(tx)
        .await?;
    Ok(left.rows_affected() > 0)
}

pub(crate) async fn end_suspicion(tx: &mut Tx, guest: GuestId) -> Result<(), StoreError> {
    query("DELETE FROM suspicions WHERE guest_id = $1")
        .bind(guest.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

async fn read_brake(tx: &mut Tx) -> Result<BrakeRecord, StoreError> {
    let row = query("SELECT * FROM mass_brake").fetch_optional(tx).await?;
    row.as_ref().map_or(Ok(BrakeRecord::default()), brake)
}

async fn put_brake(tx: &mut Tx, record: BrakeRecord) -> Result<(), StoreError> {
    let missing = record.stopped.map(|(_, missing)| missing);
    let missing = missing.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    query(
        "INSERT INTO mass_brake (only_row, stopped_at, missing, baseline_at) VALUES (1, $1, $2, $3) \
         ON CONFLICT (only_row) DO UPDATE SET stopped_at = excluded.stopped_at, \
         missing = excluded.missing, baseline_at = excluded.baseline_at",
    )
    .bind(record.stopped.map(|(at, _)| at.0))
    .bind(missing)
    .bind(record.baseline_at.map(|at| at.0))
    .execute(tx)
    .await?;
    Ok(())
}

fn brake(row: &Row) -> Result<BrakeRecord, StoreError> {
    let stopped = row.moment_opt("stopped_at")?;
    Ok(BrakeRecord {
        stopped: stopped.zip(row.number_opt("missing")?),
        baseline_at: row.moment_opt("baseline_at")?,
    })
}

impl Reader {
    /// Guests of live apps that are not gone on a cluster, native and adopted, by VMID.
    ///
    /// # Errors
    /// The database's.
    pub async fn watched_guests(&self, host: HostId) -> Result<Vec<WatchedGuest>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.watched_guests(host)));
        }
        let guests = self.read(async |tx| by_vmid(tx, WATCHED, host, watched).await);
        guests.await
    }

    /// All suspicions, by guest.
    ///
    /// # Errors
    /// The database's.
    pub async fn suspicions(&self) -> Result<Vec<(GuestId, KeptSuspicion)>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_suspicions()));
        }
        let rows = query("SELECT * FROM suspicions ORDER BY guest_id")
            .fetch_all(self.named("suspicions"))
            .await?;
        each(&rows, |row| {
            let suspicion = Suspicion {
                since: row.moment("since")?,
                looks: row.number("looks")?,
                last: row.moment("last_look_at")?,
            };
            let kept = KeptSuspicion {
                suspicion,
                among_many: row.int("among_many")? != 0,
            };
            Ok((row.parsed("guest_id")?, kept))
        })
    }

    /// The mass brake.
    ///
    /// # Errors
    /// The database's.
    pub async fn mass_brake(&self) -> Result<BrakeRecord, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.mass_brake()));
        }
        self.read(async |tx| read_brake(tx).await).await
    }

    /// How many apps are live.
    ///
    /// # Errors
    /// The database's.
    pub async fn live_apps(&self) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.count_live()));
        }
        let count: i64 = query_scalar("SELECT COUNT(*) FROM apps WHERE archived_at IS NULL")
            .fetch_one(self.named("live_apps"))
            .await?;
        u64::try_from(count).map_err(|e| damaged("count", e.to_string()))
    }

    /// How many records were archived after this moment because their container is gone: by the reconciler, or as lost with
    /// their node by a person.
    ///
    /// # Errors
    /// The database's.
    pub async fn orphans_archived_after(&self, moment: Timestamp) -> Result<u64, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.count_orphans_after(moment)));
        }
        let count: i64 = query_scalar(
            "SELECT COUNT(*) FROM apps WHERE archived_at > $1 \
             AND archived_by IN ('reconciler', 'person')",
        )
        .bind(moment.0)
        .fetch_one(self.named("orphans_archived_after"))
        .await?;
        u64::try_from(count).map_err(|e| damaged("count", e.to_string()))
    }
}

pub(crate) fn watched(row: &Row) -> Result<WatchedGuest, StoreError> {
    let vmid = Vmid::try_from(row.number::<u32>("vmid")?);
    let operation = row.parsed_opt("operation_id")?;
    let stuck = row.text_opt("state")?.as_deref() == Some("stuck");
    Ok(WatchedGuest {
        watched: Watched {
            guest: row.parsed("id")?,
            app: row.parsed("app_id")?,
            place: ContainerRef {
                host: row.parsed("host_id")?,
                node: row.parsed("node")?,
                vmid: vmid.map_err(|e| damaged("vmid", e.to_string()))?,
            },
            confirmed: row.int("confirmed")? != 0,
        },
        adopted: row.int("adopted")? != 0,
        hostname: row.parsed("hostname")?,
        status: row.label("status", StatusLabel::parse)?,
        operation: operation.map(|id| (id, stuck)),
    })
}
