//! `cargo xtask test`: the stages, what each may take, and how they are run one after the other.

mod cargo_runs;
mod deny;
mod end_to_end;
mod figures;
mod nextest;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::{Deadline, Stopwatch};
use crate::conformance;
use crate::generated::{self, schema_table};
use crate::ledger::{Entry, Ledger, Outcome, TOTAL_MINUTES};
use crate::packages::{self, Packages};
use crate::place::Place;
use crate::say;
use crate::tidy;
use crate::tools::{DENY, NEXTEST};

/// What a stage gets to work with.
pub(crate) struct Stand<'a> {
    pub(crate) place: &'a Place,
    /// When all stages together have used up their time.
    pub(crate) deadline: Deadline,
}

/// One part of `test`.
pub(crate) struct Stage {
    /// What it is called in the ledger and for `--only`.
    pub(crate) name: &'static str,
    /// What it may take on two cores from cold.
    pub(crate) minutes: u64,
    /// What it shows, for `--list`.
    pub(crate) shows: &'static str,
    /// Stages without which it cannot run.
    needs: &'static [&'static str],
    run: fn(&Stand<'_>) -> Result<Outcome>,
}

/// All stages, in order.
pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: "packages",
        minutes: 1,
        shows: "what is needed from Debian is here (installed when root)",
        needs: &[],
        run: ensure_packages,
    },
    Stage {
        name: "tools",
        minutes: 2,
        shows: "cargo-nextest and cargo-deny are here (built when absent)",
        needs: &[],
        run: ensure_tools,
    },
    Stage {
        name: "fmt",
        minutes: 1,
        shows: "every file is formatted",
        needs: &[],
        run: cargo_runs::fmt,
    },
    Stage {
        name: "tidy",
        minutes: 1,
        shows: "the dependency picture, lengths, leftovers, words, links, error codes",
        needs: &[],
        run: check_tidy,
    },
    Stage {
        name: "clippy",
        minutes: 8,
        shows: "no warning in any target, nor in the build that crashes where it is told to",
        needs: &[],
        run: cargo_runs::clippy,
    },
    Stage {
        name: "build",
        minutes: 12,
        shows: "the binary, with and without the lab, and what the quick figures need",
        needs: &[],
        run: cargo_runs::build,
    },
    Stage {
        name: "tests",
        minutes: 18,
        shows: "all tests that need no container",
        needs: &["tools"],
        run: nextest::plain,
    },
    Stage {
        name: "replay",
        minutes: 1,
        shows: "recordings of a real cluster, replayed against the emulator: all come out as recorded",
        needs: &[],
        run: replayed,
    },
    Stage {
        name: "lxc",
        minutes: 5,
        shows: "the tests with real containers, one at a time",
        needs: &["packages", "tools"],
        run: nextest::containers,
    },
    Stage {
        name: "doc",
        minutes: 2,
        shows: "the examples in the documentation",
        needs: &[],
        run: cargo_runs::doc,
    },
    Stage {
        name: "deny",
        minutes: 1,
        shows: "dependencies: bans, licences, sources, advisories",
        needs: &["tools"],
        run: deny::run,
    },
    Stage {
        name: "gen",
        minutes: 1,
        shows: "generated files are what their sources say",
        needs: &["build"],
        run: check_generated,
    },
    Stage {
        name: "figures",
        minutes: 6,
        shows: "the quick figures, and that three of them can fail",
        needs: &["packages", "build"],
        run: figures::run,
    },
    Stage {
        name: "try",
        minutes: 1,
        shows: "`try --once`: from nothing to a served page and back, simulated as nobody and real as root",
        needs: &["packages", "build"],
        run: end_to_end::run,
    },
];

/// Runs the stages named, or all; says how it went; true if nothing failed.
pub(crate) fn run(place: &Place, only: &[String]) -> Result<bool> {
    let chosen = choose(only)?;
    let stand = Stand {
        place,
        deadline: Deadline::after(Duration::from_secs(TOTAL_MINUTES * 60)),
    };
    let mut ledger = Ledger::default();
    for stage in chosen {
        say::line(format!(
            "== {} ({} min): {}",
            stage.name, stage.minutes, stage.shows
        ));
        let watch = Stopwatch::start();
        let outcome = one(stage, &stand, &ledger);
        for remark in &outcome.remarks {
            say::line(format!("   {}: {remark}", stage.name));
        }
        ledger.record(Entry {
            stage: stage.name,
            planned: Duration::from_secs(stage.minutes * 60),
            used: watch.elapsed(),
            outcome,
        });
    }
    say::line("");
    say::line(ledger.table());
    for line in ledger.failures() {
        say::line(line);
    }
    let tally = ledger.tally();
    say::line(tally);
    Ok(tally.failed == 0)
}

/// The table of `test --list`.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for stage in STAGES {
        text.push_str(&format!(
            "{:<10} {:>3} min  {}\n",
            stage.name, stage.minutes, stage.shows
        ));
    }
    let planned: u64 = STAGES.iter().map(|stage| stage.minutes).sum();
    text.push_str(&format!(
        "{:<10} {planned:>3} min  of {TOTAL_MINUTES}",
        "sum"
    ));
    text
}

fn choose(only: &[String]) -> Result<Vec<&'static Stage>> {
    for name in only {
        if !STAGES.iter().any(|stage| stage.name == name) {
            bail!("there is no stage {name:?}; `cargo xtask test --list` names them");
        }
    }
    let wanted = |stage: &&Stage| only.is_empty() || only.iter().any(|name| name == stage.name);
    Ok(STAGES.iter().filter(wanted).collect())
}

fn one(stage: &Stage, stand: &Stand<'_>, ledger: &Ledger) -> Outcome {
    if let Some(broken) = stage.needs.iter().find(|need| ledger.has_failed(need)) {
        return Outcome::skipped(format!(
            "cannot run without the stage {broken}, which failed"
        ));
    }
    if stand.deadline.remaining().is_zero() {
        return Outcome::failed(format!(
            "the {TOTAL_MINUTES} minutes of all stages are used up"
        ));
    }
    (stage.run)(stand).unwrap_or_else(|error| Outcome::failed(format!("{error:#}")))
}

fn ensure_packages(stand: &Stand<'_>) -> Result<Outcome> {
    Ok(match packages::ensure(stand.place)? {
        Packages::Present => Outcome::passed("all packages are here"),
        Packages::Installed(names) => Outcome::passed(format!("installed {}", names.join(", "))),
        Packages::Missing(advice) => Outcome::skipped(advice),
    })
}

fn ensure_tools(stand: &Stand<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for tool in [NEXTEST, DENY] {
        let remark = if tool.ensure(stand.place, stand.deadline)? {
            "built"
        } else {
            "is here"
        };
        outcome = outcome.and(Outcome::passed(format!("{} {remark}", tool.name)));
    }
    Ok(outcome)
}

fn check_tidy(stand: &Stand<'_>) -> Result<Outcome> {
    let report = tidy::run(stand.place)?;
    report.print();
    Ok(if report.is_clean() {
        Outcome::passed(report.summary())
    } else {
        Outcome::failed(report.summary())
    })
}

fn replayed(stand: &Stand<'_>) -> Result<Outcome> {
    conformance::judge(stand.place, stand.deadline)
}

fn check_generated(stand: &Stand<'_>) -> Result<Outcome> {
    let found = generated::compare(stand.place)?;
    let files = if found.stale.is_empty() {
        Outcome::passed(format!("{} generated files are current", found.count))
    } else {
        Outcome::failed(format!(
            "stale: {}; run `cargo xtask gen`",
            found.stale.join(", ")
        ))
    };
    Ok(files.and(Outcome::skipped(format!(
        "{} (its source is not in the repository; `cargo xtask check-gen --pve-schema FILE` compares it)",
        schema_table::FILE
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stages_together_plan_no_more_than_the_hour() {
        let planned: u64 = STAGES.iter().map(|stage| stage.minutes).sum();
        assert!(planned <= TOTAL_MINUTES, "{planned} minutes planned");
    }

    #[test]
    fn a_stage_needs_only_stages_before_it() {
        for (at, stage) in STAGES.iter().enumerate() {
            for need in stage.needs {
                let before = STAGES.iter().take(at).any(|earlier| earlier.name == *need);
                assert!(
                    before,
                    "{} needs {need}, which does not come before it",
                    stage.name
                );
            }
        }
    }

    #[test]
    fn an_unknown_stage_is_refused() {
        assert!(choose(&["fmt".to_owned()]).is_ok());
        assert!(choose(&["no-such".to_owned()]).is_err());
        assert_eq!(choose(&[]).unwrap().len(), STAGES.len());
    }
}
