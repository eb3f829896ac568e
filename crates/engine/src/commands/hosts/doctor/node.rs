//! The look at one node.

use std::time::Duration;

use proximity_domain::names::NodeName;
use proximity_pve::ReadClient;
use proximity_pve::guest::GuestError;
use proximity_pve::guest::ssh::{NodeAddress, NodeHelper, NodeRoot};
use proximity_store::records::{HostRecord, SshAccess, SshKind};
use tokio::time::{Instant, timeout};

use super::facts::{ClockRead, NodeFacts, Read, Way};
use super::gather::asked;
use crate::cluster::addresses;
use crate::engine::Engine;

/// What entering a node may take.
const ENTRY: Duration = Duration::from_secs(12);

/// Who looks, and through which client.
pub(super) struct NodeLook<'a> {
    pub(super) engine: &'a Engine,
    pub(super) record: &'a HostRecord,
    pub(super) read: &'a ReadClient,
}

impl NodeLook<'_> {
    pub(super) async fn online(&self, name: NodeName) -> NodeFacts {
        let (clock, version, storages, bridges, way) = futures::join!(
            self.clock(&name),
            self.version(&name),
            asked(self.read.storages(&name)),
            asked(self.read.bridges(&name)),
            self.way(&name),
        );
        NodeFacts {
            name,
            version,
            clock,
            storages,
            bridges,
            way,
        }
    }

    pub(super) fn offline(&self, name: NodeName, why: &str) -> NodeFacts {
        let way = match &self.record.ssh {
            None => Way::Off,
            Some(ssh) if ssh.nodes.iter().all(|at| at.node != name) => Way::NotRecorded,
            Some(_) => Way::NotTried,
        };
        NodeFacts {
            name,
            version: Err(why.to_owned()),
            clock: Err(why.to_owned()),
            storages: Err(why.to_owned()),
            bridges: Err(why.to_owned()),
            way,
        }
    }

    async fn version(&self, name: &NodeName) -> Read<String> {
        let status = asked(self.read.node_status(name)).await?;
        // `pve-manager/9.2.11/14a22df35955d97d`
        let told = status.pve_version.unwrap_or_default();
        let version = told.split('/').nth(1).map(str::to_owned);
        version.ok_or_else(|| format!("it says {told:?}"))
    }

    async fn clock(&self, name: &NodeName) -> Read<ClockRead> {
        let begun = Instant::now();
        let ours_ms = self.engine.now().0;
        let told = asked(self.read.node_time(name)).await?;
        let took_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        Ok(clock_read(told.time_s, ours_ms, took_ms))
    }

    async fn way(&self, name: &NodeName) -> Way {
        let Some(ssh) = &self.record.ssh else {
            return Way::Off;
        };
        if ssh.nodes.iter().all(|at| at.node != *name) {
            return Way::NotRecorded;
        }
        match timeout(ENTRY, enter(ssh, name)).await {
            Ok(way) => way,
            Err(_) => Way::Failed(format!("no answer within {} s", ENTRY.as_secs())),
        }
    }
}

/// A node's clock beside ours, by a call that was begun at `ours_ms` and took so long.
///
/// The node's word is a whole second that had begun when it looked, which was some time between our call and its answer.
fn clock_read(told_s: u64, ours_ms: i64, took_ms: i64) -> ClockRead {
    let told_ms = i64::try_from(told_s)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    let half_ms = took_ms / 2;
    ClockRead {
        ahead_ms: told_ms
            .saturating_add(500)
            .saturating_sub(ours_ms.saturating_add(half_ms)),
        give_ms: half_ms + 500,
    }
}

async fn enter(ssh: &SshAccess, name: &NodeName) -> Way {
    let places = match addresses(&ssh.nodes) {
        Ok(places) => places,
        Err(why) => return Way::Failed(why),
    };
    let entered = match ssh.kind {
        SshKind::Plain => by_root(ssh, places, name).await,
        SshKind::Helper => by_helper(ssh, places, name).await,
    };
    match entered {
        Ok(way) => way,
        Err(error @ GuestError::Untrusted { .. }) => Way::OtherKey(error.to_string()),
        Err(error) => Way::Failed(error.to_string()),
    }
}

type Places = Vec<(NodeName, NodeAddress)>;

async fn by_root(ssh: &SshAccess, places: Places, name: &NodeName) -> Result<Way, GuestError> {
    let root = match NodeRoot::new(&ssh.private_key, places) {
        Ok(root) => root,
        Err(e) => return Ok(Way::Failed(e.to_string())),
    };
    let look = root.look(name).await?;
    Ok(match look.pct {
        Some(_) => Way::Root,
        None => Way::Failed(format!("account {} finds no pct there", look.account)),
    })
}

async fn by_helper(ssh: &SshAccess, places: Places, name: &NodeName) -> Result<Way, GuestError> {
    let helper = match NodeHelper::new(&ssh.user, &ssh.private_key, places) {
        Ok(helper) => helper,
        Err(e) => return Ok(Way::Failed(e.to_string())),
    };
    let told = helper.version(name).await?;
    Ok(Way::Helper {
        version: told.version,
        installation: told.installation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_read_with_what_cannot_be_known() {
        // Asked at 100.0 s, answered 0.4 s later with "100": its clock was in [100, 101) when ours was in [100.0, 100.4].
        let read = clock_read(100, 100_000, 400);
        assert_eq!((read.ahead_ms, read.give_ms), (300, 700));
        let far = clock_read(40, 100_000, 0);
        assert_eq!((far.ahead_ms, far.give_ms), (-59_500, 500));
    }

    #[test]
    fn words_that_make_no_sense_are_no_overflow() {
        let read = clock_read(u64::MAX, i64::MAX, i64::MAX);
        assert!(read.give_ms > 0);
    }
}
