//! P8: how long answers of the server take while it is at work, beside the same server with nothing else to do.
//!
//! 500 requests a second are sent at fixed moments, whether or not those before are answered, and the time of each counts from the
//! moment at which it was due. Nine of ten read, one writes. At work it makes one pass after the other over 10,000 containers, and has 20
//! deploys under way, in a lab of their own: the containers of the large one are only told of.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proximity_api::apps::AppQuery;
use proximity_api::client::{Client, ClientError};
use proximity_api::events::EventQuery;
use proximity_api::operations::OperationQuery;
use proximity_api::reconcile::Reconcile;
use proximity_api::resources::ResourceQuery;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::latency::Latencies;
use super::plan_size::recorded;
use super::world::{FIRST_VMID, World, site_plan};
use super::{Args, server};
use crate::flight::{self, Watch};
use crate::stack::{CREATE_MS, Lab, Site};
use crate::verdict;

/// Requests in a second, and from one to the next.
const PER_SECOND: u64 = 500;
const APART: Duration = Duration::from_millis(2);
/// The first requests find everything cold and do not count, seconds.
const WARM_S: u64 = 2;
/// Deploys at the same time.
const DEPLOYS: usize = 20;
/// How long they may take.
const TO_END: Duration = Duration::from_secs(120);
/// The lab that they are made in.
const LABEL: &str = "small";
const NODES: &str = "small1,small2,small3";
/// In the control the server stands still for so long, and runs for so long, by turns.
const STILL: Duration = Duration::from_millis(200);
const RUNS: Duration = Duration::from_millis(800);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The first 50 of all apps.
    Page,
    App,
    Operations,
    Resources,
    Events,
    /// Drift of an adopted app is told, or no longer: both are commits with their part of the audit, and ask no cluster.
    Guard,
    Unguard,
}

impl Kind {
    fn of(number: u64) -> Self {
        match number % 10 {
            0 if number.is_multiple_of(20) => Self::Guard,
            0 => Self::Unguard,
            1 | 2 => Self::Page,
            3..=6 => Self::App,
            7 => Self::Operations,
            8 => Self::Resources,
            _ => Self::Events,
        }
    }

    fn writes(self) -> bool {
        matches!(self, Self::Guard | Self::Unguard)
    }
}

/// An answer, or none.
struct Answered {
    kind: Kind,
    took: Duration,
    said: Result<(), ClientError>,
}

/// All of them.
#[derive(Debug, Default)]
struct Answers {
    reads: Latencies,
    writes: Latencies,
    /// Those of `reads` that are pages of apps.
    pages: Latencies,
    /// Why the others are none.
    lost: Vec<String>,
}

impl Answers {
    fn take(&mut self, answered: Answered) {
        let Answered { kind, took, said } = answered;
        if let Err(why) = said {
            self.lost.push(format!("{kind:?}: {why}"));
            return;
        }
        match kind.writes() {
            true => self.writes.add(took),
            false => self.reads.add(took),
        }
        if kind == Kind::Page {
            self.pages.add(took);
        }
    }

    fn told(&self) -> Value {
        let mut all = self.reads.clone();
        all.merge(&self.writes);
        json!({
            "answers": all.count(), "lost": self.lost.len(), "told": verdict::told(&self.lost),
            "p50_ms": all.of_thousand(500), "p99_ms": all.of_thousand(990), "p999_ms": all.of_thousand(999),
            "reads_p99_ms": self.reads.of_thousand(990), "writes_p99_ms": self.writes.of_thousand(990),
            "pages_p50_ms": self.pages.of_thousand(500),
        })
    }
}

/// The server on that record, and a second lab for what it has to do.
pub(super) async fn measure(world: &World, args: &Args) -> Result<Value> {
    world.store.close().await;
    let dir = args.dir.join(LABEL);
    std::fs::create_dir_all(&dir)?;
    let mut small = Lab::with_nodes(&args.program, &dir, NODES, CREATE_MS).await?;
    let program: &Path = server::program(args);
    let site = Site::start(program, &args.dir, &site_plan(DEPLOYS)).await?;
    let found = beside(&site, &mut small, args).await;
    site.end().await?;
    small.end().await?;
    found
}

async fn beside(site: &Site, small: &mut Lab, args: &Args) -> Result<Value> {
    let client = site.client();
    let mut entry = small.as_host()?;
    entry.label = LABEL.to_owned();
    let host = client.add_host(&entry).await?;
    let ssh = host.ssh.as_ref().context("the host has no key")?;
    small.let_in(&ssh.public_key)?;
    recorded(client, u64::from(args.guests)).await?;
    load(client, WARM_S, args.apps).await?;
    let quiet = load(client, args.load_s, args.apps).await?;
    let stop = CancellationToken::new();
    let loading = async {
        let loaded = load(client, args.load_s, args.apps).await;
        stop.cancel();
        loaded
    };
    let still = async {
        match args.sabotage {
            true => stand_still(site, (STILL, RUNS), &stop).await,
            false => Ok(()),
        }
    };
    let (busy, passes, deploys, still) = tokio::join!(
        loading,
        passes(client, &stop),
        deploys(client, &stop),
        still,
    );
    still?;
    Ok(json!({
        "apps": args.apps, "seconds": args.load_s, "quiet": quiet.told(), "busy": busy?.told(), "passes": passes?,
        "deploys": deploys?,
    }))
}

/// Sends for so many seconds, and waits for all answers.
async fn load(client: &Client, seconds: u64, apps: u32) -> Result<Answers> {
    let mut asking = JoinSet::new();
    let mut due = Instant::now();
    for number in 0..seconds * PER_SECOND {
        sleep_until(due).await;
        let app = FIRST_VMID + u32::try_from(number / 20 % u64::from(apps))?;
        asking.spawn(ask(client.clone(), Kind::of(number), app, due));
        due += APART;
    }
    let mut answers = Answers::default();
    while let Some(answered) = asking.join_next().await {
        answers.take(answered?);
    }
    Ok(answers)
}

async fn ask(client: Client, kind: Kind, app: u32, due: Instant) -> Answered {
    let name = format!("app{app}");
    let said = match kind {
        Kind::Page => client.apps(&AppQuery::default()).await.map(drop),
        Kind::App => client.app(&name).await.map(drop),
        Kind::Operations => client
            .operations(&OperationQuery::default())
            .await
            .map(drop),
        Kind::Resources => client.resources(&ResourceQuery::default()).await.map(drop),
        Kind::Events => client.events(&EventQuery::default()).await.map(drop),
        Kind::Guard => client.guard(&name).await.map(drop),
        Kind::Unguard => client.unguard(&name).await.map(drop),
    };
    Answered {
        kind,
        took: due.elapsed(),
        said,
    }
}

/// One after the other; how many.
async fn passes(client: &Client, stop: &CancellationToken) -> Result<u64> {
    let pass = Reconcile {
        dry_run: false,
        confirm_missing: None,
    };
    let mut made = 0;
    while !stop.is_cancelled() {
        client.reconcile(&pass).await.context("a pass")?;
        made += 1;
    }
    Ok(made)
}

/// As soon as so many are done the next ones are asked for; how many were done, each of which has to run.
async fn deploys(client: &Client, stop: &CancellationToken) -> Result<usize> {
    let mut done = 0;
    while !stop.is_cancelled() {
        let mut watch = Watch::begin(client).await?;
        let (mut apps, mut operations) = (Vec::new(), Vec::new());
        for number in done..done + DEPLOYS {
            let mut body = flight::body(&format!("busy{number}"));
            body.host = Some(LABEL.to_owned());
            let app = client.create_app(&body, &format!("busy-{number}")).await?;
            operations.push(app.operation_id.context("the app has no operation")?);
            apps.push(app.id);
        }
        let ended = watch.until("the deploys", TO_END, |seen| {
            operations.iter().all(|id| seen.ended.contains(id))
        });
        ended.await?;
        for app in &apps {
            let app = client.app(app).await?;
            let status = app.status.as_str();
            ensure!(status == "running", "{} is {status}", app.hostname);
        }
        done += DEPLOYS;
    }
    Ok(done)
}

/// The control: nothing of the server gets a processor for so long, and then for so long it does, by turns.
pub(super) async fn stand_still(
    site: &Site,
    (still, runs): (Duration, Duration),
    stop: &CancellationToken,
) -> Result<()> {
    let raw = site.server_id().and_then(|id| i32::try_from(id).ok());
    let server = raw.and_then(Pid::from_raw);
    let server = server.context("the server does not run")?;
    while !stop.is_cancelled() {
        kill_process(server, Signal::STOP)?;
        sleep(still).await;
        kill_process(server, Signal::CONT)?;
        sleep(runs).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_ten_writes_and_what_is_begun_is_ended() {
        let kinds: Vec<Kind> = (0..20).map(Kind::of).collect();
        assert_eq!(kinds.iter().filter(|kind| kind.writes()).count(), 2);
        assert_eq!((kinds[0], kinds[10]), (Kind::Guard, Kind::Unguard));
        assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Page).count(), 4);
    }

    #[test]
    fn what_was_lost_has_no_time() {
        let mut answers = Answers::default();
        for kind in [Kind::Page, Kind::App, Kind::Guard] {
            answers.take(Answered {
                kind,
                took: Duration::from_millis(5),
                said: Ok(()),
            });
        }
        let told = answers.told();
        assert_eq!((&told["answers"], &told["lost"]), (&json!(3), &json!(0)));
        assert_eq!(told["pages_p50_ms"], json!(5.0));
    }
}
