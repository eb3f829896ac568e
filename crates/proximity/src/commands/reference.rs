//! `proximity reference`: pages made from the program.

use std::fmt::Write as _;
use std::path::Path;

use clap::CommandFactory;
use proximity_api::error::reference_markdown;
use proximity_domain::event::EventKind;
use proximity_engine::commands::doctor_markdown;
use proximity_manifest::schema;
use proximity_pve::privileges::privileges_markdown;
use proximity_server::{metrics_markdown, openapi_document};

use crate::cli::{Cli, ReferenceCommand};
use crate::context::Context;
use crate::failed::Failed;

pub(crate) fn print(context: &Context, page: &ReferenceCommand) -> Result<(), Failed> {
    match page {
        ReferenceCommand::Errors => context.output.line(&reference_markdown()),
        ReferenceCommand::Events => context.output.line(&events_markdown()),
        ReferenceCommand::Metrics => context.output.line(&metrics_markdown()),
        ReferenceCommand::Privileges => context.output.line(&privileges_markdown()),
        ReferenceCommand::Doctor => context.output.line(&doctor_markdown()),
        // Its `Display` with `#` is the one for people.
        ReferenceCommand::ManifestSchema => context.output.line(&format!("{:#}", schema())),
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

/// The page docs/reference/events.md.
fn events_markdown() -> String {
    let mut page = String::from(
        "# Events\n\n\
         <!-- Printed by `proximity reference events`; the table is in crates/domain/src/event.rs. Do not edit. -->\n\n\
         What happened, in the order of the commits that made it so: `GET /api/events` gives a page, or with\n\
         `Accept: text/event-stream` a stream. Each event has `seq`, `at`, `kind`, `app_id`, `operation_id` and a `body`\n\
         with the fields below, all of them, `null` where there is nothing to say. How to follow without loss is told in\n\
         [api-design.md](../api-design.md#events).\n\n\
         An operation is told from `OperationQueued` to one of `OperationSucceeded`, `OperationFailed` and\n\
         `OperationCancelled`; between them there is one `OperationProgressed` per commit that moves its percentage or\n\
         adds to the app's log, and no other. A kind never gets another meaning; new kinds and new fields may come.\n\n\
         The last column is how grave an event is for those who are told of it ([notices.md](notices.md)); without a\n\
         word there it is a part of what another kind tells, and no notice.\n\n\
         | kind | body | when | notice |\n|---|---|---|---|\n",
    );
    for kind in EventKind::ALL {
        let spec = kind.spec();
        let fields: Vec<String> = spec.fields.iter().map(|name| format!("`{name}`")).collect();
        // Writing to a String cannot fail; the error is dropped on purpose.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            spec.label,
            fields.join(", "),
            spec.when,
            kind.notice().map_or("", |notice| notice.severity.label())
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_the_one_made_here() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/events.md"
        );
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == events_markdown(),
            "docs/reference/events.md is out of date; run: cargo run -- reference events > docs/reference/events.md"
        );
    }
}
