//! One program as a process of its own, with its output in a file.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};

/// How long a program may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program gets of our environment is where programs are: nothing that configures a real one reaches it.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    /// A lab ends when this is closed, whatever happens to us.
    _stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts `program args`, with its output at the end of `DIR/NAME.log`.
    pub(crate) fn start(program: &Path, dir: &Path, name: &str, args: &[String]) -> Result<Self> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join(format!("{name}.log")))?;
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let stdin = child.stdin.take();
        Ok(Self {
            name: name.to_owned(),
            child,
            _stdin: stdin,
        })
    }

    /// Its number, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Refuses when it ended by itself.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended with {status}; see its log", self.name),
            None => Ok(()),
        }
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) -> Result<()> {
        let name = &self.name;
        self.child
            .kill()
            .await
            .with_context(|| format!("killing {name}"))
    }

    /// Asks it to end and waits.
    pub(crate) async fn end(mut self) -> Result<()> {
        let raw = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = raw.and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.with_context(|| format!("{} did not end", self.name))??;
        if !status.success() {
            bail!("{} ended with {status}; see its log", self.name);
        }
        Ok(())
    }
}

/// Words of a command line.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
