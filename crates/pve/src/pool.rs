//! Resource pools: groups of guests and storages on which rights are granted.

use proximity_domain::ids::Vmid;
use proximity_domain::names::{PoolName, StorageName};
use serde::Deserialize;
use serde_json::Value;

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::lenient;
use crate::read::ReadClient;

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PoolRow {
    /// Its id.
    #[serde(rename = "poolid")]
    pub name: PoolName,
    /// What somebody wrote about it.
    #[serde(default, deserialize_with = "lenient::opt_text")]
    pub comment: Option<String>,
}

/// A pool with what is in it, as far as the token may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// What somebody wrote about it.
    pub comment: Option<String>,
    /// Its guests, containers and virtual machines, sorted. PVE takes numbers that no guest has.
    pub guests: Vec<Vmid>,
    /// Its storages, sorted. One that is on several nodes is there once.
    pub storages: Vec<StorageName>,
}

#[derive(Deserialize)]
struct Wire {
    poolid: PoolName,
    #[serde(default, deserialize_with = "lenient::opt_text")]
    comment: Option<String>,
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    vmid: Option<Value>,
    #[serde(default)]
    storage: Option<StorageName>,
}

impl Pool {
    fn of(wire: Wire) -> Result<Self, String> {
        let mut pool = Self {
            comment: wire.comment,
            guests: Vec::new(),
            storages: Vec::new(),
        };
        for member in wire.members {
            match member.kind.as_str() {
                "lxc" | "qemu" | "openvz" => {
                    let id = member.vmid.ok_or("members: a guest has no vmid")?;
                    let id = lenient::vmid(id).map_err(|e| format!("members: vmid: {e}"))?;
                    pool.guests.push(id);
                }
                "storage" => {
                    let name = member.storage.ok_or("members: a storage has no name")?;
                    pool.storages.push(name);
                }
                // A kind that came later is none of those we ask about.
                _ => {}
            }
        }
        pool.guests.sort();
        pool.storages.sort();
        pool.storages.dedup();
        Ok(pool)
    }
}

impl ReadClient {
    /// The pools the token may see (`Pool.Audit`).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn pools(&self) -> Result<Vec<PoolRow>> {
        let mut pools: Vec<PoolRow> = self.get(Call::quick(&["pools"])).await?;
        pools.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pools)
    }

    /// One pool and what is in it. Asked by a parameter, for a nested pool's name does not fit into a path.
    ///
    /// # Errors
    /// [`Error::Refused`] with `pool '…' does not exist`.
    pub async fn pool(&self, pool: &PoolName) -> Result<Pool> {
        let call = Call::quick(&["pools"]).with("poolid", pool);
        let name = call.name();
        let unreadable = |why: String| Error::Unreadable {
            call: name.clone(),
            why,
        };
        let rows: Vec<Wire> = self.get(call).await?;
        let row = rows.into_iter().find(|row| row.poolid == *pool);
        let row = row.ok_or_else(|| unreadable(format!("poolid: no {pool} is in it")))?;
        Pool::of(row).map_err(unreadable)
    }
}

/// A list as PVE takes it.
fn list<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// What is put into a pool, or taken out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Guests.
    pub guests: Vec<Vmid>,
    /// Storages.
    pub storages: Vec<StorageName>,
}

impl Members {
    fn call(&self, pool: &PoolName) -> Call {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Call::put(&["pools"])
            .with("poolid", pool)
            .with_some("vms", some(list(&self.guests)))
            .with_some("storage", some(list(&self.storages)))
    }
}

impl Client {
    /// Makes a pool. Needs quorum, without which PVE takes 10 s to say so.
    ///
    /// # Errors
    /// [`Error::Refused`] with `pool '…' already exists`.
    pub async fn create_pool(&self, pool: &PoolName, comment: &str) -> Result<()> {
        let call = Call::post(&["pools"])
            .with("poolid", pool)
            .with("comment", comment);
        self.change(call).await
    }

    /// Puts guests and storages into a pool: whoever has rights on it gets them on these. A guest of another pool is refused
    /// with all the others of the call; it is never taken out of that one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add_to_pool(&self, pool: &PoolName, members: &Members) -> Result<()> {
        self.change(members.call(pool)).await
    }

    /// Takes guests and storages out of a pool: rights on it no longer hold for them. They themselves stay as they are.
    ///
    /// # Errors
    /// [`Error::Refused`] if one of them is no member.
    pub async fn remove_from_pool(&self, pool: &PoolName, members: &Members) -> Result<()> {
        self.change(members.call(pool).with_flag("delete", true))
            .await
    }

    /// Deletes an empty pool, and the rights that were granted on it.
    ///
    /// # Errors
    /// [`Error::Refused`] with `pool '…' is not empty`.
    pub async fn delete_pool(&self, pool: &PoolName) -> Result<()> {
        self.change(Call::delete(&["pools"]).with("poolid", pool))
            .await
    }
}
