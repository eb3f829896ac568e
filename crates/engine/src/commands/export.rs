//! `GET /api/export`: what is on record, as documents of desired state. No cluster is asked.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::export::{self, Exported, LeftOut};
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::manifest::Manifest;
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
    /// With whether each runs, as that is on record; else only of those whose documents said something of it.
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
        let own = recorded.iter().filter(|one| one.is_own);
        let names: BTreeSet<Hostname> = own.map(|one| one.name.clone()).collect();
        let applied = applied(self).await?;
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
            let spec = applied.get(&one.id).map(|spec| spec.among(&names));
            let before = spec.map(|spec| spec.manifest(&one.name));
            match export::document(&one, host, before.as_ref(), request.power) {
                Ok(mut written) => {
                    let refused = plan::refused(&self.catalog(), &hosts, &written.document);
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
        exports.tell_of_needs();
        Ok(exports)
    }
}

impl Exports {
    /// A document says what it depends on also where that is not asked for: it is no whole without that.
    fn tell_of_needs(&mut self) {
        let names: BTreeSet<String> = self
            .documents
            .iter()
            .map(|one| one.document.name().to_owned())
            .collect();
        for one in &mut self.documents {
            let needs = match &one.document {
                Manifest::App { spec, .. } => &spec.depends_on,
                Manifest::AdoptedApp { spec, .. } => &spec.depends_on,
                Manifest::Stack { .. } | Manifest::Values { .. } => continue,
            };
            let missing = needs.iter().filter(|need| !names.contains(need.as_str()));
            let notes: Vec<String> = missing
                .map(|need| {
                    format!("it depends on {need}, whose document is not among these: give it together with this one")
                })
                .collect();
            one.notes.extend(notes);
        }
    }
}

/// What is wanted of each app since it was applied last. Where that goes in a circle, for it was applied at different times, the circle is
/// broken: no documents may go in one.
pub(super) async fn applied(engine: &Engine) -> Result<BTreeMap<AppId, DesiredSpec>, EngineError> {
    let all = engine.store().all_desired().await?.into_iter();
    let of_apps = all.filter_map(|one| Some((one.name, (one.app?, one.spec?))));
    let of_apps: BTreeMap<Hostname, (AppId, DesiredSpec)> = of_apps.collect();
    let specs = of_apps
        .iter()
        .map(|(name, (_, spec))| (name.clone(), spec.clone()));
    let mut specs: Documents = specs.collect();
    specs.break_circles();
    let each = of_apps
        .iter()
        .filter_map(|(name, (app, _))| Some((*app, specs.get(name)?.clone())));
    Ok(each.collect())
}
