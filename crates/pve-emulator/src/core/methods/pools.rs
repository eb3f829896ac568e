//! `/pools`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::status_row;
use super::super::world::{Pool, World};
use super::cluster::fields;
use super::storage;
use crate::schema::split_list;

/// Pools the caller may audit. One that is named is shown to everybody, as Proxmox VE 9.2 does it.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    if let Some(name) = call.text("poolid") {
        return Ok(json!([shown(call, &name)?]).into());
    }
    let visible = call
        .world
        .pools
        .iter()
        .filter(|(name, _)| call.may(&format!("/pool/{name}"), "Pool.Audit"));
    let rows = visible.map(|(name, pool)| {
        let mut row = fields(json!({"poolid": name}));
        row.extend(comment_of(pool));
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let name = call.text("poolid").unwrap_or_default();
    Ok(shown(call, &name)?.into())
}

fn comment_of(pool: &Pool) -> Option<(String, Value)> {
    let comment = pool.comment.as_ref()?;
    Some(("comment".to_owned(), comment.as_str().into()))
}

/// An empty comment, and one that Perl takes for none, is not kept.
fn comment(call: &Call<'_>) -> Option<String> {
    call.text("comment")
        .filter(|text| !text.is_empty() && text != "0")
}

fn no_pool(name: &str) -> ApiError {
    ApiError::died(format!("pool '{name}' does not exist"))
}

/// In the order of their texts.
fn sorted<T: ToString>(ids: &[T]) -> Vec<String> {
    let mut ids: Vec<String> = ids.iter().map(T::to_string).collect();
    ids.sort();
    ids
}

/// A pool with its members. Ids without a guest, and storages that are not there, are members, but not shown.
fn shown(call: &Call<'_>, name: &str) -> Result<Value, ApiError> {
    let pool = call.world.pools.get(name).ok_or_else(|| no_pool(name))?;
    let kind = call.text("type");
    let wanted = |name: &str| kind.as_deref().is_none_or(|kind| kind == name);
    let mut rows = Vec::new();
    if wanted("lxc") {
        rows.extend(guests(call, pool));
    }
    if wanted("storage") {
        rows.extend(storages(call, pool));
    }
    let mut row = fields(json!({"poolid": name, "members": rows}));
    row.extend(comment_of(pool));
    Ok(Value::Object(row))
}

/// Guests with what the last broadcast said about them.
fn guests(call: &Call<'_>, pool: &Pool) -> Vec<Value> {
    let ids = sorted(&pool.vms);
    let ids = ids.iter().filter_map(|id| id.parse::<u32>().ok());
    let row = |vmid: u32| {
        let guest = call.world.guests.get(&vmid)?;
        let told = status_row::resource(call.world, &call.via, (vmid, guest), call.now_ms)?;
        let mut row = fields(told);
        for key in ["pool", "tags", "lock", "hastate"] {
            row.remove(key);
        }
        Some(Value::Object(row))
    };
    ids.filter_map(row).collect()
}

/// Each storage once: as the asked node has it, else as the first one that does.
fn storages(call: &Call<'_>, pool: &Pool) -> Vec<Value> {
    let used = storage::Used::of(call.world);
    let row = |id: String| {
        let store = call.world.storage(&id)?;
        let elsewhere = || store.nodes.as_ref()?.iter().min();
        let node = if store.on(&call.via) {
            &call.via
        } else {
            elsewhere()?
        };
        let told = call.world.node(node);
        let fresh = told.is_some_and(|node| super::node::is_fresh(node, call.now_ms));
        Some(storage::resource(&used, store, node, fresh))
    };
    sorted(&pool.storages).into_iter().filter_map(row).collect()
}

/// Adds or removes members; nothing changes when one of them is refused.
pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let pools = updated(call).map_err(|error| error.under_lock("update pools failed"))?;
    *call.world.pools = pools;
    Ok(Value::Null.into())
}

type Pools = BTreeMap<String, Pool>;

/// All pools as they are after the change. What is added or removed needs rights on itself.
fn updated(call: &Call<'_>) -> Result<Pools, ApiError> {
    let name = call.text("poolid").unwrap_or_default();
    let mut pools = Pools::clone(&call.world.pools);
    let Some(mut pool) = pools.remove(&name) else {
        return Err(no_pool(&name));
    };
    if call.text("comment").is_some() {
        pool.comment = comment(call);
    }
    for id in split_list(&call.text("vms").unwrap_or_default()) {
        call.rights().may_grant(&format!("/vms/{id}"))?;
        if let Ok(vmid) = id.parse() {
            change_guest(call, (&mut pool, &mut pools), vmid)?;
        }
    }
    for id in split_list(&call.text("storage").unwrap_or_default()) {
        call.rights().may_grant(&format!("/storage/{id}"))?;
        change_storage(&mut pool, id, call.flag("delete"))?;
    }
    pools.insert(name, pool);
    Ok(pools)
}

/// Adds a guest to a pool, or removes it; from another pool it comes only if that is wanted and allowed.
fn change_guest(
    call: &Call<'_>,
    (pool, others): (&mut Pool, &mut Pools),
    vmid: u32,
) -> Result<(), ApiError> {
    let member = pool.vms.contains(&vmid);
    if call.flag("delete") {
        pool.vms.retain(|known| *known != vmid);
        let text = format!("VM {vmid} is not a pool member");
        return if member {
            Ok(())
        } else {
            Err(ApiError::died(text))
        };
    }
    if member {
        let text = format!("VM {vmid} is already a pool member");
        return Err(ApiError::died(text));
    }
    let holder = others.iter_mut().find(|(_, pool)| pool.vms.contains(&vmid));
    if let Some((other, holder)) = holder {
        if !call.flag("allow-move") {
            let text =
                format!("VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set");
            return Err(ApiError::died(text));
        }
        call.rights()
            .need(&format!("/pool/{other}"), &["Pool.Allocate"])?;
        holder.vms.retain(|known| *known != vmid);
    }
    pool.vms.push(vmid);
    Ok(())
}

fn change_storage(pool: &mut Pool, id: &str, delete: bool) -> Result<(), ApiError> {
    match (delete, pool.storages.iter().any(|known| known == id)) {
        (true, false) => {
            let text = format!("Storage '{id}' is not a pool member");
            return Err(ApiError::died(text));
        }
        (false, true) => {
            let text = format!("Storage '{id}' is already a pool member");
            return Err(ApiError::died(text));
        }
        (true, true) => pool.storages.retain(|known| known != id),
        (false, false) => pool.storages.push(id.to_owned()),
    }
    Ok(())
}

/// A nested pool lies in one that is there, and every part of its name starts with a letter.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let name = call.text("poolid").unwrap_or_default();
    let failed = |text: String| ApiError::died(text).under_lock("create pool failed");
    if call.world.pools.contains_key(&name) {
        return Err(failed(format!("pool '{name}' already exists")).into());
    }
    let (parent, leaf) = match name.rsplit_once('/') {
        Some((parent, leaf)) => (Some(parent), leaf),
        None => (None, name.as_str()),
    };
    if let Some(parent) = parent.filter(|parent| !call.world.pools.contains_key(*parent)) {
        let text = format!("parent '{parent}' of pool '{name}' does not exist");
        return Err(failed(text).into());
    }
    if !leaf.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err(failed("pool name must start with a letter".into()).into());
    }
    let pool = Pool {
        comment: comment(call),
        ..Pool::default()
    };
    call.world.pools.insert(name, pool);
    Ok(Value::Null.into())
}

/// Why a pool cannot go: what it still contains. Ids without a guest or a storage do not count.
fn content(world: &World, name: &str, pool: &Pool) -> Option<String> {
    let below = format!("{name}/");
    let inner = world.pools.keys().find(|other| {
        let rest = other.strip_prefix(&below);
        rest.is_some_and(|rest| !rest.contains('/'))
    });
    if let Some(inner) = inner {
        return Some(format!("pool '{inner}'"));
    }
    let there = |id: &String| {
        id.parse()
            .is_ok_and(|vmid| world.guests.contains_key(&vmid))
    };
    if let Some(vmid) = sorted(&pool.vms).into_iter().find(there) {
        return Some(format!("VM {vmid}"));
    }
    let mut storages = sorted(&pool.storages).into_iter();
    let storage = storages.find(|id| world.storage(id).is_some());
    storage.map(|id| format!("storage '{id}'"))
}

/// Only an empty pool goes, and with it what is granted on it and below. Proxmox VE 9.2 does not find the grants of
/// a nested one.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let name = call.text("poolid").unwrap_or_default();
    let failed = |error: ApiError| error.under_lock("delete pool failed");
    let Some(pool) = call.world.pools.get(&name) else {
        return Err(failed(no_pool(&name)).into());
    };
    if let Some(content) = content(call.world, &name, pool) {
        let text = format!("pool '{name}' is not empty (contains {content})");
        return Err(failed(ApiError::died(text)).into());
    }
    call.world.pools.remove(&name);
    if !name.contains('/') {
        let path = format!("/pool/{name}");
        call.world.accounts.grants.forget_tree(&path);
    }
    Ok(Value::Null.into())
}
