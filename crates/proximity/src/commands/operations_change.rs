//! `proximity operations retry`, `abandon`, `cancel`.

use proximity_api::client::Client;
use proximity_api::error::ExitCode;
use proximity_api::operations::Operation;

use super::{operations_show, power};
use crate::cli::{OperationChange, OperationsShow, Waiting};
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;

pub(crate) async fn retry(context: &Context, args: OperationChange) -> Result<(), Failed> {
    let client = context.client()?;
    let operation = client.retry_operation(&args.id).await?;
    wait(context, &client, operation, args.waiting).await
}

pub(crate) async fn abandon(context: &Context, args: OperationsShow) -> Result<(), Failed> {
    let operation = context.client()?.abandon_operation(&args.id).await?;
    context.output.result(&operation, operations_show::human)
}

/// Asks it to stop. That it then ends as cancelled is what was wanted, so it is a success here.
pub(crate) async fn cancel(context: &Context, args: OperationChange) -> Result<(), Failed> {
    let client = context.client()?;
    let operation = client.cancel_operation(&args.id).await?;
    let id = operation.id.clone();
    match wait(context, &client, operation, args.waiting).await {
        Err(failed) if failed.exit == ExitCode::Cancelled => {
            let ended = client.operation(&id).await?;
            if ended.state != "cancelled" {
                return Err(failed);
            }
            context.output.result(&ended, operations_show::human)
        }
        other => other,
    }
}

async fn wait(
    context: &Context,
    client: &Client,
    operation: Operation,
    waiting: Waiting,
) -> Result<(), Failed> {
    if waiting.detach {
        return context.output.result(&operation, operations_show::human);
    }
    let done = follow::settle(context, client, operation, waiting).await?;
    context.output.result(&done, power::said)
}
