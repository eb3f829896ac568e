//! Apps whose containers somebody changed, so that they are not as documents want them: what was told of each last, once, and its end
//! once, also over a restart.

use proximity_domain::ids::{AppId, HostId, Vmid};
use proximity_domain::merge::{Accepted, Merged, Trace};
use proximity_domain::time::Timestamp;

use crate::desired::{DesiredRecord, revise};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::records::Actor;
use crate::row::{Columns, each, to_json};
use crate::sql::{Row, query};
use crate::store::{Reader, Store};

/// A difference that was told and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredDrift {
    /// The app.
    pub app: AppId,
    /// What differs, in order.
    pub fields: Vec<Merged>,
    /// When it was told.
    pub since: Timestamp,
}

impl Store {
    /// Tells that an app's container is not as it is wanted, or that it is again when there are no `fields`. False, and nothing is
    /// written, if just that was told last, the app is not live, or an operation is at work on it: that may be changing the container.
    ///
    /// # Errors
    /// The database's.
    pub async fn tell_desired_drift(
        &self,
        app: AppId,
        fields: &[Merged],
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.tell_desired_drift(app, fields, event, now)));
        }
        self.write(async |tx| {
            let row = query(
                "SELECT a.id, d.fields FROM apps a LEFT JOIN desired_drifts d ON d.app_id = a.id \
                 WHERE a.id = $1 AND a.archived_at IS NULL AND NOT EXISTS (SELECT 1 FROM operations o \
                 WHERE o.app_id = a.id AND o.state IN ('queued', 'running', 'unwinding'))",
            )
            .bind(app.to_string())
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else {
                return Ok(false);
            };
            let told = row.json_opt::<Vec<Merged>>("fields")?;
            if told.unwrap_or_default() == fields {
                return Ok(false);
            }
            if fields.is_empty() {
                query("DELETE FROM desired_drifts WHERE app_id = $1")
                    .bind(app.to_string())
                    .execute(&mut *tx)
                    .await?;
            } else {
                query(
                    "INSERT INTO desired_drifts (app_id, fields, since) VALUES ($1, $2, $3) \
                     ON CONFLICT (app_id) DO UPDATE SET fields = excluded.fields, since = excluded.since",
                )
                .bind(app.to_string())
                .bind(to_json("fields", &fields)?)
                .bind(now.0)
                .execute(&mut *tx)
                .await?;
            }
            add_event(tx, event, Some(app), None, now).await?;
            Ok(true)
        })
        .await
    }
}

impl Store {
    /// Records that what somebody made of an app's container is wanted from now on, by its policy, and tells of it. False, and nothing is
    /// written, if something else is wanted of it by now than `before`, the app is not live, or an operation is at work on it.
    ///
    /// # Errors
    /// The database's.
    pub async fn accept_drift(
        &self,
        before: &DesiredRecord,
        accepted: &Accepted,
        event: &NewEvent,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(app) = before.app else {
            return Ok(false);
        };
        let wanted = revision(before, accepted, actor, now);
        if let Some(model) = self.model() {
            return model.write(|state| {
                Ok(state.accept_drift(before, (wanted, accepted.resources), event, actor, now))
            });
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let free = query(
                "SELECT a.id FROM apps a WHERE a.id = $1 AND a.archived_at IS NULL \
                 AND (SELECT MAX(d.revision) FROM desired d WHERE d.name = $2) = $3 \
                 AND NOT EXISTS (SELECT 1 FROM operations o \
                 WHERE o.app_id = a.id AND o.state IN ('queued', 'running', 'unwinding'))",
            )
            .bind(app.to_string())
            .bind(before.name.as_str())
            .bind(i64::try_from(before.revision).unwrap_or(i64::MAX))
            .fetch_optional(&mut *tx)
            .await?;
            if free.is_none() {
                return Ok(false);
            }
            if let Some(resources) = accepted.resources {
                query("UPDATE apps SET resources = $2 WHERE id = $1")
                    .bind(app.to_string())
                    .bind(to_json("resources", &resources)?)
                    .execute(&mut *tx)
                    .await?;
            }
            revise(tx, sealer, Some(before), wanted.clone(), now).await?;
            add_event(tx, event, Some(app), None, now).await?;
            let (target, details) = (app.to_string(), event.body.clone());
            add_audit(tx, actor, Act::request(ACCEPT, &target, details), now).await?;
            Ok(true)
        })
        .await
    }
}

/// By which name it is audited that a policy accepted something.
pub(crate) const ACCEPT: &str = "app.accept_drift";

/// The revision that follows.
fn revision(
    before: &DesiredRecord,
    accepted: &Accepted,
    actor: &Actor,
    now: Timestamp,
) -> DesiredRecord {
    DesiredRecord {
        spec: Some(accepted.spec.clone()),
        applied_at: now,
        applied_by: actor.account.clone(),
        ..before.clone()
    }
}

impl Reader {
    /// All differences that were told and have not ended, by app.
    ///
    /// # Errors
    /// The database's.
    pub async fn desired_drifts(&self) -> Result<Vec<DesiredDrift>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_desired_drifts()));
        }
        let rows = query("SELECT * FROM desired_drifts ORDER BY app_id")
            .fetch_all(self.named("desired_drifts"))
            .await?;
        each(&rows, drift)
    }

    /// Tasks of Proxmox VE about this number that are on record, and that did not fail; oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn tasks_of(&self, host: HostId, vmid: Vmid) -> Result<Vec<Trace>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.tasks_of(host, vmid)));
        }
        let rows = query(
            "SELECT r.item FROM resources r WHERE r.host_id = $1 AND r.kind = 'task' AND r.item LIKE $2 \
             AND r.status <> 'failed' AND EXISTS (SELECT 1 FROM hosts h WHERE h.id = r.host_id)",
        )
        .bind(host.to_string())
        .bind(format!("%:{vmid}:%"))
        .fetch_all(self.named("tasks_of"))
        .await?;
        let upids = each(&rows, |row| row.text("item"))?;
        Ok(traces(upids.iter().map(String::as_str), vmid))
    }
}

fn drift(row: &Row) -> Result<DesiredDrift, StoreError> {
    Ok(DesiredDrift {
        app: row.parsed("app_id")?,
        fields: row.json("fields")?,
        since: row.moment("since")?,
    })
}

/// Those of these tasks that are about this number, oldest first.
pub(crate) fn traces<'u>(upids: impl Iterator<Item = &'u str>, vmid: Vmid) -> Vec<Trace> {
    let mut traces: Vec<Trace> = upids.filter_map(|upid| trace(upid, vmid)).collect();
    traces.sort_by(|a, b| (a.at, &a.kind, &a.user).cmp(&(b.at, &b.kind, &b.user)));
    traces
}

/// What a UPID tells (`PVE::Tools::upid_decode`): `UPID:NODE:PID:PSTART:START:TYPE:ID:USER:`, numbers in hexadecimal digits.
fn trace(upid: &str, vmid: Vmid) -> Option<Trace> {
    let mut parts = upid.split(':').skip(4);
    let start = i64::from_str_radix(parts.next()?, 16).ok()?;
    let (kind, id, user) = (parts.next()?, parts.next()?, parts.next()?);
    (id == vmid.to_string()).then(|| Trace {
        kind: kind.to_owned(),
        user: user.to_owned(),
        at: Timestamp(start.saturating_mul(1_000)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_tells_whose_it_is_and_of_what() {
        let upids = [
            "UPID:pve1:0000C530:001C9BEC:00000014:resize:101:ann@pve:",
            "UPID:pve1:0000C530:001C9BEC:0000000A:vzstart:101:root@pam!auto:",
            "UPID:pve1:0000C530:001C9BEC:0000000A:vzstart:102:root@pam:",
            "UPID:pve1:00000101:001C9BEC:xyz:vzstart:101:root@pam:",
            "101",
        ];
        let vmid = Vmid::try_from(101_u32).unwrap();
        let told = traces(upids.into_iter(), vmid).into_iter();
        let told: Vec<(String, String, i64)> =
            told.map(|task| (task.kind, task.user, task.at.0)).collect();
        let expected = [
            ("vzstart".to_owned(), "root@pam!auto".to_owned(), 10_000),
            ("resize".to_owned(), "ann@pve".to_owned(), 20_000),
        ];
        assert_eq!(told, expected);
    }
}
