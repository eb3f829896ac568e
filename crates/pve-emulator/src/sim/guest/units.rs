//! Units: started from their files, stopped, and what becomes of them when a process ends.

use serde::{Deserialize, Serialize};

use super::exec::{Ended, Interrupt, Run};
use super::unit_file::{UnitFile, split_words};

/// Where unit files are, the first found counts.
const FOLDERS: [&str; 3] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/lib/systemd/system",
];
/// A unit that has to be started again more often than this is left as it is.
const MAX_RESTARTS: u32 = 5;

/// How a unit's last run ended, as systemd's `Result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Well, or not at all yet.
    #[default]
    Success,
    /// A process ended with an exit code that is not 0.
    ExitCode,
    /// A process was killed.
    Signal,
    /// A process was killed for memory.
    OomKill,
    /// It had to be started again too often.
    StartLimitHit,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ExitCode => "exit-code",
            Self::Signal => "signal",
            Self::OomKill => "oom-kill",
            Self::StartLimitHit => "start-limit-hit",
        }
    }

    /// What `systemctl` says of a job that failed so.
    fn reason(self) -> &'static str {
        match self {
            Self::Success | Self::ExitCode => "the control process exited with error code",
            Self::Signal => "a fatal signal was delivered to the control process",
            Self::OomKill => "of an out-of-memory (OOM) situation",
            Self::StartLimitHit => "start of the service was attempted too often",
        }
    }
}

/// A unit since the boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitState {
    /// It is up.
    pub active: bool,
    /// It is up, and nothing of it runs any more (a oneshot that remains).
    pub exited: bool,
    /// How it ended.
    pub verdict: Verdict,
    /// Its main process.
    pub main_pid: Option<u32>,
    /// Exit code of its main or control process.
    pub status: u8,
    /// How often it was started again by itself.
    pub restarts: u32,
}

impl UnitState {
    pub(crate) fn has_failed(&self) -> bool {
        !self.active && self.verdict != Verdict::Success
    }

    /// As `is-active` says it.
    pub(crate) fn word(&self) -> &'static str {
        match (self.active, self.has_failed()) {
            (true, _) => "active",
            (false, true) => "failed",
            (false, false) => "inactive",
        }
    }
}

/// A unit's name with its suffix.
pub(crate) fn full_name(name: &str) -> String {
    let suffixes = [
        ".service", ".target", ".socket", ".timer", ".mount", ".path",
    ];
    if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

/// Path and content of a unit's file.
pub(crate) fn load(run: &Run<'_>, name: &str) -> Option<(String, UnitFile)> {
    let files = &run.guest.files;
    let path = FOLDERS
        .map(|folder| format!("{folder}/{name}"))
        .into_iter()
        .find(|path| files.exists(path))?;
    let text = files.text(&path).ok()?;
    Some((path, UnitFile::parse(&text)))
}

/// Where a unit's enabling links are.
pub(crate) fn wants(target: &str, name: &str) -> String {
    format!("/etc/systemd/system/{target}.wants/{name}")
}

pub(crate) fn note_main(run: &mut Run<'_>, unit: &str, pid: u32) {
    let state = run.guest.units.entry(unit.to_owned()).or_default();
    state.main_pid = Some(pid);
}

/// Starts a unit that does not run. The answer is what `systemctl start` ends with.
pub(crate) fn start(run: &mut Run<'_>, name: &str) -> Ended {
    let Some((_, file)) = load(run, name) else {
        let text = format!("Failed to start {name}: Unit {name} not found.");
        return Ended::failed(5, text);
    };
    if run.guest.units.get(name).is_some_and(|state| state.active) {
        return Ended::ok();
    }
    let restarts = run.guest.units.get(name).map_or(0, |state| state.restarts);
    let state = UnitState {
        restarts,
        ..UnitState::default()
    };
    run.guest.units.insert(name.to_owned(), state);
    if !file.has_section("Service") {
        return set_active(run, name, false);
    }
    let title = file.one("Unit", "Description").unwrap_or(name).to_owned();
    say(
        run,
        name,
        "systemd",
        &format!("Starting {name} - {title}..."),
    );
    let started = Starting { name, file: &file }.run(run);
    match started {
        Ok(exited) => {
            say(run, name, "systemd", &format!("Started {name} - {title}."));
            set_active(run, name, exited)
        }
        Err((verdict, status, in_job)) => {
            fail(run, name, verdict, status);
            if verdict == Verdict::Success {
                say(
                    run,
                    name,
                    "systemd",
                    &format!("{name}: Deactivated successfully."),
                );
                return Ended::ok();
            }
            let text = format!("Failed to start {name} - {title}.");
            say(run, name, "systemd", &text);
            if !in_job {
                return Ended::ok();
            }
            let why = verdict.reason();
            Ended::failed(
                1,
                format!(
                    "Job for {name} failed because {why}.\nSee \"systemctl status {name}\" and \"journalctl -xeu {name}\" for details."
                ),
            )
        }
    }
}

fn set_active(run: &mut Run<'_>, name: &str, exited: bool) -> Ended {
    let state = run.guest.units.entry(name.to_owned()).or_default();
    state.active = true;
    state.exited = exited;
    Ended::ok()
}

fn fail(run: &mut Run<'_>, name: &str, verdict: Verdict, status: u8) {
    let pids: Vec<u32> = pids_of(run, name);
    for pid in pids {
        run.guest.processes.remove(&pid);
    }
    let state = run.guest.units.entry(name.to_owned()).or_default();
    state.active = false;
    state.main_pid = None;
    state.verdict = verdict;
    state.status = status;
    let word = verdict.word();
    if verdict != Verdict::Success {
        let text = format!("{name}: Failed with result '{word}'.");
        say(run, name, "systemd", &text);
    }
}

fn pids_of(run: &Run<'_>, name: &str) -> Vec<u32> {
    let processes = run.guest.processes.values();
    processes
        .filter(|process| process.unit.as_deref() == Some(name))
        .map(|process| process.pid)
        .collect()
}

pub(crate) fn say(run: &mut Run<'_>, unit: &str, from: &str, text: &str) {
    let now_s = run.world.now_s;
    run.guest.say(now_s, Some(unit), from, text);
}

/// A unit on its way up.
struct Starting<'a> {
    name: &'a str,
    file: &'a UnitFile,
}

/// Verdict, exit code, and whether whoever asked for the start is told.
type Failure = (Verdict, u8, bool);

impl Starting<'_> {
    /// True when it is up though nothing of it runs.
    fn run(&self, run: &mut Run<'_>) -> Result<bool, Failure> {
        let kind = self.file.one("Service", "Type").unwrap_or("simple");
        // The start of a simple unit is over before its program has done anything.
        let in_job = kind != "simple";
        self.check_account(run)
            .map_err(|code| (Verdict::ExitCode, code, in_job))?;
        for line in self.file.all("Service", "ExecStartPre") {
            self.control(run, line)?;
        }
        let mut kept = false;
        for line in self.file.all("Service", "ExecStart") {
            kept = self.main(run, line, in_job)?;
        }
        if kept {
            return Ok(false);
        }
        let remains = self.file.one("Service", "RemainAfterExit");
        let remains = remains.is_some_and(|v| ["yes", "true", "1", "on"].contains(&v));
        if remains {
            return Ok(true);
        }
        Err((Verdict::Success, 0, false))
    }

    fn check_account(&self, run: &Run<'_>) -> Result<(), u8> {
        let files = &run.guest.files;
        let user = self.file.one("Service", "User");
        if user.is_some_and(|user| super::people::id_of(files, "/etc/passwd", user).is_none()) {
            return Err(217);
        }
        let folder = self.file.one("Service", "WorkingDirectory");
        match folder.map(|folder| folder.trim_start_matches('-')) {
            Some(folder) if folder.starts_with('/') && !files.is_dir(folder) => Err(200),
            Some(_) | None => Ok(()),
        }
    }

    /// A command before the main one; a `-` in front lets it fail.
    fn control(&self, run: &mut Run<'_>, line: &str) -> Result<(), Failure> {
        let (argv, may_fail) = words_of(line);
        let ended = self.command(run, &argv).unwrap_or_else(|_| Ended::ok());
        match ended.exit {
            0 => Ok(()),
            _ if may_fail => Ok(()),
            code => Err((verdict_of(code), code, true)),
        }
    }

    /// The main command. True when a process of it stays.
    fn main(&self, run: &mut Run<'_>, line: &str, in_job: bool) -> Result<bool, Failure> {
        let (argv, may_fail) = words_of(line);
        run.unit = Some(self.name.to_owned());
        let ended = self.command(run, &argv);
        run.unit = None;
        let kept = !pids_of(run, self.name).is_empty();
        match ended {
            Err(Interrupt::Hang(None)) => {
                run.unit = Some(self.name.to_owned());
                let memory_mib = 1;
                let process = super::processes::Process::of(&argv, memory_mib, None);
                super::exec::keep(run, process);
                run.unit = None;
                Ok(true)
            }
            Err(_) => Ok(kept),
            Ok(ended) if ended.exit == 0 || may_fail => Ok(kept),
            Ok(ended) => Err((verdict_of(ended.exit), ended.exit, in_job)),
        }
    }

    /// Runs it with its output in the journal.
    fn command(&self, run: &mut Run<'_>, argv: &[String]) -> Result<Ended, Interrupt> {
        let program = argv.first().cloned().unwrap_or_default();
        if run.find(&program).is_err() {
            let text = format!(
                "{}: Failed to locate executable {program}: No such file or directory",
                self.name
            );
            say(run, self.name, "systemd", &text);
            return Ok(Ended::exit(203));
        }
        let ended = run.command(argv)?;
        let short = program.rsplit('/').next().unwrap_or_default();
        let text = [&ended.stdout[..], &ended.stderr[..]].concat();
        say(run, self.name, short, &String::from_utf8_lossy(&text));
        if ended.exit != 0 {
            let text = format!(
                "{}: Control process exited, code=exited, status={}/FAILURE",
                self.name, ended.exit
            );
            say(run, self.name, "systemd", &text);
        }
        Ok(ended)
    }
}

fn words_of(line: &str) -> (Vec<String>, bool) {
    let bare = line.trim_start_matches(['-', '+', '!', '@', ':']);
    let marks = line.get(..line.len() - bare.len()).unwrap_or_default();
    (split_words(bare).unwrap_or_default(), marks.contains('-'))
}

fn verdict_of(code: u8) -> Verdict {
    if code == super::exec::KILLED {
        Verdict::OomKill
    } else {
        Verdict::ExitCode
    }
}

/// Stops a unit. A failed one keeps its verdict until it is started again.
pub(crate) fn stop(run: &mut Run<'_>, name: &str) -> Ended {
    let was_active = run.guest.units.get(name).is_some_and(|state| state.active);
    if load(run, name).is_none() && !was_active {
        let text = format!("Failed to stop {name}: Unit {name} not loaded.");
        return Ended::failed(5, text);
    }
    if was_active {
        fail(run, name, Verdict::Success, 0);
        if let Some(state) = run.guest.units.get_mut(name) {
            state.restarts = 0;
        }
        say(run, name, "systemd", &format!("Stopped {name}."));
    }
    Ended::ok()
}

/// A process is gone that nobody stopped. Its unit fails, and starts again if its file says so.
pub(crate) fn end_process(run: &mut Run<'_>, pid: u32, verdict: Verdict) {
    let Some(process) = run.guest.processes.remove(&pid) else {
        return;
    };
    let Some(unit) = process.unit else { return };
    let text = match verdict {
        Verdict::OomKill => {
            format!("{unit}: A process of this unit has been killed by the OOM killer.")
        }
        Verdict::Success | Verdict::ExitCode | Verdict::Signal | Verdict::StartLimitHit => {
            format!("{unit}: Main process exited, code=killed, status=9/KILL")
        }
    };
    say(run, &unit, "systemd", &text);
    fail(run, &unit, verdict, 9);
    let Some((_, file)) = load(run, &unit) else {
        return;
    };
    let wish = file.one("Service", "Restart").unwrap_or("no");
    if !["always", "on-failure", "on-abnormal"].contains(&wish) {
        return;
    }
    let state = run.guest.units.entry(unit.clone()).or_default();
    state.restarts += 1;
    if state.restarts > MAX_RESTARTS {
        state.verdict = Verdict::StartLimitHit;
        let text = format!("{unit}: Start request repeated too quickly.");
        return say(run, &unit, "systemd", &text);
    }
    // Its outcome is in the unit's state.
    let _ = start(run, &unit);
}
