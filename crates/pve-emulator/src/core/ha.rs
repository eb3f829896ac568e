//! High availability: what the cluster's manager is asked for, and how it follows.
//!
//! Every ten seconds the manager of the quorate part looks at its resources: it starts and stops
//! guests as requested, and takes those of a node that has been gone for long enough to another one. A node without quorum
//! that manages guests is reset by its watchdog before that.

mod start;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::checks::{self, Doer};
use super::guest::GuestKey;
use super::membership::NOTICE_MS;
use super::task::Work;
use super::watched::Watched;
use super::worker;
use super::world::{Node, World};
use start::Trial;

/// From the loss of quorum until the watchdog of a node that manages guests resets it.
const WATCHDOG_MS: u64 = 60_000;
/// Between two looks of the manager.
const ROUND_MS: u64 = 10_000;
/// From the loss of a node until its guests are taken over.
const FENCE_MS: u64 = 130_000;

/// What the manager knows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Ha {
    /// By id, e.g. `ct:100`.
    pub(crate) resources: Watched<BTreeMap<String, Resource>>,
    /// Manager node; none before the first resource.
    pub(crate) master: Option<String>,
    /// When the manager was last alive, Unix ms.
    pub(crate) master_ms: u64,
    /// When local managers were last alive, Unix ms, by node.
    pub(crate) local_ms: BTreeMap<String, u64>,
    /// Nodes whose local manager has had work.
    pub(crate) active: BTreeSet<String>,
    /// The manager's next look, Unix ms; none while there is nothing to manage.
    pub(crate) next_ms: Option<u64>,
}

/// A managed guest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Resource {
    pub(crate) vmid: u32,
    /// `started`, `stopped`, `ignored`, `disabled`.
    pub(crate) state: String,
    /// `comment`, `max_restart` … as given.
    pub(crate) options: BTreeMap<String, String>,
    /// What the manager made of it: `started`, `stopped`, `request_stop` …; none before its first
    /// look.
    pub(crate) current: Option<String>,
    /// How its starts go.
    #[serde(default)]
    pub(crate) trial: Trial,
}

impl Ha {
    /// The resource of a guest.
    pub(crate) fn of(&self, vmid: u32) -> Option<&Resource> {
        self.resources.get(&format!("ct:{vmid}"))
    }

    /// SHA-1 of what is configured, hex.
    pub(crate) fn digest(&self) -> String {
        let text: String = self
            .resources
            .iter()
            .map(|(sid, resource)| format!("{sid} {} {:?}\n", resource.state, resource.options))
            .collect();
        hex::encode(Sha1::digest(text.as_bytes()))
    }
}

impl World {
    /// What the manager did before: which node it runs on, and which local managers have had work.
    pub fn set_ha_history(&mut self, master: Option<&str>, active: &[String], now_ms: u64) {
        self.ha.master = master.map(str::to_owned);
        self.ha.active = active.iter().cloned().collect();
        if master.is_some() {
            self.ha.master_ms = now_ms;
            self.ha.local_ms = self
                .nodes
                .iter()
                .map(|node| (node.name.clone(), now_ms))
                .collect();
            self.ha.next_ms = Some(now_ms + ROUND_MS);
        }
    }

    /// Hands a guest to the manager.
    pub(crate) fn manage(&mut self, vmid: u32, state: &str, now_ms: u64) {
        let resource = Resource {
            vmid,
            state: state.to_owned(),
            options: BTreeMap::new(),
            current: None,
            trial: Trial::default(),
        };
        self.ha.resources.insert(format!("ct:{vmid}"), resource);
        self.ha.next_ms.get_or_insert(now_ms + ROUND_MS);
    }

    /// A guest is handed to the manager, or its wanted state changes.
    pub(crate) fn request_state(&mut self, vmid: u32, state: &str, now_ms: u64) {
        if let Some(resource) = self.ha.resources.get_mut(&format!("ct:{vmid}")) {
            state.clone_into(&mut resource.state);
        }
        self.ha.next_ms.get_or_insert(now_ms + ROUND_MS);
    }
}

/// When the manager looks next, or a watchdog fires.
pub(crate) fn due_ms(world: &World) -> Option<u64> {
    let watchdogs = world
        .nodes()
        .iter()
        .filter_map(|node| watchdog_ms(world, node));
    watchdogs.chain(world.ha.next_ms).min()
}

/// When the watchdog of a node fires, if nothing changes.
fn watchdog_ms(world: &World, node: &Node) -> Option<u64> {
    let alone_ms = node.gone_ms? + NOTICE_MS;
    let manages = world.ha.active.contains(&node.name);
    let armed =
        manages && node.powered && node.partitioned && !world.is_quorate(&node.name, alone_ms);
    armed.then_some(alone_ms + WATCHDOG_MS)
}

/// Nodes that lost quorum and manage guests are reset: what runs there ends, and nothing starts again without quorum.
fn reset_nodes(world: &mut World, now_ms: u64) {
    let due = world
        .nodes()
        .iter()
        .filter(|node| watchdog_ms(world, node).is_some_and(|at_ms| at_ms <= now_ms));
    let due: Vec<String> = due.map(|node| node.name.clone()).collect();
    for name in due {
        world.ha.active.remove(&name);
        world.reset_node(&name, now_ms);
    }
}

/// The manager's look, when it is due.
pub(crate) fn advance(world: &mut World, now_ms: u64) {
    reset_nodes(world, now_ms);
    if world.ha.next_ms.is_none_or(|at| now_ms < at) {
        return;
    }
    let managing = !world.ha.resources.is_empty() || world.ha.master.is_some();
    world.ha.next_ms = managing.then_some(now_ms + ROUND_MS);
    let quorate: Vec<String> = world
        .nodes()
        .iter()
        .filter(|node| node.powered && world.is_quorate(&node.name, now_ms))
        .map(|node| node.name.clone())
        .collect();
    let Some(first) = quorate.first().cloned() else {
        return;
    };
    if !world
        .ha
        .master
        .as_ref()
        .is_some_and(|name| quorate.contains(name))
    {
        world.ha.master = Some(first);
    }
    world.ha.master_ms = now_ms;
    let master = world.ha.master.clone().unwrap_or_default();
    checks::acts(world, Doer::high_availability(&master));
    for name in &quorate {
        world.ha.local_ms.insert(name.clone(), now_ms);
    }
    let sids: Vec<String> = world.ha.resources.keys().cloned().collect();
    for sid in sids {
        look(world, &sid, &quorate, now_ms);
    }
    checks::acted(world);
}

fn look(world: &mut World, sid: &str, quorate: &[String], now_ms: u64) {
    let Some(resource) = world.ha.resources.get(sid).cloned() else {
        return;
    };
    let Some(guest) = world.guests.get(&resource.vmid) else {
        return;
    };
    let key = GuestKey {
        node: guest.node.clone(),
        vmid: resource.vmid,
    };
    let running = guest.is_running();
    let current = if quorate.contains(&key.node) {
        if resource.state != "ignored" {
            world.ha.active.insert(key.node.clone());
        }
        act(world, (sid, &resource), &key, running, (quorate, now_ms))
    } else {
        recover(world, &key, quorate, now_ms)
    };
    if let (Some(current), Some(resource)) = (current, world.ha.resources.get_mut(sid)) {
        resource.current = Some(current.to_owned());
    }
}

/// On a living node: starts and stops as wanted.
fn act(
    world: &mut World,
    (sid, resource): (&str, &Resource),
    key: &GuestKey,
    running: bool,
    (quorate, now_ms): (&[String], u64),
) -> Option<&'static str> {
    let given_up = resource.current.as_deref() == Some("error");
    if given_up && !matches!(resource.state.as_str(), "disabled" | "ignored") {
        return None;
    }
    let busy = world
        .tasks
        .iter()
        .any(|task| task.is_running() && task.lock.as_ref() == Some(key));
    match resource.state.as_str() {
        "started" | "enabled" if busy => {
            let moves = resource.current.as_deref() == Some("relocate");
            (!moves).then_some("started")
        }
        "started" | "enabled" => {
            let (trial, current) = start::go_on(world, resource, key, running, (quorate, now_ms));
            if let Some(resource) = world.ha.resources.get_mut(sid) {
                resource.trial = trial;
            }
            Some(current)
        }
        "stopped" | "disabled" if running && !busy => {
            let work = Work::Shutdown {
                timeout_s: 60,
                force: true,
            };
            worker::spawn(world, "vzshutdown", key, "root@pam", work, now_ms);
            Some("request_stop")
        }
        "stopped" | "disabled" if !running => {
            forget_trial(world, sid);
            Some("stopped")
        }
        "ignored" => {
            forget_trial(world, sid);
            Some("ignored")
        }
        _ => None,
    }
}

fn forget_trial(world: &mut World, sid: &str) {
    let tried = |resource: &Resource| resource.trial != Trial::default();
    if world.ha.resources.get(sid).is_some_and(tried)
        && let Some(resource) = world.ha.resources.get_mut(sid)
    {
        resource.trial = Trial::default();
    }
}

/// On a node that has gone: waits until it is certain to be dead, then takes the guest over.
fn recover(
    world: &mut World,
    key: &GuestKey,
    quorate: &[String],
    now_ms: u64,
) -> Option<&'static str> {
    let gone_ms = world.node(&key.node)?.gone_ms?;
    if now_ms < gone_ms + FENCE_MS {
        return None;
    }
    let shared = world
        .guests
        .get(&key.vmid)?
        .config
        .volumes()
        .iter()
        .all(|(_, value)| {
            let id = super::guest_config::volume_of(value)
                .split(':')
                .next()
                .unwrap_or_default();
            world.storage(id).is_some_and(|storage| storage.shared)
        });
    let fewest = |name: &&String| start::guests_on(world, name);
    let target = quorate.iter().min_by_key(fewest)?.clone();
    let guest = world.guests.get_mut(&key.vmid)?;
    guest.node.clone_from(&target);
    guest.config.keys.remove("lock");
    let key = GuestKey {
        node: target,
        vmid: key.vmid,
    };
    if shared {
        let wanted = world
            .ha
            .of(key.vmid)
            .is_some_and(|resource| resource.state == "started");
        if wanted {
            worker::spawn(world, "vzstart", &key, "root@pam", Work::Start, now_ms);
        }
    }
    Some("started")
}
