//! The disk between a program and its data directory: `crates/testkit/shim/disk.c`, built by the system's compiler.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;

/// Builds it; `cc` comes with the packages that the product's own C parts need.
pub(crate) fn build(place: &Place) -> Result<()> {
    let source = place.root().join("crates/testkit/shim/disk.c");
    let target = path(place);
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let ended = Invocation::new("cc")
        .args([
            "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
        ])
        .arg(&target)
        .arg(source)
        .until(Deadline::after(Duration::from_secs(60)))
        .run(place.root())?;
    if !ended.is_success() {
        bail!("building the disk shim {}", ended.describe());
    }
    Ok(())
}

/// Where it is, once built.
pub(crate) fn path(place: &Place) -> PathBuf {
    place.target().join("figures").join("disk-shim.so")
}

/// `program` with the shim between it and `root`.
pub(crate) fn before(place: &Place, program: Invocation, root: &Path) -> Invocation {
    program
        .variable("LD_PRELOAD", path(place))
        .variable("DISK_SHIM_ROOT", root)
}
