//! A lane from outside: a process in a private namespace that is given cases.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cases::Case;
use super::inside::{Line, ORDER};
use super::life::Report;
use super::stand::Order;
use crate::clock::Deadline;
use crate::processes::{Signal, Tree};

/// How long a lane may take to end when it is told to.
const END: Duration = Duration::from_secs(60);
/// How long it may take when it is killed.
const KILLED: Duration = Duration::from_secs(10);

/// A lane. Dropping it ends everything in it.
#[derive(Debug)]
pub(super) struct Lane {
    child: Child,
    cases: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Lane {
    /// Starts it; its files go into `folder`.
    pub(super) fn start(folder: &Path, order: &Order) -> Result<Self> {
        for path in [&order.run, &order.logs] {
            std::fs::create_dir_all(path)?;
        }
        std::fs::write(folder.join(ORDER), serde_json::to_string_pretty(order)?)?;
        let log = order.logs.join("lane.log");
        // The namespace follows this thread, so the lane must be started by one that outlives it.
        let mut child = Command::new(&order.crash_points)
            .args(["--die-with-parent", &std::process::id().to_string()])
            .args(["crash-points", "enter", "--"])
            .args([
                "sh",
                "-c",
                "mount -t tmpfs -o mode=755 lane \"$1\" && shift && exec \"$@\"",
                "lane",
            ])
            .arg(&order.run)
            .arg(std::env::current_exe()?)
            .arg("crash-lane")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting a lane")?;
        let cases = child.stdin.take();
        let out = child.stdout.take().context("a lane has no output")?;
        let (tell, lines) = sync_channel(16);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            cases,
            lines,
            log,
        })
    }

    /// Runs one case.
    ///
    /// # Errors
    /// The lane is broken, or the time is over.
    pub(super) fn run(&mut self, case: &Case, deadline: Deadline) -> Result<Report> {
        let cases = self.cases.as_mut().context("the lane is over")?;
        // A lane that broke before said why in its last line, which is read next.
        let _ = writeln!(cases, "{}", serde_json::to_string(case)?).and_then(|()| cases.flush());
        match self.line(deadline)? {
            Line::Report(report) => Ok(*report),
            Line::Broken(why) => bail!("{why}; logs beside {}", self.log.display()),
            Line::Ended(_) => bail!("the lane ended too early"),
        }
    }

    /// Tells it that there are no more cases.
    pub(super) fn close(&mut self) {
        self.cases = None;
    }

    /// Waits for its end. Gives what was wrong then.
    pub(super) fn end(mut self) -> Result<Vec<String>> {
        let deadline = Deadline::after(END);
        self.close();
        let mut wrong = match self.line(deadline)? {
            Line::Ended(wrong) => wrong,
            Line::Broken(why) => vec![why],
            Line::Report(report) => bail!("a report nobody asked for: {report:?}"),
        };
        let pid = self.child.id();
        if !Tree::of(pid).wait_until_gone(deadline) {
            wrong.push("the lane's namespace did not end".to_owned());
            return Ok(wrong);
        }
        let status = self.child.wait()?;
        if !status.success() {
            wrong.push(format!("the lane's namespace ended with {status}"));
        }
        Ok(wrong)
    }

    fn line(&self, deadline: Deadline) -> Result<Line> {
        match self.lines.recv_timeout(deadline.remaining()) {
            Ok(line) => {
                serde_json::from_str(&line).with_context(|| format!("a lane said {line:?}"))
            }
            Err(_) if deadline.remaining().is_zero() => bail!("the time was over"),
            Err(_) => bail!("a lane ended by itself; see {}", self.log.display()),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close();
        let mut tree = Tree::of(self.child.id());
        for signal in [Signal::Terminate, Signal::Kill] {
            tree.signal(signal);
            if tree.wait_until_gone(Deadline::after(KILLED)) {
                break;
            }
        }
        // Gone already, or nothing more can be done about it.
        let _ = self.child.try_wait();
    }
}
