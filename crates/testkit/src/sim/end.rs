//! The state at the end in words that two runs can be compared by: without ids and times, which differ by what was drawn.

use proximity_domain::event::EventKind;
use proximity_store::views::{AppFilter, ArchiveFilter, OperationFilter};

use super::ground::Origin;
use super::perform::Stage;
use super::rest::text;

/// How long an app is at least on its way before the janitor marks it, milliseconds.
const LIMIT_MS: u64 = 3_600_000;

/// What the log of a run says, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// Claims of operations.
    pub(super) claims: i64,
    /// Apps that the janitor marked.
    pub(super) marked: u64,
}

impl Told {
    pub(super) async fn of(stage: &Stage) -> Result<Self, String> {
        let store = &stage.machine.store;
        let filter = OperationFilter {
            limit: OperationFilter::MAX_LIMIT,
            ..OperationFilter::default()
        };
        let operations = store.operations(filter).await.map_err(text)?;
        let claims: i64 = operations.iter().map(|op| op.epoch.0).sum();
        let (mut marked, mut after) = (0, 0);
        loop {
            let events = store.events(after, 1_000).await.map_err(text)?;
            let Some(last) = events.last() else { break };
            after = last.0;
            let diagnosed = events
                .iter()
                .filter(|(_, _, event, ..)| event.kind == EventKind::AppDiagnosedStuck);
            marked += u64::try_from(diagnosed.count()).unwrap_or(0);
        }
        Ok(Self { claims, marked })
    }
}

/// Complains of apps that were marked as on their way for too long, though there has been no time for that. A process that
/// begins takes the wall clock as it is, whatever happened to that before: of those nothing is said.
pub(super) async fn marked_early(stage: &Stage) -> Result<(), String> {
    let marked = Told::of(stage).await?.marked;
    let cluster = &stage.machine.cluster;
    let is_first = stage.process.number() == 1;
    if is_first && marked > 0 && cluster.clock.elapsed_ms() < LIMIT_MS {
        let what = format!("the janitor marked {marked}, and no hour has passed");
        cluster.complain("marked-early", what);
    }
    Ok(())
}

/// Complains of containers that are said to have been deleted by somebody else, and that we destroyed.
pub(super) async fn blamed(stage: &Stage) -> Result<(), String> {
    let (store, cluster) = (&stage.machine.store, &stage.machine.cluster);
    let mut after = 0;
    loop {
        let events = store.events(after, 1_000).await.map_err(text)?;
        let Some(last) = events.last() else {
            return Ok(());
        };
        after = last.0;
        for (_, _, event, ..) in &events {
            let vmid = event.body["vmid"].as_u64();
            let vmid = vmid.and_then(|vmid| u32::try_from(vmid).ok());
            if let Some(vmid) = vmid.filter(|_| event.kind == EventKind::AnomalousOrphanDetected)
                && cluster.lock().ground.ended_by_us(vmid)
            {
                let what = format!("container {vmid} is said to have been deleted by hand");
                cluster.complain("blamed", what);
            }
        }
    }
}

/// What is on record and what is there, a line each.
pub(super) async fn end(stage: &Stage) -> Result<Vec<String>, String> {
    let (store, cluster) = (&stage.machine.store, &stage.machine.cluster);
    let filter = AppFilter {
        per_page: AppFilter::MAX_PER_PAGE,
        ..AppFilter::default()
    };
    let mut lines = Vec::new();
    let (apps, _) = store.apps(filter).await.map_err(text)?;
    for app in apps {
        let guests = store.recorded_guests(app.id).await.map_err(text)?;
        let (name, status) = (&app.hostname, app.status.label().label());
        let (ports, open) = (app.ports.is_some(), app.exposed);
        let live = app.operation.is_some();
        let count = guests.len();
        let learned = guests.iter().filter(|it| it.learned().is_some()).count();
        lines.push(format!(
            "{name} {status}, at work {live}, ports {ports}, open {open}, {count} guests, {learned} learned"
        ));
    }
    let archived = store.archived_apps(ArchiveFilter::default()).await;
    let archived = archived.map_err(text)?;
    lines.push(format!("{} in the archive", archived.len()));
    lines.push(format!(
        "{} hold ports",
        store.ports().await.map_err(text)?.held.len()
    ));
    let inner = cluster.lock();
    let mut there: Vec<String> = inner
        .world
        .guests()
        .filter_map(|(vmid, guest)| {
            let life = inner.ground.life(vmid)?;
            let whose = match life.origin {
                Origin::Ours => "a container of ours",
                Origin::Found => "a container that was there",
                Origin::Stranger => "a stranger's container",
            };
            let runs = guest.is_running();
            let protected = guest.config.get("protection").unwrap_or("0");
            Some(format!("{whose}, runs {runs}, protected {protected}"))
        })
        .collect();
    drop(inner);
    there.sort_unstable();
    lines.extend(there);
    Ok(lines)
}
