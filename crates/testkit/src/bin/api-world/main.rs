//! The API over a world that has everything in it: for figure R25. With a number as its argument, over a world with
//! so many apps and nobody at work: for figure P10.
//!
//! Prints one line of JSON when it is ready (address, token, names of what is there) and ends when stdin does.

use std::error::Error;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use proximity_domain::app::Status;
use proximity_domain::create::Resources;
use proximity_domain::ids::{AppId, HolderId, HostId, OperationId, TokenId};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::time::Clock;
use proximity_engine::commands::{Action, CreateApp};
use proximity_engine::engine::EngineLimits;
use proximity_engine::notify::Rules;
use proximity_engine::seams::IdSource;
use proximity_pve_emulator::core::guest::{GuestCommand, GuestDone};
use proximity_pve_emulator::core::{Access, TaskTimes, WorldSeed};
use proximity_pve_emulator::shell::{
    GuestDriver, NodeListen, RunningShell, Shell, ShellOptions, TokenWish,
};
use proximity_server::{
    EventLimits, Limits, Metrics, ServerParts, openapi_document, router, serve, token_hash,
};
use proximity_store::effects::Effects;
use proximity_store::records::{NewApp, NewOperation, OperationRecord, TokenRecord};
use proximity_testkit::guests::Guests;
use proximity_testkit::pve::{NodeRoom, Pve, seed};
use proximity_testkit::sources::{CountedIds, RealClock};
use proximity_testkit::world::{Room, TestWorld, WorldParts};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

mod wired;

use wired::Wired;

type Outcome<T> = Result<T, Box<dyn Error>>;

const TOKEN: &str = "api-world";
const PVE_TOKEN: &str = "root@pam!proximity";
/// As many as there are in a new installation.
const PAIRS: u16 = 900;
/// How long an ended deploy is claimed at most, milliseconds.
const LEASE_MS: i64 = 60_000;
/// How many of each kind there are: requests use them up.
const OF_EACH: usize = 3;

fn main() -> ExitCode {
    // Somebody installed one before us? Then that one is as good.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Runtime::new();
    let ended = runtime
        .map_err(Into::into)
        .and_then(|it| it.block_on(run()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is gone.
            drop(writeln!(std::io::stderr(), "api-world: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let crowd: Option<u16> = std::env::args().nth(1).map(|n| n.parse()).transpose()?;
    let room = Room {
        pairs: crowd.unwrap_or(PAIRS),
        ..room()
    };
    let mut world = TestWorld::start_of(WorldParts {
        clusters: vec![Pve::start_in(Access::Full, room.node)],
        limits: limits(),
        pairs: room.pairs,
        helper: Some(wired::helper()?),
        ..WorldParts::default()
    })
    .await?;
    add_token(&world).await?;
    let mut seeded = match crowd {
        Some(apps) => crowded(&mut world, apps).await?,
        None => inhabit(&world).await?,
    };
    let folder = tempfile::tempdir()?;
    let elsewhere = cluster(folder.path()).await?;
    seeded["add_host"] = add_host(&elsewhere)?;
    let third = cluster(&folder.path().join("third")).await?;
    seeded["init_host"] = init_host(&third)?;
    // Asked until the world ends.
    let _wired = match crowd {
        Some(_) => None,
        None => {
            let wired = Wired::start(folder.path(), &world, "wired").await?;
            let helped = Wired::start(folder.path(), &world, "helped").await?;
            let helped = helped.with_helper(&world).await?;
            (seeded["wired"], seeded["helped"]) = (wired.names(), helped.names());
            Some([wired, helped])
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    seeded["url"] = json!(format!("http://{}", listener.local_addr()?));
    seeded["token"] = json!(TOKEN);
    seeded["document"] = serde_json::from_str(openapi_document())?;
    let stop = CancellationToken::new();
    let parts = ServerParts {
        notices: world.engine.notices(Vec::new(), Rules::default()),
        engine: world.engine.clone(),
        clock: Arc::new(RealClock),
        ids: Arc::new(CountedIds::seeded(1 << 40)),
        metrics: Metrics::new("test"),
        events: EventLimits::default(),
        closing: stop.clone(),
        traces: None,
    };
    let served = serve(
        listener,
        router(parts),
        None,
        Limits::default(),
        stop.clone(),
    );
    writeln!(std::io::stdout(), "{seeded}")?;
    let until = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        ended = served => ended?,
        ended = until => {
            stop.cancel();
            ended??;
        }
    }
    Ok(())
}

fn limits() -> EngineLimits {
    EngineLimits {
        operations: 16,
        shutdown_s: 1,
        // What waits for an address waits for the whole run.
        network_ms: 3_600_000,
        ..EngineLimits::default()
    }
}

/// Room for all that the document lets requests ask for, many times over.
fn room() -> Room {
    Room {
        pairs: PAIRS,
        node: NodeRoom {
            cpus: 8192,
            memory_bytes: 1 << 50,
            disk_bytes: 1 << 50,
        },
    }
}

async fn add_token(world: &TestWorld) -> Outcome<()> {
    let token = TokenRecord {
        id: TokenId(CountedIds::seeded(1).uuid()),
        account: world.actor.account.clone(),
        scopes: vec!["*".to_owned()],
        secret_sha256: token_hash(TOKEN),
        created_at: RealClock.now(),
    };
    world
        .store
        .add_token(token, &world.actor, RealClock.now())
        .await?;
    Ok(())
}

/// Running and stopped apps; operations that failed, are stuck, and are at work for as long as they are let.
async fn inhabit(world: &TestWorld) -> Outcome<Value> {
    let mut apps = Vec::new();
    for number in 0..2 * OF_EACH {
        apps.push(deploy(world, &format!("app-{number}")).await?.0);
    }
    for name in apps.iter().skip(OF_EACH) {
        act(world, name, Action::Stop { force: false }).await?;
    }
    let (mut failed, mut stuck, mut running) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..OF_EACH {
        let (name, vmid) = deploy(world, &format!("stubborn-{number}")).await?;
        world.pve.guests.ignore_shutdown(vmid);
        let stop = act(world, &name, Action::Stop { force: false }).await?;
        failed.push(of_state(&stop, |state| {
            matches!(state, OperationState::Failed { .. })
        })?);

        let (name, vmid) = deploy(world, &format!("kept-{number}")).await?;
        world.pve.guests.refuse_destroy(vmid, true);
        let delete = Action::Delete {
            confirm: Some(name.clone()),
            force_stop: false,
            purge: false,
        };
        let removal = act(world, &name, delete).await?;
        stuck.push(of_state(&removal, |state| {
            matches!(state, OperationState::Stuck { .. })
        })?);

        let (name, vmid) = deploy(world, &format!("waiting-{number}")).await?;
        act(world, &name, Action::Stop { force: false }).await?;
        world.pve.guests.lose_address(vmid);
        let start = world.engine.act(&world.actor, &name, Action::Start).await?;
        running.push(start.id.to_string());
    }
    Ok(json!({ "apps": apps, "failed": failed, "stuck": stuck, "running": running }))
}

/// So many apps, recorded by many at once; their deploys ended, and nobody is at work.
async fn crowded(world: &mut TestWorld, apps: u16) -> Outcome<Value> {
    world.crash_worker().await;
    let host = world.store.hosts().await?.first().ok_or("no host")?.id;
    let ids = Arc::new(CountedIds::seeded(1 << 32));
    let made = (0..apps).map(|number| {
        let (store, actor, ids) = (world.store.clone(), world.actor.clone(), Arc::clone(&ids));
        async move {
            let (app, operation) = recorded(host, number, &ids)?;
            let id = operation.id;
            store
                .create_app(app, operation, &actor, None, RealClock.now())
                .await?;
            let seen = store.claimable().await?;
            let seen = seen.iter().find(|row| row.id == id).ok_or("not queued")?;
            let claimed = store
                .claim_as_seen(seen, HolderId(ids.uuid()), LEASE_MS, RealClock.now())
                .await?;
            let (_, fence) = claimed.ok_or("claimed by somebody else")?;
            let deployed = Effects {
                status: Some(Status::Running),
                ..Effects::default()
            };
            store.complete(&fence, deployed, RealClock.now()).await?;
            Outcome::Ok(())
        }
    });
    futures::stream::iter(made)
        .buffer_unordered(256)
        .try_collect::<()>()
        .await?;
    Ok(json!({ "apps": apps }))
}

fn recorded(host: HostId, number: u16, ids: &CountedIds) -> Outcome<(NewApp, NewOperation)> {
    let app = NewApp {
        id: AppId(ids.uuid()),
        owner: "admin".to_owned(),
        hostname: format!("app-{number}").parse()?,
        catalog_id: "beacon".parse()?,
        catalog_version: "1.0.0".to_owned(),
        entry: None,
        host,
        node: "pve1".parse()?,
        resources: Resources {
            memory_mib: 256,
            cores: 1,
            disk_gib: 2,
        },
        environment: json!({}),
        environment_sealed: "{}".to_owned().into(),
        guest_port: 8080,
        site: None,
        made_with: Default::default(),
        root_password: None,
    };
    let operation = NewOperation {
        id: OperationId(ids.uuid()),
        kind: OperationKind::Deploy,
        app: app.id,
        input: json!({}),
        retry_of: None,
        key: None,
    };
    Ok((app, operation))
}

async fn deploy(world: &TestWorld, hostname: &str) -> Outcome<(String, u32)> {
    let request = CreateApp {
        catalog_id: "beacon".to_owned(),
        hostname: hostname.to_owned(),
        ..CreateApp::default()
    };
    let app = world.engine.create_app(&world.actor, request).await?;
    let operation = app.operation.ok_or("an app without an operation")?;
    let settled = world.settled(operation).await?;
    of_state(&settled, |state| *state == OperationState::Succeeded)?;
    let guest = world
        .store
        .native_guests(app.id)
        .await?
        .pop()
        .ok_or("an app without a guest")?;
    Ok((hostname.to_owned(), guest.identity.vmid.get()))
}

async fn act(world: &TestWorld, app: &str, action: Action) -> Outcome<OperationRecord> {
    let operation = world.engine.act(&world.actor, app, action).await?;
    Ok(world.settled(operation.id).await?)
}

/// Its id, if it ended as it was meant to.
fn of_state(operation: &OperationRecord, is: impl Fn(&OperationState) -> bool) -> Outcome<String> {
    if is(&operation.state) {
        return Ok(operation.id.to_string());
    }
    Err(format!("the world is not as planned: {:?}", operation.state).into())
}

struct InMemory(Guests);

#[async_trait]
impl GuestDriver for InMemory {
    async fn run(&self, command: GuestCommand) -> GuestDone {
        self.0.carry_out(&command)
    }
}

/// Another cluster, behind HTTPS, that can be looked at and added.
async fn cluster(folder: &std::path::Path) -> Outcome<RunningShell> {
    let nowhere = NodeRoom::default();
    let seed = seed(PVE_TOKEN, "made at the first start", Access::Full, nowhere);
    cluster_of(folder, seed).await
}

/// A cluster that begins like this, reached through its first node.
async fn cluster_of(folder: &std::path::Path, seed: WorldSeed) -> Outcome<RunningShell> {
    let options = ShellOptions {
        state_dir: folder.to_owned(),
        listen: seed
            .nodes
            .iter()
            .map(|node| NodeListen {
                node: node.name.clone(),
                address: ([127, 0, 0, 1], 0).into(),
            })
            .collect(),
        certificate_names: Vec::new(),
        seed,
        tokens: vec![TokenWish {
            id: PVE_TOKEN.to_owned(),
            access: Access::Full,
        }],
        templates: None,
        task_times: Some(TaskTimes {
            create_ms: 1,
            start_ms: 1,
            stop_ms: 1,
            shutdown_ms: 1,
            destroy_ms: 1,
            ..TaskTimes::default()
        }),
    };
    Ok(Shell::start(options, Arc::new(InMemory(Guests::default()))).await?)
}

/// The body that sets that cluster up.
fn init_host(cluster: &RunningShell) -> Outcome<Value> {
    let (_, address) = cluster
        .addresses()
        .first()
        .ok_or("a cluster without a node")?;
    Ok(json!({
        "label": "third",
        "url": format!("https://{address}"),
        "fingerprint": cluster.fingerprint_sha256(),
        "login": { "user": "root@pam", "password": cluster.root_password() },
    }))
}

/// The body that adds that cluster.
fn add_host(cluster: &RunningShell) -> Outcome<Value> {
    let (_, address) = cluster
        .addresses()
        .first()
        .ok_or("a cluster without a node")?;
    let secret = cluster
        .token_secret(PVE_TOKEN)
        .ok_or("a cluster without a token")?;
    Ok(json!({
        "label": "elsewhere",
        "url": format!("https://{address}"),
        "fingerprint": cluster.fingerprint_sha256(),
        "token_id": PVE_TOKEN,
        "token_secret": secret,
    }))
}
