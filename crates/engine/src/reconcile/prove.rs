//! The proof that a guest is gone: the word of every node that is online, and the lists of the cluster's other nodes (ADR 0015).

use std::sync::Arc;

use futures::future::join_all;
use proximity_domain::observe::{
    CompleteInventory, DirectRead, NodeSeen, NotProven, ProvenAbsent, Sight, Suspicion,
};
use proximity_store::observation::WatchedGuest;

use super::{Reconciler, Seen, look};

impl Reconciler {
    /// Asks for what is missing from the proof. One request for each guest and node that is online, one more for the guest, and
    /// the looks of the other nodes once in a pass; none as long as the guest's own node is left alone.
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
        if let Some(left) = left.first() {
            let others = self.others(cluster).await;
            ProvenAbsent::can_do_without(&left.name, place, inventory, &others)?;
        }
        let sight = look::sight_of(read, place.vmid).await;
        // Each for itself: a node answers for its own part of the cluster's files, by its own copy of them.
        let mut answers = Vec::new();
        for node in asked {
            answers.push(async {
                let said = look::direct(read, &node.name, place.vmid).await;
                if said.is_none() {
                    self.hung.note(host, &node.name, self.moment());
                }
                said.unwrap_or(DirectRead::Unknown)
            });
        }
        let reads = join_all(answers).await;
        // Only where nothing else is missing from the proof: the whole list of each node is read.
        let others = if sight == Sight::NotAll || reads.contains(&DirectRead::Exists) {
            Arc::default()
        } else {
            self.others(cluster).await
        };
        ProvenAbsent::prove(&guest.watched, suspicion, inventory, sight, &reads, &others)
    }

    /// The looks of the cluster's other nodes that can be had: read when the first guest needs them, and once in a pass, however
    /// many are missing. None where there is one endpoint.
    async fn others(&self, cluster: &Seen) -> Arc<Vec<CompleteInventory>> {
        let mut kept = cluster.others.lock().await;
        if let Some(looks) = kept.as_ref() {
            return Arc::clone(looks);
        }
        let (host, inventory) = (&cluster.site.host, &cluster.inventory);
        let mut endpoints = cluster.site.read.each();
        if endpoints.len() == 1 {
            endpoints.clear();
        }
        let now = self.moment();
        let mut asked = Vec::new();
        for (at, read) in endpoints.into_iter().enumerate() {
            let node = host.endpoints.get(at).and_then(|it| it.node.as_ref());
            // Where it is known who answers there: in vain of the one whose look is at hand, of one that is off, and of one that hangs.
            let is_in_vain = node.is_some_and(|node| {
                inventory.by() == Some(node)
                    || inventory.is_online(node) != Some(true)
                    || self.hung.is_left(host.id, node, now)
            });
            if !is_in_vain {
                asked.push(read);
            }
        }
        let looks = Arc::new(look::of_others(host, inventory.by(), asked).await);
        *kept = Some(Arc::clone(&looks));
        looks
    }
}
