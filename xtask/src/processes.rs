//! Ending a process together with everything it started, and nothing else.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::clock::Deadline;

/// How often it is looked whether a process is gone: the kernel tells only a parent.
const LOOK: Duration = Duration::from_millis(10);

/// Which signal is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    /// Asks to end; gives tests and labs the chance to put things back.
    Terminate,
    /// Ends at once.
    Kill,
}

/// A process and all it started, by number and start time: a number that was given to somebody
/// else meanwhile is not one of them.
///
/// A process that detached itself before the first look is not found.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    members: BTreeMap<u32, u64>,
}

/// What /proc says about one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    parent: u32,
    /// In clock ticks since boot.
    started: u64,
    /// Ended, and only waits for its parent to ask how.
    ended: bool,
}

impl Tree {
    /// The process and its descendants that live now.
    pub(crate) fn of(pid: u32) -> Self {
        let seen = look();
        let mut tree = Self {
            members: BTreeMap::new(),
        };
        if let Some(root) = seen.get(&pid) {
            tree.members.insert(pid, root.started);
        }
        tree.grow(&seen);
        tree
    }

    /// Sends a signal to all that live, those started since the last look too.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let seen = look();
        self.grow(&seen);
        let living = self.living(&seen);
        if living.is_empty() {
            return;
        }
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Kill => "-KILL",
        };
        let mut command = Command::new("kill");
        command.arg(name).arg("--");
        command.args(living.iter().map(u32::to_string));
        // A process that ended in between makes kill complain; that is the wanted state.
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// The member that goes by this number in the innermost namespace it is in, and by another one here.
    pub(crate) fn called_inside(&self, number: u64) -> Option<u32> {
        let mut members = self.members.keys().copied();
        members.find(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
            status.is_ok_and(|status| innermost(&status) == Some(number))
        })
    }

    /// Waits until none of them lives. False if some still do when the time is over.
    pub(crate) fn wait_until_gone(&self, deadline: Deadline) -> bool {
        loop {
            if self.living(&look()).is_empty() {
                return true;
            }
            if deadline.remaining().is_zero() {
                return false;
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// Adds what the members have started.
    fn grow(&mut self, seen: &BTreeMap<u32, Seen>) {
        let mut open = self.living(seen);
        while let Some(parent) = open.pop() {
            for (pid, child) in seen.iter().filter(|(_, child)| child.parent == parent) {
                if self.members.insert(*pid, child.started) != Some(child.started) {
                    open.push(*pid);
                }
            }
        }
    }

    fn living(&self, seen: &BTreeMap<u32, Seen>) -> Vec<u32> {
        self.members
            .iter()
            .filter(|(pid, started)| {
                seen.get(pid)
                    .is_some_and(|seen| seen.started == **started && !seen.ended)
            })
            .map(|(pid, _)| *pid)
            .collect()
    }
}

/// Every process, as /proc shows it now.
fn look() -> BTreeMap<u32, Seen> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse(&stat)?))
        })
        .collect()
}

/// A line of /proc/PID/stat. The command name may hold spaces and brackets, so the fields are
/// counted from the last closing bracket: state, parent, …, start time.
fn parse(stat: &str) -> Option<Seen> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Seen {
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// The number in the innermost namespace, from /proc/PID/status; none of a process that has the same everywhere.
fn innermost(status: &str) -> Option<u64> {
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    let numbers = numbers.split_whitespace().skip(1);
    numbers.last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_an_inner_namespace_is_known_by_its_number_there() {
        assert_eq!(
            innermost("Name:\tx\nNSpid:\t4711\t12\nThreads:\t1\n"),
            Some(12)
        );
        assert_eq!(innermost("NSpid:\t4711\n"), None);
        assert_eq!(innermost("Name:\tx\n"), None);
    }

    fn seen(parent: u32, started: u64) -> Seen {
        Seen {
            parent,
            started,
            ended: false,
        }
    }

    #[test]
    fn the_fields_are_read_behind_a_name_with_brackets() {
        let stat = "12 (a) b) (c) Z 7 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        let got = parse(stat).unwrap();
        assert_eq!((got.parent, got.started, got.ended), (7, 777, true));
        assert_eq!(parse("12 no brackets"), None);
    }

    #[test]
    fn a_tree_has_what_is_below_and_nothing_else() {
        let world = BTreeMap::from([
            (2, seen(1, 20)),
            (3, seen(2, 30)),
            (4, seen(2, 40)),
            (5, seen(1, 50)),
            (6, seen(4, 60)),
        ]);
        let mut tree = Tree {
            members: BTreeMap::from([(2, 20)]),
        };
        tree.grow(&world);
        assert_eq!(tree.living(&world), [2, 3, 4, 6]);
    }

    #[test]
    fn orphans_stay_members_and_reused_numbers_do_not() {
        let tree = Tree {
            members: BTreeMap::from([(2, 20), (3, 30), (4, 40)]),
        };
        let ended = Seen {
            ended: true,
            ..seen(1, 40)
        };
        let later = BTreeMap::from([(2, seen(9, 99)), (3, seen(1, 30)), (4, ended)]);
        assert_eq!(tree.living(&later), [3]);
    }
}
