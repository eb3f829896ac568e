//! Log lines, events and audit entries: written with the change they tell of, numbered without gaps.

use proximity_domain::audit::{Entry, EventEntry};
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, Epoch, OperationId};
use proximity_domain::time::Timestamp;
use serde_json::Value;

use crate::audit_chain;
use crate::effects::{NewEvent, NewLogLine};
use crate::error::StoreError;
use crate::events_chain;
use crate::opening;
use crate::records::{Actor, LogLevel, LogLine};
use crate::row::{Columns, each, to_json};
use crate::sql::{Row, Sql, Tx, query, query_scalar};
use crate::store::Reader;
use crate::views::{AuditKind, AuditRow, EventRow};

/// Most rows of one answer.
pub(crate) const MAX_ROWS: u32 = 1000;

/// What an audit entry says beside who and when.
pub(crate) struct Act<'a> {
    pub(crate) kind: AuditKind,
    pub(crate) action: &'a str,
    pub(crate) target: &'a str,
    pub(crate) details: Value,
    pub(crate) operation: Option<OperationId>,
    pub(crate) step: Option<(u32, Epoch)>,
}

impl<'a> Act<'a> {
    /// Somebody's request.
    pub(crate) fn request(action: &'a str, target: &'a str, details: Value) -> Self {
        Self {
            kind: AuditKind::Request,
            action,
            target,
            details,
            operation: None,
            step: None,
        }
    }

    /// The same, about `operation`.
    pub(crate) fn of(mut self, operation: OperationId) -> Self {
        self.operation = Some(operation);
        self
    }
}

// SQLite gives each row the number after the highest that is there. On PostgreSQL no transaction waits for another at a counter: a
// sequencer numbers what is committed.
// What has no number yet was written after all that have one.
pub(crate) const MUTATIONS: Sql = Sql::each(
    "SELECT * FROM audit WHERE operation_id = $1 AND step_index = $2 ORDER BY seq LIMIT $3",
    "SELECT COALESCE(a.seq, 9223372036854775807) AS seq, a.at, a.account, a.token_id, a.kind, a.action, \
     a.target, a.details, a.operation_id, a.step_index, a.epoch FROM audit a \
     WHERE a.operation_id = $1 AND a.step_index = $2 ORDER BY a.seq, a.id LIMIT $3",
);
const MUTATIONS_OF_APP: Sql = Sql::each(
    "SELECT * FROM audit WHERE step_index IS NOT NULL \
     AND operation_id IN (SELECT id FROM operations WHERE app_id = $1) ORDER BY seq DESC LIMIT $2",
    "SELECT COALESCE(a.seq, 9223372036854775807) AS seq, a.at, a.account, a.token_id, a.kind, a.action, \
     a.target, a.details, a.operation_id, a.step_index, a.epoch FROM audit a \
     WHERE a.step_index IS NOT NULL \
     AND a.operation_id IN (SELECT id FROM operations WHERE app_id = $1) \
     ORDER BY a.seq DESC NULLS FIRST, a.id DESC LIMIT $2",
);
const ADD_LOG_LINE: &str = "INSERT INTO log_lines (app_id, operation_id, at, level, step, message, percent) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

pub(crate) async fn add_audit(
    tx: &mut Tx,
    actor: &Actor,
    act: Act<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let token = actor.token.map(|t| t.to_string());
    let operation = act.operation.map(|o| o.to_string());
    let details = to_json("audit details", &act.details)?;
    let entry = Entry {
        // Its number is given where it is added.
        seq: 0,
        at: now.0,
        account: &actor.account,
        token: token.as_deref(),
        kind: act.kind.label(),
        action: act.action,
        target: act.target,
        details: &details,
        operation: operation.as_deref(),
        step: act.step.map(|(index, _)| i64::from(index)),
        epoch: act.step.map(|(_, epoch)| epoch.0),
    };
    audit_chain::add(tx, entry).await
}

/// Adds an event, behind what the work of this task is opened by, if that was not told yet.
pub(crate) async fn add_event(
    tx: &mut Tx,
    event: &NewEvent,
    app: Option<AppId>,
    operation: Option<OperationId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(first) = opening::to_tell() {
        insert_event(tx, &first, None, None, now).await?;
    }
    insert_event(tx, event, app, operation, now).await
}

async fn insert_event(
    tx: &mut Tx,
    event: &NewEvent,
    app: Option<AppId>,
    operation: Option<OperationId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (app, operation) = (app.map(|a| a.to_string()), operation.map(|o| o.to_string()));
    let body = to_json("event body", &event.body)?;
    let entry = EventEntry {
        // Its number is given where it is added.
        seq: 0,
        at: now.0,
        kind: event.kind.label(),
        body: &body,
        app: app.as_deref(),
        operation: operation.as_deref(),
    };
    events_chain::add(tx, entry).await
}

/// Log lines of one operation, at most. Errors are always kept.
pub const LOG_LINES_PER_OPERATION: i64 = 1_000;

/// Longest text of a log line, characters.
pub const LOG_LINE_CHARS: usize = 2_000;

/// What is kept of a line's text. A guest may say anything, and a text of PostgreSQL holds no NUL.
pub(crate) fn shown(message: &str) -> String {
    let kept = message.chars().take(LOG_LINE_CHARS);
    let kept = kept.map(|c| match c {
        '\0' => char::REPLACEMENT_CHARACTER,
        other => other,
    });
    kept.collect()
}

/// A line for an app's log that is no operation's.
pub(crate) async fn add_app_line(
    tx: &mut Tx,
    level: LogLevel,
    message: &str,
    app: AppId,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(ADD_LOG_LINE)
        .bind(app.to_string())
        .bind(None::<String>)
        .bind(now.0)
        .bind(level.label())
        .bind(None::<String>)
        .bind(shown(message))
        .bind(None::<i64>)
        .execute(tx)
        .await?;
    Ok(())
}

pub(crate) async fn add_log_line(
    tx: &mut Tx,
    line: &NewLogLine,
    app: AppId,
    operation: OperationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let said: i64 =
        query("UPDATE operations SET log_lines = log_lines + 1 WHERE id = $1 RETURNING log_lines")
            .bind(operation.to_string())
            .fetch_one(&mut *tx)
            .await?
            .int("log_lines")?;
    let mut message = shown(&line.message);
    if said > LOG_LINES_PER_OPERATION && line.level != LogLevel::Error {
        if said > LOG_LINES_PER_OPERATION + 1 {
            return Ok(());
        }
        message = "Further lines of this operation are left out".to_owned();
    }
    query(ADD_LOG_LINE)
        .bind(app.to_string())
        .bind(operation.to_string())
        .bind(now.0)
        .bind(line.level.label())
        .bind(&line.step)
        .bind(message)
        .bind(line.percent.map(|p| i64::from(p.min(100))))
        .execute(tx)
        .await?;
    Ok(())
}

impl LogLevel {
    /// All levels.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// Stable text, as stored.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The level with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.label() == label)
    }
}

impl Reader {
    /// Log lines of an app, live or archived, after line `after` (0 for all), oldest first, at most 1,000.
    ///
    /// # Errors
    /// The database's; none for an app that is not there.
    pub async fn log(
        &self,
        app: AppId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<LogLine>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.log_after(app, after, limit)));
        }
        let rows =
            query("SELECT * FROM log_lines WHERE app_id = $1 AND seq > $2 ORDER BY seq LIMIT $3")
                .bind(app.to_string())
                .bind(after)
                .bind(i64::from(limit.min(MAX_ROWS)))
                .fetch_all(self.named("log"))
                .await?;
        each(&rows, log_line)
    }

    /// The newest log lines of an app, oldest first, at most 1,000.
    ///
    /// # Errors
    /// The database's; none for an app that is not there.
    pub async fn log_tail(&self, app: AppId, limit: u32) -> Result<Vec<LogLine>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.log_tail(app, limit)));
        }
        let rows = query(
            "SELECT * FROM log_lines WHERE app_id = $1 AND seq > 0 ORDER BY seq DESC LIMIT $2",
        )
        .bind(app.to_string())
        .bind(i64::from(limit.min(MAX_ROWS)))
        .fetch_all(self.named("log_tail"))
        .await?;
        let mut lines = each(&rows, log_line)?;
        lines.reverse();
        Ok(lines)
    }

    /// Events after number `after` (0 for all), oldest first, at most 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn events(&self, after: i64, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.events_after(after, limit)));
        }
        let rows = query("SELECT * FROM events WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(after)
            .bind(i64::from(limit.min(MAX_ROWS)))
            .fetch_all(self.named("events"))
            .await?;
        each(&rows, event_row)
    }

    /// Number of the newest event that can be read; 0 when there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.newest_event()));
        }
        let newest = query_scalar("SELECT COALESCE(MAX(seq), 0) FROM events");
        newest.fetch_one(self.named("newest_event")).await
    }

    /// Audit entries after number `after` (0 for all), oldest first, at most 1,000.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit(&self, limit: u32, after: i64) -> Result<Vec<AuditRow>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.audit_after(limit, after)));
        }
        let rows = query("SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(after)
            .bind(i64::from(limit.min(MAX_ROWS)))
            .fetch_all(self.named("audit"))
            .await?;
        each(&rows, audit_row)
    }

    /// Calls one step of an operation has audited before sending them, oldest first, at most 1,000. One that has no
    /// number yet is there as well, with the highest number there is.
    ///
    /// # Errors
    /// The database's.
    pub async fn mutations(
        &self,
        operation: OperationId,
        step: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.mutations_of(operation, step)));
        }
        let rows = query(MUTATIONS)
            .bind(operation.to_string())
            .bind(i64::from(step))
            .bind(i64::from(MAX_ROWS))
            .fetch_all(self.named("mutations"))
            .await?;
        each(&rows, audit_row)
    }

    /// Calls that the operations of an app have audited before sending them, newest first, at most 1,000. One that has no
    /// number yet is there as well, with the highest number there is.
    ///
    /// # Errors
    /// The database's.
    pub async fn mutations_of_app(
        &self,
        app: AppId,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.mutations_of_app(app, limit)));
        }
        let rows = query(MUTATIONS_OF_APP)
            .bind(app.to_string())
            .bind(i64::from(limit.min(MAX_ROWS)))
            .fetch_all(self.named("mutations_of_app"))
            .await?;
        each(&rows, audit_row)
    }
}

fn log_line(row: &Row) -> Result<LogLine, StoreError> {
    Ok(LogLine {
        seq: row.int("seq")?,
        at: row.moment("at")?,
        level: row.label("level", LogLevel::parse)?,
        step: row.text_opt("step")?,
        message: row.text("message")?,
        operation: row.parsed_opt("operation_id")?,
        percent: row.number_opt("percent")?,
    })
}

fn event_row(row: &Row) -> Result<EventRow, StoreError> {
    let event = NewEvent {
        kind: row.label("kind", EventKind::parse)?,
        body: row.json("body")?,
    };
    Ok((
        row.int("seq")?,
        row.moment("at")?,
        event,
        row.parsed_opt("app_id")?,
        row.parsed_opt("operation_id")?,
    ))
}

fn audit_row(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        seq: row.int("seq")?,
        at: row.moment("at")?,
        account: row.text("account")?,
        token: row.parsed_opt("token_id")?,
        kind: row.label("kind", AuditKind::parse)?,
        action: row.text("action")?,
        target: row.text("target")?,
        details: row.json("details")?,
        operation: row.parsed_opt("operation_id")?,
        step: row.number_opt("step_index")?,
        epoch: row.int_opt("epoch")?.map(Epoch),
    })
}
