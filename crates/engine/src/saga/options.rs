//! Changing options and the root file system of a container: audited under the fence, and guarded by the digest that was read.

use proximity_domain::destroy::PERMIT_VALID_MS;
use proximity_domain::guest::ContainerRef;
use proximity_domain::restore::OptionChange;
use proximity_pve::lxc::{ConfigDigest, Growth, VolumeKey};
use proximity_pve::task::TaskOutcome;
use proximity_store::effects::Effects;
use serde_json::{Value, json};

use super::context::Cx;
use super::pve_calls::pve_failure;
use super::sent::Change;
use super::step::StepResult;

/// A change of options.
pub(crate) struct OptionsCall {
    /// In words, e.g. `changing memory and cores`.
    pub(crate) doing: &'static str,
    /// What is sent.
    pub(crate) change: OptionChange,
    /// What the audit says of it, by key: no secret may be in there.
    pub(crate) told: Value,
    /// It is asked later what became of it, so its end is noted, and it does not leave long after its audit.
    pub(crate) is_noted: bool,
}

impl Cx {
    /// Sends the one change. The identity must have been read in this step.
    ///
    /// PVE refuses before it changes anything what it finds wrong beforehand (rights, a lock, another digest, a value). While the
    /// container runs it then changes one key after the other, and where one fails, those before it may stay changed
    /// (`vmconfig_hotplug_pending`): after another refusal only a read tells what is.
    pub(crate) async fn set_options(
        &self,
        place: &ContainerRef,
        digest: &ConfigDigest,
        options: OptionsCall,
    ) -> StepResult<()> {
        let call = format!("PUT /nodes/{}/lxc/{}/config", place.node, place.vmid);
        let details = json!({ "keys": options.told, "digest": digest.to_string() });
        self.must_have_quorum(place).await?;
        let _sending = self.cuts.call();
        let soon = options
            .is_noted
            .then(|| self.changes_within(PERMIT_VALID_MS));
        let audit = self.audit(call, place, details);
        let (call, target) = (audit.call.clone(), audit.target.clone());
        self.record_mutation(audit, Effects::default()).await?;
        self.crash_point("before_call");
        let changes = soon.unwrap_or_else(|| self.changes());
        let sent = changes.set_options(&place.node, place.vmid, &options.change, digest);
        if let Err(e) = sent.await {
            // A change in the middle of which PVE failed did something, and is over: none comes any more.
            if options.is_noted && !e.is_maybe_applied() {
                self.settle_done(call, target).await?;
            }
            return Err(pve_failure(options.doing, &e));
        }
        self.crash_point("after_call");
        if options.is_noted {
            self.settle_done(call, target).await?;
        }
        Ok(())
    }

    /// Makes the root file system so large, and waits until it is. To a size, never by one: sent twice it grows once. The identity
    /// must have been read in this step.
    pub(crate) async fn grow_rootfs(
        &self,
        place: &ContainerRef,
        to_gib: u32,
        digest: &ConfigDigest,
    ) -> StepResult<TaskOutcome> {
        let call = format!("PUT /nodes/{}/lxc/{}/resize", place.node, place.vmid);
        let growth = Growth::ToGib(to_gib);
        let details = json!({
            "disk": "rootfs",
            "size": growth.to_string(),
            "digest": digest.to_string(),
        });
        self.task(
            "growing the root file system",
            Some(Change::Grow),
            call,
            place,
            details,
            |client| async move {
                client
                    .grow_volume(&place.node, place.vmid, VolumeKey::Rootfs, growth, digest)
                    .await
            },
        )
        .await
    }
}
