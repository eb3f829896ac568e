//! Clearing the journals away.

use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::retention::{EndedOperation, OldEvents};
use proximity_domain::time::Timestamp;

use super::state::{App, Operation, State};
use crate::clearing::{Journal, JournalCount, OperationsCleared, clearable};
use crate::journal::MAX_ROWS;

impl State {
    pub(crate) fn cleared(&self, journal: Journal) -> u64 {
        self.clearings.get(&journal).copied().unwrap_or_default()
    }

    pub(crate) fn journal_counts(&self) -> Vec<JournalCount> {
        let count = |journal: Journal| JournalCount {
            journal,
            kept: match journal {
                Journal::Events => self.events.len() as u64,
                Journal::LogLines => self.log.len() as u64,
                Journal::Operations => self.uncleared().count() as u64,
            },
            cleared: self.cleared(journal),
        };
        Journal::ALL.into_iter().map(count).collect()
    }

    pub(crate) fn cleared_events(&self) -> i64 {
        i64::try_from(self.cleared(Journal::Events)).unwrap_or(i64::MAX)
    }

    pub(crate) fn old_events(&self, limit: u32) -> OldEvents {
        let oldest = self.events.values().take(most(limit));
        let unseen = self.channels.values().map(|channel| channel.seq + 1);
        let untold = self.notices.values().map(|waiting| waiting.seq);
        OldEvents {
            oldest: oldest.map(|(seq, at, ..)| (*seq, *at)).collect(),
            newest: self.newest_event(),
            unseen: unseen.min(),
            untold: untold.min(),
        }
    }

    pub(crate) fn ended_operations(
        &self,
        after: Option<(Timestamp, OperationId)>,
        limit: u32,
    ) -> Vec<EndedOperation> {
        let ended = self.uncleared().filter_map(|operation| {
            let record = &operation.record;
            let live = self.apps.get(&record.app).is_some_and(App::is_live);
            Some(EndedOperation {
                id: record.id,
                finished_at: record.finished_at?,
                is_newest_of_live_app: live && self.is_newest(operation),
            })
        });
        let mut ended: Vec<EndedOperation> = ended
            .filter(|one| after.is_none_or(|after| (one.finished_at, one.id) > after))
            .collect();
        ended.sort_by_key(|one| (one.finished_at, one.id));
        ended.truncate(most(limit));
        ended
    }

    pub(crate) fn clear_events(&mut self, to: i64) -> u64 {
        let to = to.min(clearable(&self.old_events(0), self.cleared_events()));
        let gone = self.events.range(..=to).map(|(seq, _)| *seq);
        let gone: Vec<i64> = gone.collect();
        let last = gone.last().and_then(|seq| self.event_links.get(seq));
        if let Some(link) = last.copied() {
            self.cut.put((), link);
        }
        for seq in &gone {
            self.events.remove(seq);
            self.event_links.remove(seq);
        }
        let gone = gone.len() as u64;
        self.count_cleared(Journal::Events, gone);
        gone
    }

    pub(crate) fn clear_operations(
        &mut self,
        operations: &[OperationId],
        now: Timestamp,
    ) -> OperationsCleared {
        let mut done = OperationsCleared::default();
        for id in operations {
            if done.is_enough() {
                break;
            }
            done.dealt_with += 1;
            let Some(app) = self.clearable_app(*id) else {
                continue;
            };
            let Some(operation) = self.operations.row(id) else {
                continue;
            };
            operation.record.cleared_at = Some(now);
            let steps = std::mem::take(&mut operation.steps);
            done.operations += 1;
            done.steps += steps.len() as u64;
            done.log_lines += self.clear_lines(app);
        }
        self.count_cleared(Journal::LogLines, done.log_lines);
        self.count_cleared(Journal::Operations, done.operations);
        done
    }

    /// The app of an operation that may be cleared.
    fn clearable_app(&self, id: OperationId) -> Option<AppId> {
        let operation = self.uncleared().find(|o| o.record.id == id)?;
        let app = operation.record.app;
        let live = self.apps.get(&app).is_some_and(App::is_live);
        (!live || !self.is_newest(operation)).then_some(app)
    }

    fn clear_lines(&mut self, app: AppId) -> u64 {
        let own = || self.log.iter().filter(move |(_, line)| line.app == app);
        let keeps = |id: OperationId| {
            let operation = self.operations.get(&id);
            operation.is_some_and(|operation| operation.record.cleared_at.is_none())
        };
        let first = own().find(|(_, line)| line.line.operation.is_some_and(&keeps));
        let Some((before, _)) = first.or_else(|| own().next_back()) else {
            return 0;
        };
        let gone = own().map(|(seq, _)| *seq).filter(|seq| seq < before);
        let gone: Vec<i64> = gone.collect();
        for seq in &gone {
            self.log.remove(seq);
        }
        gone.len() as u64
    }

    /// Operations that have ended and have their steps and lines.
    fn uncleared(&self) -> impl Iterator<Item = &Operation> {
        self.operations.values().filter(|operation| {
            let record = &operation.record;
            record.finished_at.is_some() && record.cleared_at.is_none()
        })
    }

    pub(crate) fn is_newest(&self, operation: &Operation) -> bool {
        let of = &operation.record;
        let place = (of.created_at, of.id);
        let mut others = self.operations.values().map(|other| &other.record);
        !others.any(|other| other.app == of.app && (other.created_at, other.id) > place)
    }

    fn count_cleared(&mut self, journal: Journal, rows: u64) {
        if rows > 0 {
            let cleared = self.cleared(journal) + rows;
            self.clearings.put(journal, cleared);
        }
    }
}

fn most(limit: u32) -> usize {
    usize::try_from(limit.min(MAX_ROWS)).unwrap_or(usize::MAX)
}
