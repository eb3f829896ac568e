//! The step machine of worker tasks: lock, check, command, settle, end.
//!
//! A task takes the guest's configuration lock (10 s at most), checks what PVE's worker checks,
//! gives the driver one command after the other and ends when both the driver is done and its least
//! time has passed.

mod backups;
mod bulk;
mod conclude;
mod consoles;
mod copies;
mod create;
mod launch;
mod migrate;
mod restore;
mod snapshots;

pub use consoles::ConsoleEnd;
pub(crate) use consoles::{cut_off as cut_off_consoles, take_port};
pub(crate) use create::new_addresses;
pub(crate) use launch::check_quorum_write;

use super::Effects;
use super::checks::{self, Doer};
use super::faults::{self, End};
use super::guest::{GuestCommand, GuestDone, GuestError, GuestKey, GuestOutcome, JobId};
use super::jobs::Job;
use super::task::{Acting, Step, Task, TaskState, Work};
use super::upid::Upid;
use super::world::{Guest, Power, World};

/// Until a worker that fails its checks has ended.
const QUICK_END_MS: u64 = 50;
/// Between TERM and KILL.
const KILL_GRACE_MS: u64 = 5_000;

/// Starts a task on a guest; it runs at once unless its guest is locked.
pub(crate) fn spawn(
    world: &mut World,
    kind: &str,
    guest: &GuestKey,
    user: &str,
    work: Work,
    now_ms: u64,
) -> Upid {
    let (node, id) = (guest.node.clone(), guest.vmid.to_string());
    let lock = Some(guest.clone());
    spawn_on(world, (&node, kind, &id), lock, user, work, now_ms)
}

/// Starts a task on a node: kind and id as its UPID shows them, the lock it needs if any.
pub(crate) fn spawn_on(
    world: &mut World,
    (node, kind, id): (&str, &str, &str),
    lock: Option<GuestKey>,
    user: &str,
    work: Work,
    now_ms: u64,
) -> Upid {
    let (pid, pstart) = world.fork(node, now_ms);
    let upid = Upid {
        node: node.to_owned(),
        pid,
        pstart,
        starttime_s: now_ms / 1000,
        kind: kind.to_owned(),
        id: id.to_owned(),
        user: user.to_owned(),
    };
    let mut log = Vec::new();
    if lock.as_ref().is_some_and(|guest| is_held(world, guest)) {
        log.push("trying to acquire lock...".to_owned());
    }
    let state = TaskState::Waiting {
        deadline_ms: now_ms + world.times.lock_ms,
    };
    world.tasks.push(Task {
        upid: upid.clone(),
        work,
        lock,
        began: false,
        skips_lock: false,
        log,
        warnings: 0,
        state,
        by: world
            .live
            .doer
            .as_ref()
            .and_then(|doer| doer.name())
            .map(str::to_owned),
    });
    upid
}

/// Whether a task, or a command in the node's shell, holds a guest's configuration lock.
pub(crate) fn is_held(world: &World, guest: &GuestKey) -> bool {
    let by = |task: &Task| task.holds_lock() && task.guest() == *guest;
    world.held.contains(&guest.vmid) || world.tasks.iter().any(by)
}

/// PVE's words for a lock that was not free in time.
pub(crate) fn lock_timeout(vmid: u32) -> String {
    format!("can't lock file '/run/lock/lxc/pve-config-{vmid}.lock' - got timeout")
}

/// Moves tasks that time or a free lock lets move; whether any did.
pub(crate) fn advance(world: &mut World, now_ms: u64, effects: &mut Effects) -> bool {
    let mut moved = false;
    for at in 0..world.tasks.len() {
        let Some(task) = world.tasks.get(at) else {
            continue;
        };
        if matches!(task.state, TaskState::Acting(_) | TaskState::Stopped { .. }) {
            continue;
        }
        let doer = Doer::task(task);
        checks::acts(world, doer);
        moved |= go_on(world, at, now_ms, effects);
        checks::acted(world);
    }
    if moved {
        conclude::forget_old(world);
        faults::forget_ended(world);
    }
    moved
}

/// Moves a task if time or a free lock lets it move; whether it did.
fn go_on(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) -> bool {
    let Some(task) = world.tasks.get(at) else {
        return false;
    };
    match task.state.clone() {
        TaskState::Waiting { deadline_ms } => {
            let guest = task.lock.as_ref();
            let busy = |guest| is_held(world, guest) || world.owes(guest);
            if !guest.is_some_and(busy) {
                enter(world, at, now_ms, effects);
                true
            } else if now_ms >= deadline_ms {
                let error = lock_timeout(task.guest().vmid);
                conclude::end(world, at, Some(error), now_ms);
                true
            } else {
                false
            }
        }
        TaskState::Settling { at_ms, error } if now_ms >= at_ms => {
            conclude::conclude(world, at, error, now_ms);
            true
        }
        TaskState::Bulk => bulk::advance(world, at, now_ms, effects),
        TaskState::Console(stage) if stage.until_ms().is_some_and(|at_ms| now_ms >= at_ms) => {
            consoles::give_up(world, at, stage, now_ms);
            true
        }
        TaskState::Dying { at_ms } if now_ms >= at_ms => {
            conclude::die(world, at, now_ms);
            true
        }
        TaskState::Settling { .. }
        | TaskState::Dying { .. }
        | TaskState::Console(_)
        | TaskState::Acting(_)
        | TaskState::Stopped { .. } => false,
    }
}

fn enter(world: &mut World, at: usize, now_ms: u64, effects: &mut Effects) {
    if world.tasks[at]
        .log
        .first()
        .is_some_and(|line| line.starts_with("trying to acquire lock"))
    {
        world.tasks[at].say(" OK");
    }
    let fate = faults::at_begin(world, &world.tasks[at].upid);
    if let Some(End::Error { message, .. }) = fate {
        return settle(world, at, Some(message), now_ms + QUICK_END_MS);
    }
    if let Err(error) = launch::launch(world, at, now_ms, effects) {
        settle(world, at, Some(error), now_ms + QUICK_END_MS);
    } else if let Some(task) = world.tasks.get_mut(at) {
        task.began = true;
        if fate == Some(End::Killed) {
            task.state = TaskState::Dying { at_ms: now_ms };
        }
        checks::began(world, at);
    }
}

/// Gives the driver a command on behalf of a task.
fn issue(
    world: &mut World,
    at: usize,
    step: Step,
    not_before_ms: u64,
    command: impl FnOnce(JobId, GuestKey) -> GuestCommand,
    effects: &mut Effects,
) {
    let job = world.allocate_job();
    let command = command(job, world.tasks[at].guest());
    let task = world.tasks[at].upid.clone();
    world.tasks[at].state = TaskState::Acting(Acting {
        job,
        step,
        not_before_ms,
    });
    world.jobs.insert(
        job,
        Job {
            task,
            command: command.clone(),
        },
    );
    checks::commanded(world, &command);
    effects.commands.push(command);
}

fn settle(world: &mut World, at: usize, error: Option<String>, at_ms: u64) {
    world.tasks[at].state = TaskState::Settling { at_ms, error };
}

/// The driver answered a command of a task: the next step, or the end.
pub(crate) fn proceed(
    world: &mut World,
    upid: &Upid,
    done: GuestDone,
    now_ms: u64,
    effects: &mut Effects,
) {
    let Some(at) = world.tasks.iter().position(|task| task.upid == *upid) else {
        return;
    };
    let TaskState::Acting(Acting {
        job,
        step,
        not_before_ms,
    }) = world.tasks[at].state.clone()
    else {
        return;
    };
    if job != done.job {
        return;
    }
    let turn = Turn {
        at,
        not_before_ms,
        now_ms,
    };
    let doer = Doer::task(&world.tasks[at]);
    checks::acts(world, doer);
    match done.result {
        Ok(outcome) => turn.succeeded(world, step, outcome, effects),
        Err(error) => turn.failed(world, step, error, effects),
    }
    checks::acted(world);
}

/// Where a task stands when the driver answered it.
#[derive(Clone, Copy)]
struct Turn {
    /// Place of the task in the list.
    at: usize,
    /// The task does not end before, Unix ms.
    not_before_ms: u64,
    now_ms: u64,
}

impl Turn {
    fn end(self, world: &mut World, error: Option<String>) {
        settle(world, self.at, error, self.not_before_ms.max(self.now_ms));
    }

    fn succeeded(
        self,
        world: &mut World,
        step: Step,
        outcome: GuestOutcome,
        effects: &mut Effects,
    ) {
        let Self {
            at,
            not_before_ms,
            now_ms,
        } = self;
        match step {
            Step::Create => {
                create::unpacked(world, at, log_of(outcome));
                self.end(world, None);
            }
            Step::StopFirst => self.stopped(world, effects),
            Step::StartAgain => backups::go_on(world, at, false, now_ms, effects),
            Step::Prune => backups::go_on_with_next(world, at, now_ms, effects),
            Step::Main if matches!(world.tasks[at].work, Work::Backup(_)) => {
                log_of(outcome)
                    .into_iter()
                    .for_each(|line| world.tasks[at].say(line));
                backups::archived(world, at, None, now_ms, effects);
            }
            Step::Main => self.end(world, None),
            Step::CleanUp { error } => self.end(world, Some(error)),
            Step::RebootDown | Step::RebootKill => {
                launch::reboot_up(world, at, not_before_ms.max(now_ms), effects);
            }
            Step::DestroyKill => match held(world, at) {
                Some(why) => self.end(world, Some(why)),
                None => destroy(world, at, Step::Destroy, not_before_ms, effects),
            },
            Step::Start | Step::Kill | Step::Shutdown { .. } | Step::Destroy => {
                self.end(world, None);
            }
        }
    }

    /// The guest was stopped so that the main work can be done.
    fn stopped(self, world: &mut World, effects: &mut Effects) {
        let Self { at, now_ms, .. } = self;
        match world.tasks[at].work.clone() {
            Work::Rollback { name, .. } => {
                let refused = snapshots::main_rollback(world, at, &name, now_ms, effects).err();
                if let Some(why) = refused {
                    self.end(world, Some(why));
                }
            }
            Work::Migrate { target, .. } => migrate::carry(world, at, &target, now_ms, effects),
            Work::Backup(_) => backups::archive(world, at, now_ms, effects),
            _ => self.end(world, None),
        }
    }

    fn failed(self, world: &mut World, step: Step, error: GuestError, effects: &mut Effects) {
        let at = self.at;
        let vmid = world.tasks[at].guest().vmid;
        match (step, error) {
            (Step::Create, error) => {
                let error = message(error, "timed out");
                world.tasks[at].say(&error);
                let restored =
                    matches!(&world.tasks[at].work, Work::Create(plan) if plan.restore.is_some());
                let verb = if restored { "restore" } else { "create" };
                let error = format!("unable to {verb} CT {vmid} - {error}");
                let step = Step::CleanUp { error };
                destroy(world, at, step, self.not_before_ms, effects);
            }
            (Step::Main | Step::StopFirst, error)
                if matches!(world.tasks[at].work, Work::Backup(_)) =>
            {
                let error = Some(message(error, "timed out"));
                backups::archived(world, at, error, self.now_ms, effects);
            }
            (Step::StartAgain, error) => {
                world.tasks[at].say(message(error, "timed out"));
                backups::go_on(world, at, true, self.now_ms, effects);
            }
            (Step::Prune, error) => {
                world.tasks[at].say(message(error, "timed out"));
                backups::go_on_with_next(world, at, self.now_ms, effects);
            }
            (Step::StopFirst | Step::Main, error)
                if matches!(world.tasks[at].work, Work::Migrate { .. }) =>
            {
                let why = message(error, "container did not stop");
                let error = migrate::aborted(world, at, &why, self.now_ms);
                self.end(world, Some(error));
            }
            (Step::CleanUp { error }, _) => self.end(world, Some(error)),
            (Step::Start, error) => {
                world.tasks[at].say(message(error, "timed out"));
                self.end(
                    world,
                    Some(format!("startup for container '{vmid}' failed")),
                );
            }
            (Step::Shutdown { force: true }, GuestError::TimedOut) => {
                kill(world, at, Step::Kill, self.now_ms, effects);
            }
            (Step::RebootDown, GuestError::TimedOut) => {
                kill(world, at, Step::RebootKill, self.now_ms, effects);
            }
            (
                Step::Main
                | Step::StopFirst
                | Step::Kill
                | Step::Shutdown { .. }
                | Step::RebootDown
                | Step::RebootKill
                | Step::DestroyKill
                | Step::Destroy,
                error,
            ) => self.end(world, Some(message(error, "container did not stop"))),
        }
    }
}

fn kill(world: &mut World, at: usize, step: Step, now_ms: u64, effects: &mut Effects) {
    issue(
        world,
        at,
        step,
        now_ms,
        |job, guest| GuestCommand::Kill { job, guest },
        effects,
    );
}

fn destroy(world: &mut World, at: usize, step: Step, not_before_ms: u64, effects: &mut Effects) {
    let command = |job, guest| GuestCommand::Destroy { job, guest };
    issue(world, at, step, not_before_ms, command, effects);
}

/// Why the disk of a task's guest cannot be removed.
fn held(world: &World, at: usize) -> Option<String> {
    let key = world.tasks[at].guest();
    let guest = world.guest(&key)?;
    world.check_free_all(&guest.config, &key).err()
}

fn log_of(outcome: GuestOutcome) -> Vec<String> {
    match outcome {
        GuestOutcome::Done { log } => log,
        GuestOutcome::Inspected(_) => Vec::new(),
    }
}

fn message(error: GuestError, timed_out: &str) -> String {
    match error {
        GuestError::TimedOut => timed_out.to_owned(),
        GuestError::Failed(text) => text.trim().to_owned(),
    }
}

impl World {
    /// What a power cut does to a node's guests and tasks.
    pub(crate) fn drop_node(&mut self, name: &str, now_ms: u64) {
        let runs = |guest: &Guest| guest.node == name && guest.is_running();
        self.guests
            .change_where(runs, |guest| guest.power = Power::Stopped);
        for at in 0..self.tasks.len() {
            if self.tasks[at].is_running() && self.tasks[at].upid.node == name {
                conclude::die(self, at, now_ms);
            }
        }
        self.checks.dropped(name);
        self.jobs.retain(|_, job| job.command.guest().node != name);
        let looks = &mut self.live.inspects;
        let lost: Vec<JobId> = looks
            .iter()
            .filter(|(_, look)| look.guest.node == name)
            .map(|(job, _)| *job)
            .collect();
        for job in lost {
            self.live.inspects.remove(&job);
            super::park::look_arrived(self, job);
        }
    }
}

/// `DELETE` of a task: TERM, and KILL five seconds later. Returns when it will be gone; nothing for
/// one that has ended.
///
/// What the driver already does goes on, as a started `lxc-stop` would.
pub(crate) fn terminate(world: &mut World, upid: &Upid, now_ms: u64) -> Option<u64> {
    let at = world
        .tasks
        .iter()
        .position(|task| task.upid == *upid && task.is_running())?;
    if let TaskState::Dying { at_ms } = world.tasks[at].state {
        return Some(at_ms);
    }
    // One that only waits for the lock goes at once.
    let waiting = matches!(world.tasks[at].state, TaskState::Waiting { .. });
    let at_ms = if waiting {
        now_ms
    } else {
        now_ms + KILL_GRACE_MS
    };
    let vmid = world.tasks[at].guest().vmid;
    if let (Work::Shutdown { timeout_s, force }, TaskState::Acting(_)) =
        (&world.tasks[at].work, &world.tasks[at].state)
    {
        let mode = if *force { "" } else { " --nokill" };
        let line = format!(
            "command 'lxc-stop -n {vmid}{mode} --timeout {timeout_s}' failed: received interrupt"
        );
        world.tasks[at].say(line);
    }
    world.tasks[at].state = TaskState::Dying { at_ms };
    Some(at_ms)
}
