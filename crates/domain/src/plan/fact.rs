//! What a plan stands on: of all that was looked at for an app, as much as what is done about it follows from.
//!
//! What changes by itself and decides nothing is no part of it: a list that is told anew every few seconds, the power of an app
//! that nobody wants to run or to stand still, the node of one that stays as it is. What keeps a change back is judged whenever a plan
//! is to be carried out, and names no state.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::namesakes::Namesake;
use super::state::{Observed, Recorded, Sight};
use super::{Act, Change, Downtime};
use crate::app::AppClass;
use crate::create::Resources;
use crate::ids::{AppId, HostId, Vmid};
use crate::made_with::MadeWith;
use crate::names::{CatalogId, Hostname, NodeName, SecretName};
use crate::site::Site;

/// What was looked at for one app.
pub(super) struct Fact<'a> {
    pub(super) name: &'a Hostname,
    /// The apps on record that are meant.
    pub(super) recorded: Vec<&'a Recorded>,
    pub(super) sight: Option<Sight<'a>>,
    pub(super) namesakes: Vec<&'a Namesake>,
    /// The versions of the secrets that are wanted; none of one that there is not.
    pub(super) secrets: BTreeMap<&'a SecretName, Option<&'a i64>>,
}

/// What the decision about one app stands on.
#[derive(Serialize)]
pub(super) struct Ground<'a> {
    name: &'a Hostname,
    apps: Vec<AppId>,
    secrets: &'a BTreeMap<&'a SecretName, Option<&'a i64>>,
    /// Nothing of one that is as wanted: all that was compared is what the documents say, which the plan's digest names.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Changed<'a>>,
}

/// What is changed, and what it is now.
#[derive(Serialize)]
struct Changed<'a> {
    act: Act,
    downtime: Downtime,
    place: (Option<HostId>, Option<&'a NodeName>, Option<Vmid>),
    recorded: Vec<Record<'a>>,
    /// The state of the configuration that is changed or ends.
    config: Option<&'a str>,
    /// What would be destroyed with it.
    volumes: Option<&'a [String]>,
    namesakes: &'a [&'a Namesake],
}

/// An app on record, without what follows its container by itself.
#[derive(Serialize)]
struct Record<'a> {
    name: &'a Hostname,
    class: AppClass,
    is_own: bool,
    catalog_id: &'a CatalogId,
    host: HostId,
    vmid: Option<Vmid>,
    resources: &'a Resources,
    settings: &'a BTreeMap<String, Value>,
    port: u16,
    exposed: bool,
    guarded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_with: Option<&'a MadeWith>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a Site>,
    depends_on: &'a [Hostname],
    secrets: &'a BTreeMap<SecretName, i64>,
}

impl Fact<'_> {
    /// As much of it as this change stands on, which is the one about the same app.
    pub(super) fn ground<'g>(&'g self, change: &'g Change) -> Ground<'g> {
        let apps = self.recorded.iter().map(|one| one.id);
        Ground {
            name: self.name,
            apps: apps.collect(),
            secrets: &self.secrets,
            changed: (!change.is_quiet()).then(|| self.changed(change)),
        }
    }

    fn changed<'g>(&'g self, change: &'g Change) -> Changed<'g> {
        let place = &change.place;
        let seen: Option<&Observed> = match self.sight {
            Some(Sight::Seen(seen)) if is_of_container(change) => Some(seen),
            Some(_) | None => None,
        };
        let recorded = self.recorded.iter().map(|one| Record::of(one));
        Changed {
            act: change.act,
            downtime: change.downtime,
            place: (place.host_id, place.node.as_ref(), place.vmid),
            recorded: recorded.collect(),
            config: seen.and_then(|seen| seen.digest.as_deref()),
            volumes: seen.and_then(|seen| seen.volumes.as_deref()),
            namesakes: &self.namesakes,
        }
    }
}

impl<'a> Record<'a> {
    fn of(one: &'a Recorded) -> Self {
        Self {
            name: &one.name,
            class: one.class,
            is_own: one.is_own,
            catalog_id: &one.catalog_id,
            host: one.host,
            vmid: one.vmid,
            resources: &one.resources,
            settings: &one.settings,
            port: one.port,
            exposed: one.exposed,
            guarded: one.guarded,
            made_with: Some(&one.made_with).filter(|made| !made.is_usual()),
            site: one.site.as_ref(),
            depends_on: &one.depends_on,
            secrets: &one.secrets,
        }
    }
}

/// Its container is changed, taken over or destroyed, and not what is recorded of it alone.
fn is_of_container(change: &Change) -> bool {
    match change.act {
        Act::Create | Act::Replace | Act::Adopt | Act::Destroy => true,
        Act::Update => {
            let mut fields = change.fields.iter();
            change.class == AppClass::Native || fields.any(|field| field.path == "power")
        }
        Act::Forget | Act::NoOp => false,
    }
}
