//! Which apps one is kept apart from, and the passwords of root that nobody was shown yet.
//!
//! A password is sealed in the commit that records its app, read by the operation that makes the container, and forgotten in the commit that
//! gives it to whoever asks for it first, or that archives the app. There is no other way to it.

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::AppId;
use proximity_domain::names::Hostname;
use proximity_domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::apps::{live_app, not_live};
use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::{Actor, AppRecord, NewApp};
use crate::row::to_json;
use crate::seal::{Place, Sealer};
use crate::sites::refuse;
use crate::sql::{Tx, query, query_scalar};
use crate::store::{Reader, Store};

/// By which names it is audited.
pub(crate) const KEEP_APART: &str = "app.keep_apart";
pub(crate) const SHOW_PASSWORD: &str = "app.show_root_password";

impl Store {
    /// Keeps an app apart from these from now on, whenever a node is chosen for it or for one of them. Its container stays where it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the app is not live; [`StoreError::Busy`] while an operation works on it.
    pub async fn keep_apart(
        &self,
        app: AppId,
        from: Vec<Hostname>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.keep_apart(app, from, actor, now));
        }
        self.write(async |tx| {
            let live = live_app(tx, app).await?.ok_or_else(|| not_live(app))?;
            refuse(&live)?;
            let mut made_with = live.made_with.clone();
            made_with.apart_from.clone_from(&from);
            query("UPDATE apps SET made_with = $2 WHERE id = $1")
                .bind(app.to_string())
                .bind(to_json("made_with", &made_with)?)
                .execute(&mut *tx)
                .await?;
            let target = app.to_string();
            let act = Act::request(KEEP_APART, &target, audited(&live, &from));
            add_audit(tx, actor, act, now).await?;
            live_app(tx, app).await?.ok_or_else(|| not_live(app))
        })
        .await
    }

    /// Gives root's password of an app, once: it is forgotten in the same commit.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the app is not live, or there is none, or it was shown; [`StoreError::Busy`] while an operation works on
    /// the app; [`StoreError::IllegalTransition`] if its container was not made yet.
    pub async fn show_root_password(
        &self,
        app: AppId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<SecretString, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.show_root_password(app, actor, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            let live = live_app(tx, app).await?.ok_or_else(|| not_live(app))?;
            let id = app.to_string();
            let sealed: Option<String> = query_scalar(SEALED)
                .bind(&id)
                .fetch_optional(&mut *tx)
                .await?;
            let sealed = sealed.ok_or_else(|| no_password(app))?;
            refuse_early(&live)?;
            let password = sealer.unseal(place(&id), &sealed)?;
            forget(tx, &id).await?;
            let details = json!({ "hostname": live.hostname });
            let act = Act::request(SHOW_PASSWORD, &id, details);
            add_audit(tx, actor, act, now).await?;
            Ok(password)
        })
        .await
    }
}

impl Reader {
    /// Root's password of an app, for the operation that makes its container; `None` if it has none, or it was shown.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if it does not open.
    pub async fn root_password(&self, app: AppId) -> Result<Option<SecretString>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.root_password(app)));
        }
        let id = app.to_string();
        let sealed: Option<String> = query_scalar(SEALED)
            .bind(&id)
            .fetch_optional(self.named("root_password"))
            .await?;
        let opened = sealed.map(|sealed| self.shared.sealer.unseal(place(&id), &sealed));
        opened.transpose()
    }
}

const SEALED: &str = "SELECT password_sealed FROM root_passwords WHERE app_id = $1";

/// Writes down the password of a new app.
pub(crate) async fn keep_password(
    tx: &mut Tx,
    sealer: &Sealer,
    app: &NewApp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(password) = &app.root_password else {
        return Ok(());
    };
    let id = app.id.to_string();
    query("INSERT INTO root_passwords (app_id, password_sealed, made_at) VALUES ($1, $2, $3)")
        .bind(&id)
        .bind(sealer.seal(place(&id), password.expose_secret())?)
        .bind(now.0)
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets the password of an app, if it has one.
pub(crate) async fn forget(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    query("DELETE FROM root_passwords WHERE app_id = $1")
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Refuses a password as long as no container has it for good: a deploy that failed needs it once more when it is repeated.
pub(crate) fn refuse_early(app: &AppRecord) -> Result<(), StoreError> {
    refuse(app)?;
    match app.status.label() {
        StatusLabel::Running | StatusLabel::Stopped => Ok(()),
        status @ (StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error) => {
            let what = format!(
                "{} is {}: root's password is shown once it is deployed",
                app.hostname,
                status.label()
            );
            Err(StoreError::IllegalTransition { what })
        }
    }
}

pub(crate) fn no_password(app: AppId) -> StoreError {
    let id = app.to_string();
    StoreError::NotFound {
        what: "root password that was not shown yet, of app",
        id,
    }
}

/// What is audited of apps that one is kept apart from.
pub(crate) fn audited(app: &AppRecord, from: &[Hostname]) -> Value {
    json!({ "hostname": app.hostname, "apart_from": from })
}

fn place(id: &str) -> Place<'_> {
    Place {
        table: "root_passwords",
        id,
        column: "password_sealed",
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::made_with::MadeWith;
    use rusqlite::Connection;

    use super::*;
    use crate::migrate::{MIGRATIONS, bring_up};

    /// What deploys were asked for before there was a column for it is what their apps were made with; the newest deploy counts.
    #[test]
    fn what_deploys_were_asked_for_is_on_their_apps_record() {
        const FILL: &str = r#"
            INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status, status_full,
                status_changed_at, resources, environment, environment_sealed, guest_port, created_at)
                VALUES ('a', 'native', 'admin', 'web', 'nginx', '1', 'h', 'pve1', 'running', '', 1, '', '', 'x', 80, 1),
                    ('b', 'native', 'admin', 'old', 'nginx', '1', 'h', 'pve1', 'running', '', 1, '', '', 'x', 80, 1);
            INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, percent, cancel_requested,
                epoch, created_at, finished_at)
                VALUES ('o', 'deploy', 'a', 'failed', '', '{"root_keys":["k"]}', 'admin', 100, 0, 1, 1, 2),
                    ('p', 'deploy', 'a', 'succeeded', '', '{"network":{"vlan":30},"root_keys":["k"]}', 'admin', 100, 0, 1, 3, 4),
                    ('q', 'stop', 'a', 'succeeded', '', '{"force":true}', 'admin', 100, 0, 1, 5, 6),
                    ('r', 'deploy', 'b', 'succeeded', '', 'null', 'admin', 100, 0, 1, 1, 2);"#;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.db");
        let mut connection = Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        let before: Vec<_> = MIGRATIONS
            .iter()
            .copied()
            .filter(|migration| migration.version < 34)
            .collect();
        bring_up(&mut connection, &path, &before, Timestamp(1)).unwrap();
        connection.execute_batch(FILL).unwrap();
        bring_up(&mut connection, &path, MIGRATIONS, Timestamp(2)).unwrap();
        let made_with = |id: &str| -> MadeWith {
            let sql = "SELECT made_with FROM apps WHERE id = ?1";
            let text: String = connection.query_row(sql, [id], |row| row.get(0)).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let web = made_with("a");
        assert_eq!((web.network.vlan, web.root_keys.len()), (Some(30), 1));
        assert!(made_with("b").is_usual());
    }
}
