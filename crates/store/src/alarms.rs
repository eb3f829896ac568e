//! What was told of containers whose identity is not clear, or that are where they must not be. Kept, so that each is told once
//! and its end too, also over a restart.

use proximity_domain::ids::{AppId, GuestId, HostId, Vmid};
use proximity_domain::time::Timestamp;

use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::add_event;
use crate::row::{Columns, damaged, each};
use crate::sql::{Row, query};
use crate::store::{Reader, Store};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// What has the number of a recorded guest is not that guest.
    Conflict,
    /// An adopted container is in the pool of those that were made by us.
    Pool,
    /// Another container bears the mark of a recorded guest.
    Twin,
}

impl AlarmKind {
    /// Stable label, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Pool => "pool",
            Self::Twin => "twin",
        }
    }

    fn parse(label: &str) -> Option<Self> {
        [Self::Conflict, Self::Pool, Self::Twin]
            .into_iter()
            .find(|kind| kind.label() == label)
    }
}

/// What tells two alarms from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlarmKey {
    /// The recorded guest.
    pub guest: GuestId,
    /// What is wrong.
    pub kind: AlarmKind,
    /// The cluster of the container that is meant.
    pub host: HostId,
    /// Its number: the guest's own, or its twin's.
    pub vmid: Vmid,
}

/// One alarm that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Which.
    pub key: AlarmKey,
    /// Why, for people.
    pub why: String,
    /// When it was raised.
    pub since: Timestamp,
}

impl Store {
    /// Raises an alarm about a guest of `app` and tells of it. False, and nothing is written, if it was raised before or the
    /// guest is gone.
    ///
    /// # Errors
    /// The database's.
    pub async fn raise_alarm(
        &self,
        alarm: &Alarm,
        app: AppId,
        event: &NewEvent,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.raise_alarm(alarm, app, event)));
        }
        self.write(async |tx| {
            let raised = query(
                "INSERT INTO identity_alarms (guest_id, kind, host_id, vmid, why, since) \
                 SELECT id, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS TEXT), \
                 CAST($6 AS BIGINT) FROM guests WHERE id = $1 AND gone_at IS NULL \
                 ON CONFLICT DO NOTHING",
            )
            .bind(alarm.key.guest.to_string())
            .bind(alarm.key.kind.label())
            .bind(alarm.key.host.to_string())
            .bind(i64::from(alarm.key.vmid.get()))
            .bind(alarm.why.as_str())
            .bind(alarm.since.0)
            .execute(&mut *tx)
            .await?;
            if raised.rows_affected() == 0 {
                return Ok(false);
            }
            add_event(tx, event, Some(app), None, alarm.since).await?;
            Ok(true)
        })
        .await
    }

    /// Ends an alarm, and tells of it if there is something to tell. False, and nothing is written, if there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_alarm(
        &self,
        key: &AlarmKey,
        told: Option<(AppId, &NewEvent)>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.end_alarm(key, told, now)));
        }
        self.write(async |tx| {
            let ended = query(
                "DELETE FROM identity_alarms WHERE guest_id = $1 AND kind = $2 AND host_id = $3 \
                 AND vmid = $4",
            )
            .bind(key.guest.to_string())
            .bind(key.kind.label())
            .bind(key.host.to_string())
            .bind(i64::from(key.vmid.get()))
            .execute(&mut *tx)
            .await?;
            if ended.rows_affected() == 0 {
                return Ok(false);
            }
            if let Some((app, event)) = told {
                add_event(tx, event, Some(app), None, now).await?;
            }
            Ok(true)
        })
        .await
    }
}

impl Reader {
    /// All alarms that have not ended, by guest.
    ///
    /// # Errors
    /// The database's.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_alarms()));
        }
        let rows = query("SELECT * FROM identity_alarms ORDER BY guest_id, kind, host_id, vmid")
            .fetch_all(self.named("alarms"))
            .await?;
        each(&rows, alarm)
    }
}

fn alarm(row: &Row) -> Result<Alarm, StoreError> {
    let vmid = Vmid::try_from(row.number::<u32>("vmid")?);
    Ok(Alarm {
        key: AlarmKey {
            guest: row.parsed("guest_id")?,
            kind: row.label("kind", AlarmKind::parse)?,
            host: row.parsed("host_id")?,
            vmid: vmid.map_err(|e| damaged("vmid", e.to_string()))?,
        },
        why: row.text("why")?,
        since: row.moment("since")?,
    })
}
