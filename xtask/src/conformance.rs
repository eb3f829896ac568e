//! Replays recordings of a real PVE. The work is done by a program beside the emulator: xtask uses
//! no crate of the product.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;

const PACKAGE: &str = "proximity-pve-emulator";
const PROGRAM: &str = "conformance";

/// Builds the program and lets it replay a folder; true if everything is as recorded.
pub(crate) fn run(place: &Place, folder: &Path, arguments: &[OsString]) -> Result<bool> {
    let deadline = Deadline::after(Duration::from_secs(1_800));
    let build = Invocation::new("cargo")
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            PACKAGE,
            "--example",
            PROGRAM,
        ])
        .until(deadline);
    let ended = build.run(place.root())?;
    if !ended.is_success() {
        bail!("`{}` {}", build.shown(), ended.describe());
    }
    let program = place.target().join("debug/examples").join(PROGRAM);
    let replay = Invocation::new(program)
        .arg(folder)
        .args(arguments)
        .until(deadline);
    Ok(replay.run(place.root())?.is_success())
}
