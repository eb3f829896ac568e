//! Pure rules of Proximity: types, state machines, decisions and permits.
//!
//! Nothing here is async, does IO, reads a clock or draws a random number: whoever calls brings the
//! observation and the time, and gets a decision. That is what lets the same rules run in the product,
//! in a test and in a simulator.

pub mod access;
pub mod accounts;
pub mod adopted;
pub mod adoption;
pub mod app;
pub mod apply;
pub mod audit;
pub mod backup;
pub mod create;
pub mod depends;
pub mod desired;
pub mod destroy;
pub mod drift;
pub mod entries;
pub mod event;
pub mod export;
pub mod failure;
pub mod guest;
pub mod guest_snapshot;
pub mod identity;
pub mod ids;
pub mod ignore;
pub mod image;
pub mod inside;
pub mod interface;
pub mod janitor;
pub mod made_with;
pub mod manifest;
pub mod mark;
pub mod merge;
pub mod names;
pub mod network;
pub mod notify;
pub mod observe;
pub mod operation;
pub mod place;
pub mod plan;
pub mod ports;
pub mod preflight;
pub mod prepared;
pub mod recorded;
pub mod resource;
pub mod restore;
pub mod retention;
pub mod retry;
pub mod rollback;
pub mod saga;
pub mod session;
pub mod site;
pub mod sockets;
pub mod source;
pub mod stack;
pub mod template;
pub mod throttle;
pub mod time;
pub mod token_purpose;
pub mod told;
pub mod update;
pub mod vmids;
