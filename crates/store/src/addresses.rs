//! Addresses that deploys give by hand: one live app of a host entry has each.
//!
//! They are part of what a deploy was asked for, its operation's input, which stays as long as its app. Two servers may look at the
//! record at the same time; what is committed first has the address.

use std::net::IpAddr;

use proximity_domain::network::Network;
use serde::Deserialize;
use serde_json::Value;

use crate::error::StoreError;
use crate::records::{NewApp, NewOperation};
use crate::row::damaged;
use crate::sql::{Tx, query_scalar};

/// The addresses that this input of a deploy gives by hand.
pub(crate) fn given(input: &Value) -> Result<Vec<IpAddr>, StoreError> {
    let Some(network) = input.get("network") else {
        return Ok(Vec::new());
    };
    let network = Network::deserialize(network);
    let network = network.map_err(|e| damaged("input of a deploy", e.to_string()))?;
    Ok(network.given())
}

/// Another live app of the host entry was given the address.
pub(crate) fn taken(address: IpAddr) -> StoreError {
    StoreError::Exists {
        what: "address",
        id: address.to_string(),
    }
}

/// Refuses an address that another live app of the host entry was given. Asked only of a deploy that gives one.
pub(crate) async fn refuse_given(
    tx: &mut Tx,
    app: &NewApp,
    deploy: &NewOperation,
) -> Result<(), StoreError> {
    for address in given(&deploy.input)? {
        // As it is written by `Network`; an address has no character that means something to LIKE.
        let others: i64 = query_scalar(
            "SELECT COUNT(*) FROM operations o JOIN apps a ON a.id = o.app_id \
             WHERE a.host_id = $1 AND a.archived_at IS NULL AND o.kind = 'deploy' AND o.input LIKE $2",
        )
        .bind(app.host.to_string())
        .bind(format!("%\"address\":\"{address}\"%"))
        .fetch_one(&mut *tx)
        .await?;
        if others > 0 {
            return Err(taken(address));
        }
    }
    Ok(())
}
