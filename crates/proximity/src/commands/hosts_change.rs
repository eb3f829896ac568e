//! `proximity hosts set`, `proximity hosts ssh` and `proximity hosts forget-node`.

use proximity_api::hosts::{ChangeHost, Host, SetSsh};

use crate::cli::{HostsForgetNode, HostsSet, HostsSsh};
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn set(context: &Context, args: HostsSet) -> Result<(), Failed> {
    let client = context.client()?;
    let mut body = ChangeHost {
        vmids: args.vmids.map(|range| (range != "pve").then_some(range)),
        excluded_nodes: None,
    };
    if !args.exclude.is_empty() || !args.include.is_empty() {
        let mut excluded = client.host(&args.host).await?.excluded_nodes;
        excluded.retain(|node| !args.include.contains(node));
        excluded.extend(args.exclude);
        body.excluded_nodes = Some(excluded);
    }
    let host = client.change_host(&args.host, &body).await?;
    context.output.result(&host, human)
}

pub(crate) async fn forget_node(context: &Context, args: HostsForgetNode) -> Result<(), Failed> {
    let client = context.client()?;
    let host = client.forget_node(&args.host, &args.node).await?;
    context.output.result(&host, |host| {
        format!(
            "{} is no longer expected in the cluster of {}; expected are {}",
            args.node,
            host.label,
            host.known_nodes.join(", ")
        )
    })
}

pub(crate) async fn ssh(context: &Context, args: HostsSsh) -> Result<(), Failed> {
    let client = context.client()?;
    let body = SetSsh {
        address: args.address,
        host_key: args.host_key,
    };
    let host = client.set_host_ssh(&args.host, &args.node, &body).await?;
    context.output.result(&host, |host| {
        let nodes = host.ssh.iter().flat_map(|ssh| &ssh.nodes);
        let entry = nodes.into_iter().find(|known| known.node == args.node);
        let (address, key) = entry.map_or(("-", "-"), |e| (&e.address, &e.host_key));
        format!(
            "{}: containers on {} are reached over {address}, whose host key has to be {key}",
            host.label, args.node
        )
    })
}

fn human(host: &Host) -> String {
    let vmids = host.vmids.as_deref().unwrap_or("as PVE chooses");
    let excluded = match host.excluded_nodes.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    format!(
        "{}: VMIDs of new containers {vmids}; nodes excluded from new apps: {excluded}",
        host.label
    )
}
