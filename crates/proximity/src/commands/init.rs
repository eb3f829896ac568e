//! `proximity init`: look, show, ask, set up.

use proximity_api::client::Client;
use proximity_api::hosts::AddSsh;
use proximity_api::init::{InitDone, InitHost, InitPlan, PersonLogin};

use super::{hosts_add, person};
use crate::ask;
use crate::cli::InitArgs;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn run(context: &Context, args: InitArgs) -> Result<(), Failed> {
    let client = context.client()?;
    let (yes, dry_run) = (args.yes, args.dry_run);
    if !yes && !dry_run {
        ask::need_a_person(
            "somebody has to say whether what is found is right",
            "give --yes to set it up without being asked, or --dry-run to look only",
        )?;
    }
    let mut body = body(args)?;
    context.output.note(&format!("looking at {} …", body.url));
    if yes {
        return set_up(context, &client, body).await;
    }
    let mut plan = look(&client, &mut body).await?;
    if !plan.found.fingerprint_trusted {
        // Nobody has logged in yet: first somebody has to say that this is the node.
        if dry_run {
            return context
                .output
                .result(&plan, |plan| hosts_add::unvouched(&plan.found));
        }
        context.output.note(&hosts_add::unvouched(&plan.found));
        if !ask::yes("Is this the node's fingerprint?")? {
            return Err(not_set_up());
        }
        body.fingerprint = Some(plan.found.fingerprint.clone());
        plan = look(&client, &mut body).await?;
    }
    if dry_run {
        return context.output.result(&plan, shown);
    }
    context.output.note(&shown(&plan));
    let is_done = plan.known && plan.steps.is_empty();
    if !is_done && !ask::yes(&question(&body))? {
        return Err(not_set_up());
    }
    keep_what_was_shown(&mut body, &plan);
    set_up(context, &client, body).await
}

fn not_set_up() -> Failed {
    Failed::cancelled("not set up; nothing was changed", "")
}

async fn look(client: &Client, body: &mut InitHost) -> Result<InitPlan, Failed> {
    let mut login = body.login.clone();
    let asked = body.clone();
    let plan = person::with_code(&mut login, async |login| {
        client.plan_init(&by(&asked, login)).await
    })
    .await?;
    // A login took the code; where nobody logged in, it is still good.
    if plan.found.fingerprint_trusted {
        body.login = login;
    }
    Ok(plan)
}

fn by(body: &InitHost, login: &PersonLogin) -> InitHost {
    InitHost {
        login: login.clone(),
        ..body.clone()
    }
}

async fn set_up(context: &Context, client: &Client, body: InitHost) -> Result<(), Failed> {
    let made_a_key = body
        .ssh
        .as_ref()
        .is_some_and(|ssh| ssh.private_key.is_none());
    let mut login = body.login.clone();
    let done = person::with_code(&mut login, async |login| {
        client.init_host(&by(&body, login)).await
    })
    .await?;
    context.output.result(&done, |done| told(done, made_a_key))
}

/// What was shown is what is set up: places as seen, not as they may be a moment later.
fn keep_what_was_shown(body: &mut InitHost, plan: &InitPlan) {
    let chosen = &plan.found.chosen;
    if body.storages.is_empty() {
        body.storages.extend(chosen.storage.clone());
    }
    let templates = || chosen.template_storage.clone();
    body.template_storage = body.template_storage.take().or_else(templates);
    body.bridge = body.bridge.take().or_else(|| chosen.bridge.clone());
    body.pool = body.pool.take().or_else(|| chosen.pool.clone());
    if let Some(ssh) = &mut body.ssh {
        hosts_add::keep_ssh(ssh, &plan.found.ssh);
    }
}

fn body(args: InitArgs) -> Result<InitHost, Failed> {
    // Checked before anything is asked, so that nobody types a password for nothing.
    let ca_pem = args
        .ca_file
        .as_deref()
        .map(hosts_add::certificates)
        .transpose()?;
    let ssh: Option<AddSsh> = hosts_add::ssh(&args.ssh)?;
    Ok(InitHost {
        label: args.label,
        url: args.api_url,
        fingerprint: args.fingerprint,
        ca_pem,
        login: person::login(&args.login)?,
        pool: args.pool,
        storages: args.storage,
        template_storage: args.template_storage,
        bridge: args.bridge,
        images: args.images,
        adopted: args.adopted,
        ssh,
    })
}

fn question(body: &InitHost) -> String {
    let label = &body.label;
    if body.ssh.is_some() {
        format!("Proximity will be root on the nodes. Set this up as {label}?")
    } else {
        format!("Set this up as {label}?")
    }
}

/// A list, each on a line of its own.
pub(super) fn list(head: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("\n  - {line}")).collect();
    format!("\n\n{head}{}", lines.concat())
}

/// The plan, for people.
fn shown(plan: &InitPlan) -> String {
    let tokens = plan.tokens.iter();
    let tokens: Vec<String> = tokens.map(|t| format!("{}: {}", t.purpose, t.id)).collect();
    let steps = if plan.steps.is_empty() {
        "\n\nnothing to do: accounts are as they should be".to_owned()
    } else {
        list("on the host, this would be done:", &plan.steps)
    };
    format!(
        "{}{}{steps}{}",
        hosts_add::found(&plan.found),
        list("its tokens:", &tokens),
        list("worth knowing:", &plan.notes),
    )
}

fn told(done: &InitDone, made_a_key: bool) -> String {
    let label = &done.host.label;
    let mut text = if done.steps.is_empty() {
        format!("nothing to do: {label} is set up as it should be")
    } else {
        let head = format!("{label} is set up; on the host, this was done:");
        list(&head, &done.steps).trim_start().to_owned()
    };
    text.push_str(&list("worth knowing:", &done.notes));
    if made_a_key {
        text.push_str(&hosts_add::key_line(&done.host));
    }
    text
}
