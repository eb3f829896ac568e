//! Commands that run a role, and those about the installation.

#[cfg(feature = "lab")]
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::LogFormat;

/// `proximity try`.
#[cfg(feature = "lab")]
#[derive(Debug, Clone, Args)]
pub(crate) struct TryArgs {
    /// Deploy, check, remove, print a JSON report as the last line, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: this entry of the shipped catalog in place of nginx, looked at more closely
    #[arg(long, value_name = "ENTRY", requires = "once")]
    pub(crate) app: Option<String>,
    /// What the containers are: real ones as root, or simulated ones as any user
    #[arg(long, value_name = "WHAT", default_value = "lxc")]
    pub(crate) guests: LabGuests,
    /// Reach the containers by the helper on the lab's nodes, in place of root's shell there
    #[arg(long)]
    pub(crate) helper: bool,
    /// Keep everything in a network and process namespace of its own; nothing of this machine is changed
    #[arg(long)]
    pub(crate) private: bool,
    /// Where to keep its files [default: a directory under the state directory of this account]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Where templates are kept between runs [default: beside the files]
    #[arg(long, value_name = "DIR")]
    pub(crate) template_cache: Option<PathBuf>,
}

/// `proximity serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// How log lines look [default: as configured]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Make a new first token, write it to the token file, and go on
    #[arg(long)]
    pub(crate) new_admin_token: bool,
    /// End by SIGKILL at this place
    #[cfg(feature = "crash-points")]
    #[arg(long, hide = true, value_name = "SAGA/STEP/PLACE")]
    pub(crate) crash_at: Option<String>,
    /// After a restart, create containers without a look at what is there (the control of figure R1)
    #[cfg(feature = "crash-points")]
    #[arg(long, hide = true)]
    pub(crate) forget_creates: bool,
}

/// `proximity gateway`.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// How log lines look [default: as configured]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// `proximity config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print all settings with the values in effect
    Show,
}

/// `proximity completion`.
#[derive(Debug, Args)]
#[command(
    after_help = "bash: proximity completion bash > /etc/bash_completion.d/proximity\n\
zsh:  proximity completion zsh > \"${fpath[1]}/_proximity\"\n\
fish: proximity completion fish > ~/.config/fish/completions/proximity.fish"
)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// `proximity reference …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReferenceCommand {
    /// Error codes, and what to do (Markdown)
    Errors,
    /// The REST API (OpenAPI 3.1, JSON)
    Openapi,
    /// Manual pages, one file for each command
    Man {
        /// Where to write them; the folder has to be there
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Kinds of events and their fields (Markdown)
    Events,
    /// Figures of a running server (Markdown)
    Metrics,
    /// What tokens on a cluster may do, and which call needs what (Markdown)
    Privileges,
    /// What doctor finds, and how it is mended (Markdown)
    Doctor,
    /// Documents of desired state, for editors (JSON Schema)
    ManifestSchema,
}

/// `proximity lab …`.
#[cfg(feature = "lab")]
#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Run the emulated cluster until Ctrl-C
    Run(LabRun),
    /// Take away what a lab left that was killed
    Clean(LabClean),
    /// Say whether a lab runs, and how to reach it
    Status(LabStatus),
    /// Look at or break what a running lab emulates, over its control socket
    Control(LabControl),
}

/// `proximity lab run`.
#[cfg(feature = "lab")]
#[derive(Debug, Args)]
pub(crate) struct LabRun {
    /// Where the cluster's state is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// API of the first node; each further node has the next port; port 0 takes free ones
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:18006")]
    pub(crate) listen: SocketAddr,
    /// SSH of the first node; likewise
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:18022")]
    pub(crate) ssh_listen: SocketAddr,
    /// Names of the nodes, separated by commas; several make a cluster
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "pve1"
    )]
    pub(crate) nodes: Vec<String>,
    /// What the containers are: real ones as root, or simulated ones as any user
    #[arg(long, value_name = "WHAT", default_value = "lxc")]
    pub(crate) guests: LabGuests,
    /// Where the OS template is kept; labs may share it [default: `templates` in the directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) template_cache: Option<PathBuf>,
    /// OCI images that can be pulled: one OCI layout per repository, e.g. `DIR/docker.io/library/nginx`
    #[arg(long, value_name = "DIR")]
    pub(crate) registry: Option<PathBuf>,
    /// Where the containers' network is
    #[arg(long, value_name = "WHERE", default_value = "bridge")]
    pub(crate) network: LabNetwork,
    /// How long tasks take at least, e.g. {"create_ms":2000,"start_ms":1000}
    #[arg(long, value_name = "JSON")]
    pub(crate) task_times: Option<String>,
    /// How long `pct exec` takes before the command begins, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub(crate) exec_ms: u64,
    /// Leave containers and network as they are at the end, for the next run
    #[arg(long)]
    pub(crate) keep: bool,
    /// End when stdin ends
    #[arg(long)]
    pub(crate) end_with_stdin: bool,
    /// How log lines look [default: as configured]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// What the containers of a lab are.
#[cfg(feature = "lab")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LabGuests {
    /// Real LXC containers; needs root
    Lxc,
    /// Simulated, answering on loopback addresses; nothing of this machine is changed
    Simulated,
}

#[cfg(feature = "lab")]
impl LabGuests {
    pub(crate) fn of_lab(self) -> proximity_pve_emulator::lab::Guests {
        use proximity_pve_emulator::lab::Guests;
        match self {
            Self::Lxc => Guests::Lxc,
            Self::Simulated => Guests::Simulated,
        }
    }
}

/// Where the containers' network is.
#[cfg(feature = "lab")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LabNetwork {
    /// A bridge of its own with NAT on this machine
    Bridge,
    /// In a private namespace, which the process must be in
    Private,
    /// In the network namespace the process is in, whose settings stay as they are
    Existing,
}

/// `proximity lab clean`.
#[cfg(feature = "lab")]
#[derive(Debug, Args)]
pub(crate) struct LabClean {
    /// Its directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// `proximity lab status`.
#[cfg(feature = "lab")]
#[derive(Debug, Args)]
pub(crate) struct LabStatus {
    /// Its directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// `proximity lab control`.
#[cfg(feature = "lab")]
#[derive(Debug, Args)]
#[command(
    after_help = "GET /world/guests, GET /world/tasks, GET /journal, POST /task-times JSON, POST /guests/NODE/VMID JSON with any of \
{\"faults\": {\"exec_hangs\": true, \"never_answers\": true, \"ignores_shutdown\": true, \"keeps_disk\": true, \"hogged_mib\": 200}, \
\"crash_unit\": \"nginx\", \"die\": true}. Faults that are not named are mended."
)]
pub(crate) struct LabControl {
    /// Its directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// GET, POST or DELETE
    #[arg(value_name = "METHOD")]
    pub(crate) method: String,
    /// What of it, e.g. /world/guests
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
    /// The body of a POST
    #[arg(value_name = "JSON")]
    pub(crate) body: Option<String>,
}
