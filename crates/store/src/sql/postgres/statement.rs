//! Values to PostgreSQL's types and back.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo};
use sqlx::{Arguments, Column, Encode, Executor, Postgres, Row as _, Type, TypeInfo, ValueRef};

use crate::sql::query::Answer;
use crate::sql::{DatabaseError, Kind, Row, Value};

/// A value as an argument.
struct Argument<'v>(&'v Value<'v>);

impl Type<Postgres> for Argument<'_> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<'q> Encode<'q, Postgres> for Argument<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self.0 {
            Value::Null(_) => Ok(IsNull::Yes),
            Value::Int(n) => <i64 as Encode<'q, Postgres>>::encode_by_ref(n, buffer),
            Value::Text(text) => {
                <&str as Encode<'_, Postgres>>::encode_by_ref(&text.as_ref(), buffer)
            }
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        match self.0 {
            Value::Null(Kind::Int) | Value::Int(_) => Some(<i64 as Type<Postgres>>::type_info()),
            Value::Null(Kind::Text) | Value::Text(_) => Some(<str as Type<Postgres>>::type_info()),
        }
    }
}

/// Runs a statement; it is prepared once per connection.
pub(crate) async fn run(
    connection: &mut PgConnection,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<Answer, DatabaseError> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = arguments.add(Argument(value));
        added.map_err(|e| DatabaseError::Misfit(e.to_string()))?;
    }
    let query = sqlx::query_with(sql, arguments);
    if !gives_rows(sql) {
        let done = connection.execute(query).await?;
        return Ok(Answer {
            rows: Vec::new(),
            changed: done.rows_affected(),
        });
    }
    let found = connection.fetch_all(query).await?;
    let rows = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let changed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok(Answer { rows, changed })
}

/// Statements of the store are upper case, so this is no guess.
fn gives_rows(sql: &str) -> bool {
    sql.starts_with("SELECT") || sql.starts_with("WITH") || sql.contains(" RETURNING ")
}

fn read(row: &PgRow) -> Result<Row, DatabaseError> {
    let names = row.columns().iter().map(|c| c.name().to_owned()).collect();
    let values = (0..row.columns().len()).map(|i| value(row, i));
    Ok(Row::new(names, values.collect::<Result<_, _>>()?))
}

fn value(row: &PgRow, index: usize) -> Result<Value<'static>, DatabaseError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null(Kind::Text));
    }
    let kind = raw.type_info();
    match kind.name() {
        "INT8" => Ok(Value::Int(row.try_get(index)?)),
        "INT4" => Ok(Value::Int(i64::from(row.try_get::<i32, _>(index)?))),
        "TEXT" | "VARCHAR" | "NAME" => Ok(Value::from(row.try_get::<String, _>(index)?)),
        other => Err(DatabaseError::Misfit(format!("column of type {other}"))),
    }
}
