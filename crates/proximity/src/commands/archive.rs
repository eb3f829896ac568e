//! `proximity archive list` and `proximity archive show`.

use proximity_api::archive::{
    AppHistory, ArchiveList, ArchiveQuery, ArchivedApp, PastContainer, SentCall,
};
use proximity_api::operations::Operation;

use crate::cli::{ArchiveListArgs, ArchiveShow};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{details, moment, table};

pub(crate) async fn list(context: &Context, args: ArchiveListArgs) -> Result<(), Failed> {
    let query = ArchiveQuery {
        limit: Some(args.limit),
        after: args.after,
    };
    let list = context.client()?.archive(&query).await?;
    context.output.result(&list, human)
}

pub(crate) async fn show(context: &Context, args: ArchiveShow) -> Result<(), Failed> {
    let app = context.client()?.archived(&args.app).await?;
    context.output.result(&app, shown)
}

fn human(list: &ArchiveList) -> String {
    let mut text = table(
        ["APP", "STATUS", "ARCHIVED", "ID"],
        list.apps.iter().map(row),
        "the archive is empty",
    );
    if let Some(next) = &list.next {
        text.push_str(&format!("\nmore with --after {next}"));
    }
    text
}

fn row(app: &ArchivedApp) -> [String; 4] {
    [
        app.hostname.clone(),
        app.status.clone(),
        moment(app.archived_at),
        app.id.clone(),
    ]
}

fn shown(app: &ArchivedApp) -> String {
    let ports = app.ports.as_ref();
    let mut text = details([
        ("app", app.hostname.clone()),
        ("id", app.id.clone()),
        ("owner", app.owner.clone()),
        (
            "type",
            format!("{} {}", app.catalog_id, app.catalog_version),
        ),
        ("node", app.node.clone()),
        ("status", app.status.clone()),
        (
            "ports",
            ports.map_or_else(String::new, |p| format!("{}, {}", p.public, p.internal)),
        ),
        ("made", moment(app.created_at)),
        ("archived", moment(app.archived_at)),
        ("archived by", app.archived_by.clone()),
    ]);
    if let Some(history) = &app.history {
        text.push_str(&told(history));
        let id = &app.id;
        text.push_str(&format!(
            "\n\nits log: proximity logs {id}\nits events: proximity events --app {id}"
        ));
    }
    text
}

/// Containers, operations and calls of an app, each as a table.
fn told(history: &AppHistory) -> String {
    let containers = table(
        ["CONTAINER", "HOST", "NODE", "GONE"],
        history.containers.iter().map(container),
        "it had no container",
    );
    let operations = table(
        ["OPERATION", "STATE", "BY", "ASKED", "ID"],
        history.operations.iter().map(operation),
        "nothing was asked for",
    );
    let calls = table(
        ["SENT", "CALL", "DETAILS"],
        history.calls.iter().map(call),
        "nothing was sent",
    );
    format!("\n\n{containers}\n\n{operations}\n\n{calls}")
}

fn container(past: &PastContainer) -> [String; 4] {
    [
        past.vmid.to_string(),
        past.host.clone().unwrap_or_else(|| "removed".to_owned()),
        past.node.clone(),
        past.gone_at.map_or_else(String::new, moment),
    ]
}

fn operation(operation: &Operation) -> [String; 5] {
    [
        operation.kind.clone(),
        operation.state.clone(),
        operation.requested_by.clone(),
        moment(operation.created_at),
        operation.id.clone(),
    ]
}

fn call(sent: &SentCall) -> [String; 3] {
    [moment(sent.at), sent.call.clone(), sent.details.to_string()]
}
