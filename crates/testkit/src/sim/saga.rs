//! One operation of one app on the ground of the simulation: a world in which it can be asked for, and asking for it.

use std::time::Duration;

use proximity_domain::failure::Failure;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::{Action, CreateApp};
use proximity_store::records::OperationRecord;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::perform::{Stage, hostname, person};
use super::rest::text;
use super::run;

/// No operation may take longer when nothing is wrong.
const DEADLINE: Duration = Duration::from_secs(1_800);
/// No request of a person's may.
const REQUEST: Duration = Duration::from_secs(120);
/// Looks at an operation are so far apart.
const LOOK: Duration = Duration::from_millis(500);
/// The app it is about.
const APP: u8 = 0;

/// An operation that a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the operations of the product
pub enum Saga {
    Deploy,
    Start,
    Stop,
    Restart,
    Remove,
}

impl Saga {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Deploy,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Remove,
    ];

    fn action(self) -> Option<Action> {
        match self {
            Self::Deploy => None,
            Self::Start => Some(Action::Start),
            Self::Stop => Some(Action::Stop { force: false }),
            Self::Restart => Some(Action::Restart { force: false }),
            Self::Remove => Some(Action::Delete {
                confirm: Some(hostname(APP)),
                force_stop: false,
            }),
        }
    }
}

/// A world in which that can be asked for.
pub(super) async fn prepared(saga: Saga, seed: u64) -> Result<Stage, String> {
    let mut stage = run::set(&run::Play::of(seed, Vec::new()), false).await?;
    tokio::spawn(stage.machine.cluster.clone().live());
    if saga != Saga::Deploy {
        done(&mut stage, Saga::Deploy).await?;
    }
    if saga == Saga::Start {
        done(&mut stage, Saga::Stop).await?;
    }
    Ok(stage)
}

async fn done(stage: &mut Stage, saga: Saga) -> Result<(), String> {
    ask(stage, saga).await?.map_err(|e| e.message)?;
    let began = Instant::now();
    loop {
        let newest = newest(stage).await?;
        match newest.map(|operation| operation.state) {
            Some(OperationState::Succeeded) => return Ok(()),
            Some(
                OperationState::Queued | OperationState::Running | OperationState::Unwinding { .. },
            ) if began.elapsed() < DEADLINE => sleep(LOOK).await,
            other => return Err(format!("{saga:?} with nothing wrong: {other:?}")),
        }
    }
}

/// Asks for it: refused, or under way.
pub(super) async fn ask(stage: &mut Stage, saga: Saga) -> Result<Result<(), Failure>, String> {
    let engine = stage.process.engine.clone();
    let asked = async move {
        match saga.action() {
            Some(action) => {
                let done = engine.act(&person(), &hostname(APP), action).await;
                done.map(|_| ())
            }
            None => {
                let request = CreateApp {
                    catalog_id: "beacon".to_owned(),
                    hostname: hostname(APP),
                    ..CreateApp::default()
                };
                let done = engine.create_app(&person(), request).await;
                done.map(|_| ())
            }
        }
    };
    match timeout(REQUEST, asked).await {
        Ok(answer) => Ok(answer.map_err(|e| e.failure())),
        Err(_) => Err(format!("{saga:?} was not answered within {REQUEST:?}")),
    }
}

async fn newest(stage: &Stage) -> Result<Option<OperationRecord>, String> {
    let filter = proximity_store::views::OperationFilter {
        limit: 1,
        ..proximity_store::views::OperationFilter::default()
    };
    let found = stage.machine.store.operations(filter).await;
    Ok(found.map_err(text)?.into_iter().next())
}
