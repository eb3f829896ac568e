//! Connections kept for the next read. PVE closes idle ones after 5 s, so they are kept for less.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::connection::Connection;

const KEPT_FOR: Duration = Duration::from_secs(4);
const MOST: usize = 4;

#[derive(Debug, Default)]
pub(super) struct IdleConnections {
    kept: Mutex<Vec<(Instant, Connection)>>,
}

impl IdleConnections {
    /// Keeps a connection whose answer was read to the end. If the server closes it, `take` finds out.
    pub(super) fn keep(&self, connection: Connection) {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.retain(|(since, c)| now.duration_since(*since) < KEPT_FOR && !c.is_closed());
        if kept.len() < MOST {
            kept.push((now, connection));
        }
    }

    /// A connection that can send now.
    pub(super) async fn take(&self, end: Instant) -> Option<Connection> {
        while let Some((since, mut connection)) = self.pop() {
            if since.elapsed() < KEPT_FOR
                && let Ok(true) = timeout_at(end, connection.is_ready()).await
            {
                return Some(connection);
            }
        }
        None
    }

    /// Hangs up all that are kept.
    pub(super) fn clear(&self) {
        let kept = mem::take(&mut *self.lock());
        drop(kept);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<(Instant, Connection)> {
        self.lock().pop()
    }
}
