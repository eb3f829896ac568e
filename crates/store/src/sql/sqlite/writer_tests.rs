//! Group commit: who is in it, who hears of it, and what is left when a writer fails, panics or is dropped.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::sql::sqlite::{Desk, Touched, Writer, connect_writer};
use crate::sql::{DatabaseError, Tx, query};

struct Bench {
    writer: Writer,
    path: PathBuf,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bench.db");
        std::fs::File::create(&path).unwrap();
        let connection = connect_writer(&path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE parts (writer BIGINT NOT NULL, half BIGINT NOT NULL);
                 CREATE TABLE parents (id BIGINT PRIMARY KEY);
                 CREATE TABLE children (parent BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);",
            )
            .unwrap();
        let (commits, touched) = (watch::Sender::new(0), Touched::default());
        let desk = Desk::new(path.clone(), connection, commits, touched);
        let writer = Writer::new(desk.unwrap());
        Self {
            writer,
            path,
            _dir: dir,
        }
    }

    /// Halves that are there, by another connection: only what is committed.
    fn halves(&self, writer: i64) -> i64 {
        let sql = "SELECT COUNT(*) FROM parts WHERE writer = ?1";
        let other = Connection::open(&self.path).unwrap();
        other.query_row(sql, [writer], |row| row.get(0)).unwrap()
    }

    /// Nobody holds the write lock, and the writer works.
    async fn assert_clean(&self) {
        assert_free(&self.path);
        self.writer
            .write(async |tx| both(tx, -1).await)
            .await
            .unwrap();
        assert_eq!(self.halves(-1), 2);
    }
}

fn assert_free(path: &Path) {
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
}

async fn half(tx: &mut Tx, writer: i64, half: i64) -> Result<(), StoreError> {
    let insert = query("INSERT INTO parts (writer, half) VALUES ($1, $2)");
    insert.bind(writer).bind(half).execute(tx).await?;
    Ok(())
}

async fn both(tx: &mut Tx, writer: i64) -> Result<(), StoreError> {
    half(tx, writer, 1).await?;
    half(tx, writer, 2).await
}

fn refusal() -> StoreError {
    let what = "refused".to_owned();
    StoreError::IllegalTransition { what }
}

/// Polls so many times at most, then drops it.
async fn at_most<T>(polls: u32, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn what_was_told_is_committed() {
    let bench = Bench::new();
    bench
        .writer
        .write(async |tx| both(tx, 1).await)
        .await
        .unwrap();
    assert_eq!(bench.halves(1), 2);
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_refused_writer_takes_only_its_part_back() {
    let bench = Bench::new();
    let writer = &bench.writer;
    let good = |n| writer.write(async move |tx| both(tx, n).await);
    let bad = writer.write(async |tx| {
        both(tx, 2).await?;
        Err::<(), _>(refusal())
    });
    let turn = writer.turn().await.unwrap();
    let (first, refused, last, ()) = tokio::join!(good(1), bad, good(3), async { drop(turn) });
    first.unwrap();
    last.unwrap();
    assert!(
        matches!(refused, Err(StoreError::IllegalTransition { .. })),
        "{refused:?}"
    );
    assert_eq!([1, 2, 3].map(|n| bench.halves(n)), [2, 0, 2]);
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_failed_commit_fails_everybody_in_it_and_leaves_no_trace() {
    let bench = Bench::new();
    let writer = &bench.writer;
    // All of them come while somebody else has the turn.
    let turn = writer.turn().await.unwrap();
    let good = |n| writer.write(async move |tx| both(tx, n).await);
    let orphan = writer.write(async |tx| {
        query("INSERT INTO children (parent) VALUES (1)")
            .execute(tx)
            .await?;
        Ok(())
    });
    let refused = writer.write(async |_| Err::<(), _>(refusal()));
    let go = async { drop(turn) };
    let (first, orphan, refused, last, ()) = tokio::join!(good(1), orphan, refused, good(3), go);
    for told in [first, orphan, refused, last] {
        let Err(StoreError::Database(DatabaseError::Sqlite { message, .. })) = told else {
            panic!("{told:?}");
        };
        assert!(message.contains("FOREIGN KEY"), "{message}");
    }
    assert_eq!([1, 3].map(|n| bench.halves(n)), [0, 0]);
    bench.assert_clean().await;
}

/// What SQLite does by itself when the disk is full: the whole transaction is gone.
#[tokio::test]
async fn an_error_that_ends_the_transaction_fails_everybody_in_it() {
    let bench = Bench::new();
    let writer = &bench.writer;
    // All of them come while somebody else has the turn.
    let turn = writer.turn().await.unwrap();
    let good = |n| writer.write(async move |tx| both(tx, n).await);
    let ending = writer.write(async |tx| {
        query("ROLLBACK").execute(&mut *tx).await?;
        let after = both(tx, 2).await;
        assert!(after.is_err(), "nothing is committed by the way");
        Ok(())
    });
    let (first, ended, ()) = tokio::join!(good(1), ending, async { drop(turn) });
    for told in [first, ended] {
        assert!(matches!(told, Err(StoreError::Database(_))), "{told:?}");
    }
    assert_eq!([1, 2].map(|n| bench.halves(n)), [0, 0]);
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_full_database_refuses_and_goes_on_when_there_is_room() {
    let bench = Bench::new();
    let large = "x".repeat(1_000_000);
    let limit = |sql| {
        bench.writer.write(async move |tx| {
            query(sql).fetch_all(tx).await?;
            Ok(())
        })
    };
    limit("PRAGMA max_page_count = 20").await.unwrap();
    let full = bench
        .writer
        .write(async |tx| {
            both(tx, 1).await?;
            query("CREATE TABLE large AS SELECT $1 AS text")
                .bind(&large)
                .execute(tx)
                .await?;
            Ok(())
        })
        .await;
    let Err(StoreError::Database(DatabaseError::Sqlite { code, .. })) = full else {
        panic!("{full:?}");
    };
    assert_eq!(code, rusqlite::ffi::SQLITE_FULL);
    assert_eq!(bench.halves(1), 0);
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_panic_takes_its_part_back() {
    let bench = Bench::new();
    let writer = bench.writer.clone();
    let panicked = tokio::spawn(async move {
        writer
            .write(async |tx| {
                half(tx, 1, 1).await?;
                assert!(tx_is_open(tx), "on purpose: the part is open");
                Ok(())
            })
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(bench.halves(1), 0);
    bench.assert_clean().await;
}

/// Never: makes the test above fail inside of its part.
fn tx_is_open(_: &mut Tx) -> bool {
    false
}

#[tokio::test]
async fn a_writer_waits_for_another_process_without_blocking_the_thread() {
    let bench = Bench::new();
    let other = Connection::open(&bench.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let write = bench.writer.write(async |tx| both(tx, 1).await);
    let mut write = pin!(write);
    // Would wait for ever if the thread were blocked: there is only one.
    let early = tokio::time::timeout(Duration::from_millis(50), write.as_mut()).await;
    assert!(early.is_err(), "it wrote beside another process");
    other.execute_batch("COMMIT").unwrap();
    write.await.unwrap();
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_closed_writer_refuses() {
    let bench = Bench::new();
    bench.writer.close().await;
    let refused = bench.writer.write(async |tx| both(tx, 1).await).await;
    assert!(
        matches!(refused, Err(StoreError::Database(DatabaseError::Closed))),
        "{refused:?}"
    );
    assert_free(&bench.path);
}

#[test]
fn writers_of_an_ended_runtime_leave_nothing_open() {
    let bench = Bench::new();
    for n in 0..20 {
        let runtime = Runtime::new().unwrap();
        let writer = bench.writer.clone();
        runtime.spawn(async move { writer.write(async move |tx| both(tx, n).await).await });
        drop(runtime);
        assert!([0, 2].contains(&bench.halves(n)));
    }
    Runtime::new().unwrap().block_on(bench.assert_clean());
}

/// How a writer of the random test behaves.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Gives up its turn in the middle of its part, where it can be dropped.
    pauses: bool,
    refuses: bool,
    /// Dropped after so many polls.
    polls: u32,
}

fn plan() -> impl Strategy<Value = Plan> {
    let polls = prop_oneof![2 => 0..5_u32, 3 => Just(u32::MAX)];
    (any::<bool>(), prop::bool::weighted(0.2), polls).prop_map(|(pauses, refuses, polls)| Plan {
        pauses,
        refuses,
        polls,
    })
}

async fn carry_out(writer: &Writer, n: i64, plan: Plan) -> Option<Result<(), StoreError>> {
    let write = writer.write(async |tx| {
        half(tx, n, 1).await?;
        if plan.pauses {
            tokio::task::yield_now().await;
        }
        half(tx, n, 2).await?;
        if plan.refuses {
            return Err(refusal());
        }
        Ok(())
    });
    at_most(plan.polls, write).await
}

async fn assert_plans(bench: &Bench, plans: Vec<Plan>) {
    let tasks = (0_i64..).zip(&plans).map(|(n, plan)| {
        let (writer, plan) = (bench.writer.clone(), *plan);
        tokio::spawn(async move { carry_out(&writer, n, plan).await })
    });
    let tasks: Vec<_> = tasks.collect();
    for ((n, plan), task) in (0_i64..).zip(plans).zip(tasks) {
        let told = task.await.unwrap();
        let halves = bench.halves(n);
        match told {
            Some(Ok(())) => assert_eq!(halves, 2, "{n} {plan:?}"),
            Some(Err(StoreError::IllegalTransition { .. })) => {
                assert!(plan.refuses);
                assert_eq!(halves, 0, "{n} {plan:?}");
            }
            Some(Err(other)) => panic!("{n} {plan:?}: {other}"),
            None if plan.refuses => assert_eq!(halves, 0, "{n} {plan:?}"),
            // Committed later, or not at all.
            None => assert!([0, 2].contains(&halves), "{n} {plan:?}"),
        }
    }
    bench.assert_clean().await;
    assert!((0..20).all(|n| [0, 2].contains(&bench.halves(n))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dropped_and_refused_writers_leave_no_halves(
        plans in prop::collection::vec(plan(), 1..20),
        threads in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(assert_plans(&Bench::new(), plans));
    }
}
