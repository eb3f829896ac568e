//! A row as it was read.

use std::sync::Arc;

use crate::error::StoreError;
use crate::row::damaged;
use crate::sql::Value;

/// Values by column name.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    names: Arc<[String]>,
    values: Vec<Value<'static>>,
}

impl Row {
    /// `names` and `values` have the same length.
    pub(crate) fn new(names: Arc<[String]>, values: Vec<Value<'static>>) -> Self {
        Self { names, values }
    }

    /// The value of a column.
    pub(crate) fn value(&self, column: &'static str) -> Result<&Value<'static>, StoreError> {
        let found = self.names.iter().zip(&self.values);
        let mut found = found.filter(|(name, _)| *name == column);
        match found.next() {
            Some((_, value)) => Ok(value),
            None => Err(damaged(column, "there is no such column")),
        }
    }

    /// The value of the first column.
    pub(crate) fn first(&self) -> Result<&Value<'static>, StoreError> {
        let first = self.values.first();
        first.ok_or_else(|| damaged("row", "it has no columns"))
    }
}
