//! Whose power a list lends. A container that is put back from a backup over a number shows the same face as the one before, and its
//! power is not the app's: so the list's word is taken for those alone that no task brought under their number since they were verified.
//!
//! The cheapest evidence first: the cluster's list of tasks, one request for all that changed, where the token may see it whole and it
//! reaches back so far; then each node's own; then the container itself. One that changed alone is read at once, which tells more. What
//! somebody moves by hand in `/etc/pve` leaves no task.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use proximity_domain::ids::{GuestId, HostId};
use proximity_domain::names::NodeName;
use proximity_domain::time::Timestamp;
use proximity_pve::task::NewestTasks;
use tokio::time::timeout;

use super::Reconciler;
use super::follow::ListedOf;
use super::identify::{made_anew, since_s};
use super::patience::{PATIENCE, patiently};

/// What the tasks of a node cost to read: its rights, and the list.
const REQUESTS_FOR_TASKS: usize = 2;

/// Those whose power a list tells, parted.
#[derive(Default)]
pub(super) struct Lent<'s> {
    /// They are what was verified.
    pub(super) sure: Vec<ListedOf<'s>>,
    /// Each is to be read itself.
    pub(super) doubted: Vec<ListedOf<'s>>,
}

impl Reconciler {
    /// Parts those whose power a list tells by itself from those that may be others since they were verified. Takes no more requests
    /// than there are guests, together with those that are then read; one more in a minute where the cluster's list tells of none.
    pub(super) async fn lent<'s>(&self, listed: Vec<ListedOf<'s>>) -> Lent<'s> {
        let mut clusters: BTreeMap<HostId, Vec<ListedOf<'s>>> = BTreeMap::new();
        for one in listed {
            clusters.entry(one.0.site.host.id).or_default().push(one);
        }
        let mut asked = Vec::new();
        for of_cluster in clusters.into_values() {
            asked.push(self.lent_of(of_cluster));
        }
        let mut lent = Lent::default();
        for of_cluster in join_all(asked).await {
            lent.sure.extend(of_cluster.sure);
            lent.doubted.extend(of_cluster.doubted);
        }
        lent
    }

    /// The same for those of one cluster.
    async fn lent_of<'s>(&self, of_cluster: Vec<ListedOf<'s>>) -> Lent<'s> {
        let mut lent = self.by_newest(of_cluster).await;
        let mut nodes: BTreeMap<&'s NodeName, Vec<ListedOf<'s>>> = BTreeMap::new();
        for one in std::mem::take(&mut lent.doubted) {
            nodes
                .entry(&one.1.watched.place.node)
                .or_default()
                .push(one);
        }
        let mut asked = Vec::new();
        for of_node in nodes.into_values() {
            asked.push(self.anew_among(of_node));
        }
        for (of_node, anew) in join_all(asked).await {
            for one in of_node {
                let number = one.1.watched.place.vmid.to_string();
                match &anew {
                    Some(anew) if !anew.contains(&number) => lent.sure.push(one),
                    Some(_) | None => lent.doubted.push(one),
                }
            }
        }
        lent
    }

    /// What the cluster's list of tasks tells.
    async fn by_newest<'s>(&self, of_cluster: Vec<ListedOf<'s>>) -> Lent<'s> {
        let Some(tasks) = self.newest_tasks(&of_cluster).await else {
            return Lent {
                sure: Vec::new(),
                doubted: of_cluster,
            };
        };
        let mut lent = Lent::default();
        for one in of_cluster {
            let place = &one.1.watched.place;
            let verified = self.verified_by_now(one.1.watched.guest);
            let is_what_it_was = |since_s| tasks.left_as_it_was(&place.node, place.vmid, since_s);
            if verified.and_then(since_s).is_some_and(is_what_it_was) {
                lent.sure.push(one);
            } else {
                lent.doubted.push(one);
            }
        }
        if lent.sure.is_empty() {
            self.tells_none(&lent.doubted);
        }
        lent
    }

    /// When it was verified last, by the clock that tasks are held against. `None` as well where that is yet to come by it: it was set
    /// back since, and what was done after that would be taken for what was before.
    fn verified_by_now(&self, guest: GuestId) -> Option<Timestamp> {
        let verified = self.verified.newest(guest);
        verified.filter(|at| *at <= self.clock.now())
    }

    /// The cluster's list of tasks; nothing where it is not worth a request, or cannot be had.
    async fn newest_tasks(&self, of_cluster: &[ListedOf<'_>]) -> Option<NewestTasks> {
        let (seen, ..) = of_cluster.first()?;
        let (read, host) = (&seen.site.read, seen.site.host.id);
        let is_untold = || self.untold.of(&host, self.moment()).is_some();
        if of_cluster.len() < 2 || !seen.shows_tasks || is_untold() {
            return None;
        }
        let label = seen.site.host.label.as_str();
        match patiently(read.newest_tasks()).await {
            // Another endpoint may know less than the one whose list of guests it was.
            Some(Ok(tasks)) if read.moves() == seen.moves => return Some(tasks),
            Some(Ok(_)) => tracing::debug!(label, "its tasks are of another endpoint"),
            Some(Err(error)) => tracing::debug!(label, %error, "its tasks were not read"),
            None => tracing::debug!(label, "its tasks were not read in time"),
        }
        self.tells_none(of_cluster);
        None
    }

    /// The list tells nothing of any of these: for a while it is not asked for.
    fn tells_none(&self, of_cluster: &[ListedOf<'_>]) {
        if let Some((seen, ..)) = of_cluster.first() {
            self.untold.note(seen.site.host.id, (), self.moment());
        }
    }

    /// The numbers that were made anew on the one node of these guests since the first of them was verified; `None` if that cannot be
    /// told, or one alone is asked for there, which costs less to read.
    async fn anew_among<'s>(
        &self,
        of_node: Vec<ListedOf<'s>>,
    ) -> (Vec<ListedOf<'s>>, Option<BTreeSet<String>>) {
        let since = {
            let guests = of_node.iter().map(|(_, guest, _)| guest.watched.guest);
            let newest = guests.map(|guest| self.verified_by_now(guest));
            // Nothing comes before everything: with one that was never verified nothing is sure.
            newest.min().flatten()
        };
        let mut anew = None;
        if let (Some((cluster, guest, _)), Some(since)) = (of_node.first(), since)
            && of_node.len() >= REQUESTS_FOR_TASKS
        {
            let (read, node) = (&cluster.site.read, &guest.watched.place.node);
            match timeout(2 * PATIENCE, made_anew(read, node, since)).await {
                Ok(Ok(numbers)) => anew = Some(numbers),
                Ok(Err(why)) => {
                    tracing::debug!(%node, why, "what changed there is read by itself");
                }
                Err(_) => tracing::debug!(%node, "its tasks were not read in time"),
            }
        }
        (of_node, anew)
    }
}
