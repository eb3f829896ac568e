//! What is there when a cluster begins.

use std::collections::BTreeMap;

use proximity_pve_emulator::core::{
    self, Access, Bridge, NodeSeed, Storage, TaskTimes, Template, TokenSeed, WorldSeed,
};

/// What a node has.
#[derive(Debug, Clone, Copy)]
pub struct NodeRoom {
    /// CPU threads.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Of the storage for containers, bytes.
    pub disk_bytes: u64,
}

impl Default for NodeRoom {
    fn default() -> Self {
        Self {
            cpus: 4,
            memory_bytes: 8 << 30,
            disk_bytes: 100 << 30,
        }
    }
}

pub(crate) const TEMPLATE: &str = "debian-12-standard_12.0-1_amd64.tar.zst";

/// A standalone node, `pve1`, of this size.
#[must_use]
pub fn seed(token: &str, secret: &str, access: Access, room: NodeRoom) -> WorldSeed {
    seed_of(token, secret, access, 0, &["pve1"], room)
}

pub(crate) fn seed_of(
    token: &str,
    secret: &str,
    access: Access,
    number: u8,
    nodes: &[&str],
    room: NodeRoom,
) -> WorldSeed {
    let gib = 1_u64 << 30;
    WorldSeed {
        cluster_name: (nodes.len() > 1).then(|| format!("cluster{number}")),
        nodes: nodes
            .iter()
            .zip(1..)
            .map(|(name, i)| NodeSeed {
                name: (*name).to_owned(),
                address: format!("192.0.2.{i}"),
                cpus: room.cpus,
                memory_bytes: room.memory_bytes,
                memory_used_bytes: gib,
                disk_bytes: room.disk_bytes,
                disk_used_bytes: 10 * gib,
                bridges: vec![Bridge {
                    name: "vmbr0".to_owned(),
                    cidr: Some("10.1.0.1/16".to_owned()),
                }],
            })
            .collect(),
        storages: vec![Storage {
            id: "local".to_owned(),
            kind: "dir".to_owned(),
            content: ["rootdir", "images", "vztmpl"].map(str::to_owned).to_vec(),
            shared: false,
            nodes: None,
            path: "/var/lib/vz".to_owned(),
            options: BTreeMap::new(),
            total_bytes: room.disk_bytes,
            used_bytes: gib,
        }],
        templates: vec![Template {
            storage: "local".to_owned(),
            node: None,
            file: TEMPLATE.to_owned(),
            size_bytes: 64 << 20,
            ctime_s: 1_700_000_000,
            ostype: "debian".to_owned(),
        }],
        pools: BTreeMap::new(),
        tokens: vec![TokenSeed {
            id: token.to_owned(),
            secret_sha256: core::hash_secret(secret),
            access,
        }],
        random: u64::from(number) + 1,
        times: TaskTimes {
            create_ms: 20,
            start_ms: 10,
            stop_ms: 10,
            shutdown_ms: 10,
            destroy_ms: 10,
            ..TaskTimes::default()
        },
    }
}
