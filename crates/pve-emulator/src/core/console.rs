//! Consoles: where one leads, and what its program on the node knows.

use serde::{Deserialize, Serialize};

use super::guest::GuestKey;
use super::guest_config::GuestConfig;
use super::world::{Reach, World};

/// How a container is entered, as its `cmode` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleMode {
    /// One of its terminals, where it asks for a login.
    Tty,
    /// Its `/dev/console`.
    Console,
    /// A shell in it, without a login.
    Shell,
}

impl ConsoleMode {
    /// As a configuration has it.
    pub(crate) fn of(config: &GuestConfig) -> Self {
        match config.get("cmode") {
            Some("console") => Self::Console,
            Some("shell") => Self::Shell,
            Some(_) | None => Self::Tty,
        }
    }

    /// The command that enters a container.
    pub(crate) fn command(self, vmid: u32) -> String {
        match self {
            Self::Tty => format!("lxc-console -n {vmid} -e -1"),
            Self::Console => format!("lxc-console -n {vmid} -t 0 -e -1"),
            Self::Shell => format!("lxc-attach --clear-env -n {vmid}"),
        }
    }
}

/// What is behind a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleTarget {
    /// A container.
    Guest {
        /// Which.
        guest: GuestKey,
        /// How it is entered.
        mode: ConsoleMode,
    },
    /// Nothing: this is printed, and it ends.
    Nothing {
        /// One line, without its end.
        says: String,
    },
}

/// What a console's program was started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Console {
    /// Where it listens.
    pub(crate) port: u16,
    /// The only ticket it takes.
    pub(crate) ticket: String,
    /// Access path.
    pub(crate) path: String,
    /// The privilege that is needed on it.
    pub(crate) privilege: String,
    /// The program and all its arguments, as its failure names them.
    pub(crate) command: String,
    /// What it opens.
    pub(crate) target: ConsoleTarget,
}

/// How far a console has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsoleStage {
    /// It listens for its client.
    Listening {
        /// Gives up then, Unix ms.
        until_ms: u64,
    },
    /// The client is there; its ticket is not yet.
    Greeting {
        /// Gives up then, Unix ms.
        until_ms: u64,
    },
    /// In use.
    Open,
}

impl ConsoleStage {
    /// When it gives up, Unix ms.
    pub(crate) fn until_ms(self) -> Option<u64> {
        match self {
            Self::Listening { until_ms } | Self::Greeting { until_ms } => Some(until_ms),
            Self::Open => None,
        }
    }
}

/// The program of a console on its node, with what it runs.
pub(crate) fn program(port: u16, path: &str, privilege: &str, runs: &str) -> String {
    format!(
        "/usr/bin/termproxy {port} --path {path} --perm {privilege} --vncticket-endpoint --verify-port --ticket-fd 13 -- {runs}"
    )
}

/// How a node runs something on another one.
pub(crate) fn over_ssh(world: &World, node: &str) -> String {
    let address = world.node(node).map_or("", |node| node.address.as_str());
    format!(
        "/usr/bin/ssh -e none -o BatchMode=yes -o HostKeyAlias={node} -o UserKnownHostsFile=/etc/pve/nodes/{node}/ssh_known_hosts -o GlobalKnownHostsFile=none -t root@{address}"
    )
}

/// What the way over SSH to another node says when there is none.
pub(crate) fn unreachable(world: &World, from: &str, node: &str) -> Option<String> {
    let target = world.node(node).filter(|_| from != node)?;
    let cut_off = world.node(from).is_some_and(|node| node.partitioned);
    let why = match target.reach {
        _ if cut_off => "No route to host",
        Reach::Up => return None,
        Reach::Refused => "Connection refused",
        Reach::NoRoute => "No route to host",
        Reach::Silent => "Connection timed out",
    };
    let address = &target.address;
    Some(format!("ssh: connect to host {address} port 22: {why}"))
}
