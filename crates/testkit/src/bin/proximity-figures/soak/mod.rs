//! R22: a server that deploys, removes and reconciles for very long: what it takes of memory, files and disk, and what is left.

mod kept;
mod leftover;
mod trend;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use proximity_api::apps::{ActionName, ActionRequest, App};
use proximity_api::client::Client;
use proximity_api::events::EventQuery;
use proximity_api::reconcile::Reconcile;
use proximity_domain::ports::PortRange;
use serde_json::json;
use tokio::time::{Instant, sleep};

use self::trend::{Sample, Trend};
use crate::flight::{self, Watch};
use crate::say;
use crate::stack::{Around, Lab, Plan, Site};

const PUBLIC: PortRange = PortRange {
    first: 12_000,
    last: 12_199,
};
const INTERNAL: PortRange = PortRange {
    first: 14_000,
    last: 14_199,
};
/// Apps that are deployed and removed at the same time.
const APPS: u32 = 2;
/// How long they may take for that.
const TO_END: Duration = Duration::from_secs(120);
/// Looks with nothing else going on, for the comparison at the ends.
const QUIET: u32 = 25;
/// How long nothing else goes on before the comparison begins: what is more than is kept is gone by then.
const TO_REST: Duration = Duration::from_secs(4);
/// Containers of their own so long ago are forgotten by the server's answers.
const PAUSE: Duration = Duration::from_millis(20);

/// `proximity-figures soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The program of the lab and of the server
    #[arg(long)]
    program: PathBuf,
    /// An empty folder
    #[arg(long)]
    dir: PathBuf,
    /// Passes of the reconciler
    #[arg(long)]
    cycles: u64,
    /// No more are begun after so many seconds
    #[arg(long)]
    seconds: u64,
    /// The control: whoever looks leaves a stream of events open each time, and everything is kept
    #[arg(long)]
    sabotage: bool,
}

/// Runs it and prints what was found.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut lab = Lab::at_once(&args.program, &args.dir).await?;
    let plan = Plan {
        name: "site".to_owned(),
        public: PUBLIC,
        internal: INTERNAL,
        bind: "127.0.0.1",
        operations: 4,
    };
    let around = Around {
        config: kept::config(args.sabotage),
        ..Around::default()
    };
    let site = Site::start_in(&args.program, &args.dir, &plan, around).await?;
    site.add_host(&mut lab).await?;
    let data = plan.data_dir(&args.dir);
    let mut soak = Soak {
        process: PathBuf::from(format!(
            "/proc/{}",
            site.server_id().context("the server does not run")?
        )),
        client: site.another_client()?,
        data: data.clone(),
        args: &args,
        trend: Trend::default(),
        rounds: 0,
        cycles: 0,
    };
    soak.live().await?;
    let quiet = soak.quiet().await?;
    let (rounds, cycles) = (soak.rounds, soak.cycles);
    let trend = soak.trend.told(APPS);
    let guests = lab.guests().await?;
    site.end().await?;
    lab.end().await?;
    let left = leftover::of(&data, (PUBLIC, INTERNAL), &guests).await?;
    let found = json!({
        "cycles": cycles, "rounds": rounds, "trend": trend, "quiet_grown_bytes": quiet,
        "left": left.len(), "told": left,
    });
    say::line(&found.to_string())?;
    Ok(())
}

struct Soak<'a> {
    process: PathBuf,
    client: Client,
    data: PathBuf,
    args: &'a Args,
    trend: Trend,
    rounds: u64,
    cycles: u64,
}

impl Soak<'_> {
    /// Deploys and removes, with passes beside it, until there were enough of them.
    async fn live(&mut self) -> Result<()> {
        let began = Instant::now();
        let limit = Duration::from_secs(self.args.seconds);
        let mut open = Vec::new();
        while self.cycles < self.args.cycles && began.elapsed() < limit {
            self.round().await?;
            self.sample()?;
            if self.args.sabotage {
                let mut stream = self.client.follow_events(EventQuery::default());
                // Until it is there.
                let _ = tokio::time::timeout(PAUSE, stream.next()).await;
                open.push(stream);
            }
        }
        if self.trend.is_short() {
            bail!("only {} rounds in the time there was", self.rounds);
        }
        Ok(())
    }

    /// Some apps come and go; there are passes all the while.
    async fn round(&mut self) -> Result<()> {
        self.rounds += 1;
        let prefix = format!("r{}a", self.rounds);
        let client = self.client.clone();
        let mut work = Box::pin(come_and_go(&client, &prefix));
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                passed = pass(&self.client) => passed?,
            }
            self.cycles += 1;
            sleep(PAUSE).await;
        }
    }

    fn sample(&mut self) -> Result<()> {
        self.trend.add(Sample {
            resident_kib: trend::resident_kib(&self.process)?,
            files: trend::open_files(&self.process)?,
            database_bytes: kept::database_bytes(&self.data)?,
        });
        Ok(())
    }

    /// How much is written while nothing changes.
    async fn quiet(&mut self) -> Result<u64> {
        // What the last round changed is followed by then.
        let began = Instant::now();
        let mut passes = 0;
        while passes < QUIET || began.elapsed() < TO_REST {
            pass(&self.client).await?;
            passes += 1;
            sleep(PAUSE).await;
        }
        let before = stored(&self.data)?;
        for _ in 0..QUIET {
            pass(&self.client).await?;
            self.cycles += 1;
        }
        Ok(stored(&self.data)?.saturating_sub(before))
    }
}

async fn pass(client: &Client) -> Result<()> {
    let body = Reconcile {
        dry_run: false,
        confirm_missing: None,
    };
    let report = client.reconcile(&body).await?;
    if !report.success {
        bail!("a pass did not succeed: {:?}", report.errors);
    }
    Ok(())
}

async fn come_and_go(client: &Client, prefix: &str) -> Result<()> {
    let mut watch = Watch::begin(client).await?;
    let count = usize::try_from(APPS)?;
    let apps = flight::ask(client, prefix, count).await?;
    watch
        .until("deployed", TO_END, |seen| seen.ended.len() >= count)
        .await?;
    for app in &apps {
        remove(client, app).await?;
    }
    watch
        .until("removed", TO_END, |seen| seen.ended.len() >= 2 * count)
        .await
}

async fn remove(client: &Client, app: &App) -> Result<()> {
    let body = ActionRequest {
        action: ActionName::Delete,
        force: false,
        confirm: Some(app.hostname.clone()),
        purge: false,
    };
    client.act(&app.hostname, &body).await?;
    Ok(())
}

/// Bytes of the database and its log.
fn stored(data: &Path) -> Result<u64> {
    let mut bytes = 0;
    for name in ["proximity.db", "proximity.db-wal"] {
        bytes += std::fs::metadata(data.join(name))?.len();
    }
    Ok(bytes)
}
