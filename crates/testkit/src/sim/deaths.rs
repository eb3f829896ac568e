//! How processes die in a simulation, and what is left.

use std::collections::BTreeMap;
use std::time::Duration;

use proximity_domain::operation::OperationState;
use proximity_engine::saga::{Guard, Mortal};
use proximity_pve_emulator::core::TaskState;
use tokio::time::Instant;

use super::cluster::TOKEN;
use super::end::end;
use super::fault::{Fault, Harm};
use super::perform::Stage;
use super::process::Process;
use super::recovery::{Life, Survived};
use super::saga::{self, Saga};
use super::{rest, run};
use crate::snags::{Snag, SnagWish, Way};

/// How long an operation may take after a death: a minute until somebody may take it over, and every wait of its own.
const RECOVERED: Duration = Duration::from_secs(1_800);

/// See [`super::survive`].
pub(super) fn survive(
    life: Life,
    seed: u64,
    deaths: &[usize],
    off: Option<Guard>,
) -> Result<Survived, String> {
    run::on_virtual_time(off.map(Guard::label), async {
        let mut stage = saga::prepared(saga_of(life), seed).await?;
        hinder(&stage, life)?;
        let mut survived = Survived::default();
        let mut mortal = Mortal::begin(deaths.first().copied());
        saga::ask(&mut stage, saga_of(life))
            .await?
            .map_err(|e| e.message)?;
        let mut began = Instant::now();
        let mut next = 0;
        let state = loop {
            let settled = tokio::select! {
                biased;
                () = mortal.died() => None,
                state = saga::settled(&stage, RECOVERED) => Some(state?),
            };
            if let Some(state) = settled {
                break state;
            }
            survived.places.extend(mortal.passed().pop());
            next += 1;
            mortal = Mortal::begin(deaths.get(next).copied());
            // Every other process knows that the one before is dead; the others wait until its claim has run out.
            stage = after_death(stage, next % 2 == 1).await;
            began = Instant::now();
        };
        survived.deaths = next;
        survived.came_by = mortal.passed().len();
        survived.recovered_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        rest::calm(&stage);
        stage.machine.cluster.guests.snags.set(None);
        rest::come_to_rest(&mut stage).await?;
        survived.end = ended(&stage, &state).await?;
        survived.done = done(&stage);
        survived.faults = saga::broken(&stage, saga_of(life));
        stage.process.kill().await;
        Ok(survived)
    })
}

fn saga_of(life: Life) -> Saga {
    match life {
        Life::Well(saga) => saga,
        Life::NoStart | Life::NoPage => Saga::Deploy,
    }
}

/// The calls of its that are hit.
fn fault_of(life: Life) -> Option<Fault> {
    match life {
        Life::Well(_) | Life::NoPage => None,
        Life::NoStart => Some(Fault::of(
            "POST",
            "/nodes/{node}/lxc/{vmid}/status/start",
            Harm::TaskFails {
                after_effect: false,
            },
            1_000,
        )),
    }
}

async fn after_death(stage: Stage, exclusive: bool) -> Stage {
    let number = stage.process.number() + 1;
    stage.process.kill().await;
    Stage {
        process: Process::begin(&stage.machine, number, exclusive),
        ..stage
    }
}

fn hinder(stage: &Stage, life: Life) -> Result<(), String> {
    let cluster = &stage.machine.cluster;
    if let Some(fault) = fault_of(life) {
        cluster.meddle(|world, _, _| world.add_fault(fault.wish()))?;
    }
    if life == Life::NoPage {
        cluster.guests.snags.set(Some(SnagWish {
            way: Way::Page,
            nth: 1,
            lasts: true,
            snag: Snag::Halves,
        }));
    }
    Ok(())
}

async fn ended(stage: &Stage, state: &OperationState) -> Result<Vec<String>, String> {
    let mut lines = vec![format!("the operation is {}", state.label())];
    lines.extend(end(stage).await?);
    Ok(lines)
}

/// Tasks of ours that made or destroyed a container and ended well, by kind.
fn done(stage: &Stage) -> BTreeMap<String, usize> {
    let inner = stage.machine.cluster.lock();
    let is_ok =
        |state: &TaskState| matches!(state, TaskState::Stopped { exit, .. } if exit == "OK");
    let mut done = BTreeMap::new();
    for task in inner.world.tasks().filter(|task| is_ok(&task.state)) {
        let text = task.upid.to_string();
        for kind in ["vzcreate", "vzdestroy"] {
            if text.contains(kind) && text.contains(TOKEN) {
                *done.entry(kind.to_owned()).or_default() += 1;
            }
        }
    }
    done
}
