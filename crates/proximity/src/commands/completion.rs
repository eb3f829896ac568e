//! `proximity completion`: a script for a shell.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionArgs};
use crate::context::Context;
use crate::failed::Failed;

pub(crate) fn run(context: &Context, args: &CompletionArgs) -> Result<(), Failed> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "proximity", &mut script);
    context.output.line(&String::from_utf8_lossy(&script))
}
