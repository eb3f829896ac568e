//! The cluster's configurations for `pct`, asked of the running shell through a queue.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::control::GuestBook;
use crate::core::World;
use crate::core::guest::GuestKey;
use crate::shell::{RunningShell, ShellError};

type Config = BTreeMap<String, String>;

/// A question with the way back; a lost answer means that the lab is ending.
pub(crate) enum Page {
    Config(GuestKey, oneshot::Sender<Option<Config>>),
    Enter(GuestKey, oneshot::Sender<Option<Config>>),
    Guests(String, oneshot::Sender<BTreeMap<u32, Config>>),
    Unlock(GuestKey, oneshot::Sender<bool>),
}

/// The asking end.
pub(crate) struct ShellBook {
    pages: mpsc::Sender<Page>,
}

/// A book and the queue of its questions.
pub(crate) fn book() -> (ShellBook, mpsc::Receiver<Page>) {
    let (pages, questions) = mpsc::channel(64);
    (ShellBook { pages }, questions)
}

impl ShellBook {
    async fn ask<T>(&self, page: impl FnOnce(oneshot::Sender<T>) -> Page) -> Option<T> {
        let (back, answer) = oneshot::channel();
        self.pages.send(page(back)).await.ok()?;
        answer.await.ok()
    }
}

#[async_trait]
impl GuestBook for ShellBook {
    async fn config(&self, guest: &GuestKey) -> Option<Config> {
        self.ask(|back| Page::Config(guest.clone(), back))
            .await
            .flatten()
    }

    async fn enter(&self, guest: &GuestKey) -> Option<Config> {
        self.ask(|back| Page::Enter(guest.clone(), back))
            .await
            .flatten()
    }

    async fn guests(&self, node: &str) -> BTreeMap<u32, Config> {
        self.ask(|back| Page::Guests(node.to_owned(), back))
            .await
            .unwrap_or_default()
    }

    async fn unlock(&self, guest: &GuestKey) -> bool {
        self.ask(|back| Page::Unlock(guest.clone(), back))
            .await
            .unwrap_or(false)
    }
}

/// Answers one question from the shell's world.
///
/// # Errors
/// The shell has stopped.
pub(crate) async fn answer(shell: &RunningShell, page: Page) -> Result<(), ShellError> {
    // Who asked may have gone away: then nobody needs the answer.
    match page {
        Page::Config(guest, back) => {
            let _ = back.send(shell.read(move |world| config_of(world, &guest)).await?);
        }
        Page::Enter(guest, back) => {
            shell.journal().entered(guest.vmid);
            let _ = back.send(shell.read(move |world| config_of(world, &guest)).await?);
        }
        Page::Guests(node, back) => {
            let _ = back.send(shell.read(move |world| guests_of(world, &node)).await?);
        }
        Page::Unlock(guest, back) => {
            let there = guest.clone();
            let found = shell
                .read(move |world| world.guest(&there).is_some())
                .await?;
            if found {
                shell.change(move |world| unlock(world, &guest)).await?;
            }
            let _ = back.send(found);
        }
    }
    Ok(())
}

fn config_of(world: &World, guest: &GuestKey) -> Option<Config> {
    world.guest(guest).map(|guest| guest.config.keys.clone())
}

fn guests_of(world: &World, node: &str) -> BTreeMap<u32, Config> {
    let here = world.guests().filter(|(_, guest)| guest.node == node);
    here.map(|(vmid, guest)| (vmid, guest.config.keys.clone()))
        .collect()
}

fn unlock(world: &mut World, guest: &GuestKey) {
    if let Some(guest) = world.guest_mut(guest) {
        guest.config.keys.remove("lock");
    }
}
