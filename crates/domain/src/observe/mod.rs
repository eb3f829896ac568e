//! What one look at a cluster shows, what it proves, and what is to be concluded of our records.
//!
//! Absence is proven, never inferred: only a [`CompleteInventory`] says that a guest is missing, several of them make a
//! [`Suspicion`] ripe, and a [`ProvenAbsent`] needs a direct read on top. Nothing here acts.

mod brake;
mod complete;
mod every_word;
mod face;
mod inventory;
mod lost;
mod orphan;
mod others;
mod proof;
mod sighting;
mod suspicion;

pub use brake::{Brake, HOUR_MS, Tally, limit};
pub use complete::{CompleteInventory, Expected, Incomplete, Sight};
pub use every_word::{EveryWord, Lacking};
pub use face::Face;
pub use inventory::{Inventory, Kind, ListedPower, NodeSeen, SeenGuest};
pub use lost::Fate;
pub use orphan::{Cause, Orphan};
pub use others::{Others, Unread, Whose};
pub use proof::{DirectRead, NotProven, ProvenAbsent, Watched};
pub use sighting::Sighting;
pub use suspicion::Suspicion;

#[cfg(test)]
mod tests;
