//! Everything the emulated cluster knows; plain data that is written to disk as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::access::{Accounts, Keys, Password, User};
use super::checks::Checks;
use super::faults::Faults;
use super::firewall::{self, Files};
use super::guest::{GuestKey, JobId};
use super::guest_config::{GuestConfig, section};
use super::guest_list::RowText;
use super::ha::Ha;
use super::jobs::Job;
use super::node_settings::NodeSettings;
use super::notify::Entity;
use super::park::Live;
use super::random::Random;
use super::replication::ReplicationJob;
use super::sections::Sections;
use super::seed::TokenSeed;
use super::stored::{Registry, StoredFile};
use super::task::Task;
use super::tracked::{Tracked, TrackedList, TrackedMap};
use super::views::LastView;
use super::watched::Watched;

pub(crate) use super::holdings::{Backup, Volume};
pub use super::holdings::{OciImage, Storage, Template};

/// The cluster's state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct World {
    /// Name of the cluster; a standalone node has none.
    pub(crate) cluster_name: Option<String>,
    /// In the order of their node ids.
    pub(crate) nodes: Vec<Node>,
    pub(crate) storages: Watched<Vec<Storage>>,
    pub(crate) templates: Vec<Template>,
    pub(crate) pools: Watched<BTreeMap<String, Pool>>,
    pub(crate) accounts: Watched<Accounts>,
    /// Where secrets of the API come from.
    pub(crate) keys: Keys,
    pub(crate) guests: TrackedMap<u32, Guest>,
    pub(crate) volumes: TrackedList<Volume>,
    /// What a node that is cut off and the others know of each other's guests, by node.
    #[serde(default)]
    pub(crate) last_views: TrackedMap<String, LastView>,
    /// Oldest first.
    pub(crate) tasks: TrackedList<Task>,
    /// Commands the driver has not answered yet, except looks.
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) next_job: u64,
    pub(crate) random: Random,
    pub(crate) times: TaskTimes,
    pub(crate) backups: Vec<Backup>,
    /// Configurations that are written when a conversion to a template ends, by guest.
    pub(crate) converting: BTreeMap<u32, GuestConfig>,
    /// Copies of volumes that are being moved, by guest.
    pub(crate) moving: BTreeMap<u32, String>,
    /// Backup jobs by id.
    pub(crate) backup_jobs: Watched<BTreeMap<String, BTreeMap<String, String>>>,
    /// Replication jobs by id.
    #[serde(default)]
    pub(crate) replication_jobs: Watched<BTreeMap<String, ReplicationJob>>,
    pub(crate) ha: Ha,
    /// From which numbers new guests are offered one.
    #[serde(default)]
    pub(crate) next_id: Watched<NextId>,
    /// What the machines below the cluster can do.
    pub(crate) environment: Environment,
    /// What OCI archives among the templates say about themselves, by volume id.
    pub(crate) images: BTreeMap<String, OciImage>,
    /// When usage and names are next broadcast to the cluster, Unix ms.
    pub(crate) next_broadcast_ms: u64,
    /// What is broken on purpose.
    #[serde(default)]
    pub(crate) faults: Faults,
    /// What must not happen here, and what of it did.
    #[serde(default)]
    pub(crate) checks: Checks,
    /// Options of the whole cluster, as they were given.
    #[serde(default)]
    pub(crate) datacenter: BTreeMap<String, String>,
    /// ISO images, and what is to be imported.
    #[serde(default)]
    pub(crate) stored_files: Vec<StoredFile>,
    /// Templates that arrived over the API.
    #[serde(default)]
    pub(crate) arrived: BTreeSet<String>,
    /// Where images can be pulled from.
    #[serde(default)]
    pub(crate) registry: Option<Registry>,
    /// Configuration files in sections, by their names below `/etc/pve`.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, Sections>,
    /// Ports that were given to consoles a moment ago, by node, with when that was, Unix seconds.
    #[serde(default)]
    pub(crate) reserved_ports: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Targets and matchers of notifications that were made or changed.
    #[serde(default)]
    pub(crate) notifications: BTreeMap<String, Entity>,
    /// What was set on nodes themselves.
    #[serde(default)]
    pub(crate) node_settings: BTreeMap<String, NodeSettings>,
    /// What the firewall is configured with.
    #[serde(default)]
    pub(crate) firewall: Watched<Files>,
    /// How far this world's clock is ahead of the machine's, milliseconds.
    #[serde(default)]
    pub(crate) clock_ahead_ms: u64,
    /// Guests whose configuration is held by something that is no task: a command in the shell of its node.
    #[serde(skip)]
    pub(crate) held: BTreeSet<u32>,
    /// Waiting requests and looks under way; gone with the process, like the connections they
    /// belong to.
    #[serde(skip)]
    pub(crate) live: Live,
}

/// `next-id` of the datacenter options, as it was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NextId {
    /// The first number.
    pub(crate) lower: Option<u32>,
    /// The number after the last one.
    pub(crate) upper: Option<u32>,
}

impl NextId {
    /// First number, and the one after the last.
    pub(crate) fn bounds(self) -> (u32, u32) {
        (self.lower.unwrap_or(100), self.upper.unwrap_or(1_000_000))
    }
}

/// How long tasks take at least, and wait at most, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskTimes {
    /// vzcreate, with the time in which the call that starts it looks whether the number is taken.
    pub create_ms: u64,
    /// vzstart, and the second half of vzreboot.
    pub start_ms: u64,
    /// vzstop.
    pub stop_ms: u64,
    /// vzshutdown, and the first half of vzreboot.
    pub shutdown_ms: u64,
    /// vzdestroy.
    pub destroy_ms: u64,
    /// How long a task, or a call, waits for a guest's configuration.
    pub lock_ms: u64,
}

impl Default for TaskTimes {
    /// Create 2 s, start 1 s; the others about what the recordings show at their quickest.
    fn default() -> Self {
        Self {
            create_ms: 2_000,
            start_ms: 1_000,
            stop_ms: 1_000,
            shutdown_ms: 1_000,
            destroy_ms: 300,
            lock_ms: 10_000,
        }
    }
}

/// Whether a node can be reached by the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Answers.
    Up,
    /// Its address refuses connections.
    Refused,
    /// Nothing answers at its address.
    NoRoute,
    /// Takes requests and never answers them.
    Silent,
}

/// One node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// DNS label.
    pub name: String,
    /// Its place in the cluster, from 1; 0 when standalone.
    pub(crate) id: u32,
    /// Address shown in `/cluster/status`.
    pub address: String,
    pub(crate) cpus: u32,
    pub(crate) memory_bytes: u64,
    /// In use without guests.
    pub memory_used_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) disk_used_bytes: u64,
    /// What guests can be attached to.
    pub bridges: Vec<Bridge>,
    /// SHA-256 of its certificate, `AA:BB:…`.
    pub fingerprint: String,
    /// Unix ms.
    pub(crate) booted_ms: u64,
    pub(crate) last_pid: u32,
    /// As seen by the other nodes.
    pub reach: Reach,
    /// The privileged daemon runs.
    pub daemon_up: bool,
    /// What other nodes hand calls to runs.
    #[serde(default = "yes")]
    pub(crate) proxy_up: bool,
    /// What tells the cluster about guests runs.
    #[serde(default = "yes")]
    pub(crate) teller_up: bool,
    /// Has power.
    pub(crate) powered: bool,
    /// Runs, cut off from all others.
    pub(crate) partitioned: bool,
    /// Since when the others cannot talk to it, Unix ms.
    pub(crate) gone_ms: Option<u64>,
    /// Calls that come past it take so much longer, milliseconds.
    #[serde(default)]
    pub(crate) slow_ms: u64,
    /// For so many broadcasts the cluster goes on seeing what it told last.
    #[serde(default)]
    pub(crate) old_view_cycles: u64,
}

fn yes() -> bool {
    true
}

/// A program of a node that may be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// `pvedaemon`: does what is privileged.
    Privileged,
    /// `pveproxy`: answers, and takes calls of other nodes.
    Proxy,
    /// `pvestatd`: tells the cluster every ten seconds how its guests are.
    Teller,
}

impl Daemon {
    /// By its name on the machine.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name.trim_end_matches(".service") {
            "pvedaemon" => Some(Self::Privileged),
            "pveproxy" => Some(Self::Proxy),
            "pvestatd" => Some(Self::Teller),
            _ => None,
        }
    }
}

/// A bridge of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bridge {
    /// e.g. `vmbr0`.
    pub name: String,
    /// Address with prefix length, if it has one.
    pub cidr: Option<String>,
}

/// A named set of guests and storages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Shown beside the name.
    pub comment: Option<String>,
    /// Members.
    pub vms: Vec<u32>,
    /// Members.
    pub storages: Vec<String>,
}

/// What the machines below the cluster can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Memory and CPU limits of running containers can be changed.
    pub limits_change: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            limits_change: true,
        }
    }
}

/// A state a container can be brought back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) keys: BTreeMap<String, String>,
    pub(crate) raw: Vec<(String, String)>,
    pub(crate) description: String,
    /// Unix seconds.
    pub(crate) time_s: u64,
    pub(crate) parent: Option<String>,
}

impl Snapshot {
    /// Its section of the configuration file (`write_pct_config` of pve-container).
    fn text(&self) -> String {
        let mut keys = self.keys.clone();
        keys.insert("description".to_owned(), self.description.clone());
        keys.insert("snaptime".to_owned(), self.time_s.to_string());
        if let Some(parent) = &self.parent {
            keys.insert("parent".to_owned(), parent.clone());
        }
        section(&keys, &self.raw)
    }
}

/// Whether a guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Not running.
    Stopped,
    /// Running.
    Running {
        /// Since when, Unix ms.
        since_ms: u64,
    },
}

/// One container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guest {
    /// Where its configuration lies.
    pub node: String,
    /// Its configuration file.
    pub config: GuestConfig,
    /// As last known.
    pub power: Power,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    /// Template it was made from, file name.
    pub(crate) template: String,
    /// When its configuration appeared, Unix ms.
    pub(crate) created_ms: u64,
    /// Its row in the last broadcast; absent until the first one.
    pub(crate) broadcast: Option<BTreeMap<String, serde_json::Value>>,
    /// When that was, Unix ms.
    pub(crate) broadcast_ms: u64,
    /// Its row in the cluster's list, while it holds.
    #[serde(skip)]
    pub(crate) row: Option<RowText>,
    /// It is only told of.
    #[serde(default)]
    pub(crate) scenery: bool,
}

impl Tracked for Guest {
    fn touched(&mut self) {
        self.row = None;
    }
}

impl Guest {
    /// Running as last known.
    pub fn is_running(&self) -> bool {
        matches!(self.power, Power::Running { .. })
    }

    /// Its configuration file, whole: what is in force, what is pending, and a section for each snapshot.
    pub(crate) fn conf_text(&self) -> String {
        let mut text = self.config.text();
        for (name, snapshot) in &self.snapshots {
            text.push_str(&format!("\n[{name}]\n{}", snapshot.text()));
        }
        text
    }
}

impl World {
    /// Guests by vmid.
    pub fn guests(&self) -> impl Iterator<Item = (u32, &Guest)> {
        self.guests.iter().map(|(vmid, guest)| (*vmid, guest))
    }

    /// All remembered tasks, oldest first.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> + Clone {
        self.tasks.iter()
    }

    /// Nodes in the order of their ids.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node to change, by name; for faults.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    /// Whether a job is a look at a guest: its answer changes nothing that must survive.
    pub fn is_look(&self, job: JobId) -> bool {
        self.live.inspects.contains_key(&job)
    }

    /// Adds a token (and its user) or changes its rights and secret.
    pub fn put_token(&mut self, seed: TokenSeed) {
        seed.plant(&mut self.accounts);
    }

    /// Sets a user's password; the user is made when there is none.
    pub fn set_password(&mut self, user: &str, password: &str) {
        let salt = self.keys.secret();
        let user = self
            .accounts
            .users
            .entry(user.to_owned())
            .or_insert_with(|| User {
                enabled: true,
                ..User::default()
            });
        user.password = Some(Password::new(password, salt));
    }

    /// Whether a user can log in with a password.
    #[must_use]
    pub fn has_password(&self, user: &str) -> bool {
        let user = self.accounts.users.get(user);
        user.is_some_and(|user| user.password.is_some())
    }

    /// Secrets made from now on, and tickets, follow from this key alone.
    pub fn set_key(&mut self, key: String) {
        self.keys = Keys::new(key);
    }

    /// How long tasks take.
    pub fn task_times(&self) -> TaskTimes {
        self.times
    }

    /// Changes how long tasks take that start from now on.
    pub fn set_task_times(&mut self, times: TaskTimes) {
        self.times = times;
    }

    /// From now on something in the shell of its node holds the guest's configuration, or no longer.
    pub fn hold_config(&mut self, vmid: u32, hold: bool) {
        if hold {
            self.held.insert(vmid);
        } else {
            self.held.remove(&vmid);
        }
    }

    /// What the machines below the cluster can do from now on.
    pub fn set_environment(&mut self, environment: Environment) {
        self.environment = environment;
    }

    /// `pvestatd` tells of all guests with whatever happens next, and not only when its ten seconds are over.
    pub fn tell_now(&mut self) {
        self.next_broadcast_ms = 0;
    }

    /// Sets or removes a container's lock outside of the API, as `pct set --lock` and `pct unlock`
    /// on the node do.
    pub fn set_lock(&mut self, vmid: u32, lock: Option<&str>) {
        let Some(guest) = self.guests.get_mut(&vmid) else {
            return;
        };
        match lock {
            Some(lock) => guest.config.keys.insert("lock".into(), lock.to_owned()),
            None => guest.config.keys.remove("lock"),
        };
    }

    /// Takes a node out of the cluster, as `pvecm delnode` of a dead one does: the members' configuration changes and nothing
    /// else (`PVE::API2::ClusterConfig`). The cluster's files below `nodes/NAME` stay, and the list of guests is made of those
    /// of every folder there, member or not (`memdb_recreate_vmlist`): its containers keep their rows and their numbers.
    pub fn remove_node(&mut self, name: &str) {
        self.nodes.retain(|node| node.name != name);
        self.last_views.remove(&name.to_owned());
    }

    /// Deletes the cluster's files of a node, as a person does with `rm -r /etc/pve/nodes/NAME` of one that was taken out: only now
    /// the cluster knows nothing of its containers any more. Of a member it deletes the configurations just so.
    pub fn delete_files_of(&mut self, name: &str) {
        self.guests.retain(|_, guest| guest.node != name);
    }

    /// Takes a container away as if it had never been, without a task.
    pub fn forget_guest(&mut self, vmid: u32) {
        self.guests.remove(&vmid);
        firewall::forget(&mut self.firewall, vmid);
        self.checks.stopped(vmid);
        self.volumes.retain(|volume| volume.vmid != vmid);
    }

    /// Puts a container's configuration and its volumes on another node, as HA and migrations do in the end.
    pub fn move_guest(&mut self, vmid: u32, node: &str) {
        let Some(guest) = self.guests.get_mut(&vmid) else {
            return;
        };
        node.clone_into(&mut guest.node);
        self.checks.moved(vmid, node);
        let its = |volume: &Volume| volume.vmid == vmid && volume.node.is_some();
        self.volumes
            .change_where(its, |volume| volume.node = Some(node.to_owned()));
    }

    /// Sets the certificate fingerprint all nodes show, `AA:BB:…`.
    pub fn set_fingerprint(&mut self, fingerprint: &str) {
        self.nodes
            .iter_mut()
            .for_each(|node| fingerprint.clone_into(&mut node.fingerprint));
    }

    /// Says that a template is an OCI archive, and what it contains.
    pub fn set_image(&mut self, volid: &str, image: OciImage) {
        self.images.insert(volid.to_owned(), image);
    }

    /// Replaces what the template storages hold; what arrived over the API stays.
    pub fn set_templates(&mut self, templates: Vec<Template>) {
        let arrived = std::mem::take(&mut self.templates);
        self.templates = templates;
        for template in arrived {
            let volid = template.volid();
            let known = |other: &Template| other.volid() == volid && other.node == template.node;
            if self.arrived.contains(&volid) && !self.templates.iter().any(known) {
                self.templates.push(template);
            }
        }
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// A guest by its place; one on another node is not found.
    pub(crate) fn guest(&self, key: &GuestKey) -> Option<&Guest> {
        self.guests
            .get(&key.vmid)
            .filter(|guest| guest.node == key.node)
    }

    pub(crate) fn guest_mut(&mut self, key: &GuestKey) -> Option<&mut Guest> {
        self.guests
            .get_mut(&key.vmid)
            .filter(|guest| guest.node == key.node)
    }

    pub(crate) fn storage(&self, id: &str) -> Option<&Storage> {
        self.storages.iter().find(|storage| storage.id == id)
    }

    pub(crate) fn pool_of(&self, vmid: u32) -> Option<&str> {
        self.pools
            .iter()
            .find(|(_, pool)| pool.vms.contains(&vmid))
            .map(|(name, _)| name.as_str())
    }

    pub(crate) fn allocate_job(&mut self) -> JobId {
        self.next_job += 1;
        JobId(self.next_job)
    }

    /// A new process on a node: pid and its start in ticks since boot.
    pub(crate) fn fork(&mut self, node: &str, now_ms: u64) -> (u32, u64) {
        let step = u32::try_from(1 + self.random.below(40)).unwrap_or(1);
        let Some(node) = self.node_mut(node) else {
            return (1, 0);
        };
        node.last_pid = if node.last_pid > 4_000_000 {
            1_000
        } else {
            node.last_pid + step
        };
        (node.last_pid, now_ms.saturating_sub(node.booted_ms) / 10)
    }
}
