//! `proximity rollback`, and how it is told what a plan goes back to.

use proximity_api::plans::Plan;
use proximity_api::rollback::{PlanRollback, RollbackAll, RollbackApp, RollbackOf};

use super::{apply, plan};
use crate::cli::{ApplyArgs, BackTo, RollbackArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::moment;

pub(crate) async fn run(context: &Context, args: RollbackArgs) -> Result<(), Failed> {
    let plan = planned(context, &args).await?;
    let left_out = left_out(&plan);
    if args.dry_run {
        context.output.result(&plan, plan::human)?;
        return ended(&left_out);
    }
    let carried_out = ApplyArgs {
        what: Vec::new(),
        values: Vec::new(),
        set: Vec::new(),
        prune: args.prune,
        yes: args.yes,
        confirm_removed: args.confirm_removed,
        confirm_destroyed: args.confirm_destroyed,
        parallel: args.parallel,
        dry_run: false,
        no_wait: args.no_wait,
        stop: None,
    };
    apply::carry_out(context, &carried_out, plan).await?;
    ended(&left_out)
}

/// What is said of apps that did not go back with the others.
fn left_out(plan: &Plan) -> Vec<String> {
    let back = plan.rollback.iter();
    let left_out = back.flat_map(|back| &back.left_out);
    let told = left_out.map(|one| format!("{} is left out: {}", one.name, one.why));
    told.collect()
}

/// Not all go back: that is told last, and by the exit code.
fn ended(left_out: &[String]) -> Result<(), Failed> {
    if left_out.is_empty() {
        return Ok(());
    }
    Err(Failed::error(
        "left_out",
        format!("not all go back: {}", left_out.join("; ")),
        "mend each of them, and let it go back by itself: proximity rollback APP --to WHEN",
    ))
}

async fn planned(context: &Context, args: &RollbackArgs) -> Result<Plan, Failed> {
    let Some(app) = &args.app else {
        let BackTo::Moment(time) = args.to else {
            return Err(Failed::usage(
                "all apps go back to a moment: each has revisions and snapshots of its own",
                "give a moment: proximity rollback --all --to 2026-01-31T12:00:00Z",
            ));
        };
        let body = RollbackAll {
            time,
            prune: args.prune,
            passing: args.dry_run,
        };
        return Ok(context.client()?.rollback_all(&body).await?);
    };
    let mut body = RollbackApp {
        passing: args.dry_run,
        ..RollbackApp::default()
    };
    match args.to {
        BackTo::Revision(number) => body.revision = Some(number),
        BackTo::Moment(time) => body.time = Some(time),
        BackTo::Snapshot(number) => body.snapshot = Some(number),
    }
    Ok(context.client()?.rollback_app(app, &body).await?)
}

/// What a plan goes back to, what moves, what of it stays and what is lost: a line each.
pub(super) fn told(back: &PlanRollback) -> Vec<String> {
    let to = match (back.revision, back.time, back.snapshot) {
        (Some(revision), _, _) => format!("revision {revision}"),
        (None, Some(time), _) => format!("what was wanted at {}", moment(time)),
        (None, None, Some(snapshot)) => format!("snapshot {snapshot}"),
        (None, None, None) => "an earlier state".to_owned(),
    };
    let planes = |moves: bool| {
        let planes = back.planes.iter().filter(|plane| plane.moves == moves);
        let names: Vec<&str> = planes.map(|plane| plane.plane.as_str()).collect();
        names.join(", ")
    };
    let mut lines = vec![format!(
        "Back to {to}. Moves: {}. Stays: {}.",
        planes(true),
        planes(false)
    )];
    for app in &back.apps {
        lines.push(head(app));
        let kept = app.kept.iter();
        lines.extend(kept.map(|kept| format!("    not {}: {}", kept.what, kept.why)));
    }
    let stay = back.stay.iter();
    lines.extend(stay.map(|one| format!("  {} stays as it is: {}", one.name, one.why)));
    let left_out = back.left_out.iter();
    lines.extend(left_out.map(|one| format!("  {} is left out: {}", one.name, one.why)));
    let lost = back.lost.iter();
    lines.extend(lost.map(|one| {
        let now = plan::value(Some(&one.now));
        format!("  lost: {} {}: {now}", one.name, one.path)
    }));
    lines.push(String::new());
    lines
}

fn head(app: &RollbackOf) -> String {
    let since = moment(app.since);
    match app.revision {
        Some(revision) => format!("  {}: revision {revision}, of {since}", app.name),
        None => format!("  {}: as it was seen on {since}", app.name),
    }
}

#[cfg(test)]
mod tests {
    use proximity_api::error::ExitCode;
    use proximity_api::rollback::{RollbackKept, RollbackLost, RollbackPlane, RollbackStays};
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_said_first_what_moves_what_stays_and_what_is_lost() {
        let plane = |plane: &str, moves| RollbackPlane {
            plane: plane.to_owned(),
            moves,
        };
        let kept = RollbackKept {
            what: "disk".to_owned(),
            why: "it stays 16 GiB".to_owned(),
        };
        assert!(ended(&[]).is_ok());
        let incomplete = ended(&["sad is left out: it is in error".to_owned()]).unwrap_err();
        assert_eq!(incomplete.exit, ExitCode::Error);
        assert!(incomplete.to_string().contains("sad is left out"));
        let back = PlanRollback {
            revision: None,
            time: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            snapshot: None,
            planes: vec![
                plane("configuration", true),
                plane("release", false),
                plane("data", false),
            ],
            apps: vec![RollbackOf {
                name: "web".to_owned(),
                revision: Some(3),
                since: "2026-01-30T12:00:00Z".parse().unwrap(),
                kept: vec![kept],
            }],
            stay: vec![RollbackStays {
                name: "old".to_owned(),
                why: "no document named it".to_owned(),
            }],
            left_out: vec![RollbackStays {
                name: "sad".to_owned(),
                why: "it is in error".to_owned(),
            }],
            lost: vec![RollbackLost {
                name: "web".to_owned(),
                path: "settings.TITLE".to_owned(),
                now: json!("new"),
            }],
        };
        let expected = [
            "Back to what was wanted at 2026-01-31 12:00:00 UTC. Moves: configuration. Stays: release, data.",
            "  web: revision 3, of 2026-01-30 12:00:00 UTC",
            "    not disk: it stays 16 GiB",
            "  old stays as it is: no document named it",
            "  sad is left out: it is in error",
            "  lost: web settings.TITLE: \"new\"",
            "",
        ];
        assert_eq!(told(&back), expected);
    }
}
