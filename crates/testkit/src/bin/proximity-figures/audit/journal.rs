//! The two chains, and what is different about each.

use anyhow::Result;
use proximity_domain::audit::{Break, Chain, Chained as _, Entry, EventEntry, Head, Link};
use proximity_store::Store;
use rusqlite::Row;

/// A chain and the table it is in.
pub(super) struct Journal {
    pub(super) chain: Chain,
    pub(super) table: &'static str,
    /// All columns, the number first.
    pub(super) columns: &'static [&'static str],
    /// Columns that may hold nothing.
    pub(super) may_be_nothing: &'static [&'static str],
    /// Two texts that follow each other in the bytes of an entry.
    pub(super) neighbours: (&'static str, &'static str),
    /// Triggers that keep programs of ours from changing it.
    pub(super) triggers: &'static [&'static str],
    /// Signs of a drawn text at most.
    pub(super) longest: usize,
    /// The link of a row, if this is the link of the row before it.
    pub(super) link: fn(&Row<'_>, Link) -> rusqlite::Result<Link>,
}

/// The audit: what lies before a number can be taken as verified.
pub(super) static AUDIT: Journal = Journal {
    chain: Chain::Audit,
    table: "audit",
    columns: &[
        "seq",
        "at",
        "account",
        "token_id",
        "kind",
        "action",
        "target",
        "details",
        "operation_id",
        "step_index",
        "epoch",
        "link",
    ],
    may_be_nothing: &["token_id", "operation_id", "step_index", "epoch", "link"],
    neighbours: ("action", "target"),
    triggers: &["audit_is_not_altered", "audit_is_not_removed"],
    longest: 200,
    link: link_of_entry,
};

/// The log of events: it begins behind a cut and is verified whole each time, so its texts are short.
pub(super) static EVENTS: Journal = Journal {
    chain: Chain::Events,
    table: "events",
    columns: &[
        "seq",
        "at",
        "kind",
        "body",
        "app_id",
        "operation_id",
        "link",
    ],
    may_be_nothing: &["app_id", "operation_id", "link"],
    neighbours: ("kind", "body"),
    triggers: &["events_are_not_altered"],
    longest: 40,
    link: link_of_event,
};

impl Journal {
    /// How far it goes.
    pub(super) async fn head(&self, store: &Store) -> Result<Head> {
        Ok(match self.chain {
            Chain::Audit => store.audit_head().await?,
            Chain::Events => store.events_head().await?,
        })
    }

    /// What the product says of it: of the audit behind `before`, of the events that are kept all.
    pub(super) async fn verify(
        &self,
        store: &Store,
        before: Head,
        anchors: Vec<Head>,
    ) -> Result<Result<Head, Break>> {
        Ok(match self.chain {
            Chain::Audit => store.verify_audit(before, anchors).await?,
            Chain::Events => store.verify_events(anchors).await?,
        })
    }
}

fn link_of_entry(row: &Row<'_>, previous: Link) -> rusqlite::Result<Link> {
    let text = |column: &str| row.get::<_, String>(column);
    let text_opt = |column: &str| row.get::<_, Option<String>>(column);
    let (account, kind, action) = (text("account")?, text("kind")?, text("action")?);
    let (target, details) = (text("target")?, text("details")?);
    let (token, operation) = (text_opt("token_id")?, text_opt("operation_id")?);
    let entry = Entry {
        seq: row.get("seq")?,
        at: row.get("at")?,
        account: &account,
        token: token.as_deref(),
        kind: &kind,
        action: &action,
        target: &target,
        details: &details,
        operation: operation.as_deref(),
        step: row.get("step_index")?,
        epoch: row.get("epoch")?,
    };
    Ok(entry.link_behind(previous))
}

fn link_of_event(row: &Row<'_>, previous: Link) -> rusqlite::Result<Link> {
    let (kind, body) = (row.get::<_, String>("kind")?, row.get::<_, String>("body")?);
    let (app, operation) = (
        row.get::<_, Option<String>>("app_id")?,
        row.get::<_, Option<String>>("operation_id")?,
    );
    let event = EventEntry {
        seq: row.get("seq")?,
        at: row.get("at")?,
        kind: &kind,
        body: &body,
        app: app.as_deref(),
        operation: operation.as_deref(),
    };
    Ok(event.link_behind(previous))
}
