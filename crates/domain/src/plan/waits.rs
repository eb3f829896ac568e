//! What each change waits for.

use std::collections::{BTreeMap, BTreeSet};

use crate::depends::layers;
use crate::names::Hostname;

/// An app, as far as the order of changes depends on it. No two have one name.
pub(super) struct Node<'a> {
    pub(super) name: &'a Hostname,
    /// Nothing is done about it.
    pub(super) is_quiet: bool,
    /// No document names it any more.
    pub(super) ends: bool,
    /// What it depends on.
    pub(super) needs: &'a [Hostname],
    /// What it depended on when it was applied last.
    pub(super) needed: Vec<&'a Hostname>,
}

/// What an app's change waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Waits {
    /// Names of the changes, in order.
    pub(super) depends_on: Vec<Hostname>,
    /// By how many layers it comes later for that. Only what ends does: the layers of all others follow from what they depend on.
    pub(super) later: u32,
}

/// Of each node in turn. What stays as it is waits for nothing, and whoever depends on it waits for what it depends on itself.
pub(super) fn waits(nodes: &[Node<'_>]) -> Vec<Waits> {
    let graph = Graph::of(nodes);
    let ends = graph.ends();
    let each = nodes.iter().enumerate().map(|(at, node)| {
        let (needs, later) = match ends.get(&at) {
            Some(end) => (end.needs.clone(), end.later),
            None if node.is_quiet => (BTreeSet::new(), 0),
            None => (graph.through(at), 0),
        };
        let names = needs.into_iter().filter_map(|need| nodes.get(need));
        let mut depends_on: Vec<Hostname> = names.map(|need| need.name.clone()).collect();
        depends_on.sort_unstable();
        Waits { depends_on, later }
    });
    each.collect()
}

/// What an app that ends waits for.
struct End {
    needs: BTreeSet<usize>,
    later: u32,
}

struct Graph<'a> {
    nodes: &'a [Node<'a>],
    places: BTreeMap<&'a Hostname, usize>,
}

impl<'a> Graph<'a> {
    fn of(nodes: &'a [Node<'a>]) -> Self {
        let places = nodes.iter().enumerate().map(|(at, node)| (node.name, at));
        Self {
            nodes,
            places: places.collect(),
        }
    }

    /// The changes that one waits for, through all that stays as it is.
    fn through(&self, of: usize) -> BTreeSet<usize> {
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::from([of]));
        let mut open = vec![of];
        while let Some(node) = open.pop().and_then(|at| self.nodes.get(at)) {
            for at in node.needs.iter().filter_map(|need| self.places.get(need)) {
                let is_quiet = self.nodes.get(*at).is_some_and(|node| node.is_quiet);
                if !seen.insert(*at) {
                    continue;
                }
                if is_quiet {
                    open.push(*at);
                } else {
                    found.insert(*at);
                }
            }
        }
        found
    }

    /// What ends waits for all that depended on it and is changed, so that nobody is left without what it needs. What was applied at
    /// different times may go in a circle: within it nobody waits.
    fn ends(&self) -> BTreeMap<usize, End> {
        let ending = |at: usize| self.nodes.get(at).is_some_and(|node| node.ends);
        let ended = (0..self.nodes.len()).filter(|at| ending(*at));
        let mut needs: BTreeMap<usize, BTreeSet<usize>> =
            ended.map(|at| (at, BTreeSet::new())).collect();
        for (at, node) in self.nodes.iter().enumerate() {
            if node.is_quiet {
                continue;
            }
            let needed = node.needed.iter().filter_map(|name| self.places.get(name));
            for needed in needed.filter(|needed| **needed != at) {
                if let Some(its) = needs.get_mut(needed) {
                    its.insert(at);
                }
            }
        }
        let later = without_circles(&mut needs);
        let each = needs.into_iter().zip(later);
        each.map(|((at, needs), later)| (at, End { needs, later }))
            .collect()
    }
}

/// Takes what goes in a circle out of the needs; gives in which layer among themselves each is.
fn without_circles(needs: &mut BTreeMap<usize, BTreeSet<usize>>) -> Vec<u32> {
    loop {
        let all: Vec<usize> = needs.keys().copied().collect();
        let own = needs.values().map(|its| {
            let places = its.iter().filter_map(|at| all.binary_search(at).ok());
            places.collect()
        });
        let own: Vec<Vec<usize>> = own.collect();
        match layers(&own) {
            Ok(found) => {
                let mut later = vec![0; all.len()];
                for (these, layer) in found.iter().zip(0_u32..) {
                    for at in these {
                        later[*at] = layer;
                    }
                }
                return later;
            }
            Err(circles) => {
                for circle in circles {
                    let circle: BTreeSet<usize> = circle.iter().map(|at| all[*at]).collect();
                    for at in &circle {
                        if let Some(its) = needs.get_mut(at) {
                            its.retain(|need| !circle.contains(need));
                        }
                    }
                }
            }
        }
    }
}
