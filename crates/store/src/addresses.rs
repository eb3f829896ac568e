//! Addresses that deploys give by hand: one live app of a host entry has each, and of several entries that share a network.
//!
//! They are part of what an app is made with. Two servers may look at the record at the same time; what is committed first has the
//! address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proximity_domain::ids::HostId;
use proximity_domain::made_with::MadeWith;
use proximity_domain::names::BridgeName;
use proximity_domain::network::{Network, Segment};

use crate::error::StoreError;
use crate::records::{HostPlacement, NewApp};
use crate::row::Columns;
use crate::sql::{Tx, query};

/// Another live app was given the address.
pub(crate) fn taken(address: IpAddr) -> StoreError {
    StoreError::Exists {
        what: "address",
        id: address.to_string(),
    }
}

/// What of a host entry tells which network its containers are attached to.
pub(crate) struct Attached {
    pub(crate) bridge: BridgeName,
    pub(crate) placement: HostPlacement,
}

/// What a container is attached to; `None` where there is no such host entry.
fn segment<'a>(
    hosts: &'a BTreeMap<HostId, Attached>,
    (host, network): (HostId, &'a Network),
) -> Option<Segment<'a>> {
    let attached = hosts.get(&host)?;
    Some(Segment {
        host,
        lan: attached.placement.lan.as_ref(),
        bridge: network.bridge.as_ref().unwrap_or(&attached.bridge),
        vlan: network.vlan,
    })
}

/// Whether two apps with the same address would be in each other's way.
pub(crate) fn meet(
    hosts: &BTreeMap<HostId, Attached>,
    one: (HostId, &Network),
    other: (HostId, &Network),
) -> bool {
    match (segment(hosts, one), segment(hosts, other)) {
        (Some(one), Some(other)) => one.meets(&other),
        (None, _) | (_, None) => one.0 == other.0,
    }
}

/// Refuses an address that another live app was given in the same network. Asked only of a deploy that gives one.
pub(crate) async fn refuse_given(tx: &mut Tx, app: &NewApp) -> Result<(), StoreError> {
    let network = &app.made_with.network;
    let given = network.given();
    if given.is_empty() {
        return Ok(());
    }
    let hosts = attached(tx).await?;
    for address in given {
        // As it is written by `Network`; an address has no character that means something to LIKE.
        let others = query(
            "SELECT host_id, made_with FROM apps WHERE archived_at IS NULL AND made_with LIKE $1",
        )
        .bind(format!("%\"address\":\"{address}\"%"))
        .fetch_all(&mut *tx)
        .await?;
        for other in &others {
            let made_with: MadeWith = other.json("made_with")?;
            let there = (other.parsed("host_id")?, &made_with.network);
            if meet(&hosts, (app.host, network), there) {
                return Err(taken(address));
            }
        }
    }
    Ok(())
}

async fn attached(tx: &mut Tx) -> Result<BTreeMap<HostId, Attached>, StoreError> {
    let rows = query("SELECT id, bridge, placement FROM hosts")
        .fetch_all(tx)
        .await?;
    let hosts = rows.iter().map(|row| {
        let attached = Attached {
            bridge: row.parsed("bridge")?,
            placement: row.json("placement")?,
        };
        Ok((row.parsed("id")?, attached))
    });
    hosts.collect()
}
