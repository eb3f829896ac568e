//! `proximity reference`: pages made from the program.

use proximity_api::error::reference_markdown;

use crate::context::Context;
use crate::failed::Failed;

pub(crate) fn errors(context: &Context) -> Result<(), Failed> {
    context.output.line(&reference_markdown())
}
