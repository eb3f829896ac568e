//! Which prepared templates are worth making, and which have had their time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{BaseKey, Clones, FORMAT, Kept, Prepared, Spot, Stage, age_ms};
use crate::ids::PreparedId;
use crate::time::Timestamp;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// How many prepared templates there are, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether any are made and used.
    pub on: bool,
    /// One is made after so many deploys of its base in one place.
    pub after_deploys: u32,
    /// For so long after it was made clones are made of it, ms. Packages in its cache are as old as it is.
    pub fresh_ms: i64,
    /// One that was of no use for so long goes, ms.
    pub unused_ms: i64,
    /// So many at most on one storage of a node.
    pub most: u32,
    /// So much room at most that they may take there, GiB.
    pub most_gib: u32,
}

impl Default for Policy {
    /// None are made; with `on` set, after the second deploy, fresh for a week, kept for two of no use, four of them in 32 GiB.
    fn default() -> Self {
        Self {
            on: false,
            after_deploys: 2,
            fresh_ms: 7 * DAY_MS,
            unused_ms: 14 * DAY_MS,
            most: 4,
            most_gib: 32,
        }
    }
}

/// A template that might be made.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Where.
    pub spot: &'a Spot,
    /// Of what.
    pub key: &'a BaseKey,
    /// How large, GiB.
    pub disk_gib: u32,
    /// How often an app with that base was deployed there.
    pub deploys: u32,
}

/// Why none is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWorth {
    /// None are made at all.
    Off,
    /// The base was not deployed often enough.
    TooSeldom,
    /// There is one, or one is being made.
    IsThere,
    /// There are as many there as there may be, or they take as much room. Those on their way out count until they are gone.
    Full,
}

/// Whether a template is worth making.
///
/// # Errors
/// Why it is not.
pub fn is_worth_making(stock: &[Kept], wish: &Wish<'_>, policy: &Policy) -> Result<(), NotWorth> {
    if !policy.on {
        return Err(NotWorth::Off);
    }
    let here = || {
        let all = stock.iter().map(|kept| &kept.prepared);
        all.filter(|one| one.spot == *wish.spot)
    };
    let mut of_use = here().filter(|one| one.stage != Stage::Leaving);
    if of_use.any(|one| one.base.key() == *wish.key) {
        return Err(NotWorth::IsThere);
    }
    if wish.deploys < policy.after_deploys {
        return Err(NotWorth::TooSeldom);
    }
    let room = Room::of(here());
    match room.with(wish.disk_gib).fits(policy) {
        true => Ok(()),
        false => Err(NotWorth::Full),
    }
}

/// What templates of one place take.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    count: u32,
    gib: u32,
}

impl Room {
    fn of<'a>(all: impl Iterator<Item = &'a Prepared>) -> Self {
        all.fold(Self::default(), |room, one| room.with(one.disk_gib))
    }

    fn with(self, gib: u32) -> Self {
        Self {
            count: self.count.saturating_add(1),
            gib: self.gib.saturating_add(gib),
        }
    }

    fn fits(self, policy: &Policy) -> bool {
        self.count <= policy.most && self.gib <= policy.most_gib
    }
}

/// What the storage of OS templates says of the one that a template was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// It is there, of the same size.
    Same,
    /// It is gone, or another one has its name.
    Other,
    /// That could not be read.
    Unknown,
}

/// Why a template goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// None are used any more.
    Off,
    /// It was made another way than templates are made now.
    OldFormat,
    /// The archive that it was made from is gone, or is another one.
    ArchiveChanged,
    /// What it fetched is too old.
    TooOld,
    /// It was of no use for long.
    Unused,
    /// There are too many, and it was of no use for longest.
    TooMany,
}

/// Which templates have had their time, and why: nothing is to be made of them any more. What could not be read ends nothing, and one
/// that is being made is let be, unless none are used at all.
pub fn leaving(
    stock: &[Kept],
    archive: impl Fn(&Prepared) -> Archive,
    policy: &Policy,
    now: Timestamp,
) -> Vec<(PreparedId, Leaves)> {
    let mut leaves = Vec::new();
    let mut staying: BTreeMap<&Spot, Vec<&Prepared>> = BTreeMap::new();
    for one in stock.iter().map(|kept| &kept.prepared) {
        let why = match one.stage {
            Stage::Leaving => continue,
            Stage::Creating | Stage::Filling | Stage::Converting => {
                (!policy.on).then_some(Leaves::Off)
            }
            Stage::Ready if !policy.on => Some(Leaves::Off),
            Stage::Ready => had_its_time(one, &archive, policy, now),
        };
        match why {
            Some(why) => leaves.push((one.id, why)),
            None => staying.entry(&one.spot).or_default().push(one),
        }
    }
    for mut here in staying.into_values() {
        // What is being made was found to fit, and stays before all others; then what was of use last.
        here.sort_by_key(|one| (one.stage == Stage::Ready, Reverse(one.last_of_use())));
        let mut room = Room::default();
        for one in here {
            let with = room.with(one.disk_gib);
            if with.fits(policy) || one.stage != Stage::Ready {
                room = with;
            } else {
                leaves.push((one.id, Leaves::TooMany));
            }
        }
    }
    leaves
}

fn had_its_time(
    one: &Prepared,
    archive: impl Fn(&Prepared) -> Archive,
    policy: &Policy,
    now: Timestamp,
) -> Option<Leaves> {
    if one.base.format != FORMAT {
        return Some(Leaves::OldFormat);
    }
    match archive(one) {
        Archive::Other => return Some(Leaves::ArchiveChanged),
        Archive::Same | Archive::Unknown => {}
    }
    if age_ms(one.stage_at, now) >= policy.fresh_ms {
        return Some(Leaves::TooOld);
    }
    if age_ms(one.last_of_use(), now) >= policy.unused_ms {
        return Some(Leaves::Unused);
    }
    None
}

/// Whether the purpose of a template has ended: nothing is made of it any more, and nothing hangs on it. That is what a destroy of it
/// needs beside its identity.
#[must_use]
pub fn is_over(kept: &Kept) -> bool {
    kept.prepared.stage == Stage::Leaving && kept.clones == Clones::default()
}
