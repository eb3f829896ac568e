//! What something took of this machine.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;

/// Time on the wall and on processors.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    pub(super) processor: Duration,
}

impl Cost {
    /// This many times what the other took, wall and processor.
    pub(super) fn times(self, other: Self) -> (f64, f64) {
        (
            self.wall.as_secs_f64() / other.wall.as_secs_f64(),
            self.processor.as_secs_f64() / other.processor.as_secs_f64(),
        )
    }
}

/// What `work` took of this process, on the average of `times`.
pub(super) async fn of(times: u32, mut work: impl AsyncFnMut() -> Result<()>) -> Result<Cost> {
    let processor = processor_time(Path::new("/proc/self"))?;
    let begun = Instant::now();
    for _ in 0..times {
        work().await?;
    }
    let wall = begun.elapsed();
    let processor = processor_time(Path::new("/proc/self"))?.saturating_sub(processor);
    Ok(Cost {
        wall: wall / times,
        processor: processor / times,
    })
}

/// Time all threads of a process were on a processor (schedstat, first field, nanoseconds).
pub(super) fn processor_time(process: &Path) -> Result<Duration> {
    let mut nanos = 0_u64;
    for task in std::fs::read_dir(process.join("task"))? {
        // A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        let first = text.split_whitespace().next().context("no schedstat")?;
        nanos += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// How often its threads gave up their processor by themselves: each time something woke them before.
pub(super) fn wake_ups(process: &Path) -> Result<u64> {
    let mut all = 0;
    for task in std::fs::read_dir(process.join("task"))? {
        let Ok(text) = std::fs::read_to_string(task?.path().join("status")) else {
            continue;
        };
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        all += line.context("no switches")?.trim().parse::<u64>()?;
    }
    Ok(all)
}

/// Memory of a process that is its own or in use, KiB (smaps_rollup).
pub(super) fn resident_kib(process: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(process.join("smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    Ok(number.context("no Rss")?.trim().parse()?)
}

/// Lets the kernel forget the most memory that a process had so far.
pub(super) fn forget_most(process: &Path) -> Result<()> {
    Ok(std::fs::write(process.join("clear_refs"), "5")?)
}

/// The most memory a process had since that was forgotten, KiB (status, `VmHWM`).
pub(super) fn most_kib(process: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(process.join("status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    Ok(number.context("no VmHWM")?.trim().parse()?)
}

/// The middle one.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
