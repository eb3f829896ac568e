//! Tasks that start, stop or move several guests, each in a task of its own, as the API of the cluster would be
//! called for each of them.

use super::super::Effects;
use super::super::access::Caller;
use super::super::error::ApiError;
use super::super::guest::GuestKey;
use super::super::guest_config::GuestConfig;
use super::super::pipeline::{self, Inner};
use super::super::task::{BulkAct, BulkItem, BulkPlan, TaskState, Work};
use super::super::upid::Upid;
use super::super::world::{Guest, World};
use super::settle;
use crate::schema::{Params, split_list};

/// A guest without an order of its own comes last at start.
const LAST: i64 = i64::MAX;
/// How long a start of all waits for a backup that runs.
const BACKUP_WAIT_MS: u64 = 10_000;
const SHUTDOWN_S: u64 = 180;

fn plan_of(world: &World, at: usize) -> Option<BulkPlan> {
    match &world.tasks[at].work {
        Work::Bulk(plan) => Some((**plan).clone()),
        _ => None,
    }
}

/// Says what it will do and begins.
pub(super) fn launch(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) {
    if let Some(line) = plan_of(world, at).and_then(|plan| plan.first_line) {
        world.tasks[at].say(line);
    }
    world.tasks[at].state = TaskState::Bulk;
    advance(world, at, now_ms, effects);
}

/// Takes in ended tasks and begins further ones; whether anything moved.
pub(super) fn advance(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) -> bool {
    let Some(plan) = plan_of(world, at) else {
        return false;
    };
    if plan
        .pause_until_ms
        .is_some_and(|until_ms| now_ms < until_ms)
    {
        return false;
    }
    let mut turn = Turn {
        at,
        now_ms,
        caller: Caller::named(&world.tasks[at].upid.user),
        moved: plan.pause_until_ms.is_some(),
        plan,
    };
    turn.plan.pause_until_ms = None;
    let error = turn.go_on(world, effects);
    let moved = turn.moved;
    world.tasks[at].work = Work::Bulk(Box::new(turn.plan));
    if let Some(error) = error {
        settle(world, at, error, now_ms);
        return true;
    }
    moved
}

/// What became of the attempt to begin a guest's task.
enum Begun {
    Task(Upid),
    /// Nothing is to be done for it.
    Nothing,
    Refused(ApiError),
}

/// One look at a bulk task.
struct Turn {
    at: usize,
    now_ms: u64,
    caller: Caller,
    plan: BulkPlan,
    moved: bool,
}

impl Turn {
    /// As far as it goes; how it ended when it did.
    fn go_on(&mut self, world: &mut World, effects: &mut Effects) -> Option<Option<String>> {
        if !self.plan.listed && !self.list(world) {
            return None;
        }
        self.take_in(world);
        while self.plan.pause_until_ms.is_none() && self.has_room() {
            let item = self.plan.waiting.remove(0);
            self.moved = true;
            self.plan.order = item.order;
            self.begin(world, item, effects);
        }
        let plan = &self.plan;
        let done =
            plan.pause_until_ms.is_none() && plan.running.is_empty() && plan.waiting.is_empty();
        done.then(|| self.conclusion(world))
    }

    /// Whether a further one can begin: those of one order wait for all of the order before.
    fn has_room(&self) -> bool {
        let plan = &self.plan;
        let next = plan.waiting.first();
        let in_turn = |item: &BulkItem| plan.running.is_empty() || plan.order == item.order;
        plan.running.len() < plan.workers.max(1) && next.is_some_and(in_turn)
    }

    fn say(&self, world: &mut World, line: impl AsRef<str>) {
        world.tasks[self.at].say(line);
    }

    fn warn(&self, world: &mut World, line: impl AsRef<str>) {
        world.tasks[self.at].warn(line);
    }

    /// Finds out which guests are meant, once the node may begin; false as long as it may not.
    fn list(&mut self, world: &mut World) -> bool {
        let starts = self.plan.act == BulkAct::Start && self.plan.node.is_some();
        if starts && !self.may_begin(world) {
            return false;
        }
        self.plan.waiting = items(world, &self.plan);
        self.plan.listed = true;
        self.moved = true;
        let migrates = matches!(self.plan.act, BulkAct::Migrate { .. });
        if migrates && self.plan.node.is_some() && self.plan.waiting.is_empty() {
            self.plan.idle = true;
            self.say(world, "no virtual guests matched, nothing to do..");
        }
        true
    }

    /// A start of all waits for a majority, then takes away the locks that a backup left.
    fn may_begin(&mut self, world: &mut World) -> bool {
        let node = world.tasks[self.at].upid.node.clone();
        let waits = "waiting for quorum ...";
        let asked = world.tasks[self.at].log.iter().any(|line| line == waits);
        if !world.is_quorate(&node, self.now_ms) {
            if !asked {
                self.say(world, waits);
            }
            return false;
        }
        if asked {
            self.say(world, "got quorum");
        }
        let backup = |task: &super::Task| {
            task.is_running() && task.upid.node == node && matches!(task.work, Work::Backup(_))
        };
        if !world.tasks.iter().any(backup) {
            self.unlock(world, &node);
            return true;
        }
        if !self.plan.waited {
            self.plan.waited = true;
            self.plan.pause_until_ms = Some(self.now_ms + BACKUP_WAIT_MS);
            return false;
        }
        self.say(
            world,
            "can't lock file '/var/run/vzdump.lock' - got timeout",
        );
        true
    }

    fn unlock(&self, world: &mut World, node: &str) {
        let locked =
            |guest: &Guest| guest.node == node && guest.config.get("lock") == Some("backup");
        let here = world.guests().filter(|(_, guest)| locked(guest));
        let vmids: Vec<u32> = here.map(|(vmid, _)| vmid).collect();
        for vmid in vmids {
            world.set_lock(vmid, None);
            self.say(
                world,
                format!("removed left over backup lock from '{vmid}'!"),
            );
        }
    }

    /// Takes in tasks that ended.
    fn take_in(&mut self, world: &mut World) {
        let running = std::mem::take(&mut self.plan.running);
        for (vmid, upid) in running {
            let task = world.tasks.iter().find(|task| task.upid == upid);
            if task.is_some_and(super::Task::is_running) {
                self.plan.running.push((vmid, upid));
                continue;
            }
            let exit = task.and_then(|task| task.exit().map(str::to_owned));
            self.moved = true;
            self.ended(world, vmid, exit);
        }
    }

    fn ended(&mut self, world: &mut World, vmid: u32, exit: Option<String>) {
        let fine = |exit: &str| exit == "OK" || exit.starts_with("WARNINGS: ");
        if exit.as_deref().is_some_and(fine) {
            if self.plan.node.is_none() && self.plan.act == BulkAct::Start {
                self.delay(world, vmid);
            }
            return;
        }
        self.plan.failed.push(vmid);
        let verb = match (&self.plan.act, &self.plan.node) {
            (BulkAct::Start, _) => "Starting",
            (BulkAct::Shutdown { .. } | BulkAct::Suspend, None) => "Stopping",
            (BulkAct::Migrate { .. }, None) => "Migrating",
            (BulkAct::Shutdown { .. } | BulkAct::Suspend | BulkAct::Migrate { .. }, Some(_)) => {
                return;
            }
        };
        let exit = exit.unwrap_or_else(|| "could not query task status".into());
        let line = format!("{verb} CT {vmid} failed: {exit}");
        if self.plan.node.is_some() {
            self.say(world, line);
        } else {
            self.warn(world, line);
        }
    }

    /// What a guest's `startup` wants the next one to wait.
    fn delay(&mut self, world: &mut World, vmid: u32) {
        let config = world.guests.get(&vmid).map(|guest| &guest.config);
        let up_s = config.and_then(|config| startup(config).up_s);
        if let Some(up_s) = up_s.filter(|up_s| *up_s > 0) {
            self.say(world, format!("Waiting for {up_s} seconds (startup delay)"));
            self.plan.pause_until_ms = Some(self.now_ms + up_s * 1000);
        }
    }

    fn begin(&mut self, world: &mut World, item: BulkItem, effects: &mut Effects) {
        let vmid = item.guest.vmid;
        match self.try_begin(world, &item, effects) {
            Begun::Nothing => {}
            Begun::Refused(error) => self.refused(world, vmid, &error),
            Begun::Task(upid) => {
                self.plan.running.push((vmid, upid));
                self.plan.begun += 1;
                if self.plan.node.is_some() && self.plan.act == BulkAct::Start {
                    self.delay(world, vmid);
                }
            }
        }
    }

    /// A node's own task reads the error, the cluster's gets it from the API.
    fn refused(&mut self, world: &mut World, vmid: u32, error: &ApiError) {
        if self.plan.node.is_some() {
            return self.say(world, error.text());
        }
        self.plan.failed.push(vmid);
        self.warn(world, format!("{} {}", error.status(), error.text()));
    }

    fn try_begin(&mut self, world: &mut World, item: &BulkItem, effects: &mut Effects) -> Begun {
        let vmid = item.guest.vmid;
        let runs = world.guest(&item.guest).is_some_and(Guest::is_running);
        let of_node = self.plan.node.is_some();
        let mut params = Params::new();
        let (line, verb) = match &self.plan.act {
            BulkAct::Suspend => {
                self.warn(world, format!("skipping {vmid}, only VMs can be suspended"));
                return Begun::Nothing;
            }
            BulkAct::Start if of_node && runs => return Begun::Nothing,
            // Proxmox VE 9.2 takes a container that runs for a machine that pauses; its resume fails.
            BulkAct::Start if runs => (format!("Starting CT {vmid}"), "status/resume"),
            BulkAct::Start => (format!("Starting CT {vmid}"), "status/start"),
            BulkAct::Shutdown { .. } if of_node && !runs => return Begun::Nothing,
            BulkAct::Shutdown { .. } if !runs => {
                self.warn(world, format!("Skipping CT {vmid}, not running."));
                return Begun::Nothing;
            }
            BulkAct::Shutdown { timeout_s, force } => {
                let wait_s = item.down_s.or(*timeout_s).unwrap_or(SHUTDOWN_S);
                params.insert("timeout".into(), wait_s.into());
                params.insert("forceStop".into(), u8::from(*force).into());
                let (verb, word) = if of_node {
                    ("Stopping", "timeout")
                } else {
                    ("Shutting down", "Timeout")
                };
                let line = format!("{verb} CT {vmid} ({word} = {wait_s} seconds)");
                (line, "status/shutdown")
            }
            BulkAct::Migrate { target, .. } if *target == item.guest.node => {
                let line = format!("CT {vmid} already on {target}, skipping.");
                self.warn(world, line);
                return Begun::Nothing;
            }
            BulkAct::Migrate { target, restart } => {
                params.insert("target".into(), target.clone().into());
                let restart = if of_node { Some(runs) } else { *restart };
                if let Some(restart) = restart {
                    params.insert("restart".into(), u8::from(restart).into());
                }
                (format!("Migrating CT {vmid}"), "migrate")
            }
        };
        self.say(world, line);
        self.post(world, &item.guest, verb, params, effects)
    }

    /// Calls the API for one guest.
    fn post(
        &self,
        world: &mut World,
        guest: &GuestKey,
        verb: &str,
        params: Params,
        effects: &mut Effects,
    ) -> Begun {
        let GuestKey { node, vmid } = guest;
        let inner = Inner {
            caller: &self.caller,
            method: "POST",
            path: &format!("/nodes/{node}/lxc/{vmid}/{verb}"),
            params,
            via: &world.tasks[self.at].upid.node.clone(),
            trusted: self.plan.node.is_some(),
        };
        match pipeline::call_from_within(world, inner, self.now_ms, effects) {
            Err(error) => Begun::Refused(error),
            Ok(data) => {
                let upid = data.as_str().and_then(|text| text.parse().ok());
                upid.map_or(Begun::Nothing, Begun::Task)
            }
        }
    }

    /// How the task ends: the cluster's fail when one of their guests did.
    fn conclusion(&self, world: &mut World) -> Option<String> {
        let plan = &self.plan;
        let migrates = matches!(plan.act, BulkAct::Migrate { .. });
        if plan.node.is_some() {
            if !migrates || plan.idle {
                return None;
            }
            if plan.begun == 0 {
                return Some("no migrations worker started...".into());
            }
            let count = plan.begun;
            let line = format!("All jobs finished, used {count} workers in total.");
            self.say(world, line);
            return None;
        }
        let verb = match plan.act {
            BulkAct::Start => "start:",
            BulkAct::Shutdown { .. } => "shutdown",
            BulkAct::Suspend => "suspend",
            BulkAct::Migrate { .. } => "migrate",
        };
        let ids: Vec<String> = plan.failed.iter().map(u32::to_string).collect();
        (!ids.is_empty()).then(|| format!("Some guests failed to {verb} {}", ids.join(", ")))
    }
}

/// `startup` of a guest.
#[derive(Default)]
struct Startup {
    order: Option<i64>,
    up_s: Option<u64>,
    down_s: Option<u64>,
}

fn startup(config: &GuestConfig) -> Startup {
    let mut startup = Startup::default();
    for part in split_list(config.get("startup").unwrap_or_default()) {
        match part.split_once('=').unwrap_or(("order", part)) {
            ("order", value) => startup.order = value.parse().ok(),
            ("up", value) => startup.up_s = value.parse().ok(),
            ("down", value) => startup.down_s = value.parse().ok(),
            _ => {}
        }
    }
    startup
}

/// The guests meant, in their order. Templates are only moved; managed guests are left out unless guests are named or
/// moved.
fn items(world: &World, plan: &BulkPlan) -> Vec<BulkItem> {
    let moves = matches!(plan.act, BulkAct::Migrate { .. });
    let named = |vmid: &u32| plan.chosen.as_ref().is_none_or(|ids| ids.contains(vmid));
    let there = |guest: &Guest| plan.node.as_ref().is_none_or(|node| guest.node == *node);
    let fit = |vmid: u32, guest: &Guest| {
        let managed = world.ha.manages(vmid) && plan.chosen.is_none();
        let boots = !plan.onboot || guest.config.flag("onboot");
        moves || !guest.config.flag("template") && !managed && boots
    };
    let guests = world.guests();
    let guests = guests.filter(|(vmid, guest)| named(vmid) && there(guest) && fit(*vmid, guest));
    let mut items: Vec<BulkItem> = guests
        .map(|(vmid, guest)| {
            let startup = startup(&guest.config);
            BulkItem {
                guest: GuestKey {
                    node: guest.node.clone(),
                    vmid,
                },
                order: if moves {
                    0
                } else {
                    startup.order.unwrap_or(LAST)
                },
                down_s: startup.down_s,
            }
        })
        .collect();
    let backwards = matches!(plan.act, BulkAct::Shutdown { .. } | BulkAct::Suspend);
    match (backwards, plan.node.is_some()) {
        (false, true) if moves => items.sort_by_key(|item| item.guest.vmid.to_string()),
        (false, _) => items.sort_by_key(|item| (item.order, item.guest.vmid)),
        (true, true) => items.sort_by_key(|item| std::cmp::Reverse((item.order, item.guest.vmid))),
        (true, false) => items.sort_by_key(|item| (std::cmp::Reverse(item.order), item.guest.vmid)),
    }
    items
}
