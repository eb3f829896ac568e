//! `proximity hosts list`.

use proximity_api::hosts::{Host, HostList};

use crate::context::Context;
use crate::failed::Failed;
use crate::text::{or_dash, table};

pub(crate) async fn run(context: &Context) -> Result<(), Failed> {
    let list = context.client()?.hosts().await?;
    context.output.result(&list, human)
}

fn human(list: &HostList) -> String {
    table(
        [
            "LABEL",
            "URL",
            "PVE",
            "POOL",
            "STORAGE",
            "TEMPLATES",
            "BRIDGE",
            "SSH",
            "TOKENS",
        ],
        list.hosts.iter().map(row),
        "no hosts; add one with `proximity init LABEL URL`",
    )
}

fn row(host: &Host) -> [String; 9] {
    let url = host.endpoints.first().map(|endpoint| endpoint.url.as_str());
    let ssh = host.ssh.as_ref().map(|ssh| match ssh.kind.as_str() {
        "plain" => format!("{} on the nodes", ssh.user),
        kind => format!("{kind} on the nodes"),
    });
    [
        host.label.clone(),
        or_dash(url),
        host.pve_version.clone(),
        or_dash(host.pool.as_deref()),
        host.storage.clone(),
        host.template_storage.clone(),
        host.bridge.clone(),
        ssh.unwrap_or_else(|| "off".to_owned()),
        tokens(host),
    ]
}

/// The purposes that have a token of their own; the main one operates.
fn tokens(host: &Host) -> String {
    if host.tokens.is_empty() {
        return "one for all".to_owned();
    }
    let mut purposes: Vec<&str> = host.tokens.keys().map(String::as_str).collect();
    purposes.push("operate");
    purposes.sort_unstable();
    purposes.join(", ")
}
