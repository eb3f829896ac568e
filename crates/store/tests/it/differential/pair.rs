//! The two stores that are asked the same.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::{MemoryOptions, Store, StoreError, StoreOptions};
use tempfile::TempDir;

/// So few ports that most sequences run out of them; the ranges overlap.
const PUBLIC: PortRange = PortRange {
    first: 10,
    last: 12,
};
const INTERNAL: PortRange = PortRange {
    first: 12,
    last: 14,
};
/// More than a day and less than two, which both pass in many sequences.
const REST_MS: i64 = 100_000_000;

/// SQLite on the left, memory on the right.
pub struct Pair {
    pub sqlite: Store,
    pub memory: Store,
    /// The sorts of refusals that were compared.
    pub refusals: RefCell<BTreeSet<&'static str>>,
    _folder: TempDir,
}

impl Pair {
    pub async fn new() -> Self {
        // What is compared is not durability: no disk has to be waited for where there is memory to write to.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.unwrap();
        let key_file = folder.path().join("key");
        write_key(&key_file);
        let options = StoreOptions {
            path: folder.path().join("proximity.db"),
            key_file,
            public: PUBLIC,
            internal: INTERNAL,
            rest_ms: REST_MS,
        };
        let sqlite = Store::open(options, Timestamp(0)).await.unwrap();
        let memory = Store::in_memory(&MemoryOptions {
            installation: sqlite.installation(),
            public: PUBLIC,
            internal: INTERNAL,
            rest_ms: REST_MS,
        });
        Self {
            sqlite,
            memory,
            refusals: RefCell::default(),
            _folder: folder,
        }
    }
}

/// The key of a store in memory, so that both have the same for the same content.
fn write_key(path: &Path) {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(&[b'0'; 64]).unwrap();
}

/// Asks both, compares, and gives the answer.
macro_rules! both {
    ($pair:expr, $store:ident => $call:expr) => {{
        let left = {
            let $store = &$pair.sqlite;
            $call.await
        };
        let right = {
            let $store = &$pair.memory;
            $call.await
        };
        $pair.compare(stringify!($call), &left, &right);
        right
    }};
}
pub(crate) use both;

impl Pair {
    /// The same answer, or a refusal in the same words.
    pub fn compare<T: Debug>(
        &self,
        call: &str,
        left: &Result<T, StoreError>,
        right: &Result<T, StoreError>,
    ) {
        let (said_left, said_right) = (said(left), said(right));
        assert_eq!(
            said_left, said_right,
            "SQLite on the left, memory on the right: {call}"
        );
        if let Err(refusal) = right {
            self.refusals.borrow_mut().insert(sort_of(refusal));
        }
    }
}

fn said<T: Debug>(answer: &Result<T, StoreError>) -> String {
    match answer {
        // Each says it in words of its own.
        Err(StoreError::Database(_)) => "refused by the schema".to_owned(),
        Ok(_) | Err(_) => format!("{answer:?}"),
    }
}

/// Every sort of refusal that has to be seen.
pub const REFUSALS: [&str; 16] = [
    "lease lost",
    "apply lost",
    "plan applied",
    "overlaps",
    "secret in use",
    "brake",
    "host name taken",
    "no port",
    "no port, some rest",
    "busy",
    "illegal",
    "not found",
    "exists",
    "key reused",
    "host in use",
    "schema",
];

fn sort_of(refusal: &StoreError) -> &'static str {
    match refusal {
        StoreError::LeaseLost { .. } => "lease lost",
        StoreError::ApplyLost { .. } => "apply lost",
        StoreError::PlanApplied { .. } => "plan applied",
        StoreError::ApplyOverlaps { .. } => "overlaps",
        StoreError::BrakeStops { .. } => "brake",
        StoreError::Rejected { .. } => "rejected",
        StoreError::SecretInUse { .. } => "secret in use",
        StoreError::HostnameTaken { .. } => "host name taken",
        StoreError::PortsExhausted { resting, .. } if resting.is_empty() => "no port",
        StoreError::PortsExhausted { .. } => "no port, some rest",
        StoreError::Busy { .. } => "busy",
        StoreError::IllegalTransition { .. } => "illegal",
        StoreError::NotFound { .. } => "not found",
        StoreError::Exists { .. } => "exists",
        StoreError::KeyReused { .. } => "key reused",
        StoreError::HostInUse { .. } => "host in use",
        // A value that the schema forbids.
        StoreError::Database(_) => "schema",
        StoreError::QueueFull { .. }
        | StoreError::TooNew { .. }
        | StoreError::Key { .. }
        | StoreError::Damaged { .. }
        | StoreError::File { .. } => panic!("no call may end like this: {refusal:?}"),
    }
}
