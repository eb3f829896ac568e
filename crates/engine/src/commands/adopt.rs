//! `POST /api/apps/adopt`: look at the container, refuse what cannot be adopted, commit once.

use proximity_domain::adopted::{AdoptedGuest, AdoptedIdentity};
use proximity_domain::adoption::{hostname_for, suggest, usual_port};
use proximity_domain::create::Resources;
use proximity_domain::guest::{ContainerRef, ObservedContainer};
use proximity_domain::ids::{AppId, GuestId, OperationId, Vmid};
use proximity_domain::made_with::MadeWith;
use proximity_domain::names::{CatalogId, Hostname};
use proximity_domain::operation::OperationKind;
use proximity_pve::cluster::{GuestKind, ResourceRow};
use proximity_pve::lxc::LxcConfig;
use proximity_store::StoreError;
use proximity_store::records::{Actor, AppRecord, HostRecord, NewApp, NewOperation, RequestKey};
use proximity_store::views::AppFilter;
use serde_json::{Value, json};

use super::create_app::upstream;
use super::deadline::{Deadline, no_time};
use crate::cluster::{Cluster, observed};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::view::{is_whole, is_word_of, status};

/// What stands where a deployed app has the version of its catalog entry.
const VERSION: &str = "adopted";
/// How often another host name is tried when the one that was free is taken by the time of the commit.
const NAMES: u32 = 5;
/// What the token that looks needs to see a guest.
const AUDIT: &str = "VM.Audit";
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// A request to adopt one container.
#[derive(Debug, Clone)]
pub struct AdoptContainer {
    /// Host label or id; may be left out where there is only one.
    pub host: Option<String>,
    /// The node it is on, if the caller knows.
    pub node: Option<String>,
    /// PVE's number.
    pub vmid: u32,
    /// What it is; from its name when absent.
    pub suggested_type: Option<String>,
    /// Where its app listens; what is usual for its type when absent.
    pub port: Option<u16>,
    /// Look inside for what listens, by one command that only reads. Nothing else is ever done inside without a request.
    pub probe: bool,
    /// The same key gives the same app.
    pub key: Option<RequestKey>,
}

impl Engine {
    /// Records an app for a container that is there, with its adoption; the answer comes at once, the work follows.
    ///
    /// Flow: host → the cluster's list → configuration → identity → one commit (app, guest, port pair, operation). Nothing is
    /// written on PVE, now or later.
    ///
    /// # Errors
    /// No such host, node or container; one that an app has, that bears a mark, or that cannot be recognised later; a cluster
    /// that cannot be read. Nothing is left then.
    pub async fn adopt(
        &self,
        actor: &Actor,
        request: AdoptContainer,
    ) -> Result<AppRecord, EngineError> {
        self.adopt_by(actor, request, Deadline::of_request()).await
    }

    /// As [`Engine::adopt`], for one of several that share the time of one request: one that could not be looked at by then is
    /// refused, and nothing is recorded of it.
    ///
    /// # Errors
    /// Those of [`Engine::adopt`]; `pve_unreachable` beyond the time.
    pub async fn adopt_by(
        &self,
        actor: &Actor,
        request: AdoptContainer,
        deadline: Deadline,
    ) -> Result<AppRecord, EngineError> {
        self.adopt_as(actor, request, None, deadline).await
    }

    /// As [`Engine::adopt_by`], under this host name; without one, under one that is made of the container's own.
    ///
    /// # Errors
    /// Those of [`Engine::adopt_by`], and a host name that was given and that another live app has.
    pub(crate) async fn adopt_as(
        &self,
        actor: &Actor,
        request: AdoptContainer,
        hostname: Option<Hostname>,
        deadline: Deadline,
    ) -> Result<AppRecord, EngineError> {
        let vmid = number(request.vmid)?;
        refuse_port_nought(request.port)?;
        let kind = request.suggested_type.as_deref().map(kind_of).transpose()?;
        let host = self.only_host(request.host.as_deref()).await?;
        let cluster = self.inner.clusters.get(host.id).await?;
        let looking = self.container(&cluster, vmid, request.node.as_deref());
        let Some(looked) = deadline.hold(looking).await else {
            let what = format!("container {vmid} was not looked at and nothing of it was recorded");
            return Err(no_time(cluster.label(), &what));
        };
        let (row, config) = looked?;
        let place = ContainerRef {
            host: host.id,
            node: row.node.clone(),
            vmid,
        };
        let seen = observed(place.clone(), &config, false);
        refuse_what_is_marked(&seen)?;
        let identity = identity_of(&seen, config.template || row.template)?;
        let name = config.hostname.clone().or_else(|| row.name.clone());
        let name = name.unwrap_or_default();
        let (kind, usual) = kind_and_port(kind, &name, row.tags.as_deref())?;
        let (hostname, again) = match hostname {
            Some(hostname) => (hostname, None),
            None => (self.free_hostname(&name, vmid).await?, Some(name.as_str())),
        };
        let app = NewApp {
            id: AppId(self.inner.parts.ids.uuid()),
            owner: actor.account.clone(),
            hostname,
            catalog_id: kind,
            catalog_version: VERSION.to_owned(),
            entry: None,
            host: host.id,
            node: place.node.clone(),
            resources: resources(&row, config.memory_mib, config.cores),
            environment: json!({}),
            environment_sealed: "{}".to_owned().into(),
            guest_port: request.port.unwrap_or(usual),
            site: None,
            made_with: MadeWith::default(),
            root_password: None,
        };
        let (id, operation) = (app.id, OperationId(self.inner.parts.ids.uuid()));
        let guest = AdoptedGuest {
            id: GuestId(self.inner.parts.ids.uuid()),
            app: id,
            created_by: operation,
            place,
            identity,
            learned: None,
        };
        let operation = NewOperation {
            id: operation,
            kind: OperationKind::Adopt,
            app: id,
            input: input(&request),
            retry_of: None,
            key: None,
        };
        let made = self.commit_adoption(actor, app, guest, operation, request.key, again);
        let made = made.await?;
        self.inner.bell.notify_one();
        Ok(made)
    }

    /// The container as it is listed, and its configuration, if no app has it.
    async fn container(
        &self,
        cluster: &Cluster,
        vmid: Vmid,
        node: Option<&str>,
    ) -> Result<(ResourceRow, LxcConfig), EngineError> {
        let row = find(cluster, vmid, node).await?;
        self.refuse_managed(cluster, vmid).await?;
        let read = cluster.read().lxc_config(&row.node, vmid).await;
        let config = read.map_err(|e| upstream(cluster.label(), &e))?;
        Ok((row, config))
    }

    /// Commits, with another host name made of `name` where the free one was taken meanwhile; without a name, with none.
    async fn commit_adoption(
        &self,
        actor: &Actor,
        mut app: NewApp,
        guest: AdoptedGuest,
        operation: NewOperation,
        key: Option<RequestKey>,
        name: Option<&str>,
    ) -> Result<AppRecord, EngineError> {
        let vmid = guest.identity.vmid;
        for _ in 1..NAMES {
            let (app_now, guest, operation) = (app.clone(), guest.clone(), operation.clone());
            let store = self.store();
            let made = store
                .adopt_app(app_now, guest, operation, actor, key.clone(), self.now())
                .await;
            match (made, name) {
                (Err(StoreError::HostnameTaken { .. }), Some(name)) => {
                    app.hostname = self.free_hostname(name, vmid).await?;
                }
                (Err(StoreError::Exists { what: "guest", .. }), _) => {
                    return Err(managed(vmid, None));
                }
                (other, _) => return Ok(other?),
            }
        }
        let hostname = app.hostname.to_string();
        Err(StoreError::HostnameTaken { hostname }.into())
    }

    /// The host that is named, or the only one there is.
    async fn only_host(&self, host: Option<&str>) -> Result<HostRecord, EngineError> {
        let mut hosts = self.candidate_hosts(host).await?;
        match (hosts.pop(), hosts.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(_), false) => Err(EngineError::Invalid {
                field: "host".to_owned(),
                message: "there are several hosts; say which one the container is on".to_owned(),
            }),
            (None, _) => Err(EngineError::NoHost),
        }
    }

    async fn refuse_managed(&self, cluster: &Cluster, vmid: Vmid) -> Result<(), EngineError> {
        let host = cluster.host().id;
        let guests = self.store().recorded_guests_of_host(host).await?;
        let Some(held) = guests.iter().find(|guest| guest.place().vmid == vmid) else {
            return Ok(());
        };
        let app = self.store().app(held.app()).await?;
        Err(managed(vmid, app.map(|app| app.hostname)))
    }

    /// A host name made of this one that no live app has now.
    async fn free_hostname(&self, name: &str, vmid: Vmid) -> Result<Hostname, EngineError> {
        let wanted = hostname_for(name, vmid, |_| false);
        let taken = self.store().app_by_hostname(wanted.as_str()).await?;
        if taken.is_none() {
            return Ok(wanted);
        }
        // All that begin alike: few, whatever their number.
        let filter = AppFilter {
            search: Some(wanted.as_str().chars().take(40).collect()),
            per_page: AppFilter::MAX_PER_PAGE,
            ..AppFilter::default()
        };
        let (apps, _) = self.store().apps(filter).await?;
        let is_taken =
            |name: &Hostname| *name == wanted || apps.iter().any(|a| a.hostname == *name);
        Ok(hostname_for(name, vmid, is_taken))
    }
}

/// A container that bears a mark was made by a Proximity: it is no stranger's, and is not adopted.
///
/// # Errors
/// [`EngineError::NotAdoptable`], `guest_marked`.
pub(crate) fn refuse_what_is_marked(seen: &ObservedContainer) -> Result<(), EngineError> {
    let Some(mark) = seen.mark else { return Ok(()) };
    let vmid = seen.place.vmid;
    Err(EngineError::NotAdoptable {
        code: "guest_marked",
        message: format!(
            "container {vmid} bears the mark of the Proximity installation {}, which made it",
            mark.installation
        ),
    })
}

/// What the container is recognised by from now on.
pub(super) fn identity_of(
    seen: &ObservedContainer,
    template: bool,
) -> Result<AdoptedIdentity, EngineError> {
    let vmid = seen.place.vmid;
    if template {
        return Err(not_adoptable(vmid, "it is a template"));
    }
    if seen.lock.as_deref() == Some("create") {
        return Err(not_adoptable(vmid, "it is still being created"));
    }
    AdoptedIdentity::of(seen).map_err(|no| {
        let why = format!("it could not be told from another one later: {no}");
        not_adoptable(vmid, &why)
    })
}

/// What the steps have to know of the request.
fn input(request: &AdoptContainer) -> Value {
    json!({
        "probe": request.probe,
        "type_given": request.suggested_type.is_some(),
        "port_given": request.port.is_some(),
    })
}

fn managed(vmid: Vmid, app: Option<Hostname>) -> EngineError {
    let by = app.map_or_else(String::new, |app| format!(", as {app}"));
    EngineError::NotAdoptable {
        code: "already_managed",
        message: format!("container {vmid} is managed already{by}"),
    }
}

fn not_adoptable(vmid: Vmid, why: &str) -> EngineError {
    EngineError::NotAdoptable {
        code: "not_adoptable",
        message: format!("container {vmid} cannot be adopted: {why}"),
    }
}

fn number(vmid: u32) -> Result<Vmid, EngineError> {
    Vmid::try_from(vmid).map_err(|e| EngineError::Invalid {
        field: "vmid".to_owned(),
        message: e.to_string(),
    })
}

fn refuse_port_nought(port: Option<u16>) -> Result<(), EngineError> {
    if port == Some(0) {
        return Err(EngineError::Invalid {
            field: "port_to_expose".to_owned(),
            message: "port 0 is none that anything listens on".to_owned(),
        });
    }
    Ok(())
}

fn kind_of(kind: &str) -> Result<CatalogId, EngineError> {
    kind.parse().map_err(|e| EngineError::Invalid {
        field: "suggested_type".to_owned(),
        message: format!("{e}"),
    })
}

/// What it is, as asked for or by its name, and where such a thing listens.
fn kind_and_port(
    asked: Option<CatalogId>,
    name: &str,
    tags: Option<&str>,
) -> Result<(CatalogId, u16), EngineError> {
    let found = suggest(name, tags);
    let Some(kind) = asked else {
        return Ok((kind_of(found.kind)?, found.port));
    };
    let port = usual_port(kind.as_str());
    Ok((kind, port))
}

/// The row of a container in the cluster's list. What a list that is not whole lacks is not taken for missing.
async fn find(
    cluster: &Cluster,
    vmid: Vmid,
    node: Option<&str>,
) -> Result<ResourceRow, EngineError> {
    let failed = |e| upstream(cluster.label(), &e);
    let seen = status(cluster).await.map_err(failed)?;
    let incomplete = |gap: crate::view::Gap| EngineError::Upstream {
        code: "view_incomplete",
        message: format!(
            "whether container {vmid} is there cannot be told: {}",
            gap.text(cluster.label())
        ),
        hint: "mend the cluster, then ask again; nothing was recorded".to_owned(),
    };
    is_word_of(cluster.host(), &seen).map_err(incomplete)?;
    if let Some(node) = node
        && !seen.nodes.iter().any(|n| n.name.as_str() == node)
    {
        return Err(EngineError::NotFound {
            what: "node",
            name: node.to_owned(),
        });
    }
    let rows = cluster.read().resources_vm().await.map_err(failed)?;
    let row = rows.into_iter().find(|row| row.vmid == vmid);
    let on_node = |row: &ResourceRow| node.is_none_or(|node| row.node.as_str() == node);
    match row {
        Some(row) if row.kind == GuestKind::Qemu => {
            Err(not_adoptable(vmid, "it is a virtual machine"))
        }
        Some(row) if on_node(&row) => Ok(row),
        None => {
            is_whole(cluster.host(), &seen).map_err(incomplete)?;
            refuse_unseen(cluster, vmid).await?;
            Err(absent(cluster, vmid, node))
        }
        Some(_) => Err(absent(cluster, vmid, node)),
    }
}

/// Of a guest that the token may not see PVE's list says nothing, so that it cannot be told whether it is there.
async fn refuse_unseen(cluster: &Cluster, vmid: Vmid) -> Result<(), EngineError> {
    let path = format!("/vms/{vmid}");
    let held = cluster.read().permissions(Some(&path)).await;
    let held = held.map_err(|e| upstream(cluster.label(), &e))?;
    if held.get(&path).is_some_and(|held| held.contains(AUDIT)) {
        return Ok(());
    }
    Err(EngineError::Upstream {
        code: "view_incomplete",
        message: format!(
            "whether container {vmid} is there cannot be told: the token that looks has no {AUDIT} on {path}"
        ),
        hint: format!(
            "give it that right; proximity doctor --host {} shows the command; nothing was recorded",
            cluster.label()
        ),
    })
}

fn absent(cluster: &Cluster, vmid: Vmid, node: Option<&str>) -> EngineError {
    let on = node.map_or_else(String::new, |node| format!("/{node}"));
    EngineError::NotFound {
        what: "container",
        name: format!("{}{on}/{vmid}", cluster.label()),
    }
}

/// What the container has, for the app's record; 0 where PVE does not say.
fn resources(row: &ResourceRow, memory_mib: Option<u64>, cores: Option<u64>) -> Resources {
    let listed_mib = row.max_memory_bytes.map(|bytes| bytes / MIB);
    let gib = row.max_disk_bytes.unwrap_or_default().div_ceil(GIB);
    Resources {
        memory_mib: memory_mib.or(listed_mib).unwrap_or_default(),
        cores: cores
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or_default(),
        disk_gib: u32::try_from(gib).unwrap_or(u32::MAX),
    }
}
