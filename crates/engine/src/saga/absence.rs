//! Whether a container is gone: by one complete view, or by the word of every node as well.

use futures::future::join_all;
use proximity_domain::failure::Failure;
use proximity_domain::guest::ContainerRef;

use super::context::Cx;
use super::guards::{Guard, is_off};
use super::pve_calls::pve_failure;
use super::step::{StepError, StepResult};
use crate::reconcile::{answered_by, of_others};
use crate::view::{self, is_whole};

/// As [`absent_everywhere`], and every other node that is online says as well that it does not have the container, and no list
/// that another one gives has it: where no destroy of ours explains the absence, the list of one node and the word of another
/// prove nothing (ADR 0015).
pub(crate) async fn absent_by_every_word(cx: &Cx, place: &ContainerRef) -> StepResult<bool> {
    if !absent_everywhere(cx, place).await? {
        return Ok(false);
    }
    let status = view::status(&cx.cluster)
        .await
        .map_err(|e| pve_failure("reading the cluster's status", &e))?;
    let by = answered_by(&status).cloned();
    let nodes = status.nodes.into_iter().filter(|node| node.online);
    let read = cx.cluster.read();
    let mut asked = Vec::new();
    for node in nodes.filter(|node| node.name != place.node) {
        asked.push(async move { (read.lxc_config(&node.name, place.vmid).await, node.name) });
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
    let endpoints = read.each();
    if endpoints.len() == 1 || is_off(Guard::Reach) {
        return Ok(true);
    }
    let others = of_others(cx.cluster.host(), by.as_ref(), endpoints).await;
    Ok(others.iter().all(|look| look.find(place.vmid).is_none()))
}

/// Whether a direct read and one listing of the cluster show that no guest has this VMID.
///
/// Checked: quorum, the cluster's name, that every node we know of is listed, and `VM.Audit` on the guest's path. A view that lacks one of
/// them is an error, never absence.
pub(crate) async fn absent_everywhere(cx: &Cx, place: &ContainerRef) -> StepResult<bool> {
    if is_off(Guard::Reach) {
        return Ok(true);
    }
    let incomplete = |what: &str| {
        StepError::Transient(Failure::new(
            "view_incomplete",
            format!("cannot prove that container {} is gone: {what}", place.vmid),
            "nothing was taken for gone; mend the cluster or the token's rights, then retry",
        ))
    };
    let read = cx.cluster.read();
    let status = view::status(&cx.cluster)
        .await
        .map_err(|e| pve_failure("reading the cluster's status", &e))?;
    // Read again: it may have learned nodes since this operation began.
    let host = cx.store().host(place.host).await?;
    let Some(host) = host.filter(|host| !host.known_nodes.is_empty()) else {
        return Err(incomplete("no node of the cluster is on record"));
    };
    is_whole(&host, &status).map_err(|gap| incomplete(&gap.text(cx.cluster.label())))?;
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
        return Err(incomplete(&format!("the token has no VM.Audit on {path}")));
    }
    match config {
        Ok(_) => return Ok(false),
        Err(e) if e.is_missing_config() => {}
        Err(e) => return Err(pve_failure("reading the container's configuration", &e)),
    }
    let rows = rows.map_err(|e| pve_failure("listing the guests", &e))?;
    Ok(rows.iter().all(|row| row.vmid != place.vmid))
}
