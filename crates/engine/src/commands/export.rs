//! `GET /api/export`: what is on record, as documents of desired state. No cluster is asked.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::export::{self, Exported, LeftOut};
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::names::{HostLabel, Hostname};

use super::plan;
use crate::engine::Engine;
use crate::error::EngineError;

/// Which apps are written, and how.
#[derive(Debug, Clone, Default)]
pub struct Export {
    /// The account whose apps are written; `None` = all.
    pub owner: Option<String>,
    /// Only these; `None` = all.
    pub apps: Option<BTreeSet<AppId>>,
    /// Only those of this host entry; `None` = all.
    pub host: Option<HostId>,
    /// With whether each runs, as that is on record.
    pub power: bool,
}

/// What is on record, as documents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exports {
    /// By name.
    pub documents: Vec<Exported>,
    /// Apps of which there is no document, likewise.
    pub left_out: Vec<NotExported>,
}

/// An app of which there is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotExported {
    /// Its id.
    pub app: AppId,
    /// Its host name.
    pub name: Hostname,
    /// Why.
    pub why: LeftOut,
}

impl Engine {
    /// The apps on record as documents that plan to nothing, as long as no cluster differs from the record.
    ///
    /// # Errors
    /// The database's.
    pub async fn export(&self, request: Export) -> Result<Exports, EngineError> {
        let hosts = self.store().hosts().await?;
        let labels = hosts.iter().map(|host| (host.id, &host.label));
        let labels: BTreeMap<HostId, &HostLabel> = labels.collect();
        let mut recorded = plan::recorded(self, request.owner.as_deref()).await?;
        recorded.retain(|one| {
            let is_meant = request
                .apps
                .as_ref()
                .is_none_or(|ids| ids.contains(&one.id));
            let is_there = request.host.is_none_or(|host| host == one.host);
            one.is_own && is_meant && is_there
        });
        recorded.sort_by(|a, b| a.name.cmp(&b.name));
        let mut exports = Exports::default();
        for one in recorded {
            let host = labels.get(&one.host).copied();
            // Which document an app was made by is not on record yet.
            match export::document(&one, host, None, request.power) {
                Ok(mut written) => {
                    let refused = plan::refused(self.catalog(), &hosts, &written.document);
                    written.notes.extend(refused);
                    exports.documents.push(written);
                }
                Err(why) => exports.left_out.push(NotExported {
                    app: one.id,
                    name: one.name,
                    why,
                }),
            }
        }
        Ok(exports)
    }
}
