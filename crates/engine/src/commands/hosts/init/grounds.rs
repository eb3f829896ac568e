//! What the tokens of a host are granted rights on: as asked for, as found, and as given before.

use std::collections::BTreeSet;

use proximity_domain::ids::Vmid;
use proximity_domain::names::StorageName;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::AccountClient;
use proximity_pve::storage::Content;
use proximity_store::records::HostRecord;

use super::keep;
use super::seen::numbers;
use super::wanted::Grounds;
use super::wish::InitWish;
use crate::commands::hosts::look::Found;
use crate::commands::hosts::wish::invalid;
use crate::commands::hosts::{choice, inventory, places, refusal};
use crate::error::EngineError;

/// Chooses.
///
/// # Errors
/// A name that is not there, or nothing to choose from.
pub(super) async fn choose(
    wish: &InitWish,
    client: &AccountClient,
    found: &Found,
    known: Option<&HostRecord>,
    own: &BTreeSet<Vmid>,
) -> Result<Grounds, EngineError> {
    let chosen = found.survey.places.clone();
    let storage = chosen
        .storage
        .ok_or_else(|| invalid("storages", places::no_storage()))?;
    let template_storage = chosen
        .template_storage
        .ok_or_else(|| invalid("template_storage", places::no_template_storage()))?;
    let bridge = chosen
        .bridge
        .ok_or_else(|| invalid("bridge", places::no_bridge()))?;
    let pool = chosen
        .pool
        .ok_or_else(|| invalid("pool", "a pool is needed"))?;
    let mut storages = wish.storages.clone();
    if storages.len() > 1 {
        check_storages(wish, client, found, &storages).await?;
    }
    storages.insert(storage);
    if !wish.adopted.is_empty() {
        check_adopted(wish, client, own).await?;
    }
    // What is recorded stays wanted: its token lives, and guests were given to it one by one.
    let has = |purpose| known.is_some_and(|k| keep::tokens_of(k).contains_key(&purpose));
    Ok(Grounds {
        pool,
        storages,
        template_storage,
        bridge,
        images: wish.images || has(TokenPurpose::Images),
        adopts: !wish.adopted.is_empty() || has(TokenPurpose::Adopted),
        adopted: wish.adopted.clone(),
    })
}

/// Each storage that was named takes containers; the look checks the first one only.
async fn check_storages(
    wish: &InitWish,
    client: &AccountClient,
    found: &Found,
    named: &BTreeSet<StorageName>,
) -> Result<(), EngineError> {
    let ask = |e| refusal::question(&wish.host.address, &wish.host.asker, &e);
    let nodes = &found.survey.nodes;
    let there = inventory::holdings(client.read(), nodes)
        .await
        .map_err(ask)?;
    let usable = choice::storages(&there.storages, Content::RootDir);
    let missing = |name: &&StorageName| !usable.iter().any(|c| c.name == **name);
    match named.iter().find(missing) {
        None => Ok(()),
        Some(name) => Err(invalid(
            "storages",
            choice::why_no_storage(name, &there.storages, Content::RootDir, &usable),
        )),
    }
}

/// Each guest that was named is there, and none of ours.
async fn check_adopted(
    wish: &InitWish,
    client: &AccountClient,
    own: &BTreeSet<Vmid>,
) -> Result<(), EngineError> {
    let ask = |e| refusal::question(&wish.host.address, &wish.host.asker, &e);
    let guests = client.read().resources_vm().await.map_err(ask)?;
    let there: BTreeSet<Vmid> = guests.iter().map(|guest| guest.vmid).collect();
    let missing: BTreeSet<Vmid> = wish.adopted.difference(&there).copied().collect();
    if !missing.is_empty() {
        let message = format!("the host has no guest {}", numbers(&missing));
        return Err(invalid("adopted", message));
    }
    let ours: BTreeSet<Vmid> = wish.adopted.intersection(own).copied().collect();
    if ours.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{}: made by Proximity, so the operate token acts on it",
        numbers(&ours)
    );
    Err(invalid("adopted", message))
}
