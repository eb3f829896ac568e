//! Directory listings of the API tree.

use serde_json::{Value, json};

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::Behaviour;

const NODE: [&str; 41] = [
    "aplinfo",
    "apt",
    "capabilities",
    "ceph",
    "certificates",
    "config",
    "disks",
    "dns",
    "firewall",
    "hardware",
    "hosts",
    "journal",
    "lxc",
    "migrateall",
    "netstat",
    "network",
    "qemu",
    "query-oci-repo-tags",
    "query-url-metadata",
    "replication",
    "report",
    "rrd",
    "rrddata",
    "scan",
    "sdn",
    "services",
    "spiceshell",
    "startall",
    "status",
    "stopall",
    "storage",
    "subscription",
    "suspendall",
    "syslog",
    "tasks",
    "termproxy",
    "time",
    "version",
    "vncshell",
    "vzdump",
    "wakeonlan",
];
const CLUSTER: [&str; 21] = [
    "acme",
    "backup",
    "backup-info",
    "bulk-action",
    "ceph",
    "config",
    "firewall",
    "ha",
    "jobs",
    "log",
    "mapping",
    "metrics",
    "notifications",
    "nextid",
    "options",
    "qemu",
    "replication",
    "resources",
    "status",
    "tasks",
    "sdn",
];
const GUEST: [&str; 15] = [
    "config",
    "pending",
    "status",
    "vncproxy",
    "termproxy",
    "vncwebsocket",
    "spiceproxy",
    "migrate",
    "clone",
    "rrd",
    "rrddata",
    "firewall",
    "snapshot",
    "resize",
    "interfaces",
];
const STORAGE: [&str; 11] = [
    "content",
    "download-url",
    "file-restore",
    "import-metadata",
    "identity",
    "oci-registry-pull",
    "prunebackups",
    "rrd",
    "rrddata",
    "status",
    "upload",
];

/// The listing of a path, if it is one.
pub(super) fn behaviour(path: &str) -> Option<Behaviour> {
    let behaviour: Behaviour = match path {
        "/" => |_| {
            Ok(listing(
                "subdir",
                &["version", "cluster", "nodes", "storage", "access", "pools"],
            )
            .into())
        },
        "/access" => |_| {
            Ok(listing(
                "subdir",
                &[
                    "users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket",
                    "password",
                ],
            )
            .into())
        },
        "/cluster" => |_| Ok(listing("name", &CLUSTER).into()),
        "/nodes/{node}" => |_| Ok(listing("name", &NODE).into()),
        "/nodes/{node}/tasks/{upid}" => |_| Ok(listing("name", &["log", "status"]).into()),
        "/nodes/{node}/storage/{storage}" => |_| Ok(listing("subdir", &STORAGE).into()),
        "/nodes/{node}/lxc/{vmid}" => |call| of_guest(call, &GUEST),
        "/nodes/{node}/lxc/{vmid}/status" => |call| {
            of_guest(
                call,
                &["current", "start", "stop", "shutdown", "reboot", "migrate"],
            )
        },
        _ => return None,
    };
    Some(behaviour)
}

fn listing(key: &str, names: &[&str]) -> Value {
    names.iter().map(|name| json!({key: name})).collect()
}

fn of_guest(call: &mut Call<'_>, names: &[&str]) -> Outcome {
    let key = call.guest_key();
    if call.world.guest(&key).is_none() {
        return Err(ApiError::no_config(&key.node, key.vmid).into());
    }
    Ok(listing("subdir", names).into())
}
