//! Host entries, requests for them, and what was found at them. Secrets go in and never come out.

use std::collections::BTreeMap;

use proximity_api::hosts::{
    AddHost, AddSsh, ChosenPlaces, Endpoint, Host, HostProbe, ProbedNode, ProbedSsh, Ssh, SshNode,
};
use proximity_domain::names::NodeName;
use proximity_engine::commands;
use proximity_store::records::{HostRecord, PurposeTokens, SshAccess, SshKind, TlsTrust};

use super::moment;

/// The request as the engine takes it.
pub(crate) fn add_host(body: AddHost) -> commands::AddHost {
    commands::AddHost {
        label: body.label,
        url: body.url,
        fingerprint: body.fingerprint,
        ca_pem: body.ca_pem,
        token_id: body.token_id,
        token_secret: body.token_secret.into_inner(),
        purpose_tokens: PurposeTokens::default(),
        pool: body.pool,
        storage: body.storage,
        template_storage: body.template_storage,
        bridge: body.bridge,
        ssh: body.ssh.map(add_ssh),
    }
}

pub(super) fn add_ssh(ssh: AddSsh) -> commands::AddSsh {
    commands::AddSsh {
        user: ssh.user,
        private_key: ssh
            .private_key
            .map(proximity_api::secret::Secret::into_inner),
        addresses: ssh.addresses,
        host_keys: ssh.host_keys,
    }
}

/// A host entry without its secrets.
pub(crate) fn host(record: HostRecord) -> Host {
    Host {
        id: record.id.to_string(),
        label: record.label.into(),
        endpoints: record
            .endpoints
            .into_iter()
            .map(|endpoint| {
                let (trust, fingerprint) = match endpoint.trust {
                    TlsTrust::Fingerprint { sha256 } => ("fingerprint", Some(sha256)),
                    TlsTrust::Ca { .. } => ("ca", None),
                    TlsTrust::System => ("system", None),
                };
                Endpoint {
                    url: endpoint.url,
                    node: endpoint.node.map(String::from),
                    trust: trust.to_owned(),
                    fingerprint,
                }
            })
            .collect(),
        token_id: record.token_id,
        tokens: token_ids(&record.purpose_tokens),
        pool: record.pool.map(String::from),
        storage: record.storage.into(),
        template_storage: record.template_storage.into(),
        bridge: record.bridge.into(),
        vmids: record.placement.vmids.map(String::from),
        fetch_templates: !record.placement.templates_by_hand,
        lan: record.placement.lan.map(String::from),
        excluded_nodes: names(record.placement.excluded_nodes),
        known_nodes: names(record.known_nodes),
        pve_version: record.pve_version,
        ssh: record.ssh.map(ssh),
        created_at: moment(record.created_at),
    }
}

/// The ids alone, by purpose.
fn token_ids(tokens: &PurposeTokens) -> BTreeMap<String, String> {
    let all = tokens.iter();
    all.map(|(purpose, token)| (purpose.to_string(), token.id.clone()))
        .collect()
}

fn names(nodes: Vec<NodeName>) -> Vec<String> {
    nodes.into_iter().map(String::from).collect()
}

fn ssh(access: SshAccess) -> Ssh {
    Ssh {
        kind: match access.kind {
            SshKind::Plain => "plain",
            SshKind::Helper => "helper",
        }
        .to_owned(),
        user: access.user,
        public_key: access.public_key,
        nodes: access
            .nodes
            .into_iter()
            .map(|node| SshNode {
                node: node.node.into(),
                address: node.address,
                host_key: node.host_key,
            })
            .collect(),
    }
}

/// What was found at a host.
pub(crate) fn host_probe(probe: commands::HostProbe) -> HostProbe {
    HostProbe {
        pve_version: probe.pve_version,
        cluster: probe.cluster,
        fingerprint: probe.fingerprint,
        fingerprint_trusted: probe.fingerprint_trusted,
        nodes: probe
            .nodes
            .into_iter()
            .map(|node| ProbedNode {
                name: node.node,
                online: node.online,
                memory: node.memory_mib,
                cpus: node.cpus,
            })
            .collect(),
        bridges: probe.bridges,
        storages: probe.storages,
        template_storages: probe.template_storages,
        templates: probe.templates,
        chosen: ChosenPlaces {
            pool: probe.pool,
            storage: probe.storage,
            template_storage: probe.template_storage,
            bridge: probe.bridge,
        },
        ssh: probe
            .ssh
            .into_iter()
            .map(|ssh| ProbedSsh {
                node: ssh.node,
                address: ssh.address,
                host_key: ssh.host_key,
                fingerprint: ssh.fingerprint,
            })
            .collect(),
        warnings: probe.warnings,
    }
}
