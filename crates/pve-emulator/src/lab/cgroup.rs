//! Control groups: which layout the machine has, where a guest's figures are, and removing groups a lab made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::LabError;

const ROOT: &str = "/sys/fs/cgroup";
/// Deeper groups than this are not searched for a lab's own.
const MAX_DEPTH: u8 = 12;

/// The machine's cgroup layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One tree per controller (also the hybrid form, whose v2 tree carries no useful controllers).
    Legacy,
    /// One tree for all.
    Unified,
}

/// Finds out which layout is mounted.
pub(super) fn layout() -> Layout {
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        Layout::Unified
    } else {
        Layout::Legacy
    }
}

/// What a running guest uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// Memory without inactive page cache, bytes.
    pub(crate) mem_bytes: u64,
    /// CPU time so far, nanoseconds.
    pub(crate) cpu_ns: u64,
}

/// Reads the figures of the guest whose init is `pid` and whose group is called `group`; zero where the kernel
/// offers none, or the guest just ended.
pub(crate) fn usage(layout: Layout, pid: u32, group: &str) -> Usage {
    let table = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let path = |controller| group_path(&table, controller, group).unwrap_or_default();
    match layout {
        Layout::Legacy => {
            let memory = path("memory");
            let used = number(&memory.join("memory.usage_in_bytes"));
            let inactive = keyed(&memory.join("memory.stat"), "total_inactive_file");
            let cpu_ns = number(&path("cpuacct").join("cpuacct.usage"));
            Usage {
                mem_bytes: used.saturating_sub(inactive),
                cpu_ns,
            }
        }
        Layout::Unified => {
            let path = path("");
            let used = number(&path.join("memory.current"));
            let inactive = keyed(&path.join("memory.stat"), "inactive_file");
            let cpu_ns = keyed(&path.join("cpu.stat"), "usage_usec").saturating_mul(1000);
            Usage {
                mem_bytes: used.saturating_sub(inactive),
                cpu_ns,
            }
        }
    }
}

/// Directory of `group` in the tree of `controller`, from a process's list of groups. The process may have moved
/// into a group below, and the lab's own groups may hang below another one.
fn group_path(table: &str, controller: &str, group: &str) -> Option<PathBuf> {
    trees_of(table)
        .find(|(names, _)| names.split(',').any(|name| name == controller))
        .and_then(|(names, path)| {
            let end = path.find(group)? + group.len();
            Some(tree_root(names).join(path.get(1..end)?))
        })
}

/// (controllers, path) of each line of a `/proc/PID/cgroup`; named trees by their name, the v2 tree as "".
fn trees_of(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        Some((names.strip_prefix("name=").unwrap_or(names), path))
    })
}

fn tree_root(names: &str) -> PathBuf {
    match (names, layout()) {
        ("", Layout::Legacy) => Path::new(ROOT).join("unified"),
        (names, Layout::Legacy | Layout::Unified) => Path::new(ROOT).join(names),
    }
}

fn number(path: &Path) -> u64 {
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

fn keyed(path: &Path, key: &str) -> u64 {
    std::fs::read_to_string(path).map_or(0, |text| value_of(&text, key))
}

fn value_of(text: &str, key: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// Removes every group whose name starts with `prefix` from all trees, with the groups below it.
///
/// Groups of processes that are just ending are waited for, at most 5 s.
///
/// # Errors
/// A group could not be removed in time: processes still live in it.
pub(crate) async fn remove_trees(prefix: &str) -> Result<(), LabError> {
    let mut last = None;
    for _ in 0..250 {
        last = remove_once(prefix);
        if last.is_none() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match last {
        None => Ok(()),
        Some((path, source)) => Err(LabError::Io {
            what: format!("remove the control group {}", path.display()),
            source,
        }),
    }
}

/// The groups with this prefix that exist now, in all trees, wherever they hang.
pub(crate) fn trees(prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(Path::new(ROOT), prefix, MAX_DEPTH, &mut found);
    found
}

fn walk(path: &Path, prefix: &str, depth: u8, found: &mut Vec<PathBuf>) {
    for child in children(path) {
        let name = child
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with(prefix) {
            found.push(child);
        } else if depth > 0 {
            walk(&child, prefix, depth - 1, found);
        }
    }
}

/// Removes what an ended guest's group may have left in any tree; groups in use stay.
pub(crate) fn remove_group(group: &str) {
    // LXC hangs its groups below those of the first process.
    let table = std::fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    for (names, path) in trees_of(&table) {
        let path = path
            .strip_suffix("/init.scope")
            .unwrap_or(path)
            .trim_start_matches('/');
        for name in [group.to_owned(), format!("{group}.monitor")] {
            // A group in use refuses, and the start that follows says so.
            drop(remove_tree(&tree_root(names).join(path).join(name)));
        }
    }
}

fn remove_once(prefix: &str) -> Option<(PathBuf, std::io::Error)> {
    let failed = trees(prefix)
        .into_iter()
        .filter_map(|tree| remove_tree(&tree));
    // All are tried; one failure is enough to tell.
    failed.collect::<Vec<_>>().pop()
}

fn remove_tree(path: &Path) -> Option<(PathBuf, std::io::Error)> {
    for child in children(path) {
        // What cannot be removed below shows as an error of the parent.
        drop(remove_tree(&child));
    }
    match std::fs::remove_dir(path) {
        Ok(()) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some((path.to_owned(), error)),
    }
}

fn children(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_keyed_files() {
        let text = "cache 10\ntotal_inactive_file 4096\n";
        assert_eq!(value_of(text, "total_inactive_file"), 4096);
        assert_eq!(value_of(text, "missing"), 0);
    }

    #[test]
    fn a_group_is_found_below_others_and_above_where_init_went() {
        let table = "9:name=systemd:/a/pxlab-1/pve1-100/init.scope\n4:cpu,cpuacct:/pxlab-1/pve1-100\n\
            2:memory:/a/b/pxlab-1/pve1-100\n1:pids:/\n";
        let path = |controller| group_path(table, controller, "pxlab-1/pve1-100");
        let under = |rest: &str| Some(Path::new(ROOT).join(rest));
        assert_eq!(path("memory"), under("memory/a/b/pxlab-1/pve1-100"));
        assert_eq!(path("cpuacct"), under("cpu,cpuacct/pxlab-1/pve1-100"));
        assert_eq!(path("systemd"), under("systemd/a/pxlab-1/pve1-100"));
        assert_eq!((path("pids"), path("devices")), (None, None));
    }
}
