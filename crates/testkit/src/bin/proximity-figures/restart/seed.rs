//! A record with history: apps that were deployed and stopped long ago, on a host that nobody can reach.

use std::path::Path;

use anyhow::{Context, Result};
use proximity_domain::app::Status;
use proximity_domain::ids::HostId;
use proximity_domain::ports::PortRange;
use proximity_domain::time::Timestamp;
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::records::{Endpoint, TlsTrust};
use proximity_store::{Store, StoreOptions};
use tokio::task::JoinSet;

use crate::things::{LEASE_MS, Things};

/// Writers at the same time, so that they share commits.
const WRITERS: u64 = 64;
/// The first container's number; the lab's own begin at 100.
const FIRST_VMID: u64 = 100_000;

/// Records `apps` of them in `data_dir`.
pub(super) async fn seed(
    data_dir: &Path,
    (public, internal): (PortRange, PortRange),
    apps: u64,
) -> Result<()> {
    std::fs::create_dir_all(data_dir)?;
    let options = StoreOptions {
        path: data_dir.join("proximity.db"),
        key_file: data_dir.join("secret.key"),
        public,
        internal,
        rest_ms: 0,
    };
    let mut things = Things::from(0);
    let store = Store::open(options, things.now()).await?;
    let mut host = things.host("elsewhere")?;
    host.endpoints = vec![Endpoint {
        url: "https://127.0.0.1:1".to_owned(),
        node: Some("pve1".parse()?),
        trust: TlsTrust::System,
    }];
    host.ssh = None;
    let (id, at) = (host.id, things.now());
    store.add_host(host, &things.actor, at).await?;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let numbers = (0..apps).skip(usize::try_from(writer)?);
        let numbers: Vec<u64> = numbers.step_by(usize::try_from(WRITERS)?).collect();
        writers.spawn(write(store.clone(), id, writer, numbers));
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    store.close().await;
    Ok(())
}

async fn write(store: Store, host: HostId, writer: u64, numbers: Vec<u64>) -> Result<()> {
    let mut things = Things::from(writer + 1);
    for number in numbers {
        let (app, operation) = things.app(&format!("old{number}"), host)?;
        let (app_id, operation_id) = (app.id, operation.id);
        let at = things.now();
        store
            .create_app(app, operation, &things.actor, None, at)
            .await?;
        let all = store.claimable().await?;
        let seen = all.iter().find(|row| row.id == operation_id);
        let seen = seen.context("a new app's operation cannot be claimed")?;
        let at = things.now();
        let claimed = store
            .claim_as_seen(seen, things.holder, LEASE_MS, at)
            .await?;
        let (_, fence) = claimed.context("somebody else claimed it")?;
        let vmid = u32::try_from(FIRST_VMID + number)?;
        let guest = things.guest(&store, host, (app_id, operation_id), vmid)?;
        let effects = Effects {
            guests: vec![GuestChange::Insert(guest)],
            status: Some(Status::Stopped),
            ..Effects::default()
        };
        let at: Timestamp = things.now();
        store.complete(&fence, effects, at).await?;
    }
    Ok(())
}
