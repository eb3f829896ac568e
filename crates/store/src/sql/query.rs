//! A statement with its arguments.

use std::marker::PhantomData;

use crate::error::StoreError;
use crate::row::damaged;
use crate::sql::{DatabaseError, Row, Sql, Value};

/// What a statement that gives no rows did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    rows: u64,
}

impl Done {
    /// How many rows were added, changed or removed.
    pub(crate) fn rows_affected(self) -> u64 {
        self.rows
    }
}

/// Rows of a statement and how many it changed.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) changed: u64,
}

/// What a statement runs on: an open transaction, or a reader for a snapshot of its own.
pub(crate) trait On {
    fn run(
        self,
        sql: Sql,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Answer, StoreError>> + Send;
}

/// A statement being made ready. Only text of the program itself gets here, never text put together.
#[derive(Debug)]
pub(crate) struct Query<'q> {
    sql: Sql,
    values: Vec<Value<'q>>,
}

/// A statement; bind its `$1`, `$2` … in order.
pub(crate) fn query<'q>(sql: impl Into<Sql>) -> Query<'q> {
    Query {
        sql: sql.into(),
        values: Vec::new(),
    }
}

/// A statement of which only the first column of a row is wanted.
pub(crate) fn query_scalar<'q, T: Scalar>(sql: impl Into<Sql>) -> QueryScalar<'q, T> {
    QueryScalar {
        query: query(sql),
        scalar: PhantomData,
    }
}

impl<'q> Query<'q> {
    /// The next argument: text, a 64-bit integer, or an `Option` of one.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it for what it changes.
    pub(crate) async fn execute(self, on: impl On) -> Result<Done, StoreError> {
        let answer = on.run(self.sql, &self.values).await?;
        Ok(Done {
            rows: answer.changed,
        })
    }

    /// All rows. A statement whose rows are not few by nature has a LIMIT.
    pub(crate) async fn fetch_all(self, on: impl On) -> Result<Vec<Row>, StoreError> {
        Ok(on.run(self.sql, &self.values).await?.rows)
    }

    /// The first row, if any.
    pub(crate) async fn fetch_optional(self, on: impl On) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    /// The first row, which must be there.
    pub(crate) async fn fetch_one(self, on: impl On) -> Result<Row, StoreError> {
        let row = self.fetch_optional(on).await?;
        row.ok_or(StoreError::Database(DatabaseError::NoRow))
    }
}

/// What the single column of a row is read as.
pub(crate) trait Scalar: Sized {
    fn read(value: &Value<'static>) -> Option<Self>;
}

impl Scalar for i64 {
    fn read(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Int(n) => Some(*n),
            Value::Text(_) | Value::Null(_) => None,
        }
    }
}

impl Scalar for String {
    fn read(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone().into_owned()),
            Value::Int(_) | Value::Null(_) => None,
        }
    }
}

/// See [`query_scalar`].
#[derive(Debug)]
pub(crate) struct QueryScalar<'q, T> {
    query: Query<'q>,
    scalar: PhantomData<fn() -> T>,
}

impl<'q, T: Scalar> QueryScalar<'q, T> {
    /// The next argument.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.query = self.query.bind(value);
        self
    }

    /// The value of every row.
    pub(crate) async fn fetch_all(self, on: impl On) -> Result<Vec<T>, StoreError> {
        let rows = self.query.fetch_all(on).await?;
        rows.iter().map(scalar).collect()
    }

    /// The value of the first row, if any.
    pub(crate) async fn fetch_optional(self, on: impl On) -> Result<Option<T>, StoreError> {
        let row = self.query.fetch_optional(on).await?;
        row.as_ref().map(scalar).transpose()
    }

    /// The value of the first row, which must be there.
    pub(crate) async fn fetch_one(self, on: impl On) -> Result<T, StoreError> {
        scalar(&self.query.fetch_one(on).await?)
    }
}

fn scalar<T: Scalar>(row: &Row) -> Result<T, StoreError> {
    let value = row.first()?;
    T::read(value).ok_or_else(|| damaged("value", format!("unexpected {value:?}")))
}
