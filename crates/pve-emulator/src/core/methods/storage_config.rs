//! `/storage/{storage}` and what changes the list of storages.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::sections::{Kept, check_digest, given, typed};
use super::super::world::{Storage, World};
use crate::schema::split_list;

const METHOD: (&str, &str) = ("POST", "/storage");
const LOCK: &str = "file-storage_cfg";
/// Parameters that are no keys of a storage.
const FOREIGN: [&str; 4] = ["storage", "type", "delete", "digest"];
/// What a directory can be told beside its path, and a file system of btrfs.
const OF_DIRECTORIES: [&str; 14] = [
    "bwlimit",
    "content",
    "content-dirs",
    "create-base-path",
    "create-subdirs",
    "disable",
    "format",
    "is_mountpoint",
    "max-protected-backups",
    "mkdir",
    "nodes",
    "preallocation",
    "prune-backups",
    "shared",
];
const OF_POOLS: [&str; 7] = [
    "blocksize",
    "bwlimit",
    "content",
    "disable",
    "mountpoint",
    "nodes",
    "sparse",
];

/// What may be done to an option of a kind of storage.
fn option(kind: &str, key: &str) -> Option<Kept> {
    let optional = match kind {
        "dir" => OF_DIRECTORIES.contains(&key),
        "btrfs" => {
            (OF_DIRECTORIES.contains(&key) || key == "nocow")
                && !["bwlimit", "content-dirs"].contains(&key)
        }
        "zfspool" => OF_POOLS.contains(&key),
        _ => false,
    };
    match (kind, key) {
        ("dir" | "btrfs", "path") | ("zfspool", "pool") => Some(Kept::Fixed),
        ("dir", "snapshot-as-volume-chain") => Some(Kept::Fixed),
        (_, _) => optional.then_some(Kept::Optional),
    }
}

/// SHA-1 of what is configured, hex.
pub(super) fn digest(world: &World) -> String {
    let text: String = world
        .storages
        .iter()
        .map(|storage| {
            let Storage {
                id,
                kind,
                content,
                shared,
                nodes,
                path,
                options,
                ..
            } = storage;
            format!("{kind} {id} {path} {content:?} {shared} {nodes:?} {options:?}\n")
        })
        .collect();
    hex::encode(Sha1::digest(text.as_bytes()))
}

/// A storage as its configuration shows it.
pub(super) fn row(storage: &Storage, digest: &str) -> Value {
    let mut row = Map::from_iter([
        ("storage".to_owned(), json!(storage.id)),
        ("type".to_owned(), json!(storage.kind)),
        ("content".to_owned(), json!(storage.content.join(","))),
        ("digest".to_owned(), json!(digest)),
    ]);
    if !storage.path.is_empty() {
        row.insert("path".into(), storage.path.clone().into());
    }
    if storage.shared {
        row.insert("shared".into(), 1.into());
    }
    if let Some(nodes) = &storage.nodes {
        row.insert("nodes".into(), nodes.join(",").into());
    }
    let options = storage.options.iter();
    row.extend(options.map(|(key, value)| (key.clone(), typed(METHOD, key, value))));
    Value::Object(row)
}

fn no_storage(id: &str) -> ApiError {
    ApiError::died(format!("storage '{id}' does not exist"))
}

pub(super) fn read(call: &mut Call<'_>) -> Outcome {
    let id = call.text("storage").unwrap_or_default();
    let storage = call.world.storage(&id).ok_or_else(|| no_storage(&id))?;
    Ok(row(storage, &digest(call.world)).into())
}

/// Nothing that the kind of storage does not know, and nothing that stays as it was made.
fn check_keys(kind: &str, keys: &BTreeMap<String, String>, create: bool) -> Result<(), ApiError> {
    for key in keys.keys() {
        match option(kind, key) {
            None => return Err(ApiError::died(format!("unexpected property '{key}'"))),
            Some(Kept::Fixed) if !create => {
                let text = format!("can't change value of fixed parameter '{key}'");
                return Err(ApiError::died(text));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Puts keys where they belong.
fn write(storage: &mut Storage, keys: BTreeMap<String, String>) {
    let list = |text: &str| split_list(text).into_iter().map(str::to_owned).collect();
    for (key, value) in keys {
        match key.as_str() {
            "content" => storage.content = list(&value),
            "nodes" => {
                storage.nodes = Some(list(&value)).filter(|nodes: &Vec<String>| !nodes.is_empty())
            }
            "shared" => storage.shared = value == "1",
            "path" => storage.path = value,
            _ => {
                storage.options.insert(key, value);
            }
        }
    }
}

/// The path as it is written down: no slash at the end, none twice.
fn canonical(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    format!("/{}", parts.join("/"))
}

fn planned(call: &Call<'_>, id: &str) -> Result<Storage, ApiError> {
    let kind = call.text("type").unwrap_or_default();
    if !["dir", "btrfs", "zfspool"].contains(&kind.as_str()) {
        return Err(ApiError::not_emulated(format!(
            "a storage of type '{kind}'"
        )));
    }
    let mut keys = given(call, &FOREIGN);
    keys.retain(|key, value| key != "nodes" || !value.is_empty());
    check_keys(&kind, &keys, true)?;
    let required = if kind == "zfspool" { "pool" } else { "path" };
    if !keys.contains_key(required) {
        let text = format!("missing value for required option '{required}'");
        return Err(ApiError::died(text));
    }
    if let Some(path) = keys.get_mut("path") {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-/_.@".contains(&b);
        if path.len() < 2 || !path.starts_with('/') || !path.bytes().all(plain) {
            let text = format!("illegal path for directory storage: {path}");
            return Err(ApiError::died(text));
        }
        *path = canonical(path);
    }
    let node = call.world.node(&call.node);
    let mut storage = Storage {
        id: id.to_owned(),
        kind,
        content: vec!["images".into(), "rootdir".into()],
        shared: false,
        nodes: None,
        path: String::new(),
        options: BTreeMap::new(),
        total_bytes: node.map(|node| node.disk_bytes).unwrap_or_default(),
        used_bytes: node.map(|node| node.disk_used_bytes).unwrap_or_default(),
    };
    write(&mut storage, keys);
    Ok(storage)
}

/// A new directory is made when it is missing; one that is to be a file system of its own is none here.
fn activate(call: &Call<'_>, storage: &Storage) -> Result<(), ApiError> {
    if !storage.on(&call.node) || storage.is_disabled() {
        return Ok(());
    }
    let point = match storage.options.get("is_mountpoint").map(String::as_str) {
        None | Some("0" | "no" | "off" | "false") => return Ok(()),
        Some("1" | "yes" | "on" | "true") => &storage.path,
        Some(path) => path,
    };
    let text = format!(
        "unable to activate storage '{}' - directory is expected to be a mount point but is not mounted: '{point}'",
        storage.id
    );
    Err(ApiError::died(text))
}

/// What went wrong under the cluster's lock, with its words before.
fn under_lock<T>(failed: &str, result: Result<T, ApiError>) -> Result<T, ApiError> {
    result.map_err(|error| error.under_lock(failed))
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    const FAILED: &str = "create storage failed";
    let id = call.text("storage").unwrap_or_default();
    let storage = planned(call, &id)?;
    call.cluster_lock(LOCK, FAILED)?;
    if call.world.storage(&id).is_some() {
        let text = format!("{FAILED}: storage ID '{id}' already defined");
        return Err(ApiError::died(text).into());
    }
    under_lock(FAILED, activate(call, &storage))?;
    let kind = storage.kind.clone();
    call.world.storages.push(storage);
    Ok(json!({"storage": id, "type": kind}).into())
}

fn updated(call: &Call<'_>, id: &str) -> Result<Storage, ApiError> {
    check_digest(call.text("digest").as_deref(), &digest(call.world))?;
    let mut storage = call
        .world
        .storage(id)
        .cloned()
        .ok_or_else(|| no_storage(id))?;
    let keys = given(call, &FOREIGN);
    check_keys(&storage.kind, &keys, false)?;
    let removed = call.text("delete").unwrap_or_default();
    for key in split_list(&removed) {
        match option(&storage.kind, key) {
            None => return Err(ApiError::died(format!("no such option '{key}'"))),
            Some(Kept::Fixed | Kept::Required) => {
                let text = format!("unable to delete required option '{key}'");
                return Err(ApiError::died(text));
            }
            Some(Kept::Optional) if keys.contains_key(key) => {
                let text = format!("cannot set and delete property '{key}' at the same time!");
                return Err(ApiError::died(text));
            }
            Some(Kept::Optional) => {}
        }
        match key {
            "content" => storage.content = vec!["images".into(), "rootdir".into()],
            "nodes" => storage.nodes = None,
            "shared" => storage.shared = false,
            _ => {
                storage.options.remove(key);
            }
        }
    }
    write(&mut storage, keys);
    Ok(storage)
}

pub(super) fn update(call: &mut Call<'_>) -> Outcome {
    const FAILED: &str = "update storage failed";
    let id = call.text("storage").unwrap_or_default();
    call.cluster_lock(LOCK, FAILED)?;
    let storage = under_lock(FAILED, updated(call, &id))?;
    let kind = storage.kind.clone();
    if let Some(found) = call.world.storages.iter_mut().find(|found| found.id == id) {
        *found = storage;
    }
    Ok(json!({"storage": id, "type": kind}).into())
}

/// Only the configuration goes, with grants and memberships; what is stored stays.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    const FAILED: &str = "delete storage failed";
    let id = call.text("storage").unwrap_or_default();
    call.cluster_lock(LOCK, FAILED)?;
    let found = call.world.storage(&id).ok_or_else(|| no_storage(&id));
    under_lock(FAILED, found)?;
    call.world.storages.retain(|storage| storage.id != id);
    let pools = call.world.pools.values_mut();
    pools.for_each(|pool| pool.storages.retain(|known| *known != id));
    call.world
        .accounts
        .grants
        .forget_path(&format!("/storage/{id}"));
    Ok(Value::Null.into())
}
