//! The cluster's list of guests as text. Rows are made when a guest changes, the list when a row does: thousands of guests
//! are asked for far more often than they change.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::broadcast::STALE_MS;
use super::status_row;
use super::views::ToldRef;
use super::world::{Guest, World};

const BEFORE: &[u8] = b"{\"data\":[";
const AFTER: &[u8] = b"]}";

/// A row, and what it was made from beside the guest itself.
#[derive(Debug, Clone)]
pub(crate) struct RowText {
    around: Around,
    text: Box<str>,
}

/// What shows in a guest's row and is not the guest's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Surroundings<'a> {
    /// What its node told last is not too old.
    pub(crate) fresh: bool,
    /// State in high availability.
    pub(crate) hastate: Option<&'a str>,
    /// The pool it is in.
    pub(crate) pool: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Around {
    fresh: bool,
    hastate: Option<String>,
    pool: Option<String>,
}

impl RowText {
    /// It shows what the guest's node told last as not too old.
    pub(crate) fn is_fresh(&self) -> bool {
        self.around.fresh
    }
}

impl Around {
    fn is(&self, other: Surroundings<'_>) -> bool {
        let Surroundings {
            fresh,
            hastate,
            pool,
        } = other;
        self.fresh == fresh && self.hastate.as_deref() == hastate && self.pool.as_deref() == pool
    }
}

/// The whole list, and what it was made from.
#[derive(Debug, Clone)]
pub(crate) struct GuestList {
    version: u64,
    /// Unix ms; then a row is too old.
    until_ms: u64,
    states: Vec<(u32, String)>,
    members: Vec<(String, Vec<u32>)>,
    body: Bytes,
}

impl GuestList {
    /// Whether it would be made the same again.
    fn is_of(&self, world: &World, now_ms: u64) -> bool {
        let states = self
            .states
            .iter()
            .map(|(vmid, state)| (*vmid, state.as_str()));
        let members = self
            .members
            .iter()
            .map(|(name, vmids)| (name.as_str(), vmids.as_slice()));
        self.version == world.guests.version()
            && now_ms < self.until_ms
            && states.eq(states_of(world))
            && members.eq(members_of(world))
    }
}

/// `GET /cluster/resources?type=vm` as it is answered to somebody who may see all guests, while all nodes know the same of them.
pub(crate) fn body(world: &mut World, now_ms: u64) -> Bytes {
    if let Some(list) = &world.live.guest_list
        && list.is_of(world, now_ms)
    {
        return list.body.clone();
    }
    let (states, pools) = (states(world), pools(world));
    let around = |vmid: u32, guest: &Guest| Surroundings {
        fresh: ToldRef::of(guest).is_fresh(now_ms),
        hastate: states.get(&vmid).map(String::as_str),
        pool: pools.get(&vmid).map(String::as_str),
    };
    let old = world.guests.iter().filter(|(vmid, guest)| {
        let row = guest.row.as_ref();
        row.is_none_or(|row| !row.around.is(around(**vmid, guest)))
    });
    let new: Vec<(u32, RowText)> = old
        .map(|(vmid, guest)| (*vmid, make(*vmid, guest, around(*vmid, guest))))
        .collect();
    for (vmid, row) in new {
        world.guests.derive(&vmid, |guest| guest.row = Some(row));
    }
    let fresh = world
        .guests
        .values()
        .filter(|guest| ToldRef::of(guest).is_fresh(now_ms));
    let until_ms = fresh.map(|guest| guest.broadcast_ms + STALE_MS).min();
    let body = join(world);
    world.live.guest_list = Some(GuestList {
        version: world.guests.version(),
        until_ms: until_ms.unwrap_or(u64::MAX),
        states: states.into_iter().collect(),
        members: members_of(world)
            .map(|(name, vmids)| (name.to_owned(), vmids.to_vec()))
            .collect(),
        body: body.clone(),
    });
    body
}

/// The rows alone, separated by commas.
pub(crate) fn rows(body: &Bytes) -> Bytes {
    body.slice(BEFORE.len()..body.len() - AFTER.len())
}

/// A body of these rows.
pub(crate) fn body_of(parts: &[Bytes]) -> Bytes {
    let parts: Vec<&Bytes> = parts.iter().filter(|part| !part.is_empty()).collect();
    let bytes: usize = parts.iter().map(|part| part.len() + 1).sum();
    let mut body = BytesMut::with_capacity(BEFORE.len() + bytes + AFTER.len());
    body.put_slice(BEFORE);
    for (part, place) in parts.into_iter().zip(0..) {
        if place > 0 {
            body.put_u8(b',');
        }
        body.put_slice(part);
    }
    body.put_slice(AFTER);
    body.freeze()
}

fn make(vmid: u32, guest: &Guest, around: Surroundings<'_>) -> RowText {
    RowText {
        text: status_row::resource_of((vmid, guest), ToldRef::of(guest), around)
            .to_string()
            .into(),
        around: Around {
            fresh: around.fresh,
            hastate: around.hastate.map(str::to_owned),
            pool: around.pool.map(str::to_owned),
        },
    }
}

fn join(world: &World) -> Bytes {
    let texts = world.guests.values().filter_map(|guest| guest.row.as_ref());
    let bytes: usize = texts.clone().map(|row| row.text.len() + 1).sum();
    let mut body = BytesMut::with_capacity(BEFORE.len() + bytes + AFTER.len());
    body.put_slice(BEFORE);
    for (row, place) in texts.zip(0..) {
        if place > 0 {
            body.put_u8(b',');
        }
        body.put_slice(row.text.as_bytes());
    }
    body.put_slice(AFTER);
    body.freeze()
}

/// Managed guests with their states, in their order.
fn states_of(world: &World) -> impl Iterator<Item = (u32, &str)> {
    let managed = world.ha.resources.values();
    managed.filter_map(|resource| Some((resource.vmid, resource.shown_state()?)))
}

/// Pools with their guests, in their order.
fn members_of(world: &World) -> impl Iterator<Item = (&str, &[u32])> {
    let pools = world.pools.iter();
    pools.map(|(name, pool)| (name.as_str(), pool.vms.as_slice()))
}

fn states(world: &World) -> BTreeMap<u32, String> {
    states_of(world)
        .map(|(vmid, state)| (vmid, state.to_owned()))
        .collect()
}

/// The pool of each guest that is in one; of several the first.
fn pools(world: &World) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    for (name, vmids) in members_of(world) {
        for vmid in vmids {
            found.entry(*vmid).or_insert_with(|| name.to_owned());
        }
    }
    found
}

#[cfg(test)]
#[path = "guest_list_tests.rs"]
mod tests;
