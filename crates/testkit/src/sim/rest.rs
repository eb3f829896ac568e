//! The rules of the record, looked at after every act; and rest: faults end, and everything has to come to a stand that can be
//! explained.

use std::time::Duration;

use proximity_domain::event::EventKind;
use proximity_domain::operation::OperationState;
use proximity_store::views::EventRow;
use tokio::time::sleep;

use super::account::account;
use super::end::{blamed, marked_early};
use super::narrow::hide;
use super::perform::Stage;

/// How long operations may take to end when nothing is wrong any more, in looks a second apart: every wait of theirs is
/// shorter.
const LOOKS: u32 = 900;
/// Rounds of the slow sweep, which tells last of what has come to an end, and how long each may take itself.
const ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_secs(66);
/// What was asked of a cluster without quorum may wait for it so long, and takes effect when everything is whole, in seconds.
const WAITED_S: u64 = 60;
/// Three cycles of what acts on apps, in seconds: the looks that prove an absence are 30 s apart.
const CYCLES_S: u64 = 100;

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Rules that hold at every moment.
pub(super) async fn look(stage: &mut Stage) -> Result<(), String> {
    let mut kept = std::mem::take(&mut stage.kept);
    kept.look(stage).await?;
    stage.kept = kept;
    let cluster = &stage.machine.cluster;
    for broken in stage.machine.store.invariants().await.map_err(text)? {
        cluster.complain("record", broken);
    }
    let found: Vec<String> = {
        let mut inner = cluster.lock();
        let found = inner.world.violations().to_vec();
        inner.world.forget_violations();
        let blamed = found.into_iter().filter(|it| inner.are_to_blame(it));
        let told = blamed.map(|it| format!("{:?}: {} ({:?})", it.check, it.what, it.call));
        told.collect()
    };
    for what in found {
        cluster.complain("cluster", what);
    }
    Ok(())
}

/// Ends all trouble, waits until nothing moves, and looks at what is left.
pub(super) async fn come_to_rest(stage: &mut Stage) -> Result<(), String> {
    let cluster = stage.machine.cluster.clone();
    cluster.trace.say(format_args!("rest"));
    calm(stage);
    sleep(Duration::from_secs(WAITED_S)).await;
    show_all(stage);
    if !settle(stage).await? {
        return Ok(());
    }
    sleep((stage.machine.limits.sweep_rest + ROUND) * ROUNDS).await;
    if !settle(stage).await? {
        return Ok(());
    }
    let (changes, commits) = moved(stage);
    let stuck = told_stuck(stage).await?;
    sleep(Duration::from_secs(CYCLES_S)).await;
    let (changes_after, commits_after) = moved(stage);
    // The janitor looks once an hour, which may be now, and tells of each app by itself.
    let told = told_stuck(stage).await? - stuck;
    if changes != changes_after || commits_after != commits + told {
        let (before, after) = ((changes, commits), (changes_after, commits_after));
        let what = format!("changes and commits at rest: {before:?}, then {after:?}");
        cluster.complain("I9-rest", what);
    }
    look(stage).await?;
    marked_early(stage).await?;
    blamed(stage).await?;
    account(stage).await
}

/// Everything that was broken is whole again.
pub(super) fn calm(stage: &Stage) {
    stage.machine.cluster.meddle(|world, _, now_ms| {
        let faults: Vec<_> = world.faults().map(|fault| fault.rule.id).collect();
        for fault in faults {
            world.end_fault(fault);
        }
        let nodes: Vec<String> = world.nodes().iter().map(|node| node.name.clone()).collect();
        for node in nodes {
            world.power_on(&node, now_ms);
            world.heal(&node);
            // Within its bounds.
            let _ = world.set_slow(&node, 0);
            world.set_old_view(&node, 0);
        }
        let locked = |guest: &proximity_pve_emulator::core::Guest| {
            guest.config.get("lock") == Some("backup")
        };
        let locked = world.guests().filter(|(_, guest)| locked(guest));
        let locked: Vec<u32> = locked.map(|(vmid, _)| vmid).collect();
        for vmid in locked {
            world.set_lock(vmid, None);
        }
    });
    stage.machine.cluster.lock().lists.end();
    show_all(stage);
}

/// Gives back every right that was taken away.
fn show_all(stage: &Stage) {
    let cluster = &stage.machine.cluster;
    let known = cluster.lock().ground.numbers();
    for vmid in known {
        hide(cluster, vmid, false);
    }
}

/// How many changes have left, and how many commits there were.
fn moved(stage: &Stage) -> (u64, u64) {
    let changes = stage.machine.cluster.lock().changes;
    (changes, *stage.machine.store.commits().borrow())
}

/// Of how many apps the janitor has said that they are stuck.
async fn told_stuck(stage: &Stage) -> Result<u64, String> {
    let (mut told, mut after) = (0, 0);
    loop {
        let events = stage.machine.store.events(after, 1_000).await;
        let events = events.map_err(text)?;
        let Some(last) = events.last() else {
            return Ok(told);
        };
        after = last.0;
        let stuck = |row: &&EventRow| row.2.kind == EventKind::AppDiagnosedStuck;
        told += events.iter().filter(stuck).count() as u64;
    }
}

/// Waits until every operation is over or needs a person, who is told why and what to do. False if that does not come.
async fn settle(stage: &Stage) -> Result<bool, String> {
    let cluster = &stage.machine.cluster;
    let mut moving = Vec::new();
    for _ in 0..LOOKS {
        moving.clear();
        for op in stage.machine.store.live_operations().await.map_err(text)? {
            match &op.state {
                OperationState::Stuck { failure, .. } => {
                    if failure.hint.is_empty() || failure.code.is_empty() {
                        let what = format!("{} is stuck and says no next step", op.id);
                        cluster.complain("I9-no-next-step", what);
                        return Ok(false);
                    }
                }
                OperationState::Queued
                | OperationState::Running
                | OperationState::Unwinding { .. }
                | OperationState::Succeeded
                | OperationState::Failed { .. }
                | OperationState::Cancelled => {
                    let (kind, state) = (op.kind.label(), op.state.label());
                    moving.push(format!("{kind} {} is {state}", op.id));
                }
            }
        }
        if moving.is_empty() {
            return Ok(true);
        }
        sleep(Duration::from_secs(1)).await;
    }
    let what = format!("after {LOOKS} s without trouble: {}", moving.join(", "));
    cluster.complain("I9-not-settled", what);
    Ok(false)
}

/// The whole state at the end, as part of the trace.
pub(super) async fn tell(stage: &Stage) -> Result<(), String> {
    let (store, cluster) = (&stage.machine.store, &stage.machine.cluster);
    let trace = &cluster.trace;
    if !trace.is_told() {
        return Ok(());
    }
    let mut after = 0;
    loop {
        let events = store.events(after, 1_000).await.map_err(text)?;
        let Some(last) = events.last() else { break };
        after = last.0;
        for (seq, at, event, app, operation) in &events {
            let at_ms = at.0;
            trace.say(format_args!(
                "event {seq} {at_ms} {event:?} {app:?} {operation:?}"
            ));
        }
    }
    for row in store.audit(1_000, 0).await.map_err(text)? {
        trace.say(format_args!("audit {row:?}"));
    }
    for guest in store.host_guests(stage.host).await.map_err(text)? {
        trace.say(format_args!("guest {guest:?}"));
    }
    for op in store.live_operations().await.map_err(text)? {
        trace.say(format_args!("operation {op:?}"));
    }
    let inner = cluster.lock();
    for (vmid, guest) in inner.world.guests() {
        trace.say(format_args!("{vmid} on {} {guest:?}", guest.node));
    }
    Ok(())
}
