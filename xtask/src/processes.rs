//! Ending a process together with everything it started, and nothing else.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// Which signal is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    /// Asks to end; gives tests and labs the chance to put things back.
    Terminate,
    /// Ends at once.
    Kill,
}

/// Sends a signal to the process and to all its descendants that live now.
///
/// Only processes that hang below `pid` at this moment are reached, by their number; one that
/// detached itself earlier is not found.
pub(crate) fn signal_tree(pid: u32, signal: Signal) {
    let name = match signal {
        Signal::Terminate => "-TERM",
        Signal::Kill => "-KILL",
    };
    let mut command = Command::new("kill");
    command.arg(name).arg("--");
    for process in descendants(pid, &parents()) {
        command.arg(process.to_string());
    }
    // A process that ended in between makes kill complain; that is the wanted state.
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Every process with its parent, as /proc shows it now.
fn parents() -> BTreeMap<u32, u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parent_of(&stat)?))
        })
        .collect()
}

/// The parent named in a line of /proc/PID/stat. The command name may hold spaces and brackets,
/// so the fields are counted from the last closing bracket.
fn parent_of(stat: &str) -> Option<u32> {
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

/// The process itself and all below it, leaves last.
fn descendants(pid: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(child, of)| **of == parent && **child != parent)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_read_behind_a_name_with_brackets() {
        assert_eq!(parent_of("12 (a) b) (c) S 7 12 12 0"), Some(7));
        assert_eq!(parent_of("12 no brackets"), None);
    }

    #[test]
    fn descendants_are_those_below_and_no_others() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 2), (5, 1), (6, 4), (1, 0)]);
        assert_eq!(descendants(2, &parents), vec![2, 3, 4, 6]);
        assert_eq!(descendants(5, &parents), vec![5]);
    }
}
