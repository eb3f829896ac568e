//! The copy of what is on record of guests, on PostgreSQL: what it reads anew, and that it misses nothing whichever transaction is
//! committed first.

use std::sync::Arc;

use proximity_domain::ids::AppId;
use proximity_store::KeptRecord;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::Postgres;
use crate::postgres::Cluster;
use crate::suite::kept::{assert_true, switched};
use crate::suite::world::World;

/// The first database of a cluster.
const DATABASE: &str = "test_0";
/// Drawn schedules, and steps of each.
const SCHEDULES: u64 = 24;
const STEPS: u32 = 40;
/// Transactions at the same time.
const AT_ONCE: usize = 3;

async fn connect(cluster: &Cluster) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(cluster.socket())
        .port(5432)
        .username("proximity")
        .database(DATABASE);
    options.connect().await.unwrap()
}

async fn run(connection: &mut PgConnection, sql: impl Into<String>) {
    let sql: String = sql.into();
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

/// What others wrote is read with the next commit of this process: one that touches no app.
async fn look(world: &World, kept: &mut KeptRecord) {
    let noted = world
        .store
        .note_host_act("lab", "host.test", "nothing", &world.actor, world.at());
    noted.await.unwrap();
    assert_true(world, kept).await;
}

fn names(world: &World, kept: &KeptRecord) -> Vec<String> {
    let guests = kept.guests(world.host);
    guests.iter().map(|one| one.hostname.to_string()).collect()
}

fn rename(app: AppId, name: &str) -> String {
    format!("UPDATE apps SET hostname = '{name}' WHERE id = '{app}'")
}

/// Of another app something is changed where no trigger tells of it: whoever reads that app shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_a_look_reads_what_was_written_and_nothing_else() {
    let cluster = Arc::new(Cluster::start());
    let mut world = World::new(&Postgres(Arc::clone(&cluster))).await;
    let (web, _) = world.deployed("web", 101).await;
    let (shop, _) = world.deployed("shop", 102).await;
    let mut kept = world.store.keep_record();
    assert_true(&world, &mut kept).await;
    let behind = format!(
        "ALTER TABLE apps DISABLE TRIGGER USER; {}; ALTER TABLE apps ENABLE TRIGGER USER",
        rename(shop.id, "unseen")
    );
    cluster.execute(DATABASE, &behind).await.unwrap();
    let off = switched(&[web.id], false);
    let followed = world.store.follow_powers(&off, world.at()).await.unwrap();
    assert_eq!(followed, [web.id]);
    kept.refresh().await.unwrap();
    assert_eq!(names(&world, &kept), ["web", "shop"], "it was not read");
    let power = |kept: &KeptRecord, at: usize| kept.guests(world.host)[at].status.label();
    assert_eq!((power(&kept, 0), power(&kept, 1)), ("stopped", "running"));
    let mut new = world.store.keep_record();
    new.refresh().await.unwrap();
    assert_eq!(names(&world, &new), ["web", "unseen"]);
    cluster
        .execute(DATABASE, &rename(shop.id, "seen"))
        .await
        .unwrap();
    look(&world, &mut kept).await;
    assert_eq!(names(&world, &kept), ["web", "seen"]);
}

/// The transaction with the lower number is committed last, and the look in between has seen the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_what_is_committed_out_of_order_is_not_missed() {
    let cluster = Arc::new(Cluster::start());
    let mut world = World::new(&Postgres(Arc::clone(&cluster))).await;
    let (web, _) = world.deployed("web", 101).await;
    let (shop, _) = world.deployed("shop", 102).await;
    let mut kept = world.store.keep_record();
    let (mut first, mut second) = (connect(&cluster).await, connect(&cluster).await);
    run(&mut first, "BEGIN").await;
    run(&mut first, rename(web.id, "first")).await;
    run(&mut second, "BEGIN").await;
    run(&mut second, rename(shop.id, "second")).await;
    look(&world, &mut kept).await;
    assert_eq!(names(&world, &kept), ["web", "shop"]);
    run(&mut second, "COMMIT").await;
    look(&world, &mut kept).await;
    assert_eq!(names(&world, &kept), ["web", "second"]);
    run(&mut first, "COMMIT").await;
    look(&world, &mut kept).await;
    assert_eq!(names(&world, &kept), ["first", "second"]);
    // The same app, written by both: the lower number is committed last again, and is the one that is kept.
    run(&mut first, "BEGIN").await;
    let moved = "UPDATE guests SET node = 'pve7' WHERE vmid = 101";
    run(&mut first, moved).await;
    run(&mut second, rename(web.id, "twice")).await;
    look(&world, &mut kept).await;
    assert_eq!(names(&world, &kept), ["twice", "second"]);
    run(&mut first, "COMMIT").await;
    look(&world, &mut kept).await;
    let node = kept.guests(world.host)[0].watched.place.node.to_string();
    assert_eq!(node, "pve7");
    first.close().await.unwrap();
    second.close().await.unwrap();
}

/// Draws numbers, the same each time.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One of the transactions: whether it is open, and which app it writes.
struct Writer {
    connection: PgConnection,
    writes: Option<usize>,
}

/// Whatever begins, writes, is committed or taken back in whatever order, each look shows what is committed by then. No two write the
/// same app at the same time: one would wait for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_postgres_in_any_order_each_look_shows_what_is_committed() {
    let cluster = Arc::new(Cluster::start());
    let mut world = World::new(&Postgres(Arc::clone(&cluster))).await;
    let mut apps = Vec::new();
    for (n, vmid) in (0..2 * AT_ONCE).zip(101..) {
        apps.push(world.deployed(&format!("app{n}"), vmid).await.0.id);
    }
    let mut writers = Vec::new();
    for _ in 0..AT_ONCE {
        writers.push(Writer {
            connection: connect(&cluster).await,
            writes: None,
        });
    }
    let mut kept = world.store.keep_record();
    let mut named = 0;
    for schedule in 0..SCHEDULES {
        let mut dice = Dice(schedule);
        for _ in 0..STEPS {
            let at = usize::try_from(dice.roll(AT_ONCE as u64)).unwrap();
            let free = |n: usize| writers.iter().all(|one| one.writes != Some(n));
            let chosen = usize::try_from(dice.roll(apps.len() as u64)).unwrap();
            let own = writers[at].writes;
            match (own, dice.roll(5)) {
                (_, 0) => look(&world, &mut kept).await,
                (None, _) if free(chosen) => {
                    named += 1;
                    let sql = rename(apps[chosen], &format!("name{named}"));
                    writers[at].writes = Some(chosen);
                    run(&mut writers[at].connection, format!("BEGIN; {sql}")).await;
                }
                (None, _) => {}
                (Some(written), 1) => {
                    let app = apps[written];
                    let sql =
                        format!("UPDATE guests SET node = 'pve{named}' WHERE app_id = '{app}'");
                    run(&mut writers[at].connection, sql).await;
                }
                (Some(_), end) => {
                    let sql = if end == 2 { "ROLLBACK" } else { "COMMIT" };
                    writers[at].writes = None;
                    run(&mut writers[at].connection, sql).await;
                }
            }
        }
        look(&world, &mut kept).await;
    }
    assert!(named > 100, "{named}");
    for writer in writers {
        writer.connection.close().await.unwrap();
    }
}
