//! Restore of keys (adopted): brings keys of the configuration back to the day of the adoption, by one call.
//!
//! Guarantees: the configuration is the one that the person saw, to the digest, or nothing is sent; PVE applies all keys or
//! none; what is said to be restored was read back. A call that may have arrived is resolved by looking.

use std::collections::BTreeMap;

use async_trait::async_trait;
use proximity_domain::adoption::without_secrets;
use proximity_domain::event::EventKind;
use proximity_domain::failure::Failure;
use proximity_domain::guest::Ownership;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::restore::{RestorePlan, Wanted, plan, still_differing};
use proximity_pve::lxc::LxcConfig;
use proximity_store::effects::{Effects, NewEvent};
use proximity_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::steps::status::event;
use crate::cluster::observed;
use crate::commands::RestoreInput;
use crate::saga::{
    Calls, Cx, Done, Ending, Row, Saga, StepAction, StepError, StepResult, as_far_as_compared,
    pve_failure,
};

const STEP: &str = "restore_keys";
const READING: &str = "reading the container's configuration";

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
        let record = cx.store().adoption(cx.app.id).await?;
        let then = record.map(|record| record.proxmox_config_snapshot);
        let then = then.ok_or_else(|| unreadable("the adoption record"))?;
        let config = read(cx, &guest).await?;
        if !still_differing(&then, &config.raw, &input.keys).is_empty() {
            let runs = cx.is_running(&guest).await?;
            let plan = planned(&input, &then, &config, runs)?;
            send(cx, &guest, &plan, &config).await?;
            let after = read(cx, &guest).await?;
            let left = still_differing(&then, &after.raw, &input.keys);
            if !left.is_empty() {
                return Err(not_seen(&left));
            }
        }
        let place = guest.place();
        let pending = cx.cluster.read().lxc_pending(&place.node, place.vmid).await;
        let pending = pending.map_err(|e| pve_failure("reading what waits for a start", &e))?;
        let waits = pending.into_iter().filter(|key| key.waits());
        let waits = waits.map(|key| key.key);
        Done::with(&Restored {
            waits: waits.filter(|key| input.keys.contains(key)).collect(),
            keys: input.keys,
        })
    }
}

/// The container's configuration, if it is the adopted one.
async fn read(cx: &Cx, guest: &RecordedGuest) -> StepResult<LxcConfig> {
    let place = guest.place();
    let read = cx.cluster.read().lxc_config(&place.node, place.vmid).await;
    let config = read.map_err(|e| pve_failure(READING, &e))?;
    let seen = as_far_as_compared(guest, observed(place.clone(), &config, false));
    if let Ownership::Conflict(conflict) = guest.compare(&seen) {
        return Err(StepError::Failed(Failure::new(
            "identity_conflict",
            conflict.to_string(),
            "nothing was restored; compare the container with the app's record and decide by hand",
        )));
    }
    Ok(config)
}

/// What is sent: exactly what the person saw.
fn planned(
    input: &RestoreInput,
    then: &BTreeMap<String, Value>,
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
    let told = plan.keys.iter().map(|key| {
        let drift = &key.drift;
        let shown = |value: &Option<Value>| {
            let value = value.clone();
            value.map(|value| without_secrets(&drift.key, value))
        };
        let change = json!({ "from": shown(&drift.now), "to": shown(&drift.then) });
        (drift.key.clone(), change)
    });
    let told: serde_json::Map<String, Value> = told.collect();
    cx.set_options(guest.place(), change, digest, told.into())
        .await
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
        "report this as a bug; the container was not touched",
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

    // The app is what it was: nothing of it depends on the keys.
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
}
