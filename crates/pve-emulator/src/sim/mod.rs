//! Guests without a kernel: simulated from the inside, really listening to the outside, and no root needed.
//!
//! [`guest`] is pure: what a guest is and what commands do to it. [`SimDriver`] keeps guests on disk, carries out the
//! emulator's guest commands and what `pct` asks, and opens the guests' listeners on loopback addresses of their own
//! out of 127.64.0.0/10. A change is on disk before anybody is told of it, so a lab that was killed goes on with what
//! it acknowledged; guests that ran listen again.

mod block;
mod changes;
mod disk;
mod doors;
mod driver;
pub mod guest;
mod inside;
mod line;
mod monitor;
mod room;
mod terminal;
mod wire;

pub(crate) use block::Block;
pub use driver::{SimDriver, SimSetup};
pub(crate) use inside::{InsideExec, InsideOutcome};
