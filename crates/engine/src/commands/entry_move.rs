//! Moving an app to what the catalog has by now in place of the entry that it was made from. It is part of a change in place.

use std::sync::Arc;

use proximity_domain::create::Refusal;
use proximity_store::records::AppRecord;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::create_app::refuse_unpinned;
use super::update_app::{FieldChange, UpdateApp};
use crate::catalog::{Base, CatalogEntry, Offered};
use crate::engine::Engine;
use crate::error::EngineError;

/// Digits of what stands for a text that people read.
const DIGITS: usize = 12;

/// An entry that an app is moved to. Its text is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EntryInput {
    /// Stands for what it says.
    pub(crate) hash: String,
    /// Its version.
    pub(crate) version: String,
}

impl Engine {
    /// The entry by which the app is changed: the one that it was made from, or, where it is to be moved and there is another one, that of
    /// the catalog, which is given once more then.
    pub(super) async fn entry_for(
        &self,
        app: &AppRecord,
        request: &UpdateApp,
    ) -> Result<(Arc<CatalogEntry>, Option<Arc<Offered>>), EngineError> {
        let own = self.entry_of(app).await?;
        if request.newest_entry
            && let Some(offered) = self.newer_entry(app)
        {
            may_move(app, own.as_deref(), &offered.entry)?;
            refuse_unpinned(&offered.entry, request.allow_unpinned)?;
            return Ok((Arc::clone(&offered.entry), Some(offered)));
        }
        let unknown = || Refusal::UnknownCatalogId(app.catalog_id.clone());
        Ok((own.ok_or_else(unknown)?, None))
    }

    /// Keeps the text of what an app is moved to, before anything of the move is on record.
    pub(super) async fn kept_for_move(
        &self,
        moves_to: Option<&Offered>,
    ) -> Result<Option<EntryInput>, EngineError> {
        let Some(offered) = moves_to else {
            return Ok(None);
        };
        let (store, revision) = (self.store(), &offered.revision);
        store.keep_entry_revision(revision, self.now()).await?;
        Ok(Some(EntryInput {
            hash: revision.hash.clone(),
            version: offered.entry.version.clone(),
        }))
    }
}

/// What is decided when a container is made is not changed in place.
fn may_move(
    app: &AppRecord,
    own: Option<&CatalogEntry>,
    to: &CatalogEntry,
) -> Result<(), EngineError> {
    let what = if to.port != app.guest_port {
        format!("listens on port {} instead of {}", to.port, app.guest_port)
    } else if own.is_some_and(|own| own.base != to.base) {
        match &to.base {
            Base::Template(template) => format!("is installed on {template}"),
            Base::Image(image) => format!("is made of the image {image}, or starts it otherwise"),
        }
    } else {
        return Ok(());
    };
    Err(EngineError::NotUpdated {
        code: "needs_replacement",
        message: format!(
            "version {} of {} {what}: {} is not moved to it in place",
            to.version, to.id, app.hostname
        ),
    })
}

/// What a move is, as a difference: also where the other entry comes from, which need not be where the app's own came from.
pub(super) fn difference(app: &AppRecord, to: &Offered) -> FieldChange {
    let shown = |version: &str, hash: &str| {
        let hash = hash.get(..DIGITS).unwrap_or(hash);
        format!("{version} ({hash})")
    };
    let from = app.entry_hash.as_deref();
    let now = shown(&to.entry.version, &to.revision.hash);
    FieldChange {
        path: "entry".to_owned(),
        from: json!(from.map(|hash| shown(&app.catalog_version, hash))),
        to: json!(format!("{now} of {}", to.origin.label())),
    }
}
