//! Runs a program in a container and passes on what it prints, as much and as long as it may.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};

use proximity_domain::ids::Vmid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::answer::{Answers, ERROR_OUTPUT, OUTPUT};
use crate::clock::{Deadline, timespec};
use crate::ground::Ground;
use crate::limits;
use crate::refusal::{Code, Trouble};

/// What is to run, and how far it may go.
#[derive(Debug)]
pub struct Job<'a> {
    /// The container.
    pub vmid: Vmid,
    /// Program and arguments.
    pub argv: &'a [String],
    /// Its input; none is an empty one.
    pub stdin: Option<File>,
    /// How long it may take.
    pub timeout_ms: u64,
    /// How much of each kind of output is passed on.
    pub max_output_bytes: u64,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; of one that a signal ended, 128 and the signal's number.
    pub exit_code: i32,
    /// Whether some of what it printed was dropped.
    pub output_dropped: bool,
    /// Whether some of what it complained was dropped.
    pub complaint_dropped: bool,
    /// The beginning of what it complained.
    pub complaint: String,
}

/// How much of a complaint is kept for a message.
const COMPLAINT_BYTES: usize = 1_024;
const CHUNK_BYTES: usize = 32 * 1024;

/// Runs it to its end.
///
/// # Errors
/// [`Code::Node`] if it could not be started, so that nothing ran; [`Code::TimedOut`] if it was over its time: it has been ended as
/// far as the node sees it, and something of it may go on in the container.
pub fn run<W: AsFd>(
    ground: &Ground,
    mut job: Job<'_>,
    answers: &mut Answers<W>,
) -> Result<Ran, Trouble> {
    let node = |what: &str, e: io::Error| Trouble::new(Code::Node, format!("{what}: {e}"));
    let stdin = job.stdin.take().map_or_else(Stdio::null, Stdio::from);
    let mut child = command(ground, &job, stdin)
        .spawn()
        .map_err(|e| node("lxc-attach cannot be started", e))?;
    let watched = Watched::begin(&mut child, &job);
    let mut watched = match watched {
        Ok(watched) => watched,
        Err(e) => {
            // It runs, and could not be watched.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Trouble::new(
                Code::TimedOut,
                format!("it could not be watched: {e}"),
            ));
        }
    };
    let in_time = watched.until_over(answers);
    let status = child
        .wait()
        .map_err(|e| Trouble::new(Code::TimedOut, format!("its end could not be seen: {e}")))?;
    match in_time {
        Ok(true) => Ok(watched.ran(status)),
        Ok(false) => Err(Trouble::new(
            Code::TimedOut,
            format!("it was not over after {} ms and was ended", job.timeout_ms),
        )),
        Err(e) => Err(Trouble::new(
            Code::TimedOut,
            format!("it could not be watched: {e}"),
        )),
    }
}

/// As `pct exec` enters a container, with an environment of its own.
fn command(ground: &Ground, job: &Job<'_>, stdin: Stdio) -> Command {
    let mut command = Command::new(&ground.lxc_attach);
    command
        .args(["-n", &job.vmid.to_string(), "--clear-env", "--"])
        .args(job.argv)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

/// One of the two outputs.
#[derive(Debug)]
struct Pipe<R> {
    from: Option<R>,
    kind: u8,
    left_bytes: u64,
    dropped: bool,
    /// How much of what was in it when the child ended is still to be read.
    owed_bytes: u64,
}

impl<R: AsFd> Pipe<R> {
    fn new(from: Option<R>, kind: u8, left_bytes: u64) -> Self {
        Self {
            from,
            kind,
            left_bytes,
            dropped: false,
            owed_bytes: 0,
        }
    }

    /// The child has ended: all that it printed is in the pipe now.
    fn note_end(&mut self) -> io::Result<()> {
        if let Some(from) = &self.from {
            self.owed_bytes = rustix::io::ioctl_fionread(from)?;
        }
        Ok(())
    }

    fn is_owed(&self) -> bool {
        self.from.is_some() && self.owed_bytes > 0
    }

    /// Reads once, from a pipe that has something or is at its end. Gives what was read.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(from) = &self.from else { return 0 };
        match rustix::io::read(from, &mut *buffer) {
            Ok(0) => self.from = None,
            Ok(count) => {
                self.owed_bytes = self.owed_bytes.saturating_sub(count as u64);
                return count;
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => self.from = None,
        }
        0
    }

    fn pass_on<W: AsFd>(&mut self, bytes: &[u8], answers: &mut Answers<W>, until: Deadline) {
        let wanted = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
        let taken = bytes.get(..wanted).unwrap_or(bytes);
        self.left_bytes -= taken.len() as u64;
        self.dropped |= taken.len() < bytes.len();
        if !taken.is_empty() {
            answers.send(self.kind, taken, until);
        }
    }
}

/// A child that is at work.
struct Watched {
    pid: Pid,
    exit: std::os::fd::OwnedFd,
    out: Pipe<std::process::ChildStdout>,
    err: Pipe<std::process::ChildStderr>,
    deadline: Deadline,
    complaint: Vec<u8>,
}

impl Watched {
    fn begin(child: &mut Child, job: &Job<'_>) -> io::Result<Self> {
        let pid = Pid::from_child(child);
        Ok(Self {
            pid,
            exit: pidfd_open(pid, PidfdFlags::empty())?,
            out: Pipe::new(child.stdout.take(), OUTPUT, job.max_output_bytes),
            err: Pipe::new(child.stderr.take(), ERROR_OUTPUT, job.max_output_bytes),
            deadline: Deadline::after_ms(job.timeout_ms),
            complaint: Vec::new(),
        })
    }

    /// Passes on output until the child has ended, by itself or not. Whether it was in time.
    fn until_over<W: AsFd>(&mut self, answers: &mut Answers<W>) -> io::Result<bool> {
        if self.pump(answers, self.deadline)? {
            return Ok(true);
        }
        // It leads a group of its own and is waited for only after this, so the number is its own.
        let _ = kill_process_group(self.pid, Signal::TERM);
        if !self.pump(answers, Deadline::after_ms(limits::GRACE_MS))? {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        Ok(false)
    }

    /// Passes on until the child has ended and all that it printed has been passed on, or the time is over; whether that is so. What
    /// others go on to print through its outputs is passed on for a moment only.
    fn pump<W: AsFd>(&mut self, answers: &mut Answers<W>, limit: Deadline) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut lingers: Option<Deadline> = None;
        loop {
            let until = match lingers {
                Some(lingers) if !self.is_owed() => lingers.min(limit),
                Some(_) | None => limit,
            };
            let [ends, out, err] = self.look(until, lingers.is_some())?;
            if out {
                let count = self.out.read(&mut buffer);
                let bytes = buffer.get(..count).unwrap_or_default();
                self.out.pass_on(bytes, answers, limit);
            }
            if err {
                let count = self.err.read(&mut buffer);
                let bytes = buffer.get(..count).unwrap_or_default();
                let room = COMPLAINT_BYTES.saturating_sub(self.complaint.len());
                self.complaint.extend(bytes.iter().take(room));
                self.err.pass_on(bytes, answers, limit);
            }
            if ends && lingers.is_none() {
                self.out.note_end()?;
                self.err.note_end()?;
                lingers = Some(Deadline::after_ms(limits::LINGER_MS));
            }
            let is_told = lingers.is_some() && !self.is_owed();
            let silent = self.out.from.is_none() && self.err.from.is_none();
            let is_over = silent || lingers.is_some_and(Deadline::has_passed);
            if (is_told && is_over) || limit.has_passed() {
                return Ok(is_told);
            }
        }
    }

    fn is_owed(&self) -> bool {
        self.out.is_owed() || self.err.is_owed()
    }

    /// Waits for something to happen: the child's end, unless it is known, output, complaints.
    fn look(&self, until: Deadline, has_ended: bool) -> io::Result<[bool; 3]> {
        let watched = [
            (!has_ended).then(|| self.exit.as_fd()),
            self.out.from.as_ref().map(AsFd::as_fd),
            self.err.from.as_ref().map(AsFd::as_fd),
        ];
        let there = watched.iter().flatten();
        let mut fds: Vec<PollFd<'_>> = there
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, Some(&timespec(until.left()))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut seen = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok(watched.map(|fd| fd.is_some() && seen.next().unwrap_or(false)))
    }

    fn ran(&self, status: ExitStatus) -> Ran {
        let by_signal = status.signal().map(|number| 128 + number);
        Ran {
            exit_code: status.code().or(by_signal).unwrap_or(-1),
            output_dropped: self.out.dropped,
            complaint_dropped: self.err.dropped,
            complaint: String::from_utf8_lossy(&self.complaint).trim().to_owned(),
        }
    }
}
