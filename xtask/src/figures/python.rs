//! Python packages that figures need: pinned to the last one, in folders of their own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;

/// Installs what is wanted (lines of a requirements file, all dependencies among them) into `venv`, unless the same is
/// there already.
///
/// # Errors
/// There is no python3 with its module venv, or the packages cannot be had.
pub(super) fn install(place: &Place, venv: &Path, requirements: &str) -> Result<()> {
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|is| is == requirements) {
        return Ok(());
    }
    let run = |program: &Path, args: &[&str]| -> Result<()> {
        Invocation::new(program)
            .args(args)
            .until(Deadline::after(Duration::from_secs(300)))
            .capture(place.root())?
            .expect_success("installing Python packages")?;
        Ok(())
    };
    let path = venv.to_string_lossy();
    run(Path::new("python3"), &["-m", "venv", "--clear", &path])
        .context("python3 with its module venv is needed (Debian: python3-venv)")?;
    let wanted = venv.join("wanted.txt");
    std::fs::write(&wanted, requirements)?;
    let file = wanted.to_string_lossy();
    let pip = venv.join("bin").join("pip");
    run(&pip, &["install", "--quiet", "--no-deps", "-r", &file])?;
    std::fs::rename(&wanted, stamp)?;
    Ok(())
}
