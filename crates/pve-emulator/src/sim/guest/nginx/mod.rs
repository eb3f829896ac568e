//! nginx, as far as its configuration files go: what it listens on and what it answers from disk.

mod answer;
mod config;
mod directives;
mod program;
mod syntax;

pub(crate) use answer::respond;
pub use config::Servers;
pub(crate) use program::run;
