//! What is on record, as a plan looks at it: all of it, or as much as few documents mean.
//!
//! A plan that does not prune decides of each app that is wanted by the app that has its name, by the one that has its container, and by nothing
//! else on record; what changes wait for is among the documents. So of few documents no more is read.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::{AppId, HostId, Vmid};
use proximity_domain::names::BridgeName;
use proximity_domain::plan::{Recorded, Wanted, WantedKind};
use proximity_domain::recorded::RecordedGuest;
use proximity_store::desired::DesiredTies;
use proximity_store::records::AppRecord;
use serde_json::Value;

use crate::engine::Engine;
use crate::error::EngineError;

/// Of so many apps, or places, the record is read one by one; of more it is read whole.
pub(super) const FEW: usize = 32;

/// Host entry and number of a container.
pub(super) type Spot = (HostId, Vmid);

/// Live apps, and their containers by place.
#[derive(Default)]
pub(super) struct OnRecord {
    pub(super) apps: Vec<Recorded>,
    pub(super) guests: BTreeMap<Spot, RecordedGuest>,
}

/// Who asks, and what is recorded of apps elsewhere.
struct Beside<'a> {
    owner: Option<&'a str>,
    guards: BTreeSet<AppId>,
    ties: BTreeMap<AppId, DesiredTies>,
    /// Of host entries.
    bridges: BTreeMap<HostId, BridgeName>,
}

async fn bridges(engine: &Engine) -> Result<BTreeMap<HostId, BridgeName>, EngineError> {
    let hosts = engine.store().hosts().await?.into_iter();
    Ok(hosts.map(|host| (host.id, host.bridge)).collect())
}

impl OnRecord {
    fn take(
        &mut self,
        apps: impl IntoIterator<Item = AppRecord>,
        mut guests: BTreeMap<AppId, Vec<RecordedGuest>>,
        beside: &mut Beside<'_>,
    ) {
        for app in apps {
            // Of several the newest is the app's.
            let guest = guests.remove(&app.id).and_then(|mut guests| guests.pop());
            let place = guest.as_ref().map(|guest| guest.place().clone());
            let is_own = beside.owner.is_none_or(|owner| owner == app.owner);
            let is_guarded = beside.guards.contains(&app.id);
            let ties = beside.ties.remove(&app.id);
            let recorded = Recorded {
                bridge: beside.bridges.get(&app.host).cloned(),
                ..on_record(app, place.as_ref(), is_own, is_guarded)
            };
            self.apps.push(tied(recorded, ties));
            if let (Some(guest), Some(place)) = (guest, place) {
                self.guests.insert((place.host, place.vmid), guest);
            }
        }
    }
}

/// All live apps.
pub(super) async fn whole(engine: &Engine, owner: Option<&str>) -> Result<OnRecord, EngineError> {
    let store = engine.store();
    let guards = store.guards().await?;
    let ties = store.desired_ties().await?.into_iter();
    let mut beside = Beside {
        owner,
        guards: guards.iter().map(|guarded| guarded.app).collect(),
        ties: ties.map(|ties| (ties.app, ties)).collect(),
        bridges: bridges(engine).await?,
    };
    let mut found = OnRecord::default();
    let mut after = None;
    loop {
        let page = store.apps_by_id(after).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let ids: Vec<AppId> = page.iter().map(|app| app.id).collect();
        let guests = store.guests_of_apps(&ids).await?;
        found.take(page, guests, &mut beside);
    }
    Ok(found)
}

/// Those that have the name of an app that is wanted, or the container of one.
pub(super) async fn meant(
    engine: &Engine,
    owner: Option<&str>,
    wanted: &[Wanted],
) -> Result<OnRecord, EngineError> {
    let mut apps = BTreeMap::new();
    for one in wanted {
        let named = engine.store().app_by_hostname(one.name.as_str()).await?;
        apps.extend(named.map(|app| (app.id, app)));
    }
    let places = wanted.iter().filter_map(|one| match &one.kind {
        WantedKind::Adopted(adopted) => Some((adopted.host, adopted.vmid)),
        WantedKind::App(_) => None,
    });
    let places: BTreeSet<Spot> = places.collect();
    hold_places(engine, &mut apps, &places).await?;
    part(engine, owner, apps).await
}

/// Those whose containers are at these places; of many places all there are.
pub(super) async fn at(
    engine: &Engine,
    owner: Option<&str>,
    places: &BTreeSet<Spot>,
) -> Result<OnRecord, EngineError> {
    if places.len() > FEW {
        return whole(engine, owner).await;
    }
    let mut apps = BTreeMap::new();
    hold_places(engine, &mut apps, places).await?;
    part(engine, owner, apps).await
}

/// Adds the live apps that hold these places.
async fn hold_places(
    engine: &Engine,
    apps: &mut BTreeMap<AppId, AppRecord>,
    places: &BTreeSet<Spot>,
) -> Result<(), EngineError> {
    let store = engine.store();
    for (host, vmid) in places {
        let Some(guest) = store.recorded_guest_at(*host, *vmid).await? else {
            continue;
        };
        if apps.contains_key(&guest.app()) {
            continue;
        }
        let app = store.app(guest.app()).await?;
        apps.extend(app.map(|app| (app.id, app)));
    }
    Ok(())
}

/// These apps with what is recorded of them elsewhere.
async fn part(
    engine: &Engine,
    owner: Option<&str>,
    apps: BTreeMap<AppId, AppRecord>,
) -> Result<OnRecord, EngineError> {
    let store = engine.store();
    let ids: Vec<AppId> = apps.keys().copied().collect();
    let mut guards = BTreeSet::new();
    for id in &ids {
        if store.guarded_since(*id).await?.is_some() {
            guards.insert(*id);
        }
    }
    let ties = store.desired_ties_of(&ids).await?.into_iter();
    let mut beside = Beside {
        owner,
        guards,
        ties: ties.map(|ties| (ties.app, ties)).collect(),
        bridges: bridges(engine).await?,
    };
    let guests = store.guests_of_apps(&ids).await?;
    let mut found = OnRecord::default();
    found.take(apps.into_values(), guests, &mut beside);
    Ok(found)
}

/// Which of these places are those of containers of an account's apps.
pub(super) async fn own_places(
    engine: &Engine,
    owner: &str,
    places: &BTreeSet<Spot>,
) -> Result<BTreeSet<Spot>, EngineError> {
    let found = at(engine, Some(owner), places).await?;
    let own = found.apps.iter().filter(|one| one.is_own);
    let own = own.filter_map(|one| Some((one.host, one.vmid?)));
    Ok(own.filter(|place| places.contains(place)).collect())
}

fn on_record(
    app: AppRecord,
    place: Option<&ContainerRef>,
    is_own: bool,
    guarded: bool,
) -> Recorded {
    let settings = match app.environment {
        Value::Object(settings) => settings.into_iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            BTreeMap::new()
        }
    };
    Recorded {
        id: app.id,
        name: app.hostname,
        class: app.class,
        is_own,
        status: app.status.label(),
        busy: app.operation,
        catalog_id: app.catalog_id,
        host: app.host,
        node: place.map_or(app.node, |place| place.node.clone()),
        vmid: place.map(|place| place.vmid),
        resources: app.resources,
        settings,
        port: app.guest_port,
        exposed: app.exposed,
        guarded,
        made_with: app.made_with,
        bridge: None,
        site: app.site.map(|of| of.site),
        depends_on: Vec::new(),
        secrets: BTreeMap::new(),
    }
}

/// An app on record with what was wanted of it last.
fn tied(recorded: Recorded, ties: Option<DesiredTies>) -> Recorded {
    match ties {
        Some(ties) => Recorded {
            depends_on: ties.depends_on,
            secrets: ties.secrets,
            ..recorded
        },
        None => recorded,
    }
}
