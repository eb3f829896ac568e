//! `proximity operations list`.

use proximity_api::operations::{Operation, OperationList, OperationQuery};

use crate::cli::OperationsList;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{moment, table};

pub(crate) async fn run(context: &Context, args: OperationsList) -> Result<(), Failed> {
    let query = OperationQuery {
        app: args.app,
        state: args.state,
        kind: args.kind,
        search: args.search,
        after: args.after,
        limit: Some(u32::from(args.limit)),
    };
    let list = context.client()?.operations(&query).await?;
    context.output.result(&list, human)
}

fn human(list: &OperationList) -> String {
    table(
        ["ID", "WHAT", "APP", "STATE", "PROGRESS", "ASKED FOR"],
        list.operations.iter().map(row),
        "no operations",
    )
}

fn row(operation: &Operation) -> [String; 6] {
    [
        operation.id.clone(),
        operation.kind.clone(),
        operation
            .hostname
            .clone()
            .unwrap_or_else(|| operation.app_id.clone()),
        operation.state.clone(),
        format!("{} %", operation.percent),
        moment(operation.created_at),
    ]
}
