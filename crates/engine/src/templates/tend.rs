//! One template, brought on as far as it goes now.
//!
//! Flow: is a call under way that may still arrive, or a task at work → wait; look; what comes next; do it; look again.
//! Guarantees: a call is on record before it is sent; what is not provably ours gets none; a destroy has a permit, and one that failed is
//! not sent again before a person said so.
//! Errors: what goes wrong while one is made ends its making; at its end it is told of ([`super::TemplateView`]) and tried again.

use std::time::Duration;

use proximity_domain::destroy::{DestroyPermit, Quorate};
use proximity_domain::failure::Failure;
use proximity_domain::ids::PreparedId;
use proximity_domain::names::Hostname;
use proximity_domain::network::Network;
use proximity_domain::prepared::{Act, Call, Kept, Seen, Stage, is_over, next};
use proximity_pve::lxc::{CreateLxc, NewNet};
use proximity_pve::storage::Content;
use proximity_pve::task::{TaskFilter, TaskOutcome, TaskRow};
use serde_json::json;

use super::hands::{Hands, Read, conflict};
use super::{AGAIN, AT_REST, Templates};
use crate::error::EngineError;
use crate::saga::{Halt, StepError, StepResult, pve_failure};

/// So many acts in a row at most: each is followed by a look.
const ACTS: usize = 24;
/// From one look at a task to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long one may be in the making, ms.
const MAKING_MS: i64 = 2 * 3_600 * 1_000;
/// How long one gets to shut down by itself, seconds.
const SHUTDOWN_S: u32 = 30;
/// How often it is looked whether one has become a template without any task of it.
const QUIET_LOOKS: u32 = 12;
/// What one is given while it is filled.
const MEMORY_MIB: u32 = 512;
/// How far the clock of a node may be behind ours, seconds.
const CLOCKS_APART_S: i64 = 300;

/// How one act ended.
enum Went {
    /// It is to be looked at again at once.
    On,
    /// There is nothing to do for so long.
    Rests(Duration),
}

impl Templates {
    /// Brings one on. Gives after how long there is more to do with it.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn tend(&self, id: PreparedId) -> Result<Duration, EngineError> {
        let shelf = &self.engine.inner.shelf;
        for _ in 0..ACTS {
            let all = self.engine.store().prepared().await?;
            let Some(kept) = all.into_iter().find(|kept| kept.prepared.id == id) else {
                shelf.trouble(id, None);
                return Ok(AT_REST);
            };
            let failure = match Box::pin(self.once(&kept)).await {
                Ok(Went::On) => continue,
                Ok(Went::Rests(pause)) => {
                    shelf.trouble(id, None);
                    return Ok(pause);
                }
                Err(StepError::Halt(Halt::Store(error))) => return Err(error.into()),
                Err(StepError::Failed(failure)) if is_made(kept.prepared.stage) => {
                    self.give_up(&kept, &failure).await?;
                    continue;
                }
                Err(other) => other.into_failure(),
            };
            let text = failure.map_or_else(String::new, |failure| failure.message);
            if shelf.trouble(id, Some(text.clone())) {
                tracing::warn!(template = %id, vmid = %kept.prepared.identity.vmid, why = %text, "a prepared template does not go on");
            }
            return Ok(AGAIN);
        }
        Ok(AGAIN)
    }

    /// Its making came to nothing: it leaves, and none of its base is made for a while.
    async fn give_up(&self, kept: &Kept, failure: &Failure) -> Result<(), EngineError> {
        let (engine, one) = (&self.engine, &kept.prepared);
        let now = engine.now();
        engine.inner.shelf.failed(&one.spot, one.base.key(), now);
        let store = engine.store();
        store
            .advance_prepared(one.id, one.stage, Stage::Leaving, now)
            .await?;
        tracing::warn!(template = %one.id, vmid = %one.identity.vmid, why = %failure.message, "a prepared template came to nothing");
        Ok(())
    }

    /// One look and one act.
    async fn once(&self, kept: &Kept) -> StepResult<Went> {
        let hands = Hands::of(&self.engine, kept).await?;
        let left_ms = hands.late_for_ms();
        if left_ms > 0 {
            return Ok(Went::Rests(Duration::from_millis(left_ms).min(AT_REST)));
        }
        if kept.sent.is_some() && !hands.running_tasks().await?.is_empty() {
            return Ok(Went::Rests(LOOK_EVERY));
        }
        let (one, engine) = (&kept.prepared, &self.engine);
        let age_ms = engine.now().0.saturating_sub(one.recorded_at.0);
        if is_made(one.stage) && age_ms > MAKING_MS {
            return Err(too_long());
        }
        let looked = hands.look().await?;
        if looked.seen != Seen::Absent {
            engine.inner.shelf.is_there(one.id);
        }
        if looked.is_stranger && one.identity.rootfs_volid.is_none() {
            return self.left_to_its_taker(kept).await;
        }
        let act = next(kept, &looked.seen);
        if matches!(act, Act::Stop | Act::Destroy)
            && let Some(refused) = engine.inner.shelf.refusal_of(one.id)
        {
            return Err(StepError::Stuck(refused));
        }
        let (store, now) = (engine.store(), engine.now());
        match act {
            Act::Create => hands.create().await?,
            Act::Wait => return hands.wait(&looked.seen).await,
            Act::Learn(volid) => {
                store.learn_prepared(one.id, one.stage, &volid).await?;
            }
            Act::Advance(stage) => {
                store
                    .advance_prepared(one.id, one.stage, stage, now)
                    .await?;
                if stage == Stage::Ready {
                    tracing::info!(template = %one.id, vmid = %one.identity.vmid, "a prepared template is ready");
                }
            }
            Act::Start => hands.start().await?,
            Act::Fill => {
                hands.fill().await?;
                hands.must_be_ours().await?;
                // Before its stage says so: where it is started from now on, what was taken out may come back.
                hands.stop().await?;
                store
                    .advance_prepared(one.id, Stage::Filling, Stage::Converting, engine.now())
                    .await?;
            }
            Act::Stop => hands.stop().await?,
            Act::Convert => hands.convert().await?,
            Act::Destroy => return hands.destroy().await,
            Act::ProveAbsent => return self.prove_absent(kept).await,
            Act::Rest => return Ok(Went::Rests(AT_REST)),
            Act::LeaveAlone(why) => return Err(conflict(&why)),
        }
        Ok(Went::On)
    }

    /// Ends the record of one that is not there: at once where we have destroyed it, else after as many looks as prove it.
    async fn prove_absent(&self, kept: &Kept) -> StepResult<Went> {
        let (engine, one) = (&self.engine, &kept.prepared);
        if !is_over(kept) {
            // Somebody else destroyed it, and clones of it are still on record.
            return Ok(Went::Rests(AT_REST));
        }
        let parts = &engine.inner.parts;
        let (now, late_ms) = (parts.clock.monotonic(), parts.limits.late_ms);
        if !engine.inner.shelf.is_proven_absent(one.id, now, late_ms) {
            return Ok(Went::Rests(Duration::from_millis(late_ms)));
        }
        engine.store().end_prepared(one.id, engine.now()).await?;
        engine.inner.shelf.is_there(one.id);
        engine.inner.shelf.forgive(one.id);
        tracing::info!(template = %one.id, vmid = %one.identity.vmid, "a prepared template is gone");
        Ok(Went::On)
    }

    /// Nothing of ours was ever seen at the number, and somebody else has it: it is given up, and its taker left alone.
    async fn left_to_its_taker(&self, kept: &Kept) -> StepResult<Went> {
        let (store, one) = (self.engine.store(), &kept.prepared);
        let now = self.engine.now();
        if one.stage == Stage::Leaving {
            store.end_prepared(one.id, now).await?;
            tracing::warn!(template = %one.id, vmid = %one.identity.vmid, "the number of a prepared template is somebody else's; it was left alone");
        } else {
            store
                .advance_prepared(one.id, one.stage, Stage::Leaving, now)
                .await?;
        }
        Ok(Went::On)
    }
}

/// Whether it is being made.
fn is_made(stage: Stage) -> bool {
    match stage {
        Stage::Creating | Stage::Filling | Stage::Converting => true,
        Stage::Ready | Stage::Leaving => false,
    }
}

fn too_long() -> StepError {
    StepError::Failed(Failure::new(
        "command_failed",
        "it was in the making for two hours",
        "the next deploy of this base in a day tries again",
    ))
}

impl Hands<'_> {
    /// A task is at work: nothing is done until it has ended. Without one, what is locked waits for a person.
    async fn wait(&self, seen: &Seen) -> StepResult<Went> {
        if !self.running_tasks().await?.is_empty() {
            return Ok(Went::Rests(LOOK_EVERY));
        }
        let vmid = self.kept.prepared.identity.vmid;
        let text = match seen {
            Seen::BeingCreated => format!(
                "container {vmid} is locked by a create that no longer runs, and carries no mark yet"
            ),
            Seen::Ours(_) | Seen::Absent | Seen::Other(_) => {
                format!("template {vmid} is locked, and no task of its number runs")
            }
        };
        Err(StepError::Stuck(Failure::new(
            "container_locked",
            text,
            "look at it on its node; pct unlock takes the lock off",
        )))
    }

    /// Sends the create call, with mark, MAC and number as recorded.
    async fn create(&self) -> StepResult<()> {
        const DOING: &str = "creating the template's container";
        let (one, host, place) = (&self.kept.prepared, self.cluster.host(), self.place());
        let hostname = format!("template-{}", place.vmid).parse::<Hostname>();
        let hostname = hostname.map_err(|e| {
            let text = e.to_string();
            StepError::Failed(Failure::new("internal", text, "report this as a bug"))
        })?;
        let text = format!(
            "prepared template of {}, made by Proximity",
            one.base.os_template
        );
        let create = CreateLxc {
            vmid: place.vmid,
            ostemplate: one.base.os_template.clone(),
            hostname,
            storage: one.spot.storage.clone(),
            disk_gib: one.disk_gib,
            mounts: Vec::new(),
            memory_mib: MEMORY_MIB,
            swap_mib: 0,
            cores: 1,
            net0: NewNet {
                name: "eth0".to_owned(),
                bridge: host.bridge.clone(),
                hwaddr: one.identity.net0_mac,
            },
            network: Network::default(),
            root_keys: Vec::new(),
            root_password: None,
            description: one.identity.mark.described(&text),
            pool: host.pool.clone(),
            unprivileged: true,
            onboot: false,
            protection: false,
            nesting: true,
        };
        let call = format!("POST /nodes/{}/lxc", place.node);
        let details = json!({ "vmid": place.vmid, "ostemplate": create.ostemplate, "template": one.id.to_string() });
        let client = self.client(Call::Create, &call, details).await?;
        let sent = client.create_lxc(&place.node, create).await;
        let outcome = self.ended(DOING, sent).await?;
        self.settle().await?;
        unless_failed(DOING, outcome)
    }

    async fn start(&self) -> StepResult<()> {
        const DOING: &str = "starting the template's container";
        let place = self.place();
        let call = format!("POST /nodes/{}/lxc/{}/status/start", place.node, place.vmid);
        let client = self.client(Call::Start, &call, json!({})).await?;
        let sent = client.start(&place.node, place.vmid).await;
        let outcome = self.ended(DOING, sent).await?;
        self.settle().await?;
        unless_failed(DOING, outcome)
    }

    /// Shuts it down, by force where it does not by itself: nothing in it is anybody's.
    async fn stop(&self) -> StepResult<()> {
        const DOING: &str = "shutting the template's container down";
        let place = self.place();
        let path = format!("POST /nodes/{}/lxc/{}/status", place.node, place.vmid);
        let client = self
            .client(Call::Stop, &format!("{path}/shutdown"), json!({}))
            .await?;
        let sent = client.shutdown(&place.node, place.vmid, SHUTDOWN_S).await;
        self.ended(DOING, sent).await?;
        self.settle().await?;
        if !self.is_running().await? {
            return Ok(());
        }
        self.must_be_ours().await?;
        let client = self
            .client(Call::Stop, &format!("{path}/stop"), json!({}))
            .await?;
        let sent = client.stop(&place.node, place.vmid).await;
        let outcome = self.ended(DOING, sent).await?;
        self.settle().await?;
        unless_failed(DOING, outcome)
    }

    /// Makes it a template, and waits until its configuration says so: Proxmox VE answers before that, and without quorum too.
    async fn convert(&self) -> StepResult<()> {
        const DOING: &str = "making it a template";
        let place = self.place();
        let call = format!("POST /nodes/{}/lxc/{}/template", place.node, place.vmid);
        let client = self.client(Call::Convert, &call, json!({})).await?;
        if let Err(e) = client.make_template(&place.node, place.vmid).await {
            if !e.is_maybe_applied() {
                self.settle().await?;
            }
            return Err(pve_failure(DOING, &e));
        }
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            let is_done = self.read().await?.is_some_and(|read| read.template);
            let is_at_work = !self.running_tasks().await?.is_empty();
            if is_done && !is_at_work {
                return self.settle().await;
            }
            quiet = if is_at_work { 0 } else { quiet + 1 };
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.settle().await?;
        Err(StepError::Failed(Failure::new(
            "pve_task_failed",
            format!("{DOING}: PVE's task ended, and it is none"),
            "read the task's log in PVE; its storage may keep no templates",
        )))
    }

    pub(super) async fn must_be_ours(&self) -> StepResult<()> {
        match self.look().await?.seen {
            Seen::Ours(_) => Ok(()),
            Seen::Other(why) => Err(conflict(&why)),
            Seen::Absent | Seen::BeingCreated => Err(StepError::Transient(Failure::new(
                "state_changed",
                "somebody else acts on it",
                "it is looked at again",
            ))),
        }
    }

    /// Destroys it by a permit, if nothing shares its volume, ours or anybody's.
    async fn destroy(&self) -> StepResult<Went> {
        const DOING: &str = "destroying the template";
        self.refuse_a_second_destroy().await?;
        if let Some(who) = self.shared_with().await? {
            tracing::debug!(template = %self.kept.prepared.id, %who, "a template stays as long as something shares with it");
            return Ok(Went::Rests(AT_REST));
        }
        // Nothing goes on record, nor into the audit, of a call that is not to be sent.
        if self.permit(DOING).await?.is_none() {
            return Ok(Went::On);
        }
        let place = self.place();
        let call = format!("DELETE /nodes/{}/lxc/{}", place.node, place.vmid);
        let client = self.client(Call::Destroy, &call, json!({})).await?;
        let permit = match self.permit(DOING).await {
            Ok(Some(permit)) => permit,
            Ok(None) => {
                self.settle().await?;
                return Ok(Went::On);
            }
            Err(why) => {
                self.settle().await?;
                return Err(why);
            }
        };
        let sent = client.destroy_lxc(permit).await;
        match self.ended(DOING, sent).await? {
            TaskOutcome::Ok | TaskOutcome::Warnings(_) => {
                self.engine.inner.shelf.destroyed(self.kept.prepared.id);
                self.settle().await?;
            }
            // It stays on record: PVE may have freed the volume before it failed, and a person has to look.
            failed @ (TaskOutcome::Failed(_) | TaskOutcome::Unknown(_)) => {
                unless_failed(DOING, failed)?;
            }
        }
        Ok(Went::On)
    }

    /// The permit to destroy it, by a look now; `None` where it is not there any more.
    async fn permit(&self, doing: &str) -> StepResult<Option<DestroyPermit>> {
        let place = self.place();
        let status = self.cluster.read().lxc_status(&place.node, place.vmid);
        let status = status.await;
        let status = status.map_err(|e| pve_failure("reading the template's status", &e))?;
        let jobs = self.cluster.read().replication_jobs().await;
        let jobs = jobs.map_err(|e| pve_failure("reading the replication jobs", &e))?;
        // This finds the endpoint whose word counts; after the identity it is asked again, for the permit.
        self.has_quorum().await?;
        let Some(Read {
            mut seen,
            template,
            read_started,
        }) = self.read().await?
        else {
            return Ok(None);
        };
        seen.ha_managed = status.ha_managed;
        seen.replicated = jobs.iter().any(|job| job.guest == place.vmid);
        let quorate = Quorate(self.has_quorum().await?);
        let permit = self.kept.permit(&seen, template, read_started, quorate);
        permit.map(Some).map_err(|why| {
            StepError::Transient(Failure::new(
                "identity_conflict",
                format!("{doing}: {why}"),
                "nothing was destroyed",
            ))
        })
    }

    /// A destroy of before that is still on record, and whose task shows that it failed: what it left is for a person to look at.
    async fn refuse_a_second_destroy(&self) -> StepResult<()> {
        let Some(sent) = self.kept.sent.filter(|sent| sent.call == Call::Destroy) else {
            return Ok(());
        };
        let place = self.place();
        let filter = TaskFilter {
            vmid: Some(place.vmid),
            since_s: u64::try_from(sent.at.0 / 1_000 - CLOCKS_APART_S).ok(),
            ..TaskFilter::default()
        };
        let tasks = self.cluster.read().node_tasks(&place.node, &filter).await;
        let tasks = tasks.map_err(|e| pve_failure("reading the node's tasks", &e))?;
        let mut destroys = tasks.iter().filter(|task| task.upid.kind() == "vzdestroy");
        let failed = |task: &&TaskRow| task.outcome.as_ref().is_some_and(|end| !end.is_success());
        match destroys.find(failed) {
            None => Ok(()),
            Some(task) => Err(StepError::Stuck(Failure::new(
                "pve_task_failed",
                format!("an earlier destroy of the template failed ({})", task.upid),
                "read the task's log in PVE; have it tried again with: proximity templates drop ID",
            ))),
        }
    }

    /// A volume on its storage that shares its root volume's, if there is one: of whomever.
    async fn shared_with(&self) -> StepResult<Option<String>> {
        let one = &self.kept.prepared;
        let Some(own) = &one.identity.rootfs_volid else {
            return Ok(None);
        };
        let under = format!("{own}/");
        // Volumes whose container has no configuration any more are listed as disks.
        for content in [Content::RootDir, Content::Images] {
            let read = self.cluster.read();
            let rows = read.storage_content(&one.spot.node, &one.spot.storage, content);
            let rows = rows.await;
            let rows = rows.map_err(|e| pve_failure("listing the storage's volumes", &e))?;
            let shares = rows.iter().map(|row| row.volid.as_str());
            let mut shares = shares.filter(|volid| volid.starts_with(&under));
            if let Some(volid) = shares.next() {
                return Ok(Some(volid.to_owned()));
            }
        }
        Ok(None)
    }
}

fn unless_failed(doing: &str, outcome: TaskOutcome) -> StepResult<()> {
    match outcome {
        TaskOutcome::Ok | TaskOutcome::Warnings(_) => Ok(()),
        TaskOutcome::Failed(why) | TaskOutcome::Unknown(why) => {
            Err(StepError::Failed(Failure::new(
                "pve_task_failed",
                format!("{doing}: {why}"),
                "read the task's log in PVE",
            )))
        }
    }
}
