//! Permits for snapshots and backups come from a look, are good once, and cannot be stored.

use proximity_domain::backup::{BackupPermit, PrunePermit};
use proximity_domain::snapshot::SnapshotPermit;

fn is_serialisable<T: serde::Serialize>() {}

fn twice(snapshot: SnapshotPermit, backup: BackupPermit, prune: PrunePermit) {
    let _ = (snapshot.clone(), backup.clone(), prune.clone());
}

fn main() {
    let _ = (SnapshotPermit::default(), BackupPermit::default(), PrunePermit::default());
    is_serialisable::<SnapshotPermit>();
    is_serialisable::<BackupPermit>();
    is_serialisable::<PrunePermit>();
}
