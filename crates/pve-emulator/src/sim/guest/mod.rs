//! A simulated guest, pure: plain data, and functions that change it.
//!
//! A [`Guest`] has files, packages, units, processes and a memory limit. [`exec`] interprets a fixed table of commands
//! over them; [`respond`] answers HTTP from what its processes have opened. Which packages there are, what they ship
//! and what a program needs is the [`Image`], a file of this crate. A unit listens where its configuration files say,
//! read when it starts; nothing else makes a guest listen.

mod boot;
mod busybox;
mod commands;
mod errno;
mod exec;
mod files;
mod http;
mod image;
mod machine;
mod nginx;
mod options;

mod people;
mod processes;
mod shell;
mod transfer;
mod unit_file;
mod units;

#[cfg(test)]
mod tests;

pub use errno::Errno;
pub use exec::{Ended, Exec, Outcome, World, exec};
pub use files::{Content, Files, Kind, Node};
pub use http::{Answer, HttpRequest, HttpResponse, respond};
pub use image::{Image, ImageError};
pub use machine::{Faults, Guest, Listening, Net, PackageState, Shape};
pub use nginx::Servers;
pub use processes::{Listener, Process, Site};
pub use transfer::{Wish, pull, push};
pub use units::{UnitState, Verdict};
