//! One process: tasks that take and give back, each acknowledgement noted in a file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use proximity_domain::event::EventKind;
use proximity_domain::ids::HostId;
use proximity_domain::time::{Clock, Timestamp};
use proximity_store::effects::{Effects, NewEvent};
use proximity_store::{Store, StoreError};
use proximity_testkit::sources::RealClock;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::store_in;
use crate::things::Things;

/// How long a claim holds: what a killed process had is taken over after that.
const LEASE_MS: i64 = 1_500;
/// The event of a pair that was given back.
pub(super) const GIVEN_BACK: EventKind = EventKind::AppRemoved;

/// Where a process notes what was acknowledged to it.
pub(super) fn notes(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("notes-{number}"))
}

/// Works until standard input ends.
pub(super) async fn run(dir: &Path, number: u64, tasks: u64) -> Result<()> {
    let store = Store::open(store_in(dir), RealClock.now()).await?;
    let hosts = store.hosts().await?;
    let host = hosts.first().context("there is no host")?.id;
    let notes = Arc::new(File::create(notes(dir, number))?);
    let stop = CancellationToken::new();
    let mut crowd = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let worker = Worker {
            store: store.clone(),
            host,
            things: Things::from(number * 1_000 + task),
            notes: Arc::clone(&notes),
            name: format!("w{number}-{task}"),
        };
        crowd.spawn(worker.work(stop.clone()));
    }
    let mut nothing = [0];
    // Nothing is ever sent: the end of the input is the word to stop.
    tokio::io::stdin().read_exact(&mut nothing).await.err();
    stop.cancel();
    while let Some(ended) = crowd.join_next().await {
        ended??;
    }
    store.close().await;
    Ok(())
}

struct Worker {
    store: Store,
    host: HostId,
    things: Things,
    notes: Arc<File>,
    name: String,
}

impl Worker {
    async fn work(mut self, stop: CancellationToken) -> Result<()> {
        for round in 0_u64.. {
            if stop.is_cancelled() {
                break;
            }
            // Two at a time, so that together they want more than there are.
            self.take(2 * round).await?;
            self.take(2 * round + 1).await?;
            self.give_back().await?;
            self.give_back().await?;
        }
        Ok(())
    }

    /// Notes one line; whole, or not at all if the process is killed.
    fn note(&self, line: &str) -> Result<()> {
        (&*self.notes).write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    async fn take(&mut self, round: u64) -> Result<()> {
        let (app, operation) = self
            .things
            .app(&format!("{}-{round}", self.name), self.host)?;
        let (id, now, actor) = (app.id, RealClock.now(), self.things.actor.clone());
        match self
            .store
            .create_app(app, operation, &actor, None, now)
            .await
        {
            Ok(made) => {
                let pair = made.ports;
                let pair = pair.map(|pair| format!("{} {}", pair.public, pair.internal));
                self.note(&format!("took {id} {}", pair.unwrap_or_default()))
            }
            Err(StoreError::PortsExhausted { held, resting, .. }) => {
                self.note(&format!("refused {held} {}", resting.len()))
            }
            Err(other) => self.note(&format!("fault {other}")),
        }
    }

    async fn give_back(&mut self) -> Result<()> {
        let now = RealClock.now();
        let claimed = self
            .store
            .claim(self.things.holder, LEASE_MS, false, now)
            .await;
        let (operation, fence) = match claimed {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return Ok(()),
            Err(other) => return self.note(&format!("fault {other}")),
        };
        match self
            .store
            .complete(&fence, farewell(), RealClock.now())
            .await
        {
            Ok(()) => self.note(&format!("gave {}", operation.app)),
            // Taken over by another one after the lease ran out: that one gives it back.
            Err(StoreError::LeaseLost { .. }) => Ok(()),
            Err(other) => self.note(&format!("fault {other}")),
        }
    }
}

/// The app goes to the archive, its pair is free.
pub(super) fn farewell() -> Effects {
    Effects {
        archive: true,
        events: vec![NewEvent {
            kind: GIVEN_BACK,
            body: json!({"app": null, "hostname": null, "operation": null}),
        }],
        ..Effects::default()
    }
}

/// The moment, for who looks from outside.
pub(super) fn now() -> Timestamp {
    RealClock.now()
}
