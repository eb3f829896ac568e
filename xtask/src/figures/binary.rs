//! The builds a figure may be measured on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;
use crate::tools;
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
    /// The same, optimised: for what the engine and its store take in this process.
    FastFigures,
    /// The same, optimised, with guards that can be taken off. Kept apart from those without.
    Guarded,
    /// The API over a world that has everything in it, from the test kit.
    ApiWorld,
    /// The programs of figures, with crash points in their engines. Kept apart as well.
    Programs,
    /// As it is shipped: optimised by the profile `dist`, without the lab, with the helper for the nodes inside. In a folder of
    /// its own.
    Shipped,
    /// With the lab, optimised: for figures of time, in which the lab's own slowness would count as the product's.
    FastLab,
    /// The helper for the nodes, static, as it is shipped.
    NodeHelper,
    /// The store alone, optimised, with the loops it is compared with.
    StoreFigures,
    /// The client alone, with the corpus that it sends through each way into a guest.
    GuestFigures,
    /// The emulator alone, optimised, with the server it is compared with.
    LabFigures,
    /// The simulation, optimised, with guards that can be taken off.
    Simulation,
    /// The reader of documents alone, optimised.
    ManifestFigures,
    /// The same without its limits. Kept apart.
    UnlimitedManifests,
    /// The readers of Proxmox VE's answers alone, optimised.
    AnswerFigures,
}

impl Binary {
    /// Where it is, once built.
    pub(crate) fn path(self, place: &Place) -> PathBuf {
        match self {
            Self::Plain => try_run::binary(place),
            Self::CrashPoints => folder(place).join("proximity"),
            Self::Figures => place.target().join("debug").join("proximity-figures"),
            Self::FastFigures => place.target().join("release").join("proximity-figures"),
            Self::Guarded => place
                .target()
                .join("bug-switches")
                .join("proximity-figures"),
            Self::ApiWorld => place.target().join("debug").join("api-world"),
            Self::Programs => folder(place).join("proximity-figures"),
            Self::Shipped => place.target().join("dist").join("proximity"),
            Self::FastLab => place.target().join("release").join("proximity"),
            Self::NodeHelper => {
                let built = place.target().join(NODE_TARGET).join("dist");
                built.join("proximity-node-helper")
            }
            Self::StoreFigures => place
                .target()
                .join("release")
                .join("examples")
                .join("store-figures"),
            Self::GuestFigures => place
                .target()
                .join("debug")
                .join("examples")
                .join("guest-figures"),
            Self::LabFigures => place
                .target()
                .join("release")
                .join("examples")
                .join("lab-figures"),
            Self::Simulation => place.target().join("release").join("proximity-sim"),
            Self::ManifestFigures => place
                .target()
                .join("release")
                .join("examples")
                .join("manifest-figures"),
            Self::UnlimitedManifests => place.target().join("no-limits").join("manifest-figures"),
            Self::AnswerFigures => place
                .target()
                .join("release")
                .join("examples")
                .join("answer-figures"),
        }
    }

    /// What this machine lacks that building it or running it needs, and cargo does not bring.
    pub(crate) fn lacks(self, place: &Place, deadline: Deadline) -> Result<Option<String>> {
        match self {
            Self::NodeHelper | Self::Shipped => tools::lacks_target(NODE_TARGET, deadline, place),
            Self::GuestFigures => Ok((!Path::new(SSH_SERVER).is_file())
                .then(|| format!("{SSH_SERVER} is missing (Debian: openssh-server)"))),
            Self::Plain
            | Self::CrashPoints
            | Self::Figures
            | Self::FastFigures
            | Self::Guarded
            | Self::ApiWorld
            | Self::Programs
            | Self::FastLab
            | Self::StoreFigures
            | Self::LabFigures
            | Self::Simulation
            | Self::ManifestFigures
            | Self::UnlimitedManifests
            | Self::AnswerFigures => Ok(None),
        }
    }

    /// Builds it.
    pub(crate) fn build(self, place: &Place, deadline: Deadline) -> Result<()> {
        match self {
            Self::Plain => build_plain(place, &PRODUCT, deadline),
            Self::Shipped => {
                Self::NodeHelper.build(place, deadline)?;
                let helper = Self::NodeHelper.path(place);
                let build = cargo(&SHIPPED).variable(SHIPPED_HELPER, helper);
                run(place, build, &SHIPPED, deadline)
            }
            Self::FastLab => build_fast(place, &SHIPPED[..2], deadline),
            Self::NodeHelper => {
                if let Some(why) = self.lacks(place, deadline)? {
                    bail!("the helper for the nodes cannot be built: {why}");
                }
                cargo_build(place, &NODE_HELPER, deadline)
            }
            Self::StoreFigures => build_fast(
                place,
                &example("proximity-store", "store-figures"),
                deadline,
            ),
            Self::GuestFigures => cargo_build(place, &AS_FOR_TESTS, deadline),
            Self::LabFigures => {
                let figures = example("proximity-pve-emulator", "lab-figures");
                build_fast(place, &figures, deadline)
            }
            Self::Simulation => cargo_build(place, &SIMULATION, deadline),
            Self::ManifestFigures => build_fast(place, &MANIFEST_FIGURES, deadline),
            Self::UnlimitedManifests => {
                let features = ["--features", "no-limits"];
                let unlimited = [&MANIFEST_FIGURES[..], &features].concat();
                build_fast(place, &unlimited, deadline)?;
                keep(&Self::ManifestFigures.path(place), &self.path(place))?;
                Self::ManifestFigures.build(place, deadline)
            }
            Self::AnswerFigures => {
                build_fast(place, &example("proximity-pve", "answer-figures"), deadline)
            }
            Self::Figures => build_plain(place, &FIGURES, deadline),
            Self::FastFigures => cargo_build(place, &FAST_FIGURES, deadline),
            Self::Guarded => {
                let features = ["--features", "bug-switches"];
                cargo_build(place, &[&FAST_FIGURES[..], &features].concat(), deadline)?;
                keep(&Self::FastFigures.path(place), &self.path(place))
            }
            Self::ApiWorld => build_plain(place, &["--bin", "api-world"], deadline),
            Self::CrashPoints => {
                let features = ["--features", "proximity/crash-points"];
                build_plain(place, &[&PRODUCT[..], &features].concat(), deadline)?;
                keep(&Self::Plain.path(place), &self.path(place))?;
                build_plain(place, &PRODUCT, deadline)
            }
            Self::Programs => {
                let features = ["--features", "proximity-testkit/crash-points"];
                build_plain(place, &[&FIGURES[..], &features].concat(), deadline)?;
                let built = Self::Figures.path(place);
                keep(&built, &self.path(place))
            }
        }
    }
}

/// Copies a build to where the next one does not replace it.
fn keep(built: &Path, kept: &Path) -> Result<()> {
    if let Some(folder) = kept.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Under another name first: a program that runs cannot be written to.
    let new = kept.with_extension("new");
    std::fs::copy(built, &new)
        .and_then(|_| std::fs::rename(&new, kept))
        .with_context(|| format!("keeping {}", built.display()))
}

/// The product among what is not optimised, for cargo.
const PRODUCT: [&str; 2] = ["--bin", "proximity"];

/// An example of a crate, for cargo.
const fn example(package: &'static str, name: &'static str) -> [&'static str; 4] {
    ["--package", package, "--example", name]
}

/// The programs of figures among what is not optimised, for cargo.
const FIGURES: [&str; 2] = ["--bin", "proximity-figures"];

/// What is shipped and off by default: lints, tests and programs are of a build that has it.
pub(crate) const SHIPPED_FEATURES: &str = "proximity/otel";

/// What every build that is not optimised names, for cargo: the whole workspace and an example. Cargo then gives each dependency
/// the features that it has for the tests; asked for one package it gives others, and builds some fifty libraries and most of the
/// workspace once more for each.
pub(crate) const AS_FOR_TESTS: [&str; 5] = [
    "--workspace",
    "--example",
    "guest-figures",
    "--features",
    SHIPPED_FEATURES,
];

/// The programs of figures, optimised, for cargo.
const FAST_FIGURES: [&str; 5] = [
    "--release",
    "--package",
    "proximity-testkit",
    "--bin",
    "proximity-figures",
];

/// The reader of documents, for cargo.
const MANIFEST_FIGURES: [&str; 4] = example("proximity-manifest", "manifest-figures");

/// The simulation, for cargo.
const SIMULATION: [&str; 7] = [
    "--release",
    "--package",
    "proximity-testkit",
    "--bin",
    "proximity-sim",
    "--features",
    "bug-switches",
];

/// The product as it is shipped, for cargo.
const SHIPPED: [&str; 7] = [
    "--package",
    "proximity",
    "--features",
    "otel",
    "--profile",
    "dist",
    "--no-default-features",
];

/// What the program of R27 talks to. Not among the packages that are installed: Debian starts it on the machine.
const SSH_SERVER: &str = "/usr/sbin/sshd";

/// Tells the product's build script which file to put inside.
const SHIPPED_HELPER: &str = "PROXIMITY_SHIPPED_HELPER";

/// What the nodes of Proxmox VE are; static, so that it does not matter which libraries they have.
pub(crate) const NODE_TARGET: &str = "x86_64-unknown-linux-musl";

/// The helper for the nodes as it is shipped, for cargo.
pub(crate) const NODE_HELPER: [&str; 6] = [
    "--package",
    "proximity-node-helper",
    "--profile",
    "dist",
    "--target",
    NODE_TARGET,
];

/// What the profile `dist` says, for a bare program to be built with by rustc.
pub(super) const SHIPPED_CODEGEN: [&str; 4] = [
    "opt-level=s",
    "strip=symbols",
    "lto=thin",
    "codegen-units=1",
];

/// Builds it as the tests are built.
pub(crate) fn build_plain(place: &Place, what: &[&str], deadline: Deadline) -> Result<()> {
    cargo_build(place, &[&AS_FOR_TESTS[..], what].concat(), deadline)
}

/// Builds it optimised.
fn build_fast(place: &Place, what: &[&str], deadline: Deadline) -> Result<()> {
    cargo_build(place, &[&["--release"], what].concat(), deadline)
}

fn cargo_build(place: &Place, what: &[&str], deadline: Deadline) -> Result<()> {
    run(place, cargo(what), what, deadline)
}

fn cargo(what: &[&str]) -> Invocation {
    Invocation::new("cargo")
        .args(["build", "--quiet", "--locked"])
        .args(what)
}

fn run(place: &Place, build: Invocation, what: &[&str], deadline: Deadline) -> Result<()> {
    let ended = build.until(deadline).run(place.root())?;
    if !ended.is_success() {
        bail!("building {} {}", what.join(" "), ended.describe());
    }
    Ok(())
}

fn folder(place: &Place) -> PathBuf {
    place.target().join("crash-points")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The settings of a profile in the workspace's manifest, without quotes.
    fn profile(name: &str) -> BTreeMap<&'static str, &'static str> {
        let manifest = include_str!("../../../Cargo.toml");
        manifest
            .lines()
            .skip_while(|line| *line != format!("[profile.{name}]"))
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .collect()
    }

    #[test]
    fn a_bare_program_has_the_settings_of_the_shipped_one() {
        let mut dist = profile("dist");
        assert_eq!(dist.remove("inherits"), Some("release"));
        // What cargo's own `release` says where the manifest is silent.
        let mut settings = BTreeMap::from([("opt-level", "3")]);
        settings.extend(profile("release"));
        settings.extend(dist);
        let bare: BTreeMap<&str, &str> = SHIPPED_CODEGEN
            .iter()
            .filter_map(|setting| setting.split_once('='))
            .collect();
        assert_eq!(bare, settings);
    }

    #[test]
    fn the_shipped_program_is_of_the_profile_dist_and_has_no_lab() {
        let place = Place::discover().expect("the workspace");
        let built = Binary::Shipped.path(&place);
        let [.., profile_flag, profile, features] = SHIPPED;
        assert_eq!(
            (profile_flag, features),
            ("--profile", "--no-default-features")
        );
        assert!(SHIPPED.contains(&"otel"), "it sends traces");
        assert_eq!(built, place.target().join(profile).join("proximity"));
    }
}
