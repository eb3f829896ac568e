//! Commands inside containers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proximity_api::inside::{self as wire, CommandOutput, ExecEvent, ExecEventKind, RunCommand};
use proximity_domain::inside::{SafeCommand, SafeRequest};
use proximity_engine::commands::{ExecStream, ExecTold, RanSafe};

use super::problem;

pub(crate) fn safe_request(body: RunCommand) -> SafeRequest {
    SafeRequest {
        command: command(body.command),
        lines: body.lines,
        unit: body.unit,
    }
}

fn command(command: wire::SafeCommand) -> SafeCommand {
    match command {
        wire::SafeCommand::Logs => SafeCommand::Logs,
        wire::SafeCommand::Status => SafeCommand::Status,
        wire::SafeCommand::Disk => SafeCommand::Disk,
        wire::SafeCommand::Processes => SafeCommand::Processes,
        wire::SafeCommand::Memory => SafeCommand::Memory,
        wire::SafeCommand::Network => SafeCommand::Network,
        wire::SafeCommand::Packages => SafeCommand::Packages,
        wire::SafeCommand::Volumes => SafeCommand::Volumes,
        wire::SafeCommand::Config => SafeCommand::Config,
        wire::SafeCommand::System => SafeCommand::System,
    }
}

pub(crate) fn command_output(asked: wire::SafeCommand, ran: RanSafe) -> CommandOutput {
    CommandOutput {
        command: asked,
        exit_code: ran.exit_code,
        output: ran.output,
        complaints: ran.complaints,
        truncated: ran.truncated,
    }
}

pub(crate) fn exec_event(told: ExecTold) -> ExecEvent {
    let of = |kind| ExecEvent {
        kind,
        data: None,
        exit_code: None,
        truncated: None,
        problem: None,
    };
    match told {
        ExecTold::Output { stream, bytes } => {
            let kind = match stream {
                ExecStream::Stdout => ExecEventKind::Stdout,
                ExecStream::Stderr => ExecEventKind::Stderr,
            };
            ExecEvent {
                data: Some(STANDARD.encode(bytes)),
                ..of(kind)
            }
        }
        ExecTold::Ended {
            exit_code,
            truncated,
        } => ExecEvent {
            exit_code: Some(exit_code),
            truncated: Some(truncated),
            ..of(ExecEventKind::Ended)
        },
        ExecTold::Failed(failure) => ExecEvent {
            problem: Some(problem(&failure)),
            ..of(ExecEventKind::Failed)
        },
    }
}
