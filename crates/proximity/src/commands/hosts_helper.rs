//! `proximity hosts install-helper` and `proximity hosts remove-helper`.

use proximity_api::helper::{HelperOnNode, HelperReport, InstallHelper, RemoveHelper};

use super::hosts_add::by_node;
use crate::ask;
use crate::cli::{HostsInstallHelper, HostsRemoveHelper};
use crate::context::Context;
use crate::failed::Failed;
use crate::secret_input;
use crate::text::details;

const STOPPED: &str = "nothing was changed";

/// Looks, shows what would be on each node, asks, and does it.
pub(crate) async fn install(context: &Context, args: HostsInstallHelper) -> Result<(), Failed> {
    let client = context.client()?;
    if !args.yes && !args.dry_run {
        ask::need_a_person(
            "somebody has to say whether what would be changed on the nodes is right",
            "give --yes to do it without being asked, or --dry-run to look only",
        )?;
    }
    let mut body = InstallHelper {
        nodes: args.node,
        private_key: root_key(args.ssh_key.as_deref())?.map(Into::into),
        addresses: by_node(&args.ssh_address),
        host_keys: by_node(&args.ssh_host_key),
        dry_run: true,
    };
    if args.dry_run || !args.yes {
        let plan = client.install_helper(&args.host, &body).await?;
        if args.dry_run {
            return context.output.result(&plan, planned);
        }
        context.output.note(&planned(&plan));
        if !ask::yes("Put the helper there, and reach containers by it alone?")? {
            return Err(Failed::cancelled(STOPPED, ""));
        }
        pin(&mut body, &plan);
    }
    body.dry_run = false;
    let report = client.install_helper(&args.host, &body).await?;
    context.output.result(&report, done)?;
    finished(&report)
}

/// Looks, shows what would be lost, asks, and does it.
pub(crate) async fn remove(context: &Context, args: HostsRemoveHelper) -> Result<(), Failed> {
    let client = context.client()?;
    if !args.yes && !args.dry_run {
        ask::need_a_person(
            "somebody has to say whether the way into the containers may go",
            "give --yes to do it without being asked, or --dry-run to look only",
        )?;
    }
    let private_key = secret_input::whole_file(&args.ssh_key, "the SSH key")?;
    let mut body = RemoveHelper {
        private_key: private_key.into(),
        dry_run: true,
    };
    if args.dry_run || !args.yes {
        let plan = client.remove_helper(&args.host, &body).await?;
        if args.dry_run {
            return context.output.result(&plan, planned_removal);
        }
        context.output.note(&planned_removal(&plan));
        if !ask::yes("Take the helper away?")? {
            return Err(Failed::cancelled(STOPPED, ""));
        }
    }
    body.dry_run = false;
    let report = client.remove_helper(&args.host, &body).await?;
    context.output.result(&report, done)?;
    finished(&report)
}

/// What somebody looked at is what is gone to.
fn pin(body: &mut InstallHelper, plan: &HelperReport) {
    if plan.host.ssh.is_some() {
        return;
    }
    for on in &plan.nodes {
        body.addresses.insert(on.node.clone(), on.address.clone());
        body.host_keys.insert(on.node.clone(), on.host_key.clone());
    }
}

fn root_key(path: Option<&std::path::Path>) -> Result<Option<secrecy::SecretString>, Failed> {
    path.map(|path| secret_input::whole_file(path, "the SSH key"))
        .transpose()
}

/// What was not finished is a failure of the command, though what was done stays.
fn finished(report: &HelperReport) -> Result<(), Failed> {
    if report.recorded {
        return Ok(());
    }
    let open = report.nodes.iter().filter(|on| on.trouble.is_some());
    let names: Vec<&str> = open.map(|on| on.node.as_str()).collect();
    Err(Failed::error(
        "helper_unfinished",
        format!("not finished on {}", names.join(", ")),
        "repair what is named above and run the same command again",
    ))
}

fn planned(report: &HelperReport) -> String {
    let sum = report.sha256.as_deref().unwrap_or("-");
    let nodes = report.nodes.iter().map(|on| {
        let program = match (&on.program, &on.sha256_before) {
            (Some(path), Some(before)) if before == sum => format!("{path}, there already"),
            (Some(path), Some(before)) => format!("{path}, in place of SHA-256 {before}"),
            (Some(path), None) => format!("{path}, new"),
            (None, _) => "-".to_owned(),
        };
        node(
            on,
            [
                ("program", program),
                ("into", on.keys_file.clone().unwrap_or_default()),
                ("the line", on.line.clone().unwrap_or_default()),
            ],
        )
    });
    let head = format!("the helper's SHA-256 is {sum}\n");
    text(head, nodes, &report.notes)
}

fn planned_removal(report: &HelperReport) -> String {
    let nodes = report.nodes.iter().map(|on| {
        node(
            on,
            [
                ("removes", on.program.clone().unwrap_or_default()),
                ("and its line in", on.keys_file.clone().unwrap_or_default()),
                ("", String::new()),
            ],
        )
    });
    let head = match report.apps_without_access {
        0 => format!("{} has no apps\n", report.host.label),
        apps => format!(
            "{} has {apps} apps; nothing can be set up inside their containers afterwards\n",
            report.host.label
        ),
    };
    text(head, nodes, &report.notes)
}

fn done(report: &HelperReport) -> String {
    let nodes = report.nodes.iter().map(|on| {
        let how = match (on.state.as_str(), &on.version) {
            ("answers", Some(version)) => format!("the helper answers, version {version}"),
            ("gone", _) => "the helper is gone".to_owned(),
            (state, _) => state.to_owned(),
        };
        match &on.trouble {
            Some(trouble) => format!("\n{}: {how}: {trouble}", on.node),
            None => format!("\n{}: {how}", on.node),
        }
    });
    let head = match (report.recorded, &report.host.ssh) {
        (true, Some(_)) => format!(
            "{}: containers are reached by the helper",
            report.host.label
        ),
        (true, None) => format!(
            "{}: there is no way into containers any more",
            report.host.label
        ),
        (false, _) => format!("{}: the entry is as before", report.host.label),
    };
    text(head, nodes, &report.notes)
}

fn node(on: &HelperOnNode, rows: [(&str, String); 3]) -> String {
    if let Some(trouble) = &on.trouble {
        return format!("\n{} at {}: {trouble}\n", on.node, on.address);
    }
    let host_key = ("host key", on.host_key.clone());
    let rows = rows.into_iter().chain([host_key]);
    format!("\n{} at {}\n{}\n", on.node, on.address, details(rows))
}

fn text(head: String, nodes: impl Iterator<Item = String>, notes: &[String]) -> String {
    let notes = notes.iter().map(|note| format!("\n{note}"));
    head + &nodes.chain(notes).collect::<String>()
}
