//! The checker: what must hold in every committed state, read back and said in sentences.

use proximity_domain::audit::Head;
use proximity_domain::ids::OperationId;
use proximity_domain::operation::{OperationState, StuckWas};
use proximity_domain::saga::{StepRecord, StepState};

use crate::apply::is_transitional;
use crate::apps::app;
use crate::error::StoreError;
use crate::operations::operation;
use crate::records::OperationRecord;
use crate::row::each;
use crate::sql::{Sql, Tx, query, query_scalar};
use crate::steps::step_log;
use crate::store::{Reader, aside};

/// A sentence, and a query whose rows (one text each) break it.
const RULES: &[(&str, &str)] = &[
    (
        "a live app holds one public and one internal port",
        "SELECT a.id FROM apps a WHERE a.archived_at IS NULL AND (\
         (SELECT COUNT(*) FROM ports p WHERE p.app_id = a.id AND p.side = 'public') <> 1 OR \
         (SELECT COUNT(*) FROM ports p WHERE p.app_id = a.id AND p.side = 'internal') <> 1)",
    ),
    (
        "an archived app holds no port",
        "SELECT p.app_id FROM ports p JOIN apps a ON a.id = p.app_id WHERE a.archived_at IS NOT NULL",
    ),
    (
        "a port that was given out is not among the unused ones",
        "SELECT 'port ' || p.port FROM ports p \
         JOIN unused_ports u ON p.port BETWEEN u.first_port AND u.last_port",
    ),
    (
        "an archived app has no guest that is not gone",
        "SELECT g.id FROM guests g JOIN apps a ON a.id = g.app_id \
         WHERE a.archived_at IS NOT NULL AND g.gone_at IS NULL",
    ),
    (
        "a host name belongs to one live app",
        "SELECT hostname FROM apps WHERE archived_at IS NULL GROUP BY hostname HAVING COUNT(*) > 1",
    ),
    (
        "an app has one live operation at most",
        "SELECT app_id FROM operations WHERE finished_at IS NULL GROUP BY app_id HAVING COUNT(*) > 1",
    ),
    (
        "a live app's host is recorded",
        "SELECT a.id FROM apps a LEFT JOIN hosts h ON h.id = a.host_id \
         WHERE a.archived_at IS NULL AND h.id IS NULL",
    ),
    (
        "the host of a guest that is not gone is recorded",
        "SELECT g.id FROM guests g LEFT JOIN hosts h ON h.id = g.host_id \
         WHERE g.gone_at IS NULL AND h.id IS NULL",
    ),
    (
        "a VMID of a cluster is held by one guest",
        "SELECT host_id || '/' || vmid FROM (\
         SELECT host_id, vmid FROM guests WHERE gone_at IS NULL UNION ALL \
         SELECT host_id, vmid FROM prepared_templates WHERE gone_at IS NULL) AS held \
         GROUP BY host_id, vmid HAVING COUNT(*) > 1",
    ),
    (
        "the host of a prepared template that is not gone is recorded",
        "SELECT p.id FROM prepared_templates p LEFT JOIN hosts h ON h.id = p.host_id \
         WHERE p.gone_at IS NULL AND h.id IS NULL",
    ),
    (
        "nothing hangs on a prepared template that is gone",
        "SELECT p.id FROM prepared_templates p JOIN prepared_clones c ON c.template_id = p.id \
         JOIN guests g ON g.id = c.guest_id WHERE p.gone_at IS NOT NULL AND g.gone_at IS NULL \
         AND (c.linked = 1 OR g.rootfs_volid IS NULL)",
    ),
    (
        "a guest was created by an operation of its app",
        "SELECT g.id FROM guests g JOIN operations o ON o.id = g.created_by \
         WHERE g.app_id IS NOT NULL AND o.app_id <> g.app_id",
    ),
    (
        "an operation that was claimed has an epoch",
        "SELECT id FROM operations WHERE epoch = 0 AND state NOT IN ('queued', 'cancelled')",
    ),
    (
        "a step was not written under an epoch that is still to come",
        "SELECT s.operation_id FROM steps s JOIN operations o ON o.id = s.operation_id \
         WHERE s.epoch > o.epoch",
    ),
    (
        "a mutation belongs to a step and to an epoch that was claimed",
        "SELECT 'entry ' || a.seq FROM audit a \
         LEFT JOIN steps s ON s.operation_id = a.operation_id AND s.step_index = a.step_index \
         LEFT JOIN operations o ON o.id = a.operation_id \
         WHERE a.kind = 'mutation' AND ((s.operation_id IS NULL AND o.cleared_at IS NULL) \
         OR a.epoch > o.epoch)",
    ),
    (
        "an operation whose steps were cleared away has none",
        "SELECT s.operation_id FROM steps s JOIN operations o ON o.id = s.operation_id \
         WHERE o.cleared_at IS NOT NULL",
    ),
    (
        "the newest operation of a live app has its steps",
        "SELECT o.id FROM operations o JOIN apps a ON a.id = o.app_id \
         WHERE o.cleared_at IS NOT NULL AND a.archived_at IS NULL AND NOT EXISTS \
         (SELECT 1 FROM operations n WHERE n.app_id = o.app_id AND (n.created_at > o.created_at \
         OR (n.created_at = o.created_at AND n.id > o.id)))",
    ),
    (
        "as many operations were cleared as are counted",
        "SELECT 'counted ' || cleared FROM clearings WHERE journal = 'operations' \
         AND cleared <> (SELECT COUNT(*) FROM operations WHERE cleared_at IS NOT NULL)",
    ),
    (
        "log lines are numbered without gaps",
        "SELECT 'at ' || COALESCE(MAX(seq), 0) FROM log_lines HAVING COALESCE(MAX(seq), 0) <> \
         COUNT(seq) + (SELECT cleared FROM clearings WHERE journal = 'log_lines')",
    ),
    (
        "events are numbered without gaps",
        "SELECT 'at ' || COALESCE(MAX(seq), 0) FROM events HAVING COALESCE(MAX(seq), 0) <> \
         COUNT(seq) + (SELECT cleared FROM clearings WHERE journal = 'events')",
    ),
    (
        "of events the oldest are cleared away",
        "SELECT 'from ' || MIN(seq) FROM events \
         HAVING MIN(seq) <> 1 + (SELECT cleared FROM clearings WHERE journal = 'events')",
    ),
    (
        "an apply that is over has no open change",
        "SELECT c.apply_id || '/' || c.position FROM apply_changes c JOIN applies a ON a.id = c.apply_id \
         WHERE a.ended_at IS NOT NULL AND c.state IN ('waiting', 'started')",
    ),
    (
        "an app has an open change of one apply at most",
        "SELECT name FROM apply_changes WHERE state IN ('waiting', 'started') \
         GROUP BY name HAVING COUNT(*) > 1",
    ),
    (
        "a plan that is applied says so",
        "SELECT p.id FROM plans p JOIN applies a ON a.plan_id = p.id WHERE p.applied_at IS NULL",
    ),
    (
        "an apply that is held has an epoch",
        "SELECT id FROM applies WHERE epoch = 0 AND lease_holder IS NOT NULL",
    ),
    (
        "what is wanted of an app has no gap in its revisions",
        "SELECT name FROM desired GROUP BY name HAVING MAX(revision) <> COUNT(*)",
    ),
    (
        "audit entries are numbered without gaps",
        "SELECT 'at ' || MAX(seq) FROM audit HAVING MAX(seq) <> COUNT(seq)",
    ),
];

/// Rows refer to rows that are there: PostgreSQL never lets go of that, SQLite can be told to.
const STRAYS: Sql = Sql::each(
    "SELECT \"table\" FROM pragma_foreign_key_check",
    "SELECT relname::text FROM pg_class WHERE 1 = 0",
);

impl Reader {
    /// What is wrong with the recorded state, one sentence each; empty if nothing is. Reads everything: for tests
    /// and for diagnosis, not for the daily round.
    ///
    /// # Errors
    /// The database's; [`StoreError::Damaged`] if a row does not read back.
    pub async fn invariants(&self) -> Result<Vec<String>, StoreError> {
        let mut wrong = self.broken_rules().await?;
        if self.model().is_some() {
            // In memory nothing lies between what is linked and what is looked at.
            return Ok(wrong);
        }
        let reader = self.clone();
        let walk = async move { reader.verify_audit(Head::NONE, Vec::new()).await };
        if let Err(broken) = aside(walk).await? {
            wrong.push(format!("audit entries are chained: {broken}"));
        }
        let reader = self.clone();
        let walk = async move { reader.verify_events(Vec::new()).await };
        if let Err(broken) = aside(walk).await? {
            wrong.push(format!("events are chained: {broken}"));
        }
        Ok(wrong)
    }

    /// As [`Reader::invariants`], without the chains: that of the audit is never cleared away and takes longer with each entry.
    /// [`Reader::verify_audit`] and [`Reader::verify_events`] look at them.
    ///
    /// # Errors
    /// As of [`Reader::invariants`].
    pub async fn broken_rules(&self) -> Result<Vec<String>, StoreError> {
        if let Some(model) = self.model() {
            // No thread: whoever asks in a simulation is answered at once, in the same order every time.
            let mut wrong = model.read(|state| state.broken_rules());
            check_events(self, &mut wrong).await?;
            return Ok(wrong);
        }
        let reader = self.clone();
        aside(async move {
            let mut wrong = reader.read_as("broken_rules", check_rules).await?;
            check_events(&reader, &mut wrong).await?;
            Ok(wrong)
        })
        .await
    }
}

/// Every event has the fields that its kind lists, and no others. One that an older program wrote may lack the field that came later,
/// until there is one that has it.
async fn check_events(reader: &Reader, wrong: &mut Vec<String>) -> Result<(), StoreError> {
    let (mut after, mut has_later) = (0, false);
    loop {
        let page = reader.events(after, 1000).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.0;
        for (seq, _, event, _, _) in &page {
            let later = event.kind.later_field();
            let mut listed = event.kind.spec().fields.to_vec();
            listed.sort_unstable();
            let body = event.body.as_object();
            let mut found: Vec<&str> = body
                .map(|fields| fields.keys().map(String::as_str).collect())
                .unwrap_or_default();
            found.sort_unstable();
            if listed == found {
                has_later |= later.is_some();
                continue;
            }
            let is_older = !has_later
                && later.is_some_and(|later| {
                    let before = listed.iter().filter(|field| **field != later);
                    before.eq(found.iter())
                });
            if !is_older {
                let kind = event.kind.label();
                wrong.push(format!(
                    "an event has the fields of its kind: {seq} is {kind} with {found:?}"
                ));
            }
        }
    }
}

impl Reader {
    /// What SQLite finds when it reads the whole file: `["ok"]`, or what is damaged.
    ///
    /// # Errors
    /// The database's; PostgreSQL looks after its files itself and refuses, and in memory there is none.
    pub async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let reader = self.clone();
        aside(async move {
            let check = query_scalar("PRAGMA integrity_check");
            check.fetch_all(reader.named("integrity")).await
        })
        .await
    }
}

async fn check_rules(tx: &mut Tx) -> Result<Vec<String>, StoreError> {
    let mut wrong = Vec::new();
    for (rule, sql) in RULES {
        let broken = query_scalar::<String>(*sql).fetch_all(&mut *tx).await?;
        wrong.extend(broken.iter().map(|who| format!("{rule}: {who}")));
    }
    let strays = query_scalar::<String>(STRAYS).fetch_all(&mut *tx).await?;
    let strays = strays
        .iter()
        .map(|table| format!("rows refer to rows that are there: {table}"));
    wrong.extend(strays);
    check_statuses(tx, &mut wrong).await?;
    check_steps(tx, &mut wrong).await?;
    Ok(wrong)
}

async fn check_statuses(tx: &mut Tx, wrong: &mut Vec<String>) -> Result<(), StoreError> {
    let rows = query(
        "SELECT a.*, NULL AS public_port, NULL AS internal_port, o.id AS operation_id FROM apps a \
         LEFT JOIN operations o ON o.app_id = a.id AND o.finished_at IS NULL \
         WHERE a.archived_at IS NULL",
    );
    for app in each(&rows.fetch_all(tx).await?, app)? {
        let label = app.status.label();
        if is_transitional(label) && app.operation.is_none() {
            let (label, id) = (label.label(), app.id);
            wrong.push(format!(
                "an app is on its way only while an operation lives: {id} is {label}"
            ));
        }
    }
    Ok(())
}

async fn check_steps(tx: &mut Tx, wrong: &mut Vec<String>) -> Result<(), StoreError> {
    let rows = query("SELECT * FROM operations")
        .fetch_all(&mut *tx)
        .await?;
    for operation in each(&rows, operation)? {
        let abandoned = was_abandoned(tx, operation.id).await?;
        let log = step_log(tx, operation.id).await?;
        if let Some(what) = judge(&operation, log.iter(), abandoned) {
            wrong.push(format!(
                "steps fit the state of their operation: {} is {}, {what}",
                operation.id,
                operation.state.label()
            ));
        }
    }
    Ok(())
}

async fn was_abandoned(tx: &mut Tx, id: OperationId) -> Result<bool, StoreError> {
    let found: i64 = query_scalar(
        "SELECT COUNT(*) FROM audit WHERE operation_id = $1 AND action = 'operation.abandon'",
    )
    .bind(id.to_string())
    .fetch_one(tx)
    .await?;
    Ok(found > 0)
}

/// What does not fit, if anything.
pub(crate) fn judge<'a>(
    operation: &OperationRecord,
    log: impl Iterator<Item = &'a StepRecord> + Clone,
    abandoned: bool,
) -> Option<&'static str> {
    let mut in_order = log.clone().zip(0..);
    if in_order.any(|(step, index)| step.index != index) {
        return Some("but its steps have a gap");
    }
    let states: Vec<StepState> = log.map(|s| s.state).collect();
    match &operation.state {
        OperationState::Queued => (!states.is_empty()).then_some("but has steps"),
        OperationState::Running => forwards(&states),
        OperationState::Unwinding { .. } => backwards(&states),
        OperationState::Succeeded => states
            .iter()
            .any(|s| *s != StepState::Succeeded)
            .then_some("but a step has not succeeded"),
        OperationState::Failed { .. } if abandoned => None,
        OperationState::Failed { .. } | OperationState::Cancelled => states
            .iter()
            .any(|s| *s != StepState::UndoFinished)
            .then_some("but a step is not undone"),
        OperationState::Stuck { was, .. } => match was {
            StuckWas::Running => forwards(&states),
            StuckWas::Unwinding { .. } => backwards(&states),
        },
    }
}

/// Forwards, all steps but the last have succeeded, and none was undone.
fn forwards(states: &[StepState]) -> Option<&'static str> {
    let (last, before) = states.split_last()?;
    if before.iter().any(|s| *s != StepState::Succeeded) {
        return Some("but a step before the last has not succeeded");
    }
    match last {
        StepState::Started | StepState::Succeeded | StepState::Failed => None,
        StepState::UndoStarted | StepState::UndoFinished | StepState::UndoFailed => {
            Some("but its last step was undone")
        }
    }
}

/// Backwards, the undone steps are at the end, before them at most one is being undone, before it none.
fn backwards(states: &[StepState]) -> Option<&'static str> {
    let mut rest = states
        .iter()
        .rev()
        .skip_while(|s| **s == StepState::UndoFinished);
    rest.next();
    let untouched = |s: &StepState| match s {
        StepState::Succeeded => true,
        StepState::Started
        | StepState::Failed
        | StepState::UndoStarted
        | StepState::UndoFinished
        | StepState::UndoFailed => false,
    };
    (!rest.all(untouched)).then_some("but its undos are out of order")
}
