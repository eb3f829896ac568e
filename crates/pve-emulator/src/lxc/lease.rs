//! Addresses of guests that ask for `ip=dhcp`: leased by the lab from its own range, kept across restarts.

use std::collections::{BTreeMap, HashSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::core::guest::GuestKey;
use crate::lab::{Ipv4Net, write_atomically};

/// First number that is leased, and how many at the end of the network are not: room for addresses configured by hand.
const FIRST: u32 = 10;
const LEFT_FREE: u32 = 6;

/// The address book of a lab, on disk.
#[derive(Debug)]
pub struct Leases {
    path: PathBuf,
    net: Ipv4Net,
    book: Mutex<Book>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Book {
    /// Last host number given; the next search starts behind it, so that a freed address rests.
    last: u32,
    /// `NODE/VMID/INDEX` → address.
    held: BTreeMap<String, Ipv4Addr>,
}

impl Leases {
    /// Opens the book at `path`; `net` is the lab's own network, which is leased from.
    ///
    /// # Errors
    /// The book is there but cannot be read.
    pub(crate) fn open(path: PathBuf, net: Ipv4Net) -> Result<Self, String> {
        let mut book: Book = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Book::default(),
            Err(error) => return Err(error.to_string()),
        };
        // A lab that had to move to another network leases anew; addresses of the old one lead nowhere.
        book.held
            .retain(|_, address| net.number(*address).is_some());
        Ok(Self {
            path,
            net,
            book: Mutex::new(book),
        })
    }

    /// The network; its gateway is the guests'.
    pub(crate) fn net(&self) -> Ipv4Net {
        self.net
    }

    /// The address leased to this device of the guest; the same one until the guest is destroyed.
    ///
    /// # Errors
    /// The range is used up or the book cannot be written.
    pub fn lease(&self, guest: &GuestKey, index: u8) -> Result<Ipv4Addr, String> {
        self.change(|book| {
            let key = key(guest, index);
            if let Some(address) = book.held.get(&key) {
                return Ok(*address);
            }
            let number = next_free(book, self.net).ok_or("no free address left in the lab")?;
            let address = self.net.host(number);
            book.last = number;
            book.held.insert(key, address);
            Ok(address)
        })
    }

    /// Notes an address configured by hand, so that it is not leased to another guest.
    ///
    /// # Errors
    /// The book cannot be written.
    pub fn note(&self, guest: &GuestKey, index: u8, address: Ipv4Addr) -> Result<(), String> {
        self.change(|book| {
            book.held.insert(key(guest, index), address);
            Ok(())
        })
    }

    /// Gives back all addresses of a guest.
    ///
    /// # Errors
    /// The book cannot be written.
    pub fn free(&self, guest: &GuestKey) -> Result<(), String> {
        let prefix = format!("{}/{}/", guest.node, guest.vmid);
        self.change(|book| {
            book.held.retain(|key, _| !key.starts_with(&prefix));
            Ok(())
        })
    }

    /// Lets a guest take its addresses along to where it goes; done already is fine.
    ///
    /// # Errors
    /// The book cannot be written.
    pub fn follow(&self, from: &GuestKey, to: &GuestKey) -> Result<(), String> {
        let [old, new] = [from, to].map(|guest| format!("{}/{}/", guest.node, guest.vmid));
        self.change(|book| {
            let arrived = book.held.keys().any(|key| key.starts_with(&new));
            let held = std::mem::take(&mut book.held);
            for (key, address) in held {
                match key.strip_prefix(&old) {
                    Some(index) if !arrived => book.held.insert(format!("{new}{index}"), address),
                    // What it was given anew where it no longer is.
                    Some(_) => None,
                    None => book.held.insert(key, address),
                };
            }
            Ok(())
        })
    }

    fn change<T>(&self, act: impl FnOnce(&mut Book) -> Result<T, String>) -> Result<T, String> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = book.clone();
        let outcome = act(&mut changed)?;
        if changed.held != book.held {
            let bytes = serde_json::to_vec_pretty(&changed).map_err(|error| error.to_string())?;
            write_atomically(&self.path, &bytes, 0o600).map_err(|error| error.to_string())?;
        }
        *book = changed;
        Ok(outcome)
    }
}

fn key(guest: &GuestKey, index: u8) -> String {
    format!("{}/{}/{index}", guest.node, guest.vmid)
}

/// The number of the first free address behind the last one given.
fn next_free(book: &Book, net: Ipv4Net) -> Option<u32> {
    let end = net.end() - LEFT_FREE;
    let behind = book.last.saturating_add(1).max(FIRST)..end;
    let around = FIRST..book.last.saturating_add(1).min(end);
    let held: HashSet<&Ipv4Addr> = book.held.values().collect();
    behind
        .chain(around)
        .find(|number| !held.contains(&net.host(*number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(vmid: u32) -> GuestKey {
        GuestKey {
            node: "pve1".to_owned(),
            vmid,
        }
    }

    fn open(dir: &tempfile::TempDir) -> Leases {
        let net = Ipv4Net::parse("10.77.5.0/24").unwrap();
        Leases::open(dir.path().join("leases.json"), net).unwrap()
    }

    #[test]
    fn a_lease_survives_reopening_and_ends_with_the_guest() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(&dir).lease(&guest(100), 0).unwrap();
        let leases = open(&dir);
        assert_eq!(leases.lease(&guest(100), 0).unwrap(), first);
        assert_ne!(leases.lease(&guest(1000), 0).unwrap(), first);
        leases.free(&guest(100)).unwrap();
        let next = leases.lease(&guest(102), 0).unwrap();
        assert_ne!(next, first, "a freed address rests");
    }

    #[test]
    fn a_guest_that_moves_takes_its_address_along() {
        let dir = tempfile::tempdir().unwrap();
        let leases = open(&dir);
        let there = GuestKey {
            node: "pve2".to_owned(),
            vmid: 100,
        };
        let namesake = leases.lease(&guest(1001), 0).unwrap();
        let address = leases.lease(&guest(100), 0).unwrap();
        for _ in 0..2 {
            leases.follow(&guest(100), &there).unwrap();
            assert_eq!(leases.lease(&there, 0).unwrap(), address);
        }
        // A lab that was killed on the way gave the old place an address again.
        assert_ne!(leases.lease(&guest(100), 0).unwrap(), address);
        leases.follow(&guest(100), &there).unwrap();
        assert_eq!(open(&dir).lease(&there, 0).unwrap(), address);
        assert_eq!(leases.book.lock().unwrap().held.len(), 2);
        assert_eq!(leases.lease(&guest(1001), 0).unwrap(), namesake);
    }

    #[test]
    fn freeing_one_guest_keeps_its_namesakes() {
        let dir = tempfile::tempdir().unwrap();
        let leases = open(&dir);
        let kept = leases.lease(&guest(1001), 0).unwrap();
        leases.lease(&guest(100), 0).unwrap();
        leases.free(&guest(100)).unwrap();
        assert_eq!(leases.lease(&guest(1001), 0).unwrap(), kept);
    }

    #[test]
    fn the_range_ends_and_noted_addresses_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let leases = open(&dir);
        leases
            .note(&guest(1), 0, Ipv4Addr::new(10, 77, 5, 10))
            .unwrap();
        for vmid in 100..339 {
            assert_ne!(leases.lease(&guest(vmid), 0).unwrap().octets()[3], 10);
        }
        assert!(leases.lease(&guest(999), 0).is_err());
    }

    #[test]
    fn a_larger_network_has_room_for_more() {
        let net = Ipv4Net::parse("127.64.8.0/22").unwrap();
        let mut book = Book::default();
        let mut given = Vec::new();
        while let Some(number) = next_free(&book, net) {
            book.last = number;
            book.held
                .insert(format!("pve1/{number}/0"), net.host(number));
            given.push(number);
        }
        assert_eq!(given, (10..1018).collect::<Vec<u32>>());
        assert_eq!(net.host(10), Ipv4Addr::new(127, 64, 8, 10));
        assert_eq!(net.host(1017), Ipv4Addr::new(127, 64, 11, 249));
        book.held.remove("pve1/13/0");
        assert_eq!(next_free(&book, net), Some(13), "the search begins anew");
    }
}
