//! `proximity remove`.

use proximity_api::apps::{ActionName, ActionRequest, PlannedGuest, RemovalPlan, RemovalQuery};

use super::{operations_show, power};
use crate::ask;
use crate::cli::RemoveArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;

pub(crate) async fn run(context: &Context, args: RemoveArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let query = RemovalQuery {
        purge: args.purge.then_some(true),
    };
    if args.dry_run {
        let plan = client.removal_plan(&args.app, &query).await?;
        return context.output.result(&plan, human);
    }
    if !args.yes {
        ask::need_a_person(
            "the host name has to be typed as confirmation",
            "give --yes to remove without being asked",
        )?;
    }
    let app = client.app(&args.app).await?;
    let confirm = if args.yes {
        app.hostname.clone()
    } else {
        let plan = client.removal_plan(&app.id, &query).await?;
        context.output.note(&human(&plan));
        typed(&app.hostname)?
    };
    let body = ActionRequest {
        action: ActionName::Delete,
        force: args.force_stop,
        confirm: Some(confirm),
        purge: args.purge,
    };
    let operation = client.act(&app.id, &body).await?;
    if args.waiting.detach {
        return context.output.result(&operation, operations_show::human);
    }
    let done = follow::settle(context, &client, operation, args.waiting).await?;
    context.output.result(&done, power::said)
}

fn typed(hostname: &str) -> Result<String, Failed> {
    let answer = ask::text(&format!("Type the host name {hostname} to remove it:"))?;
    if answer.trim() == hostname {
        Ok(hostname.to_owned())
    } else {
        Err(Failed::cancelled(
            "what was typed is not the host name; nothing was changed",
            "",
        ))
    }
}

/// A plan for people.
pub(crate) fn human(plan: &RemovalPlan) -> String {
    let mut lines = vec![format!("removing {} would:", plan.hostname)];
    lines.extend(plan.steps.iter().map(|step| format!("  - {step}")));
    for PlannedGuest {
        node,
        vmid,
        trouble,
        ..
    } in &plan.guests
    {
        if let Some(trouble) = trouble {
            lines.push(format!("warning: container {vmid} on {node}: {trouble}"));
        }
    }
    lines.join("\n")
}
