//! The rules of the record, looked at after every act; and rest: faults end, and everything has to come to a stand that can be
//! explained.

use std::time::Duration;

use proximity_domain::app::StatusLabel;
use proximity_domain::operation::OperationState;
use proximity_store::views::AppFilter;
use tokio::time::sleep;

use super::ground::Origin;
use super::perform::Stage;

/// How long operations may take to end when nothing is wrong any more, in looks a second apart: every wait of theirs is
/// shorter.
const LOOKS: u32 = 900;
/// Three cycles of the slowest loop that acts on apps, in seconds.
const CYCLES_S: u64 = 31;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Rules that hold at every moment.
pub(super) async fn look(stage: &Stage) -> Result<(), String> {
    let cluster = &stage.machine.cluster;
    for broken in stage.machine.store.invariants().await.map_err(text)? {
        cluster.complain("record", broken);
    }
    let found: Vec<String> = {
        let mut inner = cluster.lock();
        let found = inner.world.violations().iter();
        let found = found.map(|it| format!("{:?}: {} ({:?})", it.check, it.what, it.call));
        let found = found.collect();
        inner.world.forget_violations();
        found
    };
    for what in found {
        cluster.complain("cluster", what);
    }
    Ok(())
}

/// Ends all trouble, waits until nothing moves, and looks at what is left.
pub(super) async fn come_to_rest(stage: &Stage) -> Result<(), String> {
    let cluster = &stage.machine.cluster;
    cluster.trace.say("rest");
    calm(stage);
    if !settle(stage).await? {
        return Ok(());
    }
    sleep(Duration::from_secs(CYCLES_S)).await;
    if !settle(stage).await? {
        return Ok(());
    }
    let before = (
        cluster.lock().changes,
        *stage.machine.store.commits().borrow(),
    );
    sleep(Duration::from_secs(CYCLES_S)).await;
    let after = (
        cluster.lock().changes,
        *stage.machine.store.commits().borrow(),
    );
    if before != after {
        let what = format!("changes and commits at rest: {before:?}, then {after:?}");
        cluster.complain("I9-rest", what);
    }
    look(stage).await?;
    account(stage).await
}

/// Everything that was broken is whole again.
fn calm(stage: &Stage) {
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

/// Who is there, and whether the record knows.
async fn account(stage: &Stage) -> Result<(), String> {
    let (store, cluster) = (&stage.machine.store, &stage.machine.cluster);
    let guests = store.host_guests(stage.host).await.map_err(text)?;
    let lives: Vec<_> = cluster.lock().ground.lives().collect();
    for (vmid, life) in lives.iter().filter(|(_, life)| life.origin == Origin::Ours) {
        let known = guests.iter().any(|guest| guest.place.vmid.get() == *vmid);
        // What somebody else has changed may no longer show whose it is; it is left alone, and said to be.
        if !known && !life.altered {
            let what = format!("container {vmid} was made by us, and is nowhere on record");
            cluster.complain("unaccounted", what);
        }
    }
    let filter = AppFilter {
        per_page: AppFilter::MAX_PER_PAGE,
        ..AppFilter::default()
    };
    let (apps, _) = store.apps(filter).await.map_err(text)?;
    for app in apps {
        let label = app.status.label();
        let stands = matches!(
            label,
            StatusLabel::Running | StatusLabel::Stopped | StatusLabel::Error
        );
        if !stands && app.operation.is_none() {
            let what = format!(
                "{} is {} and nobody works on it",
                app.hostname,
                label.label()
            );
            cluster.complain("I9-limbo", what);
        }
        let guest = guests.iter().find(|guest| guest.app == app.id);
        let life = guest.and_then(|guest| cluster.lock().ground.life(guest.place.vmid.get()));
        if label == StatusLabel::Running && app.operation.is_none() {
            let runs = guest.is_some_and(|guest| {
                let inner = cluster.lock();
                let mut there = inner.world.guests();
                there.any(|(vmid, it)| vmid == guest.place.vmid.get() && it.is_running())
            });
            let untouched = life.is_some_and(|life| life.origin == Origin::Ours && !life.handled);
            if untouched && !runs {
                let what = format!("{} is said to run, and does not", app.hostname);
                cluster.complain("told-what-is-not", what);
            }
        }
    }
    Ok(())
}

/// The whole state at the end, as part of the trace.
pub(super) async fn tell(stage: &Stage) -> Result<(), String> {
    let (store, cluster) = (&stage.machine.store, &stage.machine.cluster);
    let mut after = 0;
    loop {
        let events = store.events(after, 1_000).await.map_err(text)?;
        let Some(last) = events.last() else { break };
        after = last.0;
        for (seq, at, event, app, operation) in &events {
            let line = format!("event {seq} {} {event:?} {app:?} {operation:?}", at.0);
            cluster.trace.say(&line);
        }
    }
    for row in store.audit(1_000, 0).await.map_err(text)? {
        cluster.trace.say(&format!("audit {row:?}"));
    }
    for guest in store.host_guests(stage.host).await.map_err(text)? {
        cluster.trace.say(&format!("guest {guest:?}"));
    }
    for op in store.live_operations().await.map_err(text)? {
        cluster.trace.say(&format!("operation {op:?}"));
    }
    let world = {
        let inner = cluster.lock();
        let guests = inner.world.guests();
        let told = guests.map(|(vmid, guest)| format!("{vmid} on {} {guest:?}", guest.node));
        told.collect::<Vec<_>>()
    };
    for line in world {
        cluster.trace.say(&line);
    }
    Ok(())
}
