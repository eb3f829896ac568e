//! Runs all scenarios of a folder and tells what differs.

use std::path::Path;

use crate::emulated::Emulated;
use crate::replay::{Replay, Verdict};
use crate::scenario::{self, Scenario};
use crate::setup;

/// Longest difference that is printed whole, characters.
const LINE_CHARS: usize = 400;

/// What became of one scenario.
pub struct Outcome {
    pub name: String,
    pub verdicts: Vec<Verdict>,
    /// Why it could not be replayed to its end.
    pub broken: Option<String>,
    /// Why it was left out as a whole.
    pub unsupported: Option<String>,
}

impl Outcome {
    pub fn passes(&self) -> bool {
        self.broken.is_none()
            && self
                .verdicts
                .iter()
                .all(|verdict| verdict.differences.is_empty())
    }

    fn right(&self) -> usize {
        let right =
            |verdict: &&Verdict| verdict.differences.is_empty() && verdict.skipped.is_none();
        self.verdicts.iter().filter(right).count()
    }
}

/// Replays one scenario against a fresh emulator.
pub fn replay(path: &Path) -> Result<Outcome, String> {
    let scenario = Scenario::load(path)?;
    let mut outcome = Outcome {
        name: scenario.name().to_owned(),
        verdicts: Vec::new(),
        broken: None,
        unsupported: scenario.unsupported().map(str::to_owned),
    };
    if outcome.unsupported.is_some() {
        return Ok(outcome);
    }
    let mut server = Emulated::new(&scenario);
    match setup::prepare(&mut server, &scenario) {
        Err(error) => outcome.broken = Some(error),
        Ok(prepared) => {
            let mut replay = Replay::new(&scenario, &mut server, prepared);
            outcome.broken = replay.run().err();
            outcome.verdicts = replay.verdicts;
        }
    }
    Ok(outcome)
}

/// How many scenarios and steps came out as recorded.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub scenarios: usize,
    right: usize,
    steps: usize,
    left_out: usize,
}

impl Tally {
    pub fn is_whole(&self) -> bool {
        self.scenarios > 0 && self.passed == self.scenarios
    }

    fn add(&mut self, outcome: &Outcome, steps: usize) {
        self.scenarios += 1;
        self.passed += usize::from(outcome.passes());
        self.right += outcome.right();
        self.steps += steps;
    }

    fn print(&self) {
        let Self {
            passed,
            scenarios,
            right,
            steps,
            left_out,
        } = self;
        let verdict = if self.is_whole() { "pass" } else { "short" };
        println!(
            "FIGURE conformance {passed}/{scenarios} scenarios (goal {scenarios}/{scenarios}; steps {right}/{steps}; \
             left out {left_out}) {verdict}"
        );
    }
}

/// Replays all and prints the result.
pub fn run(folder: &Path, only: &[String], verbose: bool) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for path in scenario::list(folder)? {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !only.is_empty() && !only.contains(&name) {
            continue;
        }
        let outcome = replay(&path)?;
        if let Some(why) = &outcome.unsupported {
            println!("{name}: left out: {why}");
            tally.left_out += 1;
            continue;
        }
        let total = Scenario::load(&path)?.steps().len();
        let skipped = outcome
            .verdicts
            .iter()
            .filter(|verdict| verdict.skipped.is_some())
            .count();
        let word = if outcome.passes() { "pass" } else { "FAIL" };
        println!(
            "{word} {name}: {}/{} steps",
            outcome.right(),
            total - skipped
        );
        print(&outcome, verbose);
        tally.add(&outcome, total - skipped);
    }
    tally.print();
    Ok(tally)
}

fn print(outcome: &Outcome, verbose: bool) {
    if let Some(error) = &outcome.broken {
        println!("    broken off: {error}");
    }
    for verdict in &outcome.verdicts {
        if let Some(why) = &verdict.skipped {
            println!("    step {} left out: {why}", verdict.number);
        }
        for place in &verdict.left_out {
            println!("    step {} not compared: {place}", verdict.number);
        }
        if verdict.differences.is_empty() {
            continue;
        }
        println!(
            "    step {} {}",
            verdict.number,
            shortened(&verdict.title, verbose)
        );
        for difference in &verdict.differences {
            println!("        {}", shortened(difference, verbose));
        }
    }
}

fn shortened(text: &str, verbose: bool) -> String {
    if verbose || text.chars().count() <= LINE_CHARS {
        return text.to_owned();
    }
    let start: String = text.chars().take(LINE_CHARS).collect();
    format!("{start}…")
}
