//! Running other programs: bounded in time and output, never through a shell, never blocking the runtime.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::error::LabError;

/// More output than this is dropped (read, but not kept).
const OUTPUT_LIMIT_BYTES: usize = 1 << 20;
/// How much of standard error goes into an error text.
const ERROR_TAIL_BYTES: usize = 2000;

/// One run of a program, to be described and then awaited.
#[derive(Debug)]
pub(crate) struct Program {
    name: OsString,
    args: Vec<OsString>,
    stdin: Vec<u8>,
    limit: Duration,
}

/// What a program that ended left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Standard output, at most 1 MiB.
    pub(crate) stdout: Vec<u8>,
    /// Standard error, at most 1 MiB.
    pub(crate) stderr: Vec<u8>,
}

impl Program {
    /// Describes a run of `name`, found on the PATH; the default limit is 30 s.
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        Self {
            name: name.as_ref().to_owned(),
            args: Vec::new(),
            stdin: Vec::new(),
            limit: Duration::from_secs(30),
        }
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Gives it this as its whole standard input (default: nothing).
    pub(crate) fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    /// Kills it after `limit`.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it and gives back how it ended, whatever that was.
    ///
    /// # Errors
    /// It could not be started, or it did not end in time (then it was killed).
    pub(crate) async fn run(self) -> Result<Ran, LabError> {
        let shown = self.name.to_string_lossy().into_owned();
        let limit = self.limit;
        tokio::time::timeout(limit, self.run_unlimited(&shown))
            .await
            .unwrap_or_else(|_| {
                Err(LabError::ProgramTimedOut {
                    program: shown.clone(),
                    limit_ms: limit.as_millis(),
                })
            })
    }

    /// Runs it; anything but exit code 0 is an error with the end of its standard error.
    pub(crate) async fn succeed(self) -> Result<Ran, LabError> {
        let program = self.shown();
        let ran = self.run().await?;
        if ran.status.success() {
            return Ok(ran);
        }
        Err(LabError::ProgramFailed {
            program,
            status: status_text(ran.status),
            stderr: tail(&ran.stderr),
        })
    }

    fn shown(&self) -> String {
        let mut shown = self.name.to_string_lossy().into_owned();
        for arg in self.args.iter().take(4) {
            shown.push(' ');
            shown.push_str(&arg.to_string_lossy());
        }
        shown
    }

    async fn run_unlimited(self, shown: &str) -> Result<Ran, LabError> {
        let mut command = Command::new(&self.name);
        command
            .args(&self.args)
            .env("PATH", SEARCH_PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C is for the lab, which ends its programs in its own order.
            .process_group(0)
            .kill_on_drop(true);
        let failed = || LabError::io(format!("run {shown}"));
        let mut child = command.spawn().map_err(failed())?;
        let stdin = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut pipe) = stdin {
                // A program that does not read its input is no error: its exit code tells.
                drop(pipe.write_all(&self.stdin).await);
            }
        };
        let (_, stdout, stderr, status) = tokio::join!(
            feed,
            read_bounded(stdout),
            read_bounded(stderr),
            child.wait()
        );
        Ok(Ran {
            status: status.map_err(failed())?,
            stdout: stdout.map_err(failed())?,
            stderr: stderr.map_err(failed())?,
        })
    }
}

impl Ran {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The end of standard error.
    pub(crate) fn complaint(&self) -> String {
        tail(&self.stderr)
    }
}

async fn read_bounded(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else {
        return Ok(kept);
    };
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = pipe.read(&mut chunk).await?;
        if count == 0 {
            return Ok(kept);
        }
        let room = OUTPUT_LIMIT_BYTES.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&chunk[..room]);
    }
}

fn tail(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(ERROR_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[from..]).trim().to_owned()
}

fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// Programs the lab needs and the Debian package each comes from.
const NEEDED: &[(&str, &str)] = &[
    ("lxc-start", "lxc"),
    ("lxc-stop", "lxc"),
    ("lxc-attach", "lxc"),
    ("lxc-console", "lxc"),
    ("lxc-info", "lxc"),
    ("lxc-freeze", "lxc"),
    ("lxc-unfreeze", "lxc"),
    ("lxc-cgroup", "lxc"),
    ("debootstrap", "debootstrap"),
    ("newuidmap", "uidmap"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("zstd", "zstd"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("setsid", "util-linux"),
    ("flock", "util-linux"),
    ("slirp4netns", "slirp4netns"),
];

/// Where programs are looked for; the same directories the kernel's and Debian's defaults name.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Checks that all programs are there.
///
/// # Errors
/// [`LabError::MissingPackages`] with one line to run.
pub fn check_programs() -> Result<(), LabError> {
    let there = |name: &str| {
        SEARCH_PATH
            .split(':')
            .any(|dir| Path::new(dir).join(name).is_file())
    };
    let mut packages: Vec<&str> = Vec::new();
    for (program, package) in NEEDED {
        if !there(program) && !packages.contains(package) {
            packages.push(package);
        }
    }
    if packages.is_empty() {
        return Ok(());
    }
    Err(LabError::MissingPackages {
        packages: packages.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn feeds_input_and_reads_output() {
        let ran = Program::new("cat").stdin("hello").succeed().await.unwrap();
        assert_eq!(ran.text(), "hello");
    }

    #[tokio::test]
    async fn failure_carries_code_and_message() {
        let error = Program::new("sh")
            .args(["-c", "echo no >&2; exit 7"])
            .succeed()
            .await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("exit code 7") && text.ends_with("no"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn output_beyond_the_limit_is_dropped_not_waited_for() {
        let ran = Program::new("head")
            .args(["-c", "3000000", "/dev/zero"])
            .succeed()
            .await;
        assert_eq!(ran.unwrap().stdout.len(), OUTPUT_LIMIT_BYTES);
    }

    #[tokio::test]
    async fn a_slow_program_is_killed() {
        let run = Program::new("sleep")
            .args(["60"])
            .limit(Duration::from_millis(50))
            .run()
            .await;
        assert!(matches!(run, Err(LabError::ProgramTimedOut { .. })));
    }
}
