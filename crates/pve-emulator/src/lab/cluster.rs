//! The cluster a lab shows at its first start: its nodes have this machine's size.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::LabError;
use super::ground::BRIDGE_IN_CONFIGURATIONS;
use super::options::{Guests, LabOptions};
use super::route::Ipv4Net;
use super::template::{TEMPLATE_NAME, Template as OsTemplate};
use crate::core::{Access, Bridge, NodeSeed, Storage, Template, WorldSeed};
use crate::shell::{NodeListen, ShellOptions, TokenWish};

/// The storage of templates and backups, and of disks that need no snapshots.
pub const STORAGE: &str = "local";
/// A storage of disks that can keep snapshots of them.
pub const SNAPSHOT_STORAGE: &str = "local-zfs";
/// A token that may do everything.
pub const FULL_TOKEN: &str = "root@pam!proximity";
/// A token without any right.
pub const EMPTY_TOKEN: &str = "nobody@pve!empty";

/// The template's archive as the storage lists it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsTemplateFile {
    pub(crate) bytes: u64,
    /// Unix seconds.
    pub(crate) made_s: u64,
}

impl OsTemplateFile {
    pub(crate) fn of(template: &OsTemplate) -> Self {
        Self {
            bytes: template.archive_bytes,
            made_s: template.made_s,
        }
    }
}

/// Size of the machine, as the nodes show it.
#[derive(Debug, Clone, Copy)]
struct Machine {
    cpus: u32,
    memory_bytes: u64,
    memory_used_bytes: u64,
    disk_bytes: u64,
    disk_used_bytes: u64,
}

/// The machine of a node whose guests are simulated: they take nothing of the one that the lab runs on.
const SIMULATED: Machine = Machine {
    cpus: 16,
    memory_bytes: 64 << 30,
    memory_used_bytes: 4 << 30,
    disk_bytes: 1 << 40,
    disk_used_bytes: 16 << 30,
};

/// What the shell is started with.
///
/// # Errors
/// The machine's size cannot be read.
pub(crate) fn shell_options(
    options: &LabOptions,
    template: OsTemplateFile,
    net: Ipv4Net,
) -> Result<ShellOptions, LabError> {
    let machine = match options.guests {
        Guests::Lxc => Machine::read(&options.state_dir)?,
        Guests::Simulated => SIMULATED,
    };
    let listen = options
        .nodes
        .iter()
        .enumerate()
        .map(|(place, node)| NodeListen {
            node: node.clone(),
            address: LabOptions::address(options.listen, place),
        });
    let token = |id: &str, access| TokenWish {
        id: id.to_owned(),
        access,
    };
    let templates = vec![os_template(template)];
    Ok(ShellOptions {
        state_dir: options.state_dir.clone(),
        listen: listen.collect(),
        certificate_names: Vec::new(),
        seed: seed(options, machine, net, templates.clone()),
        tokens: vec![
            token(FULL_TOKEN, Access::Full),
            token(EMPTY_TOKEN, Access::Empty),
        ],
        templates: Some(templates),
        task_times: options.task_times,
    })
}

fn seed(
    options: &LabOptions,
    machine: Machine,
    net: Ipv4Net,
    templates: Vec<Template>,
) -> WorldSeed {
    let bridge = Bridge {
        name: BRIDGE_IN_CONFIGURATIONS.to_owned(),
        cidr: Some(format!("{}/{}", net.gateway(), net.prefix())),
    };
    let node = |name: &String| NodeSeed {
        name: name.clone(),
        address: options.listen.ip().to_string(),
        cpus: machine.cpus,
        memory_bytes: machine.memory_bytes,
        memory_used_bytes: machine.memory_used_bytes,
        disk_bytes: machine.disk_bytes,
        disk_used_bytes: machine.disk_used_bytes,
        bridges: vec![bridge.clone()],
    };
    let several = options.nodes.len() > 1;
    WorldSeed {
        cluster_name: several.then(|| "lab".to_owned()),
        nodes: options.nodes.iter().map(node).collect(),
        storages: vec![storage(machine), snapshot_storage(machine)],
        templates,
        pools: BTreeMap::new(),
        tokens: Vec::new(),
        random: 0,
        times: options.task_times.unwrap_or_default(),
    }
}

fn storage(machine: Machine) -> Storage {
    let content = ["backup", "images", "vztmpl", "snippets", "rootdir", "iso"];
    let keep_all = ("prune-backups".to_owned(), "keep-all=1".to_owned());
    Storage {
        id: STORAGE.to_owned(),
        kind: "dir".to_owned(),
        content: content.map(str::to_owned).to_vec(),
        shared: false,
        nodes: None,
        path: "/var/lib/vz".to_owned(),
        options: BTreeMap::from([keep_all]),
        total_bytes: machine.disk_bytes,
        used_bytes: machine.disk_used_bytes,
    }
}

fn snapshot_storage(machine: Machine) -> Storage {
    Storage {
        id: SNAPSHOT_STORAGE.to_owned(),
        kind: "zfspool".to_owned(),
        content: ["images", "rootdir"].map(str::to_owned).to_vec(),
        shared: false,
        nodes: None,
        path: String::new(),
        options: BTreeMap::from([("pool".to_owned(), "rpool/data".to_owned())]),
        total_bytes: machine.disk_bytes,
        used_bytes: machine.disk_used_bytes,
    }
}

fn os_template(template: OsTemplateFile) -> Template {
    Template {
        storage: STORAGE.to_owned(),
        node: None,
        file: TEMPLATE_NAME.to_owned(),
        size_bytes: template.bytes,
        ctime_s: template.made_s,
        ostype: "debian".to_owned(),
    }
}

impl Machine {
    fn read(directory: &Path) -> Result<Self, LabError> {
        let text =
            std::fs::read_to_string("/proc/meminfo").map_err(LabError::io("read /proc/meminfo"))?;
        let memory_bytes = kibibytes(&text, "MemTotal:") * 1024;
        let available_bytes = kibibytes(&text, "MemAvailable:") * 1024;
        let disk = rustix::fs::statvfs(directory)
            .map_err(|errno| LabError::io("ask for the disk's size")(errno.into()))?;
        let disk_bytes = disk.f_blocks * disk.f_frsize;
        Ok(Self {
            cpus: super::ground::cores_there(),
            memory_bytes,
            memory_used_bytes: memory_bytes.saturating_sub(available_bytes),
            disk_bytes,
            disk_used_bytes: disk_bytes.saturating_sub(disk.f_bfree * disk.f_frsize),
        })
    }
}

fn kibibytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kibibytes() {
        let text = "MemTotal:       24661000 kB\nMemFree: 1 kB\n";
        assert_eq!(kibibytes(text, "MemTotal:"), 24_661_000);
        assert_eq!(kibibytes(text, "MemAvailable:"), 0);
    }

    #[test]
    fn the_nodes_are_as_large_as_this_machine() {
        let machine = Machine::read(Path::new("/")).unwrap();
        assert!(machine.cpus > 0 && machine.memory_bytes > 100 << 20);
        assert!(machine.disk_used_bytes < machine.disk_bytes);
    }
}
