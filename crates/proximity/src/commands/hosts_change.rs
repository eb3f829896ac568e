//! `proximity hosts set`, `proximity hosts ssh` and `proximity hosts forget-node`.

use proximity_api::hosts::{ChangeHost, Host, SetSsh, SshNode};

use super::node_loss;
use crate::ask;
use crate::cli::{HostsForgetNode, HostsSet, HostsSsh};
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn set(context: &Context, args: HostsSet) -> Result<(), Failed> {
    let client = context.client()?;
    let mut body = ChangeHost {
        vmids: args.vmids.map(|range| (range != "pve").then_some(range)),
        excluded_nodes: None,
        fetch_templates: args.fetch_templates,
        lan: args.lan.map(|name| (name != "none").then_some(name)),
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
    if args.containers_lost {
        return node_loss::run(context, args).await;
    }
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

/// Looks, shows, asks, and pins what was shown: whoever has the key of a node that is somebody else's gives him the root's
/// commands.
pub(crate) async fn ssh(context: &Context, args: HostsSsh) -> Result<(), Failed> {
    let client = context.client()?;
    let asks = !args.yes && args.host_key.is_none();
    if asks {
        ask::need_a_person(
            "somebody has to say whether the host key is the node's",
            "give the key with --host-key, or --yes to take the one that is shown",
        )?;
    }
    let mut body = SetSsh {
        address: args.address,
        host_key: args.host_key,
        dry_run: asks,
    };
    if asks {
        let would_be = client.set_host_ssh(&args.host, &args.node, &body).await?;
        let Some(seen) = entry_of(&would_be, &args.node) else {
            return Err(Failed::error(
                "internal",
                "the server does not say what it has seen",
                "give the key with --host-key",
            ));
        };
        context.output.note(&format!(
            "the SSH of {} at {} shows the host key\n\n  {}\n\n\
             The node itself says it with `cat /etc/ssh/ssh_host_*_key.pub`.",
            args.node, seen.address, seen.host_key
        ));
        if !ask::yes("Is this the node's host key?")? {
            return Err(Failed::cancelled("nothing was changed", ""));
        }
        body = SetSsh {
            address: Some(seen.address.clone()),
            host_key: Some(seen.host_key.clone()),
            dry_run: false,
        };
    }
    let host = client.set_host_ssh(&args.host, &args.node, &body).await?;
    context.output.result(&host, |host| {
        let (address, key) = entry_of(host, &args.node)
            .map_or(("-", "-"), |entry| (&entry.address, &entry.host_key));
        format!(
            "{}: containers on {} are reached over {address}, whose host key has to be {key}",
            host.label, args.node
        )
    })
}

fn entry_of<'a>(host: &'a Host, node: &str) -> Option<&'a SshNode> {
    let nodes = host.ssh.iter().flat_map(|ssh| &ssh.nodes);
    nodes.into_iter().find(|known| known.node == node)
}

fn human(host: &Host) -> String {
    let vmids = host.vmids.as_deref().unwrap_or("as PVE chooses");
    let excluded = match host.excluded_nodes.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let templates = match host.fetch_templates {
        true => "downloaded by a deploy",
        false => "left to people",
    };
    let lan = match &host.lan {
        Some(lan) => format!("; its network is {lan}"),
        None => String::new(),
    };
    format!(
        "{}: VMIDs of new containers {vmids}; nodes excluded from new apps: {excluded}; missing OS templates are {templates}{lan}",
        host.label
    )
}
