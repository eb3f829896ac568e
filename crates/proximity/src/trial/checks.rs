//! One app's whole life, each turn looked at from outside.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proximity_api::apps::{
    ActionName, ActionRequest, App, AppQuery, CreateApp, Ports, ResourceConfig,
};
use proximity_api::operations::{Operation, OperationQuery};
use proximity_domain::time::Clock;
use proximity_engine::catalog::{Catalog, Check};
use proximity_engine::seams::IdSource;
use proximity_pve::ReadClient;
use proximity_pve::transport::https::{ApiToken, EndpointConfig, HttpsTransport, Trust};
use proximity_pve_emulator::lab::Guests;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::page::Page;
use super::report::Report;
use super::stack::World;
use super::{CATALOG_ID, HOSTNAME, ports, seconds};
use crate::cli::Waiting;
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;
use crate::roles::ids::SystemIds;

/// Longest time the first page may take; the report has how long it took.
const FIRST_PAGE: Duration = Duration::from_secs(300);
/// Longest time the page may take after a start that succeeded.
const AGAIN: Duration = Duration::from_secs(20);
const WAITING: Waiting = Waiting {
    detach: false,
    wait_timeout: 300,
};

/// The app that answers.
#[derive(Debug)]
pub(crate) struct Deployed {
    pub(crate) url: String,
    app: App,
    ports: Ports,
    page: Page,
    status: u16,
    has_marker: bool,
    seconds_to_200: f64,
}

/// Deploys, and waits for both: the operation's end and the page.
///
/// # Errors
/// The operation failed, or no page of the app's own came.
pub(crate) async fn deploy(
    context: &Context,
    world: &World,
    clock: &dyn Clock,
) -> Result<Deployed, Failed> {
    let marker = marker()?;
    let body = wanted(CATALOG_ID, Map::new());
    let app = world
        .client
        .create_app(&body, &SystemIds.uuid().to_string())
        .await?;
    let accepted = clock.monotonic();
    let ports = app.ports.ok_or_else(|| wrong("the new app has no ports"))?;
    let page = Page::new(ports.public, marker)?;
    let id = app
        .operation_id
        .clone()
        .ok_or_else(|| wrong("the new app has no operation"))?;
    let operation = world.client.operation(&id).await?;
    let settled = follow::settle(context, &world.client, operation, WAITING);
    let first_page = async {
        let fetched = page.wait(FIRST_PAGE).await;
        Ok((fetched, clock.monotonic().since_ms(accepted)))
    };
    // A deploy that fails brings no page: then this ends at once.
    let (_done, (fetched, took_ms)) = tokio::try_join!(settled, first_page)?;
    let fetched =
        fetched.ok_or_else(|| wrong("the deploy succeeded, but the public port gives no page"))?;
    let app = world.client.app(&app.id).await?;
    Ok(Deployed {
        url: app
            .url
            .clone()
            .unwrap_or_else(|| format!("http://127.0.0.1:{}/", ports.public)),
        app,
        ports,
        page,
        status: fetched.status,
        has_marker: fetched.has_marker,
        seconds_to_200: seconds(took_ms),
    })
}

/// An app of this entry with these settings, and all else as the entry has it.
pub(super) fn wanted(catalog_id: &str, environment: Map<String, Value>) -> CreateApp {
    CreateApp {
        catalog_id: catalog_id.to_owned(),
        hostname: HOSTNAME.to_owned(),
        config: ResourceConfig::default(),
        environment,
        // Its entries are looked at by who asks for a trial of them.
        allow_unpinned: true,
        host: None,
        node: None,
        network: None,
        apart_from: Vec::new(),
        root_keys: Vec::new(),
        root_password: false,
        host_name: None,
        certificate: None,
    }
}

pub(super) fn wrong(message: &str) -> Failed {
    Failed::error("try_failed", message, "")
}

/// The text by which the app's own page is known.
fn marker() -> Result<String, Failed> {
    let catalog = Catalog::load(&[]).map_err(|e| wrong(&e.to_string()))?;
    let id = CATALOG_ID.parse().map_err(|e| wrong(&format!("{e}")))?;
    let entry = catalog
        .get(&id)
        .ok_or_else(|| wrong("the catalog lacks nginx"))?;
    match &entry.health.check {
        Check::Http(http) => Ok(http.body_contains.clone()),
        Check::Tcp(_) | Check::Exec(_) => Err(wrong("the catalog's nginx is not known by a page")),
    }
}

/// Stops, starts and removes the app, looking after each.
///
/// # Errors
/// An operation failed; what does not come out as promised is in the report instead.
pub(crate) async fn whole_life(
    context: &Context,
    world: &World,
    deployed: Deployed,
    seconds_template: f64,
) -> Result<Report, Failed> {
    act(context, world, &deployed.app, ActionName::Stop).await?;
    let stop_refuses = deployed.page.refuses().await;
    act(context, world, &deployed.app, ActionName::Start).await?;
    let again = deployed.page.wait(AGAIN).await;
    let (removed, leftovers) = remove(context, world, &deployed.app, deployed.ports).await?;
    Ok(Report {
        guests: world.lab.guests.word(),
        app: deployed.app.catalog_id,
        url: deployed.url,
        http_status: deployed.status,
        body_marker: deployed.has_marker,
        seconds_template,
        seconds_to_200: deployed.seconds_to_200,
        stop_refuses,
        start_again_200: again.is_some_and(|page| page.status == 200 && page.has_marker),
        removed,
        leftovers,
    })
}

/// Removes the app. Whether its container is gone, and what is left and should not be.
///
/// # Errors
/// The removal failed, or nobody says what is left.
pub(super) async fn remove(
    context: &Context,
    world: &World,
    app: &App,
    ports: Ports,
) -> Result<(bool, Vec<String>), Failed> {
    let operation = act(context, world, app, ActionName::Delete).await?;
    let containers = containers_left(world).await?;
    let removed = containers.is_empty() && operation.state == "succeeded";
    let mut leftovers = containers;
    leftovers.extend(ports_left(ports));
    leftovers.extend(routes_left(world).await?);
    leftovers.extend(rows_left(world, &app.id).await?);
    Ok((removed, leftovers))
}

/// Has something done with the app, and waits for its end.
///
/// # Errors
/// It failed.
pub(super) async fn act(
    context: &Context,
    world: &World,
    app: &App,
    action: ActionName,
) -> Result<Operation, Failed> {
    let body = ActionRequest {
        action,
        force: false,
        confirm: Some(app.hostname.clone()),
        purge: false,
    };
    let operation = world.client.act(&app.id, &body).await?;
    context
        .output
        .note(&format!("{}: {}", app.hostname, operation.kind));
    follow::settle(context, &world.client, operation, WAITING).await
}

/// Containers there are: as Proxmox VE's API lists them, and as they lie on the lab's disk.
async fn containers_left(world: &World) -> Result<Vec<String>, Failed> {
    let lab = &world.lab;
    let endpoints: Result<Vec<EndpointConfig>, Failed> = lab
        .api
        .iter()
        .map(|node| {
            let pin = lab.fingerprint_sha256.parse();
            let pin = pin.map_err(|e| wrong(&format!("the lab's fingerprint: {e}")))?;
            Ok(EndpointConfig {
                url: node.url.clone(),
                trust: Trust::Fingerprint(pin),
            })
        })
        .collect();
    let token = ApiToken {
        id: lab.tokens.full.id.clone(),
        secret: SecretString::from(lab.tokens.full.secret.clone()),
    };
    let transport = HttpsTransport::new(endpoints?, token).map_err(|e| wrong(&e.to_string()))?;
    let listed = ReadClient::new(Arc::new(transport)).resources_vm().await;
    let listed =
        listed.map_err(|e| wrong(&format!("the lab does not list its containers: {e}")))?;
    let mut left: Vec<String> = listed
        .iter()
        .map(|row| format!("container {} in the cluster", row.vmid))
        .collect();
    for node in &lab.api {
        left.extend(match lab.guests {
            Guests::Lxc => on_disk(lab.pid, &node.node)?,
            Guests::Simulated => simulated_on_disk(&world.lab_dir, &node.node)?,
        });
    }
    Ok(left)
}

/// What LXC has of a node, in the lab's own mount namespace; one directory for each lab that has such a node.
pub(super) fn node_dirs(lab_pid: u32, node: &str) -> Result<Vec<PathBuf>, Failed> {
    let seen_by_lab = Path::new("/proc").join(lab_pid.to_string()).join("root");
    let labs = entries(&seen_by_lab.join("var/lib/lxc"))?;
    let dirs = labs.into_iter().map(|lab| lab.join(node));
    Ok(dirs.filter(|dir| dir.is_dir()).collect())
}

/// LXC's directories of containers on a node.
fn on_disk(lab_pid: u32, node: &str) -> Result<Vec<String>, Failed> {
    let mut left = Vec::new();
    for node_dir in node_dirs(lab_pid, node)? {
        for guest in entries(&node_dir)? {
            let name = guest
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.bytes().all(|b| b.is_ascii_digit()) {
                left.push(format!("container {name} on the disk of {node}"));
            }
        }
    }
    Ok(left)
}

/// Files of simulated containers on a node.
fn simulated_on_disk(lab: &Path, node: &str) -> Result<Vec<String>, Failed> {
    let folder = lab.join("guests").join(node);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let files = entries(&folder)?.into_iter();
    Ok(files
        .map(|file| format!("{} on the disk of {node}", file.display()))
        .collect())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, Failed> {
    let unreadable = |e: std::io::Error| wrong(&format!("cannot look into {}: {e}", dir.display()));
    std::fs::read_dir(dir)
        .map_err(unreadable)?
        .map(|entry| entry.map(|e| e.path()).map_err(unreadable))
        .collect()
}

fn ports_left(pair: Ports) -> Vec<String> {
    [pair.public, pair.internal]
        .into_iter()
        .filter(|port| !ports::is_free(*port))
        .map(|port| format!("port {port}"))
        .collect()
}

async fn routes_left(world: &World) -> Result<Vec<String>, Failed> {
    let list = world.gateway.list_routes().await;
    let list = list.map_err(|e| wrong(&format!("the gateway does not list its routes: {e}")))?;
    let routes = list.routes.iter();
    Ok(routes
        .map(|report| format!("route of app {}", report.route.app_id))
        .collect())
}

/// Rows of the app that should have gone to the archive, and operations that are not done.
async fn rows_left(world: &World, app: &str) -> Result<Vec<String>, Failed> {
    let apps = world.client.apps(&AppQuery::default()).await?;
    let mut left: Vec<String> = apps
        .apps
        .iter()
        .map(|app| format!("record of app {}", app.hostname))
        .collect();
    let query = OperationQuery {
        app: Some(app.to_owned()),
        state: None,
        limit: Some(499),
        ..OperationQuery::default()
    };
    for operation in world.client.operations(&query).await?.operations {
        if operation.state != "succeeded" {
            left.push(format!("{} that is {}", operation.kind, operation.state));
        }
    }
    Ok(left)
}
