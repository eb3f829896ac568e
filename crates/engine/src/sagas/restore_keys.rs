//! Restore of keys (adopted): brings keys of the configuration back to the day of the adoption, by one call.
//!
//! Guarantees: the configuration is the one that the person saw, to the digest, or nothing is sent; what is said to be restored
//! was read back. A call that may have arrived is resolved by looking. PVE may refuse a change in the middle, so a refusal is told
//! with what was read after it; and what ends without success looks at what it has changed, and tells it. Nothing is taken back:
//! the keys are as a person wanted them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use proximity_domain::adoption::without_secrets;
use proximity_domain::drift::Drift;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::restore::{
    LeftByRefusal, RestorePlan, Wanted, as_on_record, may_wait, passed_over, plan, still_differing,
};
use proximity_domain::saga::StepRecord;
use proximity_pve::lxc::LxcConfig;
use proximity_store::effects::{Effects, NewEvent};
use proximity_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::steps::configuration::read;
use super::steps::status::event;
use crate::commands::RestoreInput;
use crate::saga::{
    Calls, Cx, Done, Ending, Look, OptionsCall, Row, Saga, StepAction, StepError, StepResult,
    pve_failure, runs,
};

const STEP: &str = "restore_keys";
/// The key of the step's intent that says for how long the container ran when the change was done.
const UP: &str = "up";
/// The code of a refusal that PVE may give in the middle: those of which it is known that nothing was done have others.
const REFUSED: &str = "pve_refused";
/// Texts of a person, who may have put a password in there: the audit tells that they changed, and not from what to what.
const PRIVATE: [&str; 2] = ["description", "entrypoint"];

type Config = BTreeMap<String, Value>;

const STEPS: &[Row] = &[Row {
    name: STEP,
    percent: 20,
    log: "Restoring keys of the configuration",
    cancellable: true,
    calls: Calls::Call,
    action: &Restore,
}];

pub(super) static SAGA: Saga = Saga {
    steps: STEPS,
    ending: &RestoreEnding,
};

/// Sends the change, unless it is there already, and reads it back.
struct Restore;

/// What was read back.
#[derive(Debug, Serialize, Deserialize)]
struct Restored {
    keys: Vec<String>,
    waits: Vec<String>,
}

#[async_trait]
impl StepAction for Restore {
    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let input = input(cx)?;
        let guest = cx.must_have_recorded().await?;
        // Follows it to another node, or says that it is gone or another one.
        cx.must_be_ours(&guest).await?;
        let then = on_record(cx).await?;
        let config = read(cx, &guest).await?;
        if !still_differing(&then, &config.raw, &input.keys).is_empty() {
            restore(cx, &guest, &input, &then, &config).await?;
        }
        Done::with(&Restored {
            waits: waiting(cx, &guest, &then, &input.keys).await?,
            keys: input.keys,
        })
    }

    /// Looks and tells, and takes nothing back.
    async fn undo(&self, cx: &Cx, row: &StepRecord) -> StepResult<Effects> {
        // Each call is audited before it is sent.
        let sent = cx.store().mutations(cx.op.id, row.index).await?;
        if sent.is_empty() {
            return Ok(Effects::default());
        }
        let input = input(cx)?;
        let guest = cx.must_have_recorded().await?;
        let then = on_record(cx).await?;
        let line = match cx.look(&guest).await? {
            Look::Ours { .. } => {
                let now = read(cx, &guest).await?;
                stays(&as_on_record(&then, &now.raw, &input.keys))
            }
            Look::Absent | Look::BeingCreated | Look::Foreign(_) | Look::Stranger(_) => {
                Some(unknown(&input.keys))
            }
        };
        let line = line.map(|text| cx.line(LogLevel::Warning, text));
        Ok(Effects {
            log: line.into_iter().collect(),
            ..Effects::default()
        })
    }
}

/// What is said of keys that were changed by what did not succeed.
fn stays(keys: &[String]) -> Option<String> {
    let is_any = !keys.is_empty();
    is_any.then(|| {
        format!(
            "The restore did not succeed, but these keys are as on the day of the adoption now, and stay so: {}",
            keys.join(", ")
        )
    })
}

/// What is said where the container cannot be asked.
fn unknown(keys: &[String]) -> String {
    format!(
        "The restore did not succeed, and whether it changed {} is not known: the container on record is not there, or \
         another one is",
        keys.join(", ")
    )
}

/// Those of `keys` that are in force after the container's next start: what PVE says waits for it, and what it does not tell.
async fn waiting(
    cx: &Cx,
    guest: &RecordedGuest,
    then: &Config,
    keys: &[String],
) -> StepResult<Vec<String>> {
    let place = guest.place();
    let pending = cx.cluster.read().lxc_pending(&place.node, place.vmid).await;
    let pending = pending.map_err(|e| pve_failure("reading what waits for a start", &e))?;
    let waits = pending.into_iter().filter(|key| key.waits());
    let waits = waits.map(|key| key.key);
    let mut waits: Vec<String> = waits.filter(|key| keys.contains(key)).collect();
    if let Some(untold) = passed_over(then, keys)
        && has_not_started_since(cx, guest).await?
    {
        waits.push(untold.to_owned());
    }
    Ok(waits)
}

/// For how long a container runs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Up {
    /// Seconds; `None`: it does not run.
    seconds: Option<u64>,
}

async fn up(cx: &Cx, guest: &RecordedGuest) -> StepResult<Up> {
    let place = guest.place();
    let read = cx.cluster.read().lxc_status(&place.node, place.vmid).await;
    let status = read.map_err(|e| pve_failure("reading the container's status", &e))?;
    let runs = runs(&status, place.vmid)?;
    Ok(Up {
        seconds: runs.then_some(status.uptime_s),
    })
}

/// Keeps for how long the container ran when the change was done: what is judged later, also after a crash, is held against it.
async fn keep_up(cx: &Cx, guest: &RecordedGuest) -> StepResult<()> {
    let up = up(cx, guest).await?;
    let (index, now) = (cx.step_index(), cx.now());
    cx.store()
        .amend_intent(&cx.fence, index, json!({ UP: up }), now)
        .await?;
    cx.reload().await.map_err(StepError::Halt)
}

/// Whether the container runs, and was not started since the change was done. Where nobody wrote down how long it ran then, any run
/// may be that one.
async fn has_not_started_since(cx: &Cx, guest: &RecordedGuest) -> StepResult<bool> {
    let now = up(cx, guest).await?;
    let kept = cx.row().map(|row| row.intent[UP].clone());
    let kept: Option<Up> = kept.and_then(|kept| serde_json::from_value(kept).ok());
    Ok(match kept {
        Some(then) => may_wait(then.seconds, now.seconds),
        None => now.seconds.is_some(),
    })
}

/// The configuration on the day of the adoption.
async fn on_record(cx: &Cx) -> StepResult<Config> {
    let record = cx.store().adoption(cx.app.id).await?;
    let then = record.map(|record| record.proxmox_config_snapshot);
    then.ok_or_else(|| unreadable("the adoption record"))
}

/// Sends the change and reads it back.
async fn restore(
    cx: &Cx,
    guest: &RecordedGuest,
    input: &RestoreInput,
    then: &Config,
    before: &LxcConfig,
) -> StepResult<()> {
    let runs = cx.is_running(guest).await?;
    let plan = planned(input, then, before, runs)?;
    if let Err(error) = send(cx, guest, &plan, before).await {
        return Err(match error {
            StepError::Failed(refused) if refused.code == REFUSED => {
                let after = read(cx, guest).await;
                let left = after
                    .map(|after| LeftByRefusal::read(then, &before.raw, &after.raw, &input.keys));
                with_what_is_left(refused, left)
            }
            other => other,
        });
    }
    if passed_over(then, &input.keys).is_some() {
        keep_up(cx, guest).await?;
    }
    let after = read(cx, guest).await?;
    let left = still_differing(then, &after.raw, &input.keys);
    if left.is_empty() {
        return Ok(());
    }
    Err(not_seen(&left))
}

/// A refusal, with what was read after it.
fn with_what_is_left(refused: Failure, left: StepResult<LeftByRefusal>) -> StepError {
    let read = match left {
        Ok(left) => left.to_string(),
        Err(e) => {
            let why = e.into_failure().map(|unread| unread.message);
            let why = why.unwrap_or_else(|| "the work was cut off".to_owned());
            format!("what it left could not be read back: {why}")
        }
    };
    StepError::Failed(Failure {
        message: format!("{}; {read}", refused.message),
        hint: "read PVE's message and mend that, then look at the preview again; a limit of memory, swap or CPU may be in \
               force in the running container until its next start though the configuration says otherwise"
            .to_owned(),
        ..refused
    })
}

/// What is sent: exactly what the person saw.
fn planned(
    input: &RestoreInput,
    then: &Config,
    config: &LxcConfig,
    runs: bool,
) -> StepResult<RestorePlan> {
    let digest = config.digest.as_ref().map(ToString::to_string);
    if digest.as_deref() != Some(input.digest.as_str()) {
        return Err(StepError::Failed(Failure::new(
            "preview_outdated",
            "the container's configuration is not the one that was previewed: somebody changed it since",
            "look at the preview again, then decide anew",
        )));
    }
    let wanted = Wanted::Keys(input.keys.iter().cloned().collect());
    let plan = plan(then, &config.raw, &wanted, runs);
    match plan.left.first() {
        None => Ok(plan),
        Some((key, why)) => Err(StepError::Failed(Failure::new(
            "not_restorable",
            format!("{key} is not restored: {why}"),
            "look at the preview again, then decide anew",
        ))),
    }
}

async fn send(
    cx: &Cx,
    guest: &RecordedGuest,
    plan: &RestorePlan,
    config: &LxcConfig,
) -> StepResult<()> {
    let (Some(change), Some(digest)) = (plan.change(), &config.digest) else {
        return Ok(());
    };
    let told = plan.keys.iter().map(|key| &key.drift);
    let told: serde_json::Map<String, Value> = told
        .map(|drift| (drift.key.clone(), audited(drift)))
        .collect();
    let call = OptionsCall {
        doing: "restoring keys of the container's configuration",
        change,
        told: told.into(),
        is_noted: false,
    };
    cx.set_options(guest.place(), digest, call).await
}

/// What the audit tells of one key.
fn audited(drift: &Drift) -> Value {
    if PRIVATE.contains(&drift.key.as_str()) {
        return json!("changed");
    }
    let shown = |value: &Option<Value>| {
        let value = value.clone();
        value.map(|value| without_secrets(&drift.key, value))
    };
    json!({ "from": shown(&drift.now), "to": shown(&drift.then) })
}

fn not_seen(keys: &[String]) -> StepError {
    StepError::Failed(Failure::new(
        "restore_not_seen",
        format!(
            "PVE took the change, and {} read back as something else than on record",
            keys.join(", ")
        ),
        "look at what differs now with: proximity drift APP; somebody may have changed it at the same time",
    ))
}

fn input(cx: &Cx) -> StepResult<RestoreInput> {
    let read = serde_json::from_value(cx.op.input.clone());
    read.map_err(|_| unreadable("what was asked for"))
}

fn unreadable(what: &str) -> StepError {
    StepError::Failed(Failure::new(
        "intent_unreadable",
        format!("{what} cannot be read back"),
        "report this as a bug; what differs now is shown by: proximity drift APP",
    ))
}

struct RestoreEnding;

#[async_trait]
impl Ending for RestoreEnding {
    async fn succeeded(&self, cx: &Cx) -> StepResult<Effects> {
        let row = cx.steps().into_iter().find(|row| row.name == STEP);
        let read = row.and_then(|row| serde_json::from_value(row.output?).ok());
        let restored: Restored = read.ok_or_else(|| unreadable("what was restored"))?;
        let vmid = cx.must_have_recorded().await?.place().vmid;
        let mut line = format!("Restored {}", restored.keys.join(", "));
        if !restored.waits.is_empty() {
            let waits = restored.waits.join(", ");
            line.push_str(&format!("; in force after the next start: {waits}"));
        }
        Ok(Effects {
            log: vec![cx.line(LogLevel::Info, line)],
            events: vec![NewEvent {
                kind: EventKind::AppKeysRestored,
                body: json!({
                    "app": cx.app.id,
                    "hostname": cx.app.hostname,
                    "operation": cx.op.id,
                    "vmid": vmid,
                    "keys": restored.keys,
                    "waits": restored.waits,
                }),
            }],
            ..Effects::default()
        })
    }

    // The app is what it was: nothing of it depends on the keys. What was changed is in its log.
    async fn unwound(&self, cx: &Cx) -> StepResult<Effects> {
        Ok(Effects {
            events: vec![event(cx, EventKind::AppKeysRestoreFailed)],
            ..Effects::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_not_seen_is_not_said_to_be_done() {
        let keys = ["memory".to_owned(), "tags".to_owned()];
        let StepError::Failed(failure) = not_seen(&keys) else {
            panic!("it is over: the call was sent once, and is not sent again");
        };
        assert_eq!(failure.code, "restore_not_seen");
        assert!(failure.message.contains("memory, tags"), "{failure:?}");
    }

    #[test]
    fn a_refusal_is_told_with_what_was_read_after_it_or_that_nothing_was() {
        let told = |left| {
            let refused = Failure::new(REFUSED, "unable to hotplug cpulimit", "");
            match with_what_is_left(refused, left) {
                StepError::Failed(failure) => (failure.code, failure.message),
                other => panic!("it is over: PVE would refuse it again: {other:?}"),
            }
        };
        let left = LeftByRefusal {
            restored: vec!["cores".to_owned()],
            altered: vec![],
        };
        let (code, message) = told(Ok(left));
        assert_eq!(code, REFUSED);
        assert!(message.starts_with("unable to hotplug cpulimit; "));
        assert!(message.ends_with("all the same: cores"), "{message}");
        let silent = Failure::new("pve_unreachable", "no answer", "");
        let (_, message) = told(Err(StepError::Transient(silent)));
        assert!(message.ends_with("could not be read back: no answer"));
    }

    #[test]
    fn what_stays_changed_is_told_and_nothing_where_nothing_is() {
        assert_eq!(stays(&[]), None);
        let keys = ["memory".to_owned(), "tags".to_owned()];
        assert!(stays(&keys).unwrap().ends_with(": memory, tags"));
        assert!(unknown(&keys).contains("memory, tags is not known"));
    }

    #[test]
    fn texts_of_a_person_are_not_told_to_the_audit() {
        let drift = |key: &str, now: &str| Drift {
            key: key.to_owned(),
            then: None,
            now: Some(json!(now)),
        };
        for key in ["description", "entrypoint", "env"] {
            let told = audited(&drift(key, "password=hunter2")).to_string();
            assert!(!told.contains("hunter2"), "{key}: {told}");
        }
        let told = audited(&drift("tags", "a"));
        assert_eq!(told, json!({ "from": "a", "to": null }));
    }
}
