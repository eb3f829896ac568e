//! How long a deploy takes beyond what Proxmox VE's own tasks and the entries into the container take.
//!
//! One deploy after the other, on real programs with a lab whose times are fixed. What is taken off: making a container and
//! starting it, once each, and entering that very container as often as the lab counted.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use proximity_domain::ports::PortRange;
use serde_json::json;
use tokio::time::Instant;

use crate::flight::{self, Watch};
use crate::say;
use crate::stack::{CREATE_MS, ENTER_MS, Lab, Plan, START_MS, Site};

/// How long one deploy may take.
const TO_END: Duration = Duration::from_secs(60);
/// How much longer than told tasks take in the control.
const LONGER_MS: u64 = 500;

/// `proximity-figures overhead`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The program of server and gateway
    #[arg(long)]
    program: PathBuf,
    /// The program that has the lab
    #[arg(long)]
    lab: PathBuf,
    /// An empty folder
    #[arg(long)]
    dir: PathBuf,
    /// Deploys that count, one after the other
    #[arg(long)]
    deploys: usize,
    /// The control: making a container takes longer than what is taken off for it
    #[arg(long)]
    sabotage: bool,
}

/// What one deploy took.
#[derive(Debug, Clone, Copy, serde::Serialize)]
struct Deploy {
    /// From the answer to the end of the operation.
    ms: u64,
    /// Commands that ran inside the container.
    entered: u64,
    /// Calls to Proxmox VE meanwhile.
    calls: u64,
    overhead_ms: u64,
}

/// Runs it and prints what was measured.
pub(crate) async fn run(args: Args) -> Result<()> {
    let longer_ms = if args.sabotage { LONGER_MS } else { 0 };
    let mut lab = Lab::start(&args.lab, &args.dir, CREATE_MS + longer_ms).await?;
    let plan = Plan {
        name: "site".to_owned(),
        public: PortRange {
            first: 12_000,
            last: 12_199,
        },
        internal: PortRange {
            first: 14_000,
            last: 14_199,
        },
        bind: "127.0.0.1",
        operations: 8,
    };
    let site = Site::start(&args.program, &args.dir, &plan).await?;
    site.add_host(&mut lab).await?;
    let mut watch = Watch::begin(site.client()).await?;
    let mut deploys = Vec::new();
    // The first one finds everything cold and does not count.
    for number in 0..=args.deploys {
        let deploy = deploy(&site, &lab, &mut watch, number).await?;
        if number > 0 {
            deploys.push(deploy);
        }
    }
    site.end().await?;
    lab.end().await?;
    let mut overheads: Vec<u64> = deploys.iter().map(|deploy| deploy.overhead_ms).collect();
    overheads.sort_unstable();
    let at = |percent: usize| {
        let place = (overheads.len() * percent).div_ceil(100).max(1) - 1;
        overheads.get(place).copied()
    };
    let mut calls: Vec<u64> = deploys.iter().map(|deploy| deploy.calls).collect();
    calls.sort_unstable();
    let result = json!({
        "p50_ms": at(50), "p99_ms": at(99), "calls": calls.get(calls.len() / 2), "deploys": deploys,
    });
    say::line(&result.to_string())?;
    Ok(())
}

async fn deploy(site: &Site, lab: &Lab, watch: &mut Watch, number: usize) -> Result<Deploy> {
    let before = lab.counted().await?;
    let body = flight::body(&format!("app{number}"));
    let app = site
        .client()
        .create_app(&body, &format!("app-{number}"))
        .await?;
    let begun = Instant::now();
    let operation = app.operation_id.context("the app has no operation")?;
    watch
        .until("a deploy", TO_END, |seen| seen.ended.contains(&operation))
        .await?;
    let ms = u64::try_from(begun.elapsed().as_millis())?;
    let after = lab.counted().await?;
    let deployed = site.client().app(&app.id).await?;
    anyhow::ensure!(deployed.status == "running", "it is {}", deployed.status);
    let vmid = deployed.vmid.context("the app has no container")?;
    let entered = after.entered(vmid) - before.entered(vmid);
    let taken_off = CREATE_MS + START_MS + entered * ENTER_MS;
    let overhead_ms = ms.checked_sub(taken_off);
    Ok(Deploy {
        ms,
        entered,
        calls: after.calls - before.calls,
        overhead_ms: overhead_ms.with_context(|| {
            format!("it took {ms} ms, less than the {taken_off} ms of what the cluster did for it")
        })?,
    })
}
