//! The lab: everything on the real machine that turns the emulated cluster into one with real guests.

mod announce;
mod book;
mod cgroup;
mod cluster;
mod control;
mod error;
mod file;
mod ground;
mod identity;
mod kernel;
mod lock;
mod mounts;
mod network;
mod node;
mod options;
pub mod pct;
pub mod private;
mod program;
mod recipe;
mod registry;
mod resolver;
mod route;
mod run;
mod shift;
mod template;

pub use announce::{LAB_FILE, LabFile, NodeAddress, NodeUrl, Token, Tokens};
pub use cgroup::Layout;
pub use cluster::{EMPTY_TOKEN, FULL_TOKEN, STORAGE};
pub use control::GuestBook;
pub use error::LabError;
pub use ground::{BRIDGE_IN_CONFIGURATIONS, clean};
pub use node::PCT_SUBCOMMAND;
pub use options::{Guests, LabOptions, NetworkMode};
pub use program::check_programs;
pub use run::run;
pub use template::{SHIFT, SHIFT_COUNT, TEMPLATE_NAME, Template, ensure_template};

pub(crate) use cgroup::{remove_group, usage};
pub(crate) use file::write_atomically;
pub(crate) use lock::lock_exclusive;
pub(crate) use program::{Program, SEARCH_PATH};

#[cfg(test)]
mod real_lxc_tests;
