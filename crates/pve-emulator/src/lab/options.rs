//! How a lab is started.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::core::TaskTimes;

/// Everything [`super::run`] needs.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// The lab's own directory: cluster state, guests, keys, `lab.json`. Made if absent, closed to others.
    pub state_dir: PathBuf,
    /// HTTPS address of the first node; each further node takes the next port. Port 0 takes free ones.
    pub listen: SocketAddr,
    /// SSH address of the first node; likewise.
    pub ssh_listen: SocketAddr,
    /// Names of the nodes, at least one; several make a cluster.
    pub nodes: Vec<String>,
    /// What the guests are.
    pub guests: Guests,
    /// Where the guests' network is; simulated guests have none but loopback.
    pub network: NetworkMode,
    /// Where the OS template is kept; several labs may share it. Simulated guests need none.
    pub template_cache: PathBuf,
    /// Folder of OCI images that can be pulled; without one pulling fails as without a network.
    pub registry: Option<PathBuf>,
    /// How long PVE's tasks take at least; `None` keeps what the state has, or the defaults.
    pub task_times: Option<TaskTimes>,
    /// How long a `pct exec` takes before the command starts, milliseconds.
    pub exec_ms: u64,
    /// Leave guests, bridge and settings as they are when asked to end, for the next run on the same state.
    pub keep: bool,
    /// End when standard input ends: give the lab a pipe, and it cannot outlive its parent.
    pub die_with_parent: bool,
}

/// What the guests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guests {
    /// Real LXC containers, unprivileged; needs root.
    #[default]
    Lxc,
    /// Simulated, listening on loopback addresses; as any user, and nothing outside the state directory.
    Simulated,
}

impl Guests {
    /// As it is written: `lxc`, `simulated`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lxc => "lxc",
            Self::Simulated => "simulated",
        }
    }
}

/// Where the guests' network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// A bridge of the lab's own with NAT on this machine; removed at the end.
    Bridge,
    /// The same inside a private namespace ([`super::private::enter`]), which the process must be in.
    Private,
    /// The same in whatever network namespace the process is in, without touching settings of the machine.
    Existing,
}

impl LabOptions {
    /// A node's address: `base` with the port moved on by the node's place.
    pub(crate) fn address(base: SocketAddr, place: usize) -> SocketAddr {
        let step = u16::try_from(place).unwrap_or(u16::MAX);
        let port = if base.port() == 0 {
            0
        } else {
            base.port().saturating_add(step)
        };
        SocketAddr::new(base.ip(), port)
    }
}
