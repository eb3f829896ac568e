//! One command in a guest: finding the program, running it, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::commands;
use super::files::{Content, Kind};
use super::image::Image;
use super::machine::Guest;
use super::processes::Process;
use super::{shell, units};

/// Where programs are looked for, as `pct exec` sets it.
pub(crate) const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin";
/// Commands that run each other deeper than this are given up.
const MAX_DEPTH: u8 = 16;
/// What a process ends with that was killed.
pub(crate) const KILLED: u8 = 137;

/// What is around the guests.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// What can be installed.
    pub image: &'a Image,
    /// The time, Unix seconds.
    pub now_s: u64,
    /// Ports of the guest's addresses that somebody else has.
    pub taken: &'a BTreeSet<u16>,
}

/// A command from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its input; none while it is not known yet.
    pub stdin: Option<Vec<u8>>,
    /// Variables beside those of the system.
    pub env: BTreeMap<String, String>,
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// Exit code.
    pub exit: u8,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has ended.
    Ended(Ended),
    /// It ends in a while; its process is in the guest until then.
    Later {
        /// The process.
        pid: u32,
        /// How long it takes.
        after_ms: u64,
        /// How it will have ended.
        ended: Ended,
    },
    /// It never ends; its process is in the guest.
    Hangs {
        /// The process.
        pid: u32,
    },
    /// Nothing was done: it wants its input first.
    NeedsInput,
    /// Nothing was done: another process holds a lock it waits for.
    Blocked {
        /// How long it waits; for ever without.
        wait_ms: Option<u64>,
    },
}

/// Why a command does not simply end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// It runs for ever; the process that does, if it is in the table already.
    Hang(Option<u32>),
    NeedsInput,
    Blocked {
        wait_ms: Option<u64>,
    },
}

pub(crate) type Done = Result<Ended, Interrupt>;

impl Ended {
    pub(crate) fn ok() -> Self {
        Self::default()
    }

    pub(crate) fn exit(exit: u8) -> Self {
        Self {
            exit,
            ..Self::default()
        }
    }

    pub(crate) fn said(text: impl Into<String>) -> Self {
        Self {
            stdout: text.into().into_bytes(),
            ..Self::default()
        }
    }

    /// A complaint; its line gets an end.
    pub(crate) fn failed(exit: u8, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Self {
            exit,
            stderr: text.into_bytes(),
            ..Self::default()
        }
    }

    pub(crate) fn stdout(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stdout.extend_from_slice(text.as_ref());
        self
    }

    /// Killed while it printed: half of it is there.
    fn broken_off(mut self) -> Self {
        self.stdout.truncate(self.stdout.len() / 2);
        self.stderr.truncate(self.stderr.len() / 2);
        self.exit = KILLED;
        self
    }

    /// What `other` printed, behind what this one did; its exit code counts.
    pub(crate) fn then(mut self, other: Self) -> Self {
        self.stdout.extend(other.stdout);
        self.stderr.extend(other.stderr);
        self.exit = other.exit;
        self
    }

    /// One more complaint about one of several arguments.
    pub(crate) fn complain(&mut self, exit: u8, text: &str) {
        self.exit = self.exit.max(exit);
        self.stderr.extend_from_slice(text.as_bytes());
        self.stderr.push(b'\n');
    }
}

/// Everything a command has while it runs.
pub(crate) struct Run<'a> {
    pub(crate) guest: &'a mut Guest,
    pub(crate) world: &'a World<'a>,
    pub(crate) stdin: Option<Vec<u8>>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) cwd: String,
    /// The unit whose processes are started now.
    pub(crate) unit: Option<String>,
    /// Time it takes so far.
    pub(crate) delay_ms: u64,
    /// Lock files held now.
    pub(crate) locks: Vec<String>,
    depth: u8,
}

impl<'a> Run<'a> {
    pub(crate) fn new(guest: &'a mut Guest, world: &'a World<'a>) -> Self {
        Self {
            guest,
            world,
            stdin: Some(Vec::new()),
            env: BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]),
            cwd: "/".to_owned(),
            unit: None,
            delay_ms: 0,
            locks: Vec::new(),
            depth: 0,
        }
    }

    /// The input, all of it.
    pub(crate) fn input(&mut self) -> Result<Vec<u8>, Interrupt> {
        self.stdin.replace(Vec::new()).ok_or(Interrupt::NeedsInput)
    }

    /// A path as the command sees it, from its working directory.
    pub(crate) fn path(&self, given: &str) -> String {
        if given.starts_with('/') {
            given.to_owned()
        } else {
            format!("{}/{given}", self.cwd.trim_end_matches('/'))
        }
    }

    /// The file a name stands for, or the exit code a shell gives: 127 not there, 126 not to be run.
    pub(crate) fn find(&self, name: &str) -> Result<String, u8> {
        if name.contains('/') {
            let path = self.path(name);
            return match self.guest.files.get(&path) {
                Ok(node) if node.is_executable() => Ok(path),
                Ok(_) => Err(126),
                Err(_) => Err(127),
            };
        }
        let path = self.env.get("PATH").map_or("", String::as_str);
        let mut places = path.split(':').map(|dir| format!("{dir}/{name}"));
        places
            .find(|path| {
                let node = self.guest.files.get(path);
                node.is_ok_and(super::files::Node::is_executable)
            })
            .ok_or(127)
    }

    /// Runs a program with its arguments.
    pub(crate) fn command(&mut self, argv: &[String]) -> Done {
        let Some(name) = argv.first() else {
            return Ok(Ended::ok());
        };
        let path = match self.find(name) {
            Ok(path) => path,
            Err(code) => return Ok(Ended::exit(code)),
        };
        if self.depth >= MAX_DEPTH {
            return Ok(Ended::failed(126, format!("{name}: too deep")));
        }
        self.depth += 1;
        let done = self.program(&path, argv);
        self.depth -= 1;
        done
    }

    fn program(&mut self, path: &str, argv: &[String]) -> Done {
        match self.guest.files.get(path).map(|node| node.kind.clone()) {
            Ok(Kind::Program(program)) => {
                if !self.has_memory(self.world.image.memory_mib(&program)) {
                    return Ok(Ended::exit(KILLED));
                }
                commands::run(self, &program, argv)
            }
            Ok(Kind::File(Content(bytes))) => self.script(&bytes, path, argv),
            Ok(Kind::Dir | Kind::Link(_) | Kind::Null) | Err(_) => Ok(Ended::exit(126)),
        }
    }

    /// A file with an interpreter in its first line; only the shell is one here.
    fn script(&mut self, bytes: &[u8], path: &str, argv: &[String]) -> Done {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let first = text.lines().next().unwrap_or_default();
        let Some(interpreter) = first.strip_prefix("#!") else {
            return Ok(Ended::exit(126));
        };
        let name = interpreter.split_whitespace().next().unwrap_or_default();
        match self.guest.files.get(name).map(|node| node.kind.clone()) {
            Ok(Kind::Program(program)) if program == "sh" => {
                let arguments = argv.iter().skip(1).cloned().collect();
                shell::run(self, &text, path, arguments)
            }
            Ok(_) => Ok(Ended::exit(126)),
            Err(_) => Ok(Ended::exit(127)),
        }
    }
}

/// Runs a command from outside in a running guest.
pub fn exec(guest: &mut Guest, world: &World<'_>, exec: &Exec) -> Outcome {
    if guest.faults.exec_hangs {
        let pid = guest.add_process(Process::of(&exec.argv, 1, None));
        return Outcome::Hangs { pid };
    }
    let mut run = Run::new(guest, world);
    run.stdin.clone_from(&exec.stdin);
    run.env.extend(exec.env.clone());
    run.env.insert("PATH".to_owned(), PATH.to_owned());
    let done = run.command(&exec.argv);
    let done = match done {
        Ok(ended) if run.guest.faults.half_output => Ok(ended.broken_off()),
        done => done,
    };
    let (delay_ms, locks) = (run.delay_ms, std::mem::take(&mut run.locks));
    let waiting = |guest: &mut Guest, passing| {
        let process = Process::of(&exec.argv, 1, None);
        guest.add_process(Process {
            locks,
            passing,
            ..process
        })
    };
    match done {
        Ok(ended) if delay_ms == 0 => Outcome::Ended(ended),
        Ok(ended) => Outcome::Later {
            pid: waiting(guest, true),
            after_ms: delay_ms,
            ended,
        },
        Err(Interrupt::Hang(Some(pid))) => Outcome::Hangs { pid },
        Err(Interrupt::Hang(None)) => Outcome::Hangs {
            pid: waiting(guest, false),
        },
        Err(Interrupt::NeedsInput) => Outcome::NeedsInput,
        Err(Interrupt::Blocked { wait_ms }) => Outcome::Blocked { wait_ms },
    }
}

/// Starts what may stay: used by units and by commands that put themselves into the background.
pub(crate) fn keep(run: &mut Run<'_>, process: Process) -> u32 {
    let unit = run.unit.clone();
    let process = Process {
        unit: unit.clone(),
        ..process
    };
    let pid = run.guest.add_process(process);
    if let Some(unit) = unit {
        units::note_main(run, &unit, pid);
    }
    pid
}
