//! A lab's addresses: one /22 out of 127.64.0.0/10 that no other lab of the machine has, room for a thousand guests.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::lab::{Ipv4Net, LabError, write_atomically};

const FILE: &str = "block.json";
/// First address of all blocks.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 0);
/// Length of a block's prefix.
const PREFIX: u8 = 22;
/// How many of them there are in 127.64.0.0/10.
const BLOCKS: u16 = 1 << (PREFIX - 10);
/// Blocks tried before it is given up.
const TRIES: u16 = 256;
/// The port on the block's first address that says that the block is taken.
const GUARD_PORT: u16 = 1064;

/// A block while it is held.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its addresses.
    pub(crate) net: Ipv4Net,
    /// Bound as long as the block is held; the kernel lets go of it when the lab dies.
    _guard: TcpListener,
}

impl Block {
    /// The block the lab at `state` had before, or one derived from the path; the next free one when another lab
    /// holds it.
    ///
    /// # Errors
    /// None is free, or it cannot be noted in the state directory.
    pub(crate) fn take(state: &Path) -> Result<Self, LabError> {
        let path = state.join(FILE);
        let known: Option<Ipv4Addr> = match std::fs::read(&path) {
            Ok(bytes) => {
                Some(
                    serde_json::from_slice(&bytes).map_err(|error| LabError::BadState {
                        path: path.clone(),
                        reason: error.to_string(),
                    })?,
                )
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(LabError::io(format!("read {}", path.display()))(error)),
        };
        let known = known.map(|address| Ipv4Net::new(address, PREFIX));
        let first = known.map_or_else(|| derived(state), number);
        let taken = (0..TRIES).find_map(|step| {
            let net = net_of((first + step) % BLOCKS);
            let guard = TcpListener::bind((net.gateway(), GUARD_PORT)).ok()?;
            Some(Self { net, _guard: guard })
        });
        let Some(block) = taken else {
            let text =
                format!("{TRIES} blocks of 127.64.0.0/10 are taken, or port {GUARD_PORT} is");
            return Err(LabError::Network(text));
        };
        if known != Some(block.net) {
            let text = serde_json::json!(block.net.gateway()).to_string();
            write_atomically(&path, text.as_bytes(), 0o600)
                .map_err(LabError::io(format!("write {}", path.display())))?;
        }
        Ok(block)
    }

    /// Whether the lab at `state` has simulated guests.
    pub(crate) fn is_noted(state: &Path) -> bool {
        state.join(FILE).exists()
    }
}

fn derived(state: &Path) -> u16 {
    let digest = Sha256::digest(state.as_os_str().as_encoded_bytes());
    u16::from_be_bytes([digest[0], digest[1]]) % BLOCKS
}

/// The block of this number.
fn net_of(block: u16) -> Ipv4Net {
    let first = u32::from(FIRST) | u32::from(block) << (32 - PREFIX);
    Ipv4Net::new(Ipv4Addr::from(first), PREFIX)
}

fn number(net: Ipv4Net) -> u16 {
    let offset = u32::from(net.gateway()).saturating_sub(u32::from(FIRST)) >> (32 - PREFIX);
    u16::try_from(offset).unwrap_or(0) % BLOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stay_in_their_range() {
        for block in [0, 255, 256, BLOCKS - 1] {
            let net = net_of(block);
            assert_eq!(number(net), block);
            assert!((64..128).contains(&net.gateway().octets()[1]), "{net}");
            let all = Ipv4Net::parse("127.64.0.0/10").unwrap();
            assert!(all.overlaps(net) && !net.overlaps(net_of((block + 1) % BLOCKS)));
        }
    }

    #[test]
    fn a_block_that_is_held_is_passed_over_and_a_lab_gets_its_own_back() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let held = Block::take(one.path()).unwrap();
        std::fs::copy(one.path().join(FILE), other.path().join(FILE)).unwrap();
        let second = Block::take(other.path()).unwrap();
        assert_ne!(second.net, held.net);
        let before = second.net;
        drop(second);
        assert_eq!(Block::take(other.path()).unwrap().net, before);
    }
}
