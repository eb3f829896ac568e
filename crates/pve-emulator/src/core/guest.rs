//! The seam between the emulated cluster and its guests: what the core asks of a guest, and what
//! comes back.
//!
//! The core decides, a driver acts. A driver gets [`GuestCommand`]s in the order they were decided,
//! may run commands for different guests at the same time, and answers each with exactly one
//! [`GuestDone`]. After a restart of the emulator the core asks again (all commands are idempotent:
//! creating a guest that is there half made starts over, starting a running one succeeds, killing a
//! stopped one succeeds, destroying an absent one succeeds). At most one of create, start,
//! shutdown, destroy is under way per guest; a kill may come while a shutdown still waits (its task
//! was killed or overruled) and must not wait for it; a look may come at any time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Identifies one command; the answer carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// A guest by its place: ids are unique in a cluster, the node says which machine's disk it lives
/// on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GuestKey {
    /// Node name, e.g. `pve1`.
    pub node: String,
    /// PVE's number of the guest, 100 to 999999999.
    pub vmid: u32,
}

/// What the driver needs to make and run a guest; derived from the guest's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSpec {
    /// File name of the template in the node's template directory, e.g.
    /// `debian-12-standard_12.0-1_amd64.tar.zst`.
    pub template: String,
    /// Host name inside the guest.
    pub hostname: String,
    /// Memory limit in MiB.
    pub memory_mib: u64,
    /// CPU limit in cores; `None` means no limit.
    pub cores: Option<u32>,
    /// User namespace mapping on (PVE's `unprivileged`).
    pub unprivileged: bool,
    /// Network devices by their index (`net0` is 0).
    pub nets: BTreeMap<u8, GuestNet>,
    /// What it runs in the place of its system's own init, if it is made of an OCI image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Box<GuestInit>>,
    /// Who may log in to a new guest; only when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Box<GuestLogin>>,
}

/// What a container of an OCI image runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestInit {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its variables.
    pub env: BTreeMap<String, String>,
    /// Where it is started.
    pub folder: String,
}

impl GuestInit {
    /// As a configuration has it: a command line, and `NAME=VALUE` with a NUL between two.
    pub(crate) fn of(entrypoint: &str, env: &str, folder: &str) -> Self {
        let pairs = env.split('\0').filter_map(|pair| pair.split_once('='));
        Self {
            argv: words(entrypoint),
            env: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            folder: folder.to_owned(),
        }
    }
}

/// The words of a command line: blanks stand between two, and double quotes keep blanks in one, with a backslash before a quote or
/// backslash that is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(signs.next()),
            blank if blank.is_whitespace() && !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// How root logs in to a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLogin {
    /// Password, hashed as `/etc/shadow` has it.
    pub password_hash: Option<String>,
    /// Text of `authorized_keys`.
    pub ssh_keys: Option<String>,
}

impl GuestLogin {
    /// A `/etc/shadow` with root's password in it.
    pub fn shadow(&self, old: &str) -> Option<String> {
        let hash = self.password_hash.as_ref()?;
        let line = format!("root:{hash}:19700:0:99999:7:::");
        let others = old.lines().filter(|line| !line.starts_with("root:"));
        let lines = std::iter::once(line.as_str()).chain(others);
        Some(lines.map(|line| format!("{line}\n")).collect())
    }
}

/// One network device of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestNet {
    /// Name inside the guest, e.g. `eth0`.
    pub name: String,
    /// MAC, upper case, colon separated.
    pub hwaddr: String,
    /// Bridge named by the configuration, e.g. `vmbr0`.
    pub bridge: String,
    /// `ip=` as configured: `dhcp`, `manual` or CIDR; absent means none.
    pub ip: Option<String>,
    /// `gw=` as configured.
    pub gw: Option<String>,
}

/// What the core asks of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestCommand {
    /// Unpack the template and write the runtime configuration; the guest is stopped afterwards.
    Create {
        /// To be answered under this id.
        job: JobId,
        /// Which guest.
        guest: GuestKey,
        /// What to make.
        spec: GuestSpec,
    },
    /// Boot; done when the runtime says RUNNING.
    Start {
        /// To be answered under this id.
        job: JobId,
        /// Which guest.
        guest: GuestKey,
        /// Its configuration now; it may differ from the one it was made with.
        spec: GuestSpec,
    },
    /// Ask init to halt; fails with [`GuestError::TimedOut`] when it did not within `timeout_ms`.
    Shutdown {
        /// To be answered under this id.
        job: JobId,
        /// Which guest.
        guest: GuestKey,
        /// How long init may take.
        timeout_ms: u64,
    },
    /// End it at once.
    Kill {
        /// To be answered under this id.
        job: JobId,
        /// Which guest.
        guest: GuestKey,
    },
    /// Remove its disk and runtime configuration; it must be stopped.
    Destroy {
        /// To be answered under this id.
        job: JobId,
        /// Which guest.
        guest: GuestKey,
    },
    /// Copy, keep, roll back, move or change a guest; [`GuestChange`] says what. A driver that cannot
    /// answers with [`GuestError::Failed`], and the task fails.
    Change {
        /// To be answered under this id.
        job: JobId,
        /// Which guest.
        guest: GuestKey,
        /// What to do.
        change: GuestChange,
    },
    /// Read power, interfaces and usage.
    Inspect {
        /// To be answered under this id.
        job: JobId,
        /// Which guest.
        guest: GuestKey,
    },
}

impl GuestCommand {
    /// The id to answer under.
    pub fn job(&self) -> JobId {
        match self {
            Self::Create { job, .. }
            | Self::Start { job, .. }
            | Self::Shutdown { job, .. }
            | Self::Kill { job, .. }
            | Self::Destroy { job, .. }
            | Self::Change { job, .. }
            | Self::Inspect { job, .. } => *job,
        }
    }

    /// The guest it is for.
    pub fn guest(&self) -> &GuestKey {
        match self {
            Self::Create { guest, .. }
            | Self::Start { guest, .. }
            | Self::Shutdown { guest, .. }
            | Self::Kill { guest, .. }
            | Self::Destroy { guest, .. }
            | Self::Change { guest, .. }
            | Self::Inspect { guest, .. } => guest,
        }
    }
}

/// What can be done with a guest beyond its power. All are idempotent, like the commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestChange {
    /// Make it from another guest or from what was kept of one; it is stopped afterwards. A guest that
    /// is there (a restore over it) is replaced.
    Copy {
        /// Where its files come from.
        from: GuestSource,
        /// What to make.
        spec: GuestSpec,
    },
    /// Keep its files as they are now.
    Keep {
        /// Under which name.
        kept: Kept,
    },
    /// Give its files the state of one of its snapshots; it must be stopped.
    Rollback {
        /// The snapshot's name.
        snapshot: String,
    },
    /// Remove what was kept; nothing there is fine. Of backups the guest itself may be gone.
    Drop {
        /// What to remove.
        kept: Vec<Kept>,
    },
    /// Take a stopped guest to another node. Answers come under the old key.
    Move {
        /// Node name.
        to: String,
    },
    /// Bring a changed configuration into force while it runs.
    Apply {
        /// Its configuration now.
        spec: GuestSpec,
    },
}

/// Where a copy's files come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestSource {
    /// A guest as it is.
    Guest(GuestKey),
    /// A snapshot of a guest.
    Snapshot(GuestKey, String),
    /// A backup, by its volume id and the node it lies on.
    Backup {
        /// Node name; of shared storage any.
        node: String,
        /// e.g. `local:backup/vzdump-lxc-100-2026_11_20-10_20_15.tar.zst`.
        volid: String,
    },
}

impl GuestSource {
    /// What a driver says when there is no such thing.
    pub(crate) fn is_missing(&self) -> String {
        match self {
            Self::Guest(guest) => format!("there is no guest {}", guest.vmid),
            Self::Snapshot(_, name) => format!("snapshot '{name}' does not exist"),
            Self::Backup { volid, .. } => format!("volume '{volid}' does not exist"),
        }
    }
}

/// A copy of a guest's files that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// In the guest's own storage, under this name.
    Snapshot(String),
    /// As an archive under this volume id, on the guest's node.
    Backup(String),
}

/// `STORAGE+FILE`: the parts of a backup's volume id as the name of one file. It says which container and which
/// second, so backups of different nodes have different names.
pub(crate) fn archive_name(volid: &str) -> String {
    let (storage, name) = volid.split_once(':').unwrap_or(("", volid));
    let file = name.rsplit('/').next().unwrap_or_default();
    format!("{storage}+{file}")
}

/// The one answer to a [`GuestCommand`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestDone {
    /// Which command.
    pub job: JobId,
    /// What came of it.
    pub result: Result<GuestOutcome, GuestError>,
}

/// Success, with what was read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum GuestOutcome {
    /// The command had its effect; `log` are lines for the task's log.
    Done {
        /// For the task's log.
        log: Vec<String>,
    },
    /// Answer to [`GuestCommand::Inspect`].
    Inspected(GuestLook),
}

/// A guest as it is right now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct GuestLook {
    /// Running at all; when not, everything else is empty.
    pub running: bool,
    /// Host pid of its init.
    pub pid: Option<u32>,
    /// Memory in use, bytes.
    pub mem_bytes: u64,
    /// CPU time used so far, nanoseconds.
    pub cpu_ns: u64,
    /// Bytes received and sent on all devices but `lo`.
    pub net_in_bytes: u64,
    /// Bytes sent on all devices but `lo`.
    pub net_out_bytes: u64,
    /// Interfaces in the guest's order.
    pub interfaces: Vec<GuestInterface>,
}

/// One interface as seen inside the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestInterface {
    /// e.g. `lo`, `eth0`.
    pub name: String,
    /// MAC, lower case.
    pub hwaddr: String,
    /// Addresses as (address, prefix length).
    pub addresses: Vec<(std::net::IpAddr, u8)>,
}

/// Why a command failed; the text becomes the task's exit status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestError {
    /// Init did not halt in time.
    TimedOut,
    /// The runtime refused; its message.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_is_read_out_of_a_configuration() {
        let init = GuestInit::of(
            "/bin/sh -c \"echo \\\"a b\\\"\" \"\"",
            "PATH=/bin\0A=b=c\0",
            "/srv",
        );
        assert_eq!(init.argv, ["/bin/sh", "-c", "echo \"a b\"", ""]);
        let env = BTreeMap::from([("PATH", "/bin"), ("A", "b=c")]);
        let read = init.env.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        assert_eq!(read.collect::<BTreeMap<_, _>>(), env);
        assert!(GuestInit::of("  ", "", "/").argv.is_empty());
    }
}
