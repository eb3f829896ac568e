//! Giving up a node with what is recorded on it: shown first, and done when a person has typed how many apps that ends.
//!
//! Flow: the node's standing by the word of every endpoint; the list of each node that gives one; of each container the word of
//! every node that is online; then, with consent, all of that once more and one commit.
//! Guarantees: nothing is sent to the cluster that changes anything; a node that anybody reaches is not given up, nor a container
//! that another node lists or has, or that high availability may start; either all of what was shown is ended, or nothing.

mod seen;

use std::collections::BTreeMap;

use proximity_domain::app::{AppClass, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, GuestId, OperationId, Vmid};
use proximity_domain::names::{Hostname, NodeName};
use proximity_domain::observe::{Brake, Fate};
use proximity_domain::ports::PortPair;
use proximity_store::effects::NewEvent;
use proximity_store::lost::NodeLost;
use proximity_store::observation::WatchedGuest;
use proximity_store::orphans::OrphanFound;
use proximity_store::records::{Actor, AppRecord, HostRecord, LogLevel};
use serde_json::json;

pub(super) use self::seen::left_behind;
use self::seen::{Seen, see};
use super::change::without;
use super::wish::invalid;
use crate::at_work::AtWorkGuard;
use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::view::Standing;

/// What a person says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// Only show what would become of each app.
    Show,
    /// The containers of so many apps are lost with the node: exactly as many as are shown as lost, typed by hand.
    Lost(u64),
}

/// A node, and what becomes of each app that is recorded on it.
#[derive(Debug, Clone)]
pub struct NodeLoss {
    /// The host entry, as it is then.
    pub host: HostRecord,
    /// The node.
    pub node: NodeName,
    /// It is off, and its cluster still lists it: it stays on record. Else it has left, and is forgotten.
    pub is_member: bool,
    /// Nodes on record, beside this one, that no answer of the cluster has: what is on them nobody can say. Whoever types the
    /// number has seen them.
    pub unseen_nodes: Vec<NodeName>,
    /// The apps, oldest first.
    pub apps: Vec<AppLoss>,
    /// What the mass brake says to so many at once. Whoever types the number releases it for these.
    pub brake: Brake,
    /// It was done.
    pub is_done: bool,
}

/// One app that is recorded on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppLoss {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: Hostname,
    /// Whether its container was made for it or found.
    pub class: AppClass,
    /// Its status.
    pub status: StatusLabel,
    /// The numbers of its containers there.
    pub vmids: Vec<Vmid>,
    /// The ports it holds.
    pub ports: Option<PortPair>,
    /// What becomes of it.
    pub becomes: Becomes,
    /// The rows of its containers there, sorted.
    guests: Vec<GuestId>,
    /// Its stuck operation.
    operation: Option<OperationId>,
}

/// What becomes of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Becomes {
    /// Its record goes to the archive with its history, its ports rest and are then freed, its route goes.
    Archived {
        /// The cluster still lists its container on the node.
        listed: bool,
    },
    /// It stays as it is: its number is on another node.
    Stays {
        /// That node.
        on: NodeName,
    },
    /// It cannot be told, and nothing is done to any of them as long as that is so.
    Undecided {
        /// Why, with what helps.
        why: String,
    },
}

impl NodeLoss {
    /// How many apps would be ended.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lost = self.apps.iter().filter(|app| app.is_lost());
        u64::try_from(lost.count()).unwrap_or(u64::MAX)
    }

    /// Whether a person's number is consent to what is shown.
    fn consented(&self, typed: u64) -> Result<(), EngineError> {
        let undecided = self.apps.iter().find_map(|app| match &app.becomes {
            Becomes::Undecided { why } => Some(format!("{}: {why}", app.hostname)),
            Becomes::Archived { .. } | Becomes::Stays { .. } => None,
        });
        if let Some(why) = undecided {
            return Err(not_given_up(&self.node, why));
        }
        let (lost, node) = (self.lost(), &self.node);
        if typed == lost && lost > 0 {
            return Ok(());
        }
        let message = format!(
            "{typed} were confirmed, and the containers of {lost} app(s) would be lost with {node}"
        );
        Err(invalid("confirm_lost", message))
    }
}

impl AppLoss {
    fn is_lost(&self) -> bool {
        matches!(self.becomes, Becomes::Archived { .. })
    }

    /// Its end, as the store writes it.
    fn found(&self, host: &HostRecord, node: &NodeName, actor: &Actor) -> OrphanFound {
        let vmids: Vec<String> = self.vmids.iter().map(ToString::to_string).collect();
        let body = json!({
            "app": self.app,
            "hostname": self.hostname,
            "host": host.label,
            "node": node,
            "vmids": self.vmids,
            "class": self.class.label(),
            "status": self.status.label(),
        });
        OrphanFound {
            app: self.app,
            status: self.status,
            guests: self.guests.clone(),
            operation: self.operation,
            event: NewEvent {
                kind: EventKind::AppLostWithNode,
                body,
            },
            level: LogLevel::Warning,
            line: format!(
                "LOST WITH ITS NODE: {} said that container {} was lost with {node}; nothing was sent to the cluster",
                actor.account,
                vmids.join(", ")
            ),
            actor: actor.clone(),
        }
    }
}

impl Engine {
    /// Shows what would become of each app that is recorded on a node which has left its cluster, or is off for good; with a
    /// person's number, ends the records of those whose container is lost with it, and forgets the node if it has left. Counted
    /// by the mass brake; audited.
    ///
    /// # Errors
    /// No such host or node; the cluster cannot be asked, has no quorum or is another one by now, or the token may not see all of
    /// it; anybody reaches the node; an app of which it cannot be told, which high availability manages, or on which somebody is at
    /// work; another number than is shown; something that has changed since it was looked at. Nothing is written then.
    pub async fn give_up_node(
        &self,
        actor: &Actor,
        host: &str,
        node: &str,
        said: GiveUp,
    ) -> Result<NodeLoss, EngineError> {
        let _one_at_a_time = match said {
            GiveUp::Show => None,
            GiveUp::Lost(_) => Some(self.inner.host_changes.lock().await),
        };
        let record = self.named_host(host).await?;
        let (node, there) = self.recorded_there(&record, node).await?;
        let cluster = self.inner.clusters.get(record.id).await?;
        let seen = see(&record, &cluster, &node, &there).await?;
        let mut loss = NodeLoss {
            host: record,
            node,
            is_member: seen.standing == Standing::Off,
            unseen_nodes: seen.unseen.clone(),
            apps: self.losses(&there, &seen.fates).await?,
            brake: Brake::Free,
            is_done: false,
        };
        loss.brake = self.inner.reconciler.brake_on(loss.lost()).await?;
        if let GiveUp::Lost(typed) = said {
            loss.consented(typed)?;
            self.end_all(actor, &cluster, &mut loss, &there, &seen)
                .await?;
        }
        Ok(loss)
    }

    /// The node as it is written, with the containers that are recorded on it.
    ///
    /// # Errors
    /// Neither is it known, nor is anything recorded there.
    pub(super) async fn recorded_there(
        &self,
        record: &HostRecord,
        node: &str,
    ) -> Result<(NodeName, Vec<WatchedGuest>), EngineError> {
        let guests = self.store().watched_guests(record.id).await?;
        let is_there = |guest: &WatchedGuest| guest.watched.place.node.as_str() == node;
        let there: Vec<WatchedGuest> = guests.into_iter().filter(is_there).collect();
        let is_known = record.known_nodes.iter().any(|n| n.as_str() == node);
        match node.parse() {
            Ok(name) if is_known || !there.is_empty() => Ok((name, there)),
            Ok(_) | Err(_) => Err(EngineError::NotFound {
                what: "node",
                name: node.to_owned(),
            }),
        }
    }

    /// What becomes of each app; `fates` are those of `there`, in the same order.
    async fn losses(
        &self,
        there: &[WatchedGuest],
        fates: &[Fate],
    ) -> Result<Vec<AppLoss>, EngineError> {
        let mut of_app: BTreeMap<AppId, Vec<(&WatchedGuest, &Fate)>> = BTreeMap::new();
        for (guest, fate) in there.iter().zip(fates) {
            let guests = of_app.entry(guest.watched.app).or_default();
            guests.push((guest, fate));
        }
        let mut losses = Vec::with_capacity(of_app.len());
        for (id, guests) in of_app {
            // One that was archived meanwhile makes what is recorded there another thing, which the commit sees.
            if let Some(app) = self.store().app(id).await? {
                let all = self.store().recorded_guests(id).await?;
                losses.push(loss_of(app, &guests, all.len()));
            }
        }
        Ok(losses)
    }

    /// Does what was shown and consented to.
    async fn end_all(
        &self,
        actor: &Actor,
        cluster: &Cluster,
        loss: &mut NodeLoss,
        there: &[WatchedGuest],
        shown: &Seen,
    ) -> Result<(), EngineError> {
        let _at_work = self.enter(loss)?;
        // Read back in this moment: the looks at the containers took their time.
        if see(&loss.host, cluster, &loss.node, there).await? != *shown {
            return Err(changed(&loss.node));
        }
        let mut host = loss.host.clone();
        // One that was forgotten before is not forgotten again.
        let is_forgotten = !loss.is_member && host.known_nodes.contains(&loss.node);
        if is_forgotten {
            host =
                without(host, loss.node.as_str()).map_err(|why| not_given_up(&loss.node, why))?;
        }
        let apps = loss.apps.iter().filter(|app| app.is_lost());
        let mut lost = NodeLost {
            apps: apps
                .map(|app| app.found(&host, &loss.node, actor))
                .collect(),
            host,
            node: loss.node.clone(),
            is_forgotten,
            recorded: there.iter().map(|guest| guest.watched.guest).collect(),
            actor: actor.clone(),
        };
        lost.recorded.sort_unstable();
        if !self.store().lose_node(&lost, self.now()).await? {
            return Err(changed(&loss.node));
        }
        let (label, node, account) = (&lost.host.label, &lost.node, &actor.account);
        tracing::warn!(host = %label, %node, %account, apps = lost.apps.len(), "LOST WITH ITS NODE: the records of its apps are archived");
        self.inner.clusters.forget(lost.host.id).await;
        self.withdraw(&lost).await;
        loss.host = lost.host;
        loss.is_done = true;
        Ok(())
    }

    /// Keeps operations and sweeps of this process off all that end.
    fn enter(&self, loss: &NodeLoss) -> Result<Vec<AtWorkGuard>, EngineError> {
        let lost = loss.apps.iter().filter(|app| app.is_lost());
        let guards = lost.map(|app| {
            let guard = self.inner.at_work.try_enter(app.app);
            guard.ok_or_else(|| {
                let name = &app.hostname;
                let why = format!("{name} is being looked at in this moment; ask again");
                not_given_up(&loss.node, why)
            })
        });
        guards.collect()
    }

    /// Closes the routes of what ended. Where the gateway is away they are left to the sweep, which takes every route without
    /// an app away.
    async fn withdraw(&self, lost: &NodeLost) {
        for orphan in &lost.apps {
            let done = self.inner.parts.ingress.withdraw(orphan.app).await;
            if let Err(e) = done {
                tracing::warn!(app = %orphan.app, error = %e, "routes of apps that were lost with their node are left to the sweep");
                return;
            }
        }
    }
}

/// What becomes of an app with these containers on the node, of `all` that it has.
fn loss_of(app: AppRecord, guests: &[(&WatchedGuest, &Fate)], all: usize) -> AppLoss {
    let mut rows: Vec<GuestId> = guests.iter().map(|(g, _)| g.watched.guest).collect();
    rows.sort_unstable();
    AppLoss {
        app: app.id,
        status: app.status.label(),
        class: app.class,
        vmids: guests.iter().map(|(g, _)| g.watched.place.vmid).collect(),
        ports: app.ports,
        becomes: becomes(guests, all),
        guests: rows,
        operation: app.operation,
        hostname: app.hostname,
    }
}

fn becomes(guests: &[(&WatchedGuest, &Fate)], all: usize) -> Becomes {
    let undecided = |why: String| Becomes::Undecided { why };
    let mut listed = false;
    let (mut silent, mut managed, mut elsewhere) = (None, None, Vec::new());
    for (guest, fate) in guests {
        match fate {
            Fate::Elsewhere(node) => elsewhere.push(node),
            Fate::Managed => managed = managed.or(Some(guest.watched.place.vmid)),
            Fate::Untold(node) => silent = silent.or(Some(node)),
            Fate::WithNode { listed: its } => listed |= its,
        }
    }
    if let Some(node) = elsewhere.first() {
        let on = NodeName::clone(node);
        // Of one that has lost a part neither is true.
        return match elsewhere.len() == guests.len() {
            true => Becomes::Stays { on },
            false => undecided(format!(
                "one of its containers is on {on}, and one is not; remove the app"
            )),
        };
    }
    let at_work = guests.iter().find(|(guest, _)| guest.is_worked_on());
    if let Some((operation, _)) = at_work.and_then(|(guest, _)| guest.operation) {
        return undecided(format!(
            "an operation is at work on it; wait for it, or cancel it: proximity operations cancel {operation}"
        ));
    }
    if let Some(vmid) = managed {
        return undecided(format!(
            "high availability manages container {vmid}, and may start it on another node; wait until it has, or take it out \
             of there first: ha-manager remove ct:{vmid}"
        ));
    }
    if let Some(node) = silent {
        return undecided(format!(
            "the node {node} is online and did not say that it does not have it; see which node is in trouble: proximity doctor"
        ));
    }
    if guests.len() < all {
        return undecided("it has a container on another node too; remove the app".to_owned());
    }
    Becomes::Archived { listed }
}

fn not_given_up(node: &NodeName, why: String) -> EngineError {
    EngineError::NodeNotGivenUp {
        node: node.to_string(),
        why,
    }
}

fn changed(node: &NodeName) -> EngineError {
    EngineError::Upstream {
        code: "state_changed",
        message: format!(
            "{node}, or what is recorded on it, is not as it was looked at; nothing was done"
        ),
        hint: "look at it again, then confirm what that shows".to_owned(),
    }
}

#[cfg(test)]
#[path = "lost_tests.rs"]
mod tests;
