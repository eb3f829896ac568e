//! `proximity stack`: the server says what comes next of a run, and this command asks again whenever something of it has ended.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use proximity_api::client::Client;
use proximity_api::error::{ExitCode, lookup};
use proximity_api::stacks::{
    Stack, StackAction, StackActionRequest, StackApp, StackAppPart, StackAppRun, StackList,
    StackPart, StackRun, StackRunState,
};

use crate::cli::{StackName, StackPowerArgs, StackStartArgs};
use crate::context::Context;
use crate::failed::Failed;

/// Pause between two looks at what is under way.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn list(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.stacks().await?;
    context.output.result(&list, |list: &StackList| {
        let stacks = list.stacks.iter().map(|stack| {
            let apps = stack.apps.iter().map(|app| app.hostname.as_str());
            format!("{}: {}", stack.name, apps.collect::<Vec<_>>().join(", "))
        });
        let lines: Vec<String> = stacks.collect();
        match lines.is_empty() {
            true => "no app belongs to a stack".to_owned(),
            false => lines.join("\n"),
        }
    })
}

pub(crate) async fn show(context: &Context, args: StackName) -> Result<(), Failed> {
    let stack = context.client()?.stack(&args.name).await?;
    context.output.result(&stack, |stack: &Stack| {
        let lines: Vec<String> = stack.apps.iter().map(member).collect();
        lines.join("\n")
    })
}

fn member(app: &StackApp) -> String {
    let status = app.status.as_deref().unwrap_or("gone");
    match app.depends_on.as_slice() {
        [] => format!("{}  {status}", app.hostname),
        needs => format!("{}  {status}  needs {}", app.hostname, needs.join(", ")),
    }
}

pub(crate) async fn start(context: &Context, start: StackStartArgs) -> Result<(), Failed> {
    let args = StackPowerArgs {
        start,
        force: false,
    };
    run(context, StackAction::Start, args).await
}

pub(crate) async fn run(
    context: &Context,
    action: StackAction,
    args: StackPowerArgs,
) -> Result<(), Failed> {
    let client = context.client()?;
    let (name, limit) = (args.start.name, args.start.wait_timeout);
    let request = RefCell::new(StackActionRequest {
        action,
        force: args.force,
        run: args.start.resume,
    });
    let going = go_on(context, &client, &name, &request);
    let over = tokio::select! {
        over = going => over?,
        () = tokio::time::sleep(Duration::from_secs(limit)) => {
            let message = format!("it was not done within {limit} s; what is under way goes on");
            return Err(Failed::error("wait_timeout", message, resume(action, &name, &request.borrow())));
        }
        _ = tokio::signal::ctrl_c() => {
            let message = "no longer waiting; what is under way goes on, and nothing more is begun";
            return Err(Failed::cancelled(message, resume(action, &name, &request.borrow())));
        }
    };
    if over.state == StackRunState::Done {
        return context.output.result(&over, human);
    }
    if context.output.json {
        context.output.result(&over, human)?;
    }
    Err(not_done(action, &name, &over, context.output.json))
}

/// Asks again and again until the run is over, and tells what is new.
async fn go_on(
    context: &Context,
    client: &Client,
    name: &str,
    request: &RefCell<StackActionRequest>,
) -> Result<StackRun, Failed> {
    let mut told = BTreeSet::new();
    loop {
        let asked = request.borrow().clone();
        let run = client.act_on_stack(name, &asked).await?;
        request.borrow_mut().run = Some(run.run.clone());
        for line in run.apps.iter().flat_map(lines) {
            if told.insert(line.clone()) {
                context.output.note(&line);
            }
        }
        if run.state != StackRunState::Going {
            return Ok(run);
        }
        one_has_ended(client, &run).await?;
    }
}

/// Returns when an operation of the run needs nothing more.
async fn one_has_ended(client: &Client, run: &StackRun) -> Result<(), Failed> {
    let parts = run.apps.iter().flat_map(|app| [&app.stop, &app.start]);
    let going = parts.filter(|part| part.state == StackPart::Going);
    let ids: Vec<&String> = going
        .filter_map(|part| part.operation_id.as_ref())
        .collect();
    loop {
        for id in &ids {
            if client.operation(id).await?.is_settled() {
                return Ok(());
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is to be said of an app, by what was done with it.
fn lines(app: &StackAppRun) -> Vec<String> {
    let parts = [("stop", &app.stop), ("start", &app.start)];
    let lines = parts
        .iter()
        .filter_map(|(what, part)| line(app, what, part));
    lines.collect()
}

fn line(app: &StackAppRun, what: &str, part: &StackAppPart) -> Option<String> {
    let why = part.problem.as_ref().map(|why| why.message.as_str());
    let said = match (part.state, why) {
        (StackPart::Going, _) => format!("{what} begun"),
        (StackPart::Done, _) if part.operation_id.is_some() => format!("{what} done"),
        (StackPart::Failed, why) => format!("{what} failed: {}", why.unwrap_or("no reason told")),
        (StackPart::Left, Some(why)) => format!("left out: {why}"),
        (StackPart::Open | StackPart::Done | StackPart::Left, _) => return None,
    };
    Some(format!("{}: {said}", app.hostname))
}

fn human(run: &StackRun) -> String {
    let left = run.apps.iter().flat_map(lines);
    let left: Vec<String> = left.filter(|line| line.contains("left out")).collect();
    let word = word(run.action);
    match left.is_empty() {
        true => format!("{}: {word} done", run.name),
        false => format!("{}: {word} done; {}", run.name, left.join("; ")),
    }
}

fn word(action: StackAction) -> &'static str {
    match action {
        StackAction::Start => "start",
        StackAction::Stop => "stop",
        StackAction::Restart => "restart",
    }
}

/// How it goes on.
fn resume(action: StackAction, name: &str, request: &StackActionRequest) -> String {
    let word = word(action);
    match &request.run {
        Some(run) => format!("go on with: proximity stack {word} {name} --resume {run}"),
        None => format!("ask again with: proximity stack {word} {name}"),
    }
}

/// Why it was not done, with what was and what was not.
fn not_done(action: StackAction, name: &str, run: &StackRun, is_told: bool) -> Failed {
    let parts = run.apps.iter().flat_map(|app| [&app.stop, &app.start]);
    let problem = parts
        .filter(|part| part.state == StackPart::Failed)
        .find_map(|part| part.problem.as_ref());
    let code = problem.map_or("operation_not_done", |problem| problem.code.as_str());
    let exit = lookup(code).map_or(ExitCode::Error, |row| row.exit);
    if is_told {
        return Failed::said(exit);
    }
    let named = |is: fn(&StackPart) -> bool| {
        let apps = run.apps.iter();
        let apps = apps.filter(|app| is(&app.stop.state) || is(&app.start.state));
        let names: Vec<&str> = apps.map(|app| app.hostname.as_str()).collect();
        names.join(", ")
    };
    let failed = named(|part| *part == StackPart::Failed);
    let open = named(|part| *part == StackPart::Open);
    let not_begun = match open.as_str() {
        "" => String::new(),
        open => format!("; not begun: {open}"),
    };
    let message = match problem {
        Some(problem) => format!("failed: {failed}: {}{not_begun}", problem.message),
        None => format!("failed: {failed}{not_begun}"),
    };
    let (word, run) = (word(action), &run.run);
    let hint = problem.map_or("", |problem| problem.hint.as_str());
    let hint = format!(
        "{hint}; once that is mended, go on with: proximity stack {word} {name} --resume {run}"
    );
    Failed::new(exit, code, message, hint)
}

#[cfg(test)]
mod tests {
    use proximity_api::apps::Problem;

    use super::*;

    fn part(state: StackPart, why: Option<&str>) -> StackAppPart {
        let problem = why.map(|why| Problem {
            code: "shutdown_timed_out".to_owned(),
            message: why.to_owned(),
            hint: "look at it".to_owned(),
            step: None,
        });
        StackAppPart {
            state,
            operation_id: Some("x".to_owned()),
            problem,
        }
    }

    fn stopping(apps: &[(&str, StackPart, Option<&str>)]) -> StackRun {
        let apps = apps.iter().map(|(name, state, why)| StackAppRun {
            hostname: (*name).to_owned(),
            stop: part(*state, *why),
            start: part(StackPart::Left, None),
        });
        StackRun {
            name: "shop".to_owned(),
            action: StackAction::Stop,
            run: "7".to_owned(),
            state: StackRunState::Failed,
            apps: apps.collect(),
        }
    }

    #[test]
    fn what_was_done_and_what_was_not_is_said_with_how_it_goes_on() {
        let run = stopping(&[
            ("page", StackPart::Failed, Some("it does not end")),
            ("cache", StackPart::Done, None),
            ("dbs", StackPart::Open, None),
        ]);
        let failed = not_done(StackAction::Stop, "shop", &run, false);
        assert_eq!(
            failed.body.message,
            "failed: page: it does not end; not begun: dbs"
        );
        assert_eq!(
            failed.body.hint,
            "look at it; once that is mended, go on with: proximity stack stop shop --resume 7"
        );
        let said: Vec<String> = run.apps.iter().flat_map(lines).collect();
        assert_eq!(
            said,
            ["page: stop failed: it does not end", "cache: stop done"]
        );
        assert!(not_done(StackAction::Stop, "shop", &run, true).is_said());
    }

    #[test]
    fn what_is_left_out_is_said_with_the_result() {
        let run = stopping(&[("page", StackPart::Left, Some("there is no app page"))]);
        let said = "shop: stop done; page: left out: there is no app page";
        assert_eq!(human(&run), said);
    }
}
