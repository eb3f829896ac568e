//! What other apps have to do with a new one: who has an address that it is to be given, and where those are that it is kept apart from.

use std::collections::HashMap;

use proximity_domain::ids::HostId;
use proximity_domain::names::{HostLabel, Hostname, NodeName};
use proximity_domain::network::{self, Holder, Network, Segment};
use proximity_store::records::{AppRecord, HostRecord};
use proximity_store::views::AppFilter;

use super::create_app::{CreateApp, bridge_of};
use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Where the apps are on record now that this one is kept apart from: those that it names, and those that name it. One that is gone is
    /// nowhere. Apps that whoever asks may not see do not count.
    pub(super) async fn places_apart(
        &self,
        hostname: &Hostname,
        request: &CreateApp,
    ) -> Result<Vec<(HostLabel, NodeName)>, EngineError> {
        let store = self.store();
        let mut others = store.apps_apart_from(hostname).await?;
        for name in &request.apart_from {
            others.extend(store.app_by_hostname(name.as_str()).await?);
        }
        let sees_only = request.sees_only.as_deref();
        others.retain(|app| sees_only.is_none_or(|account| account == app.owner));
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let hosts = store.hosts().await?;
        let mut places = Vec::new();
        for app in others {
            let host = hosts.iter().find(|host| host.id == app.host);
            places.extend(host.map(|host| (host.label.clone(), app.node)));
        }
        Ok(places)
    }

    /// Which address that this request gives by hand is that of another app, by each of these host entries: one that was asked for at its
    /// deploy, or one that its container showed when it was looked at last, in the same network ([`Segment::meets`]). Only the record is
    /// asked, and only where an address is given; of others than apps nothing is known. An app of the same host name is none of them: it is
    /// the one that the same request made before, or the name is taken, which the store says.
    pub(super) async fn address_conflicts(
        &self,
        hostname: &Hostname,
        request: &CreateApp,
        hosts: &[HostRecord],
    ) -> Result<HashMap<HostId, network::Conflict>, EngineError> {
        let given = request.network.given();
        let mut conflicts = HashMap::new();
        if given.is_empty() {
            return Ok(conflicts);
        }
        let all = self.store().hosts().await?;
        for app in self.other_apps(hostname).await? {
            let Some(there) = all.iter().find(|host| host.id == app.host) else {
                continue;
            };
            let theirs = segment(there, &app.made_with.network);
            let near = hosts.iter();
            let near = near.filter(|host| segment(host, &request.network).meets(&theirs));
            let near: Vec<HostId> = near.map(|host| host.id).collect();
            if near.is_empty() {
                continue;
            }
            let holder = self.holder(&app, request.sees_only.as_deref()).await?;
            if let Some(taken) = network::conflict(&given, &[holder]) {
                for host in near {
                    conflicts.entry(host).or_insert_with(|| taken.clone());
                }
            }
        }
        Ok(conflicts)
    }

    /// The addresses that an app was given, and those that its containers show. It is named to those who may see it.
    async fn holder(
        &self,
        app: &AppRecord,
        sees_only: Option<&str>,
    ) -> Result<Holder, EngineError> {
        let mut addresses = app.made_with.network.given();
        for guest in self.store().recorded_guests(app.id).await? {
            let seen = self.store().interfaces(guest.id()).await?;
            let shown = seen.into_iter().flat_map(|seen| seen.interfaces);
            addresses.extend(shown.flat_map(|interface| interface.addresses));
        }
        let may_see = sees_only.is_none_or(|account| account == app.owner);
        Ok(Holder {
            app: may_see.then(|| app.hostname.to_string()),
            addresses,
        })
    }

    /// All live apps but the one of this name.
    async fn other_apps(&self, hostname: &Hostname) -> Result<Vec<AppRecord>, EngineError> {
        let mut others = Vec::new();
        let mut filter = AppFilter {
            per_page: AppFilter::MAX_PER_PAGE,
            ..AppFilter::default()
        };
        loop {
            let (page, _) = self.store().apps(filter.clone()).await?;
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id);
            others.extend(page.into_iter().filter(|app| app.hostname != *hostname));
        }
        Ok(others)
    }
}

fn segment<'a>(host: &'a HostRecord, network: &'a Network) -> Segment<'a> {
    Segment {
        host: host.id,
        lan: host.placement.lan.as_ref(),
        bridge: bridge_of(host, network),
        vlan: network.vlan,
    }
}
