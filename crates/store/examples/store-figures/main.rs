//! What the figures P7 and P14 measure: the store beside a bare loop on the same file system, in one run.
//!
//! `store-figures steps|ports FOLDER [--quick] [--sabotage]` prints one JSON object. An example and not a program of
//! the test kit, because it is measured optimised, and this way little more than the store is built for that.
#![allow(missing_docs, unreachable_pub, dead_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod bare;
mod ports;
mod steps;
mod times;
#[path = "../../tests/it/suite/world.rs"]
mod world;

use std::any::Any;
use std::path::{Path, PathBuf};

use proximity_domain::time::Timestamp;
use proximity_store::{Store, StoreOptions};

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    pub quick: bool,
    pub sabotage: bool,
}

/// A store in a folder.
pub struct Inside(pub PathBuf);

impl world::Make for Inside {
    async fn make(&self, shape: world::Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let options = StoreOptions {
            path: self.0.join("proximity.db"),
            key_file: self.0.join("key"),
            public: shape.public,
            internal: shape.internal,
            rest_ms: world::REST_MS,
        };
        let store = Store::open(options, Timestamp(0)).await.unwrap();
        (store, Box::new(()))
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    let mode = Mode {
        quick: has("--quick"),
        sabotage: has("--sabotage"),
    };
    let [what, folder, ..] = words.as_slice() else {
        panic!("store-figures steps|ports FOLDER [--quick] [--sabotage]");
    };
    let folder = Path::new(folder);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found = runtime.block_on(async {
        match what.as_str() {
            "steps" => steps::measure(folder, mode).await,
            "ports" => ports::measure(folder, mode).await,
            other => panic!("{other}: steps or ports"),
        }
    });
    println!("{found}");
}
