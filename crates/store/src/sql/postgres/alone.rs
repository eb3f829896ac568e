//! One server per database: a lock that lives as long as a session.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};
use tokio::time::Instant;

use crate::sql::postgres::Target;
use crate::sql::postgres::statement::run;
use crate::sql::{DatabaseError, Value};

/// How often to look whether the session is still there.
const EVERY: Duration = Duration::from_secs(2);
/// A server that does not answer for that long may have given the lock to another.
const ANSWER: Duration = Duration::from_secs(5);

/// The database server takes a moment to see that a process has died: one that is started again at once waits for that.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(50);

/// The lock, until dropped or lost.
#[derive(Debug)]
pub(crate) struct Alone(PgConnection);

impl Alone {
    /// The lock, or `None` while another server has it.
    pub(crate) async fn take(target: &Target) -> Result<Option<Self>, DatabaseError> {
        let mut connection = target.options.connect().await?;
        let since = Instant::now();
        while !try_lock(&mut connection).await? {
            if since.elapsed() >= PATIENCE {
                return Ok(None);
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(Some(Self(connection)))
    }

    /// Gives the lock back; when this returns, another server can have it.
    pub(crate) async fn close(self) {
        if let Err(error) = self.0.close().await {
            tracing::debug!(%error, "the session that keeps other servers away had ended");
        }
    }

    /// Returns when the session, and with it the lock, is gone.
    pub(crate) async fn lost(&mut self) -> DatabaseError {
        loop {
            tokio::time::sleep(EVERY).await;
            match tokio::time::timeout(ANSWER, self.0.ping()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => {
                    let waited_s = ANSWER.as_secs();
                    return DatabaseError::NoTurn { waited_s };
                }
            }
        }
    }
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, DatabaseError> {
    let sql = "SELECT CASE WHEN pg_try_advisory_lock(7640, 2) THEN 1 ELSE 0 END AS taken";
    let answer = run(connection, sql, &[]).await?;
    let taken = answer.rows.first().and_then(|row| row.first().ok());
    Ok(taken == Some(&Value::Int(1)))
}
