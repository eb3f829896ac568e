//! The clusters of the recordings.

use std::collections::BTreeMap;

use proximity_pve_emulator::core::{
    Access, Bridge, NodeSeed, Pool, Storage, TaskTimes, Template, TokenSeed, WorldSeed, hash_secret,
};

pub const ALPINE: &str = "local:vztmpl/alpine-lab_1.0_amd64.tar.zst";
pub const GIB: u64 = 1 << 30;

/// A token id and its secret, which is the id's name.
pub fn token(id: &str, access: Access) -> TokenSeed {
    TokenSeed {
        id: id.to_owned(),
        secret_sha256: hash_secret("secret"),
        access,
    }
}

pub fn node(name: &str, address: &str) -> NodeSeed {
    NodeSeed {
        name: name.into(),
        address: address.into(),
        cpus: 2,
        memory_bytes: 16 * GIB,
        memory_used_bytes: GIB,
        disk_bytes: 250 * GIB,
        disk_used_bytes: 30 * GIB,
        bridges: vec![Bridge {
            name: "vmbr0".into(),
            cidr: Some(format!("{address}/24")),
        }],
    }
}

pub fn storage(id: &str, kind: &str, content: &[&str], shared: bool) -> Storage {
    Storage {
        id: id.into(),
        kind: kind.into(),
        content: content.iter().map(|c| (*c).to_owned()).collect(),
        shared,
        nodes: None,
        path: if id == "local" {
            "/var/lib/vz".into()
        } else {
            format!("/mnt/{id}")
        },
        options: BTreeMap::new(),
        total_bytes: 250 * GIB,
        used_bytes: 30 * GIB,
    }
}

fn template(file: &str) -> Template {
    Template {
        storage: "local".into(),
        node: None,
        file: file.into(),
        size_bytes: 1_114_047,
        ctime_s: 1_795_169_294,
        ostype: "alpine".into(),
    }
}

/// The world of a recording's standard fixture.
pub fn recorded(cluster: Option<&str>, nodes: &[(&str, &str)]) -> WorldSeed {
    let mut local = storage(
        "local",
        "dir",
        &["backup", "images", "vztmpl", "snippets", "rootdir", "iso"],
        false,
    );
    local
        .options
        .insert("prune-backups".into(), "keep-all=1".into());
    let mut btr = storage("btr", "btrfs", &["images", "rootdir"], false);
    btr.options.insert("is_mountpoint".into(), "1".into());
    btr.nodes = cluster.is_some().then(|| vec!["pve1".into()]);
    let shared = storage("shared", "dir", &["images", "rootdir", "backup"], true);
    let apps = Pool {
        comment: Some("test pool".into()),
        vms: Vec::new(),
        storages: vec!["local".into()],
    };
    WorldSeed {
        cluster_name: cluster.map(str::to_owned),
        nodes: nodes
            .iter()
            .map(|(name, address)| node(name, address))
            .collect(),
        storages: vec![local, btr, shared],
        templates: vec![
            template("alpine-lab_1.0_amd64.tar.zst"),
            template("labhttpd_1.0.tar"),
        ],
        pools: BTreeMap::from([("apps".to_owned(), apps)]),
        tokens: vec![
            token("root@pam!gold", Access::Full),
            token("limited@pve!t1", Access::Empty),
        ],
        random: 7,
        times: TaskTimes::default(),
    }
}

/// A standalone node `solo`.
pub fn solo() -> WorldSeed {
    recorded(None, &[("solo", "10.99.0.21")])
}

/// The cluster `lab` of pve1, pve2, pve3.
pub fn cluster() -> WorldSeed {
    recorded(
        Some("lab"),
        &[
            ("pve1", "10.99.0.11"),
            ("pve2", "10.99.0.12"),
            ("pve3", "10.99.0.13"),
        ],
    )
}
