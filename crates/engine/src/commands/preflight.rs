//! `POST /api/apps/preflight`: what a deploy would find, in numbers. Clusters are read, and nothing is made or promised.
//!
//! The request is taken apart, the nodes are looked at and the place is chosen by the very functions of [`Engine::create_app`].
//! What is asked beyond that is read at the place that was chosen: the rights of the host's tokens and the node's name servers.

use std::collections::BTreeSet;

use proximity_domain::create::Refusal;
use proximity_domain::names::{Hostname, NodeName, SiteName, Volid};
use proximity_domain::network::Network;
use proximity_domain::place;
use proximity_domain::preflight::{
    Facts, Line, NodeFacts, PlaceFacts, PortFacts, Reading, Unasked, Verdict, What, judge,
};
use proximity_domain::prepared::{Guess, Spot, likely};
use proximity_domain::site::Site;
use proximity_store::error::StoreError;
use proximity_store::records::{AppRecord, HostRecord};

use super::create_app::{CreateApp, Seen, bridge_of, invalid_name, no_node, upstream};
use super::deadline::{Deadline, no_time};
use super::plan::to_make;
use super::ports::RangeView;
use crate::engine::Engine;
use crate::error::{ADDRESS_HINT, EngineError, TOO_NARROW_HINT, no_place_row};
use crate::nodes::Promises;
use crate::store_errors::{ports_hint, store_row};

/// What a deploy would find now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// Nothing that was read speaks against it.
    pub deployable: bool,
    /// Host name as it was asked for.
    pub hostname: String,
    /// Label of the host entry, and node, that would be taken now; `None` if there is none.
    pub place: Option<(String, String)>,
    /// Everything that was looked at.
    pub lines: Vec<PreflightLine>,
}

/// One thing that was looked at, with the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightLine {
    /// What was read, and what it comes to.
    pub line: Line,
    /// What to do about it; empty where nothing is to be done.
    pub hint: String,
}

impl Engine {
    /// Looks at everything that decides whether this app can be made, and makes nothing: no record, no port, no promise.
    ///
    /// A moment later it may be otherwise; a deploy judges anew. What could not be read is a line that says so.
    ///
    /// # Errors
    /// The request itself is wrong, as [`Engine::create_app`] refuses it: names, settings, figures, host, node. The database's.
    pub async fn preflight(&self, request: CreateApp) -> Result<Preflight, EngineError> {
        let deadline = Deadline::of_request();
        let hostname = request.hostname.parse::<Hostname>();
        let hostname = hostname.map_err(|e| invalid_name(&e))?;
        if request.site.is_some() {
            self.refuse_without_names()?;
        }
        let mut wanted = self.wanted(&request)?;
        let hosts = self.candidate_hosts(request.host.as_deref()).await?;
        let taken = self.store().app_by_hostname(hostname.as_str()).await?;
        let site = self.site_facts(&hostname, request.site.as_ref()).await?;
        let seen = self.see_all(&hosts, &wanted, request.node.as_deref()).await;
        let promised = Promises::read(self.store()).await?;
        wanted.need.apart_from = self.places_apart(&hostname, &request).await?;
        let seen = Seen::of(&hosts, seen, &promised, &request);
        if seen.nodes.is_empty() && seen.out.is_empty() {
            return Err(no_node(request.node.as_deref()));
        }
        let [public, internal] = self.free_ports().await?;
        let chosen = place::place(&seen.nodes, &wanted.need).ok();
        let at = chosen.and_then(|at| Some((*seen.owners.get(at)?, seen.nodes.get(at)?)));
        let place = at.map(|(host, node)| (host.label.to_string(), node.node.to_string()));
        let at_place = match at {
            Some((host, node)) => {
                let network = &request.network;
                let mut conflicts = self.address_conflicts(&hostname, &request, &hosts).await?;
                let conflict = conflicts.remove(&host.id);
                let read = self.at_place(host, &node.node, network, deadline).await;
                Some(PlaceFacts { conflict, ..read })
            }
            None => None,
        };
        let packages = wanted.offered.entry.packages();
        let packages = packages.into_iter().map(str::to_owned).collect();
        let mut nodes = nodes(&seen, &request.network);
        if request.root_keys.is_empty() && !request.root_password {
            let disk_gib = wanted.need.resources.disk_gib;
            self.see_prepared(&seen, &mut nodes, &packages, disk_gib)
                .await?;
        }
        let facts = Facts {
            hostname,
            taken: taken.is_some(),
            site,
            need: wanted.need,
            network: request.network.clone(),
            unasked: unasked(&seen.out),
            nodes,
            public: port_facts(public),
            internal: port_facts(internal),
            at_place,
        };
        let judged = judge(&facts);
        let lines = judged.lines.iter().map(|line| PreflightLine {
            hint: hint(line, &facts, &seen.out),
            line: line.clone(),
        });
        Ok(Preflight {
            deployable: judged.is_deployable(),
            hostname: request.hostname,
            place,
            lines: lines.collect(),
        })
    }

    /// Finds of each node the prepared template that a deploy would clone there.
    async fn see_prepared(
        &self,
        seen: &Seen<'_>,
        nodes: &mut [NodeFacts],
        packages: &BTreeSet<String>,
        disk_gib: u32,
    ) -> Result<(), EngineError> {
        let policy = &self.inner.parts.limits.templates;
        if !policy.on {
            return Ok(());
        }
        let stock = self.store().prepared().await?;
        for (facts, host) in nodes.iter_mut().zip(&seen.owners) {
            let volume = facts.template.as_deref();
            let Some(os_template) = volume.and_then(|volume| volume.parse::<Volid>().ok()) else {
                continue;
            };
            let spot = Spot {
                host: host.id,
                node: facts.capacity.node.clone(),
                storage: host.storage.clone(),
            };
            let guess = Guess {
                spot: &spot,
                os_template: &os_template,
                packages,
                disk_gib,
            };
            facts.prepared = likely(&stock, &guess, policy, self.now());
        }
        Ok(())
    }

    /// The host name of the site that is asked for, and whether another app is led to under it.
    async fn site_facts(
        &self,
        hostname: &Hostname,
        site: Option<&Site>,
    ) -> Result<Option<(SiteName, bool)>, EngineError> {
        let Some(site) = site else {
            return Ok(None);
        };
        let has_it = |app: &AppRecord| {
            let of = app.site.as_ref();
            app.hostname != *hostname && of.is_some_and(|of| of.site.name == site.name)
        };
        let is_taken = self.live_apps().await?.iter().any(has_it);
        Ok(Some((site.name.clone(), is_taken)))
    }

    /// What only the place that was chosen is asked; of addresses the record is asked by the caller.
    async fn at_place(
        &self,
        host: &HostRecord,
        node: &NodeName,
        network: &Network,
        deadline: Deadline,
    ) -> PlaceFacts {
        let mut attached = host.clone();
        attached.bridge = bridge_of(host, network).clone();
        let rights = to_make(self, &attached, node, network.vlan, deadline).await;
        PlaceFacts {
            rights: rights.map_err(|e| e.to_string()),
            name_servers: self.name_servers(host, node, deadline).await,
            conflict: None,
        }
    }

    async fn name_servers(
        &self,
        host: &HostRecord,
        node: &NodeName,
        deadline: Deadline,
    ) -> Reading<Vec<String>> {
        let cluster = self.inner.clusters.get(host.id).await;
        let cluster = cluster.map_err(|e| e.to_string())?;
        let told = deadline.hold(cluster.read().node_dns(node)).await;
        let label = host.label.as_str();
        let late = || no_time(label, "its name servers are not known").to_string();
        let told = told.ok_or_else(late)?;
        told.map(|dns| dns.servers())
            .map_err(|e| upstream(label, &e).to_string())
    }
}

/// Each node with the names of what it was asked for.
fn nodes(seen: &Seen<'_>, network: &Network) -> Vec<NodeFacts> {
    let of = seen.nodes.iter().zip(&seen.owners);
    let of = of.zip(&seen.templates).zip(&seen.offers);
    of.map(|(((capacity, host), template), offer)| NodeFacts {
        capacity: capacity.clone(),
        template: template.clone(),
        offer: offer.clone(),
        prepared: None,
        storage: host.storage.to_string(),
        bridge: bridge_of(host, network).to_string(),
    })
    .collect()
}

fn unasked(out: &[(&HostRecord, EngineError)]) -> Vec<Unasked> {
    out.iter()
        .map(|(host, e)| Unasked {
            host: host.label.to_string(),
            code: e.code(),
            why: e.to_string(),
        })
        .collect()
}

fn port_facts(view: RangeView) -> PortFacts {
    PortFacts {
        range: view.range,
        free: view.free,
        resting: view.resting,
    }
}

/// What the store says of a host name that another app is led to under.
fn site_taken(facts: &Facts) -> StoreError {
    let name = facts.site.as_ref().map(|(name, _)| name.to_string());
    StoreError::Exists {
        what: "host name",
        id: name.unwrap_or_default(),
    }
}

/// The next step of the refusal that a deploy would get for this line.
fn hint(line: &Line, facts: &Facts, out: &[(&HostRecord, EngineError)]) -> String {
    let Some(code) = line.code.filter(|_| line.verdict != Verdict::Ok) else {
        return String::new();
    };
    match line.what {
        What::Name => EngineError::from(Refusal::HostnameTaken(facts.hostname.clone())).hint(),
        What::PublicPorts => ports_hint(facts.public.resting > 0).to_owned(),
        What::InternalPorts => ports_hint(facts.internal.resting > 0).to_owned(),
        What::Rights => TOO_NARROW_HINT.to_owned(),
        What::Address => ADDRESS_HINT.to_owned(),
        What::Site => store_row(&site_taken(facts)).hint.to_owned(),
        What::Host => {
            let is_it = |(host, _): &&(&HostRecord, EngineError)| {
                line.place.as_deref() == Some(host.label.as_str())
            };
            let refused = out.iter().find(is_it);
            refused.map_or_else(String::new, |(_, e)| e.hint())
        }
        What::Place if facts.nodes.is_empty() => {
            out.first().map_or_else(String::new, |(_, e)| e.hint())
        }
        What::Place
        | What::Node
        | What::Memory
        | What::Cores
        | What::Storage
        | What::Template
        | What::Bridge
        | What::Ssh
        | What::NameServers
        | What::Apart => no_place_row(code).hint.to_owned(),
    }
}
