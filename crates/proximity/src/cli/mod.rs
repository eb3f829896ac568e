//! The command line: what can be typed. Doc comments are the help texts.

mod accounts;
mod adoption;
mod apply;
mod apps;
mod audit;
mod catalog;
#[cfg(feature = "crash-points")]
mod crash_points;
mod events;
mod hosts;
mod init;
mod inside;
mod manifest;
mod notify;
mod operations;
mod ports;
mod reconcile;
mod rejected;
mod resources;
mod roles;
mod rollback;
mod sources;
mod stack;
mod templates;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use accounts::{
    AccountName, AccountRole, AccountsAdd, AccountsCommand, PeopleCommand, SessionName,
    SessionsCommand, SetupLinkArgs,
};
pub(crate) use adoption::{
    AdoptArgs, ContainerName, DiscoverArgs, ExposeArgs, ForgetArgs, RestoreKeysArgs,
};
pub(crate) use apply::{
    AppliesCommand, AppliesList, ApplyArgs, ApplyName, SecretName, SecretsCommand,
};
pub(crate) use apps::{
    AppsArgs, ConfigureArgs, DeployArgs, LogsArgs, NetworkArgs, PowerArgs, RemoveArgs, Setting,
    ShowArgs, WaitArgs, Waiting,
};
pub(crate) use audit::{AuditCommand, AuditVerify};
pub(crate) use catalog::{
    CatalogArgs, CatalogCommand, CatalogSourcesAdd, CatalogSourcesCommand, CatalogSourcesUpdate,
};
#[cfg(feature = "crash-points")]
pub(crate) use crash_points::{CrashPointsArgs, CrashPointsCommand};
pub(crate) use events::EventsArgs;
pub(crate) use hosts::{
    DoctorArgs, HostsAdd, HostsCommand, HostsForgetNode, HostsInstallHelper, HostsRemove,
    HostsRemoveHelper, HostsSet, HostsSsh, HostsTrust, NodeValue, NodesArgs, SshArgs,
};
pub(crate) use init::{InitArgs, LoginArgs, UninitArgs};
pub(crate) use inside::{ExecArgs, LookAt, RunArgs};
pub(crate) use manifest::{
    DiffArgs, DocumentFormat, DocumentsArgs, ExportArgs, PlanArgs, ValidateArgs,
};
pub(crate) use notify::{NotifyCommand, NotifyTest};
pub(crate) use operations::{OperationChange, OperationsCommand, OperationsList, OperationsShow};
pub(crate) use ports::{PortsCommand, PortsFree, PortsList};
pub(crate) use reconcile::{
    ArchiveCommand, ArchiveListArgs, ArchiveShow, JanitorArgs, ReconcileArgs, ReidentifyArgs,
    ResolveArgs,
};
pub(crate) use rejected::{RejectArgs, RejectionsCommand, UnrejectArgs};
pub(crate) use resources::{
    HistoryArgs, ResourceName, SnapshotsAt, SnapshotsCommand, SnapshotsDiff, SnapshotsList,
};
pub(crate) use roles::{CompletionArgs, ConfigCommand, GatewayArgs, ReferenceCommand, ServeArgs};
#[cfg(feature = "lab")]
pub(crate) use roles::{
    LabClean, LabCommand, LabControl, LabGuests, LabNetwork, LabRun, LabStatus, TryArgs,
};
pub(crate) use rollback::{BackTo, RollbackArgs};
pub(crate) use sources::{
    Policy as SourcePolicy, SourceName, SourcesAdd, SourcesCommand, SourcesLook,
};
pub(crate) use stack::{StackCommand, StackName, StackPowerArgs, StackStartArgs};
pub(crate) use templates::{TemplatesCommand, TemplatesDrop};

/// Deploys apps as Proxmox VE containers, and looks after them.
#[derive(Debug, Parser)]
#[command(name = "proximity", version, max_term_width = 100)]
#[command(
    after_help = "First steps: `proximity try` shows all of it on this machine. \
For real: `proximity serve`, `proximity gateway`, `proximity init LABEL URL`, `proximity deploy nginx web`."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Print the result as JSON, errors too (on stderr)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Configuration file [default: /etc/proximity/config.yaml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "PROXIMITY_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// URL of the server [default: $PROXIMITY_URL, client.url of the configuration, or this machine]
    #[arg(long, visible_alias = "server", global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File with the API token [default: client.token_file of the configuration, or admin.token in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// No progress on stderr, only results and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say on stderr what is done; twice for more
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// End when the process with this number, which must be the parent, ends
    #[arg(long, global = true, hide = true, value_name = "PID")]
    pub(crate) die_with_parent: Option<u32>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show all of it on this machine: emulated cluster with real containers, server, gateway, one app
    #[cfg(feature = "lab")]
    Try(TryArgs),
    /// Run the control plane: API and the worker that carries operations out
    Serve(ServeArgs),
    /// Run the gateway: it listens on the apps' ports and leads to their containers
    Gateway(GatewayArgs),
    /// An emulated Proxmox VE cluster with real containers, for trying and testing
    #[cfg(feature = "lab")]
    #[command(subcommand)]
    Lab(LabCommand),
    /// Set a cluster or node up with users, tokens and roles that may do what is needed and no more, and add it
    Init(Box<InitArgs>),
    /// Give a host up: what init made on it is taken away, and what stays is listed
    Uninit(UninitArgs),
    /// Proxmox VE clusters and nodes that apps are deployed on
    #[command(subcommand)]
    Hosts(HostsCommand),
    /// Show the nodes of the clusters as they are now, and which of them can take new apps
    Nodes(NodesArgs),
    /// Ports apps are reached at
    #[command(subcommand)]
    Ports(PortsCommand),
    /// The channels people are told through
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// What can be deployed
    Catalog(CatalogArgs),
    /// Deploy an app from the catalog, and wait until it answers
    Deploy(Box<DeployArgs>),
    /// List the containers of the clusters that no app has; changes nothing
    Discover(DiscoverArgs),
    /// Take containers over that are there: their state is recorded, and they are not touched
    Adopt(AdoptArgs),
    /// Show what somebody changed about an app's container, beside what was applied and is wanted; exit code 0 either way
    Drift(ShowArgs),
    /// Bring keys of an adopted app's container back to the day of its adoption: first shown, then done with --digest
    RestoreKeys(RestoreKeysArgs),
    /// Tell of it when an adopted app's container is configured otherwise than on the day of its adoption
    Guard(ShowArgs),
    /// End that; drift is shown on request alone
    Unguard(ShowArgs),
    /// Let the gateway lead an adopted app's ports to its container
    Expose(ExposeArgs),
    /// End that; the ports stay reserved
    Unexpose(ShowArgs),
    /// Give an adopted app back: its container is left as it is, its history is kept
    Forget(ForgetArgs),
    /// List apps
    Apps(AppsArgs),
    /// Show one app
    Show(ShowArgs),
    /// Show root's password of an app that was deployed with --root-password: once, then it is forgotten
    RootPassword(ShowArgs),
    /// Show where an app is on the network: devices, MACs and addresses of its container as they were read last
    Addresses(ShowArgs),
    /// Show what happened to an app
    Logs(LogsArgs),
    /// Show what happened everywhere: apps, operations, hosts
    Events(EventsArgs),
    /// Start an app's container
    Start(WaitArgs),
    /// Shut an app's container down
    Stop(PowerArgs),
    /// Shut an app's container down and start it again
    Restart(PowerArgs),
    /// Apps that documents put together: start and stop them in the order of what they need
    #[command(subcommand)]
    Stack(StackCommand),
    /// Look into an app's container by one of ten commands that only look
    Run(RunArgs),
    /// Run a program in an app's container, as root and without a shell; its exit code is handed on
    Exec(ExecArgs),
    /// Change an app in its container: memory, cores, a larger disk, settings
    Configure(ConfigureArgs),
    /// Remove an app: a container made for it is destroyed, an adopted one is left as it is; its history is kept
    Remove(RemoveArgs),
    /// Accept what the container of an app in error says of itself as the app's status
    Resolve(ResolveArgs),
    /// Show what of an app's container is not as it was recorded, and accept that it is still that container
    Reidentify(ReidentifyArgs),
    /// Hold the record against the clusters now, and archive apps whose container is proven absent
    Reconcile(ReconcileArgs),
    /// Look now for apps that are stuck on their way, and mark them as in error
    Janitor(JanitorArgs),
    /// Apps that were removed, or whose container is gone
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// Show what became of a resource of a cluster, and of an app what was wanted of it: each change of a node, storage, virtual machine, container or task
    History(HistoryArgs),
    /// What the clusters have, and what it was at any moment
    #[command(subcommand)]
    Snapshots(SnapshotsCommand),
    /// The record of who did what: whether it is what it was
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look whether documents of desired state are right, without a server; says nothing of what they would change
    Validate(ValidateArgs),
    /// Show what would have to be done so that all is as documents want it; changes nothing
    Plan(PlanArgs),
    /// Show what is not as documents want it, field by field; changes nothing
    Diff(DiffArgs),
    /// Write the apps on record as documents of desired state, adopted ones too; changes nothing
    Export(ExportArgs),
    /// Carry a plan out: one that was shown, or that of documents, which is shown and asked about first
    Apply(Box<ApplyArgs>),
    /// Let an app, or all of them, be as they were wanted before: a plan that says what is lost, and asks
    Rollback(Box<RollbackArgs>),
    #[command(flatten)]
    Rejections(RejectionsCommand),
    /// Plans that are carried out, or were
    #[command(subcommand)]
    Applies(AppliesCommand),
    /// Values that documents name, and that nobody reads back
    #[command(subcommand)]
    Secrets(SecretsCommand),
    #[command(flatten)]
    People(PeopleCommand),
    /// Git repositories with documents, which are looked at again and again, and applied by policy
    #[command(subcommand)]
    Sources(SourcesCommand),
    /// Templates of Proxmox VE that were prepared for what is deployed again and again
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Units of work: look at them, and decide about those that need a person
    #[command(subcommand)]
    Operations(OperationsCommand),
    /// Look at everything this installation stands on, and say how to mend what is not as it should be
    Doctor(DoctorArgs),
    /// Say whether everything works
    Health,
    /// How many apps there are, by kind, status, node and type
    Stats,
    #[command(flatten)]
    Program(ProgramCommand),
    /// The places at which this build can be made to crash
    #[cfg(feature = "crash-points")]
    #[command(hide = true)]
    CrashPoints(CrashPointsArgs),
}

/// What the program says of itself.
#[derive(Debug, Subcommand)]
pub(crate) enum ProgramCommand {
    /// Configuration as it is in effect
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Print what the program knows of itself: manual pages, error codes, events, metrics, the API
    #[command(subcommand)]
    Reference(ReferenceCommand),
}

impl Command {
    /// It runs until it is ended, and logs as configured.
    pub(crate) fn is_role(&self) -> bool {
        #[cfg(feature = "lab")]
        if matches!(self, Self::Lab(LabCommand::Run(_))) {
            return true;
        }
        matches!(self, Self::Serve(_) | Self::Gateway(_))
    }
}

#[cfg(test)]
mod tests;
