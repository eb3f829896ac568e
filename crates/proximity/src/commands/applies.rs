//! `proximity applies …`, and how an apply is told to people.

use std::collections::BTreeMap;
use std::time::Duration;

use proximity_api::applies::{Apply, ApplyChange, ApplyCounts, ApplyList, ApplyQuery};
use proximity_api::client::{Client, ClientError};
use proximity_api::error::{ExitCode, lookup};

use crate::cli::{AppliesList, ApplyName};
use crate::context::Context;
use crate::failed::Failed;
use crate::output::Output;
use crate::text::{details, moment, table};

/// Pause between two looks at an apply.
const PAUSE: Duration = Duration::from_millis(500);
/// How often in a row the server may be away: one that is started anew is waited for, half a minute.
const MOST_FAILURES: u32 = 60;

pub(crate) async fn list(context: &Context, args: AppliesList) -> Result<(), Failed> {
    let query = ApplyQuery {
        after: args.after,
        limit: Some(u32::from(args.limit)),
    };
    let list = context.client()?.applies(&query).await?;
    context.output.result(&list, many)
}

pub(crate) async fn show(context: &Context, args: ApplyName) -> Result<(), Failed> {
    let apply = context.client()?.apply(&args.id).await?;
    context.output.result(&apply, human)
}

pub(crate) async fn stop(context: &Context, args: ApplyName) -> Result<(), Failed> {
    let apply = context.client()?.stop_apply(&args.id).await?;
    context.output.result(&apply, human)
}

/// Waits until it has ended, and tells of each change as it begins and ends; then prints it.
///
/// # Errors
/// A change failed; it was stopped; Ctrl-C, or the server went away: then it goes on.
pub(super) async fn follow(context: &Context, client: &Client, apply: Apply) -> Result<(), Failed> {
    let id = apply.id.clone();
    let ended = tokio::select! {
        ended = watch(client, apply, context.output) => ended?,
        pressed = tokio::signal::ctrl_c() => return Err(interrupted(&id, pressed)),
    };
    context.output.result(&ended, human)?;
    verdict(&ended)
}

async fn watch(client: &Client, mut apply: Apply, output: Output) -> Result<Apply, ClientError> {
    let mut told = BTreeMap::new();
    let mut failures = 0;
    loop {
        for line in news(&apply, &mut told) {
            output.note(&line);
        }
        if apply.has_ended() {
            return Ok(apply);
        }
        tokio::time::sleep(PAUSE).await;
        match client.apply(&apply.id).await {
            Ok(found) => (apply, failures) = (found, 0),
            Err(ClientError::NotRunning { .. } | ClientError::Broken { .. })
                if failures < MOST_FAILURES =>
            {
                failures += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A line for each change of which the state is another one than was told.
fn news(apply: &Apply, told: &mut BTreeMap<u32, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for change in apply.changes.iter().flatten() {
        let before = told.insert(change.position, change.state.clone());
        let is_news = before.as_ref() != Some(&change.state);
        let is_quiet = matches!(change.state.as_str(), "waiting" | "quiet");
        if is_news && !is_quiet {
            lines.push(line(change));
        }
    }
    lines
}

fn line(change: &ApplyChange) -> String {
    let what = format!("{:<11}  {} {}", word(change), change.act, change.name);
    match &change.problem {
        Some(problem) => format!(
            "{what}: {} [{}]\n  hint: {}",
            problem.message, problem.code, problem.hint
        ),
        None => what,
    }
}

fn word(change: &ApplyChange) -> &str {
    match change.state.as_str() {
        "held_up" => "held up",
        "not_started" => "not started",
        state => state,
    }
}

fn interrupted(id: &str, pressed: std::io::Result<()>) -> Failed {
    match pressed {
        Ok(()) => Failed::cancelled(
            "no longer waiting; the apply goes on",
            format!(
                "look at it with `proximity applies show {id}`, or let it begin nothing more with `proximity applies stop {id}`"
            ),
        ),
        Err(error) => Failed::error(
            "signals",
            format!("cannot wait for Ctrl-C: {error}"),
            "report it",
        ),
    }
}

/// An apply that has ended as the command's outcome.
fn verdict(apply: &Apply) -> Result<(), Failed> {
    let id = &apply.id;
    match (apply.state.as_str(), &apply.problem) {
        ("done", _) => Ok(()),
        ("stopped", _) => Err(Failed::cancelled(
            "it was stopped; what was not begun is as it was",
            "plan again for the rest",
        )),
        (_, Some(problem)) => Err(Failed::new(
            lookup(&problem.code).map_or(ExitCode::Error, |row| row.exit),
            &problem.code,
            format!("not all of it was done: {}", problem.message),
            format!("{}; then plan again for the rest", problem.hint),
        )),
        (state, None) => Err(Failed::error(
            "operation_not_done",
            format!("apply {id} is {state}"),
            format!("look at it with `proximity applies show {id}`"),
        )),
    }
}

fn many(list: &ApplyList) -> String {
    table(
        ["ID", "STATE", "CHANGES", "BY", "STARTED"],
        list.applies.iter().map(row),
        "no applies",
    )
}

fn row(apply: &Apply) -> [String; 5] {
    [
        apply.id.clone(),
        apply.state.clone(),
        counted(&apply.counts),
        apply.requested_by.clone(),
        moment(apply.started_at),
    ]
}

fn counted(counts: &ApplyCounts) -> String {
    let of = |many: u64, what: &str| (many > 0).then(|| format!("{many} {what}"));
    let parts = [
        of(counts.done, "done"),
        of(counts.started, "under way"),
        of(counts.waiting, "waiting"),
        of(counts.failed, "failed"),
        of(counts.held_up, "held up"),
        of(counts.not_started, "not started"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "nothing to do".to_owned(),
        false => parts.join(", "),
    }
}

/// An apply for people: in one line, and each change that is not done.
pub(super) fn human(apply: &Apply) -> String {
    let ended = apply.ended_at.map_or_else(String::new, moment);
    let mut lines = vec![details([
        ("apply", apply.id.clone()),
        ("plan", apply.plan_id.clone()),
        ("state", apply.state.clone()),
        ("changes", counted(&apply.counts)),
        ("asked by", apply.requested_by.clone()),
        ("stopped by", apply.stopped_by.clone().unwrap_or_default()),
        ("started", moment(apply.started_at)),
        ("ended", ended),
    ])];
    let changes = apply.changes.iter().flatten();
    let told = changes.filter(|change| change.state != "quiet");
    lines.extend(told.map(|change| format!("  {}", line(change).replace('\n', "\n  "))));
    let text = lines.join("\n");
    // Names and messages are other people's: what is in them moves no cursor.
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}

#[cfg(test)]
#[path = "applies_tests.rs"]
mod tests;
