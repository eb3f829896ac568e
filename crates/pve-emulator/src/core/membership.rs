//! Which nodes see which: power, partitions, quorum, and how late the others notice.

use super::world::{Daemon, Node, Reach, World};

/// How long the others take to notice that a node has gone.
const NOTICE_MS: u64 = 7_000;

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

    /// A node boots and joins. Its guests are stopped.
    pub fn power_on(&mut self, name: &str, now_ms: u64) {
        if let Some(node) = self.node_mut(name) {
            node.powered = true;
            node.partitioned = false;
            node.reach = Reach::Up;
            node.gone_ms = None;
            node.booted_ms = now_ms;
        }
    }

    /// A node runs on, cut off from all others.
    pub fn partition(&mut self, name: &str, now_ms: u64) {
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
