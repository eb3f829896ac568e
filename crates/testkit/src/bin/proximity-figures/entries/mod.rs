//! Entries of the catalog that are spoilt, and what is told of each: that it is refused, with a code, a place in its text, and a reason
//! that names a field.

mod spoil;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, ensure};
use proximity_engine::catalog::{Catalog, EntryProblem, lint_text, tree};
use serde::Serialize;
use serde_json::Value;

use crate::draw::Draw;
use crate::say;
use crate::verdict;

/// What the text is called.
const FILE: &str = "app.yaml";

/// `proximity-figures entries`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Entries that are spoilt
    #[arg(long)]
    count: usize,
    /// All chance comes from here
    #[arg(long)]
    seed: u64,
    /// The control: they are looked at without the rule for ports of shipped entries
    #[arg(long)]
    sabotage: bool,
}

/// A good entry.
pub(crate) struct Good {
    /// Its file.
    pub(crate) text: String,
    /// The same as a tree.
    pub(crate) tree: Value,
}

/// What came of all of them.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    cases: usize,
    refused: usize,
    accepted: usize,
    panicked: usize,
    /// Of refused ones: something that is told has no place in the text.
    misplaced: usize,
    /// Of refused ones: something that is told names no field, or has no hint.
    unnamed: usize,
    /// How often each code was told first.
    by_code: BTreeMap<String, usize>,
    /// How often each way to spoil one was drawn.
    by_way: BTreeMap<&'static str, usize>,
    told: Vec<String>,
}

/// Spoils them and prints what was told.
pub(crate) fn run(args: &Args) -> Result<()> {
    let good = good()?;
    let mut draw = Draw::seeded(args.seed);
    let (mut verdict, mut faults) = (Verdict::default(), Vec::new());
    while verdict.cases < args.count {
        let at = draw.below(good.len());
        let entry = good.get(at).context("no entry")?;
        // Not every way fits every entry.
        let Some((way, text)) = spoil::spoilt(entry, &mut draw) else {
            continue;
        };
        verdict.cases += 1;
        *verdict.by_way.entry(way).or_default() += 1;
        let case = format!("{} ({way})", verdict.cases);
        judge(&case, &text, !args.sabotage, &mut verdict, &mut faults);
    }
    verdict.told = verdict::told(&faults).to_vec();
    say::line(&serde_json::to_string(&verdict)?)?;
    Ok(())
}

/// The shipped entries, each of which is right as it is and as the tree that is spoilt.
fn good() -> Result<Vec<Good>> {
    let catalog = Catalog::load(&[]).context("the shipped entries")?;
    let mut all = Vec::new();
    for one in catalog.all() {
        let text = one.revision.text.clone();
        let tree = tree(&text).context("an entry that is no tree")?;
        for written in [text.as_str(), &spoil::written(&tree)] {
            let told = lint_text(FILE, written, true);
            ensure!(told.is_empty(), "{} is not right: {told:?}", one.entry.id);
        }
        all.push(Good { text, tree });
    }
    Ok(all)
}

fn judge(
    case: &str,
    text: &str,
    as_shipped: bool,
    verdict: &mut Verdict,
    faults: &mut Vec<String>,
) {
    let told = catch_unwind(AssertUnwindSafe(|| lint_text(FILE, text, as_shipped)));
    let Ok(told) = told else {
        verdict.panicked += 1;
        return faults.push(format!("{case}: it panicked"));
    };
    let Some(first) = told.first() else {
        verdict.accepted += 1;
        return faults.push(format!("{case}: it was accepted"));
    };
    verdict.refused += 1;
    *verdict
        .by_code
        .entry(first.code.label().to_owned())
        .or_default() += 1;
    if let Some(one) = told.iter().find(|one| !is_placed(one, text)) {
        verdict.misplaced += 1;
        faults.push(format!("{case}: no place in the text: {one}"));
    }
    if let Some(one) = told.iter().find(|one| !is_named(one)) {
        verdict.unnamed += 1;
        faults.push(format!("{case}: no field or hint: {one}"));
    }
}

/// A line of the text, and a column on it or right behind its end.
fn is_placed(problem: &EntryProblem, text: &str) -> bool {
    let (Some(line), Some(column)) = (problem.line, problem.column) else {
        return false;
    };
    let at = usize::try_from(line)
        .ok()
        .and_then(|line| line.checked_sub(1));
    // What ends too early is told behind the last line.
    let mut lines = text.lines().chain(std::iter::once(""));
    let width = at.and_then(|at| lines.nth(at)).map(|on| on.chars().count());
    let column = usize::try_from(column).unwrap_or(usize::MAX);
    width.is_some_and(|width| (1..=width + 1).contains(&column))
}

/// A name in back quotes, or the entry as a whole.
fn is_named(problem: &EntryProblem) -> bool {
    let message = &problem.message;
    let names = message.contains('`') || message.starts_with("the entry ");
    names && !problem.hint.is_empty()
}
