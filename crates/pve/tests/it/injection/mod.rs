//! A corpus of texts through a way into a guest, and what arrived there: used by tests, and by the program of figure R27.

mod commands;
pub(crate) mod corpus;
mod files;
mod refusals;

use proximity_pve::guest::{GuestAccess, GuestTarget};

pub(crate) use files::{SPOILED, Then};
pub(crate) use refusals::{Also, POSSIBLE, accepted};

/// A way into a guest.
pub(crate) struct Way<'a> {
    pub(crate) name: String,
    pub(crate) access: &'a dyn GuestAccess,
    pub(crate) target: GuestTarget,
    /// Where, for the guest's commands, what files are put into begins: empty in a real guest.
    pub(crate) root: String,
    /// A folder of the guest that is not there yet.
    pub(crate) folder: String,
    /// Files may be given to others.
    pub(crate) gives_away: bool,
}

/// How much of the corpus goes into one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Portion {
    /// One text.
    Each,
    /// As many as fit.
    Many,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How many commands and files.
    pub(crate) asked: usize,
    /// What arrived as something else, or not at all.
    pub(crate) wrong: Vec<String>,
}

impl Found {
    /// Adds what another part found.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.asked += other.asked;
        self.wrong.extend(other.wrong);
        self
    }
}

/// How many are on their way at the same time.
const AT_ONCE: usize = 4;
/// How much a line of a shell may hold, with all that quoting adds.
const ROOM_BYTES: usize = 100_000;

/// Sends all of them as arguments and, since each file is a call of its own, one of so many as a file.
pub(crate) async fn run(
    way: &Way<'_>,
    payloads: &[String],
    portion: Portion,
    one_file_of: usize,
) -> Found {
    let commands = as_arguments(way, payloads, portion).await;
    commands.and(as_files(way, payloads, one_file_of, Then::Compare).await)
}

/// Sends all of them as arguments.
pub(crate) async fn as_arguments(way: &Way<'_>, payloads: &[String], portion: Portion) -> Found {
    commands::run(way, &groups(payloads, portion)).await
}

/// Sends one of so many as a file.
pub(crate) async fn as_files(
    way: &Way<'_>,
    payloads: &[String],
    one_of: usize,
    then: Then,
) -> Found {
    let filed: Vec<&String> = payloads.iter().step_by(one_of).collect();
    files::run(way, &filed, then).await
}

/// Cuts them into commands.
fn groups(payloads: &[String], portion: Portion) -> Vec<&[String]> {
    if portion == Portion::Each {
        return payloads.chunks(1).collect();
    }
    let quoted = |text: &String| proximity_pve::guest::quote::sh(text).len() + 1;
    let (mut groups, mut left) = (Vec::new(), payloads);
    while !left.is_empty() {
        let mut room = ROOM_BYTES;
        let fit = left.iter().take_while(|text| {
            let fits = quoted(text) <= room;
            room = room.saturating_sub(quoted(text));
            fits
        });
        let (group, rest) = left.split_at(fit.count().max(1));
        groups.push(group);
        left = rest;
    }
    groups
}

/// The beginning of a text, for people.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(60).collect();
    format!("{beginning:?}")
}
