//! Brings the OS template that a container is to be made from, where its storage does not have it yet.

use proximity_domain::failure::Failure;
use proximity_domain::names::NodeName;
use proximity_pve::storage::Content;
use proximity_pve::task::{TaskFilter, TaskRow, TaskSource};
use proximity_pve::upid::Upid;
use proximity_store::records::LogLevel;

use crate::saga::{Cx, StepError, StepResult, pve_failure};

const DOING: &str = "downloading the OS template";
/// PVE's name for the task; its id is the file.
const TASK: &str = "download";

/// Flow: wait for whoever of this process brings the same file → look → wait for a download that runs (ours of before a crash, or
/// somebody's) → download → look again. What counts is that the volume is there; only what PVE's task said explains why not.
pub(super) async fn fetch(cx: &Cx, file: &str, volume: &str) -> StepResult<()> {
    let Some(guest) = cx.guest().await? else {
        // The number was given up for another one, which comes after the template.
        return Ok(());
    };
    let host = cx.cluster.host();
    let fetching = &cx.engine.inner.fetching;
    let _alone = fetching.turn(host.id, &host.template_storage, file).await;
    let node = &guest.place.node;
    if is_there(cx, node, volume).await? {
        return Ok(());
    }
    if let Some(upid) = under_way(cx, node, TASK, file).await? {
        cx.await_task(DOING, &upid)
            .await
            .map_err(looked_for_again)?;
        if is_there(cx, node, volume).await? {
            return Ok(());
        }
    }
    let text = format!(
        "Downloading the OS template {file} onto the storage {} of node {node}",
        host.template_storage
    );
    cx.say(LogLevel::Info, text).await?;
    let outcome = cx.fetch_template(&guest.place, file).await;
    let outcome = outcome.map_err(looked_for_again)?;
    if let Some(failure) = Cx::task_failed(DOING, &outcome) {
        return Err(not_fetched(&failure.message));
    }
    if !is_there(cx, node, volume).await? {
        let seen = format!("{DOING}: PVE's task ended well, but {volume} is not on node {node}");
        return Err(not_fetched(&seen));
    }
    cx.say(LogLevel::Info, "The OS template is there").await
}

async fn is_there(cx: &Cx, node: &NodeName, volume: &str) -> StepResult<bool> {
    let storage = &cx.cluster.host().template_storage;
    let read = cx.cluster.read();
    let listed = read.storage_content(node, storage, Content::Template).await;
    let listed = listed.map_err(|e| pve_failure("listing the templates", &e))?;
    Ok(listed.iter().any(|row| row.volid.to_string() == volume))
}

/// A task of this kind that brings this file to the node now.
pub(super) async fn under_way(
    cx: &Cx,
    node: &NodeName,
    kind: &str,
    file: &str,
) -> StepResult<Option<Upid>> {
    let filter = TaskFilter {
        kind: Some(kind.to_owned()),
        source: TaskSource::Active,
        ..TaskFilter::default()
    };
    let tasks = cx.cluster.read().node_tasks(node, &filter).await;
    let tasks = tasks.map_err(|e| pve_failure("reading the node's running tasks", &e))?;
    let running = tasks.into_iter().filter(TaskRow::is_running);
    let mut ids = running.map(|task| task.upid);
    Ok(ids.find(|upid| upid.kind() == kind && upid.id() == file))
}

/// A download whose answer or end is not known needs no person: the next try looks for the volume and for the task, and one that is
/// sent twice is downloaded once.
pub(super) fn looked_for_again(error: StepError) -> StepError {
    match error {
        StepError::Uncertain(failure) => StepError::Transient(failure),
        other => other,
    }
}

fn not_fetched(why: &str) -> StepError {
    StepError::Failed(Failure::new(
        "template_missing",
        why,
        "read the task's log in PVE, and look whether the node reaches its source of templates (pveam update); or download the \
         template by hand (pveam download STORAGE NAME); then retry",
    ))
}
