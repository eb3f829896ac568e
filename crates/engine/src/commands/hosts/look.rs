//! The whole look at a host: its certificate, then its answers, then the ways to its other nodes and their SSH.
//!
//! Flow: certificate → version → rights → members → storages, bridges, templates → other endpoints → SSH.
//! Guarantees: the token is sent to nobody whose certificate was not judged first; nothing is changed anywhere.
//! Assumptions: PVE filters its lists by the token's rights, so rights are read before any list is believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, stream};
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::ReadClient;
use proximity_pve::access::Privileges;
use proximity_pve::cluster::{ClusterStatus, Version};
use proximity_pve::error::Error as PveError;
use proximity_pve::privileges;
use proximity_pve::storage::Content;
use proximity_pve::transport::https::{
    ConfigError, EndpointConfig, Fingerprint, HttpsTransport, Trust, fetch_fingerprint,
};
use proximity_store::records::{Endpoint, HostRecord, TlsTrust};

use super::identity::{self, OtherWay};
use super::inventory::{self, Holdings, NodeSeen, Templates};
use super::places::{self, Options, Places};
use super::rights::{self, Rights};
use super::ssh::{self, SshSeen};
use super::support::{NEWEST, OLDEST, Support};
use super::wish::{Asker, Given, Judge, Wish, invalid};
use super::{choice, refusal};
use crate::error::EngineError;

/// Questions about rights under way at the same time.
const QUESTIONS: usize = 3;
/// Other nodes tried at the same time.
const NODES: usize = 8;

/// What a look shows.
#[derive(Debug)]
pub(super) enum Look {
    /// Nobody vouches for the certificate, so nothing was asked.
    Stranger(Fingerprint),
    /// All that was found.
    Found(Box<Found>),
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) fingerprint: Fingerprint,
    pub(super) survey: Survey,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) ssh: Vec<SshSeen>,
    pub(super) warnings: Vec<String>,
}

/// What PVE's API told.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) version: Version,
    pub(super) cluster: Option<String>,
    pub(super) cluster_key: String,
    pub(super) nodes: Vec<NodeSeen>,
    pub(super) options: Options,
    pub(super) places: Places,
    pub(super) templates: Templates,
    pub(super) warnings: Vec<String>,
}

/// Looks at the host of a request. `hosts` are those that are known already.
///
/// # Errors
/// What is wrong with it, see [`refusal`].
pub(super) async fn look(
    wish: &Wish,
    tokens: &Given,
    hosts: &[HostRecord],
) -> Result<Look, EngineError> {
    let (seen, trust) = certificate(wish).await?;
    let Some(read) = client(wish, tokens, trust)? else {
        return Ok(Look::Stranger(seen));
    };
    look_as(&read, wish, seen, hosts).await
}

/// What certificate is shown, and how it is to be judged.
///
/// # Errors
/// Nobody answers, or another certificate than the pinned one is shown.
pub(super) async fn certificate(wish: &Wish) -> Result<(Fingerprint, Trust), EngineError> {
    let address = &wish.address;
    let seen = fetch_fingerprint(&address.url())
        .await
        .map_err(|e| refusal::no_certificate(address, &e))?;
    let trust = match &wish.judge {
        Judge::Pin(wanted) if *wanted != seen => {
            return Err(refusal::fingerprint_mismatch(address, *wanted, seen));
        }
        Judge::Pin(wanted) => Trust::Fingerprint(*wanted),
        Judge::Ca(pem) => Trust::CaPem(pem.clone()),
        Judge::System => Trust::System,
    };
    Ok((seen, trust))
}

/// The look through this client, whoever it asks as.
///
/// # Errors
/// As [`look`].
pub(super) async fn look_as(
    read: &ReadClient,
    wish: &Wish,
    seen: Fingerprint,
    hosts: &[HostRecord],
) -> Result<Look, EngineError> {
    let version = match (read.version().await, &wish.judge) {
        (Ok(version), _) => version,
        (Err(PveError::Untrusted { .. }), Judge::System) => return Ok(Look::Stranger(seen)),
        (Err(e), _) => return Err(refusal::question(&wish.address, &wish.asker, &e)),
    };
    let survey = survey(read, wish, version, seen, hosts).await?;
    each_token(read, wish, &survey.places).await?;
    let (others, mut warnings) = other_endpoints(wish, &survey.nodes).await;
    let ssh = reach_ssh(wish, &survey.nodes, &mut warnings).await?;
    let mut endpoints = vec![first_endpoint(wish, &survey.nodes)];
    endpoints.extend(others);
    Ok(Look::Found(Box::new(Found {
        fingerprint: seen,
        survey,
        endpoints,
        ssh,
        warnings,
    })))
}

/// A client of this one endpoint; none if the system has no authorities to ask.
fn client(wish: &Wish, tokens: &Given, trust: Trust) -> Result<Option<ReadClient>, EngineError> {
    let made = HttpsTransport::new(vec![endpoint(wish, trust)], tokens.joined());
    let transport = usable(wish, made)?;
    Ok(transport.map(|transport| ReadClient::new(Arc::new(transport))))
}

/// The one endpoint of a request.
pub(super) fn endpoint(wish: &Wish, trust: Trust) -> EndpointConfig {
    EndpointConfig {
        url: wish.address.url(),
        trust,
    }
}

/// What was made for a request; none if the system has no authorities to ask.
///
/// # Errors
/// The request's value that cannot be used.
pub(super) fn usable<T>(
    wish: &Wish,
    made: Result<T, ConfigError>,
) -> Result<Option<T>, EngineError> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(ConfigError::BadTrust(why)) => match wish.judge {
            Judge::System => Ok(None),
            Judge::Pin(_) | Judge::Ca(_) => Err(invalid(
                "ca_pem",
                format!("the authorities' certificates cannot be used: {why}"),
            )),
        },
        Err(e @ ConfigError::BadToken) => Err(invalid("token_id", e.to_string())),
        Err(e @ ConfigError::BadLogin) => Err(invalid("user", e.to_string())),
        Err(e @ (ConfigError::NoEndpoint | ConfigError::BadUrl { .. })) => {
            Err(invalid("url", e.to_string()))
        }
    }
}

/// Everything PVE's API tells, in the order in which it can be believed.
pub(super) async fn survey(
    read: &ReadClient,
    wish: &Wish,
    version: Version,
    seen: Fingerprint,
    hosts: &[HostRecord],
) -> Result<Survey, EngineError> {
    let ask = |e: PveError| refusal::question(&wish.address, &wish.asker, &e);
    supported(&version)?;
    let mut rights = first_rights(read, wish).await?;
    // There is one endpoint, and no entry yet by which another node's word could be preferred: what it says, also that it has
    // no quorum, is shown to the person who adds it.
    let status = read.cluster_status().await.map_err(ask)?;
    let nodes = inventory::join(&status, &read.nodes().await.map_err(ask)?);
    let cluster = status.name.as_deref();
    let cluster_key = identity::cluster_key(cluster, &nodes, seen);
    if let Some(host) = identity::known(hosts, &cluster_key, cluster, &nodes, &wish.address) {
        return Err(EngineError::ClusterKnown {
            label: host.label.to_string(),
        });
    }
    let mut warnings = node_warnings(&status, &nodes);
    let mut found = inventory::holdings(read, &nodes).await.map_err(ask)?;
    warnings.append(&mut found.warnings);
    learn_places(read, wish, &found, &mut rights).await?;
    places::check_names(wish, &found)?;
    let options = places::options(wish, &found, &rights).map_err(|m| too_narrow(wish, m))?;
    let (templates, unlisted) = inventory::templates(read, places::template_places(&options)).await;
    warnings.extend(unlisted);
    let (places, worth_knowing) = places::choose(wish, &options, &found, &templates);
    warnings.extend(worth_knowing);
    Ok(Survey {
        version,
        cluster: status.name,
        cluster_key,
        nodes,
        options,
        places,
        templates,
        warnings,
    })
}

fn supported(version: &Version) -> Result<(), EngineError> {
    let why = match Support::of(&version.version) {
        Support::Tested => return Ok(()),
        Support::TooOld => format!("older than {OLDEST}"),
        Support::Untested => format!("newer than {NEWEST}, the newest that was tested"),
        Support::Unreadable => "not a version number".to_owned(),
    };
    Err(EngineError::PveUnsupported {
        version: format!("{version} ({why})"),
    })
}

fn too_narrow(wish: &Wish, missing: Vec<String>) -> EngineError {
    EngineError::TokenTooNarrow {
        token: wish.asker.name().to_owned(),
        missing,
    }
}

/// The rights that do not depend on storages and bridges. A token without any is refused before any list is read.
async fn first_rights(read: &ReadClient, wish: &Wish) -> Result<Rights, EngineError> {
    let tree = main_rights(read, wish, None)
        .await
        .map_err(|e| refusal::question(&wish.address, &wish.asker, &e))?;
    let mut rights = Rights::new(tree);
    let missing =
        |rights: &Rights| rights.missing_at_first(wish.pool.as_ref(), wish.storage.as_ref());
    if rights.is_empty() {
        return Err(too_narrow(wish, missing(&Rights::default())));
    }
    let mut paths = vec![
        "/".to_owned(),
        rights::GUESTS_PATH.to_owned(),
        rights::NODES_PATH.to_owned(),
    ];
    paths.extend(wish.pool.as_ref().map(rights::pool_path));
    paths.extend(wish.storage.as_ref().map(rights::storage_path));
    learn(read, wish, paths, &mut rights).await?;
    if !rights.missing_for_guests(wish.pool.as_ref()).is_empty() {
        return Err(too_narrow(wish, missing(&rights)));
    }
    Ok(rights)
}

/// The rights on each storage and bridge that could be taken.
async fn learn_places(
    read: &ReadClient,
    wish: &Wish,
    found: &Holdings,
    rights: &mut Rights,
) -> Result<(), EngineError> {
    let mut paths: Vec<String> = Vec::new();
    for content in [Content::RootDir, Content::Template] {
        let storages = choice::storages(&found.storages, content);
        paths.extend(storages.iter().map(|c| rights::storage_path(&c.name)));
    }
    let bridges = choice::bridges(&found.bridges);
    paths.extend(bridges.iter().map(|c| rights::bridge_path(&c.name)));
    paths.sort_unstable();
    paths.dedup();
    learn(read, wish, paths, rights).await
}

/// Where tokens were made for single purposes, each has to hold all that the table of calls gives it.
async fn each_token(read: &ReadClient, wish: &Wish, places: &Places) -> Result<(), EngineError> {
    let Asker::Token {
        name: operate,
        observer: Some(observe),
    } = &wish.asker
    else {
        return Ok(());
    };
    let (Some(pool), Some(storage), Some(template_storage), Some(bridge)) = (
        &places.pool,
        &places.storage,
        &places.template_storage,
        &places.bridge,
    ) else {
        return Ok(());
    };
    let places = privileges::Places {
        pool: pool.clone(),
        storage: storage.clone(),
        template_storage: template_storage.clone(),
        bridge: bridge.clone(),
    };
    for (purpose, token) in [
        (TokenPurpose::Observe, observe),
        (TokenPurpose::Operate, operate),
    ] {
        let lacks = read.lacks_of(purpose, token, &places).await;
        let lacks = lacks.map_err(|e| refusal::question(&wish.address, &wish.asker, &e))?;
        if !lacks.is_empty() {
            return Err(EngineError::TokenTooNarrow {
                token: token.clone(),
                missing: lacks.iter().map(ToString::to_string).collect(),
            });
        }
    }
    Ok(())
}

/// The main token's rights. Where there is another one that looks, that one asks for them.
async fn main_rights(
    read: &ReadClient,
    wish: &Wish,
    path: Option<&str>,
) -> Result<BTreeMap<String, Privileges>, PveError> {
    match &wish.asker {
        Asker::Token {
            name,
            observer: Some(_),
        } => read.permissions_of(name, path).await,
        Asker::Token { observer: None, .. } | Asker::Person(_) => read.permissions(path).await,
    }
}

/// The rights on a path, of the token that needs them there: cluster and nodes are only looked at.
async fn rights_on(
    read: &ReadClient,
    wish: &Wish,
    path: &str,
) -> Result<BTreeMap<String, Privileges>, PveError> {
    match path {
        "/" | rights::NODES_PATH => read.permissions(Some(path)).await,
        _ => main_rights(read, wish, Some(path)).await,
    }
}

async fn learn(
    read: &ReadClient,
    wish: &Wish,
    paths: Vec<String>,
    rights: &mut Rights,
) -> Result<(), EngineError> {
    let mut answers = stream::iter(paths)
        .map(|path| async move {
            let answer = rights_on(read, wish, &path).await;
            (path, answer)
        })
        .buffered(QUESTIONS);
    while let Some((path, answer)) = answers.next().await {
        let answer = answer.map_err(|e| refusal::question(&wish.address, &wish.asker, &e))?;
        rights.learn(&path, answer);
    }
    Ok(())
}

fn node_warnings(status: &ClusterStatus, nodes: &[NodeSeen]) -> Vec<String> {
    let mut warnings = Vec::new();
    if !status.quorate {
        warnings.push(
            "the cluster has no quorum: until it has, nothing can be deployed, started or removed"
                .to_owned(),
        );
    }
    for node in nodes {
        let name = &node.name;
        if !node.online {
            warnings.push(format!(
                "node {name} is off; its storages and bridges were not seen"
            ));
        } else if node.memory_bytes.is_none() || node.cpus.is_none() {
            warnings.push(format!(
                "PVE has no figures of node {name} yet; they come within seconds after its start"
            ));
        }
    }
    warnings
}

fn first_endpoint(wish: &Wish, nodes: &[NodeSeen]) -> Endpoint {
    Endpoint {
        url: wish.address.url(),
        node: nodes.iter().find(|n| n.local).map(|n| n.name.clone()),
        trust: match &wish.judge {
            Judge::Pin(pin) => TlsTrust::Fingerprint {
                sha256: pin.to_string(),
            },
            Judge::Ca(pem) => TlsTrust::Ca { pem: pem.clone() },
            Judge::System => TlsTrust::System,
        },
    }
}

/// The other nodes' endpoints, each seen to answer with the certificate PVE told of.
async fn other_endpoints(wish: &Wish, nodes: &[NodeSeen]) -> (Vec<Endpoint>, Vec<String>) {
    let (ways, mut warnings) = identity::other_ways(nodes, &wish.address);
    let tried: Vec<_> = stream::iter(ways)
        .map(|way| async move {
            let seen = fetch_fingerprint(&way.address.url()).await;
            (way, seen)
        })
        .buffered(NODES)
        .collect()
        .await;
    let mut endpoints = Vec::new();
    for (way, seen) in tried {
        let OtherWay {
            node,
            address,
            fingerprint,
        } = way;
        let url = address.url();
        match seen {
            Ok(seen) if seen == fingerprint => {
                let trust = TlsTrust::Fingerprint { sha256: fingerprint.to_string() };
                endpoints.push(Endpoint { url, node: Some(node), trust });
            }
            Ok(seen) => warnings.push(format!(
                "{url} shows another certificate ({seen}) than node {node} has ({fingerprint}), so it is not used"
            )),
            Err(e) => warnings.push(format!(
                "node {node} cannot be reached at {url}, so it cannot stand in for another one: {e}"
            )),
        }
    }
    (endpoints, warnings)
}

async fn reach_ssh(
    wish: &Wish,
    nodes: &[NodeSeen],
    warnings: &mut Vec<String>,
) -> Result<Vec<SshSeen>, EngineError> {
    let Some(ssh) = &wish.ssh else {
        warnings.push(
            "no way into containers was asked for (--ssh), so apps that are installed inside cannot be deployed"
                .to_owned(),
        );
        return Ok(Vec::new());
    };
    let (places, left_out) = ssh::places(ssh, nodes)?;
    warnings.extend(left_out);
    let seen = ssh::scan(ssh, places).await?;
    ssh::log_in(ssh, &seen).await?;
    warnings.extend(ssh::warnings(ssh));
    Ok(seen)
}

/// Volume ids of the templates on a storage, each once.
pub(super) fn templates_on(survey: &Survey) -> Vec<String> {
    let none = BTreeMap::new();
    let storage = survey.places.template_storage.as_ref();
    let listed = storage
        .and_then(|s| survey.templates.get(s))
        .unwrap_or(&none);
    let mut volids: Vec<String> = listed.values().flatten().cloned().collect();
    volids.sort_unstable();
    volids.dedup();
    volids
}
