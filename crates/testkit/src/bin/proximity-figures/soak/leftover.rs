//! What is left when everything was removed: nothing, on the cluster and on record.

use std::path::Path;

use anyhow::Result;
use proximity_domain::ports::PortRange;
use proximity_store::Store;
use proximity_store::views::AppFilter;

use super::kept;
use crate::stack::Guest;
use crate::things::{self, Things};

/// What there is that should not be, a sentence each.
pub(super) async fn of(
    data: &Path,
    (public, internal): (PortRange, PortRange),
    guests: &[Guest],
) -> Result<Vec<String>> {
    let options = proximity_store::StoreOptions {
        key_file: data.join("secret.key"),
        ..things::options(data, public, internal)
    };
    let mut things = Things::from(0);
    let store = Store::open(options, things.now()).await?;
    let mut left = store.invariants().await?;
    let (apps, _) = store.apps(AppFilter::default()).await?;
    left.extend(apps.iter().map(|app| format!("the app {}", app.hostname)));
    for operation in store.live_operations().await? {
        left.push(format!("an operation that is {}", operation.state.label()));
    }
    for host in store.hosts().await? {
        for guest in store.recorded_guests_of_host(host.id).await? {
            left.push(format!("a guest on record, {}", guest.place().vmid));
        }
    }
    left.extend(kept::too_much(&store.journal_counts().await?));
    let held = store.ports().await?.held;
    if !held.is_empty() {
        left.push(format!("{} pairs of ports", held.len()));
    }
    store.close().await;
    left.extend(guests.iter().map(|guest| {
        let (vmid, name) = (guest.vmid, &guest.hostname);
        format!("container {vmid} ({name})")
    }));
    Ok(left)
}
