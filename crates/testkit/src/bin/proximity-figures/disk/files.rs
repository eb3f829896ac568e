//! A server that may have 32 files open: callers take every one it gives them, or at some moment it gets no more at all.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proximity_api::client::Client;
use proximity_domain::time::Clock;
use proximity_testkit::sources::RealClock;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::net::TcpStream;

use super::app::{Allowed, CYCLE_MS, LOOK, OPERATION_MS, ask, go_on, remove};
use super::product::{Args, Product};
use crate::flight::body;
use crate::stack::{Around, words};

const LIMIT: u64 = 32;
/// Connections of callers that say nothing: more than there are files.
const CALLERS: usize = 64;
/// How long a number of open files has to stay for it to be all there will be.
const SETTLED_MS: u64 = 300;
/// A limit with which no file can be opened: standard streams alone.
const NONE: u64 = 3;
/// What a deploy takes.
const DEPLOY_MS: u64 = 4_500;
/// How long no file can be opened.
const TROUBLE_MS: u64 = 1_500;
/// What may be said while no file can be opened.
const OF_FILES: Allowed = &[(503, "out_of_files"), (503, "database_unavailable")];

pub(super) async fn run(args: &Args) -> Result<()> {
    let shell = format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"");
    let around = Around {
        before: words(&["sh", "-c", &shell]),
        ..Around::default()
    };
    let mut product = Product::start(args, around).await?;
    for number in 0..args.cases {
        let (what, went) = match number % 3 {
            0 => ("callers", crowd(&mut product, number).await),
            1 => (
                "none for a request",
                squeeze(&mut product, number, None).await,
            ),
            _ => {
                // Later and later in the deploy.
                let after = (number as u64 * 137) % DEPLOY_MS;
                (
                    "none for a deploy",
                    squeeze(&mut product, number, Some(after)).await,
                )
            }
        };
        product.note(what, went);
    }
    product.finish(args).await
}

/// Callers hold every connection they get. Who is connected is served, deploys go on, and who waits is served afterwards.
async fn crowd(product: &mut Product, number: usize) -> Result<String> {
    let client = product.site.client().clone();
    let request = body(&format!("crowd{number}"));
    client.health().await.context("before the callers come")?;
    let held = callers(product.site.url()).await?;
    let pid = product.site.server_id().context("the server is gone")?;
    let open = settled(pid).await?;
    ensure!(open <= LIMIT, "{open} files are open");
    let late = waiting(product.site.another_client()?);
    let asked = ask(&client, &request, OF_FILES, &mut product.verdict).await?;
    ensure!(
        asked.is_some(),
        "callers that say nothing keep others from work"
    );
    // It runs while they are all there.
    let app = go_on(&client, &request, asked, &mut product.verdict).await?;
    product.verdict.reached += usize::from(!late.is_finished());
    drop(held);
    let patience = Duration::from_millis(CYCLE_MS + OPERATION_MS);
    let late = tokio::time::timeout(patience, late).await;
    late.context("who waited is not served")??
        .context("who waited")?;
    remove(&client, &request.hostname).await?;
    Ok(app)
}

async fn callers(url: &str) -> Result<Vec<TcpStream>> {
    let address = url.trim_start_matches("http://");
    let mut held = Vec::new();
    for _ in 0..CALLERS {
        held.push(TcpStream::connect(address).await?);
    }
    Ok(held)
}

/// A caller that comes when all connections are taken.
fn waiting(client: Client) -> tokio::task::JoinHandle<Result<()>> {
    tokio::spawn(async move {
        client.health().await?;
        Ok(())
    })
}

/// For a while nothing can be opened: when an app is asked for, or `after` so many milliseconds of its deploy.
async fn squeeze(product: &mut Product, number: usize, after: Option<u64>) -> Result<String> {
    let client = product.site.client().clone();
    let pid = product.site.server_id().context("the server is gone")?;
    let verdict = &mut product.verdict;
    let request = body(&format!("squeeze{number}"));
    let other = body(&format!("other{number}"));
    client.health().await.context("before the trouble")?;
    let mut first = None;
    if let Some(after) = after {
        first = ask(&client, &request, &[], verdict).await?;
        wait(after).await;
    }
    limit(pid, NONE)?;
    let second = ask(&client, &other, OF_FILES, verdict).await;
    let again = ask(&client, &request, OF_FILES, verdict).await;
    wait(TROUBLE_MS).await;
    limit(pid, LIMIT)?;
    let second = second?;
    let again = again?;
    verdict.reached += 1;
    let app = go_on(&client, &request, first.or(again), verdict).await?;
    go_on(&client, &other, second, verdict).await?;
    let (one, two) = tokio::join!(
        remove(&client, &other.hostname),
        remove(&client, &request.hostname)
    );
    one.and(two)?;
    Ok(app)
}

async fn wait(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Sets how many files the process may open from now on; those that are open stay so.
fn limit(pid: u32, files: u64) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let wanted = Rlimit {
        current: Some(files),
        maximum: Some(LIMIT),
    };
    prlimit(pid, Resource::Nofile, wanted)?;
    Ok(())
}

/// How many files it has open, once that does not change.
async fn settled(pid: u32) -> Result<u64> {
    let (begun, mut since) = (RealClock.monotonic(), RealClock.monotonic());
    let mut open = open_files(pid)?;
    while RealClock.monotonic().since_ms(since) < SETTLED_MS {
        tokio::time::sleep(LOOK).await;
        let now = open_files(pid)?;
        if now != open {
            (open, since) = (now, RealClock.monotonic());
        }
        let waited = RealClock.monotonic().since_ms(begun);
        ensure!(waited < OPERATION_MS, "its open files change all the time");
    }
    Ok(open)
}

fn open_files(pid: u32) -> Result<u64> {
    let count = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    Ok(u64::try_from(count)?)
}
