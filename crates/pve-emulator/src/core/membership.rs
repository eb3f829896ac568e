//! Which nodes see which: power, partitions, quorum, and how late the others notice.

use serde_json::{Value, json};

use super::guest::GuestKey;
use super::world::{Daemon, Node, Reach, World};

/// The most by which calls past a node may be slowed down, milliseconds.
const SLOWEST_MS: u64 = 3_600_000;
/// The furthest that the clock may be ahead, milliseconds: ten years.
const FURTHEST_AHEAD_MS: u64 = 3_650 * 86_400_000;
/// How long the others take to notice that a node has gone.
pub(crate) const NOTICE_MS: u64 = 7_000;

/// What a client finds at a node's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// A server that answers.
    Answers,
    /// Nothing listens.
    Refuses,
    /// Nothing ever comes back.
    Silent,
}

impl Node {
    /// What is broken about it, for lists.
    #[must_use]
    pub fn faults(&self) -> Value {
        json!({
            "node": self.name, "powered": self.powered, "reach": self.reach, "partitioned": self.partitioned,
            "daemons": {"pvedaemon": self.daemon_up, "pveproxy": self.proxy_up, "pvestatd": self.teller_up},
            "slow_ms": self.slow_ms, "old_view_cycles": self.old_view_cycles,
        })
    }
}

impl World {
    /// A node loses its power: its guests stop, its daemons answer nobody. The others see
    /// `reach` when they call it. A second call changes only that.
    pub fn power_off(&mut self, name: &str, reach: Reach, now_ms: u64) {
        let Some(node) = self.node_mut(name) else {
            return;
        };
        node.reach = reach;
        node.gone_ms.get_or_insert(now_ms);
        if !std::mem::replace(&mut node.powered, false) {
            return;
        }
        self.drop_node(name, now_ms);
    }

    /// As [`power_off`](Self::power_off); and the driver is told to end what ran there.
    pub fn cut_power(&mut self, name: &str, reach: Reach, now_ms: u64) {
        let there = self.guests.iter().filter(|(_, guest)| guest.node == name);
        let vmids: Vec<u32> = there.map(|(vmid, _)| *vmid).collect();
        self.power_off(name, reach, now_ms);
        self.end_all_processes(name, vmids);
    }

    /// A node starts anew where it is: what ran there ends, and the driver is told to end it.
    pub(crate) fn reset_node(&mut self, name: &str, now_ms: u64) {
        let there = self.guests.iter().filter(|(_, guest)| guest.node == name);
        let vmids: Vec<u32> = there.map(|(vmid, _)| *vmid).collect();
        if let Some(node) = self.node_mut(name) {
            node.booted_ms = now_ms;
        }
        self.drop_node(name, now_ms);
        self.end_all_processes(name, vmids);
    }

    fn end_all_processes(&mut self, name: &str, vmids: Vec<u32>) {
        for vmid in vmids {
            let node = name.to_owned();
            self.end_processes(GuestKey { node, vmid });
        }
    }

    /// A node without power boots and joins. Its guests are stopped.
    pub fn power_on(&mut self, name: &str, now_ms: u64) {
        if let Some(node) = self.node_mut(name).filter(|node| !node.powered) {
            node.powered = true;
            node.partitioned = false;
            node.reach = Reach::Up;
            node.gone_ms = None;
            node.booted_ms = now_ms;
            self.last_views.remove(&name.to_owned());
        }
    }

    /// A node runs on, cut off from all others.
    pub fn partition(&mut self, name: &str, now_ms: u64) {
        if self.node(name).is_some() && !self.last_views.contains_key(name) {
            let view = self.common_view();
            self.last_views.insert(name.to_owned(), view);
        }
        if let Some(node) = self.node_mut(name) {
            node.partitioned = true;
            node.reach = Reach::NoRoute;
            node.gone_ms.get_or_insert(now_ms);
        }
    }

    /// A partitioned node is back among the others.
    pub fn heal(&mut self, name: &str) {
        if let Some(node) = self.node_mut(name).filter(|node| node.powered) {
            node.partitioned = false;
            node.reach = Reach::Up;
            node.gone_ms = None;
            self.last_views.remove(&name.to_owned());
        }
    }

    /// Starts or stops a program of a node.
    pub fn set_daemon(&mut self, name: &str, daemon: Daemon, up: bool) {
        if let Some(node) = self.node_mut(name) {
            match daemon {
                Daemon::Privileged => node.daemon_up = up,
                Daemon::Proxy => node.proxy_up = up,
                Daemon::Teller => node.teller_up = up,
            }
        }
    }

    /// Calls that come past a node take so much longer from now on, milliseconds.
    ///
    /// # Errors
    /// It is more than an hour.
    pub fn set_slow(&mut self, name: &str, ms: u64) -> Result<(), String> {
        if ms > SLOWEST_MS {
            return Err(format!("slow_ms: at most {SLOWEST_MS}"));
        }
        if let Some(node) = self.node_mut(name) {
            node.slow_ms = ms;
        }
        Ok(())
    }

    /// What a node tells about its guests is not taken in for so many broadcasts: the cluster goes on seeing what it
    /// told last.
    pub fn set_old_view(&mut self, name: &str, cycles: u64) {
        if let Some(node) = self.node_mut(name) {
            node.old_view_cycles = cycles;
        }
    }

    /// What a client finds at each node's address.
    pub fn fronts(&self) -> impl Iterator<Item = (&str, Front)> {
        self.nodes.iter().map(|node| {
            let front = match (node.powered, node.reach) {
                (true, _) if node.proxy_up => Front::Answers,
                (true, _) => Front::Refuses,
                (false, Reach::Refused) => Front::Refuses,
                (false, Reach::Up | Reach::NoRoute | Reach::Silent) => Front::Silent,
            };
            (node.name.as_str(), front)
        })
    }

    /// Sets this world's clock ahead of the machine's; it never goes back.
    ///
    /// # Errors
    /// It is further ahead already, or more than ten years is asked for.
    pub fn set_clock_ahead(&mut self, ms: u64) -> Result<(), String> {
        if ms > FURTHEST_AHEAD_MS {
            return Err(format!(
                "ahead_ms: at most {FURTHEST_AHEAD_MS}, which is ten years"
            ));
        }
        if ms < self.clock_ahead_ms {
            return Err(format!(
                "it is {} ms ahead and never goes back",
                self.clock_ahead_ms
            ));
        }
        self.clock_ahead_ms = ms;
        Ok(())
    }

    /// How far this world's clock is ahead of the machine's, milliseconds.
    #[must_use]
    pub fn clock_ahead_ms(&self) -> u64 {
        self.clock_ahead_ms
    }

    /// Whether clients get an answer from a node: one that is cut off from the others goes on answering.
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        let node = self.node(name).filter(|node| node.powered);
        node.is_some_and(|node| node.reach == Reach::Up || node.partitioned)
    }

    /// Whether `from` counts `other` among the members of the cluster.
    pub(crate) fn sees(&self, from: &str, other: &Node, now_ms: u64) -> bool {
        if from == other.name {
            return true;
        }
        let noticed = |node: &Node| node.gone_ms.is_some_and(|at| now_ms >= at + NOTICE_MS);
        let cut_off = self
            .node(from)
            .is_some_and(|node| node.partitioned && noticed(node));
        !cut_off && !noticed(other) && (other.reach == Reach::Up || other.gone_ms.is_some())
    }

    /// Whether a node is part of a majority. A standalone node always is.
    pub(crate) fn is_quorate(&self, name: &str, now_ms: u64) -> bool {
        let members = self
            .nodes
            .iter()
            .filter(|node| self.sees(name, node, now_ms))
            .count();
        self.cluster_name.is_none() || members * 2 > self.nodes.len()
    }
}
