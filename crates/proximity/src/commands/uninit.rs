//! `proximity uninit`: look, show, let the label be typed, give up.

use proximity_api::init::{PlanUninit, UninitHost, UninitPlan};

use super::init::list;
use super::person;
use crate::ask;
use crate::cli::UninitArgs;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn run(context: &Context, args: UninitArgs) -> Result<(), Failed> {
    let client = context.client()?;
    if !args.yes && !args.dry_run {
        ask::need_a_person(
            "the label has to be typed as confirmation",
            "give --yes to give it up without being asked, or --dry-run to look only",
        )?;
    }
    let label = client.host(&args.host).await?.label;
    let mut login = person::login(&args.login)?;
    if !args.yes {
        let plan = person::with_code(&mut login, async |login| {
            let login = login.clone();
            client.plan_uninit(&label, &PlanUninit { login }).await
        })
        .await?;
        if args.dry_run {
            return context
                .output
                .result(&plan, |plan| shown("this would be done:", plan));
        }
        context.output.note(&shown("this would be done:", &plan));
        typed(&label)?;
    }
    let done = person::with_code(&mut login, async |login| {
        let body = UninitHost {
            login: login.clone(),
            confirm: label.clone(),
        };
        client.uninit_host(&label, &body).await
    })
    .await?;
    context.output.result(&done, |done| {
        shown(&format!("{} is given up; this was done:", done.label), done)
    })
}

fn typed(label: &str) -> Result<(), Failed> {
    let answer = ask::text(&format!("Type the label {label} to give it up:"))?;
    if answer.trim() == label {
        return Ok(());
    }
    let message = "what was typed is not the label; nothing was changed";
    Err(Failed::cancelled(message, ""))
}

fn shown(head: &str, plan: &UninitPlan) -> String {
    let stays = list("this stays:", &plan.stays);
    format!("{}{stays}", list(head, &plan.steps).trim_start())
}
