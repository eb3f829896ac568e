//! The Debian packages the tests and `try` need, and how they get here.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Deadline;
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// How long apt may take for one call.
const APT_LIMIT: Duration = Duration::from_secs(300);

/// Package and what it is needed for.
pub(crate) const NEEDED: &[(&str, &str)] = &[
    (
        "build-essential",
        "the C parts of the TLS and SQLite crates",
    ),
    ("busybox", "a third shell that reads what is sent to a node"),
    ("ca-certificates", "downloads over HTTPS"),
    (
        "caddy",
        "host names that lead to apps, on a real web server",
    ),
    ("debootstrap", "making the container template"),
    (
        "git",
        "listing the files of the checkout; sources of documents",
    ),
    ("iproute2", "bridges and namespaces of the lab"),
    ("iptables", "address translation of the lab"),
    ("lxc", "the lab's guests are real containers"),
    ("nftables", "address translation of the lab"),
    ("openssl", "an authority that nobody trusts, in a control"),
    (
        "openssh-client",
        "reaching a lab node the way a person would",
    ),
    (
        "openssh-server",
        "a real SSH server before the client and the helper",
    ),
    ("postgresql", "the store's contract on a real server"),
    (
        "python3-aiosmtpd",
        "a mail server that takes notices, with certificate and login",
    ),
    (
        "python3-prometheus-client",
        "the reference parser reads the server's figures",
    ),
    (
        "python3-venv",
        "clients that others wrote talk to the emulated cluster",
    ),
    (
        "slirp4netns",
        "a network for tests that touches nothing of the host",
    ),
    ("uidmap", "unprivileged containers"),
    ("zstd", "packing the container template"),
];

/// What became of the wish to have the packages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packages {
    /// All were there.
    Present,
    /// These were installed just now.
    Installed(Vec<String>),
    /// They are missing and cannot be installed by us; the text says what to do, in one line.
    Missing(String),
}

/// Makes sure that the packages are there: installs what is missing as root on Debian, otherwise
/// says in one line what to install. Fails when apt fails.
pub(crate) fn ensure(place: &Place) -> Result<Packages> {
    if !place.is_debian {
        return Ok(Packages::Missing(format!(
            "not a Debian system: install the equivalents of {}",
            names(NEEDED.iter().map(|(name, _)| (*name).to_owned()))
        )));
    }
    let missing = missing(place)?;
    if missing.is_empty() {
        return Ok(Packages::Present);
    }
    if !place.is_root {
        return Ok(Packages::Missing(advice(&missing)));
    }
    say::note(format!("installing {}", names(missing.iter().cloned())));
    apt(place, &["update"])?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing.iter().map(String::as_str));
    apt(place, &install)?;
    Ok(Packages::Installed(missing))
}

fn missing(place: &Place) -> Result<Vec<String>> {
    let answer = Invocation::new("dpkg-query")
        .args([
            "--show",
            "--showformat",
            "${Package} ${db:Status-Status}\\n",
        ])
        .args(NEEDED.iter().map(|(name, _)| name))
        .variable("LC_ALL", "C")
        .capture(place.root())?;
    // Code 1 only says that a name was not found; the listing tells which.
    Ok(absent(&answer.stdout))
}

/// The needed packages that a listing of `name status` lines does not show as installed.
fn absent(listing: &str) -> Vec<String> {
    NEEDED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| {
            !listing
                .lines()
                .any(|line| line.split_once(' ') == Some((name, "installed")))
        })
        .map(str::to_owned)
        .collect()
}

/// The one line that helps somebody who is not root.
fn advice(missing: &[String]) -> String {
    format!(
        "install as root: apt-get install --no-install-recommends {}",
        missing.join(" ")
    )
}

fn apt(place: &Place, args: &[&str]) -> Result<()> {
    let ended = Invocation::new("apt-get")
        .args(["--quiet", "--quiet"])
        .args(args)
        .variable("DEBIAN_FRONTEND", "noninteractive")
        .until(Deadline::after(APT_LIMIT))
        .run(place.root())?;
    if !ended.is_success() {
        bail!("apt-get {} {}", args.join(" "), ended.describe());
    }
    Ok(())
}

fn names(packages: impl Iterator<Item = String>) -> String {
    packages.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_only_when_its_state_is_installed() {
        let mut listing: String = NEEDED
            .iter()
            .map(|(name, _)| format!("{name} installed\n"))
            .collect();
        assert_eq!(absent(&listing), Vec::<String>::new());
        listing = listing.replace("lxc installed", "lxc config-files");
        listing = listing.replace("zstd installed\n", "");
        assert_eq!(absent(&listing), vec!["lxc", "zstd"]);
    }

    #[test]
    fn the_advice_is_one_line_one_can_paste() {
        let advice = advice(&["lxc".to_owned(), "zstd".to_owned()]);
        assert!(advice.ends_with("apt-get install --no-install-recommends lxc zstd"));
        assert!(!advice.contains('\n'));
    }
}
