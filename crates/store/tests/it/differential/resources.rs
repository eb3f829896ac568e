//! What looks find of resources, and what is cleared away of them.

use std::collections::BTreeMap;

use proximity_domain::ids::{HostId, Vmid};
use proximity_domain::names::NodeName;
use proximity_domain::observe::{
    Expected, Inventory, Kind, ListedPower, NodeSeen, SeenGuest, Sight,
};
use proximity_domain::resource::{
    Census, Found, KeptResource, Listed, ResourceId, ResourceKey, ResourceKind, ResourceState,
};
use proximity_domain::time::Timestamp;
use proximity_store::resources::ResourceFilter;
use serde_json::json;

use super::pair::{Pair, both};
use super::play::{Play, Told, pick};

fn number(n: u8) -> Vmid {
    Vmid::try_from(100 + u32::from(n % 3)).unwrap()
}

/// One of a few states of one of a few things; the look lacks the others.
fn census(host: HostId, n: u8) -> Census {
    let node: NodeName = "pve1".parse().unwrap();
    let key = match n % 5 {
        0 => ResourceKey::task(&format!("UPID:{}", n % 7)),
        1 => ResourceKey::storage(&node, "local"),
        2 => ResourceKey::machine(number(n)),
        _ => ResourceKey::container(number(n)),
    };
    let guest = SeenGuest {
        vmid: number(n),
        node: 0,
        kind: match key.kind {
            ResourceKind::Machine => Kind::Machine,
            _ => Kind::Container,
        },
        power: ListedPower::Running,
        pool: None,
        face: None,
    };
    let inventory = Inventory {
        host,
        at: None,
        by: None,
        cluster: None,
        quorate: true,
        list_nodes: vec![node.clone()],
        list_pools: Vec::new(),
        guests: vec![guest],
        nodes: vec![NodeSeen {
            name: node,
            online: true,
        }],
    };
    let expected = Expected {
        cluster: None,
        known_nodes: &[],
    };
    let look = inventory.complete(&expected, Sight::All).unwrap();
    let status = ["running", "stopped", "paused"][usize::from(n / 16 % 3)];
    let name = format!("n{}", n % 4);
    let fields = [("status", json!(status)), ("name", json!(name))];
    let listed = Listed {
        key,
        state: (n < 240).then(|| ResourceState::of(fields)),
    };
    let storages = if n.is_multiple_of(2) {
        Sight::All
    } else {
        Sight::NotAll
    };
    Census::of(look, vec![listed], storages)
}

impl Play {
    /// A look, a configuration, or something that is cleared away.
    pub async fn resources(&mut self, host: u8, n: u8, what: u8) -> Told {
        let (host, at) = (self.host(host)?, self.at());
        let kept = both!(self.pair, store => store.kept_resources(host)).unwrap();
        let done = match what % 8 {
            0..5 => {
                let found = census(host, n).findings(&kept);
                both!(self.pair, store => store.note_resources(&found, at)).unwrap()
            }
            5 | 6 => {
                let config = BTreeMap::from([("memory".to_owned(), json!(n % 4))]);
                let found = [Found::configured(host, number(n), &config)];
                both!(self.pair, store => store.note_resources(&found, at)).unwrap()
            }
            _ => self.clear_resources(host, &kept, n).await,
        };
        look_at_one(&self.pair, host, &kept, n, at).await;
        Some(done == 0)
    }

    /// Whatever is asked for, nothing goes that is the state now.
    async fn clear_resources(&mut self, host: HostId, kept: &[KeptResource], n: u8) -> u64 {
        let at = self.at();
        let most = u64::from(n % 5);
        let crowded = both!(self.pair, store => store.crowded_resources(most, 9)).unwrap();
        let past = both!(self.pair, store => store.past_snapshots(u32::from(n % 6))).unwrap();
        let old = both!(self.pair, store => store.old_tasks(Some(at), most, 9)).unwrap();
        let mut up_to = crowded;
        up_to.extend(past.iter().map(|one| (one.resource, one.seq)));
        if let Some(one) = pick(kept, n) {
            up_to.push((ResourceId::of(host, &one.key), i64::from(n)));
        }
        let past = both!(self.pair, store => store.past_resources(Some(at), 9)).unwrap();
        let mut whole = old;
        whole.extend(past.into_iter().take(usize::from(n % 3)));
        whole.extend(up_to.iter().map(|(id, _)| *id).take(usize::from(n % 2)));
        let cleared = both!(self.pair, store => store.clear_snapshots(&up_to)).unwrap();
        let removed = both!(self.pair, store => store.remove_resources(&whole)).unwrap();
        cleared + removed
    }
}

async fn look_at_one(pair: &Pair, host: HostId, kept: &[KeptResource], n: u8, at: Timestamp) {
    let Some(one) = pick(kept, n) else { return };
    let id = ResourceId::of(host, &one.key);
    let before = Some(i64::from(n % 4)).filter(|seq| *seq > 0);
    let earlier = Timestamp(at.0 - i64::from(n) * 100);
    both!(pair, store => store.resource(id)).unwrap();
    both!(pair, store => store.snapshots(id, before, u32::from(n % 3))).unwrap();
    both!(pair, store => store.snapshot_at(id, earlier)).unwrap();
    let filter = ResourceFilter {
        host: n.is_multiple_of(3).then_some(host),
        kind: n.is_multiple_of(5).then_some(one.key.kind),
        status: n.is_multiple_of(4).then(|| "running".to_owned()),
        named: n.is_multiple_of(7).then(|| one.key.name.clone()),
        gone: n.is_multiple_of(2),
        after: n.is_multiple_of(6).then_some(id),
        limit: u32::from(n % 5),
    };
    both!(pair, store => store.resources(&filter)).unwrap();
    both!(pair, store => store.resource_count(&filter)).unwrap();
}

/// All that is recorded of a host entry.
pub async fn look(pair: &Pair, host: HostId) {
    let filter = ResourceFilter {
        host: Some(host),
        gone: true,
        limit: ResourceFilter::MAX_LIMIT,
        ..ResourceFilter::default()
    };
    let all = both!(pair, store => store.resources(&filter)).unwrap();
    for one in all {
        both!(pair, store => store.snapshots(one.id, None, 1000)).unwrap();
    }
}
