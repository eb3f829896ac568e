//! `proximity lab`: an emulated cluster with real containers.

use std::path::PathBuf;

use proximity_api::error::ExitCode;
use proximity_pve_emulator::core::TaskTimes;
use proximity_pve_emulator::lab::{self, LabError, LabFile, LabOptions, NetworkMode};
use serde::Serialize;

use crate::cli::{LabClean, LabCommand, LabControl, LabNetwork, LabRun, LabStatus};
use crate::config::LogFormat;
use crate::context::Context;
use crate::failed::Failed;
use crate::roles::logging;
use crate::text::details;

pub(crate) async fn run(context: &Context, command: LabCommand) -> Result<(), Failed> {
    match command {
        LabCommand::Run(args) => start(context, args).await,
        LabCommand::Clean(args) => clean(context, args).await,
        LabCommand::Status(args) => status(context, &args),
        LabCommand::Control(args) => control(context, args).await,
    }
}

async fn start(context: &Context, args: LabRun) -> Result<(), Failed> {
    let filter = logging::filter_of(context.globals.verbose).unwrap_or("info");
    logging::start(filter, args.log_format.unwrap_or(LogFormat::Text))?;
    let options = options(args)?;
    lab::run(options).await.map_err(failed)
}

fn options(args: LabRun) -> Result<LabOptions, Failed> {
    let task_times = match args.task_times {
        Some(text) => Some(serde_json::from_str::<TaskTimes>(&text).map_err(|e| {
            let message = format!("--task-times is not understood: {e}");
            Failed::usage(
                message,
                "write it like {\"create_ms\":2000,\"start_ms\":1000}",
            )
        })?),
        None => None,
    };
    let template_cache = args
        .template_cache
        .unwrap_or_else(|| args.dir.join("templates"));
    Ok(LabOptions {
        state_dir: args.dir,
        listen: args.listen,
        ssh_listen: args.ssh_listen,
        nodes: args.nodes,
        guests: args.guests.of_lab(),
        network: match args.network {
            LabNetwork::Bridge => NetworkMode::Bridge,
            LabNetwork::Private => NetworkMode::Private,
            LabNetwork::Existing => NetworkMode::Existing,
        },
        template_cache,
        registry: args.registry,
        task_times,
        exec_ms: args.exec_ms,
        keep: args.keep,
        die_with_parent: args.end_with_stdin,
    })
}

async fn clean(context: &Context, args: LabClean) -> Result<(), Failed> {
    lab::clean(&args.dir).await.map_err(failed)?;
    let cleaned = serde_json::json!({ "cleaned": args.dir });
    context
        .output
        .result(&cleaned, |_| "nothing of it is left".to_owned())
}

/// What `lab status` prints. The secrets stay in the lab's own file.
#[derive(Debug, Serialize)]
struct Status {
    running: bool,
    guests: Option<&'static str>,
    api: Vec<String>,
    ssh: Vec<String>,
    fingerprint_sha256: Option<String>,
    token_id: Option<String>,
    bridge: Option<String>,
    pid: Option<u32>,
    file: PathBuf,
}

fn status(context: &Context, args: &LabStatus) -> Result<(), Failed> {
    let file = LabFile::read(&args.dir).map_err(failed)?;
    // A lab that was killed leaves its file behind.
    let file = file.filter(|file| std::path::Path::new(&format!("/proc/{}", file.pid)).exists());
    let running = file.is_some();
    let status = Status {
        running,
        guests: file.as_ref().map(|f| f.guests.word()),
        api: file
            .iter()
            .flat_map(|f| f.api.iter().map(|n| n.url.clone()))
            .collect(),
        ssh: file
            .iter()
            .flat_map(|f| f.ssh.iter().map(|n| n.address.clone()))
            .collect(),
        fingerprint_sha256: file.as_ref().map(|f| f.fingerprint_sha256.clone()),
        token_id: file.as_ref().map(|f| f.tokens.full.id.clone()),
        bridge: file.as_ref().map(|f| f.machine_bridge.clone()),
        pid: file.as_ref().map(|f| f.pid),
        file: args.dir.join(lab::LAB_FILE),
    };
    context.output.result(&status, human)?;
    if running {
        return Ok(());
    }
    Err(Failed::config(
        "no_lab",
        format!("no lab runs on {}", args.dir.display()),
        format!(
            "start one with `proximity lab run --dir {}`",
            args.dir.display()
        ),
    ))
}

fn human(status: &Status) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let secret = format!("in {}", status.file.display());
    details([
        (
            "state",
            if status.running {
                "running"
            } else {
                "not running"
            }
            .to_owned(),
        ),
        ("guests", status.guests.unwrap_or_default().to_owned()),
        ("API", status.api.join(", ")),
        ("SSH", status.ssh.join(", ")),
        ("fingerprint", text(&status.fingerprint_sha256)),
        ("token", text(&status.token_id)),
        (
            "secret",
            if status.running {
                secret
            } else {
                String::new()
            },
        ),
        ("bridge", text(&status.bridge)),
        (
            "process",
            status.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        ),
    ])
}

/// Asks the lab's control socket and prints its answer.
async fn control(context: &Context, args: LabControl) -> Result<(), Failed> {
    let body = args.body.unwrap_or_default();
    let answer = lab::ask_control(&args.dir, &args.method, &args.path, body).await;
    let (status, text) = answer.map_err(failed)?;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| text.into());
    if status == 200 {
        return context.output.result(&value, |value| {
            serde_json::to_string_pretty(value).unwrap_or_default()
        });
    }
    let message = value["error"]
        .as_str()
        .unwrap_or("the lab refused")
        .to_owned();
    Err(Failed::usage(message, "see `proximity lab control --help`"))
}

/// An error of the lab as a command's failure.
pub(crate) fn failed(error: LabError) -> Failed {
    let message = error.to_string();
    let (exit, code, hint) = match error {
        LabError::NotRoot => (
            ExitCode::ConfigOrNotFound,
            "needs_root",
            "run it as root, e.g. with sudo, or as you are with --guests simulated",
        ),
        LabError::MissingPackages { .. } => (ExitCode::ConfigOrNotFound, "missing_packages", ""),
        LabError::Busy(_) => (
            ExitCode::Busy,
            "already_running",
            "end that one first, or give this one a directory of its own",
        ),
        LabError::Network(_) => (
            ExitCode::Resources,
            "no_network",
            "end other labs, or use --private",
        ),
        LabError::BadState { .. } => (
            ExitCode::ConfigOrNotFound,
            "lab_state",
            "take it away with `proximity lab clean --dir DIR`, or use another directory",
        ),
        LabError::ProgramFailed { .. }
        | LabError::ProgramTimedOut { .. }
        | LabError::Io { .. }
        | LabError::Refused(_)
        | LabError::Service { .. } => (
            ExitCode::Error,
            "lab",
            "look at what is named, then try again",
        ),
    };
    Failed::new(exit, code, message, hint)
}
