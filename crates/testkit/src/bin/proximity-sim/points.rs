//! `points`: scripts with a trap at each of their calls in turn.

use anyhow::Result;
use clap::Args;
use proximity_engine::saga::Guard;
use proximity_testkit::sim::{Plan, Points, Script, Until};

use super::{guard, say};

/// What is played.
#[derive(Args)]
pub(super) struct Asked {
    /// What is tried: taken, stale, skipped, jumps, twice, stalled.
    #[arg(long, value_parser = Plan::named)]
    plan: Plan,
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Schedules.
    #[arg(long)]
    seeds: u64,
    /// Of the cases of a script one in so many is played with each seed.
    #[arg(long, default_value_t = 1)]
    one_in: u64,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// None is begun after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Only this script.
    #[arg(long, value_parser = script)]
    only: Option<&'static str>,
    /// The engine's token has every right.
    #[arg(long)]
    wide: bool,
    /// Ends with the first finding.
    #[arg(long)]
    until_found: bool,
    /// A guard of the engine that is off.
    #[arg(long, value_parser = guard)]
    off: Option<Guard>,
}

fn script(name: &str) -> Result<&'static str, String> {
    let mut names = Script::ALL.into_iter().map(|script| script.name);
    let all = || Script::ALL.map(|script| script.name).join(", ");
    let found = names.find(|it| *it == name);
    found.ok_or_else(|| format!("the scripts are {}", all()))
}

/// Plays, and prints the verdict as JSON.
pub(super) fn run(asked: &Asked) -> Result<bool> {
    let points = Points {
        plan: asked.plan,
        from: asked.from,
        seeds: asked.seeds,
        one_in: asked.one_in,
        seconds: asked.seconds,
        threads: asked.threads,
        off: asked.off,
        until: asked.until_found.then_some(Until::Found),
        but: None,
        only: asked.only,
        is_wide: asked.wide,
    };
    let verdict = points.play().map_err(anyhow::Error::msg)?;
    say(&serde_json::to_string(&verdict)?)?;
    Ok(true)
}
