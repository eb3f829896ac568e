//! PostgreSQL: transactions side by side, serializable; conflicts are tried again inside.

mod alone;
mod connect;
mod journal;
mod migrate;
mod pool;
mod statement;

pub(crate) use alone::Alone;
pub use connect::leaves_encryption_open;
pub(crate) use connect::{Target, connect};
use journal::Sequencer;
pub(crate) use migrate::{bring_up, has_table, pending};
pub(crate) use pool::{Readers, Tx, Writer};
pub(crate) use statement::run;
