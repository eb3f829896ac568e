//! The store as a model in memory: for simulation, where millions of steps must be cheap, the same every time, and
//! without files, threads or SQL.
//!
//! It is written by hand against the contract, not derived from the statements: the same contract suite runs on it
//! and on the databases, and each checks the other. Nothing is kept when the last clone is dropped.

mod accounts;
mod addresses;
mod adoptions;
mod alarms;
mod applies;
mod apps;
mod clearing;
mod desired;
mod drifts;
mod effects;
mod entry_sources;
mod guards;
mod guests;
mod hosts;
mod identities;
mod inside;
mod interfaces;
mod invariants;
#[cfg(test)]
mod invariants_tests;
mod journal;
mod lost;
mod made_with;
mod model;
mod notices;
mod observation;
mod operations;
mod plans;
mod ports;
mod prepared;
mod queue;
mod rejections;
mod request_keys;
mod requests;
mod resources;
mod sites;
mod sources;
mod state;
mod steps;
mod table;
mod turns;
mod undo;

use proximity_domain::ids::InstallationId;
use proximity_domain::ports::PortRange;
use tokio::sync::watch;

pub(crate) use self::model::Model;
pub(crate) use self::state::State;

use crate::calls::Listeners;
use crate::seal::Sealer;
use crate::store::{Shared, Store};
use crate::usage::UnderWay;

/// What a store in memory gives out, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Given, so that a run can be repeated.
    pub installation: InstallationId,
    /// Where public ports come from.
    pub public: PortRange,
    /// Where internal ports come from.
    pub internal: PortRange,
    /// How long the ports of an orphan rest, milliseconds.
    pub rest_ms: i64,
}

impl Store {
    /// A store in memory, for simulation and tests only: **nothing is kept** when the last clone is dropped. No
    /// configuration of the server leads here.
    ///
    /// Every method answers as on a database, at once: no call waits, and no call draws chance or time. What only a
    /// database has is refused ([`Store::settings`], [`Reader::integrity`](crate::Reader::integrity)).
    #[must_use]
    pub fn in_memory(options: &MemoryOptions) -> Self {
        let shared = Shared {
            // Nothing is sealed in memory; a key belongs to every store.
            sealer: Sealer::new(&[0; 32]),
            installation: options.installation,
            public: options.public,
            internal: options.internal,
            rest_ms: options.rest_ms,
            commits: watch::Sender::new(0),
            touched: None,
            listeners: Listeners::default(),
            writes: UnderWay::default(),
        };
        Self::on_model(shared, Model::new(options))
    }
}
