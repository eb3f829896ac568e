//! Starting, stopping and destroying containers: the checks before the task. What fails later shows
//! in the task only.

use serde_json::Value;

use super::super::call::{Call, Outcome, Stop};
use super::super::error::ApiError;
use super::super::guest::GuestKey;
use super::super::task::Work;
use super::super::worker;
use super::check_quorum;

/// What lxc-stop waits for when it is given no timeout, seconds.
const LXC_STOP_DEFAULT_S: u64 = 60;

/// Whether the guest runs, after a fresh look.
fn runs(call: &mut Call<'_>, key: &GuestKey) -> Result<bool, Stop> {
    call.look_at(std::slice::from_ref(key))?;
    Ok(call
        .world
        .guest(key)
        .is_some_and(|guest| guest.is_running()))
}

fn task(call: &mut Call<'_>, kind: &str, key: &GuestKey, work: Work) -> Outcome {
    let upid = worker::spawn(call.world, kind, key, &call.caller.id, work, call.now_ms);
    Ok(Value::String(upid.to_string()).into())
}

/// Root itself may; no API token is root itself.
fn refuse_skiplock(call: &Call<'_>) -> Result<(), ApiError> {
    if call.flag("skiplock") && !call.caller.is_root() {
        return Err(ApiError::parameter(
            "skiplock",
            "Only root may use this option.",
        ));
    }
    Ok(())
}

/// An unknown vmid gets a task too; it fails there.
pub(super) fn start(call: &mut Call<'_>) -> Outcome {
    refuse_skiplock(call)?;
    let key = call.guest_key();
    if runs(call, &key)? {
        return Err(ApiError::died(format!("CT {} already running", key.vmid)).into());
    }
    check_quorum(call)?;
    if call.world.ha.manages(key.vmid) {
        return request_start(call, &key);
    }
    let reply = task(call, "vzstart", &key, Work::Start)?;
    skip_lock(call);
    Ok(reply)
}

/// The task that was begun just now looks at no lock, if that was asked for.
fn skip_lock(call: &mut Call<'_>) {
    let skips_lock = call.flag("skiplock");
    if let Some(task) = call.world.tasks.last_mut() {
        task.skips_lock = skips_lock;
    }
}

pub(super) fn stop(call: &mut Call<'_>) -> Outcome {
    refuse_skiplock(call)?;
    let key = call.guest_key();
    if !runs(call, &key)? {
        return Err(ApiError::died(format!("CT {} not running", key.vmid)).into());
    }
    if call.world.ha.manages(key.vmid) {
        if call.flag("overrule-shutdown") {
            let text = "Not applicable for HA resources.";
            return Err(ApiError::parameter("overrule-shutdown", text).into());
        }
        return request_stop(call, &key, 0);
    }
    let overruled = if call.flag("overrule-shutdown") {
        overrule(call, &key)
    } else {
        Vec::new()
    };
    let reply = task(call, "vzstop", &key, Work::Stop)?;
    skip_lock(call);
    if !overruled.is_empty()
        && let Some(task) = call.world.tasks.last_mut()
    {
        task.log.insert(
            0,
            format!("overruled vzshutdown tasks: {}", overruled.join(", ")),
        );
    }
    Ok(reply)
}

/// Kills the shutdown tasks of a guest that the caller began, or may end because all on the node are the caller's.
fn overrule(call: &mut Call<'_>, key: &GuestKey) -> Vec<String> {
    let tasks = call.world.tasks();
    let shutdowns = tasks
        .filter(|task| task.is_running() && task.upid.kind == "vzshutdown" && task.guest() == *key);
    let all = call.may(&format!("/nodes/{}", key.node), "Sys.Modify");
    let own = |user: &str| {
        let caller = call.caller.id.as_str();
        caller == user || user.split('!').next() == Some(caller)
    };
    let upids: Vec<_> = shutdowns
        .filter(|task| all || own(&task.upid.user))
        .map(|task| task.upid.clone())
        .collect();
    for upid in &upids {
        worker::terminate(call.world, upid, call.now_ms);
    }
    upids.iter().map(ToString::to_string).collect()
}

pub(super) fn shutdown(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    if !runs(call, &key)? {
        return Err(ApiError::died(format!("CT {} not running", key.vmid)).into());
    }
    let timeout_s = call.number("timeout").unwrap_or(LXC_STOP_DEFAULT_S);
    if call.world.ha.manages(key.vmid) {
        return request_stop(call, &key, timeout_s);
    }
    let force = call.flag("forceStop");
    task(
        call,
        "vzshutdown",
        &key,
        Work::Shutdown { timeout_s, force },
    )
}

/// Only says what state is wanted; the HA manager acts later or never.
fn request_start(call: &mut Call<'_>, key: &GuestKey) -> Outcome {
    let vmid = key.vmid;
    let line = format!("Requesting HA start for CT {vmid}");
    let command = format!("set ct:{vmid} --state started");
    let work = request(call, vmid, line, &command);
    if matches!(work, Work::Request { .. }) {
        call.world.request_state(vmid, "started", call.now_ms);
    }
    task(call, "hastart", key, work)
}

/// Only asks the HA manager, which takes it in at its next look.
fn request_stop(call: &mut Call<'_>, key: &GuestKey, timeout_s: u64) -> Outcome {
    let vmid = key.vmid;
    let line = format!("Requesting HA stop for CT {vmid}");
    let command = format!("crm-command stop ct:{vmid} {timeout_s}");
    let work = request(call, vmid, line, &command);
    if matches!(work, Work::Request { .. }) {
        call.world.ask_to_stop(vmid, timeout_s);
    }
    task(call, "hastop", key, work)
}

/// What the task does that runs a command of the HA manager's: it is refused for what was given up, and without a majority.
fn request(call: &Call<'_>, vmid: u32, line: String, command: &str) -> Work {
    let current = call.world.ha.of(vmid).and_then(|it| it.current.as_deref());
    let why = if current == Some("error") {
        format!("service 'ct:{vmid}' in error state, must be disabled and fixed first")
    } else if call.world.is_quorate(&call.node, call.now_ms) {
        return Work::Request { line };
    } else {
        "cfs-lock 'domain-ha' error: no quorum!".into()
    };
    Work::Fail {
        log: vec![line, why],
        error: format!("command 'ha-manager {command}' failed: exit code 255"),
    }
}

pub(super) fn suspend(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    if !runs(call, &key)? {
        return Err(ApiError::died(format!("CT {} not running", key.vmid)).into());
    }
    task(call, "vzsuspend", &key, Work::Suspend)
}

pub(super) fn resume(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    if runs(call, &key)? {
        return Err(ApiError::died(format!("CT {} already running", key.vmid)).into());
    }
    task(call, "vzresume", &key, Work::Resume)
}

pub(super) fn reboot(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    if !runs(call, &key)? {
        return Err(ApiError::died(format!("VM {} not running", key.vmid)).into());
    }
    let timeout_s = call.number("timeout").unwrap_or(LXC_STOP_DEFAULT_S);
    task(call, "vzreboot", &key, Work::Reboot { timeout_s })
}

pub(super) fn destroy(call: &mut Call<'_>) -> Outcome {
    let key = call.guest_key();
    let vmid = key.vmid;
    let Some(guest) = call.world.guest(&key) else {
        return Err(ApiError::no_config(&key.node, vmid).into());
    };
    if guest.config.flag("protection") {
        return Err(
            ApiError::died(format!("can't remove CT {vmid} - protection mode enabled")).into(),
        );
    }
    if let Some(lock) = guest.config.get("lock") {
        return Err(ApiError::died(format!("CT is locked ({lock})")).into());
    }
    let force = call.flag("force");
    call.world
        .check_unused(vmid, call.flag("purge"))
        .map_err(ApiError::died)?;
    if !force && runs(call, &key)? {
        return Err(ApiError::died(format!(
            "unable to destroy CT {vmid} - container is running"
        ))
        .into());
    }
    task(
        call,
        "vzdestroy",
        &key,
        Work::Destroy {
            force,
            purge: call.flag("purge"),
            unreferenced: call.flag("destroy-unreferenced-disks"),
        },
    )
}
