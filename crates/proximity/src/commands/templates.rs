//! `proximity templates …`.

use proximity_api::templates::{DropTemplate, PreparedTemplate, PreparedTemplateList};
use serde::Serialize;

use crate::cli::TemplatesDrop;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{moment, table};

pub(crate) async fn list(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.templates().await?;
    context.output.result(&list, human)
}

pub(crate) async fn drop(context: &Context, args: TemplatesDrop) -> Result<(), Failed> {
    let query = DropTemplate {
        forget: args.forget,
    };
    let client = context.client()?;
    client.drop_template(&args.id, &query).await?;
    let dropped = Dropped {
        dropped: args.id,
        forgotten: args.forget,
    };
    context.output.result(&dropped, said)
}

#[derive(Serialize)]
struct Dropped {
    dropped: String,
    forgotten: bool,
}

fn said(one: &Dropped) -> String {
    match one.forgotten {
        true => format!("{} is forgotten; nothing was destroyed", one.dropped),
        false => format!(
            "nothing is made of {} any more; it is destroyed as soon as nothing hangs on it",
            one.dropped
        ),
    }
}

fn human(list: &PreparedTemplateList) -> String {
    table(
        [
            "ID", "PLACE", "STAGE", "SINCE", "PACKAGES", "LINKED", "USED", "TROUBLE",
        ],
        list.templates.iter().map(row),
        "no templates are prepared",
    )
}

fn row(one: &PreparedTemplate) -> [String; 8] {
    [
        one.id.clone(),
        format!("{}/{}/{}", one.host, one.node, one.vmid),
        one.stage.clone(),
        moment(one.stage_since),
        one.packages.join(" "),
        one.linked.to_string(),
        one.used_at.map(moment).unwrap_or_default(),
        one.trouble.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_told_with_its_place_and_what_hangs_on_it() {
        let list = PreparedTemplateList {
            templates: vec![PreparedTemplate {
                id: "018f".to_owned(),
                host: "lab".to_owned(),
                node: "pve1".to_owned(),
                storage: "local".to_owned(),
                vmid: 105,
                stage: "leaving".to_owned(),
                os_template: "local:vztmpl/debian.tar.zst".to_owned(),
                packages: vec!["curl".to_owned(), "nginx-light".to_owned()],
                disk_gib: 4,
                linked: 2,
                begun: 0,
                stage_since: "2026-01-02T03:04:05Z".parse().unwrap(),
                used_at: None,
                trouble: Some("it is locked".to_owned()),
            }],
        };
        let told = human(&list);
        for part in [
            "018f",
            "lab/pve1/105",
            "leaving",
            "2026-01-02",
            "curl nginx-light",
            "it is locked",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let none = PreparedTemplateList {
            templates: Vec::new(),
        };
        assert_eq!(human(&none), "no templates are prepared");
    }
}
