//! The long-running roles and what they stand on: the real clock, real ids, files, signals.

pub(crate) mod admin_token;
pub(crate) mod caddy;
pub(crate) mod channels;
pub(crate) mod clock;
pub(crate) mod data_dir;
pub(crate) mod first_link;
pub(crate) mod ids;
pub(crate) mod ingress;
pub(crate) mod log_file;
pub(crate) mod log_line;
pub(crate) mod logging;
pub(crate) mod looking;
pub(crate) mod observed;
pub(crate) mod open_files;
pub(crate) mod private_file;
pub(crate) mod shipped_helper;
pub(crate) mod signals;
pub(crate) mod traces;
