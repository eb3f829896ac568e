//! The builds a figure may be measured on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;
use crate::try_run;

/// One build of the product, or of what figures run beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binary {
    /// As developers run it.
    Plain,
    /// With the feature `crash-points`: it kills itself where it is told to. Kept apart from the
    /// plain one, which is built again afterwards; only three crates differ between the two.
    CrashPoints,
    /// Programs over the real store that are no part of the product.
    Figures,
    /// The API over a world that has everything in it, from the test kit.
    ApiWorld,
    /// The programs of figures, with crash points in their engines. Kept apart as well.
    Programs,
    /// As it is shipped: optimised, without symbols.
    Optimised,
    /// The store alone, optimised, with the loops it is compared with.
    StoreFigures,
}

impl Binary {
    /// Where it is, once built.
    pub(crate) fn path(self, place: &Place) -> PathBuf {
        match self {
            Self::Plain => try_run::binary(place),
            Self::CrashPoints => folder(place).join("proximity"),
            Self::Figures => place.target().join("debug").join("proximity-figures"),
            Self::ApiWorld => place.target().join("debug").join("api-world"),
            Self::Programs => folder(place).join("proximity-figures"),
            Self::Optimised => place.target().join("release").join("proximity"),
            Self::StoreFigures => place
                .target()
                .join("release")
                .join("examples")
                .join("store-figures"),
        }
    }

    /// Builds it.
    pub(crate) fn build(self, place: &Place, deadline: Deadline) -> Result<()> {
        match self {
            Self::Plain => cargo_build(place, &PRODUCT, deadline),
            Self::Optimised => {
                let product = ["--release", PRODUCT[0], PRODUCT[1]];
                cargo_build(place, &product, deadline)
            }
            Self::StoreFigures => {
                let program = [
                    "--release",
                    "--package",
                    "proximity-store",
                    "--example",
                    "store-figures",
                ];
                cargo_build(place, &program, deadline)
            }
            Self::Figures => {
                let programs = [
                    "--package",
                    "proximity-testkit",
                    "--bin",
                    "proximity-figures",
                ];
                cargo_build(place, &programs, deadline)
            }
            Self::ApiWorld => {
                let program = ["--package", "proximity-testkit", "--bin", "api-world"];
                cargo_build(place, &program, deadline)
            }
            Self::CrashPoints => {
                let product = [PRODUCT[0], PRODUCT[1], "--features", "crash-points"];
                cargo_build(place, &product, deadline)?;
                keep(place, &Self::Plain.path(place), &self.path(place))?;
                cargo_build(place, &PRODUCT, deadline)
            }
            Self::Programs => {
                let programs = [
                    "--package",
                    "proximity-testkit",
                    "--bin",
                    "proximity-figures",
                    "--features",
                    "crash-points",
                ];
                cargo_build(place, &programs, deadline)?;
                let built = Self::Figures.path(place);
                keep(place, &built, &self.path(place))
            }
        }
    }
}

/// Copies a build to where the next one does not replace it.
fn keep(place: &Place, built: &Path, kept: &Path) -> Result<()> {
    std::fs::create_dir_all(folder(place))?;
    // Under another name first: a program that runs cannot be written to.
    let new = kept.with_extension("new");
    std::fs::copy(built, &new)
        .and_then(|_| std::fs::rename(&new, kept))
        .with_context(|| format!("keeping {}", built.display()))
}

/// The product, for cargo.
const PRODUCT: [&str; 2] = ["--package", "proximity"];

fn cargo_build(place: &Place, what: &[&str], deadline: Deadline) -> Result<()> {
    let ended = Invocation::new("cargo")
        .args(["build", "--quiet", "--locked"])
        .args(what)
        .until(deadline)
        .run(place.root())?;
    if !ended.is_success() {
        bail!("building {} {}", what.join(" "), ended.describe());
    }
    Ok(())
}

fn folder(place: &Place) -> PathBuf {
    place.target().join("crash-points")
}
