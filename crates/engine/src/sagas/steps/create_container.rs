//! Creates the container with our mark, MAC and VMID, and learns its volume from what was read back. Where a prepared template of what it
//! needs is ready it is cloned (`clone_container`), else unpacked from the archive.
//!
//! Nothing reserves a VMID but the create call itself. When somebody else was faster, whatever is there is looked at: with
//! our mark it is our own call that arrived late; else the number is given up, a new one is committed as the step's intent,
//! and the taker is left alone.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::NativeGuest;
use proximity_domain::names::Volid;
use proximity_domain::saga::StepRecord;
use proximity_pve::lxc::{CreateLxc, NewNet};
use proximity_pve::upid::Upid;
use proximity_store::effects::Effects;
use proximity_store::records::LogLevel;
use serde_json::{Value, json};

use super::choose_again::{choose_again, was_not_cloned, was_taken};
use super::clone_container::{self, CLONE_TASK, Made};
use super::destroy::{DOING as DESTROYING, Trace, half_created, remove_guest};
use super::fetch_template::fetch;
use super::image::{ImageIntent, bring, set_options};
use super::unprotect::put_back;
use crate::commands::bridge_of;
use crate::saga::{
    Change, Cx, Done, Intent, Look, Sent as Calls, StepAction, StepError, StepResult,
    absent_everywhere, confirm,
};

/// Of the step.
pub(crate) const NAME: &str = "create_container";
const DOING: &str = "creating the container";
/// How many looks in a row prove an absence that nothing else explains (doctrine: proof of absence).
const OBSERVATIONS: u32 = 3;

pub(crate) struct CreateContainer;

/// How an attempt with one number ended.
enum Attempt {
    /// The container is there and ours.
    Made(Box<Done>),
    /// Somebody else has the number; the text says how that was seen.
    Taken(String),
    /// No clone was made, and nothing is there; the text says why.
    NotCloned(String),
}

impl Attempt {
    fn given_up(lost: Lost) -> Self {
        match lost.by_clone {
            true => Self::NotCloned(lost.how),
            false => Self::Taken(lost.how),
        }
    }
}

#[async_trait]
impl StepAction for CreateContainer {
    /// Finds the template now, or the one that is downloaded first, so that a missing one is a clear refusal before anything
    /// is sent.
    async fn intend(&self, cx: &Cx) -> StepResult<Intent> {
        let found = crate::commands::find_template(cx).await?;
        // Nothing is prepared of images, nor of what is not there yet.
        let made = match (&found.fetch, &found.image) {
            (None, None) => clone_container::choose(cx, &found.volume).await?,
            (Some(_), _) | (None, Some(_)) => Made::default(),
        };
        Ok(Intent {
            value: json!({
                "ostemplate": found.volume,
                "fetch": found.fetch,
                "image": found.image.as_ref().map(ImageIntent::of),
                "taken": [],
                "base": made.base,
                "clone": made.clone,
            }),
            ..Intent::none()
        })
    }

    async fn act(&self, cx: &Cx, intent: &Value) -> StepResult<Done> {
        #[cfg(any(feature = "crash-points", feature = "bug-switches"))]
        if crate::saga::forgets_creates() && (cx.fence.epoch.0 > 1 || crate::saga::is_twice()) {
            return create_once_more(cx, cx.must_have_guest().await?, intent).await;
        }
        if let (Some(file), Some(volume)) =
            (intent["fetch"].as_str(), intent["ostemplate"].as_str())
        {
            fetch(cx, file, volume).await?;
        }
        let is_image = !intent["image"].is_null();
        let mut intent = intent.clone();
        loop {
            // Without a guest the last number was given up, and no other one was free then.
            let taken = match cx.guest().await? {
                Some(guest) => match attempt(cx, &guest, &intent).await? {
                    Attempt::Made(done) => return made(cx, &guest, *done, is_image).await,
                    Attempt::Taken(how) => Some((guest, was_taken(&how))),
                    Attempt::NotCloned(how) => Some((guest, was_not_cloned(&how))),
                },
                None => None,
            };
            intent = choose_again(cx, intent, taken).await?;
        }
    }

    /// Flow: wait for what still runs → remove what is there → where an answer was lost, make sure that its call does not
    /// arrive later: as long as it might, the number stays on record.
    async fn undo(&self, cx: &Cx, _row: &StepRecord) -> StepResult<Effects> {
        loop {
            cx.reload().await.map_err(StepError::Halt)?;
            let Some(mut guest) = cx.guest().await?.filter(|g| g.created_by == cx.op.id) else {
                return Ok(Effects::default());
            };
            let vmid = guest.place.vmid;
            let destroyed = was_destroyed(cx).await?;
            if destroyed && cx.sent(Change::Create, vmid).await?.is_in_doubt(1) {
                // What was confirmed is gone by our own hand, and another call may still make one with a volume of its own.
                // Without such a call nothing that comes is ours, whatever it shows.
                guest.identity.rootfs_volid = None;
            }
            let task = settle_create(cx, &guest).await?;
            let row = cx.row().map_or(Value::Null, |row| row.intent);
            settle_clone(cx, &guest, &row).await?;
            let sent = cx.sent(Change::Create, vmid).await?;
            // A confirmed volume says so as well, also when the row's task is by now one of the undo's own.
            let made = task == Some(OwnTask::Made) || guest.identity.rootfs_volid.is_some();
            let trace = match (made, made_nothing(&sent, task)) {
                (true, _) => Trace::Made,
                (false, true) => Trace::None,
                (false, false) => Trace::Sent,
            };
            let in_doubt = sent.is_in_doubt(usize::from(made || destroyed || task.is_some()));
            let effects = remove_guest(cx, guest.clone(), trace).await?;
            if !in_doubt || stays_absent(cx, &guest).await? {
                return Ok(effects);
            }
        }
    }

    /// The undo lifts the protection for its destroy, and anew when it goes on.
    async fn rest(&self, cx: &Cx) -> StepResult<Option<String>> {
        match cx.guest().await?.filter(|g| g.created_by == cx.op.id) {
            Some(guest) => put_back(cx, guest).await,
            None => Ok(None),
        }
    }
}

/// The end of the step: a container of an image is started as its entry says, and its volumes are on record.
async fn made(cx: &Cx, guest: &NativeGuest, mut done: Done, is_image: bool) -> StepResult<Done> {
    if is_image {
        let volumes = set_options(cx, guest).await?;
        let output = json!({
            "vmid": guest.identity.vmid,
            "node": guest.place.node,
            "volumes": volumes,
        });
        done.output = output.into();
    }
    Ok(done)
}

/// Whether this undo has destroyed the container that was made.
async fn was_destroyed(cx: &Cx) -> StepResult<bool> {
    match cx.earlier_task("vzdestroy") {
        Some(upid) => Ok(cx.await_task(DESTROYING, &upid).await?.is_success()),
        None => Ok(false),
    }
}

/// How the create task ended that is on our record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnTask {
    /// It made our container.
    Made,
    /// It lost the number to somebody else, and made nothing.
    Lost,
    /// It failed, and may have left something.
    Failed,
}

/// The task that the step has started before to make the container.
fn earlier_make(cx: &Cx) -> Option<Upid> {
    let created = cx.earlier_task("vzcreate");
    created.or_else(|| cx.earlier_task(CLONE_TASK))
}

/// Where the guest is to be a clone: waits for what is at work, and gives a clone of ours its address, so that it is known by every factor.
async fn settle_clone(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<()> {
    if Made::by(intent).clone.is_none() {
        return Ok(());
    }
    let wanted = request(cx, guest, intent).await?;
    clone_container::settle(cx, guest, &wanted).await
}

/// Waits for the create task that is on our record, if there is one.
async fn own_task(cx: &Cx) -> StepResult<Option<OwnTask>> {
    let Some(upid) = earlier_make(cx) else {
        return Ok(None);
    };
    let outcome = cx.await_task(DOING, &upid).await?;
    Ok(Some(match Cx::task_failed(DOING, &outcome) {
        None => OwnTask::Made,
        Some(failure) if failure.code == "vmid_taken" => OwnTask::Lost,
        Some(_) => OwnTask::Failed,
    }))
}

/// Whether none of our calls can have made anything, nor still will: each was refused, but for one whose task lost the number.
fn made_nothing(sent: &Calls, task: Option<OwnTask>) -> bool {
    sent.did_nothing() || (task == Some(OwnTask::Lost) && !sent.is_in_doubt(1))
}

/// Waits for the create that is under way. Says what became of ours, if there is a task to tell.
async fn settle_create(cx: &Cx, guest: &NativeGuest) -> StepResult<Option<OwnTask>> {
    if let Some(task) = own_task(cx).await? {
        return Ok(Some(task));
    }
    if matches!(cx.look(guest).await?, Look::BeingCreated) {
        let place = &guest.place;
        if let Some(upid) = cx.running_create(&place.node, place.vmid).await? {
            // Whose task that is, only the look afterwards tells.
            cx.await_task(DOING, &upid).await?;
        }
    }
    Ok(None)
}

/// Whether nothing of ours comes to the number any more: absent, or somebody else's, in so many complete observations, so far
/// apart.
async fn stays_absent(cx: &Cx, guest: &NativeGuest) -> StepResult<bool> {
    let late_ms = cx.late_ms();
    let text = format!(
        "The answer to a create call was lost; making sure that container {} does not appear later",
        guest.place.vmid
    );
    cx.say(LogLevel::Info, text).await?;
    for observation in 0..OBSERVATIONS {
        if observation > 0 {
            cx.pause_ms(late_ms).await;
        }
        match cx.look(guest).await? {
            Look::Absent if absent_everywhere(cx, &guest.place).await? => {}
            // A create call for a number that is taken makes nothing, as long as its taker stays.
            Look::Stranger(_) => {}
            Look::Absent | Look::Ours { .. } | Look::BeingCreated | Look::Foreign(_) => {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// One attempt with the guest's number: look, create if nothing is there, look again.
async fn attempt(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<Attempt> {
    let nothing_sent = async || -> StepResult<bool> {
        let sent = cx.sent(Change::Create, guest.place.vmid).await?;
        Ok(sent.did_nothing())
    };
    settle_clone(cx, guest, intent).await?;
    let lost = match cx.look(guest).await? {
        Look::BeingCreated if nothing_sent().await? => {
            return Ok(Attempt::Taken(
                "it is being created by somebody else".to_owned(),
            ));
        }
        Look::Ours { .. } | Look::BeingCreated => {
            wait_for_create(cx, guest).await?;
            None
        }
        Look::Foreign(f) => return altered(cx, guest, f).await,
        Look::Stranger(f) => return strangers(cx, guest, f).await,
        Look::Absent => match create(cx, guest, intent).await? {
            Sent::Done => None,
            Sent::Lost(lost) => Some(lost),
        },
    };
    settle_clone(cx, guest, intent).await?;
    read_back(cx, guest, lost).await
}

/// Looks again: what counts is what is read back now.
async fn read_back(cx: &Cx, guest: &NativeGuest, lost: Option<Lost>) -> StepResult<Attempt> {
    let mut look = cx.look(guest).await?;
    if lost.is_some() && matches!(look, Look::Ours { .. }) {
        // An earlier call of ours arrived late, and took the number from the later one.
        wait_for_create(cx, guest).await?;
        look = cx.look(guest).await?;
    }
    match (look, lost) {
        (Look::Ours { first_seen, .. }, _) => Ok(Attempt::Made(Box::new(Done {
            output: json!({ "vmid": guest.identity.vmid, "node": guest.place.node }).into(),
            effects: Effects {
                guests: confirm(guest, first_seen),
                ..Effects::default()
            },
        }))),
        (Look::Foreign(f), _) => altered(cx, guest, f).await,
        (Look::Stranger(f), _) => strangers(cx, guest, f).await,
        // Our clone's task failed, and left something of it.
        (Look::BeingCreated, Some(lost)) if lost.by_clone && lost.by_task => {
            Err(half_created(guest))
        }
        (look @ (Look::BeingCreated | Look::Absent), Some(lost)) => {
            let sent = cx.sent(Change::Create, guest.place.vmid).await?;
            if sent.is_in_doubt(usize::from(lost.by_task)) {
                // There is another way for a clone, as soon as none can come any more.
                let may_go_on = lost.by_clone && matches!(look, Look::Absent);
                if !may_go_on || !stays_absent(cx, guest).await? {
                    return Err(in_doubt(&lost.how));
                }
            }
            Ok(Attempt::given_up(lost))
        }
        (Look::BeingCreated, None) => Err(half_created(guest)),
        (Look::Absent, None) => Err(StepError::Failed(Failure::new(
            "create_left_nothing",
            "PVE's create task ended, but the container is not there",
            "read the task's log in PVE, then retry",
        ))),
    }
}

/// A call of ours had no answer, and what is there may be of it.
fn in_doubt(seen: &str) -> StepError {
    StepError::Uncertain(Failure::new(
        "pve_outcome_unknown",
        format!(
            "{DOING}: {seen}; the answer to an earlier call was lost, and what is there may be ours"
        ),
        "retry looks again before it acts",
    ))
}

/// What has the number may be ours, altered. Where no call of ours can have made anything it is somebody else's.
async fn altered(cx: &Cx, guest: &NativeGuest, failure: Failure) -> StepResult<Attempt> {
    let task = own_task(cx).await?;
    let sent = cx.sent(Change::Create, guest.place.vmid).await?;
    if made_nothing(&sent, task) {
        return Ok(Attempt::Taken(failure.message));
    }
    Err(StepError::Stuck(failure))
}

/// What has the number is somebody else's: it is given up, unless our container was made. Then that one has been replaced,
/// or both its mark and its MAC were changed, and a person decides. As long as a call of ours may still arrive the number is
/// kept: should its taker go first, the call makes our container there.
async fn strangers(cx: &Cx, guest: &NativeGuest, failure: Failure) -> StepResult<Attempt> {
    let task = own_task(cx).await?;
    if task == Some(OwnTask::Made) || guest.identity.rootfs_volid.is_some() {
        return Err(StepError::Stuck(failure));
    }
    let sent = cx.sent(Change::Create, guest.place.vmid).await?;
    let left_ms = sent.late_for_ms(cx.now(), cx.late_ms());
    if sent.is_in_doubt(usize::from(task.is_some())) && left_ms > 0 {
        cx.pause_ms(left_ms).await;
        return match cx.look(guest).await? {
            Look::Stranger(failure) => Ok(Attempt::Taken(failure.message)),
            Look::Absent | Look::Ours { .. } | Look::BeingCreated | Look::Foreign(_) => {
                Err(in_doubt("what had the number is not there any more"))
            }
        };
    }
    Ok(Attempt::Taken(failure.message))
}

/// What a recovery would do that trusts neither the record nor a look: figure R1 must see it.
#[cfg(any(feature = "crash-points", feature = "bug-switches"))]
async fn create_once_more(cx: &Cx, mut guest: NativeGuest, intent: &Value) -> StepResult<Done> {
    let chosen = super::reserve_vmid::choose_vmid(cx, &[]).await?;
    let vmid = chosen.vmid();
    guest.identity.vmid = vmid;
    guest.place.vmid = vmid;
    cx.create_lxc(&guest.place, request(cx, &guest, intent).await?)
        .await?;
    Ok(Done::nothing())
}

/// How the create call ended.
enum Sent {
    /// A task of ours made it, or is said to have.
    Done,
    /// The number is somebody else's, as far as this call tells.
    Lost(Lost),
}

/// How it was seen that somebody else has the number.
struct Lost {
    how: String,
    /// A task of ours ended so; else the call was refused, or not sent.
    by_task: bool,
    /// It was the call for a clone, or its task, that came to nothing: the number may be nobody's.
    by_clone: bool,
}

impl Sent {
    fn lost(how: impl Into<String>) -> Self {
        Self::Lost(Lost {
            how: how.into(),
            by_task: false,
            by_clone: false,
        })
    }
}

/// Sends the create call, unless a create task of this VMID is already under way. An image is brought and held against the entry right
/// before, so never once a create is on record.
async fn create(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<Sent> {
    if let Some(upid) = earlier_make(cx) {
        // An earlier attempt got its task: its verdict counts, it is not sent again.
        let outcome = cx.await_task(DOING, &upid).await?;
        return judge(cx, Cx::task_failed(DOING, &outcome));
    }
    let image = ImageIntent::read(&intent["image"])?;
    if let (Some(image), Some(volume)) = (&image, intent["ostemplate"].as_str()) {
        bring(cx, guest, image, volume).await?;
    }
    let place = &guest.place;
    let (running, absent) = tokio::join!(
        cx.running_create(&place.node, place.vmid),
        absent_everywhere(cx, place),
    );
    if running?.is_some() {
        if cx.sent(Change::Create, place.vmid).await?.did_nothing() {
            return Ok(Sent::lost("it is being created by somebody else"));
        }
        wait_for_create(cx, guest).await?;
        return Ok(Sent::Done);
    }
    if !absent? {
        return Ok(Sent::lost("the cluster lists another guest"));
    }
    let request = request(cx, guest, intent).await?;
    let source = Made::by(intent).clone;
    let made = match source {
        None => cx.create_lxc(place, request).await,
        Some(source) => {
            if let Some(why) = clone_container::note(cx, guest, source).await? {
                return Ok(not_cloned(why, false));
            }
            clone_container::clone(cx, guest, source, &request).await
        }
    };
    match made {
        Ok(outcome) => {
            cx.reload().await.map_err(StepError::Halt)?;
            judge(cx, Cx::task_failed(DOING, &outcome))
        }
        // Whether what has the number is ours, by an earlier call, the next look tells.
        Err(StepError::Uncertain(f)) if f.code == "vmid_taken" => Ok(Sent::lost(f.message)),
        // The archive is always a way, and nothing was made.
        Err(StepError::Failed(f)) if is_clone(intent) => Ok(not_cloned(&f.message, false)),
        Err(StepError::Transient(f)) if is_clone(intent) && f.code == "container_locked" => {
            Ok(not_cloned(&f.message, false))
        }
        Err(e) => Err(e),
    }
}

fn is_clone(intent: &Value) -> bool {
    Made::by(intent).clone.is_some()
}

fn not_cloned(how: &str, by_task: bool) -> Sent {
    Sent::Lost(Lost {
        how: how.to_owned(),
        by_task,
        by_clone: true,
    })
}

/// The verdict of our own create task. One that lost the race for the configuration file has made nothing, and PVE has
/// freed its volumes.
fn judge(cx: &Cx, failure: Option<Failure>) -> StepResult<Sent> {
    match failure {
        None => Ok(Sent::Done),
        // Named, so that a person's retry goes by a new look.
        Some(f) if f.code == "vmid_taken" => Ok(Sent::Lost(Lost {
            how: match cx.row().and_then(|row| row.upid) {
                Some(upid) => format!("{} ({upid})", f.message),
                None => f.message,
            },
            by_task: true,
            by_clone: false,
        })),
        Some(f) if cx.row().is_some_and(|row| is_clone(&row.intent)) => {
            let upid = cx.row().and_then(|row| row.upid).unwrap_or_default();
            Ok(not_cloned(&format!("{} ({upid})", f.message), true))
        }
        Some(f) => Err(StepError::Failed(f)),
    }
}

async fn request(cx: &Cx, guest: &NativeGuest, intent: &Value) -> StepResult<CreateLxc> {
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
    let image = ImageIntent::read(&intent["image"])?;
    let made_with = &cx.app.made_with;
    let bridge = bridge_of(host, &made_with.network).clone();
    let root_password = match made_with.root_password {
        // It is forgotten once it was shown, which is not before the container is there.
        true => Some(
            cx.store()
                .root_password(cx.app.id)
                .await?
                .ok_or_else(|| unreadable("password of root"))?,
        ),
        false => None,
    };
    let memory_mib =
        u32::try_from(cx.app.resources.memory_mib).map_err(|_| unreadable("memory"))?;
    Ok(CreateLxc {
        vmid: guest.identity.vmid,
        ostemplate: ostemplate.ok_or_else(|| unreadable("template"))?,
        hostname: cx.app.hostname.clone(),
        storage: host.storage.clone(),
        disk_gib: cx.app.resources.disk_gib,
        mounts: image.map(ImageIntent::mounts).unwrap_or_default(),
        memory_mib,
        swap_mib: 0,
        cores: cx.app.resources.cores,
        net0: NewNet {
            name: "eth0".to_owned(),
            bridge,
            hwaddr: guest.identity.net0_mac,
        },
        network: made_with.network.clone(),
        root_keys: made_with.root_keys.clone(),
        root_password,
        description: guest.identity.mark.described(&text),
        pool: host.pool.clone(),
        unprivileged: true,
        onboot: true,
        protection: cx.limits().protect,
        nesting: true,
    })
}

/// Waits while a task of this VMID runs; when none runs and the lock is still there, a person is needed.
///
/// The task may be somebody else's, so only one that is on our record fails the step; else the next look decides.
async fn wait_for_create(cx: &Cx, guest: &NativeGuest) -> StepResult<()> {
    let place = &guest.place;
    if let Some(upid) = cx.running_create(&place.node, place.vmid).await? {
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
