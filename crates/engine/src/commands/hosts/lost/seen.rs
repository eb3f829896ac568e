//! What is read of a node that is to be given up: once to show it, and once more in the moment of the act.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;
use proximity_domain::observe::{DirectRead, Fate, Sight};
use proximity_pve::client::ReadClient;
use proximity_pve::cluster::ClusterStatus;
use proximity_pve::guest_list::{GuestList, ListedGuest};
use proximity_pve::transport::https::CALLS_PER_NODE;
use proximity_store::observation::WatchedGuest;
use proximity_store::records::HostRecord;
use tokio::time::Instant;

use super::super::change::speaks_for;
use super::not_given_up;
use crate::cluster::Cluster;
use crate::commands::upstream;
use crate::error::EngineError;
use crate::reconcile::{AtHand, Wanted, Word, direct, sight, words_of_each};
use crate::view::{Standing, online, standing, status, unlisted};

/// How often the list is read anew because another endpoint was asked first meanwhile.
const TRIES: u32 = 3;

/// How the node stands, and what that is said by. What is consented to is what was shown, so all of it has to be the same again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) standing: Standing,
    /// Every node that anybody of the cluster has online: each is asked itself.
    pub(super) online: BTreeSet<NodeName>,
    /// Nodes on record, beside this one, that are in no answer at all: what is on them nobody can say.
    pub(super) unseen: Vec<NodeName>,
    /// What is known of each container, in the order in which they were given.
    pub(super) fates: Vec<Fate>,
}

/// What the cluster of this entry says of the node and of these containers now, what each node says that is online, and what the
/// list of each node shows that gives one.
///
/// # Errors
/// The cluster cannot be asked, not all of it may be seen, its endpoints answer by turns, or it is another one or has no quorum; the
/// node is reached; a node answers, and its list cannot be read.
pub(super) async fn see(
    host: &HostRecord,
    cluster: &Cluster,
    node: &NodeName,
    there: &[WatchedGuest],
) -> Result<Seen, EngineError> {
    let refused = |why: String| not_given_up(node, why);
    let (word, list, took) = word_and_list(host, cluster, node, there.is_empty()).await?;
    let said = cluster.read().cluster_status_of_each().await;
    let standing = standing(node, &word, &said).map_err(refused)?;
    let online = online(&word, &said);
    let mut unseen = unlisted(host, &word, &said);
    unseen.retain(|name| name != node);
    let mut lists = vec![list];
    if !there.is_empty() {
        let at_hand = AtHand {
            status: &word,
            took,
        };
        lists.extend(lists_of_each(cluster, node, at_hand).await?);
    }
    let fates = fates(cluster.read(), &online, &lists, there).await;
    Ok(Seen {
        standing,
        online,
        unseen,
        fates,
    })
}

/// The cluster's word and, where there is something to look for, its whole list, both of one endpoint, and how long the list took.
async fn word_and_list(
    host: &HostRecord,
    cluster: &Cluster,
    node: &NodeName,
    is_empty: bool,
) -> Result<(ClusterStatus, GuestList, Duration), EngineError> {
    let read = cluster.read();
    for _ in 0..TRIES {
        let moves = read.moves();
        let word = status(cluster).await;
        let word = word.map_err(|e| upstream(cluster.label(), &e))?;
        speaks_for(host, &word).map_err(|why| not_given_up(node, why))?;
        if is_empty {
            return Ok((word, GuestList::default(), Duration::ZERO));
        }
        must_see_all(cluster).await?;
        let begun = Instant::now();
        let list = listed(cluster).await?;
        if read.moves() == moves {
            return Ok((word, list, begun.elapsed()));
        }
    }
    let why = format!(
        "the endpoints of its cluster answered by turns, so that nothing is the word of one of them; see which one is slow: \
         proximity doctor --host {}",
        host.label
    );
    Err(not_given_up(node, why))
}

/// The lists of all nodes that give one: what one of them lacks, or has on the node that is to be given up, another may have
/// elsewhere, also on a node that is off (ADR 0015).
async fn lists_of_each(
    cluster: &Cluster,
    node: &NodeName,
    at_hand: AtHand<'_>,
) -> Result<Vec<GuestList>, EngineError> {
    // The entry as it is asked: what is at a place of its list of endpoints may be another one on record by now.
    let words = words_of_each(cluster.host(), cluster.read(), Wanted::All, at_hand).await;
    if let Some(unread) = words.unread.first() {
        let why = format!(
            "{} is reached, and its list was not read ({}): it may have on another node what the others have on this one",
            unread.whose, unread.why
        );
        return Err(not_given_up(node, why));
    }
    Ok(words.said.into_iter().map(Word::into_list).collect())
}

/// A list without what the token may not see would be one of nothing that is elsewhere.
async fn must_see_all(cluster: &Cluster) -> Result<(), EngineError> {
    let held = sight(cluster.read(), "/").await;
    match held.map_err(|e| upstream(cluster.label(), &e))? {
        Sight::All => Ok(()),
        Sight::NotAll => Err(EngineError::Upstream {
            code: "view_incomplete",
            message: "the token may not see all containers of the cluster (VM.Audit on /, propagated); nothing was done"
                .to_owned(),
            hint: format!(
                "give it that right; proximity doctor --host {} shows the command",
                cluster.label()
            ),
        }),
    }
}

/// What is known of each container: by all of the cluster's lists, and by the word of every node that is online.
async fn fates(
    read: &ReadClient,
    online: &BTreeSet<NodeName>,
    lists: &[GuestList],
    there: &[WatchedGuest],
) -> Vec<Fate> {
    // One that hangs is not asked again: each further container would wait for it.
    let mut silent = BTreeSet::new();
    let mut fates = Vec::with_capacity(there.len());
    // So many at the same time have their turn at each node at once; what waits for a turn is no sign of a node that hangs.
    for some in there.chunks(CALLS_PER_NODE) {
        let asked = some.iter().map(|guest| {
            let vmid = guest.watched.place.vmid;
            said_of(read, online, &silent, vmid)
        });
        let answers = join_all(asked).await;
        for (guest, answers) in some.iter().zip(answers) {
            let place = &guest.watched.place;
            let mut said = Vec::with_capacity(answers.len());
            for (node, answer) in answers {
                if answer.is_none() {
                    silent.insert(node.clone());
                }
                said.push((node, answer.unwrap_or(DirectRead::Unknown)));
            }
            let vmid = place.vmid;
            let (mut listed, mut managed) = (Vec::new(), false);
            for list in lists {
                listed.extend(listed_on(list, vmid));
                managed |= is_managed(list, vmid);
            }
            fates.push(Fate::of(place, &listed, managed, &said));
        }
    }
    fates
}

/// What each of these nodes says of a container when it is asked itself; `None` without an answer.
async fn said_of(
    read: &ReadClient,
    online: &BTreeSet<NodeName>,
    silent: &BTreeSet<NodeName>,
    vmid: Vmid,
) -> Vec<(NodeName, Option<DirectRead>)> {
    let asked = online.iter().map(|node| async move {
        let said = if silent.contains(node) {
            None
        } else {
            direct(read, node, vmid).await
        };
        (node.clone(), said)
    });
    join_all(asked).await
}

async fn listed(cluster: &Cluster) -> Result<GuestList, EngineError> {
    let list = cluster.read().guest_list().await;
    list.map_err(|e| upstream(cluster.label(), &e))
}

fn rows_of(list: &GuestList, vmid: Vmid) -> impl Iterator<Item = &ListedGuest> {
    list.guests.iter().filter(move |row| row.vmid == vmid)
}

/// The nodes on which the cluster lists this number.
fn listed_on(list: &GuestList, vmid: Vmid) -> Vec<NodeName> {
    let rows = rows_of(list, vmid);
    let nodes = rows.filter_map(|row| list.nodes.get(usize::try_from(row.node).ok()?));
    nodes.cloned().collect()
}

/// Whether high availability manages this number.
fn is_managed(list: &GuestList, vmid: Vmid) -> bool {
    rows_of(list, vmid).any(|row| row.ha_managed)
}

/// How many of these no member lists. Those that one does, also one that is off, will be followed there once their node is
/// forgotten.
pub(in super::super) async fn left_behind(
    cluster: &Cluster,
    word: &ClusterStatus,
    there: &[WatchedGuest],
) -> Result<usize, EngineError> {
    if there.is_empty() {
        return Ok(0);
    }
    let list = listed(cluster).await?;
    let is_member = |name: &NodeName| word.nodes.iter().any(|n| n.name == *name);
    let is_left = |guest: &&WatchedGuest| {
        let listed_on = listed_on(&list, guest.watched.place.vmid);
        !listed_on.iter().any(is_member)
    };
    Ok(there.iter().filter(is_left).count())
}
