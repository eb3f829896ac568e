//! The end of what is recorded on a node that a person gives up: all of it in one commit, as it was judged.

use proximity_domain::event::EventKind;
use proximity_domain::ids::GuestId;
use proximity_domain::names::NodeName;
use proximity_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::error::StoreError;
use crate::hosts::{announce, update};
use crate::journal::{Act, add_audit};
use crate::orphans::{Ending, OrphanFound, end, still_judged};
use crate::records::{Actor, HostRecord};
use crate::row::{Columns, each};
use crate::sql::{Tx, query};
use crate::store::Store;

/// The action of the audit entry that has the person's word.
pub(crate) const ACTION: &str = "host.containers_lost";
/// The action of the audit entry of a node that is forgotten.
pub(crate) const FORGET: &str = "host.forget_node";

/// A node that a person gives up, with what is recorded on it, as it was judged.
#[derive(Debug, Clone)]
pub struct NodeLost {
    /// Its host entry, as it is to be from now on.
    pub host: HostRecord,
    /// The node.
    pub node: NodeName,
    /// It is no member of its cluster: the entry forgets it. One that is off stays on record, for its cluster lists it.
    pub is_forgotten: bool,
    /// All guests that were recorded on it and not gone, sorted, those included that are not lost.
    pub recorded: Vec<GuestId>,
    /// The apps whose container is lost with it.
    pub apps: Vec<OrphanFound>,
    /// Who says so.
    pub actor: Actor,
}

impl NodeLost {
    /// For the audit: what was said, of which apps, and with which request.
    pub(crate) fn details(&self) -> Value {
        let apps: Vec<String> = self.apps.iter().map(|lost| lost.app.to_string()).collect();
        json!({
            "node": self.node,
            "confirmed": apps.len(),
            "apps": apps,
            "forgotten": self.is_forgotten,
            "request": self.actor.request,
        })
    }
}

impl Store {
    /// Ends the records of all apps that are lost with a node, each as an orphan's ends, and forgets the node if that was
    /// judged: one commit, with the person's word in the audit. False if anything is not what it was when it was judged: what
    /// is recorded on the node, an app's status or its guests, or somebody is at work on one; nothing is written then.
    ///
    /// # Errors
    /// The database's; [`StoreError::NotFound`] if the host entry is gone.
    pub async fn lose_node(&self, lost: &NodeLost, now: Timestamp) -> Result<bool, StoreError> {
        let rest_ms = self.shared.rest_ms;
        if let Some(model) = self.model() {
            return model.write(|state| state.lose_node(lost, now));
        }
        let sealer = &self.shared.sealer;
        self.write(async |tx| {
            if recorded_on(tx, lost).await? != lost.recorded {
                return Ok(false);
            }
            // All are looked at before the first is written.
            let mut judged = Vec::with_capacity(lost.apps.len());
            for orphan in &lost.apps {
                match still_judged(tx, orphan).await? {
                    Some(stuck) => judged.push((orphan, stuck)),
                    None => return Ok(false),
                }
            }
            let label = lost.host.label.as_str();
            let act = Act::request(ACTION, label, lost.details());
            add_audit(tx, &lost.actor, act, now).await?;
            for (orphan, stuck) in judged {
                end(tx, orphan, stuck, Ending::said_lost(), rest_ms, now).await?;
            }
            if lost.is_forgotten {
                let kind = EventKind::HostNodeForgotten;
                update(tx, sealer, &lost.host).await?;
                announce(tx, kind, FORGET, &lost.host, &lost.actor, now).await?;
            }
            Ok(true)
        })
        .await
    }
}

/// The guests that are recorded on the node now, sorted.
async fn recorded_on(tx: &mut Tx, lost: &NodeLost) -> Result<Vec<GuestId>, StoreError> {
    let rows = query(
        "SELECT id FROM guests WHERE host_id = $1 AND node = $2 AND app_id IS NOT NULL \
         AND gone_at IS NULL",
    )
    .bind(lost.host.id.to_string())
    .bind(lost.node.as_str())
    .fetch_all(tx)
    .await?;
    let mut guests: Vec<GuestId> = each(&rows, |row| row.parsed("id"))?;
    guests.sort_unstable();
    Ok(guests)
}
