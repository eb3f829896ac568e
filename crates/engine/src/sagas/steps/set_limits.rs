//! Sets memory and cores of a container of ours, by compare-and-swap against the configuration that was looked at; the undo puts
//! back what this operation set, and reads it back.

use async_trait::async_trait;
use proximity_domain::failure::Failure;
use proximity_domain::guest::ContainerRef;
use proximity_domain::recorded::RecordedGuest;
use proximity_domain::saga::StepRecord;
use proximity_domain::update::{LimitDiff, Limits};
use proximity_pve::lxc::LxcConfig;
use proximity_store::effects::{Effects, NewLogLine};
use proximity_store::records::LogLevel;
use serde_json::{Map, Value, json};

use super::configuration::{digest_of, limits_of, read};
use crate::commands::UpdateInput;
use crate::saga::{
    Change, Cx, Done, Guard, Intent, Look, OptionsCall, StepAction, StepError, StepResult, is_off,
};

/// The step's name in the table.
pub(crate) const NAME: &str = "set_limits";
/// The key of the step's intent that holds memory and cores as they were.
const BEFORE: &str = "before";
/// The key of the step's output that names the configuration it left.
const DIGEST: &str = "digest";

pub(crate) struct SetLimits;

#[async_trait]
impl StepAction for SetLimits {
    /// Refuses a configuration that is not the one the request was decided from.
    async fn intend(&self, cx: &Cx) -> StepResult<Intent> {
        let guest = RecordedGuest::Native(cx.must_have_guest().await?);
        cx.must_be_ours(&guest).await?;
        let config = read(cx, &guest).await?;
        must_be(&config, &UpdateInput::of(cx)?.digest)?;
        Ok(Intent {
            value: json!({ BEFORE: limits_of(&config) }),
            ..Intent::none()
        })
    }

    async fn act(&self, cx: &Cx, _intent: &Value) -> StepResult<Done> {
        let input = UpdateInput::of(cx)?;
        let mut wanted = Limits::wanted(input.resources);
        if is_off(Guard::Whole) {
            wanted.cores = None;
        }
        let guest = RecordedGuest::Native(cx.must_have_guest().await?);
        // Follows it to another node, or says that it is gone or another one.
        cx.must_be_ours(&guest).await?;
        let mut config = read(cx, &guest).await?;
        let sent = cx.sent(Change::Limits, guest.place().vmid).await?;
        if sent.did_nothing() {
            // The next step goes by what this one leaves, which is what was seen, but for what this operation changed.
            must_be(&config, &input.digest)?;
        }
        let differing = limits_of(&config).differing(wanted);
        if !differing.is_empty() {
            must_be(&config, &input.digest)?;
            let doing = "changing memory and cores";
            send(cx, guest.place(), doing, &differing, &config).await?;
            config = read(cx, &guest).await?;
            let left = limits_of(&config).differing(wanted);
            if !left.is_empty() {
                return Err(not_seen(&left));
            }
        }
        Done::with(&json!({ DIGEST: digest_of(&config)?.to_string() }))
    }

    /// What somebody else has set meanwhile stays.
    async fn undo(&self, cx: &Cx, row: &StepRecord) -> StepResult<Effects> {
        let Some(guest) = cx.guest().await? else {
            return Ok(Effects::default());
        };
        let sent = cx.sent(Change::Limits, guest.place.vmid).await?;
        if sent.did_nothing() {
            return Ok(Effects::default());
        }
        if sent.is_in_doubt(0) {
            // The configuration may show the digest it was sent with: a call whose answer was lost would still be taken.
            let late_ms = cx.limits().destroy_late_ms;
            cx.pause_ms(sent.late_for_ms(cx.now(), late_ms)).await;
        }
        let before: Limits = serde_json::from_value(row.intent[BEFORE].clone())
            .map_err(|_| unreadable("what memory and cores were"))?;
        let wanted = Limits::wanted(UpdateInput::of(cx)?.resources);
        let guest = RecordedGuest::Native(guest);
        let line = match cx.look(&guest).await? {
            Look::Ours { .. } => put_back(cx, &guest, wanted, before).await?,
            Look::Absent | Look::BeingCreated | Look::Foreign(_) | Look::Stranger(_) => {
                Some(cx.line(LogLevel::Warning, UNKNOWN))
            }
        };
        Ok(Effects {
            log: line.into_iter().collect(),
            ..Effects::default()
        })
    }
}

/// What is said where the container cannot be asked.
const UNKNOWN: &str = "Whether memory and cores are as before is not known: the container on record is not there, or another one is";

/// The digest of the configuration that this step has left, if it is done.
pub(crate) fn left_behind(cx: &Cx) -> Option<String> {
    let steps = cx.steps();
    let row = steps.iter().find(|row| row.name == NAME)?;
    let digest = row.output.as_ref()?.get(DIGEST)?;
    digest.as_str().map(str::to_owned)
}

/// The configuration is the one that the change was decided from.
pub(crate) fn must_be(config: &LxcConfig, digest: &str) -> StepResult<()> {
    if digest_of(config)?.to_string() == digest {
        return Ok(());
    }
    Err(StepError::Failed(Failure::new(
        "preview_outdated",
        "the container's configuration is not the one that the change was decided from: somebody changed it since",
        "look at what is there now with: proximity configure APP --dry-run; then ask for it again",
    )))
}

/// Puts back what this operation set, and reads it back. Gives what is to be told of it.
async fn put_back(
    cx: &Cx,
    guest: &RecordedGuest,
    wanted: Limits,
    before: Limits,
) -> StepResult<Option<NewLogLine>> {
    let config = read(cx, guest).await?;
    let back = limits_of(&config).going_back(wanted, before);
    if back.is_empty() {
        return Ok(None);
    }
    let doing = "putting memory and cores back";
    send(cx, guest.place(), doing, &back, &config).await?;
    let after = read(cx, guest).await?;
    let left = limits_of(&after).going_back(wanted, before);
    if !left.is_empty() {
        return Err(not_seen(&left));
    }
    Ok(Some(cx.line(
        LogLevel::Info,
        format!("As before again: {}", keys(&back)),
    )))
}

async fn send(
    cx: &Cx,
    place: &ContainerRef,
    doing: &'static str,
    diffs: &[LimitDiff],
    config: &LxcConfig,
) -> StepResult<()> {
    let Some(change) = Limits::change(diffs) else {
        return Ok(());
    };
    let told = diffs
        .iter()
        .map(|diff| {
            let told = json!({ "from": diff.from, "to": diff.to });
            (diff.key.to_owned(), told)
        })
        .collect::<Map<String, Value>>();
    let call = OptionsCall {
        doing,
        change,
        told: told.into(),
        is_noted: true,
    };
    cx.set_options(place, digest_of(config)?, call).await
}

fn keys(diffs: &[LimitDiff]) -> String {
    let keys: Vec<&str> = diffs.iter().map(|diff| diff.key).collect();
    keys.join(", ")
}

fn not_seen(left: &[LimitDiff]) -> StepError {
    StepError::Failed(Failure::new(
        "update_not_seen",
        format!(
            "PVE took the change, and {} read back as something else",
            keys(left)
        ),
        "look at the container's configuration in PVE; somebody may have changed it at the same time",
    ))
}

/// What the operation itself wrote cannot be read.
pub(crate) fn unreadable(what: &str) -> StepError {
    StepError::Failed(Failure::new(
        "intent_unreadable",
        format!("{what} cannot be read back"),
        "report this as a bug; what is there now is shown by: proximity configure APP --dry-run",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_not_seen_is_not_said_to_be_done() {
        let left = [LimitDiff {
            key: "memory",
            from: Some(512),
            to: Some(1024),
        }];
        let StepError::Failed(failure) = not_seen(&left) else {
            panic!("it is over: the call was sent once, and is not sent again");
        };
        assert_eq!(failure.code, "update_not_seen");
        assert!(failure.message.contains("memory"), "{failure:?}");
    }
}
