//! Deterministic simulation: the real client, engine and emulator core over the store in memory, on virtual time, with all
//! chance out of one seed. docs/reference/simulation.md says how to run it and how to add to it.

mod act;
mod chance;
mod cluster;
mod fault;
mod ground;
mod inside;
mod many;
mod perform;
mod process;
mod rest;
mod run;
mod shrink;
mod time;
mod trace;
mod watch;

pub use self::act::{Act, Ask, Hand, Timed, Trouble};
pub use self::fault::{Fault, Harm};
pub use self::many::{Found, Many, Verdict};
pub use self::run::{Outcome, Play, play};
pub use self::shrink::shrink;
pub use self::watch::Violation;
