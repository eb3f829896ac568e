//! Plays simulations: many seeds, one seed that is to be looked at, or a case that was kept. `cargo xtask sim` starts it.

mod points;
mod switches;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use proximity_engine::saga::Guard;
use proximity_testkit::sim::{Many, Pairs, Play, Sum, Telling, Theme, play, rule_named, shrink};

/// As the product has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Deterministic simulation; not part of the product")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Many seeds; the last line is the verdict, as JSON.
    Many {
        #[arg(long, default_value_t = 0)]
        from: u64,
        #[arg(long)]
        count: u64,
        /// What they are about: all, or adopted.
        #[arg(long, default_value = "all", value_parser = Theme::named)]
        theme: Theme,
        #[arg(long, default_value_t = 48)]
        steps: usize,
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// None is begun after so many seconds.
        #[arg(long)]
        seconds: Option<u64>,
        /// Every so many seeds one is played twice, and its traces compared.
        #[arg(long, default_value_t = 0)]
        again_every: u64,
        /// Ends with the first finding.
        #[arg(long)]
        until_found: bool,
        /// A guard of the engine that is off.
        #[arg(long, value_parser = guard)]
        off: Option<Guard>,
    },
    /// Takes each guard off, one after the other, until a rule of its own finds it; a line of JSON for each.
    Switches {
        /// Sequences for each of them, at most.
        #[arg(long)]
        count: u64,
        #[arg(long, default_value_t = 0)]
        from: u64,
        #[arg(long, default_value_t = 48)]
        steps: usize,
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// For each of them, at most.
        #[arg(long)]
        seconds: Option<u64>,
        /// Only this one.
        #[arg(long, value_parser = guard)]
        only: Option<Guard>,
        /// A rule that finds nothing.
        #[arg(long, value_parser = rule)]
        but: Option<&'static str>,
        /// A folder of cases: a guard that shows by the one that is called by it is played no further.
        #[arg(long)]
        cases: Option<PathBuf>,
    },
    /// Pairs of sets of documents: the second one after the first, and alone; the last line is the verdict, as JSON.
    Pairs(AskedPairs),
    /// Scripts with a trap at each of their calls in turn; the last line is the verdict, as JSON.
    Points(points::Asked),
    /// The sums over the traces of these seeds, as JSON.
    Sums {
        /// The seeds.
        seeds: Vec<u64>,
        /// What they are about: all, or adopted.
        #[arg(long, default_value = "all", value_parser = Theme::named)]
        theme: Theme,
        #[arg(long, default_value_t = 48)]
        steps: usize,
    },
    /// One seed, told line by line; one that breaks a rule is made shorter and printed as a case to keep.
    One {
        #[arg(long)]
        seed: u64,
        /// What it is about: all, or adopted.
        #[arg(long, default_value = "all", value_parser = Theme::named)]
        theme: Theme,
        #[arg(long, default_value_t = 48)]
        steps: usize,
        /// Only the verdict, and the shorter case.
        #[arg(long)]
        brief: bool,
        /// A guard of the engine that is off.
        #[arg(long, value_parser = guard)]
        off: Option<Guard>,
    },
    /// A case that was kept in a file.
    Case {
        /// The file.
        file: PathBuf,
        /// A guard of the engine that is off.
        #[arg(long, value_parser = guard)]
        off: Option<Guard>,
    },
}

/// Which pairs are played.
#[derive(Args)]
struct AskedPairs {
    #[arg(long, default_value_t = 0)]
    from: u64,
    #[arg(long)]
    count: u64,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// None is begun after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Ends with the first that differs.
    #[arg(long)]
    until_found: bool,
    /// Updates leave one field out.
    #[arg(long)]
    leaves_out: bool,
}

impl From<AskedPairs> for Pairs {
    fn from(asked: AskedPairs) -> Self {
        let AskedPairs {
            from,
            count,
            threads,
            seconds,
            until_found,
            leaves_out,
        } = asked;
        Self {
            from,
            count,
            threads,
            seconds,
            until_found,
            leaves_out,
        }
    }
}

fn main() -> Result<ExitCode> {
    let holds = match Cli::parse().command {
        Command::Many {
            from,
            count,
            theme,
            steps,
            threads,
            seconds,
            again_every,
            until_found,
            off,
        } => many(Many {
            from,
            count,
            theme,
            steps,
            threads,
            seconds,
            again_every,
            until_found,
            off,
            but: None,
        })?,
        Command::Switches {
            count,
            from,
            steps,
            threads,
            seconds,
            only,
            but,
            cases,
        } => switches::run(
            only,
            cases.as_deref(),
            Many {
                from,
                count,
                theme: Theme::All,
                steps,
                threads,
                seconds,
                again_every: 0,
                until_found: true,
                off: None,
                but,
            },
        )?,
        Command::Pairs(asked) => pairs(asked.into())?,
        Command::Points(asked) => points::run(&asked)?,
        Command::Sums {
            seeds,
            theme,
            steps,
        } => sums(&seeds, theme, steps)?,
        Command::One {
            seed,
            theme,
            steps,
            brief,
            off,
        } => one(&Play::draw(theme, seed, steps).without(off), brief)?,
        Command::Case { file, off } => one(&kept(&file)?.without(off), false)?,
    };
    Ok(ExitCode::from(u8::from(!holds)))
}

fn guard(label: &str) -> Result<Guard, String> {
    let mut guards = Guard::ALL.into_iter();
    let names = || Guard::ALL.map(Guard::label).join(", ");
    let found = guards.find(|guard| guard.label() == label);
    found.ok_or_else(|| format!("the guards are {}", names()))
}

fn rule(name: &str) -> Result<&'static str, String> {
    rule_named(name).ok_or_else(|| format!("no guard is found by a rule {name:?}"))
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
}

/// The case in a file.
fn kept(file: &Path) -> Result<Play> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn many(many: Many) -> Result<bool> {
    let verdict = many.play().map_err(anyhow::Error::msg)?;
    say(&serde_json::to_string(&verdict)?)?;
    Ok(true)
}

fn pairs(pairs: Pairs) -> Result<bool> {
    let verdict = pairs.play().map_err(anyhow::Error::msg)?;
    say(&serde_json::to_string(&verdict)?)?;
    Ok(true)
}

fn sums(seeds: &[u64], theme: Theme, steps: usize) -> Result<bool> {
    let mut sums = Vec::new();
    for seed in seeds {
        let outcome = play(&Play::draw(theme, *seed, steps), Telling::Sum);
        let sum = outcome.map_err(anyhow::Error::msg)?.sum;
        let (sum, _) = sum.context("nothing was told")?;
        sums.push(Sum { seed: *seed, sum });
    }
    say(&serde_json::to_string(&sums)?)?;
    Ok(true)
}

/// True if no rule was broken.
fn one(whole: &Play, brief: bool) -> Result<bool> {
    let telling = if brief { Telling::Sum } else { Telling::Lines };
    let outcome = play(whole, telling).map_err(anyhow::Error::msg)?;
    if !brief {
        say(outcome.trace.trim_end())?;
    }
    let (sum, lines) = outcome.sum.context("nothing was told")?;
    let acts = outcome.acts;
    let told = format!(
        "seed {}: {acts} acts, {lines} lines, sum {sum:016x}",
        whole.seed
    );
    let Some(first) = outcome.violations.first() else {
        say(&format!("{told}: no rule was broken"))?;
        return Ok(true);
    };
    let short = shrink(whole, first.rule).map_err(anyhow::Error::msg)?;
    say(&format!(
        "a shorter case, to be kept in fixtures/sim if it is mended:\n{}",
        serde_json::to_string(&short)?
    ))?;
    for found in &outcome.violations {
        say(&format!(
            "{} at {} ms: {}",
            found.rule, found.at_ms, found.what
        ))?;
    }
    say(&format!("{told}: {} violations", outcome.violations.len()))?;
    Ok(false)
}
