//! What is kept of a measurement, and its last line.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::{Bench, Figure, Measured};

/// How a measurement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The goal is reached.
    Pass,
    /// The goal is missed.
    Short,
    /// There is no figure: the measurement itself failed. Reported as short, but no control may
    /// count it as a sabotage that was seen.
    Broken,
}

/// Everything about one measurement, as it lies in target/figures.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    id: &'static str,
    shows: &'static str,
    goal: &'static str,
    value: String,
    unit: &'static str,
    verdict: Verdict,
    complaint: Option<String>,
    quick: bool,
    sabotage: bool,
    seed: String,
    seconds: f64,
    limit_seconds: u64,
    /// The commit that was measured, where there is one.
    pub(crate) commit: Option<String>,
    raw: serde_json::Value,
}

impl Record {
    /// Judges a measurement. One that took longer than its limit is short, whatever it found.
    pub(crate) fn new(
        figure: &Figure,
        bench: &Bench<'_>,
        took: Duration,
        limit: Duration,
        measured: Result<Measured>,
    ) -> Self {
        let blank = Self {
            id: figure.id,
            shows: figure.shows,
            goal: figure.goal,
            value: "none".to_owned(),
            unit: "-",
            verdict: Verdict::Broken,
            complaint: None,
            quick: bench.mode.quick,
            sabotage: bench.mode.sabotage,
            seed: bench.seed.to_string(),
            seconds: took.as_secs_f64(),
            limit_seconds: limit.as_secs(),
            commit: None,
            raw: serde_json::Value::Null,
        };
        match measured {
            Err(error) => Self {
                complaint: Some(format!("{error:#}")),
                ..blank
            },
            Ok(measured) => {
                let late = took > limit;
                let reached = measured.reached && !late;
                Self {
                    value: measured.value,
                    unit: measured.unit,
                    verdict: if reached {
                        Verdict::Pass
                    } else {
                        Verdict::Short
                    },
                    complaint: late.then(|| format!("took longer than {} s", limit.as_secs())),
                    raw: measured.raw,
                    ..blank
                }
            }
        }
    }

    /// How it ended.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why there is no figure, or why a good one does not count.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// What was measured, as the last line shows it.
    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// A control has a file of its own, so that it does not take the figure's place.
    pub(crate) fn file_name(&self) -> String {
        let control = if self.sabotage { ".sabotage" } else { "" };
        format!("{}{control}.json", self.id)
    }

    /// Writes it down.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(())
    }

    /// The line a measurement ends with.
    pub(crate) fn last_line(&self) -> String {
        let word = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Short | Verdict::Broken => "short",
        };
        format!(
            "FIGURE {} {} {} (goal {}) {word}",
            self.id, self.value, self.unit, self.goal
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Deadline;
    use crate::figures::Mode;
    use crate::place::Place;
    use crate::seed::Seed;
    use anyhow::bail;

    const SAMPLE: Figure = Figure {
        id: "T1",
        shows: "a sample",
        goal: "<= 3",
        binaries: &[],
        prepare: |_| Ok(()),
        needs_root: false,
        in_tests: false,
        full_limit: Duration::from_secs(9),
        measure: |_| bail!("not called"),
    };

    fn record(took_s: u64, measured: Result<Measured>) -> Record {
        let place = Place::discover().unwrap();
        let bench = Bench {
            place: &place,
            mode: Mode {
                quick: true,
                sabotage: true,
            },
            seed: "5".parse::<Seed>().unwrap(),
            deadline: Deadline::after(Duration::from_secs(1)),
        };
        Record::new(
            &SAMPLE,
            &bench,
            Duration::from_secs(took_s),
            Duration::from_secs(9),
            measured,
        )
    }

    fn measured(reached: bool) -> Result<Measured> {
        Ok(Measured {
            value: "2".to_owned(),
            unit: "guests",
            reached,
            raw: serde_json::json!([1, 1]),
        })
    }

    #[test]
    fn the_last_line_has_figure_unit_goal_and_verdict() {
        assert_eq!(
            record(1, measured(true)).last_line(),
            "FIGURE T1 2 guests (goal <= 3) pass"
        );
        assert_eq!(
            record(1, measured(false)).last_line(),
            "FIGURE T1 2 guests (goal <= 3) short"
        );
    }

    #[test]
    fn a_late_figure_is_short() {
        let late = record(10, measured(true));
        assert_eq!(late.verdict(), Verdict::Short);
        assert!(late.complaint().is_some());
    }

    #[test]
    fn a_broken_measurement_is_no_short_one_but_reads_like_it() {
        let broken = record(1, Err(anyhow::anyhow!("the lab did not start")));
        assert_eq!(broken.verdict(), Verdict::Broken);
        assert_eq!(broken.last_line(), "FIGURE T1 none - (goal <= 3) short");
        assert_eq!(broken.complaint(), Some("the lab did not start"));
    }

    #[test]
    fn a_control_keeps_its_record_apart() {
        assert_eq!(record(1, measured(false)).file_name(), "T1.sabotage.json");
    }
}
