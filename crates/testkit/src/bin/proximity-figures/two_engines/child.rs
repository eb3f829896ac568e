//! An engine as a process: started, told to begin, stopped, told to go on, ended.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(2);

/// A running engine; killed when dropped.
#[derive(Debug)]
pub(super) struct Engine {
    process: Child,
    stdin: ChildStdin,
    pid: Pid,
    number: u32,
}

impl Engine {
    /// Starts one that waits for [`Engine::begin`]; returns when it is ready.
    pub(super) async fn start(dir: &Path, more: &[String]) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join("engines.log"))
            .map_err(|e| e.to_string())?;
        let mut process = Command::new(program)
            .arg("engine")
            .arg(format!("dir={}", dir.display()))
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| e.to_string())?;
        let stdin = process.stdin.take().ok_or("no stdin")?;
        let stdout = process.stdout.take().ok_or("no stdout")?;
        let number = process.id().ok_or("it ended at once")?;
        let raw = i32::try_from(number).map_err(|e| e.to_string())?;
        let pid = Pid::from_raw(raw).ok_or("no process number")?;
        ready(stdout).await?;
        Ok(Self {
            process,
            stdin,
            pid,
            number,
        })
    }

    /// Lets it claim.
    pub(super) async fn begin(&mut self) -> Result<(), String> {
        let told = self.stdin.write_all(b"begin\n").await;
        told.map_err(|e| format!("telling an engine to begin: {e}"))
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(self.pid, signal).map_err(|e| format!("{signal:?}: {e}"))
    }

    /// Whether it is stopped by a signal, as the kernel says.
    pub(super) fn is_stopped(&self) -> Result<bool, String> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.number))
            .map_err(|e| format!("it is gone: {e}"))?;
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        Ok(state.is_some_and(|s| s.starts_with('T')))
    }

    /// Whether it holds the lock under which SQLite writes (byte 120 of the index of the write-ahead log). One that stands
    /// still with it keeps everybody from writing, itself and its successor alike: nothing is to be seen then.
    pub(super) fn holds_write_lock(&self) -> Result<bool, String> {
        let locks = std::fs::read_to_string("/proc/locks").map_err(|e| e.to_string())?;
        let number = self.number.to_string();
        Ok(locks.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), [_, "POSIX", _, "WRITE", pid, _, "120", _] if *pid == number)
        }))
    }

    /// Waits until it is stopped, or `over` says that there is nothing to wait for. Whether it is.
    pub(super) async fn stopped(&self, over: impl AsyncFn() -> bool) -> Result<bool, String> {
        let looking = async {
            loop {
                if self.is_stopped()? {
                    return Ok(true);
                }
                if over().await {
                    return self.is_stopped();
                }
                sleep(LOOK).await;
            }
        };
        timeout(PATIENCE, looking)
            .await
            .map_err(|_| "it neither stopped nor was done".to_owned())?
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus, String> {
        timeout(PATIENCE, self.process.wait())
            .await
            .map_err(|_| "an engine does not end".to_owned())?
            .map_err(|e| e.to_string())
    }
}

/// Waits for its first line.
async fn ready(stdout: ChildStdout) -> Result<(), String> {
    let mut line = String::new();
    let mut lines = BufReader::new(stdout);
    let read = timeout(PATIENCE, lines.read_line(&mut line)).await;
    match read {
        Ok(Ok(_)) if line.trim() == "ready" => Ok(()),
        other => Err(format!("an engine is not ready: {other:?} {line:?}")),
    }
}
