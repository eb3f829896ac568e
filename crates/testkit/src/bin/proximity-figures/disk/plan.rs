//! The file through which the shim is told what fails.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

/// Mode and a gap, then first, count, seen and hit: as `struct plan` of the shim.
const BYTES: usize = 40;
const HIT_AT: u64 = 32;

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Writes, for want of space.
    NoSpace,
    /// Writes, with EIO.
    WriteError,
    /// Syncs, with EIO.
    SyncError,
    /// Writes, but they say that they worked: the control.
    Pretend,
    /// The file system is filled for real; the shim has no part in it.
    Filled,
}

impl Mode {
    /// What the shim calls it; 0 is nothing.
    fn number(self) -> u32 {
        match self {
            Self::Filled => 0,
            Self::NoSpace => 1,
            Self::WriteError => 2,
            Self::SyncError => 3,
            Self::Pretend => 4,
        }
    }
}

/// The plan file, which the shim has mapped, and the file that fills the disk.
#[derive(Debug)]
pub(crate) struct Plan {
    file: File,
    filler: PathBuf,
}

/// What the disk is filled with, piece by piece.
const PIECE: [u8; 4096] = [7; 4096];

impl Plan {
    pub(crate) fn open(path: &Path, dir: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let filler = dir.join("filler");
        Ok(Self { file, filler })
    }

    /// From now on calls fail: `count` of them, the first one at call `from` (from 1).
    pub(crate) fn arm(&self, mode: Mode, from: u64, count: u64) -> Result<()> {
        if mode == Mode::Filled {
            return self.fill();
        }
        let mut bytes = [0; BYTES];
        bytes[8..16].copy_from_slice(&from.to_le_bytes());
        bytes[16..24].copy_from_slice(&count.to_le_bytes());
        self.file.write_all_at(&bytes, 0)?;
        // The mode last: nothing counts before all the rest is there.
        Ok(self.file.write_all_at(&mode.number().to_le_bytes(), 0)?)
    }

    /// Until there is no room for a single byte.
    fn fill(&self) -> Result<()> {
        let mut filler = File::create(&self.filler)?;
        loop {
            match filler.write_all(&PIECE) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Nothing fails any more.
    pub(crate) fn disarm(&self) -> Result<()> {
        match std::fs::remove_file(&self.filler) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            Ok(()) | Err(_) => {}
        }
        Ok(self.file.write_all_at(&0_u32.to_le_bytes(), 0)?)
    }

    /// How many calls have failed since it was armed.
    pub(crate) fn hits(&self) -> Result<u64> {
        if self.filler.exists() {
            return Ok(1);
        }
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, HIT_AT)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
