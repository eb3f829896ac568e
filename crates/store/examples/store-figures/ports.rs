//! P14: taking a port pair for a new app beside one bare commit, with empty ranges and with nearly full ones.

use std::path::Path;
use std::time::Instant;

use proximity_domain::app::Status;
use proximity_domain::ids::AppId;
use proximity_domain::operation::OperationKind;
use proximity_domain::ports::PortRange;
use proximity_store::effects::Effects;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::bare::Bare;
use crate::times::Times;
use crate::world::{Shape, World, with_status};
use crate::{Inside, Mode};

const PORTS: u16 = 20_000;
/// Pairs that are free when it is 99.9 % full.
const FREE: u16 = 20;

pub async fn measure(folder: &Path, mode: Mode) -> Value {
    let samples = if mode.quick { 400 } else { 2000 };
    let mut bare = Bare::new(&folder.join("bare"));
    let mut found = serde_json::Map::new();
    let mut worst: f64 = 0.0;
    for (name, full) in [("empty", false), ("full", true)] {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut world = World::shaped(&Inside(folder.clone()), shape()).await;
        if full {
            fill(&folder);
        }
        if mode.sabotage {
            forget_indexes(&folder);
        }
        let (mut taking, mut commits) = (Times::default(), Times::default());
        for n in 0..samples {
            let (app, operation) = world.new_app(&format!("app-{n}"));
            let begun = Instant::now();
            let made = world
                .store
                .create_app(app, operation, &world.actor, None, world.at())
                .await;
            taking.add(begun.elapsed());
            let made = made.unwrap();
            let begun = Instant::now();
            bare.commit(1);
            commits.add(begun.elapsed());
            deploy(&world, made.id).await;
            if full {
                remove(&mut world, made.id).await;
            }
        }
        let ratio = taking.percentile_us(9900) / commits.percentile_us(9900);
        worst = worst.max(ratio);
        let half = |times: &Times| times.percentile_us(5000);
        found.insert(
            name.to_owned(),
            json!({"p99_of_bare": ratio, "p50_us": half(&taking), "p99_us": taking.percentile_us(9900),
                "bare_p50_us": half(&commits), "bare_p99_us": commits.percentile_us(9900), "samples": taking.len()}),
        );
    }
    json!({"p99_of_bare": worst, "raw": found})
}

fn shape() -> Shape {
    let range = |first| PortRange {
        first,
        last: first + PORTS - 1,
    };
    Shape {
        public: range(10_000),
        internal: range(30_000),
    }
}

/// The app's deploy ends: only so many may wait.
async fn deploy(world: &World, app: AppId) {
    let (operation, fence) = world.claim().await;
    assert_eq!(operation.app, app);
    let running = with_status(Status::Running);
    world
        .store
        .complete(&fence, running, world.at())
        .await
        .unwrap();
}

/// The app is removed, so its pair is free again.
async fn remove(world: &mut World, app: AppId) {
    world.pass(1);
    world
        .enqueue(OperationKind::Remove, app, Some(Status::Removing))
        .await;
    let (_, fence) = world.claim().await;
    let effects = Effects {
        archive: true,
        ..Effects::default()
    };
    world
        .store
        .complete(&fence, effects, world.at())
        .await
        .unwrap();
}

/// All pairs but a few are held by apps, the few have been used before.
fn fill(folder: &Path) {
    let connection = Connection::open(folder.join("proximity.db")).unwrap();
    let held = PORTS - FREE;
    let last = held - 1;
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE;
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             INSERT INTO apps (id, class, owner, hostname, catalog_id, catalog_version, host_id, node, status,
                 status_full, status_changed_at, resources, environment, environment_sealed, guest_port, created_at)
                 SELECT printf('22222222-0000-0000-0000-%012d', i), 'native', 'admin', 'held-' || i, 'nginx', '1',
                     h.id, 'pve1', 'running', '\"running\"', 0, '{{}}', '{{}}', 'x', 80, 0 FROM n, hosts h;
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             INSERT INTO ports (port, side, app_id) SELECT i + 10000, 'public', printf('22222222-0000-0000-0000-%012d', i) FROM n
                 UNION ALL SELECT i + 30000, 'internal', printf('22222222-0000-0000-0000-%012d', i) FROM n;
             WITH RECURSIVE n(i) AS (SELECT {held} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {PORTS})
             INSERT INTO ports (port, side, freed_at) SELECT i + 10000, 'public', i FROM n
                 UNION ALL SELECT i + 30000, 'internal', i FROM n;
             DELETE FROM unused_ports;
             COMMIT;"
        ))
        .unwrap();
}

/// The control: without them free ports have to be searched for.
fn forget_indexes(folder: &Path) {
    let connection = Connection::open(folder.join("proximity.db")).unwrap();
    connection
        .execute_batch(
            "DROP INDEX ports_free; DROP INDEX ports_resting; DROP INDEX ports_resting_until",
        )
        .unwrap();
}
