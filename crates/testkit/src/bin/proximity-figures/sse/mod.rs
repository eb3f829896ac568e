//! Many clients follow the events of one server under load, which is killed and started again; what each was told is
//! compared with the log.

mod client;
mod foreign;
mod load;
mod server;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::client::{Begin, Client, Pace};
use self::load::Load;
use self::server::Server;
use crate::say;

/// How long clients may take to catch up after the load ended.
const CATCH_UP: Duration = Duration::from_secs(40);
/// One in so many clients takes its time.
const ONE_SLOW_IN: usize = 20;

/// `proximity-figures sse`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's program
    #[arg(long)]
    program: PathBuf,
    /// An empty folder
    #[arg(long)]
    dir: PathBuf,
    /// How many clients follow
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// How often the server is killed
    #[arg(long, default_value_t = 4)]
    kills: u32,
    /// Load between two kills, milliseconds
    #[arg(long, default_value_t = 2000)]
    life_ms: u64,
    /// The control: clients do not say what they had last
    #[arg(long)]
    sabotage: bool,
    /// A client of somebody else's: an interpreter and its script
    #[arg(long, num_args = 2, value_names = ["PROGRAM", "SCRIPT"])]
    foreign: Vec<PathBuf>,
}

/// Runs it and prints the verdict.
pub(crate) fn run(args: Args) -> Result<()> {
    // Once per process; a second call would be refused, and there is none.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(args))
}

async fn measure(args: Args) -> Result<()> {
    let mut server = Server::start(&args.program, &args.dir).await?;
    let load = Load::prepare(&server, &args.dir).await?;
    let stop = CancellationToken::new();
    let clients = clients(&args, &server);
    let mut following = JoinSet::new();
    for client in &clients {
        following.spawn(Arc::clone(client).follow(stop.clone()));
    }
    let foreign = foreign::start(&args.foreign, &server)?;
    wait_for_all_open(&clients).await?;
    let pressing = tokio::spawn(load.clone().press(stop.child_token()));
    let mut peak_rss_kib = 0;
    for _ in 0..args.kills {
        sleep(Duration::from_millis(args.life_ms)).await;
        peak_rss_kib = server.peak_rss_kib()?.max(peak_rss_kib);
        server.kill().await?;
        server.start_again().await?;
    }
    sleep(Duration::from_millis(args.life_ms)).await;
    load.end();
    let pressed = pressing.await.context("the load panicked")??;
    server.settle().await;
    let head = load.newest().await?;
    let slowest = catch_up(&clients, head).await;
    let foreign = foreign::end(foreign, head).await?;
    peak_rss_kib = server.peak_rss_kib()?.max(peak_rss_kib);
    stop.cancel();
    while following.join_next().await.is_some() {}
    server.kill().await?;
    let faults = verdict::faults(&clients, head);
    let told = verdict::told(&faults);
    let reconnects: u64 = clients
        .iter()
        .map(|c| c.connections().saturating_sub(1))
        .sum();
    let result = json!({
        "clients": clients.len(), "kills": args.kills, "events": head, "faults": faults.len(), "told": told,
        "reconnects": reconnects, "requests_taken": pressed, "catch_up_ms": slowest,
        "peak_rss_mib": peak_rss_kib / 1024, "foreign": foreign,
    });
    say::line(&result.to_string())?;
    Ok(())
}

fn clients(args: &Args, server: &Server) -> Vec<Arc<Client>> {
    let client = |number: usize| {
        let begin = if number.is_multiple_of(2) {
            Begin::AtTheBeginning
        } else {
            Begin::Now
        };
        let pace = if number % ONE_SLOW_IN == ONE_SLOW_IN - 1 {
            Pace::Slow
        } else {
            Pace::Fast
        };
        Arc::new(Client::new(server, begin, pace, args.sabotage))
    };
    (0..args.clients).map(client).collect()
}

async fn wait_for_all_open(clients: &[Arc<Client>]) -> Result<()> {
    let begun = Instant::now();
    while clients.iter().any(|client| client.start().is_none()) {
        if begun.elapsed() > CATCH_UP {
            bail!("not every client's stream was open in time");
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits until all clients are at the end of the log; gives how long it took, milliseconds.
async fn catch_up(clients: &[Arc<Client>], head: i64) -> u128 {
    let begun = Instant::now();
    while begun.elapsed() < CATCH_UP && clients.iter().any(|client| client.last() < Some(head)) {
        sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed().as_millis()
}
