//! Whether what a process takes grows.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// So many of a hundred samples come first, and are left out: what is kept of the database in memory is taken by then.
const WARM_PERCENT: usize = 50;
/// Fewer say nothing.
const LEAST: usize = 6;

/// What was taken at one moment.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Sample {
    pub(super) resident_kib: u64,
    pub(super) files: u64,
    pub(super) database_bytes: u64,
}

/// Samples, one after the other, as far apart.
#[derive(Debug, Default)]
pub(super) struct Trend(Vec<Sample>);

impl Trend {
    pub(super) fn add(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    fn warm(&self) -> &[Sample] {
        let cold = self.0.len() * WARM_PERCENT / 100;
        self.0.get(cold..).unwrap_or_default()
    }

    pub(super) fn is_short(&self) -> bool {
        self.warm().len() < LEAST
    }

    /// Growth over all warm samples, and the samples; between two of them so many apps came and went.
    pub(super) fn told(&self, apps: u32) -> Value {
        let warm = self.warm();
        let of = |value: fn(&Sample) -> u64| warm.iter().map(value).collect::<Vec<u64>>();
        let (memory, files) = (of(|it| it.resident_kib), of(|it| it.files));
        let database = of(|it| it.database_bytes);
        let gone = (length(&database) - 1.0) * f64::from(apps);
        json!({
            "memory_percent": percent(&memory), "more_files": grown(&files),
            "database_bytes_per_app": grown(&database) / gone, "samples": self.0,
        })
    }
}

#[allow(clippy::cast_precision_loss)] // samples are few, and far below what a double holds
fn length(values: &[u64]) -> f64 {
    values.len() as f64
}

/// By how much of their middle they grow from the first to the last, along the straight line that fits best.
fn percent(values: &[u64]) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let mean = values.iter().sum::<u64>() as f64 / length(values);
    100.0 * grown(values) / mean
}

/// By how much they grow from the first to the last, along the straight line that fits best.
#[allow(clippy::cast_precision_loss)]
fn grown(values: &[u64]) -> f64 {
    let count = length(values);
    let middle = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<u64>() as f64 / count;
    let (mut both, mut square) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let beside = at as f64 - middle;
        both += beside * (*value as f64 - mean);
        square += beside * beside;
    }
    both / square * (count - 1.0)
}

/// Memory of a process that is its own or in use, KiB (smaps_rollup).
pub(super) fn resident_kib(process: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(process.join("smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    Ok(number.context("no Rss")?.trim().parse()?)
}

/// Files, sockets and pipes that a process has open.
pub(super) fn open_files(process: &Path) -> Result<u64> {
    let count = std::fs::read_dir(process.join("fd"))?.count();
    Ok(u64::try_from(count)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_flat_does_not_grow_and_what_rises_does() {
        let near = |found: f64, wanted: f64| (found - wanted).abs() < 1e-9;
        assert!(near(grown(&[7, 7, 7, 7]), 0.0));
        assert!(near(grown(&[0, 10, 20, 30]), 30.0));
        assert!(near(grown(&[30, 20, 10, 0]), -30.0));
        assert!(near(percent(&[90, 100, 110]), 20.0));
    }

    #[test]
    fn the_beginning_does_not_count_and_a_few_samples_say_nothing() {
        let mut trend = Trend::default();
        for at in 0..11 {
            assert!(trend.is_short(), "{at}");
            let resident_kib = if at < 5 { 1 } else { 100 };
            trend.add(Sample {
                resident_kib,
                files: 4,
                database_bytes: 7_000 * at,
            });
        }
        assert!(!trend.is_short());
        let told = trend.told(2);
        assert_eq!(told["memory_percent"].as_f64(), Some(0.0));
        assert_eq!(told["more_files"].as_f64(), Some(0.0));
        let per_app = told["database_bytes_per_app"].as_f64().unwrap();
        assert!((per_app - 3_500.0).abs() < 1e-6, "{per_app}");
    }
}
