//! Commands about documents of desired state.

use std::path::PathBuf;

use clap::Args;

use super::Setting;

/// Which documents.
#[derive(Debug, Args)]
pub(crate) struct DocumentsArgs {
    /// Files of documents, or folders: what is named *.yaml, *.yml or *.json in them is read, in the order of the names
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// File with documents of kind Values that go before those among the documents; may be given several times, later ones go before earlier ones
    #[arg(long = "values", value_name = "FILE")]
    pub(crate) values: Vec<PathBuf>,
    /// One value, which goes before all others; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<Setting>,
}

/// `proximity validate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: all of it is right. 3: something is not, or is not there; each problem is told with its file, line and column.\n\
A value of --set or --values that no document names is warned of, and is no problem.\n\
Whether a host, node, container, catalog entry or secret is there, and whether an entry takes the settings, is not looked at.\n\
For editors: proximity reference manifest-schema > manifest.schema.json"
)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) documents: DocumentsArgs,
}

/// `proximity plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Clusters are read, and nothing is changed. What would be done is told in order: what an app depends on comes before it.\n\
Exit code 0: planned, whatever the plan says. With --detailed-exitcode 0: all is as wanted; 6: something would be done, or is not known.\n\
3: a document is not right, or names what is not there."
)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) documents: DocumentsArgs,
    /// Plan the removal of every app that no document names as well
    #[arg(long)]
    pub(crate) prune: bool,
    /// End with exit code 6 if something would be done, or is not known
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
    /// Write the plan as JSON to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `proximity diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "A line that begins with - is what is there, one with + what is wanted; the same is in the plan that `proximity plan` shows.\n\
Exit code 0: compared, whatever differs. With --detailed-exitcode 0: all is as wanted; 6: something differs, or is not known."
)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) documents: DocumentsArgs,
    /// End with exit code 6 if something differs, or is not known
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

/// How documents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DocumentFormat {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

impl DocumentFormat {
    /// Its word, which is how such a file ends as well.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
        }
    }
}

/// `proximity export`.
#[derive(Debug, Args)]
#[command(
    after_help = "A plan of the documents is empty, as long as nothing in the clusters differs from the record; their own differences it tells.\n\
The host of an app is named and its node is not. Secrets are named and never written; which have to be set elsewhere is told on stderr.\n\
Exit code 0: all of it is written. 1: an app that was named has no document (it is not there yet, or about to go).\n\
3: a file is there and holds something else (without --force; no file was changed then), or cannot be written (each is as it was, or whole)."
)]
pub(crate) struct ExportArgs {
    /// Only these apps (ids or host names)
    #[arg(value_name = "APP")]
    pub(crate) apps: Vec<String>,
    /// Only apps of this host entry (label or id)
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// How documents are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "yaml")]
    pub(crate) format: DocumentFormat,
    /// Write of each app whether it runs; else only of those whose documents said something of it
    #[arg(long)]
    pub(crate) power: bool,
    /// Folder that gets a file for each app; - is stdout
    #[arg(long, value_name = "DIR", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Replace files that are there and hold something else
    #[arg(long)]
    pub(crate) force: bool,
}
