//! A server whose log file is on a full disk; everything else is on one that works.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use proximity_domain::time::Clock;
use proximity_testkit::sources::RealClock;

use super::Mode;
use super::app::{LOOK, OPERATION_MS, ask, go_on, remove};
use super::plan::Plan;
use super::product::{self, Product};
use crate::flight::body;
use crate::stack::{Around, words};

/// What stderr says.
const TOLD: &str = "cannot write the log";
/// What the file says afterwards.
const LOST: &str = "log lines were lost";

/// How its log's disk is full.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    product: product::Args,
    /// Where it logs: all there is on the disk.
    #[arg(long)]
    log: PathBuf,
    /// The plan that the shim follows.
    #[arg(long)]
    plan: PathBuf,
    /// The shim, unless the disk is filled for real.
    #[arg(long)]
    shim: Option<PathBuf>,
}

impl Args {
    fn mode(&self) -> Mode {
        if self.shim.is_some() {
            Mode::NoSpace
        } else {
            Mode::Filled
        }
    }

    fn file(&self) -> PathBuf {
        self.log.join("proximity.log")
    }

    fn around(&self) -> Around {
        let before = self.shim.as_ref().map_or_else(Vec::new, |shim| {
            words(&[
                "env",
                &format!("LD_PRELOAD={}", shim.display()),
                &format!("DISK_SHIM_ROOT={}", self.log.display()),
                &format!("DISK_SHIM_PLAN={}", self.plan.display()),
            ])
        });
        Around {
            before,
            log_file: Some(self.file()),
            ..Around::default()
        }
    }
}

pub(super) async fn run(args: &Args) -> Result<()> {
    let plan = Plan::open(&args.plan, &args.log)?;
    let mut product = Product::start(&args.product, args.around()).await?;
    for number in 0..args.product.cases {
        let went = case(args, &plan, &mut product, number).await;
        plan.disarm()?;
        product.note("log", went);
    }
    let output = product.site.output()?;
    let told = output.lines().filter(|line| line.contains(TOLD)).count();
    if told != 1 {
        let fault = format!("stderr tells {told} times that the log cannot be written");
        product.verdict.fault(fault);
    }
    product.finish(&args.product).await
}

/// Requests that leave a line each: more than the last block of the file has room for.
const LINES: usize = 32;

/// The disk is full from the k-th write to the log on, an app is deployed meanwhile, and space comes back.
async fn case(args: &Args, plan: &Plan, product: &mut Product, number: usize) -> Result<String> {
    let client = product.site.client().clone();
    let request = body(&format!("log{number}"));
    let before = std::fs::read_to_string(args.file())?;
    let lost_before = before.matches(LOST).count();
    let from = u64::try_from(number)? % 5 + 1;
    plan.arm(args.mode(), from, u64::MAX)?;
    // The log is not the record: nobody is refused, and the deploy goes on.
    let mut asked = None;
    for _ in 0..LINES {
        asked = ask(&client, &request, &[], &mut product.verdict).await?;
    }
    let app = go_on(&client, &request, asked, &mut product.verdict).await?;
    plan.disarm()?;
    remove(&client, &request.hostname).await?;
    let after = told_of(&args.file(), lost_before).await?;
    product.verdict.reached += 1;
    ensure!(
        after.starts_with(&before),
        "lines that were in the file are gone"
    );
    for line in after.lines() {
        let parsed = serde_json::from_str::<serde_json::Value>(line);
        parsed.with_context(|| format!("a line is not whole: {line:?}"))?;
    }
    Ok(app)
}

/// The file, once it says that lines were lost.
async fn told_of(file: &Path, before: usize) -> Result<String> {
    let since = RealClock.monotonic();
    loop {
        let text = std::fs::read_to_string(file)?;
        if text.ends_with('\n') && text.matches(LOST).count() > before {
            return Ok(text);
        }
        let waited = RealClock.monotonic().since_ms(since);
        ensure!(waited < OPERATION_MS, "the file tells of no lost lines");
        tokio::time::sleep(LOOK).await;
    }
}
