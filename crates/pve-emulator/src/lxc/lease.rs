//! Addresses of guests that ask for `ip=dhcp`: leased by the lab from its own range, kept across restarts.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::core::guest::GuestKey;
use crate::lab::write_atomically;

/// First and last host number of the range inside the lab's /24.
const RANGE: std::ops::RangeInclusive<u8> = 10..=249;

/// The address book of a lab, on disk.
#[derive(Debug)]
pub struct Leases {
    path: PathBuf,
    gateway: Ipv4Addr,
    book: Mutex<Book>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Book {
    /// Last host number given; the next search starts behind it, so that a freed address rests.
    last: u8,
    /// `NODE/VMID/INDEX` → address.
    held: BTreeMap<String, Ipv4Addr>,
}

impl Leases {
    /// Opens the book at `path`; `gateway` is the lab's own address, whose /24 is leased from.
    ///
    /// # Errors
    /// The book is there but cannot be read.
    pub fn open(path: PathBuf, gateway: Ipv4Addr) -> Result<Self, String> {
        let mut book: Book = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Book::default(),
            Err(error) => return Err(error.to_string()),
        };
        // A lab that had to move to another network leases anew; addresses of the old one lead nowhere.
        book.held
            .retain(|_, address| address.octets()[..3] == gateway.octets()[..3]);
        Ok(Self {
            path,
            gateway,
            book: Mutex::new(book),
        })
    }

    /// The lab's own address, the guests' gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
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
            let address = next_free(book, self.gateway).ok_or("no free address left in the lab")?;
            book.last = address.octets()[3];
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

fn next_free(book: &Book, gateway: Ipv4Addr) -> Option<Ipv4Addr> {
    let [a, b, c, _] = gateway.octets();
    let behind = RANGE.filter(|host| *host > book.last);
    let around = RANGE.filter(|host| *host <= book.last);
    behind
        .chain(around)
        .map(|host| Ipv4Addr::new(a, b, c, host))
        .find(|address| !book.held.values().any(|held| held == address))
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
        Leases::open(dir.path().join("leases.json"), Ipv4Addr::new(10, 77, 5, 1)).unwrap()
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
}
