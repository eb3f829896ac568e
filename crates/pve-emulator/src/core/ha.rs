//! High availability: what the cluster's manager is asked for, and how it follows.
//!
//! Every ten seconds the manager of the quorate part looks at its resources: it starts and stops
//! guests as requested, and takes those of a node that has been gone for long enough to another one. A node without quorum
//! that manages guests is reset by its watchdog before that.

mod commands;
mod start;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::checks::{self, Doer};
use super::guest::GuestKey;
use super::ha_rules;
use super::membership::NOTICE_MS;
use super::task::Work;
use super::watched::Watched;
use super::worker;
use super::world::{Node, World};
use crate::schema::split_list;
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
    /// `freeze` or `ignore`, when it was asked to let go of everything.
    #[serde(default)]
    pub(crate) disarm_wanted: Option<String>,
    /// What came of that.
    #[serde(default)]
    pub(crate) disarm: Option<Disarm>,
}

/// The manager lets go, or has let go, of everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disarm {
    /// `freeze` or `ignore`.
    pub(crate) mode: String,
    /// `disarming`, then `disarmed`.
    pub(crate) state: String,
}

/// A managed guest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Resource {
    pub(crate) vmid: u32,
    /// `started`, `stopped`, `ignored`, `disabled`.
    pub(crate) state: String,
    /// The state was not given: it is the one that is meant then.
    #[serde(default)]
    pub(crate) state_meant: bool,
    /// `migrate` or `relocate` and the node, as somebody asked for.
    #[serde(default)]
    pub(crate) wish: Option<(String, String)>,
    /// Somebody asked for a stop: how long its shutdown may take, seconds; none at all when 0.
    #[serde(default)]
    pub(crate) stop_s: Option<u64>,
    /// The node it is on its way to.
    #[serde(default)]
    pub(crate) going_to: Option<String>,
    /// `comment`, `max_restart` … as given.
    pub(crate) options: BTreeMap<String, String>,
    /// What the manager made of it: `started`, `stopped`, `request_stop` …; none before its first
    /// look.
    pub(crate) current: Option<String>,
    /// How its starts go.
    #[serde(default)]
    pub(crate) trial: Trial,
}

impl Resource {
    /// Its state in lists: the manager's, or what was wished for as long as it has none.
    pub(crate) fn shown_state(&self) -> Option<&str> {
        let wished = (!self.state_meant).then_some(self.state.as_str());
        self.current.as_deref().or(wished)
    }
}

impl Ha {
    /// The resource of a guest.
    pub(crate) fn of(&self, vmid: u32) -> Option<&Resource> {
        self.resources.get(&format!("ct:{vmid}"))
    }

    /// Whether the manager decides about a guest's power: not about one that it is to ignore, nor when it has let go of
    /// all of them.
    pub(crate) fn manages(&self, vmid: u32) -> bool {
        let disarm = self.disarm.as_ref();
        let let_go = disarm.is_some_and(|disarm| disarm.mode == "ignore");
        let resource = self.of(vmid);
        resource.is_some_and(|resource| resource.state != "ignored") && !let_go
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
            state_meant: false,
            wish: None,
            stop_s: None,
            going_to: None,
            options: BTreeMap::new(),
            current: None,
            trial: Trial::default(),
        };
        self.ha.resources.insert(format!("ct:{vmid}"), resource);
        self.ha.next_ms.get_or_insert(now_ms + ROUND_MS);
    }

    /// Takes a resource from the manager; with `purge` out of the rules too, and rules away that are about nothing then.
    pub(crate) fn unmanage(&mut self, sid: &str, purge: bool) {
        self.ha.resources.remove(sid);
        if !purge {
            return;
        }
        self.file_mut(ha_rules::FILE).retain(|rule| {
            let list = rule.get("resources").unwrap_or_default();
            let left: Vec<&str> = split_list(list)
                .into_iter()
                .filter(|other| *other != sid)
                .collect();
            let left = left.join(",");
            rule.keys.insert("resources".into(), left.clone());
            !left.is_empty()
        });
    }

    /// A guest is handed to the manager, or its wanted state changes.
    pub(crate) fn request_state(&mut self, vmid: u32, state: &str, now_ms: u64) {
        if let Some(resource) = self.ha.resources.get_mut(&format!("ct:{vmid}")) {
            state.clone_into(&mut resource.state);
            resource.state_meant = false;
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
    if disarmed(world) {
        return;
    }
    commands::take_in(world, &quorate);
    let sids: Vec<String> = world.ha.resources.keys().cloned().collect();
    for sid in sids {
        look(world, &sid, &quorate, now_ms);
    }
    checks::acted(world);
}

/// Takes in what was asked for about letting go; whether nothing is managed now.
fn disarmed(world: &mut World) -> bool {
    let ha = &mut world.ha;
    ha.disarm = match (&ha.disarm_wanted, ha.disarm.take()) {
        (None, _) => None,
        (Some(_), Some(now)) => Some(Disarm {
            state: "disarmed".into(),
            ..now
        }),
        (Some(mode), None) => Some(Disarm {
            mode: mode.clone(),
            state: "disarming".into(),
        }),
    };
    ha.disarm.is_some()
}

fn look(world: &mut World, sid: &str, quorate: &[String], now_ms: u64) {
    let Some(resource) = world.ha.resources.get(sid).cloned() else {
        return;
    };
    if resource.state == "ignored" {
        return ignore(world, sid);
    }
    let Some(guest) = world.guests.get(&resource.vmid) else {
        return;
    };
    let key = GuestKey {
        node: guest.node.clone(),
        vmid: resource.vmid,
    };
    let running = guest.is_running();
    let current = if !quorate.contains(&key.node) {
        recover(world, sid, &key, quorate, now_ms)
    } else {
        world.ha.active.insert(key.node.clone());
        let sent = go(world, (sid, &resource), &key, (quorate, now_ms));
        sent.or_else(|| act(world, (sid, &resource), &key, running, (quorate, now_ms)))
    };
    if let (Some(current), Some(resource)) = (current, world.ha.resources.get_mut(sid)) {
        resource.current = Some(current.to_owned());
    }
}

/// The manager forgets what it made of a resource that it is to ignore.
fn ignore(world: &mut World, sid: &str) {
    let known = |resource: &Resource| {
        let Resource { current, wish, .. } = resource;
        current.is_some() || wish.is_some() || resource.going_to.is_some()
    };
    if world.ha.resources.get(sid).is_some_and(known)
        && let Some(resource) = world.ha.resources.get_mut(sid)
    {
        resource.current = None;
        resource.wish = None;
        resource.going_to = None;
        resource.trial = Trial::default();
    }
}

fn is_busy(world: &World, key: &GuestKey) -> bool {
    let its = |task: &super::task::Task| task.is_running() && task.lock.as_ref() == Some(key);
    world.tasks.iter().any(its)
}

/// Sends a resource to where it was asked to be, or where it belongs: containers are stopped for that and started again.
fn go(
    world: &mut World,
    (sid, resource): (&str, &Resource),
    key: &GuestKey,
    (quorate, now_ms): (&[String], u64),
) -> Option<&'static str> {
    if is_busy(world, key) {
        return resource.going_to.as_ref().map(|_| "migrate");
    }
    let wish = resource.wish.clone();
    let wished = wish.filter(|(_, node)| quorate.contains(node) && *node != key.node);
    let belongs = || {
        let started = matches!(resource.state.as_str(), "started" | "enabled");
        let place =
            started.then(|| place_for(world, sid, resource, Some(&key.node), quorate))??;
        Some(("migrate".to_owned(), place)).filter(|(_, node)| *node != key.node)
    };
    let next = wished.or_else(belongs);
    let going_to = next.as_ref().map(|(_, node)| node.clone());
    if resource.wish.is_some() || resource.going_to != going_to {
        let entry = world.ha.resources.get_mut(sid)?;
        entry.wish = None;
        entry.going_to = going_to;
    }
    let (word, target) = next?;
    let work = Work::Migrate {
        target,
        restart: true,
        timeout_s: 60,
        how: Box::default(),
    };
    worker::spawn(world, "vzmigrate", key, "root@pam", work, now_ms);
    Some(if word == "relocate" {
        "relocate"
    } else {
        "migrate"
    })
}

/// The node a resource is to be on: where its rules want it, rather where it is, rather where there is little.
fn place_for(
    world: &World,
    sid: &str,
    resource: &Resource,
    now_on: Option<&String>,
    online: &[String],
) -> Option<String> {
    let (allowed, mut places) = world.ha_places(sid, online);
    let stays = resource
        .options
        .get("failback")
        .is_some_and(|text| text == "0");
    if let Some(node) = now_on.filter(|node| stays && allowed.contains(*node)) {
        places = vec![node.clone()];
    }
    let (near, far) = world.ha_companions(sid);
    let node_of = |sid: &String| {
        let other = world.ha.resources.get(sid)?;
        other.current.as_ref()?;
        let on = world
            .guests
            .get(&other.vmid)
            .map(|guest| guest.node.clone());
        other.going_to.clone().or(on)
    };
    let near: Vec<String> = near.iter().filter_map(node_of).collect();
    let far: Vec<String> = far.iter().filter_map(node_of).collect();
    places.retain(|node| !far.contains(node));
    let company = |node: &String| near.iter().filter(|other| *other == node).count();
    let most = places.iter().map(company).max().unwrap_or_default();
    places.retain(|node| company(node) == most);
    if let Some(node) = now_on.filter(|node| places.contains(node)) {
        return Some(node.clone());
    }
    let guests = |name: &String| {
        world
            .guests
            .values()
            .filter(|guest| guest.node == *name)
            .count()
    };
    places.into_iter().min_by_key(guests)
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
    if given_up && resource.state != "disabled" {
        return None;
    }
    let busy = is_busy(world, key);
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
            let (kind, work) = commands::stop(world, sid);
            worker::spawn(world, kind, key, "root@pam", work, now_ms);
            Some("request_stop")
        }
        "stopped" | "disabled" if !running => {
            forget_trial(world, sid);
            Some("stopped")
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
    sid: &str,
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
    let resource = world.ha.resources.get(sid)?.clone();
    let Some(target) = place_for(world, sid, &resource, None, quorate) else {
        return Some("recovery");
    };
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
