//! Whether a container is gone: by one complete view, or by the word of every node as well.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use proximity_domain::failure::Failure;
use proximity_domain::guest::ContainerRef;
use proximity_domain::names::NodeName;
use proximity_pve::cluster::ClusterStatus;
use proximity_store::records::HostRecord;

use super::context::Cx;
use super::guards::{Guard, is_off};
use super::pve_calls::pve_failure;
use super::step::{StepError, StepResult};
use crate::reconcile::{Wanted, Word, words_of_each};
use crate::view::{self, is_whole};

/// For a node's own word on one container, which takes one that is well some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// As [`absent_everywhere`], and every other node that is online by anybody's word says as well that it does not have the
/// container, and no list that any endpoint gives has it, nor does any node that gives one have the container's own node off: where
/// no destroy of ours explains the absence, the list of one node and the word of another prove nothing (ADR 0015). The endpoint
/// that was asked before is asked anew with the others: which one that was is not known for certain.
pub(crate) async fn absent_by_every_word(cx: &Cx, place: &ContainerRef) -> StepResult<bool> {
    Ok(absent_everywhere(cx, place).await? && nobody_has_it(cx, place).await?)
}

/// What [`absent_by_every_word`] asks beyond [`absent_everywhere`], which is to have said yes right before: a request to each node
/// that is online, and the list of each endpoint.
pub(crate) async fn nobody_has_it(cx: &Cx, place: &ContainerRef) -> StepResult<bool> {
    let status = view::status(&cx.cluster)
        .await
        .map_err(|e| pve_failure("reading the cluster's status", &e))?;
    let online = others_online(&status, place);
    if !none_has_it(cx, place, &online).await? {
        return Ok(false);
    }
    if is_off(Guard::Reach) {
        return Ok(true);
    }
    let host = recorded(cx, place).await?;
    let words = words_of_each(&host, cx.cluster.read(), Wanted::Guest(place.vmid)).await;
    if words.said.iter().any(|word| word.lists(place.vmid)) {
        return Ok(false);
    }
    if let Some(unread) = words.unread.first() {
        let (node, why) = (&unread.node, &unread.why);
        let what = format!("the node {node} answers, and its list was not read ({why})");
        return Err(incomplete(place, &what));
    }
    let mut more = BTreeSet::new();
    for word in &words.said {
        misses_it(cx, &host, place, word)?;
        more.append(&mut others_online(&word.status, place));
    }
    let more = more.difference(&online).cloned().collect();
    none_has_it(cx, place, &more).await
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

/// The nodes that are online by this word, beside the container's own.
fn others_online(status: &ClusterStatus, place: &ContainerRef) -> BTreeSet<NodeName> {
    let online = status.nodes.iter().filter(|node| node.online);
    let names = online.map(|node| &node.name);
    names.filter(|name| **name != place.node).cloned().collect()
}

/// Whether each of these nodes says itself that it does not have the container.
async fn none_has_it(
    cx: &Cx,
    place: &ContainerRef,
    nodes: &BTreeSet<NodeName>,
) -> StepResult<bool> {
    let patient = cx.cluster.read().patient(PATIENCE);
    let read = &patient;
    let mut asked = Vec::new();
    for node in nodes {
        asked.push(async move { (read.lxc_config(node, place.vmid).await, node) });
    }
    for (said, node) in join_all(asked).await {
        match said {
            Ok(_) => return Ok(false),
            Err(e) if e.is_missing_config() => {}
            Err(e) => {
                let doing = format!("asking node {node} whether it has container {}", place.vmid);
                return Err(pve_failure(&doing, &e));
            }
        }
    }
    Ok(true)
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
    if is_off(Guard::Reach) {
        return Ok(true);
    }
    let read = cx.cluster.read();
    let status = view::status(&cx.cluster)
        .await
        .map_err(|e| pve_failure("reading the cluster's status", &e))?;
    let host = recorded(cx, place).await?;
    is_whole(&host, &status).map_err(|gap| incomplete(place, &gap.text(cx.cluster.label())))?;
    let path = format!("/vms/{}", place.vmid);
    // After the status, which finds the endpoint whose word counts.
    let (permissions, config, rows) = tokio::join!(
        read.permissions(Some(&path)),
        read.lxc_config(&place.node, place.vmid),
        read.resources_vm(),
    );
    let permissions = permissions.map_err(|e| pve_failure("reading own permissions", &e))?;
    if !permissions
        .get(&path)
        .is_some_and(|p| p.contains("VM.Audit"))
    {
        let what = format!("the token has no VM.Audit on {path}");
        return Err(incomplete(place, &what));
    }
    match config {
        Ok(_) => return Ok(false),
        Err(e) if e.is_missing_config() => {}
        Err(e) => return Err(pve_failure("reading the container's configuration", &e)),
    }
    let rows = rows.map_err(|e| pve_failure("listing the guests", &e))?;
    Ok(rows.iter().all(|row| row.vmid != place.vmid))
}
