//! One statement on one connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
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

/// A connection that remembers of each statement what its text says anyway.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// By the address of the text, which is part of the program and stays where it is.
    shapes: RefCell<HashMap<(usize, usize), Shape>>,
}

/// What a statement takes and gives.
#[derive(Debug, Clone)]
struct Shape {
    columns: Arc<[String]>,
    /// Where `$1`, `$2` … are bound: SQLite itself numbers them as they come in the text.
    parameters: Arc<[usize]>,
}

impl Session {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            shapes: RefCell::default(),
        }
    }

    /// Runs a statement to its end; it is prepared once per connection.
    pub(crate) fn run(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Answer, DatabaseError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let shape = self.shape(sql, &statement)?;
        bind(&mut statement, &shape.parameters, values)?;
        if statement.column_count() == 0 {
            let changed = statement.raw_execute()?;
            return Ok(Answer {
                rows: Vec::new(),
                changed: u64::try_from(changed).unwrap_or(u64::MAX),
            });
        }
        let mut rows = Vec::new();
        let mut found = statement.raw_query();
        while let Some(row) = found.next()? {
            let values = (0..shape.columns.len()).map(|i| read(row.get_ref(i)?));
            let values = values.collect::<Result<_, DatabaseError>>()?;
            rows.push(Row::new(Arc::clone(&shape.columns), values));
        }
        let changed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Ok(Answer { rows, changed })
    }

    fn shape(&self, sql: &'static str, statement: &Statement<'_>) -> Result<Shape, DatabaseError> {
        let address = (sql.as_ptr().addr(), sql.len());
        if let Some(known) = self.shapes.borrow().get(&address)
            && known.columns.len() == statement.column_count()
        {
            return Ok(known.clone());
        }
        let parameters = (1..=statement.parameter_count()).map(|n| {
            let index = statement.parameter_index(&format!("${n}"))?;
            index.ok_or_else(|| DatabaseError::Misfit(format!("it has no ${n}")))
        });
        let shape = Shape {
            columns: statement.column_names().map(str::to_owned).collect(),
            parameters: parameters.collect::<Result<_, _>>()?,
        };
        self.shapes.borrow_mut().insert(address, shape.clone());
        Ok(shape)
    }
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

fn bind(
    statement: &mut Statement<'_>,
    parameters: &[usize],
    values: &[Value<'_>],
) -> Result<(), DatabaseError> {
    if parameters.len() != values.len() {
        let (has, given) = (parameters.len(), values.len());
        let what = format!("it has {has} parameters, {given} are given");
        return Err(DatabaseError::Misfit(what));
    }
    for (index, value) in parameters.iter().zip(values) {
        statement.raw_bind_parameter(*index, value)?;
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
