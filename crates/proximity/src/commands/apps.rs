//! `proximity apps`.

use proximity_api::apps::{App, AppList, AppQuery};

use crate::cli::AppsArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::text::{memory, or_dash, table};

const LARGEST_PAGE: u32 = 200;

pub(crate) async fn run(context: &Context, args: AppsArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let mut apps = Vec::new();
    let mut after = None;
    loop {
        let query = AppQuery {
            status: args.status.clone(),
            search: args.search.clone(),
            limit: Some(LARGEST_PAGE),
            after,
        };
        let list = client.apps(&query).await?;
        apps.extend(list.apps);
        after = list.next;
        if after.is_none() {
            break;
        }
    }
    if let Some(host) = &args.host {
        apps.retain(|app| app.host.label == *host || app.host.id == *host);
    }
    let total = apps.len() as u64;
    let all = AppList {
        apps,
        total,
        next: None,
    };
    context.output.result(&all, human)
}

pub(crate) fn human(list: &AppList) -> String {
    table(
        [
            "HOSTNAME", "APP", "STATUS", "HOST", "NODE", "CT", "MEMORY", "PORT", "URL",
        ],
        list.apps.iter().map(row),
        "no apps; deploy one with `proximity deploy nginx HOSTNAME`",
    )
}

fn row(app: &App) -> [String; 9] {
    let vmid = app.vmid.map(|vmid| vmid.to_string());
    let port = app.ports.map(|ports| ports.public.to_string());
    [
        app.hostname.clone(),
        app.catalog_id.clone(),
        app.status.clone(),
        app.host.label.clone(),
        app.node.clone(),
        or_dash(vmid.as_deref()),
        memory(app.config.memory),
        or_dash(port.as_deref()),
        or_dash(app.url.as_deref()),
    ]
}
