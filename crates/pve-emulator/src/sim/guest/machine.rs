//! The guest as data, and what can be read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::image::Image;
use super::processes::{Listener, Process};
use super::units::UnitState;
use crate::core::guest::GuestInit;

/// Lines of the journal that are kept.
const JOURNAL_LINES: usize = 400;

/// What Proxmox gives a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Host name inside.
    pub hostname: String,
    /// Memory limit, MiB.
    pub memory_mib: u64,
    /// Cores it may use.
    pub cores: u32,
    /// Its network devices, in order.
    pub nets: Vec<Net>,
    /// What it runs in the place of systemd, if it is made of an OCI image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Box<GuestInit>>,
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    /// e.g. `eth0`.
    pub name: String,
    /// MAC, lower case.
    pub hwaddr: String,
    /// Address and prefix length; none when it has none.
    pub address: Option<(Ipv4Addr, u8)>,
}

/// What a test or a person broke on purpose; each is off in a healthy guest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Commands given from outside never end.
    pub exec_hangs: bool,
    /// Commands given from outside are killed behind their effect, and half of their output is lost.
    pub half_output: bool,
    /// From its next boot on it gets no address.
    pub no_network: bool,
    /// Listeners accept and never answer.
    pub never_answers: bool,
    /// Init does not halt when asked to.
    pub ignores_shutdown: bool,
    /// The disk cannot be removed.
    pub keeps_disk: bool,
    /// Memory that something else in the guest holds, MiB.
    pub hogged_mib: u64,
}

/// How far a package is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageState {
    /// Its version.
    pub version: String,
    /// Installed, or removed with its configuration left behind.
    pub installed: bool,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalLine {
    pub(crate) at_s: u64,
    pub(crate) unit: Option<String>,
    pub(crate) from: String,
    pub(crate) text: String,
}

/// A simulated guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// What Proxmox gave it.
    pub shape: Shape,
    /// Its disk.
    pub files: Files,
    /// Packages that are or were there.
    pub packages: BTreeMap<String, PackageState>,
    /// It runs.
    pub running: bool,
    /// Units that were touched since the boot.
    pub units: BTreeMap<String, UnitState>,
    /// What runs, by process number.
    pub processes: BTreeMap<u32, Process>,
    pub(crate) next_pid: u32,
    pub(crate) journal: Vec<JournalLine>,
    /// What is broken on purpose.
    pub faults: Faults,
}

/// First lines of the kernel's tables (Linux, `net/ipv4/tcp_ipv4.c` and `net/ipv6/tcp_ipv6.c`).
const TCP_HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const TCP6_HEAD: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue \
    tr tm->when retrnsmt   uid  timeout inode\n";

/// A socket that listens in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// Bound address; unspecified means all.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Whose.
    pub pid: u32,
}

impl Guest {
    /// A guest as its template makes it: it does not run.
    pub fn new(image: &Image, shape: Shape) -> Self {
        let package = |(name, version): (&String, &String)| {
            let state = PackageState {
                version: version.clone(),
                installed: true,
            };
            (name.clone(), state)
        };
        Self {
            shape,
            files: image.base_files(),
            packages: image.base_packages().iter().map(package).collect(),
            running: false,
            units: BTreeMap::new(),
            processes: BTreeMap::new(),
            next_pid: 1,
            journal: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// Memory in use, MiB.
    pub fn used_mib(&self) -> u64 {
        let processes = self.processes.values().map(|process| process.memory_mib);
        processes.sum::<u64>() + self.faults.hogged_mib
    }

    /// Everything that listens, inside the guest.
    pub fn listening(&self) -> Vec<Listening> {
        let of = |process: &Process| {
            let pid = process.pid;
            let listeners = process.listeners.iter();
            listeners
                .map(|listener| Listening {
                    address: listener.address,
                    port: listener.port,
                    pid,
                })
                .collect::<Vec<_>>()
        };
        self.processes.values().flat_map(of).collect()
    }

    /// What listens, as the kernel's table of this name shows it.
    pub(crate) fn socket_table(&self, path: &str) -> Option<String> {
        let (is_v6, head) = match path {
            "/proc/net/tcp" => (false, TCP_HEAD),
            "/proc/net/tcp6" => (true, TCP6_HEAD),
            _ => return None,
        };
        let mut table = head.to_owned();
        let of_family = |listening: &Listening| listening.address.is_ipv6() == is_v6;
        for (row, open) in self.listening().into_iter().filter(of_family).enumerate() {
            let address = match open.address {
                IpAddr::V4(address) => format!("{:08X}", u32::from(address).swap_bytes()),
                IpAddr::V6(address) => {
                    let bits = address.to_bits();
                    let words = [96, 64, 32, 0].map(|shift| (bits >> shift) & 0xffff_ffff);
                    let words = words.map(|word| u32::try_from(word).unwrap_or_default());
                    words
                        .map(|word| format!("{:08X}", word.swap_bytes()))
                        .concat()
                }
            };
            let nobody = "0".repeat(address.len());
            // Written to a String, which takes everything.
            let _ = writeln!(
                table,
                "{row:4}: {address}:{:04X} {nobody}:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {} 1 \
                 0000000000000000 100 0 0 10 0",
                open.port, open.pid
            );
        }
        Some(table)
    }

    /// Where somebody outside finds a listener: the guest's own addresses with the ports that are open on them.
    pub fn reachable(&self) -> BTreeSet<SocketAddr> {
        let mut found = BTreeSet::new();
        for net in &self.shape.nets {
            let Some((address, _)) = net.address else {
                continue;
            };
            let on_it = |listening: &Listening| match listening.address {
                IpAddr::V4(bound) => bound.is_unspecified() || bound == address,
                IpAddr::V6(_) => false,
            };
            let ports = self.listening().into_iter().filter(on_it);
            found.extend(ports.map(|open| SocketAddr::from((address, open.port))));
        }
        found
    }

    /// Who answers at this address, as seen from inside.
    pub(crate) fn listener_at(&self, at: SocketAddr) -> Option<(&Process, &Listener)> {
        let own = |address: Ipv4Addr| {
            let nets = self.shape.nets.iter();
            let mut addresses = nets.filter_map(|net| net.address.map(|(address, _)| address));
            address.is_loopback() || addresses.any(|mine| mine == address)
        };
        let fits = |listener: &Listener| {
            listener.port == at.port()
                && match (listener.address, at.ip()) {
                    (IpAddr::V4(bound), IpAddr::V4(asked)) => {
                        bound == asked || bound.is_unspecified() && own(asked)
                    }
                    (IpAddr::V6(bound), IpAddr::V6(asked)) => {
                        bound == asked || bound.is_unspecified() && asked.is_loopback()
                    }
                    (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
                }
        };
        self.processes.values().find_map(|process| {
            let listener = process.listeners.iter().find(|listener| fits(listener))?;
            Some((process, listener))
        })
    }

    pub(crate) fn is_installed(&self, package: &str) -> bool {
        self.packages
            .get(package)
            .is_some_and(|state| state.installed)
    }

    pub(crate) fn say(&mut self, at_s: u64, unit: Option<&str>, from: &str, text: &str) {
        for line in text.lines() {
            self.journal.push(JournalLine {
                at_s,
                unit: unit.map(str::to_owned),
                from: from.to_owned(),
                text: line.to_owned(),
            });
        }
        let surplus = self.journal.len().saturating_sub(JOURNAL_LINES);
        self.journal.drain(..surplus);
    }
}
