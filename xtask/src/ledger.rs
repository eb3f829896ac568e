//! The minutes each stage of `test` may take, and what it really took.

use std::fmt;
use std::time::Duration;

/// What all stages together may plan, in minutes.
pub(crate) const TOTAL_MINUTES: u64 = 60;

/// What a remark on something that was found wanting begins with.
const FAILED: &str = "FAILED: ";

/// How many things were judged, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

/// What a stage comes back with: its counts, and sentences for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) remarks: Vec<String>,
}

/// One line of the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) stage: &'static str,
    pub(crate) planned: Duration,
    pub(crate) used: Duration,
    pub(crate) outcome: Outcome,
}

/// All stages that ran, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
}

impl Tally {
    /// The sum of two.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Outcome {
    /// One thing was judged and found good.
    pub(crate) fn passed(remark: impl Into<String>) -> Self {
        Self::one(
            Tally {
                passed: 1,
                ..Tally::default()
            },
            remark.into(),
        )
    }

    /// One thing was judged and found wanting.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::one(
            Tally {
                failed: 1,
                ..Tally::default()
            },
            format!("{FAILED}{}", why.into()),
        )
    }

    /// One thing could not be judged here. Never counted as passed.
    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self::many_skipped(1, why)
    }

    /// Several things could not be judged here.
    pub(crate) fn many_skipped(count: u64, why: impl Into<String>) -> Self {
        Self::one(
            Tally {
                skipped: count,
                ..Tally::default()
            },
            format!("SKIPPED ({count}): {}", why.into()),
        )
    }

    /// Adds what another part found.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.tally = self.tally.plus(other.tally);
        self.remarks.extend(other.remarks);
        self
    }

    fn one(tally: Tally, remark: String) -> Self {
        Self {
            tally,
            remarks: vec![remark],
        }
    }
}

impl Entry {
    /// A stage over its minutes is a failure of its own, however well it ended.
    fn is_over(&self) -> bool {
        self.used > self.planned
    }

    fn tally(&self) -> Tally {
        let over = Tally {
            failed: u64::from(self.is_over()),
            ..Tally::default()
        };
        self.outcome.tally.plus(over)
    }

    fn verdict(&self) -> &'static str {
        let tally = self.tally();
        if self.is_over() {
            "OVER BUDGET"
        } else if tally.failed > 0 {
            "FAILED"
        } else if tally.skipped > 0 {
            "skipped in part"
        } else {
            "ok"
        }
    }
}

impl Ledger {
    /// Writes one stage down.
    pub(crate) fn record(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// True if this stage was written down with a failure.
    pub(crate) fn has_failed(&self, stage: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.stage == stage && entry.outcome.tally.failed > 0)
    }

    /// The counts of all stages, budgets included.
    pub(crate) fn tally(&self) -> Tally {
        self.entries
            .iter()
            .map(Entry::tally)
            .fold(Tally::default(), Tally::plus)
    }

    /// What failed, a line each with its stage: the last thing that is printed, so that a log of which only the end was kept
    /// still says it.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in &self.entries {
            let remarks = entry.outcome.remarks.iter();
            let failed = remarks.filter(|remark| remark.starts_with(FAILED));
            lines.extend(failed.map(|remark| format!("{}: {remark}", entry.stage)));
            if entry.is_over() {
                let (used, planned) = (clock(entry.used), clock(entry.planned));
                lines.push(format!("{}: {FAILED}{used} of {planned} min", entry.stage));
            }
        }
        lines
    }

    /// The table for people: a line per stage, planned and used, then the sum.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<10} {:>8} {:>8}  result\n", "stage", "planned", "used");
        for entry in &self.entries {
            text.push_str(&row(entry.stage, entry.planned, entry.used));
            text.push_str(&format!("  {} ({})\n", entry.verdict(), entry.tally()));
        }
        let planned = self.entries.iter().map(|entry| entry.planned).sum();
        let used = self.entries.iter().map(|entry| entry.used).sum();
        text.push_str(&row("sum", planned, used));
        text.push_str(&format!("  of {TOTAL_MINUTES} min"));
        text
    }
}

fn row(name: &str, planned: Duration, used: Duration) -> String {
    format!("{name:<10} {:>8} {:>8}", clock(planned), clock(used))
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stage: &'static str, planned_s: u64, used_s: u64, outcome: Outcome) -> Entry {
        Entry {
            stage,
            planned: Duration::from_secs(planned_s),
            used: Duration::from_secs(used_s),
            outcome,
        }
    }

    #[test]
    fn a_stage_over_its_minutes_fails_the_run() {
        let mut ledger = Ledger::default();
        ledger.record(entry("fmt", 60, 61, Outcome::passed("formatted")));
        assert_eq!(ledger.tally().to_string(), "1 passed, 1 failed, 0 skipped");
        assert!(ledger.table().contains("OVER BUDGET"), "{}", ledger.table());
    }

    #[test]
    fn the_end_of_the_log_names_what_failed_and_nothing_else() {
        let mut ledger = Ledger::default();
        ledger.record(entry("fmt", 60, 61, Outcome::passed("formatted")));
        let figures = Outcome::passed("R1").and(Outcome::failed("R2 is short of its goal"));
        ledger.record(entry("figures", 60, 1, figures));
        assert_eq!(
            ledger.failures(),
            [
                "fmt: FAILED: 1:01 of 1:00 min",
                "figures: FAILED: R2 is short of its goal"
            ]
        );
    }

    #[test]
    fn skipped_is_counted_apart_and_shown() {
        let mut ledger = Ledger::default();
        ledger.record(entry("lxc", 60, 1, Outcome::many_skipped(7, "needs root")));
        assert_eq!(ledger.tally().to_string(), "0 passed, 0 failed, 7 skipped");
        assert!(ledger.table().contains("skipped in part"));
        assert!(!ledger.has_failed("lxc"));
    }

    #[test]
    fn the_table_shows_planned_used_and_sum() {
        let mut ledger = Ledger::default();
        ledger.record(entry("fmt", 60, 5, Outcome::passed("formatted")));
        ledger.record(entry("build", 600, 125, Outcome::failed("broken")));
        let table = ledger.table();
        assert!(
            table.contains("build         10:00     2:05  FAILED"),
            "{table}"
        );
        assert!(
            table.contains("sum           11:00     2:10  of 60 min"),
            "{table}"
        );
        assert!(ledger.has_failed("build"));
    }
}
