//! `proximity hosts remove`.

use proximity_api::hosts::Ssh;
use serde_json::json;

use crate::cli::HostsRemove;
use crate::context::Context;
use crate::failed::Failed;

pub(crate) async fn run(context: &Context, args: HostsRemove) -> Result<(), Failed> {
    let client = context.client()?;
    let host = client.host(&args.host).await?;
    client.remove_host(&args.host).await?;
    let stays: Vec<String> = host.ssh.iter().flat_map(stays).collect();
    let removed = json!({ "removed": args.host, "stays": stays });
    context.output.result(&removed, |_| {
        let mut text = format!("{} is removed; nothing on it was changed", args.host);
        for stays in &stays {
            text.push_str(&format!("\n  this stays: {stays}"));
        }
        text
    })
}

/// What is left on the nodes, for root there to take away.
fn stays(ssh: &Ssh) -> Vec<String> {
    let line = format!(
        "in ~{}/.ssh/authorized_keys of each node the line with {}",
        ssh.user, ssh.public_key
    );
    if ssh.kind != "helper" {
        return vec![line];
    }
    let nodes: Vec<&str> = ssh.nodes.iter().map(|at| at.node.as_str()).collect();
    let nodes = nodes.join(", ");
    vec![
        line,
        format!("the helper, /usr/local/sbin/proximity-node-helper on {nodes}"),
        format!(
            "its folder /var/lib/proximity-node-helper on {nodes}, with the audit and root's list"
        ),
    ]
}

#[cfg(test)]
mod tests {
    use proximity_api::hosts::SshNode;

    use super::*;

    #[test]
    fn what_stays_on_the_nodes_is_named() {
        let mut ssh = Ssh {
            kind: "helper".to_owned(),
            user: "root".to_owned(),
            public_key: "ssh-ed25519 AAAA proximity".to_owned(),
            nodes: vec![SshNode {
                node: "pve1".to_owned(),
                address: "192.0.2.1:22".to_owned(),
                host_key: "ssh-ed25519 BBBB".to_owned(),
            }],
        };
        let told = stays(&ssh);
        assert!(told[0].contains("~root/.ssh/authorized_keys"), "{told:?}");
        assert!(told[0].contains("AAAA"), "{told:?}");
        assert!(told[1].ends_with("/usr/local/sbin/proximity-node-helper on pve1"));
        assert!(told[2].contains("/var/lib/proximity-node-helper on pve1"));
        ssh.kind = "plain".to_owned();
        assert_eq!(stays(&ssh), told[..1]);
    }
}
