//! The lab: everything on the real machine that turns the emulated cluster into one with real guests.
//!
//! - [`run`] is a whole lab: API, SSH, guests, until it is asked to end; [`clean`] removes what a killed one left.
//! - [`private::enter`] gives a lab — and whatever talks to it — a namespace in which nothing touches the machine.
//! - [`pct::main`] is `pct`, and for simulated guests `lxc-attach`, on the lab's nodes; the program calls it for [`PCT_SUBCOMMAND`] before it starts a runtime.
//! - [`ensure_template`] makes the guests' template ahead of time.
//!
//! **Names on the machine.** Everything a lab makes carries its id (four hex digits in `STATE/identity.json`): bridge
//! and nft table `pxlabID`, devices `pxID…`, control groups `pxlab-ID` or `pxlab-sSCOPE-ID`, LXC's sockets below
//! `/var/lib/lxc/ID` (a mount only the lab's processes see). `/run/proximity-lab` exists while a lab of the machine
//! needs it.
//!
//! **Limits.** Guests are unprivileged; a privileged one is refused in its task. A private namespace leaves the
//! machine's quotas of keys and inotify instances alone, which is enough for about fifteen guests at a time on a
//! machine with default settings. A machine whose firewall drops forwarded packets keeps guests from the outside.

mod announce;
mod bin;
mod book;
mod cgroup;
mod cluster;
mod control;
mod control_client;
mod error;
mod file;
mod ground;
mod identity;
mod images;
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
mod sim_ground;
mod template;

pub use announce::{Account, LAB_FILE, LabFile, NodeAddress, NodeUrl, Token, Tokens};
pub use bin::PCT_SUBCOMMAND;
pub use cgroup::Layout;
pub use cluster::{EMPTY_TOKEN, FULL_TOKEN, SNAPSHOT_STORAGE, STORAGE};
pub use control::GuestBook;
pub use control_client::ask_control;
pub use error::LabError;
pub use ground::{BRIDGE_IN_CONFIGURATIONS, clean};
pub use images::read as read_registry;
pub use options::{Guests, LabOptions, NetworkMode};
pub use program::check_programs;
pub use run::run;
pub use template::{SHIFT, SHIFT_COUNT, TEMPLATE_NAME, Template, ensure_template};

pub(crate) use cgroup::{remove_group, usage};
pub(crate) use file::write_atomically;
pub(crate) use lock::lock_exclusive;
pub(crate) use program::{Program, Ran, SEARCH_PATH};

/// Tells commands of a node when its SSH server was asked for them, Unix ms.
pub(crate) const ASKED_AT: &str = "PROXIMITY_LAB_ASKED_MS";

pub(crate) use route::Ipv4Net;

#[cfg(test)]
mod real_lxc_tests;
