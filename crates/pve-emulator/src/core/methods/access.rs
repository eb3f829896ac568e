//! `/access/permissions`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::rights::PRIVILEGES;

/// Paths that exist in every cluster.
const ROOTS: [&str; 9] = [
    "/",
    "/access",
    "/access/groups",
    "/nodes",
    "/pool",
    "/sdn",
    "/storage",
    "/vms",
    "/sdn/zones",
];

/// The caller's privileges by path: those of one path, or of all paths that matter. Paths without
/// any are left out of the full listing.
pub(super) fn permissions(call: &mut Call<'_>) -> Outcome {
    if let Some(user) = call.text("userid").filter(|user| *user != call.caller.id)
        && !call.may("/access", "Sys.Audit")
    {
        tracing::debug!(user, "permissions of another account asked for");
        return Err(ApiError::denied("/access, Sys.Audit").into());
    }
    if call
        .text("userid")
        .is_some_and(|user| user != call.caller.id)
    {
        return Err(ApiError::not_emulated("looking up another account's permissions").into());
    }
    let asked = call.text("path");
    let paths: BTreeSet<String> = match &asked {
        Some(path) => BTreeSet::from([path.clone()]),
        None => known_paths(call),
    };
    let mut listing = BTreeMap::new();
    for path in paths {
        let held: BTreeMap<&str, u8> = PRIVILEGES
            .into_iter()
            .filter(|privilege| call.may(&path, privilege))
            .map(|name| (name, 1))
            .collect();
        if asked.is_some() || !held.is_empty() {
            listing.insert(path, held);
        }
    }
    Ok(json!(listing).into())
}

fn known_paths(call: &Call<'_>) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = ROOTS.iter().map(|path| (*path).to_owned()).collect();
    paths.insert("/sdn/zones/localnetwork".into());
    let bridges = call
        .world
        .nodes()
        .iter()
        .flat_map(|node| node.bridges.iter());
    paths.extend(bridges.map(|bridge| format!("/sdn/zones/localnetwork/{}", bridge.name)));
    for (name, pool) in &call.world.pools {
        paths.insert(format!("/pool/{name}"));
        paths.extend(pool.vms.iter().map(|vmid| format!("/vms/{vmid}")));
        paths.extend(
            pool.storages
                .iter()
                .map(|storage| format!("/storage/{storage}")),
        );
    }
    paths
}
