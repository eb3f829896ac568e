//! `cargo xtask ui`: the page, checked, tested and built into `ui/dist`, from where the build of the server takes it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// The program that runs everything of the page.
const NPM: &str = "npm";
/// What all of it may take, with the packages still to be fetched.
const LIMIT: Duration = Duration::from_secs(600);
/// What is run, in order, each with what it shows. A stray file of another build is no part of the page: `build` empties the folder.
const RUNS: &[(&[&str], &str)] = &[
    // No package runs anything of its own while it is installed, and no browser is downloaded.
    (&["ci", "--ignore-scripts"], "the packages that are locked"),
    (
        &["run", "check"],
        "types, against the API as it is described; accessibility of the markup",
    ),
    (&["test"], "its rules, its words, every page mounted"),
    (&["run", "build"], "the files, and how large they are"),
];

/// Where the page is built.
pub(crate) fn built(place: &Place) -> PathBuf {
    folder(place).join("dist").join("index.html")
}

/// Why it cannot be built here, if it cannot.
pub(crate) fn lacks(place: &Place) -> Option<String> {
    place
        .program(NPM)
        .is_none()
        .then(|| format!("{NPM} is not here; install Node 20.19 or a later one"))
}

/// Checks, tests and builds the page.
///
/// # Errors
/// npm is missing, or one of the runs failed; what it complained about was shown.
pub(crate) fn run(place: &Place) -> Result<()> {
    if let Some(why) = lacks(place) {
        bail!("{why}");
    }
    let deadline = Deadline::after(LIMIT);
    for (args, shows) in RUNS {
        say::line(format!("== npm {}: {shows}", args.join(" ")));
        let ended = Invocation::new(NPM)
            .args(*args)
            .variable("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
            .until(deadline)
            .run(&folder(place))?;
        if !ended.is_success() {
            bail!("npm {} {}", args.join(" "), ended.describe());
        }
    }
    say::line(format!("the page is in {}", built(place).display()));
    Ok(())
}

fn folder(place: &Place) -> PathBuf {
    place.root().join("ui")
}
