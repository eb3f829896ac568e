//! Starting other programs: always with an argument list, always with an end.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::Deadline;
use crate::processes::{Signal, Tree};

/// How much of a program's output is kept; the head is dropped first.
const KEPT_BYTES: usize = 4 << 20;
/// How long a program may take to end after it was asked to, and its output to close after that.
const GRACE: Duration = Duration::from_secs(15);
/// For calls that need no limit of their own: long enough for anything, short enough to end.
const DEFAULT_LIMIT: Duration = Duration::from_secs(3600);

/// One program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    program: OsString,
    args: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    deadline: Option<Deadline>,
    /// How long it may take to end after it was asked to.
    grace: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// By us, because its time was over.
    TimedOut,
}

/// What a program wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) ended: Ended,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// True for exit code 0.
    pub(crate) fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// A reason to show people.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Code(code) => format!("ended with code {code}"),
            Self::Signal(signal) => format!("was ended by signal {signal}"),
            Self::TimedOut => "ran out of time and was ended".to_owned(),
        }
    }
}

impl Captured {
    /// The output, or an error that quotes the end of what it complained about.
    pub(crate) fn expect_success(self, what: &str) -> Result<String> {
        if self.ended.is_success() {
            return Ok(self.stdout);
        }
        let complaint: Vec<&str> = self.stderr.lines().rev().take(12).collect();
        let complaint: Vec<&str> = complaint.into_iter().rev().collect();
        bail!(
            "{what} {}: {}",
            self.ended.describe(),
            complaint.join("\n  ")
        )
    }
}

impl Invocation {
    /// A program by name or path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            // A trace would push the cause of an error out of the lines that are shown.
            variables: vec![("RUST_LIB_BACKTRACE".into(), "0".into())],
            deadline: None,
            grace: GRACE,
        }
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one variable of its environment.
    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Ends it, with all it started, when this moment has come.
    pub(crate) fn until(mut self, deadline: Deadline) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The command line as a person would type it.
    pub(crate) fn shown(&self) -> String {
        std::iter::once(&self.program)
            .chain(&self.args)
            .map(|part| part.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs it on our terminal.
    pub(crate) fn run(&self, folder: &Path) -> Result<Ended> {
        let child = self.spawn(folder, Stdio::inherit(), Stdio::inherit())?;
        self.supervise(child)
    }

    /// Runs it quietly and keeps what it writes.
    pub(crate) fn capture(&self, folder: &Path) -> Result<Captured> {
        self.piped(folder, Echo::Off)
    }

    /// Runs it, shows what it writes as it comes, and keeps it too.
    pub(crate) fn tee(&self, folder: &Path) -> Result<Captured> {
        self.piped(folder, Echo::On)
    }

    /// Replaces this process by the program; comes back only with the reason why it could not.
    pub(crate) fn replace_process(&self) -> anyhow::Error {
        use std::os::unix::process::CommandExt;
        let mut command = self.command();
        anyhow::Error::new(command.exec()).context(format!("starting {}", self.shown()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn spawn(&self, folder: &Path, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        self.command()
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("starting {}", self.shown()))
    }

    fn piped(&self, folder: &Path, echo: Echo) -> Result<Captured> {
        let mut child = self.spawn(folder, Stdio::piped(), Stdio::piped())?;
        let stdout = reader(child.stdout.take(), echo.to(Stream::Out));
        let stderr = reader(child.stderr.take(), echo.to(Stream::Err));
        let ended = self.supervise(child)?;
        Ok(Captured {
            ended,
            stdout: self.collect(&stdout)?,
            stderr: self.collect(&stderr)?,
        })
    }

    /// Waits for the end, or brings it about when the deadline has come.
    fn supervise(&self, mut child: Child) -> Result<Ended> {
        let pid = child.id();
        let (tell, ended) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            // Nobody listens any more only after even SIGKILL did not help.
            let _ = tell.send(child.wait());
        });
        let limit = self
            .deadline
            .map_or(DEFAULT_LIMIT, |deadline| deadline.remaining());
        if let Ok(status) = ended.recv_timeout(limit) {
            return Ok(how(status.context("waiting for a program")?));
        }
        let mut tree = Tree::of(pid);
        for signal in [Signal::Terminate, Signal::Kill] {
            tree.signal(signal);
            if tree.wait_until_gone(Deadline::after(self.grace)) {
                return Ok(Ended::TimedOut);
            }
        }
        bail!("{} (process {pid}) cannot be ended", self.shown())
    }

    /// What a reader thread has kept. A pipe that stays open after the program's end means that
    /// something it started still runs, and that is a fault of its own.
    fn collect(&self, kept: &mpsc::Receiver<std::io::Result<Vec<u8>>>) -> Result<String> {
        match kept.recv_timeout(GRACE) {
            Ok(bytes) => {
                let bytes = bytes.context("reading a program's output")?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            Err(_) => bail!(
                "{} ended, but something it started still runs and holds its output",
                self.shown()
            ),
        }
    }
}

fn how(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::Code(-1),
    }
}

/// Whether output is shown while it is kept.
#[derive(Debug, Clone, Copy)]
enum Echo {
    Off,
    On,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Out,
    Err,
}

impl Echo {
    fn to(self, stream: Stream) -> Option<Stream> {
        match self {
            Self::Off => None,
            Self::On => Some(stream),
        }
    }
}

/// Reads a pipe to its end in a thread of its own and sends what was kept.
fn reader<R: Read + Send + 'static>(
    pipe: Option<R>,
    echo: Option<Stream>,
) -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (tell, kept) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let read = pipe.map_or(Ok(Vec::new()), |pipe| drain(pipe, echo));
        // The receiver has left when the program outlived its time; nothing is lost then.
        let _ = tell.send(read);
    });
    kept
}

fn drain(mut pipe: impl Read, echo: Option<Stream>) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let length = pipe.read(&mut chunk)?;
        let Some(got) = chunk.get(..length).filter(|got| !got.is_empty()) else {
            return Ok(kept);
        };
        show(got, echo);
        kept.extend_from_slice(got);
        if kept.len() > KEPT_BYTES {
            kept.drain(..kept.len() - KEPT_BYTES);
        }
    }
}

fn show(bytes: &[u8], echo: Option<Stream>) {
    // Without a reader on our side there is nobody to tell; the program must still be drained.
    let _ = match echo {
        None => Ok(()),
        Some(Stream::Out) => std::io::stdout().write_all(bytes),
        Some(Stream::Err) => std::io::stderr().write_all(bytes),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Invocation {
        Invocation::new("sh").args(["-c", script])
    }

    #[test]
    fn output_and_code_come_back_apart() {
        let got = shell("echo one; echo two >&2; exit 3")
            .capture(Path::new("/"))
            .unwrap();
        assert_eq!(got.ended, Ended::Code(3));
        assert_eq!(
            (got.stdout.as_str(), got.stderr.as_str()),
            ("one\n", "two\n")
        );
        let error = got.expect_success("the script").unwrap_err().to_string();
        assert!(error.contains("code 3") && error.contains("two"), "{error}");
    }

    /// The state letter of a process; nothing if there is none.
    fn state(pid: &str) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// Runs a script that prints the number of a child that would go on for an hour, and ends it
    /// once the number is there. Gives the child's state afterwards.
    fn ended_by_time(script: &str) -> Option<char> {
        let mut run = shell(script).until(Deadline::after(Duration::from_secs(2)));
        run.grace = Duration::from_secs(1);
        let got = run.capture(Path::new("/")).unwrap();
        assert_eq!(got.ended, Ended::TimedOut);
        let child = got.stdout.trim();
        assert!(!child.is_empty(), "the script came to nothing");
        state(child)
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_with_its_children() {
        let left = ended_by_time("sleep 3600 & echo $!; wait");
        assert!(matches!(left, None | Some('Z' | 'X')), "{left:?}");
    }

    #[test]
    fn a_child_that_does_not_listen_is_killed_although_its_parent_has_gone() {
        let left = ended_by_time("(trap '' TERM; exec sleep 3600) & echo $!; wait");
        assert!(matches!(left, None | Some('Z' | 'X')), "{left:?}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Invocation::new("no-such-program-here")
            .capture(Path::new("/"))
            .unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-here"));
    }
}
