//! Cargo's helpers: the test runner and the dependency judge.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// A helper built from the registry when the machine has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// Name of the package and of the program.
    pub(crate) name: &'static str,
    /// The version that is built; a version on the search path is taken as it is.
    version: &'static str,
}

/// Runs the tests.
pub(crate) const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.143",
};

/// Judges dependencies: bans, licences, sources, advisories.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Breaks the code line by line, to see whether a test notices. Only the figure of that name needs it.
pub(crate) const MUTANTS: Tool = Tool {
    name: "cargo-mutants",
    version: "27.1.0",
};

impl Tool {
    /// Where the program is, if it is anywhere: our own build first, then the search path.
    pub(crate) fn find(self, place: &Place) -> Option<PathBuf> {
        let own = folder(place).join("bin").join(self.name);
        if own.is_file() {
            return Some(own);
        }
        place.program(self.name)
    }

    /// Where the program is, or what to do to have it.
    pub(crate) fn path(self, place: &Place) -> Result<PathBuf> {
        match self.find(place) {
            Some(path) => Ok(path),
            None => bail!(
                "{} is not here; run `cargo xtask test --only tools`",
                self.name
            ),
        }
    }

    /// Builds the program below the build folder unless it is there. True if it was built.
    pub(crate) fn ensure(self, place: &Place, deadline: Deadline) -> Result<bool> {
        if self.find(place).is_some() {
            return Ok(false);
        }
        say::note(format!("building {} {}", self.name, self.version));
        // A debug build: it is compiled once and runs for seconds, so compiling is what costs.
        let ended = Invocation::new("cargo")
            .args(["install", "--quiet", "--debug", "--locked"])
            .args(["--version", self.version, "--root"])
            .arg(folder(place))
            .arg("--target-dir")
            .arg(folder(place).join("build"))
            .arg(self.name)
            .variable("CARGO_PROFILE_DEV_DEBUG", "false")
            .until(deadline.at_most(Duration::from_secs(1800)))
            .run(place.root())?;
        if !ended.is_success() {
            bail!("building {} {}", self.name, ended.describe());
        }
        Ok(true)
    }
}

/// Why rustc cannot build for this target here, if it cannot: what it needs for that comes by `rustup`, or was there.
pub(crate) fn lacks_target(
    target: &str,
    deadline: Deadline,
    place: &Place,
) -> Result<Option<String>> {
    let libraries = Invocation::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .until(deadline)
        .capture(place.root())?
        .expect_success("asking rustc for its libraries")?;
    if PathBuf::from(libraries.trim()).is_dir() {
        return Ok(None);
    }
    say::note(format!("adding the target {target}"));
    let added = Invocation::new("rustup")
        .args(["target", "add", target])
        .until(deadline)
        .run(place.root());
    Ok(match added {
        Ok(ended) if ended.is_success() => None,
        Ok(ended) => Some(format!("`rustup target add {target}` {}", ended.describe())),
        Err(error) => Some(format!("`rustup target add {target}`: {error:#}")),
    })
}

fn folder(place: &Place) -> PathBuf {
    place.target().join("tools")
}
