//! A process of a lane: started with its log, waited for, killed.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::Deadline;

/// Where the system's programs are; nothing else of the environment reaches a lane's processes.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);
const SIGKILL: i32 = 9;

/// A running program; killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
}

impl Child {
    /// Starts it in `folder` with its output added to `log`. Its input is a pipe of ours.
    pub(super) fn start(
        program: &Path,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        folder: &Path,
        log: &Path,
    ) -> Result<Self> {
        let out = OpenOptions::new().create(true).append(true).open(log);
        let out = out.with_context(|| format!("opening {}", log.display()))?;
        let process = Command::new(program)
            .args(args)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { process })
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Waits for its end; nothing if it has not come in time.
    pub(super) fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Deadline::after(limit);
        loop {
            let ended = self.ended()?;
            if ended.is_some() || deadline.remaining().is_zero() {
                return Ok(ended);
            }
            pause(LOOK);
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Closes its input, by which it knows that it is to end, and waits.
    pub(super) fn end(mut self, limit: Duration) -> Result<()> {
        drop(self.process.stdin.take());
        match self.wait(limit)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("it ended with {status}"),
            None => bail!("it did not end within {} s", limit.as_secs()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do then.
        let _ = self.kill();
    }
}

/// Whether it ended by SIGKILL.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(SIGKILL)
}

/// Lets time pass: what is waited for lies in other processes and cannot wake us.
pub(super) fn pause(time: Duration) {
    let deadline = Deadline::after(time);
    while !deadline.remaining().is_zero() {
        std::thread::park_timeout(deadline.remaining());
    }
}
