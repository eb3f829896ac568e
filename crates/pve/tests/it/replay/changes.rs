//! Recorded changes.

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::time::Monotonic;
use proximity_pve::backup::{BackupMode, NewBackup};
use proximity_pve::lxc::{Addresses, CloneLxc, CloneOf, Growth, RestoreLxc, VolumeKey};
use proximity_pve::pool::Members;
use proximity_pve::{Client, Upid};
use serde_json::Value;

use super::Asked;
use crate::recordings::{Outcome, Step};
use crate::world::{backup_permit, guest_snapshot_permit, permit, unprotect_permit, vmid};

type Replayed = (&'static str, Outcome, Asked);

fn upid(upid: Upid) -> Value {
    Value::from(upid.to_string())
}

fn nothing((): ()) -> Value {
    Value::Null
}

/// A parameter of the recorded request that the types take; `None` if there is none, or none that they take.
fn parsed<T: std::str::FromStr>(step: &Step, name: &str) -> Option<T> {
    step.given.get(name)?.parse().ok()
}

fn all_if(all: bool) -> Asked {
    if all { Asked::All } else { Asked::Place }
}

pub(super) async fn replay(step: &Step, segments: &[&str], client: &Client) -> Option<Replayed> {
    match segments {
        ["pools"] => of_pools(step, client).await,
        ["nodes", node, "vzdump"] => Some(back_up(step, &node.parse().unwrap(), client).await),
        ["nodes", node, "storage", _, "content", volid] => {
            of_volume(step, &node.parse().unwrap(), volid, client).await
        }
        ["nodes", node, "lxc"] if step.given.contains_key("restore") => {
            Some(restore(step, node, client).await)
        }
        ["nodes", node, "lxc", id, rest @ ..] => {
            of_guest(step, &node.parse().ok()?, id.parse().ok()?, rest, client).await
        }
        _ => None,
    }
}

async fn of_guest(
    step: &Step,
    node: &NodeName,
    vmid: Vmid,
    rest: &[&str],
    client: &Client,
) -> Option<Replayed> {
    Some(match (step.method.as_str(), rest) {
        ("POST", ["clone"]) => clone(step, node, vmid, client).await,
        ("POST", ["template"]) => {
            let made = client.make_template(node, vmid).await;
            ("make template", made.map(nothing), Asked::All)
        }
        ("PUT", ["resize"]) => grow(step, node, vmid, client).await,
        ("POST", ["move_volume"]) => {
            let to = parsed(step, "storage").unwrap();
            let key = volume_key(step, "volume").unwrap();
            let moved = client
                .move_volume(node, vmid, key, &to, &"d".parse().unwrap())
                .await;
            // To delete the old volume is not offered.
            ("move", moved.map(upid), Asked::Place)
        }
        ("POST", ["snapshot"]) => {
            let name = parsed(step, "snapname");
            let asked = all_if(name.is_some());
            let name = name.unwrap_or_else(|| "any".parse().unwrap());
            let text = step.given.get("description").cloned().unwrap_or_default();
            let taken = client.take_guest_snapshot(node, vmid, &name, &text).await;
            ("snapshot", taken.map(upid), asked)
        }
        ("PUT", ["snapshot", name, "config"]) => {
            let text = &step.given["description"];
            let name = name.parse().unwrap();
            let set = client
                .describe_guest_snapshot(node, vmid, &name, text)
                .await;
            ("describe snapshot", set.map(nothing), Asked::All)
        }
        ("POST", ["snapshot", name, "rollback"]) => {
            let permit = guest_snapshot_permit(node.as_str(), vmid.get(), name, Monotonic(0));
            let asked = all_if(!step.given.contains_key("start"));
            ("rollback", client.rollback(permit).await.map(upid), asked)
        }
        ("DELETE", ["snapshot", name]) => {
            let permit = guest_snapshot_permit(node.as_str(), vmid.get(), name, Monotonic(0));
            let deleted = client.delete_guest_snapshot(permit).await;
            let asked = all_if(!step.given.contains_key("force"));
            ("delete snapshot", deleted.map(upid), asked)
        }
        _ => return None,
    })
}

async fn clone(step: &Step, node: &NodeName, source: Vmid, client: &Client) -> Replayed {
    let (newid, hostname) = (parsed(step, "newid"), parsed(step, "hostname"));
    let hostname_fits = hostname.is_some() || !step.given.contains_key("hostname");
    let storage = parsed(step, "storage");
    let of = match (parsed(step, "snapname"), step.given.get("full")) {
        (Some(name), _) => CloneOf::GuestSnapshot { name, storage },
        (None, Some(_)) => CloneOf::Container { storage },
        // Which of the two PVE chooses by the source; the recorded call does not say.
        (None, None) => CloneOf::Template,
    };
    let asked = all_if(newid.is_some() && hostname_fits && !step.given.contains_key("target"));
    let copy = CloneLxc {
        vmid: newid.unwrap_or_else(|| vmid(150)),
        hostname: hostname.unwrap_or_else(|| "any".parse().unwrap()),
        description: step.given.get("description").cloned().unwrap_or_default(),
        pool: parsed(step, "pool"),
        of,
    };
    let made = client.clone_lxc(node, source, copy).await;
    ("clone", made.map(upid), asked)
}

fn volume_key(step: &Step, name: &str) -> Option<VolumeKey> {
    let text = step.given.get(name)?;
    if text == "rootfs" {
        return Some(VolumeKey::Rootfs);
    }
    let number = text.strip_prefix("mp")?.parse().ok()?;
    Some(VolumeKey::MountPoint(number))
}

async fn grow(step: &Step, node: &NodeName, vmid: Vmid, client: &Client) -> Replayed {
    let key = volume_key(step, "disk");
    let growth = step.given.get("size").and_then(|size| {
        let gib = size.strip_suffix('G')?;
        match gib.strip_prefix('+') {
            Some(more) => more.parse().ok().map(Growth::ByGib),
            None => gib.parse().ok().map(Growth::ToGib),
        }
    });
    let asked = all_if(key.is_some() && growth.is_some() && !step.given.contains_key("digest"));
    let key = key.unwrap_or(VolumeKey::Rootfs);
    let growth = growth.unwrap_or(Growth::ByGib(1));
    let grown = client
        .grow_volume(node, vmid, key, growth, &"d".parse().unwrap())
        .await;
    ("grow", grown.map(upid), asked)
}

async fn restore(step: &Step, node: &str, client: &Client) -> Replayed {
    let number: Vmid = parsed(step, "vmid").unwrap();
    let restore = RestoreLxc {
        backup: parsed(step, "ostemplate").unwrap(),
        storage: parsed(step, "storage").unwrap(),
        hostname: parsed(step, "hostname"),
        description: "notes".to_owned(),
        addresses: match step.given.get("unique") {
            Some(_) => Addresses::NewMacs,
            None => Addresses::Same,
        },
        pool: parsed(step, "pool"),
        protection: true,
    };
    if step.given.contains_key("force") {
        let permit = permit(node, number.get(), Monotonic(0));
        let made = client.restore_lxc_over(permit, restore).await;
        return ("restore over", made.map(upid), Asked::All);
    }
    let made = client
        .restore_lxc(&node.parse().unwrap(), number, restore)
        .await;
    ("restore", made.map(upid), Asked::All)
}

async fn back_up(step: &Step, node: &NodeName, client: &Client) -> Replayed {
    let mode = match step.given.get("mode").map(String::as_str) {
        Some("stop") => BackupMode::Stop,
        Some("suspend") => BackupMode::Suspend,
        Some(_) | None => BackupMode::Snapshot,
    };
    let mode_fits = step.given.get("mode").is_none_or(|m| m != "nosuch");
    let (number, storage) = (parsed(step, "vmid"), parsed(step, "storage"));
    let asked = all_if(number.is_some() && storage.is_some() && mode_fits);
    let backup = NewBackup {
        vmid: number.unwrap_or_else(|| vmid(100)),
        storage: storage.unwrap_or_else(|| "local".parse().unwrap()),
        mode,
        notes: step
            .given
            .get("notes-template")
            .cloned()
            .unwrap_or_default(),
        protected: step.given.get("protected").is_some_and(|on| on == "1"),
    };
    let made = client.back_up(node, backup).await;
    let made = made.map(|task| task.map_or_else(|| "OK".into(), upid));
    ("back up", made, asked)
}

async fn of_volume(step: &Step, node: &NodeName, volid: &str, client: &Client) -> Option<Replayed> {
    let (_, file) = volid.split_once(":backup/")?;
    let volid = volid.parse().unwrap();
    if step.method == "DELETE" {
        let number: u32 = file.split('-').nth(2)?.parse().unwrap();
        let permit = backup_permit(node.as_str(), &volid, number, Monotonic(0));
        let deleted = client.delete_backup(permit).await;
        return Some(("delete backup", deleted.map(upid), Asked::All));
    }
    // Both at once is two calls here.
    Some(match step.given.get("notes") {
        Some(notes) => {
            let set = client.describe_backup(node, &volid, notes).await;
            let asked = all_if(!step.given.contains_key("protected"));
            ("describe backup", set.map(nothing), asked)
        }
        None => {
            let set = if step.given["protected"] == "1" {
                client.protect_backup(node, &volid).await
            } else {
                let number: u32 = file.split('-').nth(2)?.parse().unwrap();
                let permit = unprotect_permit(node.as_str(), &volid, number, Monotonic(0));
                client.unprotect_backup(permit).await
            };
            ("protect backup", set.map(nothing), Asked::All)
        }
    })
}

async fn of_pools(step: &Step, client: &Client) -> Option<Replayed> {
    let name = parsed(step, "poolid");
    let fits = name.is_some();
    let name = name.unwrap_or_else(|| "any".parse().unwrap());
    Some(match step.method.as_str() {
        "POST" => {
            let comment = step.given.get("comment").cloned().unwrap_or_default();
            let made = client.create_pool(&name, &comment).await;
            ("create pool", made.map(nothing), all_if(fits))
        }
        "DELETE" => {
            let deleted = client.delete_pool(&name).await;
            ("delete pool", deleted.map(nothing), all_if(fits))
        }
        _ => {
            let list = |name: &str| step.given.get(name).cloned().unwrap_or_default();
            let members = Members {
                guests: list("vms")
                    .split(',')
                    .filter_map(|v| v.parse().ok())
                    .collect(),
                storages: list("storage")
                    .split(',')
                    .filter_map(|s| s.parse().ok())
                    .collect(),
            };
            // To take a guest out of another pool is not offered.
            let asked = all_if(fits && !step.given.contains_key("allow-move"));
            if step.given.contains_key("delete") {
                let removed = client.remove_from_pool(&name, &members).await;
                return Some(("remove from pool", removed.map(nothing), asked));
            }
            let added = client.add_to_pool(&name, &members).await;
            ("add to pool", added.map(nothing), asked)
        }
    })
}
