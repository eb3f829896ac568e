//! `/access/permissions`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::access::{permissions as held, split_token_id};
use super::super::super::answer::Reply;
use super::super::super::call::{Call, Outcome};

/// Paths that are always looked at.
const ROOTS: [&str; 8] = [
    "/",
    "/access",
    "/access/groups",
    "/nodes",
    "/pool",
    "/sdn",
    "/storage",
    "/vms",
];

/// An account's privileges by path, each with whether it is inherited below: those of one path, or
/// of all paths that matter. Paths without any are left out of the full listing.
pub(in super::super) fn read(call: &mut Call<'_>) -> Outcome {
    let own = call.caller.id.clone();
    let id = call.text("userid").unwrap_or_else(|| own.clone());
    let owned = split_token_id(&id).is_some_and(|(user, _)| user == own);
    if id != own && !owned {
        call.rights().need("/access", &["Sys.Audit"])?;
    }
    if let Some(path) = call.text("path").filter(|path| !path.is_empty()) {
        return Ok(Reply::written(&Rows::from([(
            path.clone(),
            row(call, &id, &path),
        )]))?);
    }
    let rows = known_paths(call).into_iter().map(|path| {
        let row = row(call, &id, &path);
        (path, row)
    });
    let rows: Rows = rows.filter(|(_, row)| !row.is_empty()).collect();
    Ok(Reply::written(&rows)?)
}

/// Privileges with 1 if they are inherited, by path.
type Rows = BTreeMap<String, BTreeMap<&'static str, u8>>;

fn row(call: &Call<'_>, id: &str, path: &str) -> BTreeMap<&'static str, u8> {
    let privileges = held(call.world, id, path).into_iter();
    let row = privileges.map(|(name, inherited)| (name, u8::from(inherited)));
    row.collect()
}

fn known_paths(call: &Call<'_>) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = ROOTS.iter().map(|path| (*path).to_owned()).collect();
    for path in call.world.accounts.grants.paths() {
        // A grant makes all paths above it known too.
        let above = path.match_indices('/').filter(|(at, _)| *at > 0);
        paths.extend(above.map(|(at, _)| path[..at].to_owned()));
        paths.insert(path.to_owned());
    }
    for pool in call.world.pools.values() {
        paths.extend(pool.vms.iter().map(|vmid| format!("/vms/{vmid}")));
        paths.extend(
            pool.storages
                .iter()
                .map(|storage| format!("/storage/{storage}")),
        );
    }
    paths
}
