//! All processes: started, some killed and replaced, ended; then what they left is looked at.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proximity_store::Store;
use tokio::process::{Child, Command};

use super::worker::now;
use super::{Crowd, check, store_in};
use crate::draw::Draw;
use crate::say;
use crate::things::Things;

/// The control: one port in some is taken without its holder, so that it is given out again.
const FORGET: &str = "CREATE TRIGGER forget AFTER UPDATE OF app_id ON ports \
     WHEN NEW.app_id IS NOT NULL AND NEW.port % 7 = 0 BEGIN \
     UPDATE ports SET app_id = NULL, freed_at = 0 WHERE port = NEW.port; END";

pub(super) async fn run(order: &Crowd) -> Result<()> {
    let store = Store::open(store_in(&order.dir), now()).await?;
    let mut things = Things::from(0);
    let host = things.host("lab")?;
    store.add_host(host, &things.actor, now()).await?;
    store.close().await;
    if order.sabotage {
        let database = rusqlite::Connection::open(store_in(&order.dir).path)?;
        database.execute_batch(FORGET)?;
    }
    let started = work(order).await?;
    let verdict = check::all(&order.dir, started).await?;
    Ok(say::line(&serde_json::to_string(&verdict)?)?)
}

/// Lets them work, with kills spread over the time. Gives how many processes there were.
async fn work(order: &Crowd) -> Result<u64> {
    let mut draw = Draw::seeded(order.seed);
    let mut started = 0;
    let mut crowd = Vec::new();
    for _ in 0..order.processes {
        crowd.push(start(order, &mut started)?);
    }
    let pause = Duration::from_millis(order.seconds * 1000 / (order.kills + 1));
    for _ in 0..order.kills {
        tokio::time::sleep(pause).await;
        let victim = draw.below(crowd.len());
        let child = crowd.get_mut(victim).context("nobody to kill")?;
        if let Some(ended) = child.try_wait()? {
            anyhow::bail!("a process ended before it was killed: {ended}");
        }
        // kill() is SIGKILL, and waits until the process is gone.
        child.kill().await?;
        *child = start(order, &mut started)?;
    }
    tokio::time::sleep(pause).await;
    for child in &mut crowd {
        drop(child.stdin.take());
    }
    for mut child in crowd {
        let ended = child.wait().await?;
        ensure!(ended.success(), "a process ended badly: {ended}");
    }
    Ok(started)
}

fn start(order: &Crowd, started: &mut u64) -> Result<Child> {
    *started += 1;
    let dir: &Path = &order.dir;
    let child = Command::new(std::env::current_exe()?)
        .args(["ports", "worker", "--number", &started.to_string()])
        .args(["--tasks", &order.tasks.to_string(), "--dir"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}
