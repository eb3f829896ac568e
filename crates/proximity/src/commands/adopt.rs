//! `proximity adopt` and `proximity forget`.

use proximity_api::adoption::AdoptApp;
use proximity_api::apps::{ActionName, ActionRequest, App, RemovalQuery};
use proximity_api::client::Client;
use proximity_api::error::{ErrorBody, ExitCode};
use proximity_engine::seams::IdSource;
use serde::Serialize;

use super::{operations_show, power, remove};
use crate::cli::{AdoptArgs, ContainerName, ForgetArgs, Waiting};
use crate::context::Context;
use crate::failed::Failed;
use crate::follow;
use crate::roles::ids::SystemIds;

/// What became of each container, in the order they were named.
#[derive(Debug, Serialize)]
struct Adopted {
    adopted: Vec<App>,
    failed: Vec<NotAdopted>,
}

#[derive(Debug, Serialize)]
struct NotAdopted {
    container: String,
    error: ErrorBody,
}

pub(crate) async fn run(context: &Context, args: AdoptArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let mut result = Adopted {
        adopted: Vec::new(),
        failed: Vec::new(),
    };
    let mut exit = None;
    for container in &args.containers {
        let body = AdoptApp {
            vmid: container.vmid,
            host: Some(container.host.clone()),
            node_name: None,
            suggested_type: args.kind.clone(),
            port_to_expose: args.port,
            probe: args.probe,
        };
        match one(context, &client, &body, args.waiting).await {
            Ok(app) => result.adopted.push(app),
            Err(failed) if args.containers.len() == 1 => return Err(failed),
            Err(failed) => {
                exit.get_or_insert(failed.exit);
                result.failed.push(NotAdopted {
                    container: name(container),
                    error: *failed.body,
                });
            }
        }
    }
    context.output.result(&result, human)?;
    // Some were adopted and some not: the result has said which, and the exit code says that not all were.
    exit.map_or(Ok(()), |exit: ExitCode| Err(Failed::said(exit)))
}

async fn one(
    context: &Context,
    client: &Client,
    body: &AdoptApp,
    waiting: Waiting,
) -> Result<App, Failed> {
    let key = SystemIds.uuid().to_string();
    let app = client.adopt(body, &key).await?;
    let operation = match &app.operation_id {
        Some(id) if !waiting.detach => client.operation(id).await?,
        Some(_) | None => return Ok(app),
    };
    follow::settle(context, client, operation, waiting).await?;
    Ok(client.app(&app.id).await?)
}

fn name(container: &ContainerName) -> String {
    format!("{}/{}", container.host, container.vmid)
}

fn human(result: &Adopted) -> String {
    let mut lines = Vec::new();
    for app in &result.adopted {
        let vmid = app.vmid.map_or_else(String::new, |vmid| vmid.to_string());
        let (place, kind) = (format!("{}/{vmid}", app.host.label), &app.catalog_id);
        let (name, status, port) = (&app.hostname, &app.status, app.container_port);
        lines.push(format!(
            "{place} is {name} now: {status}, {kind}, port {port}"
        ));
    }
    for failed in &result.failed {
        lines.push(format!(
            "{} was not adopted: {}",
            failed.container, failed.error.message
        ));
    }
    lines.join("\n")
}

pub(crate) async fn forget(context: &Context, args: ForgetArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let app = client.app(&args.app).await?;
    if app.class != "adopted" {
        return Err(Failed::usage(
            format!(
                "{} was made by Proximity: to forget it would leave its container behind",
                app.hostname
            ),
            format!("to destroy it: proximity remove {}", app.hostname),
        ));
    }
    if args.dry_run {
        let plan = client
            .removal_plan(&app.id, &RemovalQuery::default())
            .await?;
        return context.output.result(&plan, remove::human);
    }
    let body = ActionRequest {
        action: ActionName::Delete,
        force: false,
        confirm: Some(app.hostname.clone()),
        purge: false,
    };
    let operation = client.act(&app.id, &body).await?;
    if args.waiting.detach {
        return context.output.result(&operation, operations_show::human);
    }
    let done = follow::settle(context, &client, operation, args.waiting).await?;
    context.output.result(&done, power::said)
}
