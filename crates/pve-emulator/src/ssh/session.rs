//! One channel: its requests, one command in `/bin/sh`, and the streams between them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

use super::authorized::Allowed;
use super::processes::Processes;
use super::spool::{SpoolReader, SpoolWriter, spool};
use crate::lab::{ASKED_AT, SEARCH_PATH};
use crate::shell::now_ms;

/// Most variables a client may set.
const MAX_VARIABLES: usize = 32;
const CHUNK_BYTES: usize = 32 * 1024;

/// What a login on a node finds.
#[derive(Debug, Clone)]
pub struct NodeShell {
    /// Home and working directory.
    pub home: PathBuf,
    /// `TMPDIR`.
    pub tmp: PathBuf,
    /// First directory of the `PATH`; holds this node's `pct`.
    pub bin: PathBuf,
}

/// What a channel was asked to run.
struct Wanted {
    command: Option<Vec<u8>>,
    variables: Vec<(String, String)>,
}

/// Everything around a channel that its task needs.
pub(crate) struct Login {
    pub(crate) shell: NodeShell,
    pub(crate) allowed: Allowed,
    pub(crate) processes: Arc<Processes>,
    /// `SSH_CONNECTION`.
    pub(crate) connection: String,
}

/// Serves one channel from its opening to its close.
pub(crate) async fn serve(channel: Channel<Msg>, handle: Handle, login: Arc<Login>) {
    let id = channel.id();
    let (mut reader, writer) = channel.split();
    let Some(wanted) = wait_for_request(&mut reader, id, &handle).await else {
        return;
    };
    let child = match spawn(&login, &wanted) {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(%error, "a command could not be started");
            let _ = handle.channel_failure(id).await;
            drop(writer.close().await);
            return;
        }
    };
    // A client that is gone by now is seen by the reader below.
    let _ = handle.channel_success(id).await;
    run(child, reader, writer, &handle, &login.processes).await;
}

async fn wait_for_request(
    reader: &mut ChannelReadHalf,
    id: ChannelId,
    handle: &Handle,
) -> Option<Wanted> {
    let mut variables = Vec::new();
    loop {
        match reader.wait().await? {
            ChannelMsg::Exec { command, .. } => {
                return Some(Wanted {
                    command: Some(command),
                    variables,
                });
            }
            ChannelMsg::RequestShell { .. } => {
                return Some(Wanted {
                    command: None,
                    variables,
                });
            }
            ChannelMsg::SetEnv {
                variable_name,
                variable_value,
                ..
            } if accepts(&variable_name) && variables.len() < MAX_VARIABLES => {
                variables.push((variable_name, variable_value));
                let _ = handle.channel_success(id).await;
            }
            ChannelMsg::Close => return None,
            // Other variables, terminals, subsystems, forwarding: not offered. Data before a request has nowhere to go.
            _ => {
                let _ = handle.channel_failure(id).await;
            }
        }
    }
}

/// Debian's sshd accepts these and no others.
fn accepts(name: &str) -> bool {
    name == "LANG" || name.starts_with("LC_")
}

fn spawn(login: &Login, wanted: &Wanted) -> std::io::Result<Child> {
    let shell = &login.shell;
    let mut command = Command::new("/bin/sh");
    let asked = wanted.command.clone().map(OsString::from_vec);
    match (&login.allowed.forced, &asked) {
        (Some(forced), _) => command.arg("-c").arg(forced),
        (None, Some(asked)) => command.arg("-c").arg(asked),
        (None, None) => &mut command,
    };
    command
        .env_clear()
        .envs(wanted.variables.iter().map(|(name, value)| (name, value)))
        .env("PATH", format!("{}:{SEARCH_PATH}", shell.bin.display()))
        .env("HOME", &shell.home)
        .env("TMPDIR", &shell.tmp)
        .env("USER", "root")
        .env("LOGNAME", "root")
        .env("SHELL", "/bin/sh")
        .env("SSH_CONNECTION", &login.connection)
        .env(ASKED_AT, now_ms().to_string())
        .current_dir(&shell.home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let (Some(_), Some(asked)) = (&login.allowed.forced, &asked) {
        command.env("SSH_ORIGINAL_COMMAND", asked);
    }
    command.spawn()
}

/// Moves bytes both ways until the command has ended and its output is sent.
///
/// As with a real sshd, a client that goes away does not end the command: its input ends and its output has no
/// reader any more. Output held open by a process in the background holds the channel open.
async fn run(
    mut child: Child,
    reader: ChannelReadHalf,
    writer: ChannelWriteHalf<Msg>,
    handle: &Handle,
    processes: &Processes,
) {
    let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) else {
        return;
    };
    processes.started(pid);
    let id = writer.id();
    let gone = CancellationToken::new();
    let (spool_writer, spool_reader) = spool();
    let stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let finished = CancellationToken::new();
    let input = take_input(reader, spool_writer, processes, pid, &gone);
    let work = async {
        let (_, (), (), status) = tokio::join!(
            async {
                tokio::select! {
                    () = feed(stdin, spool_reader) => {}
                    () = finished.cancelled() => {}
                }
            },
            forward(stdout, &writer, None, &gone),
            forward(stderr, &writer, Some(1), &gone),
            async {
                let status = child.wait().await;
                processes.ended(pid);
                finished.cancel();
                status
            },
        );
        if let Ok(status) = status
            && !gone.is_cancelled()
        {
            report(status, id, &writer, handle).await;
        }
    };
    // The reader never ends before the channel does; the work always ends with the command.
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => return,
        () = input => {}
    }
    work.await;
}

async fn report(
    status: ExitStatus,
    id: ChannelId,
    writer: &ChannelWriteHalf<Msg>,
    handle: &Handle,
) {
    let sent = async {
        writer.eof().await.ok()?;
        match status.signal() {
            None => {
                let code = u32::try_from(status.code().unwrap_or(255)).unwrap_or(255);
                writer.exit_status(code).await.ok()?;
            }
            Some(signal) => {
                let (name, dumped) = (signal_name(signal), status.core_dumped());
                handle
                    .exit_signal_request(id, name, dumped, String::new(), String::new())
                    .await
                    .ok()?;
            }
        }
        writer.close().await.ok()
    };
    // A client that left meanwhile does not want to know.
    let _: Option<()> = sent.await;
}

/// Takes what the client sends until it closes the channel.
async fn take_input(
    mut reader: ChannelReadHalf,
    spool: SpoolWriter,
    processes: &Processes,
    pid: Pid,
    gone: &CancellationToken,
) {
    let mut spool = Some(spool);
    loop {
        match reader.wait().await {
            None | Some(ChannelMsg::Close) => break gone.cancel(),
            Some(ChannelMsg::Data { data }) => {
                if let Some(spool) = &spool {
                    spool.push(data).await;
                }
            }
            Some(ChannelMsg::Eof) => spool = None,
            Some(ChannelMsg::Signal { signal }) => {
                if let Some(signal) = signal_number(&signal) {
                    processes.signal(pid, signal);
                }
            }
            Some(_) => {}
        }
    }
}

async fn feed(stdin: Option<ChildStdin>, mut spool: SpoolReader) {
    let Some(mut stdin) = stdin else { return };
    while let Some(piece) = spool.next().await {
        if stdin.write_all(&piece).await.is_err() {
            // The command closed its input; dropping the spool lets the rest go nowhere.
            return;
        }
    }
}

async fn forward(
    pipe: Option<impl AsyncRead + Unpin>,
    writer: &ChannelWriteHalf<Msg>,
    extended: Option<u32>,
    gone: &CancellationToken,
) {
    let Some(mut pipe) = pipe else { return };
    let copy = async {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
            match pipe.read_buf(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            // Waits while the client's window is closed.
            let piece: Bytes = chunk.freeze();
            let sent = match extended {
                None => writer.data_bytes(piece).await,
                Some(kind) => writer.extended_data_bytes(kind, piece).await,
            };
            if sent.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = copy => {}
        () = gone.cancelled() => {}
    }
}

fn signal_number(signal: &Sig) -> Option<Signal> {
    Some(match signal {
        Sig::ABRT => Signal::ABORT,
        Sig::ALRM => Signal::ALARM,
        Sig::FPE => Signal::FPE,
        Sig::HUP => Signal::HUP,
        Sig::ILL => Signal::ILL,
        Sig::INT => Signal::INT,
        Sig::KILL => Signal::KILL,
        Sig::PIPE => Signal::PIPE,
        Sig::QUIT => Signal::QUIT,
        Sig::SEGV => Signal::SEGV,
        Sig::TERM => Signal::TERM,
        Sig::USR1 => Signal::USR1,
        Sig::Custom(_) => return None,
    })
}

fn signal_name(number: i32) -> Sig {
    let known = [
        (Signal::ABORT, Sig::ABRT),
        (Signal::ALARM, Sig::ALRM),
        (Signal::FPE, Sig::FPE),
        (Signal::HUP, Sig::HUP),
        (Signal::ILL, Sig::ILL),
        (Signal::INT, Sig::INT),
        (Signal::KILL, Sig::KILL),
        (Signal::PIPE, Sig::PIPE),
        (Signal::QUIT, Sig::QUIT),
        (Signal::SEGV, Sig::SEGV),
        (Signal::TERM, Sig::TERM),
        (Signal::USR1, Sig::USR1),
    ];
    known
        .into_iter()
        .find(|(signal, _)| signal.as_raw() == number)
        .map_or_else(
            || Sig::Custom(format!("{number}@proximity")),
            |(_, name)| name,
        )
}
