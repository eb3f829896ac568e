//! The engine on the emulated PVE: every test of it that needs a whole world.
#![recursion_limit = "256"] // futures of tests that wait within each other
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may fail the test

mod adoption;
mod applies;
mod cancels;
mod destroys;
mod doctor;
mod entries;
mod entry_sources;
mod export;
mod failures;
mod fetches;
mod few_documents;
mod generated;
mod health;
mod housekeeping;
mod identity;
mod images;
mod inside;
mod learning;
mod least_privilege;
mod lifecycle;
mod locks;
mod lost;
mod masked_output;
mod moves;
mod networks;
mod notices;
mod own_unit;
mod panics;
mod placement;
mod plans;
mod postgres;
mod power_offs;
mod preflights;
mod reconcile;
mod recorded_exchange;
mod removals;
mod retries;
mod shutdowns;
mod sites;
mod sources;
mod templates;
mod unpinned;
mod updates;
mod vmids;
