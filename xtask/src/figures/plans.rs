//! R4, R7, R8, R12 and R19: scripts of the simulation with something at their calls, played under one schedule after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Bench, Binary, Figure, Measured};
use crate::invocation::Invocation;
use crate::place::Place;
use crate::say;

/// Steps that are repeated or left out.
pub(super) const TWICE: Figure = Figure {
    id: "R4",
    shows: "what steps of sagas do that was played twice, or left out and taken back, and cases that ended otherwise than the script alone, or broke a rule",
    goal: "all that steps do, 0",
    measure: |bench| ends(bench, &TWICE_GOAL),
    ..TAKEN
};

/// Old lists.
pub(super) const STALE: Figure = Figure {
    id: "R7",
    shows: "cases in which lists or the power in them stay for 1 to 30 rounds as they were before a change, and those that broke a rule, archived what is there, or ended otherwise than the script alone",
    goal: "40,000 (quick: 200), 0, 0",
    measure: |bench| ends(bench, &STALE_GOAL),
    ..TAKEN
};

/// Looks that see nothing.
pub(super) const SKIPPED: Figure = Figure {
    id: "R8",
    shows: "cases in which a look, or two of them, gets no answer or is held back until what it was to see is over, and those that broke a rule or ended otherwise than the script alone",
    goal: "20,000 (quick: 200), 0, 0",
    measure: |bench| ends(bench, &SKIPPED_GOAL),
    ..TAKEN
};

/// Jumps of the clock.
pub(super) const JUMPS: Figure = Figure {
    id: "R19",
    shows: "cases in which the wall clock jumps at a call by an hour, a day or ten years, there or back, and those that broke a rule (a claim that was stolen, an app marked early) or ended otherwise than the script alone",
    goal: "20,000 (quick: 200), 0, 0",
    measure: |bench| ends(bench, &JUMPS_GOAL),
    ..TAKEN
};

/// A plan whose cases have to end as their scripts do alone.
struct Ends {
    id: &'static str,
    plan: &'static str,
    /// Of the cases of a script one in so many is played with each seed: all scripts are to have their turn soon.
    one_in: u64,
    /// Cases there have to be, and seconds for them: quick, and in full.
    quick: (u64, u64),
    full: (u64, u64),
    /// The guard that the control takes off.
    control: &'static str,
    /// The script that it is for, if it is for one alone.
    control_in: Option<&'static str>,
}

const TWICE_GOAL: Ends = Ends {
    id: "R4",
    plan: "twice",
    one_in: 1,
    quick: (100, 50),
    full: (2_000, 600),
    control: "create",
    control_in: None,
};

const STALE_GOAL: Ends = Ends {
    id: "R7",
    plan: "stale",
    one_in: 20,
    quick: (200, 50),
    full: (40_000, 1_750),
    control: "proof",
    control_in: None,
};

const SKIPPED_GOAL: Ends = Ends {
    id: "R8",
    plan: "skipped",
    one_in: 20,
    quick: (200, 50),
    full: (20_000, 1_750),
    control: "reach",
    control_in: None,
};

const JUMPS_GOAL: Ends = Ends {
    id: "R19",
    plan: "jumps",
    one_in: 20,
    quick: (200, 50),
    full: (20_000, 1_750),
    control: "silence",
    control_in: Some("leased"),
};

/// More than there is time for.
const MANY: u64 = 1_000_000;

/// Numbers that somebody else takes.
pub(super) const TAKEN: Figure = Figure {
    id: "R12",
    shows: "moments of operations at which a stranger takes the number, schedules of the rarest, calls that were sent to the stranger without a look that showed ours, and those that the token's rights let through, with our guards on and off",
    goal: "18 moments, 1,000 schedules of each (quick: 3), 0, 0",
    binaries: &[Binary::Simulation],
    prepare,
    needs_root: false,
    in_tests: false,
    full_limit: Duration::from_secs(1_800),
    measure: taken,
};

/// How many moments there are.
const MOMENTS: usize = 18;
/// Guards without which calls are sent to strangers.
const OFF: [&str; 2] = ["identity", "look"];
/// Seeds of two runs do not overlap.
const APART: u64 = 1 << 32;

fn prepare(_: &Place) -> Result<()> {
    Ok(())
}

/// One run of a plan.
#[derive(Clone, Copy)]
struct Run<'a> {
    plan: &'a str,
    schedules: u64,
    seconds: u64,
    /// Of the cases of a script one in so many is played with each schedule.
    one_in: u64,
    off: Option<&'a str>,
    is_wide: bool,
    until_found: bool,
    /// This script alone.
    only: Option<&'a str>,
}

/// Plays it; the verdict.
fn play(bench: &Bench<'_>, id: &str, run: Run<'_>) -> Result<Value> {
    let from = bench.seed.to_string().parse::<u64>().unwrap_or(0) % APART * APART;
    let mut program = Invocation::new(Binary::Simulation.path(bench.place))
        .args(["points", "--plan", run.plan, "--threads", "2"])
        .args(["--from", &from.to_string()])
        .args(["--seeds", &run.schedules.to_string()])
        .args(["--one-in", &run.one_in.to_string()])
        .args(["--seconds", &run.seconds.to_string()])
        .until(bench.deadline);
    if let Some(guard) = run.off {
        program = program.args(["--off", guard]);
    }
    if run.is_wide {
        program = program.arg("--wide");
    }
    if run.until_found {
        program = program.arg("--until-found");
    }
    if let Some(script) = run.only {
        program = program.args(["--only", script]);
    }
    let answer = program
        .capture(bench.place.root())?
        .expect_success("the simulation")?;
    let last = answer.lines().last().unwrap_or_default();
    let verdict: Value = serde_json::from_str(last).context("reading the verdict")?;
    if run.off.is_none() {
        for told in verdict["told"].as_array().into_iter().flatten() {
            let (script, point, what) = (&told["script"], &told["point"], &told["what"]);
            say::note(format!("{id}: {script}, {point}: {what}: {}", told["case"]));
        }
    }
    Ok(verdict)
}

fn number(verdict: &Value, name: &str) -> Result<u64> {
    let found = verdict[name].as_u64();
    found.with_context(|| format!("the verdict has no {name}"))
}

/// Plays a plan for as long as there is time; a control until it finds something.
fn ends(bench: &Bench<'_>, goal: &Ends) -> Result<Measured> {
    let (cases, seconds) = if bench.mode.quick {
        goal.quick
    } else {
        goal.full
    };
    let run = Run {
        plan: goal.plan,
        schedules: MANY,
        seconds,
        one_in: goal.one_in,
        off: bench.mode.sabotage.then_some(goal.control),
        is_wide: false,
        until_found: bench.mode.sabotage,
        only: goal.control_in.filter(|_| bench.mode.sabotage),
    };
    let verdict = play(bench, goal.id, run)?;
    if bench.mode.sabotage && wrong(&verdict)? == 0 {
        bail!("the control found nothing");
    }
    judge_ends(goal, &verdict, cases)
}

/// Cases that did not come out as they have to.
fn wrong(verdict: &Value) -> Result<u64> {
    let names = ["violations", "differ", "marked", "claimed"];
    let each = names.map(|name| number(verdict, name));
    each.into_iter().sum()
}

fn judge_ends(goal: &Ends, verdict: &Value, least: u64) -> Result<Measured> {
    let cases = number(verdict, "cases")?;
    let (broke, differ) = (number(verdict, "violations")?, number(verdict, "differ")?);
    let names = |name: &str| {
        let all = verdict[name].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).collect::<BTreeSet<_>>()
    };
    let (to_do, done) = (names("to_rehearse"), names("rehearsed"));
    let undone: Vec<_> = to_do.difference(&done).collect();
    if !undone.is_empty() {
        say::note(format!("{}: never played: {undone:?}", goal.id));
    }
    if let Some(told_on @ 1..) = verdict["told_on"].as_u64() {
        say::note(format!(
            "{}: in {told_on} cases an operation was stuck, and a person had it go on",
            goal.id
        ));
    }
    Ok(Measured {
        value: format!("{cases}/{broke}/{differ}"),
        unit: "cases/rules broken/other ends",
        reached: cases >= least && wrong(verdict)? == 0 && undone.is_empty(),
        raw: verdict.clone(),
    })
}

/// The guards are on, and then off, one after the other: then the rights of the token are all there is. The control: it has
/// every right.
fn taken(bench: &Bench<'_>) -> Result<Measured> {
    let (quick, is_wide) = (bench.mode.quick, bench.mode.sabotage);
    let on = Run {
        plan: "taken",
        schedules: if quick { 12 } else { 1_000 },
        seconds: if quick { 26 } else { 1_250 },
        one_in: 1,
        off: None,
        is_wide: false,
        until_found: false,
        only: None,
    };
    let off = |guard| Run {
        schedules: if quick { 6 } else { 100 },
        seconds: if quick { 13 } else { 240 },
        off: Some(guard),
        is_wide,
        ..on
    };
    let with_guards = play(bench, "R12", on)?;
    let mut without = Vec::new();
    for guard in OFF {
        without.push(play(bench, "R12", off(guard))?);
    }
    judge(&with_guards, &without, if quick { 3 } else { 1_000 })
}

fn judge(with_guards: &Value, without: &[Value], schedules: u64) -> Result<Measured> {
    let Some(named) = with_guards["named"].as_object() else {
        bail!("the verdict names no moments");
    };
    let mut rarest = u64::MAX;
    for (name, moment) in named {
        let cases = number(moment, "cases")?;
        say::note(format!("R12: {name}: {cases} schedules"));
        rarest = rarest.min(cases);
    }
    let let_through = |verdict: &Value| -> Result<u64> {
        let names = ["onto_strangers", "raced", "learned"];
        let sent: Result<u64> = names.iter().map(|name| number(verdict, name)).sum();
        let sent = sent?;
        Ok(sent.saturating_sub(number(verdict, "fenced")?))
    };
    let mut through = let_through(with_guards)?;
    let mut fenced = 0;
    for verdict in without {
        through += let_through(verdict)?;
        fenced += number(verdict, "fenced")?;
    }
    let (blind, broken) = (
        number(with_guards, "onto_strangers")?,
        number(with_guards, "violations")?,
    );
    say::note(format!(
        "R12: with guards off {fenced} calls to strangers were refused by the token's rights"
    ));
    let is_seen = without.iter().all(|verdict| {
        let sent = number(verdict, "onto_strangers");
        sent.is_ok_and(|sent| sent > 0)
    });
    if !is_seen {
        bail!("a guard that is off led to no call to a stranger: nothing was fenced");
    }
    Ok(Measured {
        value: format!("{}/{rarest}/{blind}/{through}", named.len()),
        unit: "moments/schedules/blind/let through",
        reached: named.len() == MOMENTS
            && rarest >= schedules
            && blind == 0
            && through == 0
            && broken == 0,
        raw: json!({"with_guards": with_guards, "without": without}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(moments: usize, cases: u64, blind: u64, raced: u64, fenced: u64) -> Value {
        let named: serde_json::Map<String, Value> = (0..moments)
            .map(|at| (format!("moment {at}"), json!({ "cases": cases })))
            .collect();
        json!({
            "named": named, "onto_strangers": blind, "raced": raced, "fenced": fenced,
            "learned": 0, "violations": 0,
        })
    }

    fn reached(with_guards: &Value, without: &Value) -> bool {
        judge(with_guards, std::slice::from_ref(without), 3)
            .unwrap()
            .reached
    }

    #[test]
    fn a_call_that_is_let_through_is_short_and_so_is_a_moment_too_few() {
        let without = verdict(0, 0, 5, 1, 6);
        assert!(reached(&verdict(MOMENTS, 3, 0, 1, 1), &without));
        assert!(!reached(&verdict(MOMENTS - 1, 3, 0, 1, 1), &without));
        assert!(!reached(&verdict(MOMENTS, 2, 0, 1, 1), &without));
        assert!(!reached(&verdict(MOMENTS, 3, 1, 0, 1), &without));
        assert!(!reached(&verdict(MOMENTS, 3, 0, 1, 0), &without));
        assert!(!reached(
            &verdict(MOMENTS, 3, 0, 1, 1),
            &verdict(0, 0, 5, 1, 5)
        ));
    }

    #[test]
    fn where_nothing_was_sent_nothing_was_shown() {
        let without = verdict(0, 0, 0, 0, 0);
        assert!(judge(&verdict(MOMENTS, 3, 0, 0, 0), &[without], 3).is_err());
    }
}
