//! The first state of a cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::access::{Access, Accounts, Holder, Keys, Token, User, split_token_id};
use super::broadcast::PERIOD_MS;
use super::checks::Checks;
use super::faults::Faults;
use super::ha::Ha;
use super::park::Live;
use super::random::Random;
use super::tracked::{TrackedList, TrackedMap};
use super::watched::Watched;
use super::world::{Bridge, Environment, Node, Pool, Reach, Storage, TaskTimes, Template, World};

/// What a cluster starts with.
#[derive(Debug, Clone)]
pub struct WorldSeed {
    /// Name of the cluster; `None` with exactly one node makes it standalone.
    pub cluster_name: Option<String>,
    /// At least one; names are DNS labels.
    pub nodes: Vec<NodeSeed>,
    /// Storages.
    pub storages: Vec<Storage>,
    /// Container templates.
    pub templates: Vec<Template>,
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// API tokens.
    pub tokens: Vec<TokenSeed>,
    /// Start of the arbitrary numbers (MACs, pids).
    pub random: u64,
    /// How long tasks take.
    pub times: TaskTimes,
}

/// A node.
#[derive(Debug, Clone)]
pub struct NodeSeed {
    /// DNS label.
    pub name: String,
    /// Address other nodes and `/cluster/status` see.
    pub address: String,
    /// CPUs.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Memory in use without guests, bytes.
    pub memory_used_bytes: u64,
    /// Root disk, bytes.
    pub disk_bytes: u64,
    /// Root disk in use, bytes.
    pub disk_used_bytes: u64,
    /// Bridges.
    pub bridges: Vec<Bridge>,
}

/// An API token.
#[derive(Debug, Clone)]
pub struct TokenSeed {
    /// `user@realm!name`.
    pub id: String,
    /// From [`super::hash_secret`].
    pub secret_sha256: String,
    /// Its rights.
    pub access: Access,
}

impl TokenSeed {
    /// Brings the token into the accounts, replacing one of this id.
    pub(crate) fn plant(self, accounts: &mut Accounts) {
        let Some((user, name)) = split_token_id(&self.id) else {
            return;
        };
        let full = self.access == Access::Full;
        let token = Token {
            secret_sha256: self.secret_sha256,
            privsep: !full,
            expire_s: 0,
            comment: None,
        };
        let entry = accounts
            .users
            .entry(user.to_owned())
            .or_insert_with(|| User {
                enabled: true,
                ..User::default()
            });
        entry.tokens.insert(name.to_owned(), token);
        if full && user != "root@pam" {
            accounts
                .grants
                .add("/", Holder::User, user, "Administrator", true);
        }
    }
}

impl World {
    /// A cluster without guests.
    pub fn new(seed: WorldSeed, now_ms: u64) -> Self {
        let standalone = seed.cluster_name.is_none() && seed.nodes.len() == 1;
        let nodes = seed
            .nodes
            .into_iter()
            .zip(1..)
            .map(|(node, id)| plant(node, if standalone { 0 } else { id }, now_ms));
        let mut accounts = Accounts::default();
        for token in seed.tokens {
            token.plant(&mut accounts);
        }
        Self {
            cluster_name: seed
                .cluster_name
                .or_else(|| (!standalone).then(|| "lab".into())),
            nodes: nodes.collect(),
            storages: seed.storages.into(),
            templates: seed.templates,
            pools: seed.pools.into(),
            accounts: accounts.into(),
            keys: Keys::new(format!("{:x}", seed.random)),
            guests: TrackedMap::default(),
            volumes: TrackedList::default(),
            last_views: TrackedMap::default(),
            tasks: TrackedList::default(),
            jobs: BTreeMap::new(),
            next_job: 0,
            random: Random::seeded(seed.random),
            times: seed.times,
            backups: Vec::new(),
            converting: BTreeMap::new(),
            moving: BTreeMap::new(),
            backup_jobs: Watched::default(),
            replication_jobs: Watched::default(),
            ha: Ha::default(),
            next_id: Watched::default(),
            environment: Environment::default(),
            images: BTreeMap::new(),
            next_broadcast_ms: now_ms + PERIOD_MS,
            held: BTreeSet::new(),
            faults: Faults::default(),
            checks: Checks::default(),
            files: BTreeMap::new(),
            datacenter: BTreeMap::new(),
            stored_files: Vec::new(),
            arrived: BTreeSet::new(),
            registry: None,
            notifications: BTreeMap::new(),
            node_settings: BTreeMap::new(),
            firewall: Watched::default(),
            clock_ahead_ms: 0,
            reserved_ports: BTreeMap::new(),
            live: Live::default(),
        }
    }
}

fn plant(seed: NodeSeed, id: u32, now_ms: u64) -> Node {
    Node {
        name: seed.name,
        id,
        address: seed.address,
        cpus: seed.cpus,
        memory_bytes: seed.memory_bytes,
        memory_used_bytes: seed.memory_used_bytes,
        disk_bytes: seed.disk_bytes,
        disk_used_bytes: seed.disk_used_bytes,
        bridges: seed.bridges,
        fingerprint: String::new(),
        booted_ms: now_ms.saturating_sub(3_600_000),
        last_pid: 1_000,
        reach: Reach::Up,
        daemon_up: true,
        proxy_up: true,
        teller_up: true,
        powered: true,
        partitioned: false,
        gone_ms: None,
        slow_ms: 0,
        old_view_cycles: 0,
    }
}
