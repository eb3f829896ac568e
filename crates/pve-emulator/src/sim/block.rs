//! A lab's addresses: one /24 out of 127.64.0.0/10 that no other lab of the machine has.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::lab::{LabError, write_atomically};

const FILE: &str = "block.json";
/// How many /24 there are in 127.64.0.0/10.
const BLOCKS: u16 = 1 << 14;
/// Blocks tried before it is given up.
const TRIES: u16 = 256;
/// The port on the block's first address that says that the block is taken.
const GUARD_PORT: u16 = 1064;

/// A block while it is held.
#[derive(Debug)]
pub(crate) struct Block {
    /// The block's first address: the guests' gateway.
    pub(crate) gateway: Ipv4Addr,
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
        let first = known.map_or_else(|| derived(state), number);
        let taken = (0..TRIES).find_map(|step| {
            let gateway = address((first + step) % BLOCKS);
            let guard = TcpListener::bind((gateway, GUARD_PORT)).ok()?;
            Some(Self {
                gateway,
                _guard: guard,
            })
        });
        let Some(block) = taken else {
            let text =
                format!("{TRIES} blocks of 127.64.0.0/10 are taken, or port {GUARD_PORT} is");
            return Err(LabError::Network(text));
        };
        if known != Some(block.gateway) {
            let text = serde_json::json!(block.gateway).to_string();
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

/// First address of the block of this number.
fn address(block: u16) -> Ipv4Addr {
    let [high, low] = block.to_be_bytes();
    Ipv4Addr::new(127, 64 + high, low, 1)
}

fn number(gateway: Ipv4Addr) -> u16 {
    let [_, high, low, _] = gateway.octets();
    u16::from_be_bytes([high.wrapping_sub(64), low]) % BLOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stay_in_their_range() {
        for block in [0, 255, 256, BLOCKS - 1] {
            let address = address(block);
            assert_eq!(number(address), block);
            assert!((64..128).contains(&address.octets()[1]), "{address}");
        }
    }

    #[test]
    fn a_block_that_is_held_is_passed_over_and_a_lab_gets_its_own_back() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let held = Block::take(one.path()).unwrap();
        std::fs::copy(one.path().join(FILE), other.path().join(FILE)).unwrap();
        let second = Block::take(other.path()).unwrap();
        assert_ne!(second.gateway, held.gateway);
        let before = second.gateway;
        drop(second);
        assert_eq!(Block::take(other.path()).unwrap().gateway, before);
    }
}
