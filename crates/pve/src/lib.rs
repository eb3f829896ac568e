//! Client for the Proxmox VE API and access into guests over SSH.
//!
//! - [`ReadClient`] can only read; [`Client`] adds the changes. There is no generic request, and whatever destroys takes a
//!   permit by value: [`Client::destroy_lxc`], a restore over a container, a rollback, the removal of snapshots and backups.
//! - Both sit on a [`transport::Transport`]: [`transport::https::HttpsTransport`], by token or by login, or one made from a
//!   closure.
//! - [`accounts::AccountClient`] changes roles, users, tokens and grants for a person who logs in; no token of ours does.
//! - [`Error`] says of every failed call whether it may have happened.
//! - [`task::TaskWatcher`] waits for PVE's asynchronous tasks, one per cluster.
//! - [`guest::GuestAccess`] runs commands in guests and moves files, for PVE has no call for that.

pub mod access;
pub mod accounts;
pub mod backup;
pub mod client;
pub mod cluster;
pub mod error;
pub mod guest;
pub mod guest_list;
pub mod image;
pub mod jobs;
pub mod lxc;
pub mod network;
pub mod node;
pub mod pool;
pub mod privileges;
pub mod property;
pub mod read;
pub mod resource_list;
pub mod rrd;
pub mod storage;
pub mod task;
pub mod transport;
pub mod upid;
pub mod warrant;
pub mod wording;

mod answer;
mod call;
mod lenient;
mod next_id;
mod percent;
mod traced;

pub use client::Client;
pub use error::{Error, Result};
pub use read::ReadClient;
pub use upid::Upid;
pub use warrant::Warrant;
