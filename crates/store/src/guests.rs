//! Identity rows: recorded before the create call, confirmed once, never deleted.

use std::collections::BTreeMap;

use proximity_domain::adopted::{AdoptedGuest, AdoptedIdentity};
use proximity_domain::app::AppClass;
use proximity_domain::guest::{ContainerIdentity, ContainerRef, NativeGuest};
use proximity_domain::identity::{Learned, Shown};
use proximity_domain::ids::{AppId, GuestId, HostId, OperationId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::{Mac, NodeName, Volid};
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::time::Timestamp;

use crate::apps::{live_app, not_live};
use crate::effects::{GuestChange, NewEvent};
use crate::error::StoreError;
use crate::journal::add_event;
use crate::pages::by_vmid;
use crate::prepared::{has_one, holds};
use crate::row::{Columns, damaged, each, to_json};
use crate::sql::{Row, Sql, Tx, query};
use crate::store::{Reader, Store};
use crate::views::PastGuest;

/// Guests as they are known now: born with, learned and accepted.
macro_rules! known {
    ($where:literal) => {
        concat!(
            "SELECT g.*, a.net0_mac AS accepted_mac, a.rootfs_volid AS accepted_volid, \
             l.marked AS learned_marked, l.net0_mac AS learned_mac, \
             l.rootfs_volid AS learned_volid, l.at AS learned_at FROM guests g \
             LEFT JOIN guest_identities a ON a.guest_id = g.id AND a.standing = 'accepted' \
             LEFT JOIN guest_identities l ON l.guest_id = g.id AND l.standing = 'learned' WHERE ",
            $where
        )
    };
}

// A list of apps is one argument, a JSON array, which each database takes apart in its own words.
const OF_APPS: Sql = Sql::each(
    known!(
        "app_id IN (SELECT value FROM json_each($1)) AND gone_at IS NULL ORDER BY recorded_at, id"
    ),
    known!(
        "app_id IN (SELECT jsonb_array_elements_text($1::jsonb)) AND gone_at IS NULL \
         ORDER BY recorded_at, id"
    ),
);

/// See [`by_vmid`].
const OF_HOST: &str = known!(
    "g.host_id = $1 AND g.app_id IS NOT NULL AND g.gone_at IS NULL AND g.vmid > $2 \
     ORDER BY g.vmid LIMIT $3"
);

/// Applies one change that `operation` makes to a guest of `app`.
pub(crate) async fn change(
    tx: &mut Tx,
    change: &GuestChange,
    app: AppId,
    operation: OperationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    match change {
        GuestChange::Insert(guest) => {
            if guest.app != app || guest.created_by != operation {
                let what = format!("guest {} is of another app or operation", guest.id);
                return Err(StoreError::IllegalTransition { what });
            }
            insert(tx, guest, now).await
        }
        GuestChange::Confirm {
            guest,
            rootfs_volid,
        } => confirm(tx, *guest, rootfs_volid, app).await,
        GuestChange::Moved { guest, node } => moved(tx, *guest, node, app).await,
        GuestChange::Released { guest } => release(tx, *guest, app, now).await,
        GuestChange::Gone { guest } => gone(tx, *guest, app, now).await,
    }
}

async fn insert(tx: &mut Tx, guest: &NativeGuest, now: Timestamp) -> Result<(), StoreError> {
    if guest.place.vmid != guest.identity.vmid {
        let what = format!("guest {} has two VMIDs", guest.id);
        return Err(StoreError::IllegalTransition { what });
    }
    refuse_templates(tx, guest.id, &guest.place).await?;
    let added = query(
        "INSERT INTO guests (id, class, app_id, created_by, host_id, node, vmid, mark, net0_mac, \
         rootfs_volid, recorded_at) VALUES ($1, 'native', $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT DO NOTHING",
    )
    .bind(guest.id.to_string())
    .bind(guest.app.to_string())
    .bind(guest.created_by.to_string())
    .bind(guest.place.host.to_string())
    .bind(guest.place.node.as_str())
    .bind(i64::from(guest.identity.vmid.get()))
    .bind(guest.identity.mark.to_string())
    .bind(guest.identity.net0_mac.to_string())
    .bind(guest.identity.rootfs_volid.as_ref().map(Volid::as_str))
    .bind(now.0)
    .execute(tx)
    .await?;
    match added.rows_affected() {
        0 => Err(held(guest.id, guest.identity.vmid)),
        _ => Ok(()),
    }
}

/// Refuses a number that a prepared template has.
async fn refuse_templates(
    tx: &mut Tx,
    guest: GuestId,
    place: &ContainerRef,
) -> Result<(), StoreError> {
    match holds(tx, place.host, place.vmid).await? {
        true => Err(held(guest, place.vmid)),
        false => Ok(()),
    }
}

/// The guest is on record, or its number is another one's.
fn held(guest: GuestId, vmid: Vmid) -> StoreError {
    StoreError::Exists {
        what: "guest",
        id: format!("{guest} (VMID {vmid})"),
    }
}

async fn confirm(tx: &mut Tx, guest: GuestId, volid: &Volid, app: AppId) -> Result<(), StoreError> {
    let changed = query(
        "UPDATE guests SET rootfs_volid = $3 WHERE id = $1 AND app_id = $2 AND gone_at IS NULL \
         AND (rootfs_volid IS NULL OR rootfs_volid = $3)",
    )
    .bind(guest.to_string())
    .bind(app.to_string())
    .bind(volid.as_str())
    .execute(tx)
    .await?;
    match changed.rows_affected() {
        0 => Err(StoreError::IllegalTransition {
            what: format!(
                "guest {guest} cannot be confirmed with {volid}: it is gone, or another volume is recorded"
            ),
        }),
        _ => Ok(()),
    }
}

async fn moved(tx: &mut Tx, guest: GuestId, node: &NodeName, app: AppId) -> Result<(), StoreError> {
    let changed =
        query("UPDATE guests SET node = $3 WHERE id = $1 AND app_id = $2 AND gone_at IS NULL")
            .bind(guest.to_string())
            .bind(app.to_string())
            .bind(node.as_str())
            .execute(&mut *tx)
            .await?;
    if changed.rows_affected() == 0 {
        return Err(not_found(guest));
    }
    query("UPDATE apps SET node = $2 WHERE id = $1")
        .bind(app.to_string())
        .bind(node.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

async fn gone(tx: &mut Tx, guest: GuestId, app: AppId, now: Timestamp) -> Result<(), StoreError> {
    let changed =
        query("UPDATE guests SET gone_at = COALESCE(gone_at, $3) WHERE id = $1 AND app_id = $2")
            .bind(guest.to_string())
            .bind(app.to_string())
            .bind(now.0)
            .execute(tx)
            .await?;
    match changed.rows_affected() {
        0 => Err(not_found(guest)),
        _ => Ok(()),
    }
}

/// The row of an adopted guest ends, and its number may be held again: by the same container too, when it is adopted anew.
pub(crate) async fn release(
    tx: &mut Tx,
    guest: GuestId,
    app: AppId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = query(
        "UPDATE guests SET gone_at = COALESCE(gone_at, $3) WHERE id = $1 AND app_id = $2 \
         AND class = 'adopted'",
    )
    .bind(guest.to_string())
    .bind(app.to_string())
    .bind(now.0)
    .execute(tx)
    .await?;
    match changed.rows_affected() {
        0 => Err(not_adopted(guest)),
        _ => Ok(()),
    }
}

pub(crate) fn not_adopted(guest: GuestId) -> StoreError {
    let what =
        format!("guest {guest} cannot be given back: the app has no adopted guest with this id");
    StoreError::IllegalTransition { what }
}

/// All adopted guests of an app are given back.
pub(crate) async fn release_all(tx: &mut Tx, app: AppId, now: Timestamp) -> Result<(), StoreError> {
    query(
        "UPDATE guests SET gone_at = $2 WHERE app_id = $1 AND class = 'adopted' AND gone_at IS NULL",
    )
    .bind(app.to_string())
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// The row of an adopted guest, with its app.
pub(crate) async fn insert_adopted(
    tx: &mut Tx,
    guest: &AdoptedGuest,
    now: Timestamp,
) -> Result<(), StoreError> {
    refuse_templates(tx, guest.id, &guest.place).await?;
    let added = query(
        "INSERT INTO guests (id, class, app_id, created_by, host_id, node, vmid, net0_mac, \
         rootfs_volid, recorded_at) VALUES ($1, 'adopted', $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT DO NOTHING",
    )
    .bind(guest.id.to_string())
    .bind(guest.app.to_string())
    .bind(guest.created_by.to_string())
    .bind(guest.place.host.to_string())
    .bind(guest.place.node.as_str())
    .bind(i64::from(guest.identity.vmid.get()))
    .bind(guest.identity.net0_mac.to_string())
    .bind(guest.identity.rootfs_volid.as_str())
    .bind(now.0)
    .execute(tx)
    .await?;
    match added.rows_affected() {
        0 => Err(held(guest.id, guest.identity.vmid)),
        _ => Ok(()),
    }
}

fn not_found(guest: GuestId) -> StoreError {
    let id = guest.to_string();
    StoreError::NotFound { what: "guest", id }
}

impl Store {
    /// Records that a guest was seen on another node, while no operation works on its app.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while one does: then it is that operation's to say; [`StoreError::NotFound`].
    pub async fn guest_moved(
        &self,
        app: AppId,
        guest: GuestId,
        node: &NodeName,
        event: NewEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.guest_moved(app, guest, node, &event, now));
        }
        self.write(async |tx| {
            let live = live_app(tx, app).await?.ok_or_else(|| not_live(app))?;
            if let Some(operation) = live.operation {
                return Err(StoreError::Busy { app, operation });
            }
            moved(tx, guest, node, app).await?;
            add_event(tx, &event, Some(app), None, now).await
        })
        .await
    }
}

impl Reader {
    /// Guests of an app that are not gone, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn native_guests(&self, app: AppId) -> Result<Vec<NativeGuest>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.guests_of_app(app)));
        }
        let rows = query(known!(
            "app_id = $1 AND class = 'native' AND gone_at IS NULL ORDER BY recorded_at, id"
        ))
        .bind(app.to_string())
        .fetch_all(self.named("native_guests"))
        .await?;
        each(&rows, guest)
    }

    /// Guests of the apps of a page, of either class, in one statement. Each app is there, also one without a guest.
    ///
    /// # Errors
    /// The database's.
    pub async fn guests_of_apps(
        &self,
        apps: &[AppId],
    ) -> Result<BTreeMap<AppId, Vec<RecordedGuest>>, StoreError> {
        let mut of: BTreeMap<AppId, Vec<RecordedGuest>> =
            apps.iter().map(|app| (*app, Vec::new())).collect();
        if let Some(model) = self.model() {
            model.read(|state| {
                for (app, guests) in &mut of {
                    *guests = state.recorded_of_app(*app);
                }
            });
            return Ok(of);
        }
        if apps.is_empty() {
            return Ok(of);
        }
        let apps: Vec<String> = apps.iter().map(ToString::to_string).collect();
        let rows = query(OF_APPS)
            .bind(to_json("apps", &apps)?)
            .fetch_all(self.named("guests_of_apps"))
            .await?;
        for guest in each(&rows, recorded)? {
            of.entry(guest.app()).or_default().push(guest);
        }
        Ok(of)
    }

    /// Guests that are not gone on a cluster: every VMID we hold there.
    ///
    /// # Errors
    /// The database's.
    pub async fn host_guests(&self, host: HostId) -> Result<Vec<NativeGuest>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.guests_on_host(host)));
        }
        let rows = query(known!(
            "host_id = $1 AND class = 'native' AND gone_at IS NULL ORDER BY vmid"
        ))
        .bind(host.to_string())
        .fetch_all(self.named("host_guests"))
        .await?;
        each(&rows, guest)
    }
}

impl Reader {
    /// Guests of an app that are not gone, of either class, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn recorded_guests(&self, app: AppId) -> Result<Vec<RecordedGuest>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.recorded_of_app(app)));
        }
        let rows = query(known!(
            "app_id = $1 AND gone_at IS NULL ORDER BY recorded_at, id"
        ))
        .bind(app.to_string())
        .fetch_all(self.named("recorded_guests"))
        .await?;
        each(&rows, recorded)
    }

    /// Guests that are not gone on a cluster, of native and of adopted apps, by VMID.
    ///
    /// # Errors
    /// The database's.
    pub async fn recorded_guests_of_host(
        &self,
        host: HostId,
    ) -> Result<Vec<RecordedGuest>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.recorded_on_host(host)));
        }
        let guests = self.read(async |tx| by_vmid(tx, OF_HOST, host, recorded).await);
        guests.await
    }

    /// The guest of an app, of either class, that is not gone and holds this number on a cluster.
    ///
    /// # Errors
    /// The database's.
    pub async fn recorded_guest_at(
        &self,
        host: HostId,
        vmid: Vmid,
    ) -> Result<Option<RecordedGuest>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.recorded_at(host, vmid)));
        }
        let row = query(known!(
            "g.host_id = $1 AND g.vmid = $2 AND g.app_id IS NOT NULL AND g.gone_at IS NULL"
        ))
        .bind(host.to_string())
        .bind(i64::from(vmid.get()))
        .fetch_optional(self.named("recorded_guest_at"))
        .await?;
        row.as_ref().map(recorded).transpose()
    }
}

impl Reader {
    /// Containers that an app has or had, oldest first. Its backups on the cluster are named after their numbers.
    ///
    /// # Errors
    /// The database's.
    pub async fn past_guests(&self, app: AppId) -> Result<Vec<PastGuest>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.past_guests(app)));
        }
        let rows = query(
            "SELECT host_id, node, vmid, gone_at FROM guests WHERE app_id = $1 ORDER BY recorded_at, id",
        )
        .bind(app.to_string())
        .fetch_all(self.named("past_guests"))
        .await?;
        each(&rows, past_guest)
    }
}

fn past_guest(row: &Row) -> Result<PastGuest, StoreError> {
    Ok(PastGuest {
        place: place(row)?,
        gone_at: row.moment_opt("gone_at")?,
    })
}

/// Every choice of a number asks this: it looks at that number alone.
pub(crate) const HELD: &str =
    "SELECT COUNT(*) AS held FROM guests WHERE host_id = $1 AND vmid = $2 AND gone_at IS NULL";

impl Reader {
    /// Whether a guest or a prepared template that is not gone holds this number on a cluster.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_held(&self, host: HostId, vmid: Vmid) -> Result<bool, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.is_held(host, vmid)));
        }
        self.read(async |tx| {
            Ok(has_one(tx, HELD, host, vmid).await? || holds(tx, host, vmid).await?)
        })
        .await
    }
}

fn guest(row: &Row) -> Result<NativeGuest, StoreError> {
    let place = place(row)?;
    let mark = row.text("mark")?;
    let mark = Mark::find(&mark).ok_or_else(|| damaged("mark", mark))?;
    Ok(NativeGuest {
        id: row.parsed("id")?,
        app: row.parsed("app_id")?,
        created_by: row.parsed("created_by")?,
        identity: ContainerIdentity {
            vmid: place.vmid,
            mark,
            net0_mac: mac(row)?,
            rootfs_volid: match row.parsed_opt("accepted_volid")? {
                Some(accepted) => Some(accepted),
                None => row.parsed_opt("rootfs_volid")?,
            },
        },
        place,
        learned: learned(row)?,
    })
}

fn adopted(row: &Row) -> Result<AdoptedGuest, StoreError> {
    let place = place(row)?;
    Ok(AdoptedGuest {
        id: row.parsed("id")?,
        app: row.parsed("app_id")?,
        created_by: row.parsed("created_by")?,
        identity: AdoptedIdentity {
            vmid: place.vmid,
            net0_mac: mac(row)?,
            rootfs_volid: match row.parsed_opt("accepted_volid")? {
                Some(accepted) => accepted,
                None => row.parsed("rootfs_volid")?,
            },
        },
        place,
        learned: learned(row)?,
    })
}

fn mac(row: &Row) -> Result<Mac, StoreError> {
    match row.parsed_opt("accepted_mac")? {
        Some(accepted) => Ok(accepted),
        None => row.parsed("net0_mac"),
    }
}

fn learned(row: &Row) -> Result<Option<Learned>, StoreError> {
    let Some(at) = row.moment_opt("learned_at")? else {
        return Ok(None);
    };
    let shown = Shown {
        marked: row.int("learned_marked")? != 0,
        net0_mac: row.parsed("learned_mac")?,
        rootfs_volid: row.parsed("learned_volid")?,
    };
    Ok(Some(Learned { shown, at }))
}

fn recorded(row: &Row) -> Result<RecordedGuest, StoreError> {
    match row.label("class", AppClass::parse)? {
        AppClass::Native => guest(row).map(RecordedGuest::Native),
        AppClass::Adopted => adopted(row).map(RecordedGuest::Adopted),
    }
}

fn place(row: &Row) -> Result<ContainerRef, StoreError> {
    let vmid = row.number::<u32>("vmid")?;
    Ok(ContainerRef {
        host: row.parsed("host_id")?,
        node: row.parsed("node")?,
        vmid: Vmid::try_from(vmid).map_err(|e| damaged("vmid", e.to_string()))?,
    })
}
