//! An event in the forms it is sent in, made once for all clients.

use std::sync::Arc;

use bytes::Bytes;
use proximity_api::events::Event;
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, OperationId};
use proximity_store::views::EventRow;

use crate::convert::moment;

/// An event, and who may see it.
#[derive(Debug)]
pub(crate) struct ToldEvent {
    pub(crate) seq: i64,
    pub(crate) kind: EventKind,
    pub(crate) app: Option<AppId>,
    pub(crate) operation: Option<OperationId>,
    /// The account its app belongs to; `None` for what is about no app.
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) wire: Event,
    /// As a block of a stream.
    pub(crate) block: Bytes,
}

impl ToldEvent {
    pub(crate) fn new(row: EventRow, owner: Option<Arc<str>>) -> Self {
        let (seq, at, event, app, operation) = row;
        let wire = Event {
            seq,
            at: moment(at),
            kind: event.kind.label().to_owned(),
            app_id: app.map(|id| id.to_string()),
            operation_id: operation.map(|id| id.to_string()),
            body: event.body,
        };
        Self {
            seq,
            kind: event.kind,
            app,
            operation,
            owner,
            block: block(&wire),
            wire,
        }
    }
}

fn block(event: &Event) -> Bytes {
    // Texts and JSON values always serialise, and serde_json writes no line end.
    let data = serde_json::to_string(event).unwrap_or_default();
    let (seq, kind) = (event.seq, &event.kind);
    Bytes::from(format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use proximity_domain::time::Timestamp;
    use proximity_store::effects::NewEvent;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_block_has_four_lines_whatever_is_in_it() {
        let event = NewEvent {
            kind: EventKind::OperationProgressed,
            body: json!({"message": "two\nlines\r\n\nid: 99"}),
        };
        let told = ToldEvent::new((7, Timestamp(0), event, None, None), None);
        let text = std::str::from_utf8(&told.block).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.starts_with("id: 7\nevent: OperationProgressed\ndata: {\"seq\":7,"));
        assert!(text.ends_with("}\n\n"));
    }
}
