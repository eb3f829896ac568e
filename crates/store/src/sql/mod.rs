//! The SQL side of the store: one way to say a statement, whatever database runs it.
//!
//! Above this module nobody knows which database it is. A statement is text with `$1`, `$2` … as parameters; its
//! arguments and columns are text, 64-bit integers or NULL.

mod error;
mod heads;
pub(crate) mod postgres;
mod query;
mod row;
pub(crate) mod sqlite;
mod text;
mod tx;
mod value;

pub use error::DatabaseError;
pub(crate) use heads::Heads;
pub(crate) use query::{Answer, On, Query, query, query_scalar};
pub(crate) use row::Row;
pub(crate) use text::Sql;
pub(crate) use tx::{Readers, Tx, Writer};
pub(crate) use value::{Kind, Value};
