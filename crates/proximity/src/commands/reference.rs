//! `proximity reference`: pages made from the program.

use proximity_api::error::reference_markdown;
use proximity_server::openapi_document;

use crate::cli::ReferenceCommand;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) fn print(context: &Context, page: &ReferenceCommand) -> Result<(), Failed> {
    match page {
        ReferenceCommand::Errors => context.output.line(&reference_markdown()),
        ReferenceCommand::Openapi => context.output.line(openapi_document()),
    }
}
