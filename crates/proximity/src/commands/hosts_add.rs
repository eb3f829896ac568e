//! `proximity hosts add`: look, show, ask, add.

use std::collections::BTreeMap;
use std::path::Path;

use proximity_api::client::Client;
use proximity_api::hosts::{AddHost, AddSsh, Host, HostProbe, ProbedSsh};
use secrecy::SecretString;

use crate::ask;
use crate::cli::{HostsAdd, NodeValue, SshArgs};
use crate::context::Context;
use crate::failed::Failed;
use crate::secret_input;
use crate::text::{details, memory, table};

pub(crate) async fn run(context: &Context, args: HostsAdd) -> Result<(), Failed> {
    let client = context.client()?;
    let yes = args.yes;
    if !yes {
        ask::need_a_person(
            "somebody has to say whether what is found is right",
            "give --yes to add it without being asked",
        )?;
    }
    let mut body = body(args)?;
    context.output.note(&format!("looking at {} …", body.url));
    let mut probe = client.probe_host(&body).await?;
    if !probe.fingerprint_trusted {
        // The token was not sent yet: first somebody has to say that this is the node.
        context.output.note(&unvouched(&probe));
        if yes {
            return Err(untrusted(&probe));
        }
        if !ask::yes("Is this the node's fingerprint?")? {
            return Err(not_added());
        }
        body.fingerprint = Some(probe.fingerprint.clone());
        probe = client.probe_host(&body).await?;
    }
    context.output.note(&found(&probe));
    if !yes && !ask::yes(&question(&body))? {
        return Err(not_added());
    }
    keep_what_was_shown(&mut body, &probe);
    add(context, &client, &body).await
}

fn not_added() -> Failed {
    Failed::cancelled("not added; nothing was changed", "")
}

/// What is said of a certificate that nobody vouches for.
pub(super) fn unvouched(probe: &HostProbe) -> String {
    format!(
        "nobody known to this system vouches for the certificate; its SHA-256 fingerprint is\n\n  {}\n\n\
         The node itself says it with `pvenode cert info`, or in PVE under node, System, Certificates.",
        probe.fingerprint
    )
}

/// What was shown is what is stored: places and host keys as seen, not as they may be a moment later.
fn keep_what_was_shown(body: &mut AddHost, probe: &HostProbe) {
    let chosen = &probe.chosen;
    body.storage = body.storage.take().or_else(|| chosen.storage.clone());
    body.template_storage = body
        .template_storage
        .take()
        .or_else(|| chosen.template_storage.clone());
    body.bridge = body.bridge.take().or_else(|| chosen.bridge.clone());
    if let Some(ssh) = &mut body.ssh {
        keep_ssh(ssh, &probe.ssh);
    }
}

/// Host keys and addresses as seen.
pub(super) fn keep_ssh(ssh: &mut AddSsh, seen: &[ProbedSsh]) {
    for seen in seen {
        let node = seen.node.clone();
        ssh.host_keys
            .entry(node.clone())
            .or_insert_with(|| seen.host_key.clone());
        ssh.addresses
            .entry(node)
            .or_insert_with(|| seen.address.clone());
    }
}

async fn add(context: &Context, client: &Client, body: &AddHost) -> Result<(), Failed> {
    let made_a_key = body
        .ssh
        .as_ref()
        .is_some_and(|ssh| ssh.private_key.is_none());
    let host = client.add_host(body).await?;
    context.output.result(&host, |host| added(host, made_a_key))
}

fn body(args: HostsAdd) -> Result<AddHost, Failed> {
    // Checked before anything is asked, so that nobody types a secret for nothing.
    let ca_pem = args.ca_file.as_deref().map(certificates).transpose()?;
    let ssh = ssh(&args.ssh)?;
    let token_id = match args.token_id.clone() {
        Some(id) => id,
        None => {
            ask::need_a_person(
                "the API token has to be typed",
                "give --token-id USER@REALM!NAME",
            )?;
            ask::text("API token (USER@REALM!NAME):")?.trim().to_owned()
        }
    };
    let token_secret = secret(&args)?;
    Ok(AddHost {
        label: args.label,
        url: args.api_url,
        fingerprint: args.fingerprint,
        ca_pem,
        token_id,
        token_secret: token_secret.into(),
        pool: args.pool,
        storage: args.storage,
        template_storage: args.template_storage,
        bridge: args.bridge,
        ssh,
    })
}

/// The certificates of `--ca-file`.
pub(super) fn certificates(path: &Path) -> Result<String, Failed> {
    std::fs::read_to_string(path).map_err(|e| {
        let message = format!("cannot read --ca-file {}: {e}", path.display());
        Failed::config(
            "ca_unreadable",
            message,
            "check the path and its permissions",
        )
    })
}

fn secret(args: &HostsAdd) -> Result<SecretString, Failed> {
    const WHAT: &str = "the token's secret";
    if args.secret_stdin {
        return secret_input::first_line_of_stdin(WHAT);
    }
    if let Some(path) = &args.secret_file {
        return secret_input::first_line_of_file(path, WHAT);
    }
    ask::need_a_person(
        "the token's secret has to be typed",
        "give --secret-stdin or --secret-file FILE",
    )?;
    ask::secret("Secret of the token:")
}

/// Plain guest access as asked for.
pub(super) fn ssh(args: &SshArgs) -> Result<Option<AddSsh>, Failed> {
    if !args.ssh {
        return Ok(None);
    }
    let private_key = match &args.ssh_key {
        Some(path) => Some(secret_input::whole_file(path, "the SSH key")?.into()),
        None => None,
    };
    Ok(Some(AddSsh {
        user: "root".to_owned(),
        private_key,
        addresses: by_node(&args.ssh_address),
        host_keys: by_node(&args.ssh_host_key),
    }))
}

pub(super) fn by_node(values: &[NodeValue]) -> BTreeMap<String, String> {
    values
        .iter()
        .map(|given| (given.node.clone(), given.value.clone()))
        .collect()
}

fn untrusted(probe: &HostProbe) -> Failed {
    Failed::config(
        "fingerprint_untrusted",
        "nobody vouches for the certificate, and --yes does not trust what it has never seen",
        format!(
            "compare it with the node's, then add the host with --fingerprint {}",
            probe.fingerprint
        ),
    )
}

fn question(body: &AddHost) -> String {
    let label = &body.label;
    if body.ssh.is_some() {
        format!("Proximity will be root on the nodes. Add this as {label}?")
    } else {
        format!("Add this as {label}?")
    }
}

/// What was found, for people.
pub(super) fn found(probe: &HostProbe) -> String {
    let none = || "none found; name it".to_owned();
    let choice = |chosen: &Option<String>, all: &[String]| match chosen {
        Some(one) if all.len() > 1 => format!("{one} (of {})", all.join(", ")),
        Some(one) => one.clone(),
        None => none(),
    };
    let chosen = &probe.chosen;
    let head = details([
        ("Proxmox VE", probe.pve_version.clone()),
        (
            "cluster",
            probe
                .cluster
                .clone()
                .unwrap_or_else(|| "none, one node".to_owned()),
        ),
        ("fingerprint", probe.fingerprint.clone()),
        (
            "pool",
            chosen.pool.clone().unwrap_or_else(|| "none".to_owned()),
        ),
        ("storage", choice(&chosen.storage, &probe.storages)),
        (
            "templates on",
            choice(&chosen.template_storage, &probe.template_storages),
        ),
        ("templates", probe.templates.join(", ")),
        ("bridge", choice(&chosen.bridge, &probe.bridges)),
    ]);
    let nodes = table(
        ["NODE", "STATE", "MEMORY", "CPUS", "SSH", "HOST KEY"],
        probe.nodes.iter().map(|node| {
            let ssh = probe.ssh.iter().find(|ssh| ssh.node == node.name);
            [
                node.name.clone(),
                if node.online { "online" } else { "offline" }.to_owned(),
                memory(node.memory),
                node.cpus.to_string(),
                ssh.map_or_else(|| "off".to_owned(), |ssh| ssh.address.clone()),
                ssh.map_or_else(|| "-".to_owned(), |ssh| ssh.fingerprint.clone()),
            ]
        }),
        "no nodes",
    );
    let warnings = probe
        .warnings
        .iter()
        .map(|text| format!("\nwarning: {text}"));
    format!("{head}\n\n{nodes}{}", warnings.collect::<String>())
}

fn added(host: &Host, made_a_key: bool) -> String {
    let mut text = format!("{} is added", host.label);
    if made_a_key {
        text.push_str(&key_line(host));
    }
    text
}

/// What is to be done with a key that was made.
pub(super) fn key_line(host: &Host) -> String {
    match &host.ssh {
        None => String::new(),
        Some(ssh) => format!(
            "\n\nPut this line into ~{}/.ssh/authorized_keys of each node; whoever holds the private part, \
             which is sealed in the database, is root on the node:\n{}",
            ssh.user, ssh.public_key
        ),
    }
}
