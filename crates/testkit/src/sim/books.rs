//! Calls that were audited, and calls that left: each call takes the newest entry of its own operation.

use std::collections::BTreeMap;

use proximity_domain::ids::{Epoch, OperationId};
use proximity_store::Store;
use proximity_store::views::AuditKind;

/// Entries whose call has not left yet: one for each operation, the newest.
#[derive(Debug, Default)]
pub(super) struct Books {
    read_to: i64,
    open: BTreeMap<OperationId, Entry>,
}

#[derive(Debug)]
struct Entry {
    epoch: Option<Epoch>,
    action: String,
}

impl Books {
    /// Reads on in the audit. An entry that is followed by another one of its operation was for a call that did not leave.
    pub(super) async fn read_on(mut self, store: &Store) -> Result<Self, String> {
        loop {
            let rows = store.audit(1_000, self.read_to).await;
            let rows = rows.map_err(|e| e.to_string())?;
            let Some(last) = rows.last() else {
                return Ok(self);
            };
            self.read_to = last.seq;
            for row in rows {
                if let (AuditKind::Mutation, Some(operation)) = (row.kind, row.operation) {
                    let (epoch, action) = (row.epoch, row.action);
                    self.open.insert(operation, Entry { epoch, action });
                }
            }
        }
    }

    /// This call of an operation leaves; what is wrong with that.
    pub(super) fn leaves(
        &mut self,
        operation: OperationId,
        epoch: Epoch,
        call: &str,
    ) -> Option<String> {
        let Some(entry) = self.open.remove(&operation) else {
            return Some(format!("{call} leaves without an audit entry of its own"));
        };
        let same = entry.action == call && entry.epoch == Some(epoch);
        let (action, of) = (entry.action, entry.epoch.map(|epoch| epoch.0));
        (!same).then(|| {
            format!(
                "{call} leaves under epoch {}, audited is {action} under {of:?}",
                epoch.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_entry_is_good_for_one_call_of_its_operation_and_epoch() {
        let operation = OperationId(Uuid::from_u128(1));
        let mut books = Books::default();
        let enter = |books: &mut Books| {
            let (epoch, action) = (Some(Epoch(1)), "PUT /x".to_owned());
            books.open.insert(operation, Entry { epoch, action });
        };
        enter(&mut books);
        assert_eq!(books.leaves(operation, Epoch(1), "PUT /x"), None);
        assert!(books.leaves(operation, Epoch(1), "PUT /x").is_some());
        enter(&mut books);
        assert!(books.leaves(operation, Epoch(2), "PUT /x").is_some());
        enter(&mut books);
        assert!(books.leaves(operation, Epoch(1), "PUT /y").is_some());
    }
}
