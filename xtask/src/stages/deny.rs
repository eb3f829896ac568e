//! The judgement on dependencies. The rules are in deny.toml.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Stand;
use crate::invocation::Invocation;
use crate::ledger::Outcome;
use crate::tools::DENY;

/// Bans, licences and sources always; advisories when a snapshot of their database is at hand.
pub(super) fn run(stand: &Stand<'_>) -> Result<Outcome> {
    fetch(stand)?;
    let mut outcome = Outcome::default();
    for rule in ["bans", "licenses", "sources"] {
        outcome = outcome.and(check(stand, rule, "")?);
    }
    outcome = outcome.and(match snapshot(stand.place.cargo_home.as_deref()) {
        Some(folder) => {
            let date = date_of(&folder)?;
            check(stand, "advisories", &format!(" as known on {date}"))?
        }
        None => Outcome::skipped(
            "advisories: no snapshot of the advisory database here; `cargo deny fetch` gets one",
        ),
    });
    Ok(outcome)
}

/// The judge reads every crate of the lock file, those of other systems too, which no build has
/// brought here. Fetching is a step of its own, so that the judge itself never goes out.
fn fetch(stand: &Stand<'_>) -> Result<()> {
    let ended = Invocation::new("cargo")
        .args(["fetch", "--quiet", "--locked"])
        .until(stand.deadline)
        .run(stand.place.root())?;
    if !ended.is_success() {
        bail!("fetching the crates of the lock file {}", ended.describe());
    }
    Ok(())
}

fn check(stand: &Stand<'_>, rule: &str, remark: &str) -> Result<Outcome> {
    let ended = Invocation::new(DENY.path(stand.place)?)
        .args([
            "--offline",
            "--locked",
            "check",
            "--hide-inclusion-graph",
            rule,
        ])
        .until(stand.deadline)
        .run(stand.place.root())?;
    Ok(if ended.is_success() {
        Outcome::passed(format!("{rule}{remark}"))
    } else {
        Outcome::failed(format!(
            "{rule}{remark}: see above, the rules are in deny.toml"
        ))
    })
}

/// Where cargo-deny keeps its copy of the database, if it has one.
fn snapshot(cargo_home: Option<&Path>) -> Option<PathBuf> {
    let folders = std::fs::read_dir(cargo_home?.join("advisory-dbs")).ok()?;
    folders
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join(".git").exists())
}

/// The day of the newest entry of the snapshot.
fn date_of(folder: &Path) -> Result<String> {
    let date = Invocation::new("git")
        .args(["log", "-1", "--format=%cs"])
        .capture(folder)?
        .expect_success("asking the advisory snapshot for its date")?;
    Ok(date.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_checkout_is_no_snapshot() {
        let home = std::env::temp_dir().join(format!("xtask-deny-{}", std::process::id()));
        let database = home.join("advisory-dbs").join("advisory-db-1");
        std::fs::create_dir_all(&database).unwrap();
        assert_eq!(snapshot(Some(&home)), None);
        std::fs::create_dir(database.join(".git")).unwrap();
        assert_eq!(snapshot(Some(&home)), Some(database));
        std::fs::remove_dir_all(&home).unwrap();
        assert_eq!(snapshot(None), None);
    }
}
