//! One template and the way to its cluster: what is there now, and calls that are on record before they are sent.

use std::sync::Arc;

use proximity_domain::destroy::PERMIT_VALID_MS;
use proximity_domain::failure::Failure;
use proximity_domain::guest::{Conflict, ContainerRef, ObservedContainer, Ownership};
use proximity_domain::prepared::{Call, Kept, Seen, Sent, Sight, Stage};
use proximity_domain::time::Monotonic;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::cluster::{GuestKind, ResourceRow};
use proximity_pve::error::Error as PveError;
use proximity_pve::task::{TaskFilter, TaskOutcome};
use proximity_pve::upid::Upid;
use proximity_pve::{Client, Warrant};
use proximity_store::prepared::TemplateCall;
use serde_json::Value;

use crate::cluster::{Cluster, observed, tokens};
use crate::engine::Engine;
use crate::reconcile::system;
use crate::saga::{StepError, StepResult, pve_failure, runs};
use crate::view::{self, is_whole};

pub(super) const READING: &str = "reading the template's configuration";
const START_TASK: &str = "vzstart";
/// How far the clock of a node may be behind ours, seconds.
const CLOCKS_APART_S: i64 = 300;

/// See the module.
pub(super) struct Hands<'a> {
    pub(super) engine: &'a Engine,
    pub(super) cluster: Arc<Cluster>,
    pub(super) kept: &'a Kept,
}

/// What a look showed.
pub(super) struct Looked {
    pub(super) seen: Seen,
    /// Nothing of ours is on what was seen.
    pub(super) is_stranger: bool,
}

/// A container's configuration, as read.
pub(super) struct Read {
    pub(super) seen: ObservedContainer,
    /// What it says of being a template.
    pub(super) template: bool,
    pub(super) read_started: Monotonic,
}

impl<'a> Hands<'a> {
    pub(super) async fn of(engine: &'a Engine, kept: &'a Kept) -> StepResult<Self> {
        let cluster = engine.inner.clusters.get(kept.prepared.spot.host).await;
        Ok(Self {
            engine,
            cluster: cluster.map_err(|e| StepError::Transient(e.failure()))?,
            kept,
        })
    }

    pub(super) fn place(&self) -> ContainerRef {
        self.kept.prepared.place()
    }

    /// As people name it: `lab/pve1/101`.
    pub(super) fn name(&self) -> String {
        let place = self.place();
        format!("{}/{}/{}", self.cluster.label(), place.node, place.vmid)
    }

    /// Its configuration now; `None` if its node says that it does not have it.
    pub(super) async fn read(&self) -> StepResult<Option<Read>> {
        let place = self.place();
        let read_started = self.engine.inner.parts.clock.monotonic();
        let read = self.cluster.read();
        match read.lxc_config(&place.node, place.vmid).await {
            Ok(config) => Ok(Some(Read {
                seen: observed(place.clone(), &config, false),
                template: config.template,
                read_started,
            })),
            Err(e) if e.is_missing_config() => Ok(None),
            Err(e) => Err(pve_failure(READING, &e)),
        }
    }

    /// Looks at its number.
    pub(super) async fn look(&self) -> StepResult<Looked> {
        let Some(Read { seen, template, .. }) = self.read().await? else {
            return self.look_elsewhere().await;
        };
        let prepared = &self.kept.prepared;
        let is_stranger = prepared.shares_nothing_with(&seen);
        let owned = prepared.owns(&seen, template);
        let seen = match (owned, seen.rootfs_volid) {
            (Ownership::Conflict(conflict), _) => Seen::Other(conflict),
            (Ownership::BeingCreated, _) | (_, None) => Seen::BeingCreated,
            (Ownership::Owned | Ownership::OwnedUnconfirmed { .. }, Some(rootfs_volid)) => {
                Seen::Ours(Sight {
                    rootfs_volid,
                    running: self.is_running().await?,
                    template,
                    // It is filled anew unless this process has just done it: twice is once.
                    filled: false,
                    woken: self.is_woken().await?,
                    locked: seen.lock.is_some(),
                })
            }
        };
        Ok(Looked { seen, is_stranger })
    }

    /// What has its number, where its own node says that it has no such container. That it moved is an error: it is left alone then.
    async fn look_elsewhere(&self) -> StepResult<Looked> {
        let Some(row) = self.listed().await? else {
            return Ok(Looked {
                seen: Seen::Absent,
                is_stranger: false,
            });
        };
        let place = self.place();
        let moved = format!("the cluster lists it on node {}", row.node);
        let others = match row.kind {
            GuestKind::Qemu => true,
            GuestKind::Lxc if row.node == place.node => false,
            GuestKind::Lxc => self.is_others_there(&row).await?,
        };
        if !others {
            return Err(incomplete(&place, &moved));
        }
        let text = format!("another guest has its number, on node {}", row.node);
        Ok(Looked {
            seen: Seen::Other(Conflict {
                what: "created",
                vmid: place.vmid,
                differences: vec![text],
            }),
            is_stranger: true,
        })
    }

    /// Whether the container that another node has under its number has nothing of ours.
    async fn is_others_there(&self, row: &ResourceRow) -> StepResult<bool> {
        match self.cluster.read().lxc_config(&row.node, row.vmid).await {
            Ok(config) => {
                let there = ContainerRef {
                    node: row.node.clone(),
                    ..self.place()
                };
                let seen = observed(there, &config, false);
                Ok(self.kept.prepared.shares_nothing_with(&seen))
            }
            Err(e) if e.is_missing_config() => Ok(false),
            Err(e) => Err(pve_failure(READING, &e)),
        }
    }

    /// Whether somebody else has started it while it was made, by the tasks of its node: asked for where it is made a template next.
    async fn is_woken(&self) -> StepResult<bool> {
        let prepared = &self.kept.prepared;
        if prepared.stage != Stage::Converting {
            return Ok(false);
        }
        let place = self.place();
        let filter = TaskFilter {
            vmid: Some(place.vmid),
            kind: Some(START_TASK.to_owned()),
            since_s: u64::try_from(prepared.recorded_at.0 / 1_000 - CLOCKS_APART_S).ok(),
            ..TaskFilter::default()
        };
        let tasks = self.cluster.read().node_tasks(&place.node, &filter).await;
        let tasks = tasks.map_err(|e| pve_failure("reading the node's tasks", &e))?;
        let tokens = tokens(self.cluster.host());
        let ours = tokens.of(TokenPurpose::Operate).id.as_str();
        Ok(tasks
            .iter()
            .any(|task| task.upid.kind() == START_TASK && task.upid.user() != ours))
    }

    pub(super) async fn is_running(&self) -> StepResult<bool> {
        let place = self.place();
        let status = self.cluster.read().lxc_status(&place.node, place.vmid);
        let status = status.await;
        let status = status.map_err(|e| pve_failure("reading the template's status", &e))?;
        runs(&status, place.vmid)
    }

    /// Which guest of the whole cluster has its number, after its own node said that it has none; `None` if none has it.
    ///
    /// # Errors
    /// Why that cannot be said.
    async fn listed(&self) -> StepResult<Option<ResourceRow>> {
        let place = self.place();
        let status = self.status().await?;
        let host = self.engine.store().host(place.host).await?;
        let host = host
            .filter(|host| !host.known_nodes.is_empty())
            .ok_or_else(|| incomplete(&place, "no node of the cluster is on record"))?;
        is_whole(&host, &status)
            .map_err(|gap| incomplete(&place, &gap.text(self.cluster.label())))?;
        let path = format!("/vms/{}", place.vmid);
        let read = self.cluster.read();
        let permissions = read.permissions(Some(&path)).await;
        let permissions = permissions.map_err(|e| pve_failure("reading own permissions", &e))?;
        let sees_it = permissions
            .get(&path)
            .is_some_and(|p| p.contains("VM.Audit"));
        if !sees_it {
            let what = format!("the token has no VM.Audit on {path}");
            return Err(incomplete(&place, &what));
        }
        let rows = read.resources_vm().await;
        let rows = rows.map_err(|e| pve_failure("listing the guests", &e))?;
        Ok(rows.into_iter().find(|row| row.vmid == place.vmid))
    }

    async fn status(&self) -> StepResult<proximity_pve::cluster::ClusterStatus> {
        let status = view::status(&self.cluster).await;
        status.map_err(|e| pve_failure("reading the cluster's status", &e))
    }

    /// Whether its node can change the cluster's configuration.
    pub(super) async fn has_quorum(&self) -> StepResult<bool> {
        Ok(view::has_quorum(&self.status().await?, &self.place().node))
    }

    /// Tasks that run at its number.
    pub(super) async fn running_tasks(&self) -> StepResult<Vec<Upid>> {
        let place = self.place();
        let running = self.cluster.running_tasks(&place.node, place.vmid).await;
        running.map_err(|e| pve_failure("reading the node's running tasks", &e))
    }

    /// For how long the last call for it may still arrive, ms; none where it is on record that it ended.
    pub(super) fn late_for_ms(&self) -> u64 {
        let limits = &self.engine.inner.parts.limits;
        let Some(sent) = self.kept.sent else {
            return 0;
        };
        // A create that arrives after nobody waits for it leaves a container of nobody's: as long as three looks.
        let late_ms = match sent.call {
            Call::Create => limits.proxied_late_ms.max(limits.late_ms.saturating_mul(2)),
            Call::Start | Call::Stop | Call::Convert | Call::Destroy => limits.proxied_late_ms,
        };
        sent.late_for_ms(self.engine.now(), late_ms)
    }

    /// Puts a call on record and gives the client to send it with. The container was looked at right before. It leaves within
    /// [`PERMIT_VALID_MS`] from now, or not at all.
    pub(super) async fn client(
        &self,
        call: Call,
        action: &str,
        details: Value,
    ) -> StepResult<Client> {
        if !self.has_quorum().await? {
            return Err(StepError::Transient(Failure::new(
                "no_quorum",
                format!(
                    "node {} has no quorum, and nothing was sent",
                    self.place().node
                ),
                "bring the cluster back to quorum",
            )));
        }
        let clock = &self.engine.inner.parts.clock;
        let warrant = Warrant {
            send_by: clock.monotonic().plus_ms(PERMIT_VALID_MS),
            reference: format!("template {}", self.kept.prepared.id),
        };
        let sent = Sent {
            call,
            at: self.engine.now(),
        };
        let target = self.name();
        let told = TemplateCall {
            action,
            target: &target,
            details,
        };
        let (store, id) = (self.engine.store(), self.kept.prepared.id);
        store.note_template_call(id, sent, told, &system()).await?;
        Ok(self.cluster.client(warrant))
    }

    /// Writes down that the call that is on record is over.
    pub(super) async fn settle(&self) -> StepResult<()> {
        let store = self.engine.store();
        store.settle_template_call(self.kept.prepared.id).await?;
        Ok(())
    }

    /// The task of a call, at its end. A call that did nothing is over; one whose end is not known stays on record.
    pub(super) async fn ended(
        &self,
        doing: &'static str,
        sent: Result<Upid, PveError>,
    ) -> StepResult<TaskOutcome> {
        let upid = match sent {
            Ok(upid) => upid,
            Err(e) => {
                if !e.is_maybe_applied() {
                    self.settle().await?;
                }
                let error = pve_failure(doing, &e);
                let prepared = &self.kept.prepared;
                if let (Stage::Leaving, StepError::Failed(failure)) = (prepared.stage, &error) {
                    // It would be refused again and again, and each is audited.
                    let shelf = &self.engine.inner.shelf;
                    shelf.refused(prepared.id, failure.clone());
                }
                return Err(error);
            }
        };
        let patience_ms = self.engine.inner.parts.limits.task_ms;
        let waited = self.cluster.watcher().wait(&upid, patience_ms).await;
        let outcome = waited.map_err(|e| pve_failure(doing, &e))?;
        match outcome {
            TaskOutcome::Unknown(why) => Err(StepError::Uncertain(Failure::new(
                "task_outcome_unknown",
                format!("{doing}: {why} ({upid})"),
                "it is looked at again",
            ))),
            known @ (TaskOutcome::Ok | TaskOutcome::Warnings(_) | TaskOutcome::Failed(_)) => {
                Ok(known)
            }
        }
    }
}

/// What is not ours, as a failure.
pub(super) fn conflict(conflict: &Conflict) -> StepError {
    StepError::Stuck(Failure::new(
        "identity_conflict",
        conflict.to_string(),
        "nothing is done to it; look at it, and forget the template's record with: proximity templates drop ID --forget",
    ))
}

/// What is said of a view that proves nothing.
fn incomplete(place: &ContainerRef, what: &str) -> StepError {
    StepError::Transient(Failure::new(
        "view_incomplete",
        format!("cannot prove that container {} is gone: {what}", place.vmid),
        "it is looked at again",
    ))
}
