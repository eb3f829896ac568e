//! `proximity reject`, `proximity rejected` and `proximity unreject`.

use proximity_api::rejected::{RejectPlan, RejectedList, RejectedRevision};
use serde::Serialize;

use crate::cli::{RejectArgs, UnrejectArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{moment, table};

pub(crate) async fn reject(context: &Context, args: RejectArgs) -> Result<(), Failed> {
    let body = RejectPlan {
        app: args.app,
        why: args.why,
    };
    let rejected = context.client()?.reject_plan(&args.plan, &body).await?;
    context.output.result(&rejected, said)
}

pub(crate) async fn list(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.rejected().await?;
    context.output.result(&list, human)
}

pub(crate) async fn unreject(context: &Context, args: UnrejectArgs) -> Result<(), Failed> {
    context.client()?.unreject(&args.app).await?;
    let forgotten = Forgotten {
        unrejected: args.app,
    };
    context.output.result(&forgotten, |one| {
        format!(
            "what is wanted of {} is applied again by whatever wants it",
            one.unrejected
        )
    })
}

#[derive(Serialize)]
struct Forgotten {
    unrejected: String,
}

fn said(list: &RejectedList) -> String {
    let names: Vec<&str> = list.rejected.iter().map(|one| one.name.as_str()).collect();
    format!(
        "no source and no policy applies by itself what this plan wants of: {}",
        names.join(", ")
    )
}

fn human(list: &RejectedList) -> String {
    table(
        ["APP", "REJECTED", "BY", "WHY"],
        list.rejected.iter().map(row),
        "nothing is rejected",
    )
}

fn row(one: &RejectedRevision) -> [String; 4] {
    [
        one.name.clone(),
        moment(one.rejected_at),
        one.rejected_by.clone(),
        one.why.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rejected_is_told_with_by_whom_and_why() {
        let one = |name: &str, why: Option<&str>| RejectedRevision {
            name: name.to_owned(),
            rejected_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            rejected_by: "source home".to_owned(),
            why: why.map(str::to_owned),
        };
        let list = RejectedList {
            rejected: vec![one("dbs", None), one("web", Some("it is too large"))],
        };
        let told = human(&list);
        for part in ["dbs", "2026-01-02", "source home", "it is too large"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(said(&list).ends_with("of: dbs, web"));
        let nothing = RejectedList {
            rejected: Vec::new(),
        };
        assert_eq!(human(&nothing), "nothing is rejected");
    }
}
