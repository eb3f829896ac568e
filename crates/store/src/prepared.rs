//! Prepared templates: what each is made of and how far it is, which guests are made of it, and how often a base was deployed.

use proximity_domain::guest::ContainerIdentity;
use proximity_domain::ids::{GuestId, HostId, PreparedId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::Volid;
use proximity_domain::prepared::{
    BaseKey, Call, Clones, Kept, Prepared, Sent, Spot, Stage, is_over,
};
use proximity_domain::time::Timestamp;
use serde_json::Value;

use crate::error::StoreError;
use crate::guests::HELD;
use crate::journal::{Act, add_audit};
use crate::records::Actor;
use crate::row::{Columns, damaged, each, to_json};
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::{Reader, Store};

/// What a statement gives of a template: it, and what hangs on it.
macro_rules! kept {
    ($where:literal) => {
        concat!(
            "SELECT p.*, \
             (SELECT COUNT(*) FROM prepared_clones c JOIN guests g ON g.id = c.guest_id \
             WHERE c.template_id = p.id AND g.gone_at IS NULL AND g.rootfs_volid IS NULL) AS unconfirmed, \
             (SELECT COUNT(*) FROM prepared_clones c JOIN guests g ON g.id = c.guest_id \
             WHERE c.template_id = p.id AND g.gone_at IS NULL AND g.rootfs_volid IS NOT NULL \
             AND c.linked = 1) AS linked \
             FROM prepared_templates p WHERE p.gone_at IS NULL AND ",
            $where
        )
    };
}

/// See [`HELD`].
pub(crate) const HELD_BY_TEMPLATE: &str = "SELECT COUNT(*) AS held FROM prepared_templates \
     WHERE host_id = $1 AND vmid = $2 AND gone_at IS NULL";

/// Whether a template that is not gone has this number on a cluster.
pub(crate) async fn holds(tx: &mut Tx, host: HostId, vmid: Vmid) -> Result<bool, StoreError> {
    has_one(tx, HELD_BY_TEMPLATE, host, vmid).await
}

pub(crate) async fn has_one(
    tx: &mut Tx,
    held: &'static str,
    host: HostId,
    vmid: Vmid,
) -> Result<bool, StoreError> {
    let row = query(held)
        .bind(host.to_string())
        .bind(i64::from(vmid.get()))
        .fetch_one(tx)
        .await?;
    Ok(row.int("held")? > 0)
}

/// Refuses what no new template is.
pub(crate) fn refuse_begun(prepared: &Prepared) -> Result<(), StoreError> {
    let is_new = prepared.stage == Stage::Creating
        && prepared.identity.rootfs_volid.is_none()
        && prepared.used_at.is_none();
    let is_nobodys = prepared.identity.mark.app.0 == prepared.id.0;
    match is_new && is_nobodys {
        true => Ok(()),
        false => Err(illegal(prepared.id, "be recorded as a new one")),
    }
}

/// Whether a template goes on from one stage to another one; false if it is in another one by now.
pub(crate) fn advances(prepared: &Prepared, from: Stage, to: Stage) -> Result<bool, StoreError> {
    let is_known = prepared.identity.rootfs_volid.is_some() || to == Stage::Leaving;
    if prepared.stage != from {
        return Ok(false);
    }
    match from.may_become(to) && is_known {
        true => Ok(true),
        false => Err(illegal(prepared.id, "go to that stage")),
    }
}

/// Whether the root volume of a template in this stage is recorded; false if it is in another one by now. It has a second name at
/// most, from when it is made a template.
pub(crate) fn learns(
    prepared: &Prepared,
    stage: Stage,
    rootfs_volid: &Volid,
) -> Result<bool, StoreError> {
    if prepared.stage != stage {
        return Ok(false);
    }
    let known = prepared.identity.rootfs_volid.as_ref();
    let may_be_renamed = matches!(stage, Stage::Converting | Stage::Leaving);
    match known.is_none_or(|known| known == rootfs_volid) || may_be_renamed {
        true => Ok(true),
        false => Err(illegal(prepared.id, "have another root volume")),
    }
}

/// Refuses to end the record of a template that something hangs on, or that containers may still be made of.
pub(crate) fn refuse_needed(kept: &Kept) -> Result<(), StoreError> {
    match is_over(kept) {
        true => Ok(()),
        false => Err(illegal(kept.prepared.id, "be gone")),
    }
}

fn illegal(id: PreparedId, what: &str) -> StoreError {
    let what = format!("prepared template {id} cannot {what}");
    StoreError::IllegalTransition { what }
}

pub(crate) fn no_template(id: PreparedId) -> StoreError {
    StoreError::NotFound {
        what: "prepared template",
        id: id.to_string(),
    }
}

/// The same one is there already.
pub(crate) fn same_template(id: PreparedId) -> StoreError {
    StoreError::Exists {
        what: "prepared template",
        id: id.to_string(),
    }
}

/// Its number is somebody's.
pub(crate) fn number_held(vmid: Vmid) -> StoreError {
    StoreError::Exists {
        what: "guest with VMID",
        id: vmid.to_string(),
    }
}

/// There is one of its base in its place.
pub(crate) fn base_there(key: &BaseKey) -> StoreError {
    StoreError::Exists {
        what: "prepared template of base",
        id: key.to_string(),
    }
}

pub(crate) fn no_host(id: HostId) -> StoreError {
    StoreError::NotFound {
        what: "host",
        id: id.to_string(),
    }
}

/// What the audit says of what is done about a template.
#[derive(Debug, Clone)]
pub struct TemplateCall<'a> {
    /// The call, e.g. `POST /nodes/pve1/lxc`, or what a person asked for, e.g. `drop_template`.
    pub action: &'a str,
    /// What it is about, as people name a place: `lab/pve1/101`.
    pub target: &'a str,
    /// What else there is to say; nothing secret.
    pub details: Value,
}

impl TemplateCall<'_> {
    fn act(&self) -> Act<'_> {
        Act::request(self.action, self.target, self.details.clone())
    }
}

impl Store {
    /// Counts that an app with this base was deployed in a place. Gives how often that was so by now.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_base(
        &self,
        spot: &Spot,
        key: &BaseKey,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.count_base(spot, key, now)));
        }
        self.write(async |tx| {
            let row = query(
                "INSERT INTO prepared_bases (host_id, node, storage, base_key, deploys, last_at) \
                 VALUES ($1, $2, $3, $4, 1, $5) \
                 ON CONFLICT (host_id, node, storage, base_key) DO UPDATE \
                 SET deploys = prepared_bases.deploys + 1, last_at = excluded.last_at \
                 RETURNING deploys",
            )
            .bind(spot.host.to_string())
            .bind(spot.node.as_str())
            .bind(spot.storage.as_str())
            .bind(key.as_str())
            .bind(now.0)
            .fetch_one(tx)
            .await?;
            row.number("deploys")
        })
        .await
    }

    /// Records a template that is about to be created, with its number, mark and MAC. From then on the number is no other guest's.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the number is a guest's or another template's, or if there is a template of its base in its place that
    /// does not leave; [`StoreError::NotFound`] without its host entry; [`StoreError::IllegalTransition`] if it is no new one.
    pub async fn record_prepared(&self, prepared: &Prepared) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.record_prepared(prepared));
        }
        self.write(async |tx| {
            refuse_begun(prepared)?;
            refuse_twin(tx, prepared).await?;
            insert(tx, prepared).await
        })
        .await
    }

    /// Writes down that a template goes on from one stage to the next one, or leaves. False, and nothing is written, if it is in another
    /// stage by now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] where [`Stage::may_become`] says no, or before its root volume is
    /// recorded.
    pub async fn advance_prepared(
        &self,
        id: PreparedId,
        from: Stage,
        to: Stage,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.advance_prepared(id, from, to, now));
        }
        self.write(async |tx| {
            let kept = one(tx, id).await?;
            if !advances(&kept.prepared, from, to)? {
                return Ok(false);
            }
            query("UPDATE prepared_templates SET stage = $2, stage_at = $3 WHERE id = $1")
                .bind(id.to_string())
                .bind(to.label())
                .bind(now.0)
                .execute(tx)
                .await?;
            Ok(true)
        })
        .await
    }

    /// Records what the root volume of a template in this stage is, as its container was seen to be ours. False, and nothing is written,
    /// if it is in another stage by now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] if another one is recorded and it was not being made a template since.
    pub async fn learn_prepared(
        &self,
        id: PreparedId,
        stage: Stage,
        rootfs_volid: &Volid,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.learn_prepared(id, stage, rootfs_volid));
        }
        self.write(async |tx| {
            let kept = one(tx, id).await?;
            if !learns(&kept.prepared, stage, rootfs_volid)? {
                return Ok(false);
            }
            query("UPDATE prepared_templates SET rootfs_volid = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(rootfs_volid.as_str())
                .execute(tx)
                .await?;
            Ok(true)
        })
        .await
    }

    /// Writes down that a guest is to be made of a template, before the call that does it: until the guest is confirmed, and after that
    /// if it shares with the template, the template stays. The same again changes nothing. False, and nothing is written, unless the
    /// template is ready and the guest is recorded, neither gone nor confirmed, and was to be made no other way.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_clone(
        &self,
        template: PreparedId,
        guest: GuestId,
        linked: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| Ok(state.note_clone(template, guest, linked, now)));
        }
        self.write(async |tx| {
            let noted = query(
                "INSERT INTO prepared_clones (guest_id, template_id, linked) \
                 SELECT g.id, p.id, CAST($3 AS BIGINT) FROM guests g, prepared_templates p \
                 WHERE g.id = $1 AND g.gone_at IS NULL AND g.rootfs_volid IS NULL \
                 AND p.id = $2 AND p.gone_at IS NULL AND p.stage = 'ready' AND g.host_id = p.host_id \
                 ON CONFLICT DO NOTHING",
            )
            .bind(guest.to_string())
            .bind(template.to_string())
            .bind(i64::from(linked))
            .execute(&mut *tx)
            .await?;
            if noted.rows_affected() == 0 {
                return is_noted(tx, template, guest, linked).await;
            }
            query("UPDATE prepared_templates SET used_at = $2 WHERE id = $1")
                .bind(template.to_string())
                .bind(now.0)
                .execute(tx)
                .await?;
            Ok(true)
        })
        .await
    }

    /// Puts a call for a template on record, in the audit too, before it is sent. `action` and `target` are the audit's.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; the database's. The call must not be sent then.
    pub async fn note_template_call(
        &self,
        id: PreparedId,
        sent: Sent,
        told: TemplateCall<'_>,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.note_template_call(id, Some(sent))?;
                state.add_audit(actor, told.act(), sent.at);
                Ok(())
            });
        }
        self.write(async |tx| {
            one(tx, id).await?;
            query("UPDATE prepared_templates SET sent = $2, sent_at = $3 WHERE id = $1")
                .bind(id.to_string())
                .bind(sent.call.label())
                .bind(sent.at.0)
                .execute(&mut *tx)
                .await?;
            add_audit(tx, actor, told.act(), sent.at).await
        })
        .await
    }

    /// Writes down that the last call for a template came to its end, or was not sent.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; the database's.
    pub async fn settle_template_call(&self, id: PreparedId) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.note_template_call(id, None));
        }
        self.write(async |tx| {
            one(tx, id).await?;
            query("UPDATE prepared_templates SET sent = NULL, sent_at = NULL WHERE id = $1")
                .bind(id.to_string())
                .execute(tx)
                .await?;
            Ok(())
        })
        .await
    }

    /// Records what a person does about a template, in the audit.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_template_act(
        &self,
        told: TemplateCall<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| {
                state.add_audit(actor, told.act(), now);
                Ok(())
            });
        }
        self.write(async |tx| add_audit(tx, actor, told.act(), now).await)
            .await
    }

    /// Ends the record of a template whose container is proven absent.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::IllegalTransition`] unless it was leaving and nothing hangs on it.
    pub async fn end_prepared(&self, id: PreparedId, now: Timestamp) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.end_prepared(id, now));
        }
        self.write(async |tx| {
            refuse_needed(&one(tx, id).await?)?;
            query("UPDATE prepared_templates SET gone_at = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(now.0)
                .execute(tx)
                .await?;
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// All prepared templates that are not gone, with what hangs on them, in the order of their ids.
    ///
    /// # Errors
    /// The database's.
    pub async fn prepared(&self) -> Result<Vec<Kept>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_prepared()));
        }
        // There are few: a handful for each storage of a node.
        let rows = query(kept!("TRUE ORDER BY p.id"))
            .fetch_all(self.named("prepared"))
            .await?;
        each(&rows, kept)
    }
}

/// Refuses what is there already, whole or in part.
async fn refuse_twin(tx: &mut Tx, prepared: &Prepared) -> Result<(), StoreError> {
    let Spot {
        host,
        node,
        storage,
    } = &prepared.spot;
    let hosts: i64 = query_scalar("SELECT COUNT(*) FROM hosts WHERE id = $1")
        .bind(host.to_string())
        .fetch_one(&mut *tx)
        .await?;
    if hosts == 0 {
        return Err(no_host(*host));
    }
    let twins: i64 =
        query_scalar("SELECT COUNT(*) FROM prepared_templates WHERE id = $1 OR mark = $2")
            .bind(prepared.id.to_string())
            .bind(prepared.identity.mark.to_string())
            .fetch_one(&mut *tx)
            .await?;
    if twins > 0 {
        return Err(same_template(prepared.id));
    }
    let vmid = prepared.identity.vmid;
    if has_one(tx, HELD, *host, vmid).await? || holds(tx, *host, vmid).await? {
        return Err(number_held(vmid));
    }
    let key = prepared.base.key();
    let others: i64 = query_scalar(
        "SELECT COUNT(*) FROM prepared_templates WHERE host_id = $1 AND node = $2 \
         AND storage = $3 AND base_key = $4 AND stage <> 'leaving'",
    )
    .bind(host.to_string())
    .bind(node.as_str())
    .bind(storage.as_str())
    .bind(key.as_str())
    .fetch_one(tx)
    .await?;
    match others {
        0 => Ok(()),
        _ => Err(base_there(&key)),
    }
}

/// Whether a guest that is not confirmed yet is to be made just so.
async fn is_noted(
    tx: &mut Tx,
    template: PreparedId,
    guest: GuestId,
    linked: bool,
) -> Result<bool, StoreError> {
    let noted: i64 = query_scalar(
        "SELECT COUNT(*) FROM prepared_clones c JOIN guests g ON g.id = c.guest_id \
         WHERE c.guest_id = $1 AND c.template_id = $2 AND c.linked = $3 \
         AND g.gone_at IS NULL AND g.rootfs_volid IS NULL",
    )
    .bind(guest.to_string())
    .bind(template.to_string())
    .bind(i64::from(linked))
    .fetch_one(tx)
    .await?;
    Ok(noted > 0)
}

async fn insert(tx: &mut Tx, prepared: &Prepared) -> Result<(), StoreError> {
    let key = prepared.base.key();
    query(
        "INSERT INTO prepared_templates (id, host_id, node, storage, base_key, base, disk_gib, vmid, \
         mark, net0_mac, stage, recorded_at, stage_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(prepared.id.to_string())
    .bind(prepared.spot.host.to_string())
    .bind(prepared.spot.node.as_str())
    .bind(prepared.spot.storage.as_str())
    .bind(key.as_str())
    .bind(to_json("base", &prepared.base)?)
    .bind(i64::from(prepared.disk_gib))
    .bind(i64::from(prepared.identity.vmid.get()))
    .bind(prepared.identity.mark.to_string())
    .bind(prepared.identity.net0_mac.to_string())
    .bind(prepared.stage.label())
    .bind(prepared.recorded_at.0)
    .bind(prepared.stage_at.0)
    .execute(tx)
    .await?;
    Ok(())
}

async fn one(tx: &mut Tx, id: PreparedId) -> Result<Kept, StoreError> {
    let row = query(kept!("p.id = $1"))
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    match row {
        Some(row) => kept(&row),
        None => Err(no_template(id)),
    }
}

fn kept(row: &Row) -> Result<Kept, StoreError> {
    let vmid = Vmid::try_from(row.number::<u32>("vmid")?);
    let mark = row.text("mark")?;
    let prepared = Prepared {
        id: row.parsed("id")?,
        spot: Spot {
            host: row.parsed("host_id")?,
            node: row.parsed("node")?,
            storage: row.parsed("storage")?,
        },
        base: row.json("base")?,
        disk_gib: row.number("disk_gib")?,
        identity: ContainerIdentity {
            vmid: vmid.map_err(|e| damaged("vmid", e.to_string()))?,
            mark: Mark::find(&mark).ok_or_else(|| damaged("mark", mark))?,
            net0_mac: row.parsed("net0_mac")?,
            rootfs_volid: row.parsed_opt("rootfs_volid")?,
        },
        stage: row.label("stage", Stage::parse)?,
        recorded_at: row.moment("recorded_at")?,
        stage_at: row.moment("stage_at")?,
        used_at: row.moment_opt("used_at")?,
    };
    let clones = Clones {
        linked: row.number("linked")?,
        unconfirmed: row.number("unconfirmed")?,
    };
    let sent = match row.moment_opt("sent_at")? {
        Some(at) => Some(Sent {
            call: row.label("sent", Call::parse)?,
            at,
        }),
        None => None,
    };
    Ok(Kept {
        prepared,
        clones,
        sent,
    })
}
