//! `proximity reference`: pages made from the program.

use std::path::Path;

use clap::CommandFactory;
use proximity_api::error::reference_markdown;
use proximity_server::openapi_document;

use crate::cli::{Cli, ReferenceCommand};
use crate::context::Context;
use crate::failed::Failed;

pub(crate) fn print(context: &Context, page: &ReferenceCommand) -> Result<(), Failed> {
    match page {
        ReferenceCommand::Errors => context.output.line(&reference_markdown()),
        ReferenceCommand::Openapi => context.output.line(openapi_document()),
        ReferenceCommand::Man { dir } => manual(dir),
    }
}

/// One page for each command, named as `man` looks for it: `proximity-hosts-add.1`.
fn manual(dir: &Path) -> Result<(), Failed> {
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), dir).map_err(|error| {
        Failed::error(
            "cannot_write",
            format!(
                "cannot write the manual pages to {}: {error}",
                dir.display()
            ),
            "make the folder, and see that it can be written to",
        )
    })
}
