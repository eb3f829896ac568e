//! Deterministic simulation: the real client, engine and emulator core over the store in memory, on virtual time, with all
//! chance out of one seed. docs/reference/simulation.md says how to run it and how to add to it.

mod account;
mod act;
mod books;
mod cases;
mod chance;
mod cluster;
#[cfg(feature = "bug-switches")]
mod deaths;
mod end;
mod fault;
mod found;
mod ground;
mod hands;
mod inside;
mod kept;
mod lists;
mod loss;
mod many;
mod matrix;
mod named;
mod narrow;
mod perform;
mod points;
mod process;
mod recovery;
mod rest;
mod run;
mod saga;
mod scripts;
mod shown;
mod shrink;
mod snare;
mod standstill;
mod switches;
mod time;
mod trace;
mod trap;
mod watch;
mod writers;

pub use self::act::{Act, Ask, AskAll, Hand, Theme, Timed, Trouble};
pub use self::cases::Plan;
pub use self::fault::{Fault, Harm};
pub use self::loss::{Gone, Loss, LossFound, Lost, losses, play_loss};
pub use self::many::{Found, Many, Sum, Verdict};
pub use self::matrix::{Call, Case, Hit, Played, cases_of, play_case, sent_by};
pub use self::points::{Named, Points, PointsVerdict, Until};
pub use self::recovery::{Life, Survived, survive};
pub use self::run::{Outcome, Play, Rehearsal, play};
pub use self::saga::Saga;
pub use self::scripts::Script;
pub use self::shrink::shrink;
pub use self::switches::{plan_of, rows_of, rule_named, rules_of, shown};
pub use self::trace::Telling;
pub use self::trap::{Moment, Snare, Trap, When};
pub use self::watch::Violation;
