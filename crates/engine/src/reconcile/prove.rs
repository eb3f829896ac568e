//! The proof that a guest is gone: the word of every node that is online, and the lists of the cluster's other nodes (ADR 0015).

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use proximity_domain::ids::HostId;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{
    CompleteInventory, DirectRead, NodeSeen, NotProven, Others, ProvenAbsent, Sight, Suspicion,
    Unread,
};
use proximity_pve::ReadClient;
use proximity_store::observation::WatchedGuest;
use proximity_store::records::HostRecord;

use super::patience::Kept;
use super::words::{Heard, Patience, Wanted, hear, silent_at};
use super::{Reconciler, Seen, look};

/// The endpoints that kept a pass waiting, with the list that was not read there, unless a node that is off was to give it.
/// By address: what is at a place of the entry's list may be another one by the next pass.
pub(super) type LateEndpoints = Kept<(HostId, String), Option<Unread>>;

impl Reconciler {
    /// Asks for what is missing from the proof. One request for each guest and node that is online, and one more for the guest;
    /// none as long as the guest's own node is left alone. When nothing else is missing, the looks of the other nodes: once in a
    /// pass, and not for a guest of which they were found wanting within the last minute.
    ///
    /// # Errors
    /// What is missing from it yet.
    pub(super) async fn prove(
        &self,
        cluster: &Seen,
        guest: &WatchedGuest,
        suspicion: &Suspicion,
    ) -> Result<ProvenAbsent, NotProven> {
        let (place, host) = (&guest.watched.place, cluster.site.host.id);
        let (read, inventory) = (&cluster.site.read, &cluster.inventory);
        let now = self.moment();
        let online = inventory.nodes().iter().filter(|node| node.online);
        // One that hangs is not asked again at once: its silence would hold up the pass once more for each that is missing.
        let (left, asked): (Vec<&NodeSeen>, Vec<&NodeSeen>) =
            online.partition(|node| self.hung.is_left(host, &node.name, now));
        if left.iter().any(|node| node.name == place.node) {
            return Err(NotProven::NotSaid(place.node.clone()));
        }
        let kept = self.unproven.of(&guest.watched.guest, now);
        if let Some(why @ NotProven::NotStoodIn { silent, .. }) = &kept
            && left.iter().any(|node| node.name == *silent)
        {
            return Err(why.clone());
        }
        let sight = look::sight_of(read, place.vmid).await;
        let sight = sight.map_err(NotProven::SightUnread)?;
        // Each for itself: a node answers for its own part of the cluster's files, by its own copy of them.
        let mut answers = Vec::new();
        for node in asked {
            answers.push(async {
                let said = look::direct_soon(read, &node.name, place.vmid).await;
                if said.is_none() {
                    self.hung.note(host, &node.name, self.moment());
                }
                said.unwrap_or(DirectRead::Unknown)
            });
        }
        let reads = join_all(answers).await;
        let others = if is_all_but_lists(sight, &reads, &place.node) {
            if let Some(why) = kept.filter(|why| needs_lists(why, &reads)) {
                return Err(why);
            }
            self.others(cluster).await
        } else {
            Arc::default()
        };
        let proof =
            ProvenAbsent::prove(&guest.watched, suspicion, inventory, sight, &reads, &others);
        if let Err(why) = &proof
            && needs_lists(why, &reads)
        {
            let (guest, now) = (guest.watched.guest, self.moment());
            self.unproven.note(guest, why.clone(), now);
        }
        proof
    }

    /// The looks of the cluster's other nodes that can be had: read when the first guest needs them, and once in a pass, however
    /// many are missing. None where there is one endpoint.
    async fn others(&self, cluster: &Seen) -> Arc<Others> {
        let mut kept = cluster.others.lock().await;
        if let Some(others) = kept.as_ref() {
            return Arc::clone(others);
        }
        let (host, newest) = (&cluster.site.host, cluster.inventory.own_word());
        let (endpoints, unread) = self.endpoints_to_ask(cluster);
        let mut others = Others {
            looks: Vec::new(),
            unread,
        };
        let took = cluster.answered.since_ms(cluster.asked);
        let patience = Patience::of_pass(Duration::from_millis(took));
        for (endpoint, heard) in hear(host, newest, Wanted::All, patience, endpoints).await {
            self.take_in(cluster, endpoint, heard, &mut others);
        }
        let others = Arc::new(others);
        *kept = Some(Arc::clone(&others));
        others
    }

    /// The endpoints whose answer may be worth something, and the lists that were not read a moment ago at others.
    fn endpoints_to_ask(&self, cluster: &Seen) -> (Vec<(usize, ReadClient)>, Vec<Unread>) {
        let (host, inventory) = (&cluster.site.host, &cluster.inventory);
        let (mut asked, mut unread) = (Vec::new(), Vec::new());
        let endpoints = cluster.site.read.each();
        if endpoints.len() == 1 {
            return (asked, unread);
        }
        let now = self.moment();
        // Where it is known who answers there: in vain of the one whose look is at hand, of one that is off, and of one that hangs.
        let is_in_vain = |node: &NodeName| {
            inventory.own_word() == Some(node)
                || inventory.is_online(node) != Some(true)
                || self.hung.is_left(host.id, node, now)
        };
        for (endpoint, read) in endpoints.into_iter().enumerate() {
            let known = host.endpoints.get(endpoint);
            let node = known.and_then(|it| it.node.as_ref());
            if node.is_some_and(is_in_vain) {
                continue;
            }
            let late = address(host, endpoint).and_then(|of| self.late.of(&of, now));
            match late.filter(|late| holds(late.as_ref(), inventory)) {
                Some(late) => unread.extend(late),
                None => asked.push((endpoint, read)),
            }
        }
        (asked, unread)
    }

    fn take_in(&self, cluster: &Seen, endpoint: usize, heard: Heard, others: &mut Others) {
        let (host, inventory) = (&cluster.site.host, &cluster.inventory);
        let is_online = |node: &NodeName| inventory.is_online(node) == Some(true);
        let read = match heard {
            Heard::Word(word) => word.into_look(host).map_err(Some),
            Heard::Unread(unread) => Err(Some(unread)),
            Heard::Silent { was_asked: true } => Err(silent_at(host, endpoint, is_online)),
            Heard::Silent { was_asked: false } => {
                // The next pass asks it: those that took the time of this one are left alone then.
                let unread = silent_at(host, endpoint, is_online);
                others.unread.extend(unread);
                return;
            }
            Heard::Nothing { is_late: true } => Err(None),
            Heard::Nothing { is_late: false } => return,
        };
        match read {
            Ok(look) => others.looks.push(look),
            Err(unread) => {
                if let Some(of) = address(host, endpoint) {
                    self.late.note(of, unread.clone(), self.moment());
                }
                others.unread.extend(unread);
            }
        }
    }
}

fn address(host: &HostRecord, endpoint: usize) -> Option<(HostId, String)> {
    let known = host.endpoints.get(endpoint)?;
    Some((host.id, known.url.clone()))
}

/// Whether what was found of an endpoint holds yet: not of a node that is off by now. Of which node nobody knows it holds.
fn holds(late: Option<&Unread>, newest: &CompleteInventory) -> bool {
    let node = late.and_then(|unread| unread.whose.node());
    node.is_none_or(|node| newest.is_online(node) == Some(true))
}

/// Whether nothing but the lists of other nodes may be missing from the proof: each of them is read whole.
fn is_all_but_lists(sight: Sight, reads: &[DirectRead], own: &NodeName) -> bool {
    sight == Sight::All
        && !reads.contains(&DirectRead::Exists)
        && reads.iter().any(|read| read.is_denied_by(own))
}

/// Whether this is for want of what other nodes list, by what all nodes say now. They will hardly list anything else a moment
/// later.
fn needs_lists(why: &NotProven, reads: &[DirectRead]) -> bool {
    match why {
        NotProven::Contradicted { .. } | NotProven::ListUnread { .. } => true,
        NotProven::NotStoodIn { silent, .. } => !reads.iter().any(|read| read.is_denied_by(silent)),
        NotProven::Unconfirmed
        | NotProven::TooFewLooks
        | NotProven::NotMissing
        | NotProven::MayNotSee
        | NotProven::SightUnread(_)
        | NotProven::Exists
        | NotProven::NobodyToAsk
        | NotProven::NotSaid(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::observe::{Expected, Inventory, Whose};
    use uuid::Uuid;

    use super::*;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    /// A look by which pve1 is online, and pve2 or not.
    fn newest(online: bool) -> CompleteInventory {
        let member = |name, online| NodeSeen {
            name: node(name),
            online,
        };
        let seen = Inventory {
            host: HostId(Uuid::from_u128(2)),
            by: Some(node("pve1")),
            at: Some(node("pve1")),
            cluster: Some("lab".to_owned()),
            quorate: true,
            nodes: vec![member("pve1", true), member("pve2", online)],
            list_nodes: Vec::new(),
            list_pools: Vec::new(),
            guests: Vec::new(),
        };
        let expected = Expected {
            cluster: Some("lab"),
            known_nodes: &[],
        };
        seen.complete(&expected, Sight::All).unwrap()
    }

    /// It went off since, or was taken out of the cluster: nobody waits for its list.
    #[test]
    fn a_list_that_was_not_read_counts_as_long_as_its_node_is_online() {
        let unread = |name| Unread {
            whose: Whose::Node(node(name)),
            why: "too late".to_owned(),
        };
        assert!(holds(Some(&unread("pve2")), &newest(true)));
        assert!(!holds(Some(&unread("pve2")), &newest(false)));
        assert!(!holds(Some(&unread("pve3")), &newest(true)));
        assert!(holds(None, &newest(false)));
        let of_an_address = Unread {
            whose: Whose::Address("https://192.0.2.9:8006".to_owned()),
            why: "too late".to_owned(),
        };
        assert!(holds(Some(&of_an_address), &newest(false)));
    }
}
