//! The builds a figure may be measured on.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;
use crate::try_run;

/// One build of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binary {
    /// As developers run it.
    Plain,
    /// With the feature `crash-points`: it kills itself where it is told to. It has a build
    /// folder of its own, so that it never takes the plain one's place.
    CrashPoints,
}

impl Binary {
    /// Where it is, once built.
    pub(crate) fn path(self, place: &Place) -> PathBuf {
        match self {
            Self::Plain => try_run::binary(place),
            Self::CrashPoints => folder(place).join("debug").join("proximity"),
        }
    }

    /// Builds it.
    pub(crate) fn build(self, place: &Place, deadline: Deadline) -> Result<()> {
        let build = Invocation::new("cargo").args(["build", "--quiet", "--locked"]);
        let build = build.args(["--package", "proximity"]);
        let build = match self {
            Self::Plain => build,
            Self::CrashPoints => build
                .args(["--features", "crash-points", "--target-dir"])
                .arg(folder(place)),
        };
        let ended = build.until(deadline).run(place.root())?;
        if !ended.is_success() {
            bail!("building {self:?} {}", ended.describe());
        }
        Ok(())
    }
}

fn folder(place: &Place) -> PathBuf {
    place.target().join("crash-points")
}
