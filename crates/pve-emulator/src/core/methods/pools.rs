//! `/pools`.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::status_row;
use super::super::world::Pool;
use super::cluster::fields;
use super::storage;
use crate::schema::split_list;

pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    if let Some(name) = call.text("poolid") {
        if !call.may(&format!("/pool/{name}"), "Pool.Audit") {
            return Err(ApiError::denied(format!("/pool/{name}, Pool.Audit")).into());
        }
        let mut row = members(call, &name)?;
        row["poolid"] = name.into();
        return Ok(json!([row]).into());
    }
    let visible = call
        .world
        .pools
        .iter()
        .filter(|(name, _)| call.may(&format!("/pool/{name}"), "Pool.Audit"));
    let rows = visible.map(|(name, pool)| {
        let mut row = fields(json!({"poolid": name}));
        row.extend(
            pool.comment
                .clone()
                .map(|comment| ("comment".to_owned(), comment.into())),
        );
        Value::Object(row)
    });
    Ok(rows.collect::<Value>().into())
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let name = call.text("poolid").unwrap_or_default();
    let mut row = members(call, &name)?;
    row["poolid"] = name.into();
    Ok(row.into())
}

fn no_pool(name: &str) -> ApiError {
    ApiError::died(format!("pool '{name}' does not exist"))
}

/// Members with what the last broadcast said about them. Ids without a guest are members, but not
/// shown.
fn members(call: &Call<'_>, name: &str) -> Result<Value, ApiError> {
    let pool = call.world.pools.get(name).ok_or_else(|| no_pool(name))?;
    let kind = call.text("type");
    let wanted = |name: &str| kind.as_deref().is_none_or(|kind| kind == name);
    let mut rows = Vec::new();
    for vmid in pool.vms.iter().filter(|_| wanted("lxc")) {
        let Some(guest) = call.world.guests.get(vmid) else {
            continue;
        };
        let Some(mut row) =
            status_row::resource(call.world, &call.via, (*vmid, guest), call.now_ms).map(fields)
        else {
            continue;
        };
        for key in ["pool", "tags", "lock"] {
            row.remove(key);
        }
        rows.push(Value::Object(row));
    }
    let used = storage::Used::of(call.world);
    for id in pool.storages.iter().filter(|_| wanted("storage")) {
        let on = call.world.storage(id).into_iter().flat_map(|store| {
            let nodes = call
                .world
                .nodes()
                .iter()
                .filter(|node| store.on(&node.name));
            nodes.map(|node| {
                storage::resource(
                    &used,
                    store,
                    &node.name,
                    super::node::is_fresh(node, call.now_ms),
                )
            })
        });
        rows.extend(on);
    }
    let mut shown = fields(json!({"members": rows}));
    shown.extend(
        pool.comment
            .clone()
            .map(|comment| ("comment".to_owned(), comment.into())),
    );
    Ok(Value::Object(shown))
}

/// Adds or removes members; nothing changes when one of them is refused.
pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    let name = call.text("poolid").unwrap_or_default();
    let failed = |text: String| ApiError::died(format!("update pools failed: {text}"));
    let Some(mut pool) = call.world.pools.get(&name).cloned() else {
        return Err(failed(format!("pool '{name}' does not exist")).into());
    };
    if let Some(comment) = call.text("comment") {
        pool.comment = Some(comment);
    }
    let mut moved = Vec::new();
    for vmid in split_list(&call.text("vms").unwrap_or_default())
        .into_iter()
        .filter_map(|id| id.parse::<u32>().ok())
    {
        let member = pool.vms.contains(&vmid);
        let elsewhere = call.world.pool_of(vmid).filter(|other| *other != name);
        if call.flag("delete") {
            if !member {
                return Err(failed(format!("VM {vmid} is not a pool member")).into());
            }
            pool.vms.retain(|known| *known != vmid);
        } else if member {
            return Err(failed(format!("VM {vmid} is already a pool member")).into());
        } else if let Some(other) = elsewhere.filter(|_| !call.flag("allow-move")) {
            return Err(failed(format!(
                "VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set"
            ))
            .into());
        } else {
            moved.push(vmid);
            pool.vms.push(vmid);
        }
    }
    for id in split_list(&call.text("storage").unwrap_or_default()) {
        match (
            call.flag("delete"),
            pool.storages.iter().any(|known| known == id),
        ) {
            (true, false) => {
                return Err(failed(format!("Storage '{id}' is not a pool member")).into());
            }
            (true, true) => pool.storages.retain(|known| known != id),
            (false, true) => {
                return Err(failed(format!("Storage '{id}' is already a pool member")).into());
            }
            (false, false) => pool.storages.push(id.to_owned()),
        }
    }
    call.world
        .pools
        .values_mut()
        .for_each(|other| other.vms.retain(|vmid| !moved.contains(vmid)));
    call.world.pools.insert(name, pool);
    Ok(Value::Null.into())
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let name = call.text("poolid").unwrap_or_default();
    if call.world.pools.contains_key(&name) {
        return Err(
            ApiError::died(format!("create pool failed: pool '{name}' already exists")).into(),
        );
    }
    let pool = Pool {
        comment: call.text("comment"),
        ..Pool::default()
    };
    call.world.pools.insert(name, pool);
    Ok(Value::Null.into())
}

/// Only an empty pool goes; ids without a guest do not keep it.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let name = call.text("poolid").unwrap_or_default();
    let failed = |text: String| ApiError::died(format!("delete pool failed: pool '{name}' {text}"));
    let Some(pool) = call.world.pools.get(&name) else {
        return Err(failed("does not exist".into()).into());
    };
    let mut present = pool
        .vms
        .iter()
        .filter(|vmid| call.world.guests.contains_key(vmid));
    if let Some(vmid) = present.next() {
        return Err(failed(format!("is not empty (contains VM {vmid})")).into());
    }
    if let Some(storage) = pool.storages.first() {
        return Err(failed(format!("is not empty (contains storage '{storage}')")).into());
    }
    call.world.pools.remove(&name);
    Ok(Value::Null.into())
}
