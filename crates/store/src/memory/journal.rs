//! Log lines, events and audit entries, numbered without gaps.

use std::ops::Bound;

use proximity_domain::audit::{Break, Chained as _, Entry, EventEntry, Head, Link, Walk};
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::time::Timestamp;

use super::state::{AppLine, State};
use super::table::Table;
use crate::effects::{NewEvent, NewLogLine};
use crate::journal::{Act, LOG_LINES_PER_OPERATION, MAX_ROWS, shown};
use crate::opening;
use crate::records::{Actor, LogLevel, LogLine};
use crate::views::{AuditRow, EventRow};

impl State {
    pub(crate) fn add_audit(&mut self, actor: &Actor, act: Act<'_>, now: Timestamp) {
        let before = self.audit_head();
        let seq = before.seq + 1;
        let entry = AuditRow {
            seq,
            at: now,
            account: actor.account.clone(),
            token: actor.token,
            kind: act.kind,
            action: act.action.to_owned(),
            target: act.target.to_owned(),
            details: act.details,
            operation: act.operation,
            step: act.step.map(|(index, _)| index),
            epoch: act.step.map(|(_, epoch)| epoch),
        };
        let link = Texts::of(&entry).entry(&entry).link(before.link);
        self.audit.put(seq, entry);
        self.links.put(seq, link);
    }

    pub(crate) fn audit_head(&self) -> Head {
        let newest = self.links.last_key_value();
        newest.map_or(Head::NONE, |(seq, link)| Head {
            seq: *seq,
            link: *link,
        })
    }

    /// Walks on to the end of the audit.
    pub(crate) fn walk_audit(&self, mut walk: Walk) -> Result<Head, Break> {
        for row in later(&self.audit, walk.head().seq) {
            let link = self.links.get(&row.seq).map(Link::to_string);
            walk.pass(&Texts::of(row).entry(row), link.as_deref())?;
        }
        walk.end()
    }

    /// Adds an event, behind what the work of this task is opened by, if that was not told yet.
    pub(crate) fn add_event(
        &mut self,
        event: &NewEvent,
        app: Option<AppId>,
        operation: Option<OperationId>,
        now: Timestamp,
    ) {
        if let Some(first) = opening::to_tell() {
            self.put_event(&first, None, None, now);
        }
        self.put_event(event, app, operation, now);
    }

    fn put_event(
        &mut self,
        event: &NewEvent,
        app: Option<AppId>,
        operation: Option<OperationId>,
        now: Timestamp,
    ) {
        let before = self.events_head();
        let seq = self.events.next_number();
        let row = (seq, now, event.clone(), app, operation);
        let link = EventTexts::of(&row).entry(&row).link_behind(before.link);
        self.events.put(seq, row);
        self.event_links.put(seq, link);
    }

    pub(crate) fn events_head(&self) -> Head {
        let newest = self.event_links.last_key_value();
        newest.map_or(Head::NONE, |(seq, link)| Head {
            seq: *seq,
            link: *link,
        })
    }

    /// Walks along all events that are there.
    pub(crate) fn walk_events(&self, anchors: Vec<Head>) -> Result<Head, Break> {
        let cut = Head {
            seq: self.cleared_events(),
            link: self.cut.get(&()).copied().unwrap_or(Link::GENESIS),
        };
        let mut walk = Walk::behind_cut(cut, anchors)?;
        for row in later(&self.events, cut.seq) {
            let link = self.event_links.get(&row.0).map(Link::to_string);
            walk.pass(&EventTexts::of(row).entry(row), link.as_deref())?;
        }
        walk.end()
    }

    /// A line for an app's log that is no operation's.
    pub(crate) fn add_app_line(
        &mut self,
        level: LogLevel,
        message: &str,
        app: AppId,
        now: Timestamp,
    ) {
        let seq = self.log.next_number();
        let line = LogLine {
            seq,
            at: now,
            level,
            step: None,
            message: shown(message),
            operation: None,
            percent: None,
        };
        self.log.put(seq, AppLine { app, line });
    }

    /// Beyond the limit of its operation one line says that others are left out; errors are always kept.
    pub(crate) fn add_log_line(
        &mut self,
        line: &NewLogLine,
        app: AppId,
        operation: OperationId,
        now: Timestamp,
    ) {
        let said = match self.operations.row(&operation) {
            Some(operation) => {
                operation.lines_said += 1;
                operation.lines_said
            }
            None => 0,
        };
        let message = match said - LOG_LINES_PER_OPERATION {
            ..=0 => None,
            _ if line.level == LogLevel::Error => None,
            1 => Some("Further lines of this operation are left out".to_owned()),
            2.. => return,
        };
        let seq = self.log.next_number();
        let line = LogLine {
            seq,
            at: now,
            level: line.level,
            step: line.step.clone(),
            message: message.unwrap_or_else(|| shown(&line.message)),
            operation: Some(operation),
            percent: line.percent.map(|percent| percent.min(100)),
        };
        self.log.put(seq, AppLine { app, line });
    }

    pub(crate) fn log_after(&self, app: AppId, after: i64, limit: u32) -> Vec<LogLine> {
        let of_app = later(&self.log, after).filter(|line| line.app == app);
        of_app
            .take(most(limit))
            .map(|line| line.line.clone())
            .collect()
    }

    pub(crate) fn log_tail(&self, app: AppId, limit: u32) -> Vec<LogLine> {
        let of_app = self.log.values().rev().filter(|line| line.app == app);
        let newest = of_app.take(most(limit)).map(|line| line.line.clone());
        let mut lines: Vec<LogLine> = newest.collect();
        lines.reverse();
        lines
    }

    pub(crate) fn events_after(&self, after: i64, limit: u32) -> Vec<EventRow> {
        let events = later(&self.events, after);
        events.take(most(limit)).cloned().collect()
    }

    pub(crate) fn newest_event(&self) -> i64 {
        self.events.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// Calls that one step has audited before sending them.
    pub(crate) fn mutations_of(&self, operation: OperationId, step: u32) -> Vec<AuditRow> {
        let of_step =
            |entry: &&AuditRow| (entry.operation, entry.step) == (Some(operation), Some(step));
        let entries = self.audit.values().filter(of_step);
        entries.take(most(MAX_ROWS)).cloned().collect()
    }

    /// Calls that the operations of an app have audited before sending them, newest first.
    pub(crate) fn mutations_of_app(&self, app: AppId, limit: u32) -> Vec<AuditRow> {
        let is_of_app = |id: OperationId| {
            let operation = self.operations.get(&id);
            operation.is_some_and(|operation| operation.record.app == app)
        };
        let of_app =
            |entry: &&AuditRow| entry.step.is_some() && entry.operation.is_some_and(is_of_app);
        let entries = self.audit.values().rev().filter(of_app);
        entries.take(most(limit)).cloned().collect()
    }

    pub(crate) fn audit_after(&self, limit: u32, after: i64) -> Vec<AuditRow> {
        let entries = later(&self.audit, after);
        entries.take(most(limit)).cloned().collect()
    }
}

/// What of an event is stored as text, though it is none here.
struct EventTexts {
    body: String,
    app: Option<String>,
    operation: Option<String>,
}

impl EventTexts {
    fn of((_, _, event, app, operation): &EventRow) -> Self {
        Self {
            body: event.body.to_string(),
            app: app.map(|app| app.to_string()),
            operation: operation.map(|operation| operation.to_string()),
        }
    }

    fn entry(&self, (seq, at, event, ..): &EventRow) -> EventEntry<'_> {
        EventEntry {
            seq: *seq,
            at: at.0,
            kind: event.kind.label(),
            body: &self.body,
            app: self.app.as_deref(),
            operation: self.operation.as_deref(),
        }
    }
}

/// What of an entry is stored as text, though it is none here.
struct Texts {
    token: Option<String>,
    details: String,
    operation: Option<String>,
}

impl Texts {
    fn of(row: &AuditRow) -> Self {
        Self {
            token: row.token.map(|token| token.to_string()),
            details: row.details.to_string(),
            operation: row.operation.map(|operation| operation.to_string()),
        }
    }

    fn entry<'a>(&'a self, row: &'a AuditRow) -> Entry<'a> {
        Entry {
            seq: row.seq,
            at: row.at.0,
            account: &row.account,
            token: self.token.as_deref(),
            kind: row.kind.label(),
            action: &row.action,
            target: &row.target,
            details: &self.details,
            operation: self.operation.as_deref(),
            step: row.step.map(i64::from),
            epoch: row.epoch.map(|epoch| epoch.0),
        }
    }
}

fn most(limit: u32) -> usize {
    usize::try_from(limit.min(MAX_ROWS)).unwrap_or(usize::MAX)
}

fn later<V>(table: &Table<i64, V>, after: i64) -> impl Iterator<Item = &V> {
    let range = (Bound::Excluded(after), Bound::Unbounded);
    table.range(range).map(|(_, row)| row)
}
