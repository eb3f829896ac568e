//! `POST /api/apps/`: authorise, look at capacity, ask the domain, commit once.

use proximity_domain::create::{self, NodeCapacity, Refusal, ResourceRequest, Resources};
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::names::{CatalogId, Hostname, NodeName};
use proximity_domain::operation::OperationKind;
use proximity_pve::storage::Content;
use proximity_store::records::{Actor, AppRecord, HostRecord, NewApp, NewOperation, RequestKey};
use serde_json::{Map, Value, json};

use crate::catalog::{CatalogEntry, OsTemplate};
use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::saga::{Cx, StepError, StepResult, pve_failure};

/// A request for a new app.
#[derive(Debug, Clone, Default)]
pub struct CreateApp {
    /// Catalog entry.
    pub catalog_id: String,
    /// Host name, unique among live apps.
    pub hostname: String,
    /// Memory, cores, disk; what is absent comes from the catalog entry.
    pub resources: ResourceRequest,
    /// Settings of the catalog entry.
    pub environment: Map<String, Value>,
    /// Host label or id; may be absent when there is one host.
    pub host: Option<String>,
    /// Node; chosen when absent.
    pub node: Option<String>,
    /// The same key gives the same app.
    pub key: Option<RequestKey>,
}

impl Engine {
    /// Records a new app with its deploy operation; the answer comes at once, the work follows.
    ///
    /// Flow: names → settings → host → capacity → one commit (app, port pair, operation, event, audit).
    /// Errors: everything that can be known before the commit is refused here and leaves nothing.
    pub async fn create_app(
        &self,
        actor: &Actor,
        request: CreateApp,
    ) -> Result<AppRecord, EngineError> {
        let (hostname, entry) = self.names(&request)?;
        let given = request.environment.clone().into_iter().collect();
        let recipe = entry.resolve(&given).map_err(EngineError::Settings)?;
        let resources = create::resources(&entry.id, &entry.needs, request.resources)?;
        let host = self.choose_host(request.host.as_deref()).await?;
        let cluster = self.inner.clusters.get(host.id).await?;
        if cluster.guest_access().is_none() && !recipe.steps.is_empty() {
            return Err(no_guest_access(&host));
        }
        if self
            .store()
            .app_by_hostname(hostname.as_str())
            .await?
            .is_some()
        {
            // The store decides; this look only spares a question to PVE.
            if request.key.is_none() {
                return Err(Refusal::HostnameTaken(hostname).into());
            }
        }
        let node = place(&cluster, entry, resources, request.node.as_deref()).await?;
        let ids = &self.inner.parts.ids;
        let app = NewApp {
            id: AppId(ids.uuid()),
            owner: actor.account.clone(),
            hostname,
            catalog_id: entry.id.clone(),
            catalog_version: entry.version.clone(),
            host: host.id,
            node,
            resources,
            environment: recipe.open_settings(),
            environment_sealed: recipe.sealed_settings(),
            guest_port: entry.port,
        };
        let op = NewOperation {
            id: OperationId(ids.uuid()),
            kind: OperationKind::Deploy,
            app: app.id,
            input: json!({}),
            retry_of: None,
            key: None,
        };
        let created = self
            .store()
            .create_app(app, op, actor, request.key, self.now())
            .await?;
        self.inner.bell.notify_waiters();
        Ok(created)
    }

    fn names(&self, request: &CreateApp) -> Result<(Hostname, &CatalogEntry), EngineError> {
        let hostname: Hostname = request.hostname.parse().map_err(|e| EngineError::Invalid {
            field: "hostname".to_owned(),
            message: format!("{e}"),
        })?;
        let id: CatalogId = request
            .catalog_id
            .parse()
            .map_err(|e| EngineError::Invalid {
                field: "catalog_id".to_owned(),
                message: format!("{e}"),
            })?;
        let entry = self
            .catalog()
            .get(&id)
            .ok_or(Refusal::UnknownCatalogId(id))?;
        Ok((hostname, entry))
    }

    /// The host named, or the only one there is.
    pub(crate) async fn choose_host(&self, host: Option<&str>) -> Result<HostRecord, EngineError> {
        let mut hosts = self.store().hosts().await?;
        match host {
            Some(name) => hosts
                .into_iter()
                .find(|h| h.label.as_str() == name || h.id.to_string() == name)
                .ok_or_else(|| EngineError::NotFound {
                    what: "host",
                    name: name.to_owned(),
                }),
            None if hosts.len() > 1 => Err(EngineError::HostAmbiguous {
                labels: hosts.iter().map(|h| h.label.to_string()).collect(),
            }),
            None => hosts.pop().ok_or(EngineError::NoHost),
        }
    }
}

fn no_guest_access(host: &HostRecord) -> EngineError {
    EngineError::Upstream {
        code: "no_guest_access",
        message: format!(
            "host {} has no way into its containers, and this app must be installed inside",
            host.label
        ),
        hint: "remove the host and add it again with --ssh (root on the node)".to_owned(),
    }
}

async fn place(
    cluster: &Cluster,
    entry: &CatalogEntry,
    resources: Resources,
    wanted: Option<&str>,
) -> Result<NodeName, EngineError> {
    let mut nodes = capacity(cluster, &entry.os_template).await?;
    if let Some(name) = wanted {
        nodes.retain(|n| n.node.as_str() == name);
        if nodes.is_empty() {
            return Err(EngineError::NotFound {
                what: "node",
                name: name.to_owned(),
            });
        }
    }
    Ok(create::place(
        &nodes,
        resources,
        entry.os_template.as_str(),
    )?)
}

/// The nodes as they are now; a node that is online but cannot be asked about templates is an error, not a node without them.
async fn capacity(
    cluster: &Cluster,
    template: &OsTemplate,
) -> Result<Vec<NodeCapacity>, EngineError> {
    let upstream = |e: &proximity_pve::error::Error| upstream(cluster.label(), e);
    let rows = cluster.read().nodes().await.map_err(|e| upstream(&e))?;
    let mut nodes = Vec::with_capacity(rows.len());
    for row in rows {
        let has_template = if row.online {
            templates(cluster, &row.node, template)
                .await
                .map_err(|e| upstream(&e))?
                .pop()
                .is_some()
        } else {
            false
        };
        let mib = |bytes: u64| bytes >> 20;
        let (Some(cpus), Some(memory), Some(used)) = (row.maxcpu, row.maxmem_bytes, row.mem_bytes)
        else {
            // Without figures (no Sys.Audit, or a node long off) nothing can be placed there.
            continue;
        };
        nodes.push(NodeCapacity {
            node: row.node,
            online: row.online,
            memory_mib: mib(memory),
            free_memory_mib: mib(memory.saturating_sub(used)),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            has_template,
        });
    }
    Ok(nodes)
}

/// An error of PVE outside of an operation.
pub(crate) fn upstream(label: &str, error: &proximity_pve::error::Error) -> EngineError {
    let internal = |message| EngineError::Upstream {
        code: "internal",
        message,
        hint: "look at the server's log".to_owned(),
    };
    match pve_failure(&format!("host {label}"), error) {
        StepError::Failed(f)
        | StepError::Transient(f)
        | StepError::Uncertain(f)
        | StepError::Stuck(f) => EngineError::Upstream {
            code: crate::error::upstream_code(&f.code),
            message: f.message,
            hint: f.hint,
        },
        StepError::Cancelled => internal("cancelled".to_owned()),
        StepError::Halt(h) => internal(h.to_string()),
    }
}

/// Volume ids of the templates on `node` whose name begins with `template`, oldest name first.
async fn templates(
    cluster: &Cluster,
    node: &NodeName,
    template: &OsTemplate,
) -> Result<Vec<String>, proximity_pve::error::Error> {
    let storage = &cluster.host().template_storage;
    let rows = cluster
        .read()
        .storage_content(node, storage, Content::Template)
        .await?;
    let mut found: Vec<String> = rows
        .into_iter()
        .map(|row| row.volid.to_string())
        .filter(|volid| template.matches(volid))
        .collect();
    found.sort();
    Ok(found)
}

/// The newest matching template on the app's node.
pub(crate) async fn find_template(cx: &Cx) -> StepResult<String> {
    let entry = cx.engine.catalog().get(&cx.app.catalog_id).ok_or_else(|| {
        StepError::Failed(
            EngineError::from(Refusal::UnknownCatalogId(cx.app.catalog_id.clone())).failure(),
        )
    })?;
    let found = templates(&cx.cluster, &cx.app.node, &entry.os_template)
        .await
        .map_err(|e| pve_failure("listing the templates", &e))?;
    found.into_iter().next_back().ok_or_else(|| {
        let failure: Failure =
            EngineError::from(Refusal::TemplateMissing(entry.os_template.to_string())).failure();
        StepError::Failed(failure)
    })
}
