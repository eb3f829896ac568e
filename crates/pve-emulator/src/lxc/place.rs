//! Where a lab's guests live, and whether one runs.

use std::path::{Path, PathBuf};

use crate::core::guest::GuestKey;

/// Where LXC looks for containers by default; a lab mounts its own directory there in its own mount namespace,
/// because every directory above a guest's must be open to the guests' shifted root.
pub(crate) const LXC_ROOT: &str = "/var/lib/lxc";

/// The place of one lab's guests: names and paths that no other lab on the machine shares.
#[derive(Debug, Clone)]
pub struct Place {
    id: String,
    scope: Option<String>,
}

impl Place {
    /// The place of the lab `id` (4 hex digits); `scope` is the private namespace it runs in, if any.
    pub fn new(id: impl Into<String>, scope: Option<String>) -> Self {
        Self {
            id: id.into(),
            scope,
        }
    }

    /// The lab's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The private namespace it runs in, if any.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// LXC's `-P` of a node.
    pub(crate) fn lxcpath(&self, node: &str) -> PathBuf {
        self.root().join(node)
    }

    /// The folder of those of all nodes.
    pub(crate) fn root(&self) -> PathBuf {
        Path::new(LXC_ROOT).join(&self.id)
    }

    /// A guest's directory.
    pub(crate) fn directory(&self, guest: &GuestKey) -> PathBuf {
        self.lxcpath(&guest.node).join(guest.vmid.to_string())
    }

    /// Where a guest's snapshots are.
    pub(crate) fn snapshots(&self, guest: &GuestKey) -> PathBuf {
        self.directory(guest).join("snapshots")
    }

    /// First part of the names of all control groups of this lab.
    pub(crate) fn cgroup_root(&self) -> String {
        match &self.scope {
            Some(scope) => format!("{}{}", Self::scope_prefix(scope), self.id),
            None => format!("pxlab-{}", self.id),
        }
    }

    /// What the names of all control groups made in a private namespace start with. The `s` keeps them apart from
    /// those of labs outside, whose ids are digits of the same kind.
    pub(crate) fn scope_prefix(scope: &str) -> String {
        format!("pxlab-s{scope}-")
    }

    /// Control group of a guest's processes, relative to each tree.
    pub(crate) fn cgroup(&self, guest: &GuestKey) -> String {
        format!("{}/{}-{}", self.cgroup_root(), guest.node, guest.vmid)
    }

    /// Name of the host's end of a guest's network device: unique on the machine, at most 15 characters.
    pub(crate) fn veth(&self, guest: &GuestKey, index: u8) -> String {
        format!("px{}{}i{index}", self.id, base36(guest.vmid))
    }

    /// Name of a device's other end before it is in its guest; as unique as the pair's.
    pub(crate) fn passing_veth(pair: &str) -> String {
        pair.replacen("px", "pp", 1)
    }

    /// Whether a device on this machine is an end of one of the lab's guests'.
    pub(crate) fn is_device_of(id: &str, name: &str) -> bool {
        let rest = name.strip_prefix("px").or_else(|| name.strip_prefix("pp"));
        rest.is_some_and(|rest| rest.starts_with(id))
    }

    /// Whether the guest's monitor is there, that is, whether it runs (or is about to have ended).
    pub(crate) fn is_running(&self, guest: &GuestKey) -> bool {
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
        has_socket(&sockets, &self.command_socket(guest))
    }

    /// All running guests of this lab.
    pub fn running(&self) -> Vec<GuestKey> {
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
        running_in(&sockets, &format!("@{LXC_ROOT}/{}/", self.id))
    }

    fn command_socket(&self, guest: &GuestKey) -> String {
        format!("@{}/command", self.directory(guest).display())
    }
}

fn has_socket(table: &str, name: &str) -> bool {
    table
        .lines()
        .any(|line| line.split_whitespace().last() == Some(name))
}

fn running_in(table: &str, prefix: &str) -> Vec<GuestKey> {
    let mut found: Vec<GuestKey> = table
        .lines()
        .filter_map(|line| line.split_whitespace().last()?.strip_prefix(prefix))
        .filter_map(|rest| {
            let (node, rest) = rest.split_once('/')?;
            let vmid = rest.strip_suffix("/command")?.parse().ok()?;
            Some(GuestKey {
                node: node.to_owned(),
                vmid,
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn base36(mut number: u32) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(DIGITS[(number % 36) as usize]));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(vmid: u32) -> GuestKey {
        GuestKey {
            node: "pve1".to_owned(),
            vmid,
        }
    }

    #[test]
    fn device_names_fit_and_differ() {
        let place = Place::new("a1b2", None);
        assert_eq!(place.veth(&guest(999_999_999), 31).len(), 15);
        assert_ne!(place.veth(&guest(100), 0), place.veth(&guest(101), 0));
        assert_ne!(
            place.veth(&guest(100), 0),
            Place::new("a1b3", None).veth(&guest(100), 0)
        );
    }

    #[test]
    fn devices_are_of_one_lab() {
        let place = Place::new("a1b2", None);
        let pair = place.veth(&guest(100), 0);
        for name in [&pair, &Place::passing_veth(&pair)] {
            assert!(Place::is_device_of("a1b2", name), "{name}");
            assert!(!Place::is_device_of("a1b3", name), "{name}");
        }
        assert!(!Place::is_device_of("a1b2", "pxlaba1b2"));
    }

    #[test]
    fn running_guests_are_read_from_the_socket_table() {
        let table = "Num RefCount Protocol Flags Type St Inode Path\n\
            ffff: 00000002 00000000 00010000 0001 01 123 @/var/lib/lxc/a1b2/pve1/100/command\n\
            ffff: 00000003 00000000 00000000 0001 03 124 @/var/lib/lxc/a1b2/pve1/100/command\n\
            ffff: 00000002 00000000 00010000 0001 01 125 @/var/lib/lxc/a1b2/pve2/7000/command\n\
            ffff: 00000002 00000000 00010000 0001 01 126 @/var/lib/lxc/ffff/pve1/101/command\n\
            ffff: 00000002 00000000 00010000 0001 01 127\n";
        let expected = vec![
            guest(100),
            GuestKey {
                node: "pve2".to_owned(),
                vmid: 7000,
            },
        ];
        assert_eq!(running_in(table, "@/var/lib/lxc/a1b2/"), expected);
        assert!(has_socket(table, "@/var/lib/lxc/a1b2/pve1/100/command"));
        assert!(!has_socket(table, "@/var/lib/lxc/a1b2/pve1/10/command"));
    }
}
