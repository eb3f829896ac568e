//! The contract of a store, in memory.

use std::any::Any;

use crate::suite::world::{Make, REST_MS, Shape};
use proximity_domain::ids::InstallationId;
use proximity_store::{MemoryOptions, Store};
use uuid::Uuid;

struct Memory;

impl Make for Memory {
    async fn make(&self, shape: Shape) -> (Store, Box<dyn Any + Send + Sync>) {
        let options = MemoryOptions {
            installation: InstallationId(Uuid::from_u128(42)),
            public: shape.public,
            internal: shape.internal,
            rest_ms: REST_MS,
        };
        (Store::in_memory(&options), Box::new(()))
    }

    /// What is asked for is done before anybody could go away.
    fn waits(&self) -> bool {
        false
    }
}

crate::contract!(super::Memory);
