//! Whether the gateway leads an adopted app's ports to its container. A native app's always do.

use proximity_domain::app::AppClass;
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::apps::{live_app, not_live};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::{Act, add_audit, add_event};
use crate::records::{Actor, AppRecord};
use crate::sql::query;
use crate::store::Store;

/// What a person wants of an adopted app's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// The gateway listens on them and leads to the container, to this port or to the one on record.
    Open(Option<u16>),
    /// It does not; the ports stay reserved.
    Closed,
}

impl Exposure {
    /// What is told of it, and by which name it is audited.
    pub(crate) fn told(self, app: &AppRecord) -> (NewEvent, &'static str) {
        match self {
            Self::Open(port) => {
                let container_port = port.unwrap_or(app.guest_port);
                let body = json!({
                    "hostname": app.hostname,
                    "ports": app.ports,
                    "container_port": container_port,
                });
                let kind = EventKind::AppExposed;
                (NewEvent { kind, body }, "app.expose")
            }
            Self::Closed => {
                let body = json!({ "hostname": app.hostname, "ports": app.ports });
                let kind = EventKind::AppHidden;
                (NewEvent { kind, body }, "app.unexpose")
            }
        }
    }

    /// As columns: open, and another port inside.
    pub(crate) fn parts(self) -> (bool, Option<u16>) {
        match self {
            Self::Open(port) => (true, port),
            Self::Closed => (false, None),
        }
    }
}

/// Refuses what is not adopted, and what an operation works on: then it is that operation's to say.
pub(crate) fn refuse(app: &AppRecord) -> Result<(), StoreError> {
    if let Some(operation) = app.operation {
        let app = app.id;
        return Err(StoreError::Busy { app, operation });
    }
    match app.class {
        AppClass::Adopted => Ok(()),
        AppClass::Native => {
            let what = format!(
                "{} is no adopted app: it is led to as long as it runs",
                app.hostname
            );
            Err(StoreError::IllegalTransition { what })
        }
    }
}

impl Store {
    /// Opens or closes an adopted app's ports, on record. The same again changes nothing, and is told.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the app is not live; [`StoreError::Busy`] while an operation works on it;
    /// [`StoreError::IllegalTransition`] if it is native.
    pub async fn expose(
        &self,
        app: AppId,
        exposure: Exposure,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.expose(app, exposure, actor, now));
        }
        self.write(async |tx| {
            let live = live_app(tx, app).await?.ok_or_else(|| not_live(app))?;
            refuse(&live)?;
            let (open, port) = exposure.parts();
            query(
                "UPDATE apps SET exposed = $2, guest_port = COALESCE($3, guest_port), url = NULL, \
                 site_url = NULL, site_trouble = NULL WHERE id = $1",
            )
            .bind(app.to_string())
            .bind(i64::from(open))
            .bind(port.map(i64::from))
            .execute(&mut *tx)
            .await?;
            let (event, action) = exposure.told(&live);
            let (target, body) = (app.to_string(), event.body.clone());
            add_event(tx, &event, Some(app), None, now).await?;
            add_audit(tx, actor, Act::request(action, &target, body), now).await?;
            live_app(tx, app).await?.ok_or_else(|| not_live(app))
        })
        .await
    }
}
