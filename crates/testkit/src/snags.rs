//! Ways into guests, and to their pages, that hang, flap, or lose half of what comes back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proximity_pve::guest::{GuestError, GuestTarget};
use tokio::time::sleep;

/// What is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Commands and files, into a guest or out of it.
    Entry,
    /// Requests for a page.
    Page,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Snag {
    /// It does not end within the time that it has; nothing is done.
    Hangs,
    /// It does not come to be, every other time.
    Flaps,
    /// It is done, and the way is cut after half of what comes back.
    Halves,
}

impl Snag {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hangs, Self::Flaps, Self::Halves];

    /// What whoever is hit by it is told.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Hangs => "the simulation lets it hang",
            Self::Flaps => "the simulation lets the way flap",
            Self::Halves => "the simulation cut the way after half of it",
        }
    }
}

/// Which of them, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnagWish {
    /// Of this kind.
    pub(crate) way: Way,
    /// The first one that is hit, counted from 1 from now on.
    pub(crate) nth: u32,
    /// All that follow, too.
    pub(crate) lasts: bool,
    /// What becomes of it.
    pub(crate) snag: Snag,
}

#[derive(Debug, Default)]
struct Inner {
    entries: u32,
    pages: u32,
    wish: Option<SnagWish>,
    hits: u32,
}

/// All ways of a world. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snags(Arc<Mutex<Inner>>);

/// How an entry that comes to be goes on.
#[derive(Debug)]
pub(crate) enum Snagged {
    /// Well.
    Not,
    /// This is what becomes known of it, after it was done.
    Halved(GuestError),
}

impl Snagged {
    /// For those of which nothing but the end comes back.
    pub(crate) fn whole(self) -> Result<(), GuestError> {
        match self {
            Self::Not => Ok(()),
            Self::Halved(why) => Err(why),
        }
    }
}

impl Snags {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this, and nothing else; `None` for nothing. Counts anew.
    pub(crate) fn set(&self, wish: Option<SnagWish>) {
        self.with(|inner| {
            *inner = Inner {
                wish,
                ..Inner::default()
            }
        });
    }

    /// How many came past since.
    pub(crate) fn passed(&self, way: Way) -> u32 {
        self.with(|inner| match way {
            Way::Entry => inner.entries,
            Way::Page => inner.pages,
        })
    }

    /// How many were hit since.
    pub(crate) fn hits(&self) -> u32 {
        self.with(|inner| inner.hits)
    }

    fn pass(&self, way: Way) -> Option<Snag> {
        self.with(|inner| {
            let count = match way {
                Way::Entry => &mut inner.entries,
                Way::Page => &mut inner.pages,
            };
            *count += 1;
            let wish = inner.wish.filter(|wish| wish.way == way)?;
            let beyond = count.checked_sub(wish.nth)?;
            let skips = wish.snag == Snag::Flaps && beyond % 2 == 1;
            let hit = (beyond == 0 || wish.lasts) && !skips;
            inner.hits += u32::from(hit);
            hit.then_some(wish.snag)
        })
    }

    /// An entry is on its way, which may take so long.
    ///
    /// # Errors
    /// It does not come to be, or its end is not known.
    pub(crate) async fn enter(
        &self,
        target: &GuestTarget,
        limit_ms: u64,
    ) -> Result<Snagged, GuestError> {
        let Some(snag) = self.pass(Way::Entry) else {
            return Ok(Snagged::Not);
        };
        let (node, why) = (target.node.to_string(), snag.words().to_owned());
        match snag {
            Snag::Hangs => {
                sleep(Duration::from_millis(limit_ms)).await;
                Err(GuestError::MaybeApplied { node, why })
            }
            Snag::Flaps => Err(GuestError::NotSent { node, why }),
            Snag::Halves => Ok(Snagged::Halved(GuestError::MaybeApplied { node, why })),
        }
    }

    /// A page is asked for, which may take so long.
    ///
    /// # Errors
    /// There is no answer, or not all of it.
    pub(crate) async fn ask(&self, limit_ms: u64) -> Result<(), String> {
        let Some(snag) = self.pass(Way::Page) else {
            return Ok(());
        };
        if snag == Snag::Hangs {
            sleep(Duration::from_millis(limit_ms)).await;
        }
        Err(snag.words().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(wish: SnagWish, times: u32) -> Vec<bool> {
        let snags = Snags::default();
        snags.set(Some(wish));
        assert_eq!(snags.pass(Way::Page), None, "another way");
        let hit = (0..times).map(|_| snags.pass(Way::Entry).is_some());
        let hit = hit.collect();
        assert_eq!(snags.passed(Way::Entry), times);
        hit
    }

    #[test]
    fn the_nth_is_hit_once_or_from_then_on_and_what_flaps_every_other_time() {
        let of = |lasts, snag| SnagWish {
            way: Way::Entry,
            nth: 2,
            lasts,
            snag,
        };
        assert_eq!(hit(of(false, Snag::Hangs), 4), [false, true, false, false]);
        assert_eq!(hit(of(true, Snag::Halves), 4), [false, true, true, true]);
        assert_eq!(hit(of(true, Snag::Flaps), 4), [false, true, false, true]);
    }
}
