//! Documents against what this installation has: catalog and host entries. Pure.

use std::collections::BTreeMap;

use proximity_domain::create::{self, ResourceRequest, Resources};
use proximity_domain::desired::Needs;
use proximity_domain::ids::{HostId, Vmid};
use proximity_domain::made_with::RootAccess;
use proximity_domain::manifest::{AdoptedSpec, AppSpec, Manifest, RootMode};
use proximity_domain::names::{HostLabel, Hostname, NodeName, SiteName};
use proximity_domain::network::Network;
use proximity_domain::plan::{Wanted, WantedAdopted, WantedApp, WantedKind, WantedSite};
use proximity_domain::site::{CertificateFiles, NameWish, Site};
use proximity_store::records::HostRecord;

use crate::catalog::Catalog;
use crate::commands::create_app::{refuse_unpinned, root_keys};
use crate::error::EngineError;

/// What is wanted of each app.
///
/// # Errors
/// [`EngineError::Manifests`] with everything that is not right.
pub(super) fn wanted(
    catalog: &Catalog,
    hosts: &[HostRecord],
    documents: &[Manifest],
    order: &[Vec<String>],
) -> Result<Vec<Wanted>, EngineError> {
    let layers = order.iter().zip(0_u32..);
    let layers = layers.flat_map(|(names, layer)| names.iter().map(move |n| (n.as_str(), layer)));
    let mut wishes = Wishes {
        catalog,
        hosts,
        layers: layers.collect(),
        needs: Needs::of(documents),
        taken: BTreeMap::new(),
        led: BTreeMap::new(),
        wrong: BTreeMap::new(),
    };
    let mut all = Vec::new();
    for document in documents {
        match document {
            Manifest::App { name, spec } => all.extend(wishes.app(name, spec)),
            Manifest::AdoptedApp { name, spec } => all.extend(wishes.adopted(name, spec)),
            Manifest::Stack { spec, .. } => {
                for app in &spec.apps {
                    all.extend(wishes.app(&app.name, &app.spec));
                }
            }
            Manifest::Values { .. } => {}
        }
    }
    if wishes.wrong.is_empty() {
        return Ok(all);
    }
    Err(EngineError::Manifests {
        fields: wishes.wrong,
    })
}

/// The resources that a document wants, with what the catalog says now where it leaves them out; `None`: that is not to be had.
pub(super) fn resources(catalog: &Catalog, spec: &AppSpec) -> Option<Resources> {
    let entry = catalog.get(&spec.catalog_id)?;
    create::resources(&entry.id, &entry.needs, asked(spec)).ok()
}

fn asked(spec: &AppSpec) -> ResourceRequest {
    ResourceRequest {
        memory_mib: spec.resources.memory_mib,
        cores: spec.resources.cores,
        disk_gib: spec.resources.disk_gib,
    }
}

struct Wishes<'a> {
    catalog: &'a Catalog,
    hosts: &'a [HostRecord],
    layers: BTreeMap<&'a str, u32>,
    /// What each app depends on.
    needs: Needs,
    /// Which app takes over which container.
    taken: BTreeMap<(HostId, Vmid), Hostname>,
    /// Which app is led to under which host name.
    led: BTreeMap<SiteName, Hostname>,
    wrong: BTreeMap<String, String>,
}

impl Wishes<'_> {
    fn app(&mut self, name: &Hostname, spec: &AppSpec) -> Option<Wanted> {
        let Some(entry) = self.catalog.get(&spec.catalog_id) else {
            let why = format!("there is no app {} in the catalog", spec.catalog_id);
            self.refuse(name, "catalog_id", why);
            return None;
        };
        if let Err(refusal) = refuse_unpinned(entry, spec.allow_unpinned) {
            self.refuse(name, "allow_unpinned", refusal.to_string());
        }
        let host = self.host(name, spec.host.as_ref());
        self.node(name, host, spec.node.as_ref());
        let resources = create::resources(&entry.id, &entry.needs, asked(spec));
        let resources = resources
            .map_err(|refusal| self.refuse(name, "resources", refusal.to_string()))
            .ok();
        let settings = entry.wanted_settings(&spec.settings);
        let settings = settings
            .map_err(|errors| {
                for (setting, why) in errors.fields() {
                    self.refuse(name, &format!("settings.{setting}"), why.clone());
                }
            })
            .ok();
        let (network, root) = (self.network(name, spec), self.root(name, spec));
        let site = self.site(name, spec);
        let app = WantedApp {
            catalog_id: spec.catalog_id.clone(),
            host,
            node: spec.node.clone(),
            resources: resources?,
            settings: settings?,
            power: spec.power,
            ignore: spec.ignore.clone(),
            network: network.map(Box::new),
            root,
            site: site.map(Box::new),
            apart_from: spec
                .apart_from
                .as_ref()
                .map(|names| names.iter().cloned().collect()),
        };
        Some(self.layered(name, WantedKind::App(app)))
    }

    fn network(&mut self, name: &Hostname, spec: &AppSpec) -> Option<Network> {
        let network = spec.network.as_ref()?.check();
        network
            .map_err(|bad| self.refuse(name, &format!("network.{}", bad.field), bad.why))
            .ok()
    }

    /// How root is to be let in. Keys and the word that there are some go together.
    fn root(&mut self, name: &Hostname, spec: &AppSpec) -> Option<RootAccess> {
        let has_keys = !spec.root_keys.is_empty();
        if has_keys != (spec.root_access == Some(RootMode::Keys)) {
            let why = "keys go with `root_access: keys`, and that with keys".to_owned();
            self.refuse(name, "root_keys", why);
            return None;
        }
        let keys = root_keys(&spec.root_keys);
        let keys = keys.map_err(|why| self.refuse(name, "root_keys", why.to_string()));
        Some(RootAccess {
            keys: keys.ok()?,
            password: spec.root_access? == RootMode::Password,
        })
    }

    /// Under which host name it is to be led to, which is one app's alone.
    fn site(&mut self, name: &Hostname, spec: &AppSpec) -> Option<WantedSite> {
        let files = spec.certificate.clone().map(|files| {
            let checked = CertificateFiles::new(files.cert_file, files.key_file);
            checked.map_err(|bad| self.refuse(name, "certificate", bad.to_string()))
        });
        let certificate = files.transpose().ok()?;
        match (&spec.host_name, certificate) {
            (None | Some(NameWish::None), Some(_)) => {
                let why = "it is for a host name, and none is given".to_owned();
                self.refuse(name, "certificate", why);
                None
            }
            (None, None) => None,
            (Some(NameWish::None), None) => Some(WantedSite::Nobody),
            (Some(NameWish::Name(of)), certificate) => {
                if let Some(first) = self.led.insert(of.clone(), name.clone()) {
                    let why = format!(
                        "{of} is to be the host name of {first} as well: it is one app's alone"
                    );
                    self.refuse(name, "host_name", why);
                }
                let name = of.clone();
                Some(WantedSite::Led(Site { name, certificate }))
            }
        }
    }

    fn adopted(&mut self, name: &Hostname, spec: &AdoptedSpec) -> Option<Wanted> {
        let host = self.host(name, Some(&spec.host))?;
        if let Some(first) = self.taken.get(&(host, spec.vmid)) {
            let why = format!(
                "the container {} on {} is to be the app {first} as well, and {name}: it is one app's alone",
                spec.vmid, spec.host
            );
            self.refuse(name, "vmid", why);
            return None;
        }
        self.taken.insert((host, spec.vmid), name.clone());
        let adopted = WantedAdopted {
            host,
            vmid: spec.vmid,
            taken_for: spec.taken_for.clone(),
            port: spec.port,
            expose: spec.expose,
            guard: spec.guard,
            power: spec.power,
        };
        Some(self.layered(name, WantedKind::Adopted(adopted)))
    }

    fn layered(&self, name: &Hostname, kind: WantedKind) -> Wanted {
        Wanted {
            name: name.clone(),
            layer: self.layers.get(name.as_str()).copied().unwrap_or(0),
            depends_on: self.needs.apps(name),
            kind,
        }
    }

    fn host(&mut self, name: &Hostname, label: Option<&HostLabel>) -> Option<HostId> {
        let label = label?;
        let known = self.hosts.iter().find(|host| host.label == *label);
        if known.is_none() {
            self.refuse(name, "host", format!("there is no host entry {label}"));
        }
        known.map(|host| host.id)
    }

    /// Refuses a node that no host entry has, or not the one that is named.
    fn node(&mut self, name: &Hostname, host: Option<HostId>, node: Option<&NodeName>) {
        let Some(node) = node else { return };
        let hosts = self.hosts.iter();
        let mut hosts = hosts.filter(|entry| host.is_none_or(|host| entry.id == host));
        // Of an entry whose nodes were never read, any may be one.
        let may_have = |nodes: &[NodeName]| nodes.is_empty() || nodes.contains(node);
        if !hosts.any(|entry| may_have(&entry.known_nodes)) {
            self.refuse(
                name,
                "node",
                format!("no host entry that may be meant has a node {node}"),
            );
        }
    }

    fn refuse(&mut self, name: &Hostname, field: &str, why: String) {
        self.wrong.insert(format!("{name}.{field}"), why);
    }
}
