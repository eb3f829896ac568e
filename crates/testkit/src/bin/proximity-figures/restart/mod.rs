//! P13: a server with many operations at work is killed and started again. How soon does it answer, how soon is
//! somebody at work on each of them, and is anything done twice?

mod seed;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Clock;
use proximity_testkit::sources::RealClock;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::flight::{self, Watch};
use crate::say;
use crate::stack::{CREATE_MS, Lab, Plan, Site, eventually};
use crate::verdict::{self, Deployed};

const PUBLIC: PortRange = PortRange {
    first: 10_000,
    last: 20_999,
};
const INTERNAL: PortRange = PortRange {
    first: 21_000,
    last: 31_999,
};
/// Deploys asked for beyond those wanted at work: some may be done when the server is killed.
const SPARE: usize = 4;
/// How long one deploy takes to be asked for at most, about.
const ASKED_MS: u64 = 120;
/// How long all may take to be at work.
const TO_WORK: Duration = Duration::from_secs(120);
/// How long all may take to be taken over; the goal is far below.
const TO_BE_RESUMED: Duration = Duration::from_secs(60);
/// How long all may take to end.
const TO_END: Duration = Duration::from_secs(900);

/// `proximity-figures restart`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's program
    #[arg(long)]
    program: PathBuf,
    /// An empty folder
    #[arg(long)]
    dir: PathBuf,
    /// Apps that are there already
    #[arg(long)]
    apps: u64,
    /// Deploys at work when the server is killed
    #[arg(long)]
    at_work: usize,
    /// The control: a build with crash points, which after the kill does not look for what was created already
    #[arg(long)]
    forgetful: Option<PathBuf>,
}

/// What the restart was like.
#[derive(Debug)]
struct Restart {
    first_answer: Duration,
    all_resumed: Duration,
}

/// Runs it and prints the verdict.
pub(crate) async fn run(args: Args) -> Result<()> {
    let plan = Plan {
        name: "site".to_owned(),
        public: PUBLIC,
        internal: INTERNAL,
        bind: "127.0.0.1",
        // One at work, so that no other is done before the last was asked for.
        operations: 1,
    };
    let begun = Instant::now();
    seed::seed(&plan.data_dir(&args.dir), (PUBLIC, INTERNAL), args.apps).await?;
    let seeded = begun.elapsed();
    // Nor must the one be done.
    let create_ms = CREATE_MS.max(ASKED_MS * u64::try_from(args.at_work)?);
    let mut lab = Lab::start(&args.program, &args.dir, create_ms).await?;
    let mut site = Site::start(&args.program, &args.dir, &plan).await?;
    site.add_host(&mut lab).await?;
    let mut watch = Watch::begin(site.client()).await?;
    let begun = Instant::now();
    let apps = flight::ask(site.client(), "web", args.at_work + SPARE).await?;
    let all = apps.len();
    site.kill_server().await?;
    site.allow(all)?;
    let program = site.program().to_owned();
    site.begin_again(&program, &[])?;
    site.ready().await?;
    watch
        .until("all at work", TO_WORK, |w| w.started.len() >= all)
        .await?;
    let created = something_created(&lab, all).await?;
    site.kill_server().await?;
    let before_kill = begun.elapsed();
    let restart = start_again(&mut site, &mut watch, &args, all).await?;
    watch
        .until("all ended", TO_END, |w| w.ended.len() >= all)
        .await?;
    let ended = begun.elapsed();
    let hostnames: Vec<&str> = apps.iter().map(|app| app.hostname.as_str()).collect();
    let deployed = Deployed::read(site.client(), &hostnames).await?;
    let faults = verdict::faults(&deployed, &lab).await?;
    site.end().await?;
    lab.end().await?;
    say::line(&result(&restart, &faults, &json!({
        "apps": args.apps, "at_work": watch.seen.taken_over.len(), "created_before_kill": created, "seeded_ms": ms(seeded),
        "take_overs": watch.seen.take_overs, "before_kill_ms": ms(before_kill), "ended_ms": ms(ended),
    })).to_string())?;
    Ok(())
}

fn result(restart: &Restart, faults: &[String], about: &Value) -> Value {
    json!({
        "first_answer_ms": ms(restart.first_answer), "all_resumed_ms": ms(restart.all_resumed),
        "faults": faults.len(), "told": verdict::told(faults), "about": about,
    })
}

fn ms(duration: Duration) -> u128 {
    duration.as_millis()
}

/// Waits until there is something that could be made twice.
async fn something_created(lab: &Lab, all: usize) -> Result<usize> {
    let least = (all / 8).max(1);
    let pause = Duration::from_millis(50);
    eventually("containers created", TO_WORK, pause, async || {
        let created = lab.created().await?.len();
        Ok((created >= least).then_some(created))
    })
    .await
}

/// Starts the server, asks it until it answers, and waits until every operation was taken over.
async fn start_again(
    site: &mut Site,
    watch: &mut Watch,
    args: &Args,
    all: usize,
) -> Result<Restart> {
    watch
        .seen
        .count_take_overs_from(Timestamp::from_millisecond(RealClock.now().0)?);
    let begun = Instant::now();
    match &args.forgetful {
        Some(program) => site.begin_again(program, &["--forget-creates"])?,
        None => {
            let program = site.program().to_owned();
            site.begin_again(&program, &[])?;
        }
    }
    let client = site.client().clone();
    while let Err(error) = client.app("web0").await {
        site.must_run()?;
        if begun.elapsed() > TO_BE_RESUMED {
            return Err(error).context("the server did not answer");
        }
        sleep(Duration::from_millis(2)).await;
    }
    let first_answer = begun.elapsed();
    watch
        .until("all taken over", TO_BE_RESUMED, |w| {
            w.taken_over.union(&w.ended).count() >= all
        })
        .await?;
    let all_resumed = begun.elapsed();
    let taken_over = watch.seen.taken_over.len();
    if taken_over < args.at_work {
        bail!("only {taken_over} were at work when the server was killed");
    }
    Ok(Restart {
        first_answer,
        all_resumed,
    })
}
