//! Commands, saga executor, sagas, recovery and the worker loop.

pub mod apply;
mod at_work;
pub mod audit_anchor;
pub mod caddy;
pub mod catalog;
mod claims;
mod clearing;
pub mod cluster;
pub mod commands;
mod denied;
pub mod engine;
pub mod entries;
pub mod error;
mod fetching;
pub mod housekeeping;
mod mask;
mod nodes;
pub mod notify;
mod patience;
pub mod policy;
pub mod probe;
mod reached;
pub mod reconcile;
pub mod route_sweep;
pub mod saga;
pub mod sagas;
pub mod seams;
pub mod sources;
mod store_errors;
mod together;
mod upstream_codes;
mod view;
mod vmids;
mod whereabouts;
pub mod worker;

pub use proximity_janitor as janitor;
