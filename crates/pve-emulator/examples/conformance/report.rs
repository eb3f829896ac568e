//! Runs all scenarios of a folder and tells what differs.

use crate::against::Against;
use crate::arguments::Arguments;
use crate::emulated::Emulated;
use crate::ground::Ground;
use crate::replay::{Replay, Verdict};
use crate::scenario::{self, Scenario};
use crate::server::Server;
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

fn outcome_of(scenario: &Scenario, unsupported: Option<String>) -> Outcome {
    Outcome {
        name: scenario.name().to_owned(),
        verdicts: Vec::new(),
        broken: None,
        unsupported,
    }
}

/// Replays one scenario against a fresh emulator.
fn replay(scenario: &Scenario) -> Outcome {
    let mut outcome = outcome_of(scenario, scenario.unsupported().map(str::to_owned));
    if outcome.unsupported.is_none() {
        let mut server = Emulated::new(scenario);
        match setup::prepare(&mut server, scenario) {
            Err(error) => outcome.broken = Some(error),
            Ok(prepared) => send(scenario, &mut server, prepared, &mut outcome),
        }
    }
    outcome
}

/// Replays one scenario against a server that is there already, and removes what it made.
fn replay_against(scenario: &Scenario, server: &mut Against) -> Result<Outcome, String> {
    let unsupported = match scenario.unsupported() {
        Some(why) => Some(why.to_owned()),
        None => Ground::new(server).unfit(scenario)?,
    };
    let mut outcome = outcome_of(scenario, unsupported);
    if outcome.unsupported.is_some() {
        return Ok(outcome);
    }
    let before = Ground::new(server).look(scenario)?;
    match setup::prepare(server, scenario) {
        Err(error) => outcome.unsupported = Some(format!("it cannot be set up here: {error}")),
        Ok(prepared) => send(scenario, server, prepared, &mut outcome),
    }
    let cleaned = Ground::new(server).clean(scenario, &before);
    cleaned.map_err(|e| format!("after {} the server was not cleaned: {e}", outcome.name))?;
    Ok(outcome)
}

fn send(
    scenario: &Scenario,
    server: &mut dyn Server,
    prepared: setup::Prepared,
    outcome: &mut Outcome,
) {
    let mut replay = Replay::new(scenario, server, prepared);
    outcome.broken = replay.run().err();
    outcome.verdicts = replay.verdicts;
}

/// How many scenarios and steps came out as recorded.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub scenarios: usize,
    right: usize,
    steps: usize,
    pub left_out: usize,
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
pub fn run(arguments: Arguments) -> Result<Tally, String> {
    let Arguments {
        folder,
        only,
        verbose,
        against,
    } = arguments;
    let mut against = against.map(Against::new).transpose()?;
    if let Some(server) = &mut against {
        Ground::new(server).check_empty()?;
    }
    let mut tally = Tally::default();
    for path in scenario::list(&folder)? {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !only.is_empty() && !only.contains(&name) {
            continue;
        }
        let scenario = Scenario::load(&path)?;
        let outcome = match &mut against {
            None => replay(&scenario),
            Some(server) => replay_against(&scenario, server)?,
        };
        if let Some(why) = &outcome.unsupported {
            println!("SKIPPED {name}: {why}");
            tally.left_out += 1;
            continue;
        }
        let total = scenario.steps().len();
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
