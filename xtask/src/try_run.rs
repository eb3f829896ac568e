//! `cargo xtask try`: from an empty machine to the running product.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::invocation::Invocation;
use crate::packages::{self, Packages};
use crate::place::Place;
use crate::say;

/// Installs what is missing, builds the binary and becomes `proximity try ARGS`.
/// Comes back only when that failed.
pub(crate) fn become_try(place: &Place, args: &[String]) -> Result<std::convert::Infallible> {
    let simulated = args
        .iter()
        .any(|arg| arg == "simulated" || arg == "--guests=simulated");
    match packages::ensure(place)? {
        // Simulated containers need none of them.
        Packages::Missing(_) if simulated => {}
        Packages::Present => {}
        Packages::Installed(names) => say::note(format!("installed {}", names.join(", "))),
        // `proximity try` itself says what it cannot do without them.
        Packages::Missing(advice) => say::note(advice),
    }
    build(place)?;
    Err(invocation(place, args).replace_process())
}

/// `proximity try ARGS` as a program to run. Its files and the template stay in the build folder.
pub(crate) fn invocation(place: &Place, args: &[String]) -> Invocation {
    let given = |name: &str| {
        args.iter()
            .any(|a| a == name || a.starts_with(&format!("{name}=")))
    };
    let mut invocation = Invocation::new(binary(place)).arg("try");
    for (name, folder) in [("--dir", "try"), ("--template-cache", "lab")] {
        if !given(name) {
            invocation = invocation.arg(name).arg(place.target().join(folder));
        }
    }
    invocation.args(args)
}

/// The binary that developers and tests run.
pub(crate) fn binary(place: &Place) -> PathBuf {
    place.target().join("debug").join("proximity")
}

fn build(place: &Place) -> Result<()> {
    let ended = Invocation::new("cargo")
        .args(["build", "--locked", "--package", "proximity"])
        .run(place.root())?;
    if !ended.is_success() {
        bail!("building proximity {}", ended.describe());
    }
    Ok(())
}
