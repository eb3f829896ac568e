//! `proximity run` and `proximity exec`.

use std::io::Read;

use proximity_api::apps::Problem;
use proximity_api::client::{ExecStream, ExecTold, as_input};
use proximity_api::error::{ExitCode, lookup};
use proximity_api::inside::{ExecRequest, RunCommand, SafeCommand};
use serde::Serialize;

use crate::cli::{ExecArgs, LookAt, RunArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::output::{Reader, pass_on, reader_gone};

/// Most input of a program, bytes: what the server takes.
const MOST_INPUT_BYTES: u64 = 512 * 1024;
const LEFT_OUT: &str = "(something of what it printed was left out)";

pub(crate) async fn run(context: &Context, args: RunArgs) -> Result<(), Failed> {
    let body = RunCommand {
        command: command(args.look_at),
        lines: args.lines,
        unit: args.unit,
    };
    let ran = context.client()?.run_command(&args.app, &body).await?;
    if context.output.json {
        context.output.result(&ran, |_| String::new())?;
    } else {
        pass_on(ran.complaints.as_bytes(), true)?;
        pass_on(ran.output.as_bytes(), false)?;
        if ran.truncated {
            context.output.note(LEFT_OUT);
        }
    }
    verdict(ran.exit_code)
}

fn command(at: LookAt) -> SafeCommand {
    match at {
        LookAt::Logs => SafeCommand::Logs,
        LookAt::Status => SafeCommand::Status,
        LookAt::Disk => SafeCommand::Disk,
        LookAt::Processes => SafeCommand::Processes,
        LookAt::Memory => SafeCommand::Memory,
        LookAt::Network => SafeCommand::Network,
        LookAt::Packages => SafeCommand::Packages,
        LookAt::Volumes => SafeCommand::Volumes,
        LookAt::Config => SafeCommand::Config,
        LookAt::System => SafeCommand::System,
    }
}

/// What `proximity exec --json` prints.
#[derive(Debug, Default, Serialize)]
struct Ran {
    exit_code: i32,
    /// As text; what is none is replaced.
    stdout: String,
    stderr: String,
    truncated: bool,
}

pub(crate) async fn exec(context: &Context, args: ExecArgs) -> Result<(), Failed> {
    let body = ExecRequest {
        argv: args.argv,
        stdin: args.stdin.then(input).transpose()?,
        timeout_s: args.timeout,
    };
    let run = context.client()?.exec(&args.app, &body).await?;
    let heard = async {
        match context.output.json {
            true => gathered(context, run).await,
            false => passed_on(context, run).await,
        }
    };
    // Whatever comes first: what is not heard any more is ended by the server.
    tokio::select! {
        ended = heard => ended,
        () = reader_gone() => Ok(()),
        _ = tokio::signal::ctrl_c() => Err(Failed::cancelled(
            "no longer listening; the program is ended in the container",
            "look at what runs there with: proximity run APP processes",
        )),
    }
}

fn input() -> Result<String, Failed> {
    let mut bytes = Vec::new();
    let mut stdin = std::io::stdin().lock().take(MOST_INPUT_BYTES + 1);
    stdin.read_to_end(&mut bytes).map_err(|e| {
        Failed::error(
            "stdin",
            format!("cannot read stdin: {e}"),
            "check what it is connected to",
        )
    })?;
    if bytes.len() as u64 > MOST_INPUT_BYTES {
        return Err(Failed::usage(
            "stdin has more than 512 KiB",
            "bring a file of that size into the container in another way",
        ));
    }
    Ok(as_input(&bytes))
}

/// Passes on what is printed, as it comes.
async fn passed_on(context: &Context, mut run: ExecStream) -> Result<(), Failed> {
    loop {
        let reader = match run.next().await? {
            ExecTold::Stdout(bytes) => pass_on(&bytes, false)?,
            ExecTold::Stderr(bytes) => pass_on(&bytes, true)?,
            ExecTold::Ended {
                exit_code,
                truncated,
            } => {
                if truncated {
                    context.output.note(LEFT_OUT);
                }
                return verdict(exit_code);
            }
            ExecTold::Failed(problem) => return Err(failed(problem)),
        };
        if reader == Reader::Gone {
            return Ok(());
        }
    }
}

/// Prints what was printed, as one result.
async fn gathered(context: &Context, mut run: ExecStream) -> Result<(), Failed> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match run.next().await? {
            ExecTold::Stdout(bytes) => out.extend(bytes),
            ExecTold::Stderr(bytes) => err.extend(bytes),
            ExecTold::Ended {
                exit_code,
                truncated,
            } => {
                let ran = Ran {
                    exit_code,
                    stdout: String::from_utf8_lossy(&out).into_owned(),
                    stderr: String::from_utf8_lossy(&err).into_owned(),
                    truncated,
                };
                context.output.result(&ran, |_| String::new())?;
                return verdict(exit_code);
            }
            ExecTold::Failed(problem) => return Err(failed(problem)),
        }
    }
}

/// The program's exit code is the command's.
fn verdict(exit_code: i32) -> Result<(), Failed> {
    match exit_code {
        0 => Ok(()),
        code => Err(Failed::handed_on(code)),
    }
}

fn failed(problem: Problem) -> Failed {
    let exit = lookup(&problem.code).map_or(ExitCode::Error, |row| row.exit);
    Failed::new(exit, &problem.code, problem.message, problem.hint)
}
