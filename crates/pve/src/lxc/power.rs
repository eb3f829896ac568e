//! Start and stop. None of them is idempotent in PVE: starting a running container is refused.

use proximity_domain::ids::Vmid;
use proximity_domain::names::NodeName;

use super::segment;
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::upid::Upid;

impl Client {
    /// Starts a container. The task may still fail: a lock, for instance, shows only in its exit status.
    ///
    /// # Errors
    /// [`crate::Error::is_already_running`] if it runs; otherwise see [`crate::Error`].
    pub async fn start(&self, node: &NodeName, vmid: Vmid) -> Result<Upid> {
        self.change(power_call(node, vmid, "start")).await
    }

    /// Asks the container to shut down and waits up to `timeout_s` in the task. Never kills it.
    ///
    /// # Errors
    /// [`crate::Error::is_not_running`] if it does not run, or does not exist.
    pub async fn shutdown(&self, node: &NodeName, vmid: Vmid, timeout_s: u32) -> Result<Upid> {
        let call = power_call(node, vmid, "shutdown")
            .with("timeout", timeout_s)
            .with_flag("forceStop", false);
        self.change(call).await
    }

    /// Kills every process of the container at once. Disruptive: its programs cannot save anything.
    ///
    /// # Errors
    /// [`crate::Error::is_not_running`] if it does not run, or does not exist.
    pub async fn stop(&self, node: &NodeName, vmid: Vmid) -> Result<Upid> {
        self.change(power_call(node, vmid, "stop")).await
    }
}

fn power_call(node: &NodeName, vmid: Vmid, verb: &str) -> Call {
    Call::post(&[
        "nodes",
        node.as_str(),
        "lxc",
        &segment(vmid),
        "status",
        verb,
    ])
}
