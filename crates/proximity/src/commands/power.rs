//! `proximity start`, `stop`, `restart`.

use proximity_api::apps::{ActionName, ActionRequest};
use proximity_api::operations::Operation;

use super::operations_show;
use crate::cli::{PowerArgs, WaitArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;

pub(crate) async fn start(context: &Context, args: WaitArgs) -> Result<(), Failed> {
    let args = PowerArgs {
        app: args.app,
        force: false,
        waiting: args.waiting,
    };
    run(context, ActionName::Start, args).await
}

pub(crate) async fn run(
    context: &Context,
    action: ActionName,
    args: PowerArgs,
) -> Result<(), Failed> {
    let client = context.client()?;
    let body = ActionRequest {
        action,
        force: args.force,
        confirm: None,
        purge: false,
    };
    let operation = client.act(&args.app, &body).await?;
    if args.waiting.detach {
        return context.output.result(&operation, operations_show::human);
    }
    let done = follow::settle(context, &client, operation, args.waiting).await?;
    context.output.result(&done, said)
}

/// `web: stop done`.
pub(crate) fn said(operation: &Operation) -> String {
    let app = operation.hostname.as_deref().unwrap_or(&operation.app_id);
    format!("{app}: {} done", operation.kind)
}
