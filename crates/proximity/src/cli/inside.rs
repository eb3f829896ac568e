//! Commands inside the containers of apps.

use clap::{Args, ValueEnum};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LookAt {
    /// The newest lines of the journal, of one unit or of all
    Logs,
    /// Services and how they are, or one unit
    Status,
    /// File systems and how full they are
    Disk,
    /// Programs that run, without their arguments
    Processes,
    /// Memory
    Memory,
    /// Network devices and their addresses
    Network,
    /// What is installed
    Packages,
    /// What is mounted where
    Volumes,
    /// How a unit is set up, without its environment and its command lines
    Config,
    /// System, kernel and load
    System,
}

/// `proximity run`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is printed comes without the app's secrets. Of an adopted app none are known.\n\
The exit code is that of the program in the container: 127 where it is not installed there."
)]
pub(crate) struct RunArgs {
    /// Host name or id of the app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// What to look at
    #[arg(value_name = "COMMAND", value_enum)]
    pub(crate) look_at: LookAt,
    /// The unit that logs, status and config are about, e.g. nginx; config needs one
    #[arg(value_name = "UNIT")]
    pub(crate) unit: Option<String>,
    /// How many of the newest lines of logs [default: 100]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) lines: Option<u32>,
}

/// `proximity exec`.
#[derive(Debug, Args)]
#[command(
    after_help = "It runs as root, is audited with its arguments, and is ended when its time is over or Ctrl-C is pressed: secrets belong into its input.\n\
What it prints comes without the app's secrets, at most 4 MiB of each kind. For a shell, say so: proximity exec web -- sh -c 'ls /srv | wc -l'"
)]
pub(crate) struct ExecArgs {
    /// Host name or id of the app
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Let the program read what this command reads from stdin, to its end, at most 512 KiB
    #[arg(long, short = 'i')]
    pub(crate) stdin: bool,
    /// How long it may run, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) timeout: u32,
    /// The program and its arguments, behind --
    #[arg(last = true, required = true, value_name = "ARGV")]
    pub(crate) argv: Vec<String>,
}
