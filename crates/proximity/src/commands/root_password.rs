//! `proximity root-password`.

use crate::cli::ShowArgs;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn run(context: &Context, args: ShowArgs) -> Result<(), Failed> {
    let shown = context.client()?.show_root_password(&args.app).await?;
    context
        .output
        .result(&shown, |shown| shown.password.clone())
}
