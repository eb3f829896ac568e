//! `proximity apply`.

use std::path::PathBuf;

use proximity_api::applies::StartApply;
use proximity_api::plans::Plan;
use proximity_domain::ids::PlanId;
use proximity_engine::seams::IdSource;

use super::{applies, plan};
use crate::ask;
use crate::cli::{ApplyArgs, DocumentsArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::roles::ids::SystemIds;

pub(crate) async fn run(context: &Context, args: ApplyArgs) -> Result<(), Failed> {
    if let Some(id) = &args.stop {
        let client = context.client()?;
        let stopping = client.stop_apply(id).await?;
        if args.no_wait {
            return context.output.result(&stopping, applies::human);
        }
        return applies::follow(context, &client, stopping).await;
    }
    let plan = planned(context, &args).await?;
    if args.dry_run {
        return context.output.result(&plan, plan::human);
    }
    carry_out(context, &args, plan).await
}

/// Asks for what was not agreed to, starts the apply of a plan that the server keeps, and waits for its end.
///
/// # Errors
/// Nobody agreed; it was refused; a change failed; it was stopped.
pub(super) async fn carry_out(
    context: &Context,
    args: &ApplyArgs,
    plan: Plan,
) -> Result<(), Failed> {
    let Some(plan_id) = plan.id.clone() else {
        return Err(Failed::error(
            "internal",
            "the server kept no plan",
            "report it",
        ));
    };
    let agreed = agreed(context, args, &plan)?;
    let body = StartApply {
        plan_id,
        parallel: args.parallel,
        ..agreed
    };
    let client = context.client()?;
    let key = SystemIds.uuid().to_string();
    let started = client.start_apply(&body, &key).await?;
    if args.no_wait {
        return context.output.result(&started, applies::human);
    }
    let id = &started.id;
    let waits = format!("apply {id}; Ctrl-C ends the waiting alone");
    context.output.note(&waits);
    applies::follow(context, &client, started).await
}

/// The plan that is named, or one of the documents that are.
async fn planned(context: &Context, args: &ApplyArgs) -> Result<Plan, Failed> {
    if let Some(id) = named(&args.what) {
        if !args.values.is_empty() || !args.set.is_empty() {
            return Err(Failed::usage(
                "a plan has its values: --values and --set go with documents",
                "plan again with them: proximity plan PATH --set NAME=VALUE",
            ));
        }
        return Ok(context.client()?.plan(&id.to_string()).await?);
    }
    let documents = DocumentsArgs {
        paths: args.what.clone(),
        values: args.values.clone(),
        set: args.set.clone(),
    };
    plan::made(context, &documents, args.prune, args.dry_run).await
}

/// The id of a plan, if that is all that was named, and no file is called so.
fn named(what: &[PathBuf]) -> Option<PlanId> {
    let [only] = what else { return None };
    let id = only.to_str()?.parse().ok()?;
    (!only.exists()).then_some(id)
}

/// What a person agrees to: by options, or asked with the plan before their eyes.
fn agreed(context: &Context, args: &ApplyArgs, plan: &Plan) -> Result<StartApply, Failed> {
    let mut agreed = StartApply {
        plan_id: String::new(),
        prune: args.prune,
        confirm_removed: args.confirm_removed,
        confirm_destroyed: args.confirm_destroyed,
        parallel: None,
    };
    if args.yes || plan.changes.is_empty() {
        return Ok(agreed);
    }
    ask::need_a_person(
        "a plan is carried out once a person has agreed to it",
        "give --yes to apply without being asked",
    )?;
    context.output.note(&plan::human(plan));
    if plan.prune && !agreed.prune {
        agreed.prune = ask::yes("Remove apps that no document names?")?;
    }
    let destroyed = destroyed(plan);
    if destroyed > 0 && agreed.confirm_destroyed.is_none() {
        let question = "How many containers are destroyed with what they hold? Type the number:";
        agreed.confirm_destroyed = Some(typed(question, destroyed)?);
    }
    if let Some(brake) = plan.brake
        && agreed.confirm_removed.is_none()
    {
        let question = "The mass brake stops this. How many records end with it? Type the number:";
        agreed.confirm_removed = Some(typed(question, brake.removed)?);
    }
    match ask::yes("Apply this plan?")? {
        true => Ok(agreed),
        false => Err(Failed::cancelled("nothing was changed", "")),
    }
}

/// A number that a person typed, if it is the right one.
fn typed(question: &str, right: u64) -> Result<u64, Failed> {
    match ask::text(question)?.trim().parse::<u64>() {
        Ok(number) if number == right => Ok(number),
        Ok(_) | Err(_) => Err(Failed::cancelled(
            format!("what was typed is not {right}; nothing was changed"),
            "",
        )),
    }
}

/// How many containers that were made for apps end with it.
pub(super) fn destroyed(plan: &Plan) -> u64 {
    let ends = plan.changes.iter().filter(|change| {
        let ends = matches!(change.act.as_str(), "destroy" | "replace");
        // One that has no container holds nothing.
        ends && change.class == "native" && change.vmid.is_some()
    });
    ends.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_named_by_its_id_alone() {
        let id = "018f0000-0000-7000-8000-000000000001";
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<PathBuf>>();
        assert_eq!(
            named(&paths(&[id])).map(|id| id.to_string()).as_deref(),
            Some(id)
        );
        assert_eq!(named(&paths(&["apps"])), None);
        assert_eq!(named(&paths(&[id, "apps"])), None);
    }
}
