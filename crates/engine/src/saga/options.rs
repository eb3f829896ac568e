//! Changing options of a container's configuration: audited under the fence, and guarded by the digest that was read.

use proximity_domain::guest::ContainerRef;
use proximity_domain::restore::OptionChange;
use proximity_pve::lxc::ConfigDigest;
use proximity_store::effects::Effects;
use serde_json::{Value, json};

use super::context::Cx;
use super::pve_calls::pve_failure;
use super::step::StepResult;

impl Cx {
    /// Sends the one change. `told` is what the audit says of it: no secret may be in there. The identity must have been read in
    /// this step.
    ///
    /// PVE refuses before it changes anything what it finds wrong beforehand (rights, a lock, another digest, a value). While the
    /// container runs it then changes one key after the other, and where one fails, those before it may stay changed
    /// (`vmconfig_hotplug_pending`): after another refusal only a read tells what is.
    pub(crate) async fn set_options(
        &self,
        place: &ContainerRef,
        change: OptionChange,
        digest: &ConfigDigest,
        told: Value,
    ) -> StepResult<()> {
        let call = format!("PUT /nodes/{}/lxc/{}/config", place.node, place.vmid);
        let details = json!({ "keys": told, "digest": digest.to_string() });
        self.must_have_quorum(place).await?;
        let _sending = self.cuts.call();
        let audit = self.audit(call, place, details);
        self.record_mutation(audit, Effects::default()).await?;
        self.crash_point("before_call");
        let changes = self.changes();
        let sent = changes.set_options(&place.node, place.vmid, &change, digest);
        sent.await
            .map_err(|e| pve_failure("restoring keys of the container's configuration", &e))?;
        self.crash_point("after_call");
        Ok(())
    }
}
