//! What the emulated cluster was sent, beside what the audit says was sent.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use proximity_domain::audit::Head;
use proximity_domain::operation::OperationState;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Access;
use proximity_store::views::AuditKind;
use proximity_testkit::world::{Room, TestWorld};

/// Every so many apps the start of one is refused, so that its deploy goes another way.
const REFUSED: u16 = 4;
/// Calls that change something begin so; what was run inside a container is no request.
const CHANGING: [&str; 3] = ["POST /", "PUT /", "DELETE /"];

/// What was compared.
pub(super) struct Sent {
    /// Calls that changed something.
    pub(super) calls: usize,
    /// One sentence for each call that is not there as often as it was sent, and for a chain that is broken.
    pub(super) wrong: Vec<String>,
}

/// Apps that are deployed, stopped, started, restarted and removed, one after the other.
pub(super) async fn against_what_was_sent(apps: u16) -> Result<Sent> {
    let room = Room {
        pairs: apps.max(4),
        ..Room::default()
    };
    let world = TestWorld::start_in(Access::Full, EngineLimits::default(), room);
    let mut world = world.await.map_err(|why| anyhow!(why))?;
    for n in 0..apps {
        if n % REFUSED == REFUSED - 1 {
            world
                .pve
                .refuse(Method::Post, "/status/start", "not now", 1);
        }
        live(&world, &format!("app-{n}")).await?;
    }
    world.stop_worker().await.map_err(|why| anyhow!(why))?;
    let mut counts: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let changes = world.pve.changes();
    for call in &changes {
        counts.entry(call.clone()).or_default().0 += 1;
    }
    let (mut after, mut last) = (0, Vec::new());
    loop {
        let page = world.store.audit(1_000, after).await?;
        let Some(newest) = page.last() else { break };
        after = newest.seq;
        last.extend(page);
    }
    for row in last.iter().filter(|row| row.kind == AuditKind::Mutation) {
        if CHANGING.iter().any(|start| row.action.starts_with(start)) {
            counts.entry(row.action.clone()).or_default().1 += 1;
        }
    }
    let unlike = counts.iter().filter(|(_, (sent, audited))| sent != audited);
    let mut wrong: Vec<String> = unlike
        .map(|(call, (sent, audited))| format!("{call}: sent {sent}, audited {audited}"))
        .collect();
    let verified = world.store.verify_audit(Head::NONE, Vec::new()).await?;
    wrong.extend(verified.err().map(|broken| broken.to_string()));
    Ok(Sent {
        calls: changes.len(),
        wrong,
    })
}

async fn live(world: &TestWorld, hostname: &str) -> Result<()> {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    };
    let app = world.engine.create_app(&world.actor, request).await?;
    let deploy = app.operation.context("no operation")?;
    let deployed = world.settled(deploy).await.map_err(|why| anyhow!(why))?;
    if deployed.state == OperationState::Succeeded {
        for action in [
            Action::Stop { force: false },
            Action::Start,
            Action::Restart { force: false },
        ] {
            act(world, hostname, action).await?;
        }
    }
    let delete = Action::Delete {
        confirm: Some(hostname.to_owned()),
        force_stop: false,
        purge: false,
    };
    act(world, hostname, delete).await
}

async fn act(world: &TestWorld, hostname: &str, action: Action) -> Result<()> {
    let operation = world.engine.act(&world.actor, hostname, action).await?;
    let settled = world.settled(operation.id).await;
    settled.map_err(|why| anyhow!(why))?;
    Ok(())
}
