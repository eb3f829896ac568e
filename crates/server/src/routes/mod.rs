//! The paths, one file per noun. Each checks the scope, converts, and calls the engine or the reader.

pub(crate) mod addresses;
pub(crate) mod adoption;
pub(crate) mod apps;
pub(crate) mod archive;
pub(crate) mod catalog;
pub(crate) mod certificate;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod helper;
pub(crate) mod hosts;
pub(crate) mod identity;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod lookup;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod notices;
pub(crate) mod once;
pub(crate) mod operations;
pub(crate) mod ports;
pub(crate) mod reconcile;
pub(crate) mod reference;
pub(crate) mod restore_keys;
pub(crate) mod stats;
