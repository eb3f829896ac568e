//! Commands about sources of documents.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `proximity sources …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SourcesCommand {
    /// Add a branch of a Git repository: its documents are planned, and by policy applied, whenever it changes
    Add(Box<SourcesAdd>),
    /// List sources, and where each stands
    List,
    /// Show one source, with what is wrong with its documents
    Show(SourceName),
    /// Have a source looked at now, and what was done with its commit done anew
    Sync(SourcesLook),
    /// Forget a source; what was applied of it stays
    Remove(SourceName),
}

/// What is done with what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// A plan is kept and told; a person applies it
    Plan,
    /// It is applied; a plan that needs a person's word waits for it
    Apply,
}

/// `proximity sources add`.
#[derive(Debug, Args)]
#[command(
    after_help = "The server needs the program git, and for ssh:// that of OpenSSH. A token is the first line of stdin, never an argument.\n\
Without a person nothing is replaced, and no app ends unless the source prunes; then as many as the mass brake lets.\n\
The secret that a webhook signs with is shown once. A webhook of GitHub takes it as it is: its address is URL/api/sources/NAME/hook"
)]
pub(crate) struct SourcesAdd {
    /// What it is to be called
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The repository: https://… or ssh://git@HOST/PATH
    #[arg(value_name = "URL")]
    pub(crate) repository: String,
    /// The branch that counts [default: main]
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// The folder or file with the documents [default: the whole repository]
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Seconds from one look to the next [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(30..=86400))]
    pub(crate) every: Option<u32>,
    /// What is done with what differs
    #[arg(long, value_enum, default_value = "plan")]
    pub(crate) policy: Policy,
    /// Remove every app that no document of it names as well; such a source is the only one
    #[arg(long)]
    pub(crate) prune: bool,
    /// Read a repository over HTTPS with a token: the first line of stdin
    #[arg(long, conflicts_with_all = ["key_file", "known_hosts"])]
    pub(crate) token_stdin: bool,
    /// Read a repository over SSH with this private key, without a passphrase
    #[arg(long, value_name = "FILE", requires = "known_hosts")]
    pub(crate) key_file: Option<PathBuf>,
    /// The keys that the host of such a repository shows, as ssh-keyscan prints them
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub(crate) known_hosts: Option<PathBuf>,
    /// Look only at commits that one of these has signed: a file of allowed signers, as OpenSSH has it
    #[arg(long, value_name = "FILE")]
    pub(crate) require_signature: Option<PathBuf>,
}

/// `proximity sources show`, `proximity sources remove`.
#[derive(Debug, Args)]
pub(crate) struct SourceName {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// `proximity sources sync`.
#[derive(Debug, Args)]
pub(crate) struct SourcesLook {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Show what its newest commit would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
