//! `proximity archive list` and `proximity archive show`.

use proximity_api::archive::{ArchiveList, ArchiveQuery, ArchivedApp};

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
    let app = context.client()?.archived(&args.id).await?;
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
    details([
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
    ])
}
