//! Host entries: clusters, with their secrets sealed.

use proximity_domain::event::EventKind;
use proximity_domain::ids::HostId;
use proximity_domain::time::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::apps::is_no_name;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::host_tokens::{sealed_tokens, token_ids, unsealed_tokens};
use crate::journal::{Act, add_audit, add_event};
use crate::records::{Actor, HostRecord, RequestKey, SshAccess, SshKind, SshNode};
use crate::request_keys::claim;
use crate::row::{Columns, damaged, each, to_json};
use crate::seal::{Place, Sealer};
use crate::sql::{Row, Tx, query, query_scalar};
use crate::store::{Reader, Store};

/// The open part of [`SshAccess`]; the private key is sealed beside it.
#[derive(Serialize, Deserialize)]
struct StoredSsh {
    /// Absent in what was written before there was a helper.
    #[serde(default)]
    kind: SshKind,
    user: String,
    public_key: String,
    nodes: Vec<SshNode>,
}

impl Store {
    /// Records a host.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if another entry has this label, or is the same cluster.
    pub async fn add_host(
        &self,
        host: HostRecord,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.add_host_once(host, None, actor, now).await?;
        Ok(())
    }

    /// As [`Store::add_host`]; gives the host's id. The same key of the same account writes nothing the second time,
    /// and gives the id of the first.
    ///
    /// # Errors
    /// Those of [`Store::add_host`], and [`StoreError::KeyReused`].
    pub async fn add_host_once(
        &self,
        host: HostRecord,
        key: Option<RequestKey>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<HostId, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.add_host(host, key.as_ref(), actor, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let id = host.id.to_string();
            if let Some(first) = claim(tx, &actor.account, key.as_ref(), &id, now).await? {
                return first.parse().map_err(|_| damaged("resource", first));
            }
            refuse_twins(tx, &host).await?;
            insert(tx, sealer, &host).await?;
            announce(tx, EventKind::HostAdded, "host.add", &host, actor, now).await?;
            Ok(host.id)
        })
        .await
    }

    /// Replaces a host's record; its id stays, `created_at` too.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Exists`] as in [`Store::add_host`].
    pub async fn update_host(
        &self,
        host: HostRecord,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change_host(host, EventKind::HostUpdated, "host.update", actor, now)
            .await
    }

    /// As [`Store::update_host`], with the event's kind and the audit entry's action.
    ///
    /// # Errors
    /// As [`Store::update_host`].
    pub async fn change_host(
        &self,
        host: HostRecord,
        event: EventKind,
        action: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.change_host(host, event, action, actor, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            refuse_twins(tx, &host).await?;
            update(tx, sealer, &host).await?;
            announce(tx, event, action, &host, actor, now).await
        })
        .await
    }

    /// Removes a host's record. Resources that were observed there are in no list any more; house-keeping removes them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::HostInUse`] while live apps, guests that are not gone, prepared templates or
    /// unfinished operations refer to it.
    pub async fn remove_host(
        &self,
        id: HostId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.remove_host(id, actor, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let row = query("SELECT * FROM hosts WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&mut *tx)
                .await?;
            let host = match row {
                Some(row) => host(sealer, &row)?,
                None => return Err(not_found(id)),
            };
            let apps = users(tx, id).await?;
            if apps > 0 {
                let label = host.label.to_string();
                return Err(StoreError::HostInUse { label, apps });
            }
            query("DELETE FROM prepared_bases WHERE host_id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            query("DELETE FROM hosts WHERE id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            announce(tx, EventKind::HostRemoved, "host.remove", &host, actor, now).await
        })
        .await
    }
}

impl Reader {
    /// All hosts, by label, with their secrets opened.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if a secret does not open.
    pub async fn hosts(&self) -> Result<Vec<HostRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_hosts()));
        }
        let rows = query("SELECT * FROM hosts ORDER BY label")
            .fetch_all(self.named("hosts"))
            .await?;
        each(&rows, |row| host(&self.shared.sealer, row))
    }

    /// One host.
    ///
    /// # Errors
    /// As [`Reader::hosts`].
    pub async fn host(&self, id: HostId) -> Result<Option<HostRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.host_by_id(id)));
        }
        let row = query("SELECT * FROM hosts WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.named("host"))
            .await?;
        row.map(|row| host(&self.shared.sealer, &row)).transpose()
    }

    /// The host with this label.
    ///
    /// # Errors
    /// As [`Reader::hosts`].
    pub async fn host_by_label(&self, label: &str) -> Result<Option<HostRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.host_by_label(label)));
        }
        if is_no_name(label) {
            return Ok(None);
        }
        let row = query("SELECT * FROM hosts WHERE label = $1")
            .bind(label)
            .fetch_optional(self.named("host_by_label"))
            .await?;
        row.map(|row| host(&self.shared.sealer, &row)).transpose()
    }
}

fn not_found(id: HostId) -> StoreError {
    let id = id.to_string();
    StoreError::NotFound { what: "host", id }
}

/// Refuses a second entry with the same label or for the same cluster; where both are there, by the cluster.
async fn refuse_twins(tx: &mut Tx, host: &HostRecord) -> Result<(), StoreError> {
    let twin = query(
        "SELECT label, cluster_key FROM hosts WHERE id <> $1 AND (label = $2 OR cluster_key = $3) \
         ORDER BY CASE WHEN cluster_key = $3 THEN 0 ELSE 1 END LIMIT 1",
    )
    .bind(host.id.to_string())
    .bind(host.label.as_str())
    .bind(&host.cluster_key)
    .fetch_optional(tx)
    .await?;
    let Some(twin) = twin else { return Ok(()) };
    let label = twin.text("label")?;
    let key = twin.text("cluster_key")?;
    Err(if key == host.cluster_key {
        let id = format!("{label} ({key})");
        StoreError::Exists {
            what: "cluster, as host",
            id,
        }
    } else {
        StoreError::Exists {
            what: "host",
            id: label,
        }
    })
}

async fn insert(tx: &mut Tx, sealer: &Sealer, host: &HostRecord) -> Result<(), StoreError> {
    let id = host.id.to_string();
    let (ssh, ssh_key) = stored_ssh(sealer, host)?;
    let added = query(
        "INSERT INTO hosts (id, label, cluster_key, endpoints, token_id, token_secret_sealed, ssh, \
         ssh_private_key_sealed, pool, storage, template_storage, bridge, pve_version, created_at, \
         placement, known_nodes, purpose_tokens) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING",
    )
    .bind(&id)
    .bind(host.label.as_str())
    .bind(&host.cluster_key)
    .bind(to_json("endpoints", &host.endpoints)?)
    .bind(&host.token_id)
    .bind(sealer.seal(token_place(&id), host.token_secret.expose_secret())?)
    .bind(ssh)
    .bind(ssh_key)
    .bind(host.pool.as_ref().map(|p| p.as_str()))
    .bind(host.storage.as_str())
    .bind(host.template_storage.as_str())
    .bind(host.bridge.as_str())
    .bind(&host.pve_version)
    .bind(host.created_at.0)
    .bind(to_json("placement", &host.placement)?)
    .bind(to_json("known_nodes", &host.known_nodes)?)
    .bind(sealed_tokens(sealer, &id, &host.purpose_tokens)?)
    .execute(tx)
    .await?;
    match added.rows_affected() {
        0 => Err(StoreError::Exists { what: "host", id }),
        _ => Ok(()),
    }
}

pub(crate) async fn update(
    tx: &mut Tx,
    sealer: &Sealer,
    host: &HostRecord,
) -> Result<(), StoreError> {
    let id = host.id.to_string();
    let (ssh, ssh_key) = stored_ssh(sealer, host)?;
    let changed = query(
        "UPDATE hosts SET label = $2, cluster_key = $3, endpoints = $4, token_id = $5, \
         token_secret_sealed = $6, ssh = $7, ssh_private_key_sealed = $8, pool = $9, storage = $10, \
         template_storage = $11, bridge = $12, pve_version = $13, placement = $14, known_nodes = $15, \
         purpose_tokens = $16 \
         WHERE id = $1",
    )
    .bind(&id)
    .bind(host.label.as_str())
    .bind(&host.cluster_key)
    .bind(to_json("endpoints", &host.endpoints)?)
    .bind(&host.token_id)
    .bind(sealer.seal(token_place(&id), host.token_secret.expose_secret())?)
    .bind(ssh)
    .bind(ssh_key)
    .bind(host.pool.as_ref().map(|p| p.as_str()))
    .bind(host.storage.as_str())
    .bind(host.template_storage.as_str())
    .bind(host.bridge.as_str())
    .bind(&host.pve_version)
    .bind(to_json("placement", &host.placement)?)
    .bind(to_json("known_nodes", &host.known_nodes)?)
    .bind(sealed_tokens(sealer, &id, &host.purpose_tokens)?)
    .execute(tx)
    .await?;
    match changed.rows_affected() {
        0 => Err(not_found(host.id)),
        _ => Ok(()),
    }
}

type StoredSshColumns = (Option<String>, Option<String>);

fn stored_ssh(sealer: &Sealer, host: &HostRecord) -> Result<StoredSshColumns, StoreError> {
    let Some(ssh) = &host.ssh else {
        return Ok((None, None));
    };
    let open = StoredSsh {
        kind: ssh.kind,
        user: ssh.user.clone(),
        public_key: ssh.public_key.clone(),
        nodes: ssh.nodes.clone(),
    };
    let id = host.id.to_string();
    let key = sealer.seal(ssh_place(&id), ssh.private_key.expose_secret())?;
    Ok((Some(to_json("ssh", &open)?), Some(key)))
}

/// How many apps still need the host.
pub(crate) async fn users(tx: &mut Tx, id: HostId) -> Result<usize, StoreError> {
    let apps: i64 = query_scalar(
        "SELECT COUNT(*) FROM (\
         SELECT id FROM apps WHERE host_id = $1 AND archived_at IS NULL \
         UNION SELECT COALESCE(app_id, id) FROM guests WHERE host_id = $1 AND gone_at IS NULL \
         UNION SELECT o.app_id FROM operations o JOIN apps a ON a.id = o.app_id \
         WHERE a.host_id = $1 AND o.finished_at IS NULL \
         UNION SELECT id FROM prepared_templates WHERE host_id = $1 AND gone_at IS NULL) AS users",
    )
    .bind(id.to_string())
    .fetch_one(tx)
    .await?;
    usize::try_from(apps).map_err(|e| damaged("count", e.to_string()))
}

pub(crate) async fn announce(
    tx: &mut Tx,
    kind: EventKind,
    action: &str,
    host: &HostRecord,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    let body = open_part(host);
    let event = NewEvent {
        kind,
        body: body.clone(),
    };
    add_event(tx, &event, None, None, now).await?;
    add_audit(
        tx,
        actor,
        Act::request(action, host.label.as_str(), body),
        now,
    )
    .await
}

/// What may be told of a host: nothing that opens a door.
pub(crate) fn open_part(host: &HostRecord) -> Value {
    let urls: Vec<&str> = host.endpoints.iter().map(|e| e.url.as_str()).collect();
    json!({
        "id": host.id,
        "label": host.label,
        "cluster_key": host.cluster_key,
        "endpoints": urls,
        "token_id": host.token_id,
        "tokens": token_ids(&host.purpose_tokens),
        "guest_access": host.ssh.is_some(),
        "placement": host.placement,
        "known_nodes": host.known_nodes,
    })
}

fn token_place(id: &str) -> Place<'_> {
    Place {
        table: "hosts",
        id,
        column: "token_secret_sealed",
    }
}

fn ssh_place(id: &str) -> Place<'_> {
    Place {
        table: "hosts",
        id,
        column: "ssh_private_key_sealed",
    }
}

fn host(sealer: &Sealer, row: &Row) -> Result<HostRecord, StoreError> {
    let id = row.text("id")?;
    let token_secret = sealer.unseal(token_place(&id), &row.text("token_secret_sealed")?)?;
    let ssh_key = row.text_opt("ssh_private_key_sealed")?;
    let ssh = match (row.json_opt::<StoredSsh>("ssh")?, ssh_key) {
        (Some(open), Some(sealed)) => Some(SshAccess {
            kind: open.kind,
            user: open.user,
            private_key: sealer.unseal(ssh_place(&id), &sealed)?,
            public_key: open.public_key,
            nodes: open.nodes,
        }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(damaged("ssh", "one half is missing")),
    };
    Ok(HostRecord {
        id: row.parsed("id")?,
        label: row.parsed("label")?,
        cluster_key: row.text("cluster_key")?,
        endpoints: row.json("endpoints")?,
        token_id: row.text("token_id")?,
        token_secret,
        purpose_tokens: unsealed_tokens(sealer, &id, row.json("purpose_tokens")?)?,
        ssh,
        pool: row.parsed_opt("pool")?,
        storage: row.parsed("storage")?,
        template_storage: row.parsed("template_storage")?,
        bridge: row.parsed("bridge")?,
        placement: row.json("placement")?,
        known_nodes: row.json("known_nodes")?,
        pve_version: row.text("pve_version")?,
        created_at: row.moment("created_at")?,
    })
}
