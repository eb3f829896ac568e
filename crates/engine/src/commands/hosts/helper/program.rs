//! The helper's program, as this server ships it.

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A program for the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperProgram {
    bytes: Bytes,
    sha256: String,
    machine: &'static str,
}

/// What is not a program for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no program for 64-bit Linux on x86_64 or aarch64")]
pub struct NoProgram;

impl HelperProgram {
    /// Takes a program, if its header (ELF: class at byte 4, byte order at 5, machine at 18) tells of a machine that nodes have.
    ///
    /// # Errors
    /// [`NoProgram`].
    pub fn read(bytes: impl Into<Bytes>) -> Result<Self, NoProgram> {
        const ELF_64_LITTLE: &[u8] = b"\x7fELF\x02\x01";
        let bytes = bytes.into();
        if !bytes.starts_with(ELF_64_LITTLE) {
            return Err(NoProgram);
        }
        let machine = match bytes.get(18..20) {
            Some([62, 0]) => "x86_64",
            Some([183, 0]) => "aarch64",
            _ => return Err(NoProgram),
        };
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Ok(Self {
            bytes,
            sha256,
            machine,
        })
    }

    /// The program itself.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Its SHA-256, hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What `uname -m` says where it runs.
    #[must_use]
    pub fn machine(&self) -> &'static str {
        self.machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_for_which_machine_it_is() {
        let elf = |machine: u8| {
            let mut bytes = vec![0; 64];
            bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            bytes[18] = machine;
            bytes
        };
        assert_eq!(HelperProgram::read(elf(62)).unwrap().machine(), "x86_64");
        assert_eq!(HelperProgram::read(elf(183)).unwrap().machine(), "aarch64");
        for other in [
            Vec::new(),
            b"#!/bin/sh\n".to_vec(),
            elf(3),
            elf(62)[..19].to_vec(),
        ] {
            assert_eq!(HelperProgram::read(other), Err(NoProgram));
        }
    }
}
