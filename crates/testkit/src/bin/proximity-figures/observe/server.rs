//! P4 and P5: the server as it runs, with nothing to do but to observe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use proximity_api::apps::AppQuery;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::world::{World, site_plan};
use super::{Args, cost};
use crate::stack::Site;

/// It has observed a few times then.
const SETTLED: Duration = Duration::from_secs(25);
/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The program of the server.
pub(super) fn program(args: &Args) -> &Path {
    args.server.as_ref().unwrap_or(&args.program)
}

/// Where the kernel tells of the server's process.
pub(super) fn process(site: &Site) -> Result<PathBuf> {
    let id = site.server_id().context("the server does not run")?;
    Ok(PathBuf::from(format!("/proc/{id}")))
}

/// Watches a server that has nothing to do.
pub(super) async fn watch(world: &World, args: &Args) -> Result<Value> {
    world.store.close().await;
    let site = Site::start(program(args), &args.dir, &site_plan(4)).await?;
    let process = process(&site)?;
    sleep(SETTLED).await;
    let (processor, woken) = (cost::processor_time(&process)?, cost::wake_ups(&process)?);
    let (begun, mut most) = (Instant::now(), 0);
    let span = Duration::from_secs(args.idle_s);
    while begun.elapsed() < span {
        most = most.max(cost::resident_kib(&process)?);
        if args.sabotage {
            // Somebody asks again and again.
            site.client().apps(&AppQuery::default()).await?;
        } else {
            sleep(LOOK).await;
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let processor = cost::processor_time(&process)?.saturating_sub(processor);
    let woken = cost::wake_ups(&process)?.saturating_sub(woken);
    let settled = cost::resident_kib(&process)?;
    site.end().await?;
    #[allow(clippy::cast_precision_loss)] // some thousand
    let per_second = woken as f64 / took;
    Ok(json!({
        "guests": args.guests, "resident_kib": settled, "most_kib": most,
        "processor_percent": 100.0 * processor.as_secs_f64() / took, "wake_ups_per_s": per_second, "seconds": took,
    }))
}
