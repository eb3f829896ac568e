//! The contract of a store, on SQLite.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod suite;

use std::any::Any;

use proximity_domain::time::Timestamp;
use proximity_store::{Store, StoreOptions};
use suite::world::{Make, REST_MS, Shape};

/// Each store in a directory of its own.
struct Sqlite;

impl Make for Sqlite {
    async fn make(&self, shape: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            path: dir.path().join("proximity.db"),
            key_file: dir.path().join("key"),
            public: shape.public,
            internal: shape.internal,
            rest_ms: REST_MS,
        };
        let store = Store::open(options, Timestamp(0)).await.unwrap();
        (store, Box::new(dir))
    }
}

contract!(super::Sqlite);
