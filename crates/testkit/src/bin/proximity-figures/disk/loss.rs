//! Whether what was acknowledged is on the disk: read from a copy of the files, without the process that wrote them.

use std::path::Path;

use anyhow::{Result, ensure};
use proximity_domain::ids::AppId;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Clock;
use proximity_store::Store;
use proximity_testkit::sources::RealClock;

use super::world::Verdict;
use crate::things::options;

/// Files of the store that a crash leaves behind, and what the copies are called. The program names its key itself.
const FILES: [(&str, &str); 4] = [
    ("proximity.db", "proximity.db"),
    ("proximity.db-wal", "proximity.db-wal"),
    ("key", "key"),
    ("secret.key", "key"),
];

/// Looks for every acknowledged app in a copy of `dir`.
pub(super) async fn look(
    dir: &Path,
    ports: (PortRange, PortRange),
    acknowledged: &[String],
    verdict: &mut Verdict,
) -> Result<()> {
    let copy = tempfile::tempdir()?;
    for (file, to) in FILES {
        let from = dir.join(file);
        if from.exists() {
            std::fs::copy(&from, copy.path().join(to))?;
        }
    }
    if let Err(why) = compare(copy.path(), ports, acknowledged).await {
        verdict.fault(format!("what a crash would leave: {why:#}"));
    }
    Ok(())
}

async fn compare(
    dir: &Path,
    (public, internal): (PortRange, PortRange),
    acknowledged: &[String],
) -> Result<()> {
    let store = Store::open(options(dir, public, internal), RealClock.now());
    let store = store.await?;
    let integrity = store.integrity().await?;
    ensure!(integrity == ["ok"], "integrity_check: {integrity:?}");
    let wrong = store.invariants().await?;
    ensure!(wrong.is_empty(), "rules are broken: {wrong:?}");
    for id in acknowledged {
        let app = AppId(id.parse()?);
        let there = store.app(app).await?.is_some() || store.archived_app(app).await?.is_some();
        ensure!(there, "app {id} was acknowledged and is gone");
    }
    store.close().await;
    Ok(())
}
