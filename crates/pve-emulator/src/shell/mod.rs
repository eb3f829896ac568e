//! Everything around the core that acts: HTTPS listeners, commits, clock, guest driver, control
//! socket.
//!
//! One task (the keeper) owns the world. It takes inputs in batches, lets the core decide, commits
//! the world and only then lets answers leave and commands start; so what was acknowledged survives
//! a kill at any moment, and many concurrent calls share one commit. The HTTP layer is written here
//! because PVE's is peculiar: two `Connection` headers on calls handed to the daemon, answers
//! without length, a connection that ends with its 100th request. A general server would smooth
//! that over.

mod clock;
mod conf_files;
mod connection;
mod console;
mod control;
mod driver;
mod error;
mod http;
mod journal;
mod keeper;
mod listener;
mod options;
mod outside;
mod running;
mod secrets;
mod terminal;
mod tls;
mod upload;

pub(crate) use clock::now_ms;
pub use driver::GuestDriver;
pub(crate) use driver::not_running;
pub use error::ShellError;
pub use journal::{Counters, Entry, Journal};
pub use options::{NodeListen, ShellOptions, TokenWish};
pub use running::{RunningShell, Shell};
pub use terminal::{Terminal, TerminalEnd, TerminalInput, terminal};
