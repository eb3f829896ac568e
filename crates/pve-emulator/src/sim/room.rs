//! One guest with its listeners; changed one at a time, and on disk before anybody is told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use super::disk::Disk;
use super::doors::{Doors, FIRST_PORT};
use super::guest::{Answer, Guest, HttpRequest, Image, World, respond};
use super::monitor::Monitor;
use crate::core::guest::GuestKey;

/// Ports that may turn out to be taken in one change before it is given up.
const MAX_TAKEN: usize = 16;

/// What all rooms of a lab share.
#[derive(Debug)]
pub(super) struct House {
    pub(super) image: Image,
    pub(super) disk: Disk,
    /// What the nodes' paths of LXC begin with.
    pub(super) lxc_path: PathBuf,
}

/// One guest's place.
#[derive(Debug)]
pub(super) struct Room {
    key: GuestKey,
    house: Arc<House>,
    cell: Mutex<Cell>,
    /// Counts changes, so that one can be waited for.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Cell {
    guest: Option<Guest>,
    doors: Doors,
    monitor: Monitor,
}

/// What a change came to: to be kept, or as if it had not been.
pub(super) enum Change<T> {
    Keep(T),
    Drop(T),
}

impl Room {
    pub(super) fn new(key: GuestKey, house: Arc<House>) -> Arc<Self> {
        Arc::new(Self {
            key,
            house,
            cell: Mutex::default(),
            changes: watch::Sender::new(0),
        })
    }

    /// Puts a guest there, with nothing open yet.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) async fn put(self: &Arc<Self>, guest: Guest) -> Result<(), String> {
        let mut cell = self.cell.lock().await;
        self.write(&guest).await?;
        cell.doors
            .set(&BTreeSet::new(), super::doors::Bound::default(), self)
            .await;
        self.occupy(&mut cell, Some(guest));
        Ok(())
    }

    /// What is in the room from now on.
    fn occupy(&self, cell: &mut Cell, guest: Option<Guest>) {
        let running = guest.as_ref().is_some_and(|guest| guest.running);
        cell.monitor.set(running, &self.house.lxc_path, &self.key);
        cell.guest = guest;
        self.changes.send_modify(|count| *count += 1);
    }

    /// Puts a guest back as it was found on disk; one that ran listens again. Who holds a port that somebody else
    /// has taken meanwhile ends.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) async fn resume(self: &Arc<Self>, guest: Guest, now_s: u64) -> Result<(), String> {
        self.occupy(&mut *self.cell.lock().await, Some(guest));
        for _ in 0..MAX_TAKEN {
            let mut cell = self.cell.lock().await;
            let Some(guest) = &cell.guest else {
                return Ok(());
            };
            let wanted = wanted(guest);
            match cell.doors.bind(&wanted).await {
                Ok(bound) => {
                    cell.doors.set(&wanted, bound, self).await;
                    return Ok(());
                }
                Err((address, error)) => {
                    tracing::warn!(%address, %error, vmid = self.key.vmid, "a guest's port is lost");
                    drop(cell);
                    let port = address.port();
                    self.change(now_s, |guest, world| {
                        guest.lose_port(world, port);
                        Change::Keep(())
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Takes the guest away.
    ///
    /// # Errors
    /// Its file cannot be removed.
    pub(super) async fn clear(self: &Arc<Self>) -> Result<(), String> {
        let mut cell = self.cell.lock().await;
        cell.doors
            .set(&BTreeSet::new(), super::doors::Bound::default(), self)
            .await;
        let (disk, key) = (self.house.disk.clone(), self.key.clone());
        files(move || disk.remove(&key)).await?;
        self.occupy(&mut cell, None);
        Ok(())
    }

    /// Changes the guest: `act` gets a copy, which takes its place once its listeners are bound and it is on disk. A
    /// port the machine does not give makes `act` run again, on a fresh copy, in a world where it is taken.
    ///
    /// # Errors
    /// There is no guest, or it cannot be written; nothing has changed then.
    pub(super) async fn change<T>(
        self: &Arc<Self>,
        now_s: u64,
        act: impl Fn(&mut Guest, &World<'_>) -> Change<T>,
    ) -> Result<T, String> {
        let mut cell = self.cell.lock().await;
        let mut taken = BTreeSet::new();
        loop {
            let Some(guest) = &cell.guest else {
                return Err(format!("there is no guest {}", self.key.vmid));
            };
            let mut next = guest.clone();
            let world = World {
                image: &self.house.image,
                now_s,
                taken: &taken,
            };
            let value = match act(&mut next, &world) {
                Change::Drop(value) => return Ok(value),
                Change::Keep(value) => value,
            };
            if next == *guest {
                return Ok(value);
            }
            let wanted = wanted(&next);
            let bound = match cell.doors.bind(&wanted).await {
                Ok(bound) => bound,
                Err((address, error)) => {
                    tracing::warn!(%address, %error, "a guest cannot listen");
                    if taken.len() >= MAX_TAKEN || !taken.insert(address.port()) {
                        return Err(format!("listen on {address}: {error}"));
                    }
                    continue;
                }
            };
            self.write(&next).await?;
            cell.doors.set(&wanted, bound, self).await;
            self.occupy(&mut cell, Some(next));
            return Ok(value);
        }
    }

    /// Looks at the guest.
    pub(super) async fn look<T>(&self, look: impl FnOnce(&Guest) -> T) -> Option<T> {
        self.cell.lock().await.guest.as_ref().map(look)
    }

    pub(super) async fn respond(&self, at: SocketAddr, request: &HttpRequest) -> Option<Answer> {
        self.look(|guest| respond(guest, at, request))
            .await
            .flatten()
    }

    /// To be told of changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn write(&self, guest: &Guest) -> Result<(), String> {
        let (disk, key, guest) = (self.house.disk.clone(), self.key.clone(), guest.clone());
        files(move || disk.write(&key, &guest)).await
    }
}

fn wanted(guest: &Guest) -> BTreeSet<SocketAddr> {
    let mut addresses = guest.reachable();
    addresses.retain(|address| address.port() >= FIRST_PORT);
    addresses
}

/// Runs file work on the pool made for it.
pub(super) async fn files<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(error.to_string()))
}
