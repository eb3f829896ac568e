//! Commands about prepared templates.

use clap::{Args, Subcommand};

/// `proximity templates …`.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplatesCommand {
    /// List them, with what hangs on each
    List,
    /// Let one go: it is destroyed as soon as nothing hangs on it
    Drop(TemplatesDrop),
}

/// `proximity templates drop`.
#[derive(Debug, Args)]
pub(crate) struct TemplatesDrop {
    /// Id of the template
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Only forget it: for one whose number has by now what is not provably ours; nothing is destroyed
    #[arg(long)]
    pub(crate) forget: bool,
}
