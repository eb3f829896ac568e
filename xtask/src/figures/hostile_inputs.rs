//! R26 for documents of desired state and answers of Proxmox VE: hostile inputs end well, cost little, and what is wrong has a place.
//!
//! The programs read one input after the other and say of each what it took; what may be taken is decided here. A program that
//! dies does so of the input that it has not told of, and goes on behind that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::{Captured, Ended, Invocation};
use crate::place::Place;
use crate::say;

const MOST_MS: f64 = 100.0;
/// 64 MB.
const MOST_KIB: u64 = 62_500;
/// What a program gets at most, lest what has no limits takes the machine with it: its address space in KiB, and its processor
/// time in seconds, in the control less, where it is used up more than once.
const SPACE_KIB: u64 = 1 << 20;
const PROCESSOR_S: u64 = 30;
const PROCESSOR_SABOTAGED_S: u64 = 4;
/// Inputs of one process; what one of them leaves behind counts for those after it.
const CHUNK: u64 = 250;
/// Of so many drawn documents one at least has to be malformed.
const DRAWN_FOR_ONE: u64 = 10;
/// Faults that are told, and after which no more are looked for.
const TOLD: usize = 10;
const ENOUGH: usize = 500;

pub(super) const FIGURE: Figure = Figure {
    id: "R26",
    shows: "hostile inputs: malformed documents made from good ones by chance, aliases and depths and sizes made to hurt, answers of Proxmox VE that were spoilt; faults are panics, ends of the program, what takes too long or too much, and problems of documents without line and column in the text; the slowest and the largest",
    goal: "0 faults in 10,000 malformed documents and as many answers (quick: 1,000), <= 100 ms and <= 64 MB each",
    binaries: &[
        Binary::ManifestFigures,
        Binary::UnlimitedManifests,
        Binary::AnswerFigures,
    ],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(600),
    measure,
};

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

fn measure(bench: &Bench<'_>) -> Result<Measured> {
    let wanted = match (bench.mode.sabotage, bench.mode.quick) {
        (true, _) => 50,
        (false, true) => 1_000,
        (false, false) => 10_000,
    };
    let (mut documents, mut answers) = (Sum::default(), Sum::default());
    if bench.mode.sabotage {
        let program = Program::new(bench, Binary::UnlimitedManifests);
        program.made(&mut documents, false)?;
        program.drawn(&mut documents, wanted, |sum| sum.refused)?;
        documents.tell("documents");
        seen(&documents)?;
    } else {
        let program = Program::new(bench, Binary::ManifestFigures);
        program.made(&mut documents, true)?;
        program.drawn(&mut documents, wanted, |sum| sum.refused)?;
        let program = Program::new(bench, Binary::AnswerFigures);
        program.made(&mut answers, false)?;
        program.drawn(&mut answers, wanted, |sum| sum.drawn)?;
        documents.tell("documents");
        answers.tell("answers");
    }
    let faults = documents.faults.len() + answers.faults.len();
    let slowest = documents.slowest_ms.max(answers.slowest_ms);
    let largest = documents.largest_kib.max(answers.largest_kib);
    Ok(Measured {
        value: format!(
            "{faults}/{}/{}/{slowest:.1} ms/{} MB",
            documents.cases,
            answers.cases,
            largest * 1024 / 1_000_000
        ),
        unit: "faults/documents/answers/slowest/largest",
        reached: faults == 0,
        raw: json!({ "documents": documents.raw(), "answers": answers.raw() }),
    })
}

/// Each limit of the reader, and an input that hurts without it: by its time, its memory, or the end of the program.
const LIMITS: [(&str, &str); 4] = [
    ("bytes of a text", "large-documents"),
    ("depth", "deeper"),
    ("fields and values", "bomb"),
    ("what aliases stand for", "bomb-of-text"),
];

/// In the control each part has to see its own: each limit that is off, moved places, and a panic.
fn seen(sum: &Sum) -> Result<()> {
    for (limit, name) in LIMITS {
        if !sum.hurt.contains(name) {
            bail!("without a limit for {limit} {name} hurts nobody");
        }
    }
    let unseen = |kind: &str| !sum.kinds.contains_key(kind);
    if unseen(MISPLACED) || unseen(PANICKED) {
        bail!("places that were moved, or a panic, are not seen");
    }
    Ok(())
}

const MISPLACED: &str = "misplaced";
const PANICKED: &str = "panicked";
const DIED: &str = "died";
const LATE: &str = "late";
const LARGE: &str = "large";
const TAKEN: &str = "taken";

/// What came of inputs.
#[derive(Default)]
struct Sum {
    cases: u64,
    drawn: u64,
    /// Of those that were drawn.
    refused: u64,
    problems: u64,
    slowest_ms: f64,
    largest_kib: u64,
    faults: Vec<String>,
    kinds: BTreeMap<&'static str, u64>,
    /// Inputs that took too much, or of which the program died.
    hurt: BTreeSet<String>,
}

impl Sum {
    fn fault(&mut self, name: &str, kind: &'static str, what: &str) {
        self.faults.push(format!("{name}: {kind}: {what}"));
        *self.kinds.entry(kind).or_default() += 1;
        if [DIED, LATE, LARGE].contains(&kind) {
            self.hurt.insert(name.to_owned());
        }
    }

    /// A program ended at this input.
    fn died(&mut self, name: &str, ended: Ended) {
        self.cases += 1;
        self.fault(name, DIED, &ended.describe());
    }

    /// Takes in what a program told of an input; true if that was refused.
    fn take(&mut self, told: &Value) -> Result<bool> {
        let name = told["case"].as_str().context("a case without a name")?;
        let ms = told["ms"].as_f64().context("a case without its time")?;
        let kib = told["kib"].as_u64().context("a case without its memory")?;
        self.cases += 1;
        self.problems += told["problems"].as_u64().unwrap_or(0);
        self.slowest_ms = self.slowest_ms.max(ms);
        self.largest_kib = self.largest_kib.max(kib);
        if told["panicked"] != false {
            self.fault(name, PANICKED, "see its output");
        }
        if ms > MOST_MS {
            self.fault(name, LATE, &format!("{ms:.1} ms"));
        }
        if kib > MOST_KIB {
            self.fault(name, LARGE, &format!("{kib} KiB"));
        }
        if let Some(what) = told["misplaced"].as_str() {
            self.fault(name, MISPLACED, what);
        }
        Ok(told["refused"] == true)
    }

    fn tell(&self, what: &str) {
        for fault in self.faults.iter().take(TOLD) {
            say::note(format!("R26: {fault}"));
        }
        say::note(format!(
            "R26: {} {what}, {} problems told, {} faults {:?}, slowest {:.1} ms, largest {} KiB",
            self.cases,
            self.problems,
            self.faults.len(),
            self.kinds,
            self.slowest_ms,
            self.largest_kib
        ));
    }

    fn raw(&self) -> Value {
        json!({
            "cases": self.cases, "drawn": self.drawn, "drawn_refused": self.refused, "problems": self.problems,
            "slowest_ms": self.slowest_ms, "largest_kib": self.largest_kib, "kinds": self.kinds,
            "faults": self.faults.iter().take(100).collect::<Vec<_>>(),
        })
    }
}

/// A program that reads inputs.
struct Program<'a> {
    bench: &'a Bench<'a>,
    binary: Binary,
}

impl<'a> Program<'a> {
    fn new(bench: &'a Bench<'a>, binary: Binary) -> Self {
        Self { bench, binary }
    }

    /// Reads those that were made by hand, each in a process of its own.
    fn made(&self, sum: &mut Sum, all_are_refused: bool) -> Result<()> {
        let names = self.run(&["list"])?.expect_success("naming inputs")?;
        for name in names.lines() {
            let said = self.run(&["one", name])?;
            let told = told(&said)?;
            let Some(told) = told.first() else {
                sum.died(name, said.ended);
                continue;
            };
            if !sum.take(told)? && all_are_refused {
                sum.fault(name, TAKEN, "it was not refused");
            }
        }
        Ok(())
    }

    /// Reads drawn ones until there are as many as wanted of those that count, or enough is wrong.
    fn drawn(&self, sum: &mut Sum, wanted: u64, counted: impl Fn(&Sum) -> u64) -> Result<()> {
        while counted(sum) < wanted && sum.faults.len() < ENOUGH {
            if sum.drawn > wanted.saturating_mul(DRAWN_FOR_ONE) {
                bail!("of {} drawn inputs only {} count", sum.drawn, counted(sum));
            }
            let missing = wanted - counted(sum);
            self.chunk(sum, missing.min(CHUNK))?;
        }
        Ok(())
    }

    /// Reads the next drawn ones; fewer, if the program dies of one.
    fn chunk(&self, sum: &mut Sum, count: u64) -> Result<()> {
        let (seed, from) = (self.bench.seed.to_string(), sum.drawn.to_string());
        let said = self.run(&["drawn", &seed, &from, &count.to_string()])?;
        let told = told(&said)?;
        for one in &told {
            let refused = sum.take(one)?;
            sum.drawn += 1;
            sum.refused += u64::from(refused);
        }
        if (told.len() as u64) < count {
            sum.died(&format!("drawn {}", sum.drawn), said.ended);
            sum.drawn += 1;
        }
        Ok(())
    }

    fn run(&self, words: &[&str]) -> Result<Captured> {
        let seconds = match self.bench.mode.sabotage {
            true => PROCESSOR_SABOTAGED_S,
            false => PROCESSOR_S,
        };
        let limits =
            format!("ulimit -c 0; ulimit -v {SPACE_KIB}; ulimit -t {seconds}; exec \"$@\"");
        let said = Invocation::new("sh")
            .args(["-c", &limits, "limited"])
            .arg(self.binary.path(self.bench.place))
            .args(words)
            .until(self.bench.deadline)
            .capture(self.bench.place.root())?;
        if said.ended == Ended::TimedOut {
            bail!("{} ran out of time", words.join(" "));
        }
        Ok(said)
    }
}

/// What a program told of inputs, as far as it came.
fn told(said: &Captured) -> Result<Vec<Value>> {
    let lines = said.stdout.lines();
    let lines = lines.map(|line| serde_json::from_str(line).context("reading what was told"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(change: &dyn Fn(&mut Value)) -> Sum {
        let mut told = json!({
            "case": "drawn 1", "ms": 1.0, "kib": 5_000, "alone": true, "panicked": false,
            "refused": true, "problems": 2, "misplaced": null,
        });
        change(&mut told);
        let mut sum = Sum::default();
        assert!(sum.take(&told).unwrap());
        sum
    }

    #[test]
    fn each_kind_of_fault_is_one() {
        assert_eq!(of(&|_| {}).faults, Vec::<String>::new());
        for (field, value, kind) in [
            ("panicked", json!(true), PANICKED),
            ("ms", json!(100.5), LATE),
            ("kib", json!(62_501), LARGE),
            ("misplaced", json!("x.yaml:9:1: …"), MISPLACED),
        ] {
            let sum = of(&|told| told[field] = value.clone());
            assert_eq!(sum.kinds, BTreeMap::from([(kind, 1)]), "{field}");
        }
    }

    #[test]
    fn a_control_that_leaves_one_part_unseen_is_none() {
        let mut sum = Sum::default();
        for (_, name) in LIMITS {
            sum.died(name, Ended::Signal(9));
        }
        sum.fault("drawn 1", MISPLACED, "x");
        assert!(seen(&sum).is_err());
        sum.fault("panic", PANICKED, "x");
        assert!(seen(&sum).is_ok());
        sum.hurt.remove("bomb");
        assert!(seen(&sum).is_err());
        // That its place is wrong is not what hurts.
        sum.fault("bomb", MISPLACED, "x");
        assert!(seen(&sum).is_err());
    }
}
