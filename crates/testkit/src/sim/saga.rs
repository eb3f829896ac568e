//! One operation of one app on the ground of the simulation: a world in which it can be asked for, and asking for it.

use std::time::Duration;

use proximity_domain::failure::Failure;
use proximity_domain::operation::OperationState;
use proximity_domain::restore::Wanted;
use proximity_engine::commands::{Action, AdoptContainer, CreateApp, RestoreKeys};
use proximity_engine::engine::Engine;
use proximity_engine::error::EngineError;
use proximity_pve::transport::Method;
use proximity_store::records::OperationRecord;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::act::{APPS, NODES};
use super::found;
use super::perform::{Stage, hostname, person};
use super::rest::text;
use super::run;
use super::trace::Telling;
use super::watch::Violation;

/// No operation may take longer when nothing is wrong.
const DEADLINE: Duration = Duration::from_secs(1_800);
/// No request of a person's may.
const REQUEST: Duration = Duration::from_secs(120);
/// Looks at an operation are so far apart.
const LOOK: Duration = Duration::from_millis(500);
/// Until what was there from the beginning runs.
const UP: Duration = Duration::from_secs(10);
/// The app that is deployed.
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
    Adopt,
    StartAdopted,
    StopAdopted,
    RestartAdopted,
    RestoreKeys,
    Forget,
}

impl Saga {
    /// Those of apps that we deployed.
    pub const NATIVE: [Self; 5] = [
        Self::Deploy,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Remove,
    ];

    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Deploy,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Remove,
        Self::Adopt,
        Self::StartAdopted,
        Self::StopAdopted,
        Self::RestartAdopted,
        Self::RestoreKeys,
        Self::Forget,
    ];

    /// It is about a container that was there before.
    #[must_use]
    pub fn is_of_adopted(self) -> bool {
        !Self::NATIVE.contains(&self)
    }

    /// The app it is about.
    pub(super) fn app(self) -> u8 {
        if self.is_of_adopted() { APPS } else { APP }
    }

    /// What has to be done before it can be asked for.
    fn after(self) -> &'static [Self] {
        match self {
            Self::Deploy | Self::Adopt => &[],
            Self::Stop | Self::Restart | Self::Remove => &[Self::Deploy],
            Self::Start => &[Self::Deploy, Self::Stop],
            Self::StopAdopted | Self::RestartAdopted | Self::RestoreKeys | Self::Forget => {
                &[Self::Adopt]
            }
            Self::StartAdopted => &[Self::Adopt, Self::StopAdopted],
        }
    }
}

/// A world in which that can be asked for.
pub(super) async fn prepared(saga: Saga, seed: u64) -> Result<Stage, String> {
    let mut stage = run::set(&run::Play::of(seed, Vec::new()), Telling::Nothing).await?;
    tokio::spawn(stage.machine.cluster.clone().live());
    // The containers that were there are up by then.
    sleep(UP).await;
    for before in saga.after() {
        done(&mut stage, *before).await?;
    }
    if saga == Saga::RestoreKeys {
        changed(&stage);
        sleep(UP).await;
    }
    Ok(stage)
}

/// Somebody changes the container of the adopted app.
fn changed(stage: &Stage) {
    let vmid = found::number(APPS).unwrap_or_default();
    let path = format!("/nodes/{}/lxc/{vmid}/config", NODES[0]);
    let more = [("onboot", "1"), ("tags", "somebody")];
    let cluster = &stage.machine.cluster;
    cluster.somebody_calls(Method::Put, &path, &more);
}

/// Asks for it, and waits until it is done.
pub(super) async fn done(stage: &mut Stage, saga: Saga) -> Result<(), String> {
    ask(stage, saga).await?.map_err(|e| e.message)?;
    match settled(stage, DEADLINE).await? {
        OperationState::Succeeded => Ok(()),
        other => Err(format!("{saga:?} with nothing wrong: {other:?}")),
    }
}

/// The state of the newest operation when it is over, needs a person, or took too long.
pub(super) async fn settled(stage: &Stage, limit: Duration) -> Result<OperationState, String> {
    let began = Instant::now();
    loop {
        let newest = newest(stage).await?.ok_or("there is no operation")?;
        match newest.state {
            OperationState::Queued | OperationState::Running | OperationState::Unwinding { .. }
                if began.elapsed() < limit =>
            {
                sleep(LOOK).await;
            }
            other => return Ok(other),
        }
    }
}

/// Asks for it: refused, or under way.
pub(super) async fn ask(stage: &mut Stage, saga: Saga) -> Result<Result<(), Failure>, String> {
    let engine = stage.process.engine.clone();
    match timeout(REQUEST, asked(&engine, saga)).await {
        Ok(answer) => Ok(answer.map_err(|e| e.failure())),
        Err(_) => Err(format!("{saga:?} was not answered within {REQUEST:?}")),
    }
}

async fn asked(engine: &Engine, saga: Saga) -> Result<(), EngineError> {
    let name = hostname(saga.app());
    let action = match saga {
        Saga::Deploy => return deploy(engine, name).await,
        Saga::Adopt => return adopt(engine).await,
        Saga::RestoreKeys => return restore_keys(engine, &name).await,
        Saga::Start | Saga::StartAdopted => Action::Start,
        Saga::Stop | Saga::StopAdopted => Action::Stop { force: false },
        Saga::Restart | Saga::RestartAdopted => Action::Restart { force: false },
        Saga::Remove | Saga::Forget => Action::Delete {
            confirm: Some(name.clone()),
            force_stop: false,
            purge: false,
        },
    };
    engine.act(&person(), &name, action).await?;
    Ok(())
}

async fn deploy(engine: &Engine, hostname: String) -> Result<(), EngineError> {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname,
        ..CreateApp::default()
    };
    engine.create_app(&person(), request).await?;
    Ok(())
}

async fn adopt(engine: &Engine) -> Result<(), EngineError> {
    let request = AdoptContainer {
        host: None,
        node: None,
        vmid: found::number(APPS).unwrap_or_default(),
        suggested_type: None,
        port: None,
        probe: false,
        key: None,
    };
    engine.adopt(&person(), request).await?;
    Ok(())
}

/// As a person does: looks, and asks for what was shown.
async fn restore_keys(engine: &Engine, name: &str) -> Result<(), EngineError> {
    let shown = engine.preview_restore(name, &Wanted::All).await?;
    let keys = shown.plan.keys.iter().map(|key| key.drift.key.clone());
    let request = RestoreKeys {
        keys: keys.collect(),
        digest: shown.digest.clone(),
        key: None,
    };
    engine.restore_keys(&person(), name, request).await?;
    Ok(())
}

/// Asks for it again, nothing being wrong any more.
pub(super) async fn ask_again(stage: &Stage, saga: Saga) -> Result<(), EngineError> {
    let engine = &stage.process.engine;
    let name = hostname(saga.app());
    engine.act(&person(), &name, Action::Retry).await?;
    Ok(())
}

/// Rules that were broken. The rules know of no restore of keys, so that a change of the configuration of an adopted container is
/// one of a container of somebody else to them: here it was asked for.
pub(super) fn broken(stage: &Stage, saga: Saga) -> Vec<String> {
    let inner = stage.machine.cluster.lock();
    let is_asked_for = |it: &Violation| {
        let changed = it.what.starts_with("Immortal: its configuration changed");
        let named = it.rule == "I2-adopted" && it.what.contains(": restore_keys of");
        saga == Saga::RestoreKeys && (changed || named)
    };
    let broken = inner.violations.iter();
    let broken = broken.filter(|it| !is_asked_for(it));
    broken
        .map(|it| format!("{}: {}", it.rule, it.what))
        .collect()
}

async fn newest(stage: &Stage) -> Result<Option<OperationRecord>, String> {
    let filter = proximity_store::views::OperationFilter {
        limit: 1,
        ..proximity_store::views::OperationFilter::default()
    };
    let found = stage.machine.store.operations(filter).await;
    Ok(found.map_err(text)?.into_iter().next())
}
