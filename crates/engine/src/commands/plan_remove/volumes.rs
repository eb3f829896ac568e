//! What goes with a container that PVE destroys, read from its configuration.

use std::collections::BTreeMap;

use proximity_domain::ids::Vmid;
use proximity_pve::property::PropertyString;
use serde_json::Value;

/// What is mounted in a container, by what becomes of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::commands) struct Volumes {
    /// Destroyed with it: volumes that bear its number, those it no longer uses too.
    pub(in crate::commands) destroyed: Vec<String>,
    /// Left: folders and devices of the node, and volumes that bear another number.
    pub(super) kept: Vec<String>,
}

/// The volumes of a configuration: PVE frees those whose name has the container's number in it (`PVE::LXC`:
/// `destroy_lxc_container`, `delete_mountpoint_volume`), and nothing else.
pub(in crate::commands) fn volumes(config: &BTreeMap<String, Value>, vmid: Vmid) -> Volumes {
    let mut found = Volumes::default();
    let mounts = config.iter().filter(|(key, _)| is_mount(key));
    for (key, value) in mounts {
        let Some(text) = value.as_str() else { continue };
        let pairs = PropertyString::parse(text);
        let Some(volume) = pairs.get_default("volume") else {
            continue;
        };
        let size = pairs.get("size");
        let size = size.map_or_else(String::new, |size| format!(", {size}"));
        let told = format!("{volume} ({key}{size})");
        if is_its_own(volume, vmid) {
            found.destroyed.push(told);
        } else {
            found.kept.push(told);
        }
    }
    found
}

fn is_mount(key: &str) -> bool {
    let family = key.trim_end_matches(|c: char| c.is_ascii_digit());
    key == "rootfs" || (family != key && ["mp", "unused"].contains(&family))
}

/// Whether the volume bears this number: `vm-100-disk-0`, `subvol-100-disk-0`, and bases of templates.
fn is_its_own(volume: &str, vmid: Vmid) -> bool {
    let Some((_storage, name)) = volume.split_once(':') else {
        return false;
    };
    let name = name.rsplit('/').next().unwrap_or(name);
    let mut parts = name.split('-');
    let kind = parts.next().unwrap_or_default();
    let number = parts.next().unwrap_or_default();
    ["vm", "subvol", "base", "basevol"].contains(&kind) && number == vmid.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn its_own_volumes_go_and_folders_and_those_of_others_stay() {
        let config = serde_json::from_value(json!({
            "rootfs": "local-lvm:vm-105-disk-0,size=4G",
            "mp0": "local-zfs:basevol-100-disk-0/subvol-105-disk-1,mp=/data,size=8G",
            "mp1": "/srv/music,mp=/music",
            "mp2": "local-lvm:vm-106-disk-0,mp=/shared,size=1G",
            "unused0": "local:105/vm-105-disk-7.raw",
            "memory": 512, "net0": "name=eth0", "mp": "local:vm-105-disk-9",
        }));
        let found = volumes(&config.unwrap(), Vmid::try_from(105).unwrap());
        let destroyed = [
            "local-zfs:basevol-100-disk-0/subvol-105-disk-1 (mp0, 8G)",
            "local-lvm:vm-105-disk-0 (rootfs, 4G)",
            "local:105/vm-105-disk-7.raw (unused0)",
        ];
        assert_eq!(found.destroyed, destroyed);
        let kept = ["/srv/music (mp1)", "local-lvm:vm-106-disk-0 (mp2, 1G)"];
        assert_eq!(found.kept, kept);
    }
}
