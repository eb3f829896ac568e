//! The two calls that make a clone ours: each is audited under the fence before it is sent.

use proximity_domain::guest::ContainerRef;
use proximity_domain::ids::Vmid;
use proximity_pve::lxc::{CloneLxc, CloneShape, ConfigDigest};
use proximity_pve::task::TaskOutcome;
use proximity_store::effects::Effects;
use serde_json::json;

use super::context::Cx;
use super::pve_calls::pve_failure;
use super::sent::Change;
use super::step::StepResult;

impl Cx {
    /// Sends the call for a clone and awaits its task, which has the number of the source.
    pub(crate) async fn clone_lxc(
        &self,
        place: &ContainerRef,
        source: Vmid,
        copy: CloneLxc,
    ) -> StepResult<TaskOutcome> {
        let call = format!("POST /nodes/{}/lxc/{source}/clone", place.node);
        let details = json!({ "vmid": place.vmid, "hostname": copy.hostname, "template": source });
        self.task(
            "creating the container",
            Some(Change::Create),
            call,
            place,
            details,
            |client| async move { client.clone_lxc(&place.node, source, copy).await },
        )
        .await
    }

    /// Gives a clone that was read just now the MAC on record and its limits, only if its configuration is still the one that was read: a
    /// call that arrives late changes nothing.
    pub(crate) async fn shape_clone(
        &self,
        place: &ContainerRef,
        shape: &CloneShape,
        digest: &ConfigDigest,
    ) -> StepResult<()> {
        let call = format!("PUT /nodes/{}/lxc/{}/config", place.node, place.vmid);
        let details = json!({ "hwaddr": shape.net0.hwaddr, "digest": digest.to_string() });
        self.must_have_quorum(place).await?;
        let _sending = self.cuts.call();
        let audit = self.audit(call, place, details);
        self.record_mutation(audit, Effects::default()).await?;
        self.crash_point("before_call");
        let changes = self.changes();
        let sent = changes.shape_clone(&place.node, place.vmid, shape, digest);
        if let Err(e) = sent.await {
            return Err(pve_failure("giving the clone its address", &e));
        }
        self.crash_point("after_call");
        Ok(())
    }
}
