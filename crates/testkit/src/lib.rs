//! Builders for tests: a world of emulator, store and engine. Never a dependency of the product.
//!
//! The emulated PVE is the real core of the emulator, reached in-process; its guests are the emulator's simulated ones,
//! without listeners ([`guests`]). Where a real process has to answer, the tests with LXC take over.

pub mod contract;
pub mod guests;
pub mod ingress;
pub mod least;
pub mod postgres;
pub mod pve;
pub mod sim;
pub mod snags;
pub mod sources;
pub mod totp;
pub mod world;
