//! Permits for snapshots and backups come from a look, are good once, and cannot be stored.

use proximity_domain::backup::{BackupPermit, PrunePermit};
use proximity_domain::guest_snapshot::Rollback;

type GuestSnapshotPermit = proximity_domain::guest_snapshot::GuestSnapshotPermit<Rollback>;

fn is_serialisable<T: serde::Serialize>() {}

fn twice(snapshot: GuestSnapshotPermit, backup: BackupPermit, prune: PrunePermit) {
    let _ = (snapshot.clone(), backup.clone(), prune.clone());
}

fn main() {
    let _ = (GuestSnapshotPermit::default(), BackupPermit::default(), PrunePermit::default());
    is_serialisable::<GuestSnapshotPermit>();
    is_serialisable::<BackupPermit>();
    is_serialisable::<PrunePermit>();
}
