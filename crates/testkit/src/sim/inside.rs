//! The other ways of the engine: into guests, to the gateway, and to pages. Each takes a drawn time.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use proximity_domain::ids::AppId;
use proximity_engine::seams::{HttpAnswer, Ingress, IngressError, Probe, RouteSpec, RouteView};
use proximity_pve::guest::{
    Exec, ExecOutput, GuestAccess, GuestError, GuestTarget, Listener, Pull, Push,
};
use tokio::time::Instant;

use super::cluster::SimCluster;
use super::ground::{Doer, Origin, Sight};
use super::shown::Purpose;
use crate::ingress::Routes;

/// How old the look before a command in a guest may be, milliseconds.
const LOOK_MS: u64 = 120_000;

/// The way of one process into guests.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    pub(super) cluster: SimCluster,
    pub(super) process: u32,
}

impl Inside {
    /// Something is about to happen in a guest: it must be the one that was looked at, and ours. Nothing does from `before` on.
    async fn enter(
        &self,
        target: &GuestTarget,
        what: &str,
        before: Option<Instant>,
    ) -> Result<(), GuestError> {
        self.cluster.pause().await;
        let (node, vmid) = (target.node.to_string(), target.vmid.get());
        if before.is_some_and(|limit| Instant::now() >= limit) {
            let why = "too late".to_owned();
            return Err(GuestError::NotSent { node, why });
        }
        self.cluster.trace.say(format_args!("{what} in {vmid}"));
        if let Some((rule, why)) = self.wrong(vmid).await {
            self.cluster
                .complain(rule, format!("{what} in {vmid}: {why}"));
        }
        if self.cluster.lock().world.serves(&node) {
            Ok(())
        } else {
            let why = "the node does not answer".to_owned();
            Err(GuestError::NotSent { node, why })
        }
    }
}

impl Inside {
    /// What is wrong with entering the guest of this number now: only our own ones are entered, and only those whose
    /// configuration showed that.
    async fn wrong(&self, vmid: u32) -> Option<(&'static str, String)> {
        let now_ms = self.cluster.clock.elapsed_ms();
        let doer = Doer::now(self.process, now_ms);
        let (sight, life, host, store) = {
            let inner = self.cluster.lock();
            let (ground, (host, store)) = (&inner.ground, inner.record());
            (
                ground.judge(vmid, doer, LOOK_MS),
                ground.life(vmid),
                host,
                store,
            )
        };
        let guests = match store.recorded_guests_of_host(host).await {
            Ok(guests) => guests,
            Err(e) => return Some(("unreadable", e.to_string())),
        };
        let guest = guests.iter().find(|g| g.place().vmid.get() == vmid);
        if guest.is_some_and(|guest| guest.adopted().is_some()) {
            return Some(("I2-adopted", "nobody enters an adopted guest".to_owned()));
        }
        match sight {
            // Another change may have used the look up; whose the guest is counts here.
            Sight::Blind => life
                .is_some_and(|life| life.origin != Origin::Ours)
                .then(|| {
                    (
                        "I4-inside",
                        "nobody looked, and it is a stranger's".to_owned(),
                    )
                }),
            Sight::Seen(shown) | Sight::Raced(shown) => {
                let lacks =
                    guest.map_or(vec!["record"], |guest| shown.lacks(guest, Purpose::Other));
                let why = format!("the look did not show its {}", lacks.join(", "));
                (!lacks.is_empty()).then_some(("I4-inside", why))
            }
            Sight::Nobody => None,
        }
    }
}

#[async_trait]
impl GuestAccess for Inside {
    async fn exec_heard(
        &self,
        target: &GuestTarget,
        exec: Exec,
        listener: &dyn Listener,
    ) -> Result<ExecOutput, GuestError> {
        self.enter(target, "exec", exec.send_before).await?;
        let output = self.cluster.guests.exec_heard(target, exec, listener).await;
        self.cluster.pause().await;
        output
    }

    async fn push(&self, target: &GuestTarget, push: Push) -> Result<(), GuestError> {
        self.enter(target, "push", push.send_before).await?;
        let pushed = self.cluster.guests.push(target, push).await;
        self.cluster.pause().await;
        pushed
    }

    async fn pull(&self, target: &GuestTarget, pull: Pull) -> Result<Bytes, GuestError> {
        self.enter(target, "pull", None).await?;
        let pulled = self.cluster.guests.pull(target, pull).await;
        self.cluster.pause().await;
        pulled
    }
}

/// Gateway and probe, over ways that take time.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    pub(super) cluster: SimCluster,
    pub(super) routes: Routes,
}

#[async_trait]
impl Ingress for Outside {
    async fn set_route(&self, route: &RouteSpec) -> Result<RouteView, IngressError> {
        self.cluster.pause().await;
        let set = self.routes.set_route(route).await;
        let (app, target) = (route.app, route.target);
        let trace = &self.cluster.trace;
        trace.say(format_args!("route {app} to {target}"));
        self.cluster.pause().await;
        set
    }

    async fn withdraw(&self, app: AppId) -> Result<(), IngressError> {
        self.cluster.pause().await;
        let withdrawn = self.routes.withdraw(app).await;
        self.cluster.trace.say(format_args!("no route {app}"));
        self.cluster.pause().await;
        withdrawn
    }

    async fn routes(&self) -> Result<Vec<RouteView>, IngressError> {
        self.cluster.pause().await;
        self.routes.routes().await
    }
}

#[async_trait]
impl Probe for Outside {
    async fn http_get(
        &self,
        address: SocketAddr,
        path: &str,
        timeout_ms: u64,
    ) -> Result<HttpAnswer, String> {
        self.cluster.pause().await;
        let answer = self.routes.http_get(address, path, timeout_ms).await;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        self.cluster
            .trace
            .say(format_args!("page of {address}: {status}"));
        answer
    }

    async fn tcp_open(&self, address: SocketAddr, timeout_ms: u64) -> Result<(), String> {
        self.cluster.pause().await;
        let open = self.routes.tcp_open(address, timeout_ms).await;
        let taken = open.is_ok();
        self.cluster
            .trace
            .say(format_args!("connection to {address}: {taken}"));
        open
    }
}
