//! `proximity try`: lab, gateway and server as child processes, one app deployed, everything ended again.

mod checks;
mod child;
mod entrance;
mod files;
mod helper;
mod page;
mod place;
mod ports;
mod previous;
mod rehearsal;
mod rehearsed;
mod report;
mod stack;

use proximity_domain::time::Clock;
use proximity_engine::catalog::CatalogEntry;
use proximity_pve_emulator::lab::ensure_template;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::{LabGuests, TryArgs};
use crate::commands::lab_failed;
use crate::context::Context;
use crate::failed::Failed;
use crate::roles::clock::SystemClock;
use crate::roles::signals;
use place::Place;
use rehearsed::Rehearsed;
use report::Report;
use stack::Stack;

/// Host name of the app that is deployed.
const HOSTNAME: &str = "hello";
/// The catalog entry that is deployed.
const CATALOG_ID: &str = "nginx";

/// How a run came to its end.
enum Outcome {
    /// `--once`: every check was made.
    Checked(Box<Report>),
    /// `--once --app`: an entry was looked at closely.
    Rehearsed(Box<Rehearsed>),
    /// It stayed until it was asked to end.
    Stayed,
}

/// Runs it all.
///
/// Guarantees: whatever happens, what was started is ended before this returns; after a kill -9 the next run does so.
///
/// # Errors
/// Something could not be started or did not work; its log file is named.
pub(crate) async fn run(context: &Context, args: TryArgs) -> Result<(), Failed> {
    let entry = args.app.as_deref().map(rehearsal::entry).transpose()?;
    let interrupted = signals::shutdown_token(signals::Again::Waits)?;
    let clock = SystemClock::new();
    let place = Place::take(&args)?;
    previous::clear(context.output, &place).await?;
    let begun = clock.monotonic();
    let template = tokio::select! {
        made = make_template(context, &args, &place) => made,
        () = interrupted.cancelled() => return Err(given_up()),
    };
    template?;
    let seconds_template = seconds(clock.monotonic().since_ms(begun));
    let mut stack = Stack::new(context.output, &place);
    let up = stack.up();
    let asked = Asked {
        args: &args,
        entry: entry.as_ref(),
    };
    let outcome = tokio::select! {
        outcome = play(context, asked, &mut stack, &clock, seconds_template, &interrupted) => outcome,
        () = giving_up(&interrupted, &up) => Err(given_up()),
    };
    let left = stack.end().await;
    conclude(context, &place, outcome, left)
}

/// Milliseconds as seconds with three digits.
fn seconds(ms: u64) -> f64 {
    // Runs take minutes, not centuries: the figure is exact.
    #[allow(clippy::cast_precision_loss)]
    let seconds = ms as f64 / 1000.0;
    seconds
}

fn given_up() -> Failed {
    Failed::cancelled("ended before it was ready", "")
}

async fn make_template(context: &Context, args: &TryArgs, place: &Place) -> Result<(), Failed> {
    if args.guests == LabGuests::Simulated {
        return Ok(());
    }
    context
        .output
        .note("preparing the container template (a minute or two, the first time)");
    ensure_template(&place.template_cache)
        .await
        .map(drop)
        .map_err(lab_failed)
}

/// Waits for the wish to end; once everything is up, that is how one ends it, and no giving up.
async fn giving_up(interrupted: &CancellationToken, up: &CancellationToken) {
    interrupted.cancelled().await;
    if up.is_cancelled() {
        std::future::pending::<()>().await;
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    args: &'a TryArgs,
    /// The entry that is rehearsed, if it is one that was named.
    entry: Option<&'a CatalogEntry>,
}

async fn play(
    context: &Context,
    Asked { args, entry }: Asked<'_>,
    stack: &mut Stack<'_>,
    clock: &dyn Clock,
    seconds_template: f64,
    interrupted: &CancellationToken,
) -> Result<Outcome, Failed> {
    let world = stack.start(args).await?;
    if let Some(entry) = entry {
        let life = rehearsal::whole_life(context, &world, clock, entry);
        let report = Box::pin(life).await?;
        return Ok(Outcome::Rehearsed(Box::new(report)));
    }
    context.output.note("deploying nginx");
    let deployed = checks::deploy(context, &world, clock).await?;
    if args.helper {
        helper::must_have_worked(&world)?;
    }
    if args.once {
        let report = checks::whole_life(context, &world, deployed, seconds_template).await?;
        return Ok(Outcome::Checked(Box::new(report)));
    }
    stack.up().cancel();
    context.output.line(&invitation(args, stack, &deployed))?;
    tokio::select! {
        () = interrupted.cancelled() => Ok(Outcome::Stayed),
        ended = stack.first_to_end() => Err(ended),
    }
}

fn invitation(args: &TryArgs, stack: &Stack<'_>, deployed: &checks::Deployed) -> String {
    let place = stack.place();
    let inside = if args.private {
        "\nThese addresses are inside the private namespace: enter it with `nsenter --net --target PID`, PID\n\
         being that of the gateway."
    } else {
        ""
    };
    format!(
        "\nIt is up: {url}\n\n  the app       {url}\n  the page      {api}/ (sign in with the token in {token})\n  the API       {api}/api/health\n  commands      {program} --config {config} apps\n  logs          {dir}/*.log\n{inside}\nCtrl-C ends everything it started.",
        url = deployed.url,
        api = stack.api_url(),
        token = place.data.join("admin.token").display(),
        program = place.program.display(),
        config = place.config.display(),
        dir = place.dir.display(),
    )
}

fn conclude(
    context: &Context,
    place: &Place,
    outcome: Result<Outcome, Failed>,
    left: Vec<String>,
) -> Result<(), Failed> {
    let logs = format!("look at the logs in {}", place.dir.display());
    match outcome {
        Err(mut failed) => {
            for what in &left {
                context.output.note(&format!("left behind: {what}"));
            }
            if failed.body.code != "cancelled" {
                failed.body.hint = match failed.body.hint.as_str() {
                    "" => logs,
                    hint => format!("{hint}; {logs}"),
                };
            }
            Err(failed)
        }
        Ok(Outcome::Stayed) if left.is_empty() => {
            context.output.note("everything it started has ended");
            Ok(())
        }
        Ok(Outcome::Stayed) => Err(Failed::error(
            "leftovers",
            format!("left behind: {}", left.join("; ")),
            logs,
        )),
        Ok(Outcome::Checked(mut report)) => {
            report.leftovers.extend(left);
            told(context, &report, &report.complaints(), logs)
        }
        Ok(Outcome::Rehearsed(mut report)) => {
            report.leftovers.extend(left);
            told(context, &report, &report.complaints(), logs)
        }
    }
}

/// Prints a report as the last line, and fails if there is something to complain about.
fn told(
    context: &Context,
    report: &impl Serialize,
    complaints: &[String],
    logs: String,
) -> Result<(), Failed> {
    let line = serde_json::to_string(report).map_err(|e| {
        Failed::error(
            "internal",
            format!("cannot print the report: {e}"),
            "report it",
        )
    })?;
    context.output.line(&line)?;
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Failed::error("try_failed", complaints.join("; "), logs))
}
