//! The commands, one file each. They talk to the server through `api::client` only.

mod accounts;
mod addresses;
mod adopt;
mod applies;
mod apply;
mod apps;
mod archive;
mod audit;
mod catalog;
mod catalog_import;
mod catalog_sources;
mod completion;
mod config;
mod configure;
mod deploy;
mod discover;
mod doctor;
mod drift;
mod events;
mod export;
mod expose;
mod gateway;
mod guard;
mod health;
mod hosts_add;
mod hosts_change;
mod hosts_helper;
mod hosts_list;
mod hosts_remove;
mod hosts_trust;
mod init;
mod inside;
mod logs;
mod node_loss;
mod nodes;
mod notify;
mod operations_change;
mod operations_list;
mod operations_show;
mod person;
mod plan;
mod ports;
mod power;
mod preflight;
mod reconcile;
mod reference;
mod reidentify;
mod rejected;
mod remove;
mod resources;
mod restore_keys;
mod rollback;
mod root_password;
mod secrets;
mod serve;
mod sessions;
mod show;
mod sources;
mod stack;
mod stats;
mod templates;
mod uninit;
mod validate;
mod version;

#[cfg(feature = "crash-points")]
mod crash_check;
#[cfg(feature = "crash-points")]
mod crash_points;
#[cfg(feature = "lab")]
mod lab;
#[cfg(feature = "lab")]
mod try_it;

#[cfg(feature = "lab")]
pub(crate) use lab::failed as lab_failed;

pub(crate) use accounts::url as page_of_link;
pub(crate) use version::LINE as VERSION_LINE;

use proximity_api::apps::ActionName;
use proximity_api::stacks::StackAction;

use crate::cli::{
    AccountsCommand, AppliesCommand, ArchiveCommand, AuditCommand, Command, ConfigCommand,
    HostsCommand, NotifyCommand, OperationsCommand, PeopleCommand, PortsCommand, ProgramCommand,
    RejectionsCommand, SecretsCommand, SessionsCommand, SnapshotsCommand, SourcesCommand,
    StackCommand, TemplatesCommand,
};
use crate::context::Context;
use crate::failed::Failed;

/// Runs the command to its end.
///
/// # Errors
/// [`Failed`], with exit code, message and next step.
pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failed> {
    match command {
        #[cfg(feature = "lab")]
        Command::Try(args) => Box::pin(try_it::run(context, args)).await,
        Command::Serve(args) => Box::pin(serve::run(context, args)).await,
        Command::Gateway(args) => gateway::run(context, args).await,
        #[cfg(feature = "lab")]
        Command::Lab(command) => lab::run(context, command).await,
        Command::Hosts(command) => hosts(context, command).await,
        Command::Ports(command) => ports(context, command).await,
        Command::Notify(command) => notify(context, command).await,
        Command::Nodes(args) => nodes::run(context, args).await,
        Command::Catalog(args) => catalog::run(context, args).await,
        Command::Deploy(args) => deploy::run(context, *args).await,
        Command::Discover(args) => discover::run(context, args).await,
        Command::Adopt(args) => adopt::run(context, args).await,
        Command::Drift(args) => drift::run(context, args).await,
        Command::RestoreKeys(args) => restore_keys::run(context, args).await,
        Command::Guard(args) => guard::begin(context, args).await,
        Command::Unguard(args) => guard::end(context, args).await,
        Command::Expose(args) => expose::open(context, args).await,
        Command::Unexpose(args) => expose::close(context, args).await,
        Command::Forget(args) => adopt::forget(context, args).await,
        Command::Apps(args) => apps::run(context, args).await,
        Command::Show(args) => show::run(context, args).await,
        Command::RootPassword(args) => root_password::run(context, args).await,
        Command::Addresses(args) => addresses::run(context, args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Events(args) => events::run(context, args).await,
        Command::Start(args) => power::start(context, args).await,
        Command::Stop(args) => power::run(context, ActionName::Stop, args).await,
        Command::Restart(args) => power::run(context, ActionName::Restart, args).await,
        Command::Stack(command) => stacks(context, command).await,
        Command::Run(args) => inside::run(context, args).await,
        Command::Exec(args) => inside::exec(context, args).await,
        Command::Init(args) => Box::pin(init::run(context, *args)).await,
        Command::Uninit(args) => uninit::run(context, args).await,
        Command::Configure(args) => configure::run(context, args).await,
        Command::Remove(args) => remove::run(context, args).await,
        Command::Resolve(args) => reconcile::resolve(context, args).await,
        Command::Reidentify(args) => reidentify::run(context, args).await,
        Command::Reconcile(args) => reconcile::run(context, args).await,
        Command::Janitor(args) => reconcile::janitor(context, args).await,
        Command::Archive(command) => archive(context, command).await,
        Command::History(args) => resources::history(context, args).await,
        Command::Snapshots(command) => snapshots(context, command).await,
        Command::Audit(AuditCommand::Verify(args)) => audit::verify(context, args).await,
        Command::Operations(command) => operations(context, command).await,
        Command::Validate(args) => validate::run(context, &args),
        Command::Plan(args) => plan::run(context, args).await,
        Command::Diff(args) => plan::diff(context, args).await,
        Command::Export(args) => export::run(context, args).await,
        Command::Apply(args) => Box::pin(apply::run(context, *args)).await,
        Command::Rollback(args) => Box::pin(rollback::run(context, *args)).await,
        Command::Rejections(command) => rejections(context, command).await,
        Command::Applies(command) => applies(context, command).await,
        Command::Secrets(command) => secrets(context, command).await,
        Command::People(command) => people(context, command).await,
        Command::Sources(command) => sources(context, command).await,
        Command::Templates(command) => templates(context, command).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Health => health::run(context).await,
        Command::Stats => stats::run(context).await,
        Command::Program(command) => about_the_program(context, command),
        #[cfg(feature = "crash-points")]
        Command::CrashPoints(args) => crash_points::run(context, args).await,
    }
}

fn about_the_program(context: &Context, command: ProgramCommand) -> Result<(), Failed> {
    match command {
        ProgramCommand::Config(ConfigCommand::Show) => config::show(context),
        ProgramCommand::Version => version::run(context),
        ProgramCommand::Completion(args) => completion::run(context, &args),
        ProgramCommand::Reference(page) => reference::print(context, &page),
    }
}

async fn people(context: &Context, command: PeopleCommand) -> Result<(), Failed> {
    match command {
        PeopleCommand::SetupLink(args) => accounts::setup_link(context, args).await,
        PeopleCommand::Accounts(command) => accounts(context, command).await,
        PeopleCommand::Sessions(command) => sessions(context, command).await,
    }
}

async fn archive(context: &Context, command: ArchiveCommand) -> Result<(), Failed> {
    match command {
        ArchiveCommand::List(args) => archive::list(context, args).await,
        ArchiveCommand::Show(args) => archive::show(context, args).await,
    }
}

async fn templates(context: &Context, command: TemplatesCommand) -> Result<(), Failed> {
    match command {
        TemplatesCommand::List => templates::list(context).await,
        TemplatesCommand::Drop(args) => templates::drop(context, args).await,
    }
}

async fn hosts(context: &Context, command: HostsCommand) -> Result<(), Failed> {
    match command {
        HostsCommand::Add(args) => Box::pin(hosts_add::run(context, *args)).await,
        HostsCommand::List => hosts_list::run(context).await,
        HostsCommand::Set(args) => hosts_change::set(context, args).await,
        HostsCommand::Ssh(args) => hosts_change::ssh(context, args).await,
        HostsCommand::Trust(args) => hosts_trust::run(context, args).await,
        HostsCommand::InstallHelper(args) => hosts_helper::install(context, args).await,
        HostsCommand::RemoveHelper(args) => hosts_helper::remove(context, args).await,
        HostsCommand::ForgetNode(args) => hosts_change::forget_node(context, args).await,
        HostsCommand::Remove(args) => hosts_remove::run(context, args).await,
    }
}

async fn ports(context: &Context, command: PortsCommand) -> Result<(), Failed> {
    match command {
        PortsCommand::List(args) => ports::list(context, args).await,
        PortsCommand::Free(args) => ports::free(context, args).await,
    }
}

async fn notify(context: &Context, command: NotifyCommand) -> Result<(), Failed> {
    match command {
        NotifyCommand::Channels => notify::channels(context).await,
        NotifyCommand::Test(args) => notify::test(context, args).await,
    }
}

async fn snapshots(context: &Context, command: SnapshotsCommand) -> Result<(), Failed> {
    match command {
        SnapshotsCommand::List(args) => resources::list(context, args).await,
        SnapshotsCommand::At(args) => resources::at(context, args).await,
        SnapshotsCommand::Diff(args) => resources::diff(context, args).await,
    }
}

async fn rejections(context: &Context, command: RejectionsCommand) -> Result<(), Failed> {
    match command {
        RejectionsCommand::Reject(args) => rejected::reject(context, args).await,
        RejectionsCommand::Rejected => rejected::list(context).await,
        RejectionsCommand::Unreject(args) => rejected::unreject(context, args).await,
    }
}

async fn applies(context: &Context, command: AppliesCommand) -> Result<(), Failed> {
    match command {
        AppliesCommand::List(args) => applies::list(context, args).await,
        AppliesCommand::Show(args) => applies::show(context, args).await,
        AppliesCommand::Stop(args) => applies::stop(context, args).await,
    }
}

async fn secrets(context: &Context, command: SecretsCommand) -> Result<(), Failed> {
    match command {
        SecretsCommand::List => secrets::list(context).await,
        SecretsCommand::Set(args) => secrets::set(context, args).await,
        SecretsCommand::Remove(args) => secrets::remove(context, args).await,
    }
}

async fn sources(context: &Context, command: SourcesCommand) -> Result<(), Failed> {
    match command {
        SourcesCommand::Add(args) => sources::add(context, *args).await,
        SourcesCommand::List => sources::list(context).await,
        SourcesCommand::Show(args) => sources::show(context, args).await,
        SourcesCommand::Sync(args) => sources::ask(context, args).await,
        SourcesCommand::Remove(args) => sources::remove(context, args).await,
    }
}

async fn stacks(context: &Context, command: StackCommand) -> Result<(), Failed> {
    match command {
        StackCommand::List => stack::list(context).await,
        StackCommand::Show(args) => stack::show(context, args).await,
        StackCommand::Start(args) => stack::start(context, args).await,
        StackCommand::Stop(args) => stack::run(context, StackAction::Stop, args).await,
        StackCommand::Restart(args) => stack::run(context, StackAction::Restart, args).await,
    }
}

async fn accounts(context: &Context, command: AccountsCommand) -> Result<(), Failed> {
    match command {
        AccountsCommand::List => accounts::list(context).await,
        AccountsCommand::Add(args) => accounts::add(context, args).await,
        AccountsCommand::Role(args) => accounts::role(context, args).await,
        AccountsCommand::Remove(args) => accounts::remove(context, args).await,
        AccountsCommand::Link(args) => accounts::link(context, args).await,
    }
}

async fn sessions(context: &Context, command: SessionsCommand) -> Result<(), Failed> {
    match command {
        SessionsCommand::List => sessions::list(context).await,
        SessionsCommand::End(args) => sessions::end(context, args).await,
    }
}

async fn operations(context: &Context, command: OperationsCommand) -> Result<(), Failed> {
    match command {
        OperationsCommand::List(args) => operations_list::run(context, args).await,
        OperationsCommand::Show(args) => operations_show::run(context, args).await,
        OperationsCommand::Retry(args) => operations_change::retry(context, args).await,
        OperationsCommand::Abandon(args) => operations_change::abandon(context, args).await,
        OperationsCommand::Cancel(args) => operations_change::cancel(context, args).await,
    }
}
