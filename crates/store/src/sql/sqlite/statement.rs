//! One statement on one connection.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};

use crate::sql::query::Answer;
use crate::sql::{DatabaseError, Kind, Row, Value};

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null(_) => ValueRef::Null,
            Self::Int(n) => ValueRef::Integer(*n),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// Runs a statement to its end; it is prepared once per connection.
pub(crate) fn run(
    connection: &Connection,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<Answer, DatabaseError> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    if statement.column_count() == 0 {
        let changed = statement.raw_execute()?;
        return Ok(Answer {
            rows: Vec::new(),
            changed: u64::try_from(changed).unwrap_or(u64::MAX),
        });
    }
    let names: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut found = statement.raw_query();
    while let Some(row) = found.next()? {
        let values = (0..names.len()).map(|i| read(row.get_ref(i)?));
        let values = values.collect::<Result<_, DatabaseError>>()?;
        rows.push(Row::new(Arc::clone(&names), values));
    }
    let changed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok(Answer { rows, changed })
}

/// The first value to `$1`, the second to `$2` …: SQLite itself numbers them as they come in the text.
fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> Result<(), DatabaseError> {
    if statement.parameter_count() != values.len() {
        let (has, given) = (statement.parameter_count(), values.len());
        let what = format!("it has {has} parameters, {given} are given");
        return Err(DatabaseError::Misfit(what));
    }
    for (n, value) in (1..).zip(values) {
        let index = statement.parameter_index(&format!("${n}"))?;
        let index = index.ok_or_else(|| DatabaseError::Misfit(format!("it has no ${n}")))?;
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

fn read(value: ValueRef<'_>) -> Result<Value<'static>, DatabaseError> {
    match value {
        ValueRef::Null => Ok(Value::Null(Kind::Text)),
        ValueRef::Integer(n) => Ok(Value::Int(n)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(Value::from(text.to_owned())),
            Err(e) => Err(DatabaseError::Misfit(e.to_string())),
        },
        ValueRef::Real(_) | ValueRef::Blob(_) => {
            Err(DatabaseError::Misfit("neither text nor integer".to_owned()))
        }
    }
}
