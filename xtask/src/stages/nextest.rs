//! The tests of the workspace, in two stages: those that need real containers, and all others.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Stand;
use super::cargo_runs::number_before;
use crate::figures::SHIPPED_FEATURES;
use crate::invocation::{Captured, Invocation};
use crate::ledger::{Outcome, Tally};
use crate::tools::NEXTEST;

/// Which tests start real containers or need root: those whose function's name, or the name of a
/// module around it, starts with `real_lxc_`. The same words stand in .config/nextest.toml, where
/// these tests are kept one at a time.
const CONTAINERS: &str = "test(/(^|::)real_lxc_/)";

/// Where Debian's packages put it, whatever the version.
const POSTGRES: &str = "/usr/lib/postgresql";
/// The same, of the reference parser.
const OPENMETRICS: &str = "/usr/lib/python3/dist-packages/prometheus_client";
/// A mail server.
const AIOSMTPD: &str = "/usr/lib/python3/dist-packages/aiosmtpd";
/// Another one, with a spool and mailboxes.
const OPENSMTPD: &str = "/usr/sbin/smtpd";
/// An SSH server.
const OPENSSH: &str = "/usr/sbin/sshd";
/// A web server that is set up while it runs.
const CADDY: &str = "/usr/bin/caddy";
/// A push server.
const NTFY: &str = "/usr/bin/ntfy";

/// Tests that need a program of others.
struct Foreign {
    /// Which they are. The same words stand in .config/nextest.toml where they have rules of their own.
    tests: &'static str,
    is_here: fn() -> bool,
    /// What is said when it is not there.
    advice: &'static str,
}

const FOREIGN: &[Foreign] = &[
    Foreign {
        tests: "test(/(^|::)real_postgres_/)",
        is_here: || has_server(Path::new(POSTGRES)),
        advice: "tests with a database server need PostgreSQL: apt-get install postgresql",
    },
    Foreign {
        tests: "test(/(^|::)real_openmetrics_/)",
        is_here: || Path::new(OPENMETRICS).is_dir(),
        advice: "tests with the reference parser need it: apt-get install python3-prometheus-client",
    },
    Foreign {
        tests: "test(/(^|::)real_aiosmtpd_/)",
        is_here: || Path::new(AIOSMTPD).is_dir(),
        advice: "tests with a mail server need it: apt-get install python3-aiosmtpd",
    },
    Foreign {
        tests: "test(/(^|::)real_openssh_/)",
        is_here: || Path::new(OPENSSH).is_file(),
        advice: "tests with an SSH server need it: apt-get install openssh-server",
    },
    Foreign {
        tests: "test(/(^|::)real_caddy_/)",
        is_here: || Path::new(CADDY).is_file(),
        advice: "tests with Caddy need it: apt-get install caddy",
    },
    // Not among the packages that are installed: a machine may have another mail server, which this one would push out.
    Foreign {
        tests: "test(/(^|::)real_opensmtpd_/)",
        is_here: || Path::new(OPENSMTPD).is_file() && is_root(),
        advice: "tests with OpenSMTPD need it and root: apt-get install opensmtpd",
    },
    // Debian 13 has it, Debian 12 has not.
    Foreign {
        tests: "test(/(^|::)real_ntfy_/)",
        is_here: || Path::new(NTFY).is_file(),
        advice: "tests with ntfy need it: apt-get install ntfy (Debian 13; its package runs on Debian 12)",
    },
];

/// All tests that need no container. Those that need what is not here are counted as skipped, each of them.
pub(super) fn plain(stand: &Stand<'_>) -> Result<Outcome> {
    let mut left_out = CONTAINERS.to_owned();
    let mut skipped = Outcome::default();
    for foreign in FOREIGN {
        if !(foreign.is_here)() {
            let count = count(stand, foreign.tests)?;
            skipped = skipped.and(Outcome::many_skipped(count, foreign.advice));
            left_out = format!("{left_out} or {}", foreign.tests);
        }
    }
    Ok(run(stand, &format!("not ({left_out})"))?.and(skipped))
}

/// Who runs this may make namespaces and mount in them.
fn is_root() -> bool {
    let own = std::fs::metadata("/proc/self");
    own.is_ok_and(|own| own.uid() == 0)
}

/// A server of some version: its clients alone have a folder there as well. Tests take the newest one by the same rule.
fn has_server(place: &Path) -> bool {
    let versions = std::fs::read_dir(place).into_iter().flatten().flatten();
    versions
        .filter(|version| version.file_name().to_string_lossy().parse::<u32>().is_ok())
        .map(|version| version.path().join("bin"))
        .any(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
}

/// The tests with real containers. Without root they are counted as skipped, each of them.
pub(super) fn containers(stand: &Stand<'_>) -> Result<Outcome> {
    if stand.place.is_root {
        return run(stand, CONTAINERS);
    }
    let count = count(stand, CONTAINERS)?;
    Ok(Outcome::many_skipped(
        count,
        "tests with real containers need root",
    ))
}

fn run(stand: &Stand<'_>, filter: &str) -> Result<Outcome> {
    let run = nextest(
        stand,
        &["run", "--profile", "ci", "--no-tests", "warn"],
        filter,
    )?
    .tee(stand.place.root())?;
    Ok(judge(&run))
}

fn count(stand: &Stand<'_>, filter: &str) -> Result<u64> {
    let listing = nextest(stand, &["list", "--message-format", "json"], filter)?
        .capture(stand.place.root())?
        .expect_success("listing the tests")?;
    let listing: Listing = serde_json::from_str(&listing).context("reading the list of tests")?;
    Ok(listing.matching())
}

fn nextest(stand: &Stand<'_>, command: &[&str], filter: &str) -> Result<Invocation> {
    Ok(Invocation::new(NEXTEST.path(stand.place)?)
        .arg("nextest")
        .args(command)
        .args(["--locked", "--workspace", "--features"])
        .args([SHIPPED_FEATURES, "-E", filter])
        .variable("CARGO_TERM_COLOR", "never")
        .until(stand.deadline))
}

/// Counts from the runner's own summary. A bad code without a failed test is a failure by itself,
/// and a stage without a single test has shown nothing, however well it ended.
fn judge(run: &Captured) -> Outcome {
    let tally = summary(&run.stderr).unwrap_or_default();
    let counted = Outcome {
        tally,
        remarks: vec![tally.to_string()],
    };
    if tally.failed == 0 && !run.ended.is_success() {
        return counted.and(Outcome::failed(format!(
            "the test runner {}",
            run.ended.describe()
        )));
    }
    if tally == Tally::default() {
        return Outcome::skipped("there is no such test");
    }
    counted
}

/// The runner's last summary line. What it calls skipped was left to the other stage by the
/// filter, so it is no skipped test.
fn summary(output: &str) -> Option<Tally> {
    let line = output
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with("Summary ["))?;
    let failed = [" failed", " timed out", " exec failed"]
        .iter()
        .map(|word| number_before(line, word))
        .sum();
    Some(Tally {
        passed: number_before(line, " passed"),
        failed,
        skipped: not_run(line),
    })
}

/// Tests that were chosen but never started: `12/20 tests run`.
fn not_run(line: &str) -> u64 {
    let Some((before, _)) = line.split_once(" tests run") else {
        return 0;
    };
    let counts = before.rsplit(' ').next().unwrap_or_default();
    let Some((ran, chosen)) = counts.split_once('/') else {
        return 0;
    };
    match (ran.parse::<u64>(), chosen.parse::<u64>()) {
        (Ok(ran), Ok(chosen)) => chosen.saturating_sub(ran),
        _ => 0,
    }
}

/// The part of the runner's list that is needed to count.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listing {
    rust_suites: std::collections::BTreeMap<String, Suite>,
}

#[derive(Deserialize)]
struct Suite {
    testcases: std::collections::BTreeMap<String, Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Case {
    filter_match: Match,
}

#[derive(Deserialize)]
struct Match {
    status: String,
}

impl Listing {
    fn matching(&self) -> u64 {
        self.rust_suites
            .values()
            .flat_map(|suite| suite.testcases.values())
            .filter(|case| case.filter_match.status == "matches")
            .map(|_| 1)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Ended;

    fn ran(stderr: &str, code: i32) -> Captured {
        Captured {
            ended: Ended::Code(code),
            stdout: String::new(),
            stderr: stderr.to_owned(),
        }
    }

    #[test]
    fn what_the_filter_left_to_the_other_stage_is_not_skipped() {
        let run = ran(
            "     Summary [   1.2s] 34 tests run: 34 passed (2 slow), 9 skipped\n",
            0,
        );
        assert_eq!(
            judge(&run).tally.to_string(),
            "34 passed, 0 failed, 0 skipped"
        );
    }

    #[test]
    fn failures_of_every_kind_count() {
        let line = "Summary [ 9s] 5/7 tests run: 2 passed, 1 failed, 1 timed out, 1 exec failed, 0 skipped";
        assert_eq!(
            judge(&ran(line, 100)).tally.to_string(),
            "2 passed, 3 failed, 2 skipped"
        );
    }

    #[test]
    fn a_runner_that_could_not_build_is_a_failure() {
        assert_eq!(judge(&ran("error: could not compile", 101)).tally.failed, 1);
        assert_eq!(
            judge(&ran("Summary [ 0s] 0 tests run: 0 passed", 0))
                .tally
                .skipped,
            1
        );
        assert_eq!(judge(&ran("no tests to run", 0)).tally.skipped, 1);
        let odd = ran("Summary [ 1s] 3 tests run: 3 passed, 0 skipped", 1);
        assert_eq!(
            judge(&odd).tally.to_string(),
            "3 passed, 1 failed, 0 skipped"
        );
    }

    #[test]
    fn a_server_is_more_than_its_clients() {
        let name = format!("xtask-server-{}", std::process::id());
        let place = std::env::temp_dir().join(name);
        let absent = has_server(&place);
        let install = |version: &str, programs: &[&str]| {
            let bin = place.join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for program in programs {
                std::fs::write(bin.join(program), "").unwrap();
            }
            has_server(&place)
        };
        let clients = install("17", &["psql"]);
        let of_no_version = install("20-old", &["initdb", "postgres"]);
        let server = install("15", &["initdb", "postgres"]);
        std::fs::remove_dir_all(&place).unwrap();
        assert_eq!(
            (absent, clients, of_no_version, server),
            (false, false, false, true)
        );
    }

    #[test]
    fn only_tests_the_filter_chose_are_counted() {
        let listing = r#"{"rust-suites":{"a::lxc":{"testcases":{
            "x":{"ignored":false,"filter-match":{"status":"matches"}},
            "y":{"ignored":false,"filter-match":{"status":"mismatch","reason":"expression"}}}}}}"#;
        let listing: Listing = serde_json::from_str(listing).unwrap();
        assert_eq!(listing.matching(), 1);
    }

    #[test]
    fn the_runner_keeps_the_same_tests_apart() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let config = std::fs::read_to_string(root.join(".config/nextest.toml")).unwrap();
        assert!(
            config.contains(&format!("filter = '{CONTAINERS}'")),
            "{config}"
        );
        assert!(
            !config.contains("retries"),
            "a test that fails once has failed"
        );
    }
}
