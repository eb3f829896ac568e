//! Everything that is recorded, as one digest.

use std::fmt::Write;

use anyhow::Result;
use proximity_domain::event::EventKind;
use proximity_domain::ids::AppId;
use proximity_store::Store;
use proximity_store::views::{AppFilter, OperationFilter};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

/// Rows of one question.
const PAGE: u32 = 1000;

/// A digest of all that the store gives back, secrets included. Two stores with the same digest hold the same.
///
/// # Errors
/// Something does not read back.
pub(crate) async fn digest(store: &Store) -> Result<String> {
    let mut text = String::new();
    for host in store.hosts().await? {
        writeln!(text, "{host:?} {}", host.token_secret.expose_secret())?;
        if let Some(ssh) = &host.ssh {
            writeln!(text, "{}", ssh.private_key.expose_secret())?;
        }
        writeln!(text, "{:?}", store.host_guests(host.id).await?)?;
    }
    writeln!(text, "{:?}", store.tokens().await?)?;
    writeln!(text, "{:?}", store.ports().await?)?;
    operations(store, &mut text).await?;
    journals(store, &mut text).await?;
    for id in created(store).await? {
        app(store, id, &mut text).await?;
    }
    let live = AppFilter {
        per_page: AppFilter::MAX_PER_PAGE,
        ..AppFilter::default()
    };
    writeln!(text, "{}", store.apps(live).await?.1)?;
    Ok(hex::encode(Sha256::digest(text)))
}

/// Every app that was ever recorded, by the events.
pub(crate) async fn created(store: &Store) -> Result<Vec<AppId>> {
    let mut apps = Vec::new();
    let mut after = 0;
    loop {
        let events = store.events(after, PAGE).await?;
        let Some(last) = events.last().map(|(seq, ..)| *seq) else {
            return Ok(apps);
        };
        after = last;
        let made = events
            .into_iter()
            .filter(|(_, _, e, ..)| e.kind == EventKind::AppCreated);
        apps.extend(made.filter_map(|(_, _, _, app, _)| app));
    }
}

async fn operations(store: &Store, text: &mut String) -> Result<()> {
    let mut before = None;
    loop {
        let filter = OperationFilter {
            limit: OperationFilter::MAX_LIMIT,
            before,
            ..OperationFilter::default()
        };
        let page = store.operations(filter).await?;
        for operation in &page {
            let steps = store.steps(operation.id).await?;
            writeln!(text, "{operation:?} {steps:?}")?;
        }
        match page.last() {
            Some(last) => before = Some(last.id),
            None => return Ok(()),
        }
    }
}

async fn journals(store: &Store, text: &mut String) -> Result<()> {
    let mut after = 0;
    loop {
        let events = store.events(after, PAGE).await?;
        let Some(last) = events.last().map(|(seq, ..)| *seq) else {
            break;
        };
        after = last;
        writeln!(text, "{events:?}")?;
    }
    after = 0;
    loop {
        let entries = store.audit(PAGE, after).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            return Ok(());
        };
        after = last;
        writeln!(text, "{entries:?}")?;
    }
}

async fn app(store: &Store, id: AppId, text: &mut String) -> Result<()> {
    writeln!(text, "{:?}", store.app(id).await?)?;
    writeln!(text, "{:?}", store.archived_app(id).await?)?;
    if store.app(id).await?.is_some() {
        let secrets = store.app_environment(id).await?;
        writeln!(text, "{}", secrets.expose_secret())?;
    }
    writeln!(text, "{:?}", store.log(id, 0, PAGE).await?)?;
    Ok(())
}
