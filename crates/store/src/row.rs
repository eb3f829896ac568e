//! Columns to values and back. A column that does not read back is damage, said with its name.

use std::fmt::Display;
use std::str::FromStr;

use proximity_domain::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::sql::{Row, Value};

/// Typed access to the columns of a row.
pub(crate) trait Columns {
    fn text(&self, column: &'static str) -> Result<String, StoreError>;
    fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError>;
    fn int(&self, column: &'static str) -> Result<i64, StoreError>;
    fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError>;

    fn parsed<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: FromStr,
        T::Err: Display,
    {
        parse(column, &self.text(column)?)
    }

    fn parsed_opt<T>(&self, column: &'static str) -> Result<Option<T>, StoreError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text_opt(column)?;
        text.map(|t| parse(column, &t)).transpose()
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        from_json(column, &self.text(column)?)
    }

    fn json_opt<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let text = self.text_opt(column)?;
        text.map(|t| from_json(column, &t)).transpose()
    }

    /// A value that is stored by its label.
    fn label<T>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        let text = self.text(column)?;
        parse(&text).ok_or_else(|| damaged(column, format!("unknown label {text:?}")))
    }

    fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        narrow(column, self.int(column)?)
    }

    fn number_opt<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let n = self.int_opt(column)?;
        n.map(|n| narrow(column, n)).transpose()
    }

    fn moment(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp)
    }

    fn moment_opt(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.int_opt(column)?.map(Timestamp))
    }
}

impl Columns for Row {
    fn text(&self, column: &'static str) -> Result<String, StoreError> {
        let text = self.text_opt(column)?;
        text.ok_or_else(|| damaged(column, "it is NULL"))
    }

    fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        match self.value(column)? {
            Value::Null(_) => Ok(None),
            Value::Text(text) => Ok(Some(text.clone().into_owned())),
            Value::Int(n) => Err(damaged(column, format!("{n} is no text"))),
        }
    }

    fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        let int = self.int_opt(column)?;
        int.ok_or_else(|| damaged(column, "it is NULL"))
    }

    fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self.value(column)? {
            Value::Null(_) => Ok(None),
            Value::Int(n) => Ok(Some(*n)),
            Value::Text(_) => Err(damaged(column, "text where a number belongs")),
        }
    }
}

/// Reads every row with `read`.
pub(crate) fn each<T>(
    rows: &[Row],
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}

fn parse<T>(column: &'static str, text: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse()
        .map_err(|e: T::Err| damaged(column, e.to_string()))
}

fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| damaged(column, e.to_string()))
}

fn narrow<T: TryFrom<i64>>(column: &'static str, n: i64) -> Result<T, StoreError> {
    T::try_from(n).map_err(|_| damaged(column, format!("{n} is out of range")))
}

/// JSON text of a value, as stored.
pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| damaged(what, e.to_string()))
}

pub(crate) fn damaged(what: &'static str, why: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        what,
        why: why.into(),
    }
}
