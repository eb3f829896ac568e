//! `proximity reidentify`.

use proximity_api::identity::{Reidentification, ReidentifyApp};

use crate::ask;
use crate::cli::ReidentifyArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::details;

pub(crate) async fn run(context: &Context, args: ReidentifyArgs) -> Result<(), Failed> {
    let client = context.client()?;
    if !args.yes && !args.dry_run {
        ask::need_a_person(
            "the host name has to be typed as confirmation",
            "give --yes to accept without being asked, or --dry-run to look",
        )?;
    }
    let look = ReidentifyApp {
        dry_run: true,
        ..ReidentifyApp::default()
    };
    let shown = client.reidentify(&args.app, &look).await?;
    if args.dry_run {
        return context.output.result(&shown, human);
    }
    if !args.yes {
        context.output.note(&human(&shown));
        typed(&shown.hostname)?;
    }
    let accept = ReidentifyApp {
        dry_run: false,
        confirm: Some(shown.hostname),
        digest: Some(shown.digest),
    };
    let done = client.reidentify(&shown.app_id, &accept).await?;
    context.output.result(&done, human)
}

fn typed(hostname: &str) -> Result<(), Failed> {
    let question = format!("Type the host name {hostname} if it is still its container:");
    if ask::text(&question)?.trim() == hostname {
        return Ok(());
    }
    Err(Failed::cancelled(
        "what was typed is not the host name; nothing was changed",
        "",
    ))
}

/// The evidence for people.
fn human(shown: &Reidentification) -> String {
    let tasks = match &shown.untold {
        Some(why) => format!("cannot be told: {why}"),
        None if shown.tasks.is_empty() => "none that destroyed, created or restored it".to_owned(),
        None => shown.tasks.join(", "),
    };
    let standing = match (shown.accepted, shown.learned) {
        (true, _) => "accepted: the container is known by it from now on",
        (false, true) => "learned: counts for all but what destroys",
        (false, false) => "in conflict: no call is made on the container",
    };
    details([
        ("app", shown.hostname.clone()),
        (
            "container",
            format!("{}/{}/{}", shown.host, shown.node, shown.vmid),
        ),
        ("changed", shown.factor.clone()),
        ("recorded", shown.recorded.clone()),
        ("read", shown.read.clone()),
        ("tasks since", tasks),
        ("standing", standing.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_evidence_is_told_whole() {
        let mut shown = Reidentification {
            app_id: "00000000-0000-0000-0000-000000000001".to_owned(),
            hostname: "web".to_owned(),
            host: "lab".to_owned(),
            node: "pve1".to_owned(),
            vmid: 105,
            digest: "d".to_owned(),
            factor: "mac".to_owned(),
            recorded: "BC:24:11:00:00:01".to_owned(),
            read: "BC:24:11:00:00:02".to_owned(),
            learned: true,
            tasks: Vec::new(),
            untold: None,
            accepted: false,
        };
        insta::assert_snapshot!(human(&shown), @"
        app          web
        container    lab/pve1/105
        changed      mac
        recorded     BC:24:11:00:00:01
        read         BC:24:11:00:00:02
        tasks since  none that destroyed, created or restored it
        standing     learned: counts for all but what destroys
        ");
        shown.untold = Some("node pve2 is offline".to_owned());
        shown.learned = false;
        let text = human(&shown);
        assert!(
            text.contains("cannot be told: node pve2 is offline"),
            "{text}"
        );
        assert!(text.contains("in conflict"), "{text}");
    }
}
