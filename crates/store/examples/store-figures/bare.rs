//! The loop to compare with: one row as long as a step's, by the same library, with the same settings.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::times::Times;

pub struct Bare {
    connection: Connection,
    n: i64,
}

impl Bare {
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let connection = Connection::open(folder.join("bare.db")).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE steps (operation_id TEXT NOT NULL, step_index BIGINT NOT NULL, name TEXT NOT NULL,
                     state TEXT NOT NULL, epoch BIGINT NOT NULL, intent TEXT NOT NULL, started_at BIGINT NOT NULL,
                     changed_at BIGINT NOT NULL, PRIMARY KEY (operation_id, step_index))",
            )
            .unwrap();
        Self { connection, n: 0 }
    }

    /// One transaction with so many rows.
    pub fn commit(&mut self, rows: u32) {
        let run = |sql: &str| {
            self.connection
                .prepare_cached(sql)
                .unwrap()
                .execute([])
                .unwrap()
        };
        run("BEGIN IMMEDIATE");
        for _ in 0..rows {
            self.n += 1;
            let operation = format!("00000000-0000-0000-0000-{:012}", self.n / 10);
            let insert = "INSERT INTO steps VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let mut insert = self.connection.prepare_cached(insert).unwrap();
            let values = params![
                operation,
                self.n % 10,
                "create",
                "started",
                1,
                "{\"vmid\":100}",
                self.n,
                self.n
            ];
            insert.execute(values).unwrap();
        }
        run("COMMIT");
    }

    /// Commits for that long; how many, and how long each took.
    pub fn run(&mut self, rows: u32, time: Duration) -> (f64, Times) {
        let (start, mut times, mut count) = (Instant::now(), Times::default(), 0_u32);
        while start.elapsed() < time {
            let begun = Instant::now();
            self.commit(rows);
            times.add(begun.elapsed());
            count += rows;
        }
        (f64::from(count) / start.elapsed().as_secs_f64(), times)
    }
}
