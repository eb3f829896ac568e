//! A container that is made of an image: brings the image, looks whether it is the one that the entry names, and sets what the container
//! is started with.
//!
//! Proxmox VE takes a tag, and keeps no digest of what it pulled. What a pull brought, the log of its task says, so that is where it is
//! read: also of a file that is there already, whose name has the digest in it. It looks for a file of that name before a pull begins, and
//! writes over it when one ends: of two at the same time the one that ends last has brought what is there.

use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::image::{ImageDigest, ImageOptions, pulled};
use proximity_domain::names::NodeName;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::restore::OptionChange;
use proximity_pve::image::OciImage;
use proximity_pve::lxc::{LxcConfig, NewMount};
use proximity_pve::storage::Content;
use proximity_pve::task::{TaskFilter, TaskOutcome, TaskRow};
use proximity_pve::upid::Upid;
use proximity_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::configuration::{digest_of, read_whole};
use super::fetch_template::{looked_for_again, under_way};
use super::health_check::recipe;
use crate::catalog::Image;
use crate::saga::{Cx, OptionsCall, StepError, StepResult, pve_failure};

const PULLING: &str = "pulling the image";
const SETTING: &str = "setting what the container is started with";
/// PVE's name for the task; its id is the file.
const TASK: &str = "ociregistrypull";
/// Lines of a pull's log that are read: some three, and one for each layer.
const LOG_LINES: u32 = 1_000;
/// Pulls of a node that are looked through.
const TASKS: u32 = 500;
/// What Proxmox VE says before a pull whose file is there.
const IS_THERE: &str = "refusing to override existing file";
/// How far outside of its pull a file may have been made, seconds: a storage may have another clock than the node.
const ASKEW_S: u64 = 60;
const GIB: u64 = 1 << 30;

/// What the step that makes the container has written down of the image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ImageIntent {
    /// Repository and tag.
    reference: String,
    /// What it has to be.
    digest: String,
    /// The file it is pulled into, without its ending.
    stem: String,
    /// The volumes that are made with the container.
    volumes: Vec<VolumeIntent>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct VolumeIntent {
    path: String,
    size_gib: u32,
}

/// The file on the storage.
struct There {
    size_bytes: u64,
    made_s: Option<u64>,
}

/// The image as it is looked for.
struct Wanted {
    reference: OciImage,
    digest: ImageDigest,
    file: String,
    volume: String,
}

impl ImageIntent {
    pub(super) fn of(image: &Image) -> Self {
        let volumes = image.volumes.iter().map(|one| VolumeIntent {
            path: one.path.to_string(),
            size_gib: one.size_gib,
        });
        Self {
            reference: image.reference.to_string(),
            digest: image.digest.to_string(),
            stem: image.stem(),
            volumes: volumes.collect(),
        }
    }

    /// As it was written; `None` of a container that is made of a template.
    pub(super) fn read(written: &Value) -> StepResult<Option<Self>> {
        serde_json::from_value(written.clone()).map_err(|_| unreadable())
    }

    pub(super) fn mounts(self) -> Vec<NewMount> {
        let mounts = self.volumes.into_iter().map(|one| NewMount {
            path: one.path,
            size_gib: one.size_gib,
        });
        mounts.collect()
    }

    fn wanted(&self, volume: &str) -> StepResult<Wanted> {
        Ok(Wanted {
            reference: self.reference.parse().map_err(|_| unreadable())?,
            digest: self.digest.parse().map_err(|_| unreadable())?,
            file: format!("{}.tar", self.stem),
            volume: volume.to_owned(),
        })
    }
}

fn unreadable() -> StepError {
    StepError::Stuck(Failure::new(
        "intent_unreadable",
        "the recorded intent has no usable image",
        "report this as a bug; abandon the operation and remove the app",
    ))
}

/// Flow: wait for whoever of this process brings the same file → look → wait for a pull that runs (ours of before a crash, or
/// somebody's) → pull → look again → hold what the pull said against the entry. `volume` is what the file becomes.
pub(super) async fn bring(
    cx: &Cx,
    guest: &NativeGuest,
    image: &ImageIntent,
    volume: &str,
) -> StepResult<()> {
    let wanted = image.wanted(volume)?;
    let host = cx.cluster.host();
    let fetching = &cx.engine.inner.fetching;
    let turn = fetching.turn(host.id, &host.template_storage, &wanted.file);
    let _alone = turn.await;
    let node = &guest.place.node;
    let mut own = None;
    let mut there = look(cx, node, volume).await?;
    if there.is_none()
        && let Some(upid) = under_way(cx, node, TASK, &wanted.file).await?
    {
        let waited = cx.await_task(PULLING, &upid).await;
        waited.map_err(looked_for_again)?;
        there = look(cx, node, volume).await?;
    }
    if there.is_none() {
        own = pull(cx, guest, image, &wanted).await?;
        there = look(cx, node, volume).await?;
    }
    let Some(there) = there else {
        let seen = format!("{PULLING}: PVE's task ended well, but {volume} is not on node {node}");
        return Err(not_pulled(&seen));
    };
    if there.size_bytes > u64::from(cx.app.resources.disk_gib) * GIB {
        return Err(too_large(cx, &wanted, there.size_bytes));
    }
    must_be(cx, node, &wanted, &there, own).await?;
    let text = format!("{} is {}", wanted.reference, wanted.digest);
    cx.say(LogLevel::Info, text).await
}

/// Pulls it now, if the host entry lets deploys bring such files. Gives the task.
async fn pull(
    cx: &Cx,
    guest: &NativeGuest,
    image: &ImageIntent,
    wanted: &Wanted,
) -> StepResult<Option<Upid>> {
    let host = cx.cluster.host();
    if host.placement.templates_by_hand {
        return Err(by_hand(wanted));
    }
    let text = format!(
        "Pulling {} onto the storage {} of node {}",
        wanted.reference, host.template_storage, guest.place.node
    );
    cx.say(LogLevel::Info, text).await?;
    let outcome = cx.pull_image(&guest.place, &wanted.reference, &image.stem);
    let outcome = outcome
        .await
        .map_err(|error| match looked_for_again(error) {
            // Somebody else brought it in the meantime: the next try looks at what that is.
            StepError::Failed(failure) if failure.message.contains(IS_THERE) => {
                StepError::Transient(failure)
            }
            other => other,
        })?;
    if let Some(failure) = Cx::task_failed(PULLING, &outcome) {
        return Err(not_pulled(&failure.message));
    }
    cx.reload().await.map_err(StepError::Halt)?;
    Ok(cx.earlier_task(TASK))
}

/// The file, if it is there.
async fn look(cx: &Cx, node: &NodeName, volume: &str) -> StepResult<Option<There>> {
    let storage = &cx.cluster.host().template_storage;
    let read = cx.cluster.read();
    let listed = read.storage_content(node, storage, Content::Template).await;
    let listed = listed.map_err(|e| pve_failure("listing the images", &e))?;
    let mut rows = listed.into_iter();
    let row = rows.find(|row| row.volid.to_string() == volume);
    Ok(row.map(|row| There {
        size_bytes: row.size_bytes.unwrap_or(0),
        made_s: row.made_s,
    }))
}

/// What was pulled is what the entry names. `own` is the pull of just now. All pulls that may have ended last have to say so.
async fn must_be(
    cx: &Cx,
    node: &NodeName,
    wanted: &Wanted,
    there: &There,
    own: Option<Upid>,
) -> StepResult<()> {
    let rows = pulls(cx, node, &wanted.file).await?;
    let mut said: Vec<Upid> = own.iter().cloned().collect();
    for row in rows.iter().filter(|row| row.is_running()) {
        if own.as_ref() == Some(&row.upid) {
            continue;
        }
        // It writes over what is there when it ends. One that has just ended is told as one that runs for a moment.
        let ended = cx.await_task(PULLING, &row.upid).await;
        if ended.map_err(looked_for_again)?.is_success() {
            said.push(row.upid.clone());
        }
    }
    let since_s = said.iter().map(Upid::start_s).min();
    for row in last_of(&rows, since_s, there.made_s) {
        if !said.contains(&row.upid) {
            said.push(row.upid.clone());
        }
    }
    if said.is_empty() {
        return Err(unverified(wanted));
    }
    for upid in &said {
        says(cx, upid, wanted).await?;
    }
    Ok(())
}

/// This pull says that it brought the image that the entry names.
async fn says(cx: &Cx, upid: &Upid, wanted: &Wanted) -> StepResult<()> {
    let log = cx.cluster.read().task_log(upid, 0, LOG_LINES).await;
    let log = log.map_err(|e| pve_failure("reading what the pull said", &e))?;
    match pulled(log.iter().map(|line| line.text.as_str())) {
        Some(got) if got == wanted.digest => Ok(()),
        Some(got) => Err(differs(wanted, &got)),
        None => Err(unverified(wanted)),
    }
}

/// Of pulls of one file those that ended well and may have ended last: after this moment, or else later than all others that a file of
/// this time can be of.
fn last_of(rows: &[TaskRow], since_s: Option<u64>, made_s: Option<u64>) -> Vec<&TaskRow> {
    let well = |row: &&TaskRow| {
        let is_well = row.outcome.as_ref().is_some_and(TaskOutcome::is_success);
        is_well && (since_s.is_some() || may_have_made(row, made_s))
    };
    let well: Vec<&TaskRow> = rows.iter().filter(well).collect();
    let newest_s = || well.iter().filter_map(|row| row.end_s).max();
    let from_s = since_s.or_else(newest_s);
    well.into_iter().filter(|row| row.end_s >= from_s).collect()
}

/// Whether a file of this time can be of this pull. One that is newer was put there otherwise; one that is older is of an earlier pull, for
/// a task does not say onto which storage it pulls.
fn may_have_made(pull: &TaskRow, made_s: Option<u64>) -> bool {
    let (Some(made_s), Some(end_s)) = (made_s, pull.end_s) else {
        return true;
    };
    let begin_s = pull.upid.start_s().saturating_sub(ASKEW_S);
    (begin_s..=end_s.saturating_add(ASKEW_S)).contains(&made_s)
}

/// The pulls of this file by the node, and by all others where they have the same storage. One that cannot be asked has not said
/// anything.
async fn pulls(cx: &Cx, node: &NodeName, file: &str) -> StepResult<Vec<TaskRow>> {
    let host = cx.cluster.host();
    let mut rows = pulls_of(cx, node, file).await?;
    let storages = cx.cluster.read().storages(node).await;
    let storages = storages.map_err(|e| pve_failure("listing the storages", &e))?;
    let mut named = storages.iter();
    if !named.any(|one| one.name == host.template_storage && one.shared) {
        return Ok(rows);
    }
    for other in host.known_nodes.iter().filter(|one| *one != node) {
        rows.extend(pulls_of(cx, other, file).await.unwrap_or_default());
    }
    Ok(rows)
}

async fn pulls_of(cx: &Cx, node: &NodeName, file: &str) -> StepResult<Vec<TaskRow>> {
    let filter = TaskFilter {
        kind: Some(TASK.to_owned()),
        limit: Some(TASKS),
        ..TaskFilter::default()
    };
    let tasks = cx.cluster.read().node_tasks(node, &filter).await;
    let mut tasks = tasks.map_err(|e| pve_failure("reading the node's tasks", &e))?;
    tasks.retain(|task| task.upid.kind() == TASK && task.upid.id() == file);
    Ok(tasks)
}

fn by_hand(wanted: &Wanted) -> StepError {
    StepError::Failed(Failure::new(
        "template_missing",
        format!(
            "{} is not there, and deploys on this host bring no templates and images",
            wanted.volume
        ),
        format!(
            "pull {} into that file in PVE, or let deploys do it: proximity hosts set LABEL --fetch-templates yes",
            wanted.reference
        ),
    ))
}

fn not_pulled(why: &str) -> StepError {
    StepError::Failed(Failure::new(
        "image_not_pulled",
        why,
        "read the task's log in PVE, and look whether the node reaches the registry and has skopeo; then retry",
    ))
}

fn too_large(cx: &Cx, wanted: &Wanted, size_bytes: u64) -> StepError {
    StepError::Failed(Failure::new(
        "image_too_large",
        format!(
            "{} takes {} GiB, more than the {} GiB of the container's root file system",
            wanted.reference,
            size_bytes.div_ceil(GIB),
            cx.app.resources.disk_gib
        ),
        "deploy it again with a larger disk",
    ))
}

fn differs(wanted: &Wanted, got: &ImageDigest) -> StepError {
    StepError::Failed(Failure::new(
        "image_differs",
        format!(
            "{} is another image by now: {got} was pulled, and the entry names {}",
            wanted.reference, wanted.digest
        ),
        format!(
            "take an entry that names the image of today, or another tag; what was pulled is not used, and root of the node removes it \
             with: pvesm free {}",
            wanted.volume
        ),
    ))
}

fn unverified(wanted: &Wanted) -> StepError {
    StepError::Failed(Failure::new(
        "image_unverified",
        format!(
            "{} is there, and no task of Proxmox VE says which image is in it now",
            wanted.volume
        ),
        format!(
            "remove the file in PVE (pvesm free {}), then retry: it is pulled anew and looked at",
            wanted.volume
        ),
    ))
}

/// Sets what the container is started with, and reads it back. Gives its volumes, by their keys, for the record.
///
/// A create drops what it is given of this where the image says something of its own. The container does not run yet, so that nothing
/// of it waits.
pub(super) async fn set_options(cx: &Cx, guest: &NativeGuest) -> StepResult<Value> {
    let options = recipe(cx).await?.image.unwrap_or_default();
    let guest = RecordedGuest::Native(guest.clone());
    let mut config = read_whole(cx, &guest).await?;
    if let Some(change) = change(&options, &config) {
        let keys = change.set().keys();
        let told: Map<String, Value> = keys.map(|key| (key.clone(), json!("set"))).collect();
        let call = OptionsCall {
            doing: SETTING,
            change,
            told: told.into(),
            is_noted: false,
        };
        let digest = digest_of(&config)?;
        // A call whose answer was lost needs no person: the next try reads whether it was taken.
        let sent = cx.set_options(guest.place(), digest, call).await;
        sent.map_err(looked_for_again)?;
        config = read_whole(cx, &guest).await?;
    }
    if let Some(left) = change(&options, &config) {
        let keys: Vec<&str> = left.set().keys().map(String::as_str).collect();
        return Err(StepError::Failed(Failure::new(
            "update_not_seen",
            format!(
                "{SETTING}: PVE took it, and {} read back as something else",
                keys.join(", ")
            ),
            "look at the container's options in PVE; retry deploys it anew",
        )));
    }
    Ok(volumes(&config))
}

fn change(options: &ImageOptions, config: &LxcConfig) -> Option<OptionChange> {
    let text = |key: &str| config.raw.get(key).and_then(Value::as_str);
    options.change(text("entrypoint"), text("env"))
}

/// The volumes beside the root file system, as the configuration has them.
fn volumes(config: &LxcConfig) -> Value {
    let is_mount = |key: &str| {
        let number = key.strip_prefix("mp");
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let mounts = config.raw.iter().filter(|(key, _)| is_mount(key));
    let mounts = mounts.map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(mounts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pull that began and ended then; `None` while it runs.
    fn row(start_s: u64, ended: Option<(u64, &str)>) -> TaskRow {
        let upid = format!("UPID:pve1:00000001:00000001:{start_s:08X}:{TASK}:web.tar:root@pam:");
        TaskRow {
            upid: upid.parse().unwrap(),
            end_s: ended.map(|(end_s, _)| end_s),
            outcome: ended.map(|(_, how)| TaskOutcome::from_exit_status(how)),
        }
    }

    fn starts(rows: &[&TaskRow]) -> Vec<u64> {
        rows.iter().map(|row| row.upid.start_s()).collect()
    }

    #[test]
    fn the_pull_that_ended_last_has_brought_what_is_there() {
        let rows = [
            row(10, Some((40, "OK"))),
            row(20, Some((30, "OK"))),
            row(50, Some((60, "command 'skopeo' failed: exit code 1"))),
            row(70, None),
        ];
        assert_eq!(starts(&last_of(&rows, None, None)), [10]);
        assert_eq!(starts(&last_of(&rows, Some(25), None)), [10, 20]);
        assert!(last_of(&rows, Some(41), None).is_empty());
        assert!(last_of(&[], None, None).is_empty());
        let same = [row(10, Some((40, "OK"))), row(20, Some((40, "OK")))];
        assert_eq!(starts(&last_of(&same, None, None)), [10, 20]);
    }

    #[test]
    fn a_file_is_of_the_pull_during_which_it_was_made() {
        let rows = [
            row(1_000, Some((1_040, "OK"))),
            row(2_000, Some((2_040, "OK"))),
        ];
        for (made_s, of) in [
            (1_000 - ASKEW_S, 1_000),
            (1_040 + ASKEW_S, 1_000),
            (2_030, 2_000),
        ] {
            assert_eq!(starts(&last_of(&rows, None, Some(made_s))), [of]);
        }
        for made_s in [999 - ASKEW_S, 1_041 + ASKEW_S, 2_041 + ASKEW_S] {
            assert!(last_of(&rows, None, Some(made_s)).is_empty(), "{made_s}");
        }
        let own = last_of(&rows, Some(2_000), Some(9_000));
        assert_eq!(starts(&own), [2_000], "which was pulled just now");
    }
}
