//! SQLite: statements run inline on the caller's thread, commits on a thread of their own.

mod batch;
mod connect;
mod desk;
mod readers;
mod statement;
mod touched;
mod tx;
mod writer;
#[cfg(test)]
mod writer_tests;

pub(crate) use connect::connect_writer;
pub(crate) use desk::Desk;
pub(crate) use readers::Readers;
pub(crate) use touched::{Position, Touched, TouchedRow};
pub(crate) use tx::Tx;
pub(crate) use writer::Writer;
