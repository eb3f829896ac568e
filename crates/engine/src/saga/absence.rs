//! Whether a container is gone: by one complete view, or by the word of every node as well.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use proximity_domain::failure::Failure;
use proximity_domain::guest::{ContainerRef, NativeGuest};
use proximity_domain::names::NodeName;
use proximity_domain::observe::{DirectRead, EveryWord, Lacking, NotProven};
use proximity_pve::cluster::ClusterStatus;
use proximity_pve::error::Error as PveError;
use proximity_store::records::{HostRecord, LogLevel};
use tokio::time::Instant;

use super::context::Cx;
use super::guards::{Guard, is_off};
use super::pve_calls::pve_failure;
use super::step::{StepError, StepResult};
use crate::reconcile::{AtHand, Wanted, Word, words_of_each};
use crate::view::{self, is_whole};

/// For a node's own word on one container, which takes one that is well some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// That no guest has the number by one complete view, and that the container's own node does not have it by its own word. Made by
/// [`unlisted`] and by nothing else.
#[derive(Debug)]
#[must_use]
pub(crate) struct Unlisted {
    /// How long the list took, with what was asked beside it.
    took: Duration,
}

/// As [`absent_everywhere`], and what [`nobody_has_it`] says.
pub(crate) async fn absent_by_every_word(cx: &Cx, guest: &NativeGuest) -> StepResult<bool> {
    match unlisted(cx, &guest.place).await? {
        Some(unlisted) => nobody_has_it(cx, guest, &unlisted).await,
        None => Ok(false),
    }
}

/// Whether every other node that is online by anybody's word says as well that it does not have the container, and no list that any
/// endpoint gives has it, nor has any node that gives one the container's own node off: where no destroy of ours explains the
/// absence, the list of one node and the word of another prove nothing (ADR 0015). A node that is online and says nothing, or gives
/// no list, is done without as a pass does without it ([`EveryWord`]), and the app's log says so. The endpoint that was asked before is
/// asked anew with the others: which one that was is not known for certain.
pub(crate) async fn nobody_has_it(
    cx: &Cx,
    guest: &NativeGuest,
    unlisted: &Unlisted,
) -> StepResult<bool> {
    let place = &guest.place;
    let status = view::status(&cx.cluster)
        .await
        .map_err(|e| pve_failure("reading the cluster's status", &e))?;
    let mut said = Said::by_its_own_node(place);
    if !said.none_has_it(cx, online(&status)).await {
        return Ok(false);
    }
    if is_off(Guard::Reach) {
        return Ok(true);
    }
    let at_hand = AtHand {
        status: &status,
        took: unlisted.took,
    };
    let (entry, read) = (cx.cluster.host(), cx.cluster.read());
    let words = words_of_each(entry, read, Wanted::Guest(place.vmid), at_hand).await;
    if words.said.iter().any(|word| word.lists(place.vmid)) {
        return Ok(false);
    }
    let host = recorded(cx, place).await?;
    // Which node gave the list at hand is not known.
    let mut lists = vec![Lacking {
        by: None,
        own: None,
        online: online(&status),
    }];
    for word in &words.said {
        misses_it(cx, &host, place, word)?;
        let mut list = word.lacking(entry);
        if guest.identity.rootfs_volid.is_none() {
            // It was never read at its own node, so that this one's list may be of before.
            list.own = None;
        }
        lists.push(list);
    }
    let anybody_s = lists.iter().flat_map(|list| list.online.clone()).collect();
    if !said.none_has_it(cx, anybody_s).await {
        return Ok(false);
    }
    let word = EveryWord::of(place, &lists, &said.reads, &words.unread)
        .map_err(|why| not_said(place, &said, &why))?;
    if word.is_stood_in() {
        let line = format!("container {} is gone: {}", place.vmid, word.evidence());
        cx.say(LogLevel::Warning, line).await?;
    }
    Ok(true)
}

/// Whether a list that lacks the container says that it is missing: of all nodes on record, with its own node online.
///
/// # Errors
/// Why it does not.
fn misses_it(cx: &Cx, host: &HostRecord, place: &ContainerRef, word: &Word) -> StepResult<()> {
    let by = &word.by;
    is_whole(host, &word.status).map_err(|gap| {
        let what = format!("by the word of node {by} {}", gap.text(cx.cluster.label()));
        incomplete(place, &what)
    })?;
    let mut online = word.status.nodes.iter().filter(|node| node.online);
    if online.any(|node| node.name == place.node) {
        return Ok(());
    }
    let what = format!("the node {by} does not reach {}", place.node);
    Err(incomplete(place, &what))
}

/// The nodes that are online by this word.
fn online(status: &ClusterStatus) -> Vec<&NodeName> {
    let online = status.nodes.iter().filter(|node| node.online);
    online.map(|node| &node.name).collect()
}

/// What nodes say of one container when they are asked themselves.
struct Said<'p> {
    place: &'p ContainerRef,
    /// Each is asked once.
    asked: BTreeSet<NodeName>,
    /// What was said.
    reads: Vec<DirectRead>,
    /// Who said nothing, and why.
    silent: Vec<(NodeName, PveError)>,
}

impl<'p> Said<'p> {
    /// Its own node has said right before that it does not have it, which [`Unlisted`] shows.
    fn by_its_own_node(place: &'p ContainerRef) -> Self {
        Self {
            place,
            asked: BTreeSet::from([place.node.clone()]),
            reads: vec![DirectRead::DoesNotExist(place.node.clone())],
            silent: Vec::new(),
        }
    }

    /// Asks those of these nodes that were not asked yet. False if one of them has it; who says nothing may have it, which
    /// [`EveryWord`] judges.
    async fn none_has_it(&mut self, cx: &Cx, nodes: Vec<&NodeName>) -> bool {
        let (patient, vmid) = (cx.cluster.read().patient(PATIENCE), self.place.vmid);
        let read = &patient;
        let mut asked = Vec::new();
        for node in nodes {
            if self.asked.insert(node.clone()) {
                asked.push(async move { (read.lxc_config(node, vmid).await, node) });
            }
        }
        for (answer, node) in join_all(asked).await {
            match answer {
                Ok(_) => self.reads.push(DirectRead::Exists),
                Err(e) if e.is_missing_config() => {
                    self.reads.push(DirectRead::DoesNotExist(node.clone()));
                }
                Err(e) => self.silent.push((node.clone(), e)),
            }
        }
        !self.reads.contains(&DirectRead::Exists)
    }
}

/// What is missing from the word of all: what a node answered instead, if that is it.
fn not_said(place: &ContainerRef, said: &Said<'_>, why: &NotProven) -> StepError {
    let silent = match why {
        NotProven::NotStoodIn { silent, .. } => said.silent.iter().find(|(node, _)| node == silent),
        _ => None,
    };
    let Some((node, error)) = silent else {
        return incomplete(place, &why.to_string());
    };
    let doing = format!("asking node {node} whether it has container {}", place.vmid);
    pve_failure(&doing, error)
}

/// The host entry as it is now: it may have learned nodes since this operation began.
async fn recorded(cx: &Cx, place: &ContainerRef) -> StepResult<HostRecord> {
    let host = cx.store().host(place.host).await?;
    host.filter(|host| !host.known_nodes.is_empty())
        .ok_or_else(|| incomplete(place, "no node of the cluster is on record"))
}

/// What is said of a view that proves nothing.
fn incomplete(place: &ContainerRef, what: &str) -> StepError {
    StepError::Transient(Failure::new(
        "view_incomplete",
        format!("cannot prove that container {} is gone: {what}", place.vmid),
        "nothing was taken for gone; mend the cluster or the token's rights, then retry",
    ))
}

/// Whether a direct read and one listing of the cluster show that no guest has this VMID.
///
/// Checked: quorum, the cluster's name, that every node we know of is listed, and `VM.Audit` on the guest's path. A view that lacks one of
/// them is an error, never absence.
pub(crate) async fn absent_everywhere(cx: &Cx, place: &ContainerRef) -> StepResult<bool> {
    Ok(unlisted(cx, place).await?.is_some())
}

/// As [`absent_everywhere`], with what whoever asks further needs of it; `None` if a guest has the number.
pub(crate) async fn unlisted(cx: &Cx, place: &ContainerRef) -> StepResult<Option<Unlisted>> {
    if is_off(Guard::Reach) {
        let took = Duration::ZERO;
        return Ok(Some(Unlisted { took }));
    }
    let read = cx.cluster.read();
    let status = view::status(&cx.cluster)
        .await
        .map_err(|e| pve_failure("reading the cluster's status", &e))?;
    let host = recorded(cx, place).await?;
    is_whole(&host, &status).map_err(|gap| incomplete(place, &gap.text(cx.cluster.label())))?;
    let path = format!("/vms/{}", place.vmid);
    // After the status, which finds the endpoint whose word counts.
    let begun = Instant::now();
    let (permissions, config, rows) = tokio::join!(
        read.permissions(Some(&path)),
        read.lxc_config(&place.node, place.vmid),
        read.resources_vm(),
    );
    let took = begun.elapsed();
    let permissions = permissions.map_err(|e| pve_failure("reading own permissions", &e))?;
    if !permissions
        .get(&path)
        .is_some_and(|p| p.contains("VM.Audit"))
    {
        let what = format!("the token has no VM.Audit on {path}");
        return Err(incomplete(place, &what));
    }
    match config {
        Ok(_) => return Ok(None),
        Err(e) if e.is_missing_config() => {}
        Err(e) => return Err(pve_failure("reading the container's configuration", &e)),
    }
    let rows = rows.map_err(|e| pve_failure("listing the guests", &e))?;
    let is_listed = rows.iter().any(|row| row.vmid == place.vmid);
    Ok((!is_listed).then_some(Unlisted { took }))
}
