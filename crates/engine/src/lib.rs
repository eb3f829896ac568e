//! Commands, saga executor, sagas, recovery and the worker loop.

pub mod catalog;
pub mod cluster;
pub mod commands;
pub mod engine;
pub mod error;
pub mod probe;
pub mod saga;
pub mod sagas;
pub mod seams;
pub mod worker;
