//! One child process: started with its log, watched, ended.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{ChildStdin, Command};

use super::place::{Place, unusable};
use crate::config::env;
use crate::failed::Failed;

/// A role as a process of its own.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: &'static str,
    /// How long it may take to end when asked.
    patience: Duration,
    process: tokio::process::Child,
    /// The lab ends when this is closed, whatever happens to us.
    _stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts `proximity ARGS` with its output in `NAME.log`. It dies with us, and does not see our Ctrl-C.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        place: &Place,
        name: &'static str,
        args: &[String],
        patience: Duration,
    ) -> Result<Self, Failed> {
        let log = place.log(name);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&log)
            .map_err(|e| unusable(&log, &e))?;
        let errors = file.try_clone().map_err(|e| unusable(&log, &e))?;
        let mut command = Command::new(&place.kept_program);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true);
        // What is set for the commands of this account must not reach into the trial.
        for variable in env::own_variables() {
            command.env_remove(variable);
        }
        let mut process = command.spawn().map_err(|e| {
            let message = format!("cannot start {}: {e}", place.kept_program.display());
            Failed::error("start", message, "check that the file can be run")
        })?;
        let stdin = process.stdin.take();
        Ok(Self {
            name,
            patience,
            process,
            _stdin: stdin,
        })
    }

    /// Its number, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until it ends by itself; that is always a failure.
    pub(crate) async fn ended(&mut self, place: &Place) -> Failed {
        let how = match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let last = last_words(place, self.name);
        Failed::error(
            "child_ended",
            format!("the {} ended ({how}){last}", self.name),
            "",
        )
    }

    /// Waits until it has done its work.
    ///
    /// # Errors
    /// It failed, or did not end in time.
    pub(crate) async fn finished(mut self, place: &Place) -> Result<(), Failed> {
        let name = self.name;
        let ended = match tokio::time::timeout(self.patience, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => format!("`{name}` ended with {status}{}", last_words(place, name)),
            Ok(Err(error)) => format!("`{name}` could not be waited for: {error}"),
            Err(_) => format!("`{name}` did not end within {} s", self.patience.as_secs()),
        };
        Err(Failed::error("child_failed", ended, ""))
    }

    /// Asks it to end, and sees to it. `Err` says what was not as it should be.
    pub(crate) async fn end(mut self) -> Result<(), String> {
        if let Some(pid) = self
            .pid()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
        {
            // It may just have ended by itself, which the wait below sees.
            let _ = kill_process(pid, Signal::TERM);
        }
        match tokio::time::timeout(self.patience, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("the {} ended with {status}", self.name)),
            Ok(Err(error)) => Err(format!(
                "the {} could not be waited for: {error}",
                self.name
            )),
            Err(_) => {
                let killed = self.process.kill().await;
                let seconds = self.patience.as_secs();
                let how = if killed.is_ok() {
                    "was killed"
                } else {
                    "could not be killed"
                };
                Err(format!(
                    "the {} did not end within {seconds} s and {how}",
                    self.name
                ))
            }
        }
    }
}

/// The last line of its log that says something.
fn last_words(place: &Place, name: &str) -> String {
    let text = std::fs::read_to_string(place.log(name)).unwrap_or_default();
    let error = text.lines().rev().find(|line| line.starts_with("error:"));
    match error.or_else(|| text.lines().rev().find(|line| !line.trim().is_empty())) {
        Some(line) => format!(": {line}"),
        None => String::new(),
    }
}
