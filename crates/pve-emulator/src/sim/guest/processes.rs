//! What runs in a guest, what it listens on and what memory it takes.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::exec::Run;
use super::machine::Guest;
use super::nginx::Servers;
use super::units::{self, Verdict};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// As it was started.
    pub argv: Vec<String>,
    /// Memory it holds, MiB.
    pub memory_mib: u64,
    /// The unit it belongs to.
    pub unit: Option<String>,
    /// Sockets it accepts on.
    pub listeners: Vec<Listener>,
    /// Paths of the lock files it holds.
    pub locks: Vec<String>,
    /// It ends by itself in a moment, and is not kept on disk.
    #[serde(skip)]
    pub passing: bool,
}

/// A socket that accepts, and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Bound address; unspecified means all of its family.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// What answers.
    pub site: Site,
}

/// What answers behind a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// The servers of an nginx that share this address.
    Nginx(Servers),
    /// A directory, as busybox serves it.
    Directory(String),
    /// Something that speaks no HTTP.
    Silent,
}

impl Guest {
    /// Adds a process and gives its number.
    pub(crate) fn add_process(&mut self, process: Process) -> u32 {
        let pid = self.next_pid;
        self.next_pid += 1;
        self.processes.insert(pid, Process { pid, ..process });
        pid
    }

    /// The lock's holder, if somebody has it.
    pub(crate) fn is_locked(&self, path: &str) -> bool {
        let mut processes = self.processes.values();
        processes.any(|process| process.locks.iter().any(|lock| lock == path))
    }

    /// Whoever waited for a command from outside has gone, and it with him.
    pub(crate) fn end_command(&mut self, argv: &[String]) {
        let its = |process: &Process| process.unit.is_none() && process.argv == argv;
        self.processes.retain(|_, process| !its(process));
    }

    /// A process has ended by itself, or the one who waited for it has gone.
    pub fn end_process(&mut self, pid: u32) {
        self.processes.remove(&pid);
    }
}

impl Process {
    /// One that is not in the table yet.
    pub(crate) fn of(argv: &[String], memory_mib: u64, unit: Option<&str>) -> Self {
        Self {
            pid: 0,
            argv: argv.to_vec(),
            memory_mib,
            unit: unit.map(str::to_owned),
            listeners: Vec::new(),
            locks: Vec::new(),
            passing: false,
        }
    }
}

impl Run<'_> {
    /// Makes room for a program that needs so much; false when the program itself is what the kernel ends.
    pub(crate) fn has_memory(&mut self, need_mib: u64) -> bool {
        loop {
            let limit = self.guest.shape.memory_mib;
            if self.guest.used_mib() + need_mib <= limit {
                return true;
            }
            let largest = self.largest();
            match largest {
                Some((pid, memory_mib)) if memory_mib > need_mib => {
                    units::end_process(self, pid, Verdict::OomKill);
                }
                Some(_) | None => return false,
            }
        }
    }

    /// Ends the largest processes until what is there fits again.
    pub(crate) fn relieve_memory(&mut self) {
        while self.guest.used_mib() > self.guest.shape.memory_mib {
            match self.largest() {
                Some((pid, _)) => units::end_process(self, pid, Verdict::OomKill),
                None => return,
            }
        }
    }

    /// Number and memory of the process the kernel would choose; the system's own are spared.
    fn largest(&self) -> Option<(u32, u64)> {
        let own = |p: &&Process| {
            let program = p.argv.first().map_or("", String::as_str);
            p.pid == 1 || p.unit.is_none() && program.starts_with("/lib/systemd/")
        };
        let others = self.guest.processes.values().filter(|p| !own(p));
        others
            .map(|p| (p.pid, p.memory_mib))
            .max_by_key(|(pid, memory_mib)| (*memory_mib, *pid))
    }

    /// Whether the address is taken, in the guest or on the machine it is simulated on.
    pub(crate) fn is_taken(&self, address: IpAddr, port: u16) -> bool {
        let open = self.guest.listening();
        let clash = |other: IpAddr| {
            other.is_ipv4() == address.is_ipv4()
                && (other == address || other.is_unspecified() || address.is_unspecified())
        };
        self.world.taken.contains(&port) || open.iter().any(|o| o.port == port && clash(o.address))
    }
}
