//! `proximity reconcile`, `janitor` and `resolve`.

use proximity_api::apps::App;
use proximity_api::reconcile::{JanitorReport, Reconcile, ReconcileReport, RunJanitor};

use crate::cli::{JanitorArgs, ReconcileArgs, ResolveArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::details;

pub(crate) async fn run(context: &Context, args: ReconcileArgs) -> Result<(), Failed> {
    let body = Reconcile {
        dry_run: args.dry_run,
        confirm_missing: args.confirm_missing,
    };
    let report = context.client()?.reconcile(&body).await?;
    context.output.result(&report, human)
}

pub(crate) async fn janitor(context: &Context, args: JanitorArgs) -> Result<(), Failed> {
    let body = RunJanitor {
        dry_run: args.dry_run,
    };
    let report = context.client()?.run_janitor(&body).await?;
    context.output.result(&report, found)
}

pub(crate) async fn resolve(context: &Context, args: ResolveArgs) -> Result<(), Failed> {
    let app = context.client()?.resolve(&args.app).await?;
    context.output.result(&app, |app: &App| {
        format!("{} is {}", app.hostname, app.status)
    })
}

fn human(report: &ReconcileReport) -> String {
    let said = if report.success { "yes" } else { "no" };
    let mut text = details([
        ("seen and done", said.to_owned()),
        ("apps", report.total_apps.to_string()),
        ("guests listed", report.real_vmids_count.to_string()),
        ("missing", report.suspected.to_string()),
        (
            "orphans",
            format!(
                "{} ({} expected, {} anomalous), {} archived",
                report.orphans_found,
                report.expected_orphans,
                report.anomalous_orphans,
                report.orphans_purged
            ),
        ),
        ("moved", report.moved.to_string()),
        ("refreshed", report.refreshed.to_string()),
    ]);
    for orphan in &report.orphans {
        let (name, kind, host, vmid) = (&orphan.hostname, &orphan.kind, &orphan.host, orphan.vmid);
        text.push_str(&format!("\n{name}: {kind} orphan, {host}/{vmid}"));
    }
    for error in &report.errors {
        text.push_str(&format!("\n{error}"));
    }
    if let Some(brake) = &report.brake {
        text.push_str(&format!("\n{}", brake.hint));
    }
    text
}

fn found(report: &JanitorReport) -> String {
    let mut text = details([
        ("on their way", report.total_transitional.to_string()),
        ("stuck", report.stuck_found.to_string()),
        ("marked", report.stuck_marked_error.to_string()),
    ]);
    for line in &report.lines {
        text.push_str(&format!("\n{line}"));
    }
    text
}
