//! Following an operation until it needs nothing more.

use std::time::Duration;

use proximity_api::client::{Client, ClientError, EventStream, Told};
use proximity_api::error::{ExitCode, lookup};
use proximity_api::events::EventQuery;
use proximity_api::logs::LogQuery;
use proximity_api::operations::Operation;

use crate::cli::Waiting;
use crate::context::Context;
use crate::failed::Failed;
use crate::progress::Progress;

/// Pause between two looks where events cannot be followed.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the stream of events may take to open.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How often in a row it may fail to open again, about a second apart: a server that is started anew is waited for.
const MOST_FAILURES: u32 = 30;

/// Waits for the operation to settle, showing its log on stderr.
///
/// # Errors
/// It failed, got stuck or was cancelled; the time ran out; Ctrl-C; the server went away. In the last three
/// the operation goes on.
pub(crate) async fn settle(
    context: &Context,
    client: &Client,
    operation: Operation,
    waiting: Waiting,
) -> Result<Operation, Failed> {
    let (app, id) = (operation.app_id.clone(), operation.id.clone());
    let progress = Progress::begin(context.output);
    let settled = tokio::select! {
        settled = watch(client, &app, &id, &progress) => settled.map_err(Failed::from),
        () = tokio::time::sleep(waiting.limit()) => Err(out_of_time(&id, waiting)),
        pressed = tokio::signal::ctrl_c() => Err(interrupted(&id, pressed)),
    };
    progress.end();
    verdict(settled?)
}

/// Looks whenever an event of the operation tells that there is something to see. Where events cannot be followed
/// (an older server, too many clients, a proxy that holds them back), it looks now and then.
async fn watch(
    client: &Client,
    app: &str,
    id: &str,
    progress: &Progress,
) -> Result<Operation, ClientError> {
    let query = EventQuery {
        operation: Some(id.to_owned()),
        ..EventQuery::default()
    };
    let mut events = client.follow_events(query).give_up_after(MOST_FAILURES);
    let mut after = 0;
    let mut told = match tokio::time::timeout(FIRST_WORD, word(&mut events)).await {
        Ok(told) => told,
        Err(_) => return poll(client, app, id, after, progress).await,
    };
    loop {
        match told {
            Ok(()) => {}
            Err(ClientError::Refused { .. } | ClientError::BadAnswer { .. }) => {
                return poll(client, app, id, after, progress).await;
            }
            Err(error) => return Err(error),
        }
        match look(client, app, id, &mut after, progress).await {
            Ok(Some(operation)) => return Ok(operation),
            Ok(None) => {}
            // The server went away: the stream comes back when it does, and says so.
            Err(ClientError::NotRunning { .. } | ClientError::Broken { .. }) => {}
            Err(error) => return Err(error),
        }
        told = word(&mut events).await;
    }
}

/// Returns when there may be something to see.
async fn word(events: &mut EventStream) -> Result<(), ClientError> {
    loop {
        match events.next().await? {
            Told::Open(_) | Told::Event(_) => return Ok(()),
            Told::Lost(_) => {}
        }
    }
}

async fn poll(
    client: &Client,
    app: &str,
    id: &str,
    mut after: i64,
    progress: &Progress,
) -> Result<Operation, ClientError> {
    loop {
        if let Some(operation) = look(client, app, id, &mut after, progress).await? {
            return Ok(operation);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Shows what is new; gives the operation once it has settled.
async fn look(
    client: &Client,
    app: &str,
    id: &str,
    after: &mut i64,
    progress: &Progress,
) -> Result<Option<Operation>, ClientError> {
    // The state first: lines written before it was read are then all there to be shown.
    let operation = client.operation(id).await?;
    *after = show_new_lines(client, app, id, *after, progress).await?;
    Ok(operation.is_settled().then_some(operation))
}

async fn show_new_lines(
    client: &Client,
    app: &str,
    id: &str,
    mut after: i64,
    progress: &Progress,
) -> Result<i64, ClientError> {
    loop {
        let query = LogQuery {
            after: Some(after),
            limit: Some(1000),
        };
        let page = client.logs(app, &query).await?;
        for line in &page.lines {
            if line.operation_id.as_deref() == Some(id) {
                progress.show(line);
            }
        }
        after = page.next_after;
        if page.lines.len() < 1000 {
            return Ok(after);
        }
    }
}

fn out_of_time(id: &str, waiting: Waiting) -> Failed {
    Failed::error(
        "wait_timeout",
        format!(
            "the operation did not end within {} s; it goes on",
            waiting.wait_timeout
        ),
        format!(
            "look at it with `proximity operations show {id}`, or end it with `proximity operations cancel {id}`"
        ),
    )
}

fn interrupted(id: &str, pressed: std::io::Result<()>) -> Failed {
    match pressed {
        Ok(()) => Failed::cancelled(
            "no longer waiting; the operation goes on",
            format!(
                "look at it with `proximity operations show {id}`, or end it with `proximity operations cancel {id}`"
            ),
        ),
        Err(error) => Failed::error(
            "signals",
            format!("cannot wait for Ctrl-C: {error}"),
            "report it",
        ),
    }
}

/// A settled operation as the command's outcome.
pub(crate) fn verdict(operation: Operation) -> Result<Operation, Failed> {
    if operation.state == "succeeded" {
        return Ok(operation);
    }
    let Some(problem) = operation.problem else {
        let message = format!("operation {} is {}", operation.id, operation.state);
        let hint = format!(
            "look at it with `proximity operations show {}`",
            operation.id
        );
        return Err(Failed::error("operation_not_done", message, hint));
    };
    let exit = match operation.state.as_str() {
        "cancelled" => ExitCode::Cancelled,
        _ => lookup(&problem.code).map_or(ExitCode::Error, |row| row.exit),
    };
    let step = problem
        .step
        .map_or_else(String::new, |step| format!(" in step {step}"));
    let message = format!(
        "{} {}{step}: {}",
        operation.kind, operation.state, problem.message
    );
    let hint = if operation.state == "stuck" {
        format!(
            "{}; then `proximity operations retry {id}`, or give it up with `proximity operations abandon {id}`",
            problem.hint,
            id = operation.id
        )
    } else {
        problem.hint
    };
    Err(Failed::new(exit, &problem.code, message, hint))
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
