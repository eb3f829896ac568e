//! Commands about documents of desired state.

use std::path::PathBuf;

use clap::Args;

use super::Setting;

/// `proximity validate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: all of it is right. 3: something is not, or is not there; each problem is told with its file, line and column.\n\
A value of --set or --values that no document names is warned of, and is no problem.\n\
Whether a host, node, container, catalog entry or secret is there, and whether an entry takes the settings, is not looked at.\n\
For editors: proximity reference manifest-schema > manifest.schema.json"
)]
pub(crate) struct ValidateArgs {
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
