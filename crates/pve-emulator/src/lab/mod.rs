//! The lab: everything on the real machine that turns the emulated cluster into one with real guests.

mod cgroup;
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
pub mod pct;
pub mod private;
mod program;
mod recipe;
mod registry;
mod resolver;
mod route;
mod shift;
mod template;

pub use cgroup::Layout;
pub use control::GuestBook;
pub use error::LabError;
pub use ground::{BRIDGE_IN_CONFIGURATIONS, clean};
pub use node::PCT_SUBCOMMAND;
pub use program::check_programs;
pub use template::{SHIFT, SHIFT_COUNT, TEMPLATE_NAME, Template, ensure_template};

pub(crate) use cgroup::{remove_group, usage};
pub(crate) use file::write_atomically;
pub(crate) use program::{Program, SEARCH_PATH};
