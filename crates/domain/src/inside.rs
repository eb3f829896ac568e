//! What people may have run inside a container: ten commands that only look, and any program with its arguments.
//!
//! What runs is always a list of arguments, never a line for a shell.

use std::fmt;

/// Most lines of a journal that are asked for.
pub const MOST_LINES: u32 = 1_000;
/// How many are asked for unless said otherwise.
pub const USUAL_LINES: u32 = 100;
/// Most arguments of a program, with its name.
pub const MOST_ARGUMENTS: usize = 256;
/// Longest arguments of a program together, bytes.
pub const MOST_ARGUMENT_BYTES: usize = 64 * 1024;
/// Longest name of a unit, bytes, as systemd has it.
const LONGEST_UNIT: usize = 255;
/// How much of each argument is audited, characters.
const AUDITED_CHARS: usize = 512;
/// How many arguments are audited.
const AUDITED_ARGUMENTS: usize = 32;

/// How a unit is. `systemctl status` would show the arguments of its programs, which may be secret, and what it printed.
const STATE: &str = "--property=Id,Description,LoadState,ActiveState,SubState,UnitFileState,Result,MainPID,ExecMainStatus,NRestarts,\
     ActiveEnterTimestamp,MemoryCurrent,TasksCurrent";

/// What is told of a unit: nothing that holds its environment or the arguments of its programs, which may be secret.
const PROPERTIES: &str = "--property=Id,Description,LoadState,ActiveState,SubState,UnitFileState,FragmentPath,DropInPaths,User,\
     Group,WorkingDirectory,Restart,NRestarts,Result,ExecMainStatus,ActiveEnterTimestamp,MemoryCurrent,MemoryMax,TasksCurrent";

/// A command that only looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SafeCommand {
    /// The journal, of one unit or of all.
    Logs,
    /// Services and how they are, or one unit.
    Status,
    /// File systems and how full they are.
    Disk,
    /// Programs that run, without their arguments.
    Processes,
    /// Memory.
    Memory,
    /// Network devices and their addresses.
    Network,
    /// What is installed.
    Packages,
    /// What is mounted where.
    Volumes,
    /// How a unit is set up.
    Config,
    /// System, kernel and load.
    System,
}

impl SafeCommand {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Logs,
        Self::Status,
        Self::Disk,
        Self::Processes,
        Self::Memory,
        Self::Network,
        Self::Packages,
        Self::Volumes,
        Self::Config,
        Self::System,
    ];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Status => "status",
            Self::Disk => "disk",
            Self::Processes => "processes",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Packages => "packages",
            Self::Volumes => "volumes",
            Self::Config => "config",
            Self::System => "system",
        }
    }

    /// The command with this label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.label() == label)
    }
}

/// A value that a command does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// Which of its fields.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for NotTaken {}

fn not_taken(field: &'static str, why: impl Into<String>) -> NotTaken {
    NotTaken {
        field,
        why: why.into(),
    }
}

/// A command that only looks, with what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeRequest {
    /// Which.
    pub command: SafeCommand,
    /// How many of the newest lines: of `logs` alone.
    pub lines: Option<u32>,
    /// The unit it is about: of `logs`, `status` and `config` alone; `config` needs one.
    pub unit: Option<String>,
}

impl SafeRequest {
    /// What is run: program and arguments, all but what was given fixed.
    ///
    /// # Errors
    /// [`NotTaken`]: something is given that the command does not take, or that breaks its rule.
    pub fn argv(&self) -> Result<Vec<String>, NotTaken> {
        self.check_lines()?;
        let unit = self.checked_unit()?;
        let fixed: &[&str] = match self.command {
            SafeCommand::Logs => &["journalctl", "--no-pager", "--quiet"],
            SafeCommand::Status if unit.is_some() => &["systemctl", "--no-pager", STATE, "show"],
            SafeCommand::Status => &[
                "systemctl",
                "--no-pager",
                "--all",
                "--type=service",
                "list-units",
            ],
            SafeCommand::Disk => &["df", "-h"],
            SafeCommand::Processes => &["ps", "-e", "-o", "pid,user,pcpu,pmem,etime,comm"],
            SafeCommand::Memory => &["free", "-m"],
            SafeCommand::Network => &["ip", "address"],
            SafeCommand::Packages => &["dpkg-query", "--show"],
            SafeCommand::Volumes => &["cat", "/proc/mounts"],
            SafeCommand::Config => &["systemctl", "--no-pager", PROPERTIES, "show"],
            SafeCommand::System => &[
                "cat",
                "/etc/os-release",
                "/proc/version",
                "/proc/uptime",
                "/proc/loadavg",
            ],
        };
        let mut argv: Vec<String> = fixed.iter().map(|word| (*word).to_owned()).collect();
        if self.command == SafeCommand::Logs {
            argv.push(format!("--lines={}", self.lines.unwrap_or(USUAL_LINES)));
            argv.extend(unit.map(|unit| format!("--unit={unit}")));
        } else {
            argv.extend(unit.map(str::to_owned));
        }
        Ok(argv)
    }

    fn check_lines(&self) -> Result<(), NotTaken> {
        match self.lines {
            None => Ok(()),
            Some(_) if self.command != SafeCommand::Logs => {
                Err(not_taken("lines", "only logs takes a number of lines"))
            }
            Some(lines) if (1..=MOST_LINES).contains(&lines) => Ok(()),
            Some(lines) => {
                let why = format!("{lines} lines are not 1 to {MOST_LINES}");
                Err(not_taken("lines", why))
            }
        }
    }

    fn checked_unit(&self) -> Result<Option<&str>, NotTaken> {
        let takes = matches!(
            self.command,
            SafeCommand::Logs | SafeCommand::Status | SafeCommand::Config
        );
        match &self.unit {
            None if self.command == SafeCommand::Config => {
                Err(not_taken("unit", "config is about one unit: name it"))
            }
            None => Ok(None),
            Some(_) if !takes => {
                let why = "only logs, status and config are about a unit";
                Err(not_taken("unit", why))
            }
            Some(unit) if is_unit(unit) => Ok(Some(unit)),
            Some(unit) => {
                let why = format!(
                    "{unit:?} is no name of a unit: letters, digits and any of -_.@:, not a dash first, {LONGEST_UNIT} at most"
                );
                Err(not_taken("unit", why))
            }
        }
    }
}

fn is_unit(name: &str) -> bool {
    let is_fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.@:".contains(&b);
    (1..=LONGEST_UNIT).contains(&name.len()) && name.bytes().all(is_fine) && !name.starts_with('-')
}

/// Whether this can be run as it is.
///
/// # Errors
/// [`NotTaken`]: no program, one whose name could be taken for something else, too many or too long arguments, or a NUL in one.
pub fn check_argv(argv: &[String]) -> Result<(), NotTaken> {
    let wrong = |why: String| Err(not_taken("argv", why));
    let Some(program) = argv.first().filter(|program| !program.is_empty()) else {
        return wrong("it names no program".to_owned());
    };
    // The program is begun by `env`, which would take these for something of its own.
    if program.contains('=') || program.starts_with('-') {
        return wrong(format!(
            "{program:?} cannot be the name of a program: it holds = or begins with a dash"
        ));
    }
    if argv.len() > MOST_ARGUMENTS {
        return wrong(format!(
            "{} arguments are more than {MOST_ARGUMENTS}",
            argv.len()
        ));
    }
    let bytes: usize = argv.iter().map(String::len).sum();
    if bytes > MOST_ARGUMENT_BYTES {
        return wrong(format!("{bytes} bytes are more than {MOST_ARGUMENT_BYTES}"));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return wrong("an argument holds a NUL character".to_owned());
    }
    Ok(())
}

/// What is audited of arguments: the first ones, each cut to a length; what is left out is said.
#[must_use]
pub fn audited(argv: &[String]) -> Vec<String> {
    let cut = |argument: &String| match argument.char_indices().nth(AUDITED_CHARS) {
        Some((end, _)) => format!("{}…", argument.get(..end).unwrap_or_default()),
        None => argument.clone(),
    };
    let mut kept: Vec<String> = argv.iter().take(AUDITED_ARGUMENTS).map(cut).collect();
    let left_out = argv.len().saturating_sub(kept.len());
    if left_out > 0 {
        kept.push(format!("(arguments left out: {left_out})"));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(command: SafeCommand) -> SafeRequest {
        SafeRequest {
            command,
            lines: None,
            unit: None,
        }
    }

    fn of_unit(command: SafeCommand, unit: &str) -> SafeRequest {
        SafeRequest {
            unit: Some(unit.to_owned()),
            ..plain(command)
        }
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn each_is_known_by_its_label_and_starts_a_program_of_its_own() {
        for command in SafeCommand::ALL {
            assert_eq!(SafeCommand::parse(command.label()), Some(command));
            let request = match command {
                SafeCommand::Config => of_unit(command, "nginx"),
                _ => plain(command),
            };
            let argv = request.argv().unwrap();
            assert_eq!(check_argv(&argv), Ok(()));
            let is_shell = ["sh", "/bin/sh", "bash"].contains(&argv[0].as_str());
            assert!(!is_shell, "{argv:?}");
        }
        assert_eq!(SafeCommand::parse("rm"), None);
    }

    #[test]
    fn what_is_given_stands_in_one_argument() {
        let logs = SafeRequest {
            lines: Some(7),
            ..of_unit(SafeCommand::Logs, "nginx.service")
        };
        let wanted = "journalctl --no-pager --quiet --lines=7 --unit=nginx.service";
        assert_eq!(logs.argv(), Ok(words(wanted)));
        let usual = plain(SafeCommand::Logs).argv().unwrap();
        assert_eq!(usual[3..], ["--lines=100"]);
        for command in [SafeCommand::Status, SafeCommand::Config] {
            let argv = of_unit(command, "nginx").argv().unwrap();
            assert_eq!(
                argv[3..],
                ["show", "nginx"],
                "no status: it shows arguments"
            );
            for secret in ["Environment", "ExecStart", "CGroup", "StatusText"] {
                assert!(!argv.iter().any(|word| word.contains(secret)), "{argv:?}");
            }
        }
    }

    #[test]
    fn what_a_command_does_not_take_is_refused() {
        let lines = |command, lines| SafeRequest {
            lines: Some(lines),
            ..plain(command)
        };
        for (request, field) in [
            (lines(SafeCommand::Logs, 0), "lines"),
            (lines(SafeCommand::Logs, 1_001), "lines"),
            (lines(SafeCommand::Disk, 5), "lines"),
            (of_unit(SafeCommand::Disk, "nginx"), "unit"),
            (plain(SafeCommand::Config), "unit"),
            (of_unit(SafeCommand::Logs, ""), "unit"),
            (of_unit(SafeCommand::Logs, "-f"), "unit"),
            (of_unit(SafeCommand::Status, "a b"), "unit"),
            (of_unit(SafeCommand::Status, "a;reboot"), "unit"),
            (of_unit(SafeCommand::Config, &"x".repeat(256)), "unit"),
        ] {
            let refused = request.argv().unwrap_err();
            assert_eq!(refused.field, field, "{request:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_list_of_arguments_is_refused() {
        let argv = |words: &[&str]| -> Vec<String> {
            words.iter().map(|word| (*word).to_owned()).collect()
        };
        for bad in [
            argv(&[]),
            argv(&["", "x"]),
            argv(&["A=b", "x"]),
            argv(&["-i"]),
            argv(&["echo", "a\0b"]),
            argv(&["x"; MOST_ARGUMENTS + 1]),
            argv(&["echo", &"x".repeat(MOST_ARGUMENT_BYTES)]),
        ] {
            assert_eq!(check_argv(&bad).unwrap_err().field, "argv");
        }
        assert_eq!(check_argv(&argv(&["echo", "$(reboot); a=b", ""])), Ok(()));
    }

    #[test]
    fn what_is_audited_is_bounded_and_says_what_it_leaves_out() {
        let long = audited(&["ö".repeat(AUDITED_CHARS + 1)]);
        assert_eq!(long[0].chars().count(), AUDITED_CHARS + 1);
        assert!(long[0].ends_with('…'));
        let many = audited(&vec!["x".to_owned(); AUDITED_ARGUMENTS + 3]);
        assert_eq!(many.len(), AUDITED_ARGUMENTS + 1);
        assert_eq!(many.last().unwrap(), "(arguments left out: 3)");
        assert_eq!(audited(&words("df -h")), words("df -h"));
    }
}
