//! The contract of a store, on SQLite.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use crate::suite::world::{Make, REST_MS, Shape};
use proximity_domain::time::Timestamp;
use proximity_store::{Store, StoreOptions};

fn options(dir: &Path, shape: Shape) -> StoreOptions {
    StoreOptions {
        path: dir.join("proximity.db"),
        key_file: dir.join("key"),
        public: shape.public,
        internal: shape.internal,
        rest_ms: REST_MS,
    }
}

/// Each store in a directory of its own.
struct Sqlite;

impl Make for Sqlite {
    async fn make(&self, shape: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path(), shape);
        let store = Store::open(options, Timestamp(0)).await.unwrap();
        (store, Box::new(dir))
    }
}

crate::contract!(super::Sqlite);

/// The same directory each time.
struct Same(Arc<tempfile::TempDir>);

impl Make for Same {
    async fn make(&self, shape: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let options = options(self.0.path(), shape);
        let store = Store::open(options, Timestamp(0)).await.unwrap();
        (store, Box::new(Arc::clone(&self.0)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_ranges_lose_no_port() {
    let same = Same(Arc::new(tempfile::tempdir().unwrap()));
    crate::suite::ports::changed_ranges_lose_no_port(&same).await;
}
