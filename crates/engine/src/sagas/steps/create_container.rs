//! Creates the container with our mark, MAC and VMID, and learns its volume from what was read back.
//!
//! Nothing reserves a VMID but the create call itself. When somebody else was faster, whatever is there is looked at: with
//! our mark it is our own call that arrived late; else the number is given up, a new one is committed as the step's intent,
//! and the taker is left alone.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::ids::Vmid;
use proximity_domain::names::Volid;
use proximity_domain::saga::StepRecord;
use proximity_pve::lxc::{CreateLxc, NewNet};
use proximity_store::effects::{Effects, GuestChange};
use proximity_store::error::StoreError;
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::destroy::remove_guest;
use super::reserve_vmid::{choose_vmid, new_guest};
use crate::saga::{
    Cx, Done, Intent, Look, StepAction, StepError, StepResult, absent_everywhere, confirm, crowded,
};

const DOING: &str = "creating the container";
/// How many numbers in a row may be lost to somebody else.
const NUMBERS: usize = 8;
/// How often a number is chosen anew because another operation of ours reserved it in the meantime.
const RESERVATIONS: u32 = 16;

pub(crate) struct CreateContainer;

/// How an attempt with one number ended.
enum Attempt {
    /// The container is there and ours.
    Made(Box<Done>),
    /// Somebody else has the number; the text says how that was seen.
    Taken(String),
}

#[async_trait]
impl StepAction for CreateContainer {
    /// Finds the template now, so that a missing one is a clear refusal before anything is sent.
    async fn intend(&self, cx: &Cx) -> StepResult<Intent> {
        let template = crate::commands::find_template(cx).await?;
        Ok(Intent {
            value: json!({ "ostemplate": template, "taken": [] }),
            ..Intent::none()
        })
    }

    async fn act(&self, cx: &Cx, intent: &Value) -> StepResult<Done> {
        #[cfg(feature = "crash-points")]
        if crate::saga::forgets_creates() && cx.fence.epoch.0 > 1 {
            return create_once_more(cx, cx.must_have_guest().await?, intent).await;
        }
        let mut intent = intent.clone();
        loop {
            // Without a guest the last number was given up, and no other one was free then.
            let taken = match cx.guest().await? {
                Some(guest) => match attempt(cx, &guest, &intent).await? {
                    Attempt::Made(done) => return Ok(*done),
                    Attempt::Taken(how) => Some((guest, how)),
                },
                None => None,
            };
            intent = choose_again(cx, intent, taken).await?;
        }
    }

    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        let Some(guest) = cx.guest().await?.filter(|g| g.created_by == cx.op.id) else {
            return Ok(Effects::default());
        };
        let made = match cx.earlier_task("vzcreate") {
            Some(upid) => cx.await_task(DOING, &upid).await?.is_success(),
            None => {
                if matches!(cx.look(&guest).await?, Look::BeingCreated) {
                    let place = &guest.place;
                    if let Some(upid) = cx.running_create_task(&place.node, place.vmid).await? {
                        cx.await_task(DOING, &upid).await?;
                    }
                }
                // Whose task that was, only the look afterwards tells.
                false
            }
        };
        // A confirmed volume says so as well, also when the row's task is by now one of the undo's own.
        let made = made || guest.identity.rootfs_volid.is_some();
        remove_guest(cx, guest, made).await
    }
}

/// One attempt with the guest's number: look, create if nothing is there, look again.
async fn attempt(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<Attempt> {
    match cx.look(guest).await? {
        Look::Ours { .. } => wait_for_create(cx, guest).await?,
        Look::BeingCreated if !was_sent(cx, guest.place.vmid).await? => {
            return Ok(Attempt::Taken(
                "it is being created by somebody else".to_owned(),
            ));
        }
        Look::BeingCreated => wait_for_create(cx, guest).await?,
        Look::Foreign(f) => return Err(StepError::Failed(f)),
        Look::Stranger(f) => return Ok(Attempt::Taken(f.message)),
        Look::Absent => {
            if let Sent::Lost(how) = create(cx, guest, intent).await? {
                return Ok(Attempt::Taken(how));
            }
        }
    }
    // Look again: what counts is what is read back now.
    match cx.look(guest).await? {
        Look::Ours { first_seen, .. } => Ok(Attempt::Made(Box::new(Done {
            output: json!({ "vmid": guest.identity.vmid, "node": guest.place.node }),
            effects: Effects {
                guests: confirm(guest, first_seen),
                ..Effects::default()
            },
        }))),
        Look::BeingCreated => Err(half_created(guest)),
        Look::Absent => Err(StepError::Failed(Failure::new(
            "create_left_nothing",
            "PVE's create task ended, but the container is not there",
            "read the task's log in PVE, then retry",
        ))),
        Look::Foreign(f) => Err(StepError::Failed(f)),
        Look::Stranger(f) => Ok(Attempt::Taken(f.message)),
    }
}

/// Whether a create call for this number has ever left for PVE: it is audited before it is sent. Without one, nothing that
/// is there can be ours.
async fn was_sent(cx: &Cx, vmid: Vmid) -> StepResult<bool> {
    let sent = cx.store().mutations(cx.op.id, cx.step_index()).await?;
    Ok(sent
        .iter()
        .any(|call| call.action.ends_with("/lxc") && call.details["vmid"] == json!(vmid)))
}

/// Gives up the number of `lost`, commits another one as the step's intent, and gives that intent.
///
/// The identity row of the old number is retired in the same commit; when there is no other number it is retired all the
/// same, for what is there is not ours.
async fn choose_again(
    cx: &Cx,
    intent: Value,
    lost: Option<(NativeGuest, String)>,
) -> StepResult<Value> {
    let mut taken: Vec<Vmid> = serde_json::from_value(intent["taken"].clone()).unwrap_or_default();
    let mut effects = Effects::default();
    if let Some((guest, how)) = lost {
        taken.push(guest.place.vmid);
        effects.guests.push(GuestChange::Gone { guest: guest.id });
        effects.log.push(cx.line(
            LogLevel::Warning,
            format!(
                "VMID {} was taken by another guest in the meantime ({how}); it is left alone",
                guest.place.vmid
            ),
        ));
    }
    let failure = match reserve(cx, &intent, &taken, &effects).await {
        Ok(intent) => return Ok(intent),
        Err(StepError::Failed(failure)) => failure,
        Err(other) => return Err(other),
    };
    cx.store().note(&cx.fence, effects, cx.now()).await?;
    Err(StepError::Failed(failure))
}

/// Commits a new number, beside `effects`.
async fn reserve(cx: &Cx, intent: &Value, taken: &[Vmid], effects: &Effects) -> StepResult<Value> {
    if taken.len() >= NUMBERS {
        let numbers: Vec<String> = taken.iter().map(ToString::to_string).collect();
        return Err(StepError::Failed(Failure::new(
            "vmid_taken",
            format!(
                "{} VMIDs in a row were taken by others at the same moment: {}",
                taken.len(),
                numbers.join(", ")
            ),
            "another program creates guests as fast; give Proximity a range of its own \
             (proximity hosts set LABEL --vmids FIRST-LAST), then retry",
        )));
    }
    for _ in 0..RESERVATIONS {
        let chosen = choose_vmid(cx, taken).await?;
        let guest = new_guest(cx, chosen.vmid());
        let next =
            json!({ "ostemplate": intent["ostemplate"], "taken": taken, "vmid": guest.place.vmid });
        let mut effects = effects.clone();
        effects.guests.push(GuestChange::Insert(guest));
        let begun = cx
            .store()
            .begin_step(
                &cx.fence,
                cx.step_index(),
                cx.step_name(),
                next.clone(),
                effects,
                cx.now(),
            )
            .await;
        match begun {
            Ok(()) => {
                cx.reload().await.map_err(StepError::Halt)?;
                return Ok(next);
            }
            Err(StoreError::Exists { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(StepError::Transient(crowded()))
}

/// What a recovery would do that trusts neither the record nor a look: figure R1 must see it.
#[cfg(feature = "crash-points")]
async fn create_once_more(cx: &Cx, mut guest: NativeGuest, intent: &Value) -> StepResult<Done> {
    let vmid = choose_vmid(cx, &[]).await?.vmid();
    guest.identity.vmid = vmid;
    guest.place.vmid = vmid;
    cx.create_lxc(&guest.place, request(cx, &guest, intent)?)
        .await?;
    Ok(Done::nothing())
}

/// How the create call ended.
enum Sent {
    /// A task of ours made it, or is said to have.
    Done,
    /// The number is somebody else's; nothing of ours is there.
    Lost(String),
}

/// Sends the create call, unless a create task of this VMID is already under way.
async fn create(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<Sent> {
    if let Some(upid) = cx.earlier_task("vzcreate") {
        // An earlier attempt got its task: its verdict counts, it is not sent again.
        let outcome = cx.await_task(DOING, &upid).await?;
        return judge(Cx::task_failed(DOING, &outcome));
    }
    let sent_before = was_sent(cx, guest.place.vmid).await?;
    if cx
        .running_create_task(&guest.place.node, guest.place.vmid)
        .await?
        .is_some()
    {
        if !sent_before {
            return Ok(Sent::Lost(
                "it is being created by somebody else".to_owned(),
            ));
        }
        wait_for_create(cx, guest).await?;
        return Ok(Sent::Done);
    }
    if !absent_everywhere(cx, &guest.place).await? {
        return Ok(Sent::Lost("the cluster lists another guest".to_owned()));
    }
    match cx
        .create_lxc(&guest.place, request(cx, guest, intent)?)
        .await
    {
        Ok(outcome) => judge(Cx::task_failed(DOING, &outcome)),
        // The only call there ever was was refused: what has the number is not ours. Had there been an earlier one, it
        // may be its container, and the step has to look again.
        Err(StepError::Uncertain(f)) if f.code == "vmid_taken" && !sent_before => {
            Ok(Sent::Lost(f.message))
        }
        Err(e) => Err(e),
    }
}

/// The verdict of our own create task. One that lost the race for the configuration file has made nothing, and PVE has
/// freed its volumes.
fn judge(failure: Option<Failure>) -> StepResult<Sent> {
    match failure {
        None => Ok(Sent::Done),
        Some(f) if f.code == "vmid_taken" => Ok(Sent::Lost(f.message)),
        Some(f) => Err(StepError::Failed(f)),
    }
}

fn request(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<CreateLxc> {
    let host = cx.cluster.host();
    let text = format!(
        "{} ({}), deployed by Proximity",
        cx.app.hostname, cx.app.catalog_id
    );
    let unreadable = |what: &str| {
        StepError::Stuck(Failure::new(
            "intent_unreadable",
            format!("the recorded intent has no usable {what}"),
            "report this as a bug; abandon the operation and remove the app",
        ))
    };
    let ostemplate: Option<Volid> = intent["ostemplate"].as_str().and_then(|t| t.parse().ok());
    let memory_mib =
        u32::try_from(cx.app.resources.memory_mib).map_err(|_| unreadable("memory"))?;
    Ok(CreateLxc {
        vmid: guest.identity.vmid,
        ostemplate: ostemplate.ok_or_else(|| unreadable("template"))?,
        hostname: cx.app.hostname.clone(),
        storage: host.storage.clone(),
        disk_gib: cx.app.resources.disk_gib,
        memory_mib,
        swap_mib: 0,
        cores: cx.app.resources.cores,
        net0: NewNet {
            name: "eth0".to_owned(),
            bridge: host.bridge.clone(),
            hwaddr: guest.identity.net0_mac,
        },
        description: guest.identity.mark.described(&text),
        pool: host.pool.clone(),
        unprivileged: true,
        onboot: true,
        protection: cx.limits().protect,
        nesting: true,
    })
}

/// Waits while PVE's create task of this VMID runs; when none runs and the lock is still there, a person is needed.
///
/// The task may be somebody else's, so only one that is on our record fails the step; else the next look decides.
async fn wait_for_create(cx: &Cx, guest: &NativeGuest) -> StepResult<()> {
    let place = &guest.place;
    if let Some(upid) = cx.running_create_task(&place.node, place.vmid).await? {
        let ours = cx.earlier_task("vzcreate").as_ref() == Some(&upid);
        let outcome = cx.await_task(DOING, &upid).await?;
        return match Cx::task_failed(DOING, &outcome) {
            Some(failure) if ours => Err(StepError::Failed(failure)),
            Some(failure) => Err(StepError::Uncertain(failure)),
            None => Ok(()),
        };
    }
    match cx.look(guest).await? {
        Look::BeingCreated => Err(half_created(guest)),
        Look::Ours { .. } | Look::Absent | Look::Foreign(_) | Look::Stranger(_) => Ok(()),
    }
}

fn half_created(guest: &NativeGuest) -> StepError {
    let vmid = guest.place.vmid;
    StepError::Stuck(Failure::new(
        "half_created",
        format!(
            "container {vmid} is locked by a create that no longer runs, and carries no mark yet"
        ),
        format!(
            "check it on node {}; if it is this one: pct unlock {vmid} && pct destroy {vmid}, then retry",
            guest.place.node
        ),
    ))
}
