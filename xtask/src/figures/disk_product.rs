//! R18, the program as it is: few files that it may open, and a log file without space.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::disk_full::{PLAN_BYTES, on_small_disk};
use super::{Bench, Binary, disk_shim};
use crate::invocation::Invocation;

/// Where the ports of the first installation begin, and how many each has.
const PORTS: (usize, usize) = (20_000, 100);

/// What troubles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may have 32 files open.
    Files,
    /// Writes to its log file fail for want of space.
    Log,
    /// The file system of its log file is filled for real.
    FilledLog,
}

/// Modes and how often each is tried.
pub(super) fn cases(quick: bool, is_root: bool) -> Vec<(&'static str, u64)> {
    let of = |trouble: Trouble, quickly, fully| {
        let count = if quick { quickly } else { fully };
        (trouble.mode(), count)
    };
    let mut cases = vec![of(Trouble::Files, 3, 24), of(Trouble::Log, 2, 15)];
    if is_root {
        cases.push(of(Trouble::FilledLog, 2, 8));
    }
    cases
}

impl Trouble {
    fn mode(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Log => "log",
            Self::FilledLog => "filled-log",
        }
    }

    pub(super) fn of(mode: &str) -> Option<Self> {
        let all = [Self::Files, Self::Log, Self::FilledLog];
        all.into_iter().find(|trouble| trouble.mode() == mode)
    }

    /// Runs `cases` in `folder`; gives the verdict.
    pub(super) fn measure(
        self,
        bench: &Bench<'_>,
        folder: &Path,
        number: usize,
        cases: usize,
    ) -> Result<Value> {
        let log = folder.join("log");
        std::fs::create_dir(&log)?;
        let plan = folder.join("plan");
        std::fs::write(&plan, [0; PLAN_BYTES])?;
        let binary = Binary::Figures.path(bench.place);
        let program = match self {
            Self::Files => Invocation::new(binary).args(["disk", "files"]),
            Self::Log => Invocation::new(binary)
                .args(["disk", "log", "--shim"])
                .arg(disk_shim::path(bench.place)),
            Self::FilledLog => on_small_disk("256k", &log)
                .arg(binary)
                .args(["disk", "log"]),
        };
        let program = match self {
            Self::Files => program,
            Self::Log | Self::FilledLog => program.arg("--log").arg(&log).arg("--plan").arg(&plan),
        };
        let port = PORTS.0 + number * PORTS.1;
        let answer = program
            .arg("--program")
            .arg(Binary::Plain.path(bench.place))
            .arg("--dir")
            .arg(folder)
            .args(["--cases", &cases.to_string(), "--port", &port.to_string()])
            .until(bench.deadline)
            .capture(bench.place.root())?
            .expect_success("the program in trouble")?;
        let last = answer.lines().last().unwrap_or_default();
        serde_json::from_str(last).context("reading the verdict")
    }
}
