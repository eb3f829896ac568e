//! The tokens in a host's entry, and the entry as it is kept.

use std::collections::BTreeMap;

use proximity_domain::event::EventKind;
use proximity_domain::ids::HostId;
use proximity_domain::names::ApiTokenName;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::transport::https::ApiToken;
use proximity_store::records::{Actor, HostRecord, HostToken, PurposeTokens, TlsTrust};
use secrecy::{ExposeSecret, SecretString};

use super::approach::Ready;
use super::obstacle;
use super::same::lone_node;
use super::wanted::Wanted;
use crate::commands::hosts::address::Address;
use crate::commands::hosts::look::Found;
use crate::commands::hosts::wish::Given;
use crate::commands::hosts::{identity, record, ssh};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::view::cluster_name;

/// The tokens of an entry, each with its purpose.
pub(super) fn tokens_of(host: &HostRecord) -> BTreeMap<TokenPurpose, ApiToken> {
    let main = HostToken {
        id: host.token_id.clone(),
        secret: host.token_secret.clone(),
    };
    let others = host.purpose_tokens.iter();
    let all = others.chain([(TokenPurpose::Operate, &main)]);
    all.map(|(purpose, token)| {
        let token = ApiToken {
            id: token.id.clone(),
            secret: token.secret.clone(),
        };
        (purpose, token)
    })
    .collect()
}

/// The tokens as an entry has them.
///
/// # Errors
/// There is none that operates.
fn given(mut tokens: BTreeMap<TokenPurpose, ApiToken>) -> Result<Given, EngineError> {
    let main = tokens.remove(&TokenPurpose::Operate);
    let mut other = |purpose| {
        tokens.remove(&purpose).map(|token: ApiToken| HostToken {
            id: token.id,
            secret: token.secret,
        })
    };
    Ok(Given {
        main: main.ok_or_else(|| obstacle::not_shown("the operate token"))?,
        others: PurposeTokens {
            observe: other(TokenPurpose::Observe),
            images: other(TokenPurpose::Images),
            adopted: other(TokenPurpose::Adopted),
        },
    })
}

fn set(host: &mut HostRecord, tokens: Given) {
    host.token_id = tokens.main.id;
    host.token_secret = tokens.main.secret;
    host.purpose_tokens = tokens.others;
}

/// Whether the entry is one that init goes on with: of this cluster, and with tokens of ours.
///
/// # Errors
/// It is not.
pub(super) fn check_known(
    known: &HostRecord,
    found: &Found,
    wanted: &Wanted,
    address: &Address,
) -> Result<(), EngineError> {
    if !is_same(known, found, address) {
        return Err(obstacle::label_of_another(&known.label));
    }
    let own = wanted.tokens.iter().map(|w| w.token.as_str());
    if own.clone().all(|id| id != known.token_id) {
        return Err(obstacle::not_by_init(&known.label, &known.token_id));
    }
    if let Some(pool) = &known.pool
        && *pool != wanted.pool
    {
        return Err(obstacle::another_pool(&known.label, pool));
    }
    Ok(())
}

/// Whether the entry stands for what was found. A lone node is known by its certificate, which is renewed, so its name and place
/// count too: it may also be in a cluster by now. A cluster keeps its name while nodes come and go.
fn is_same(known: &HostRecord, found: &Found, address: &Address) -> bool {
    let survey = &found.survey;
    if known.cluster_key == survey.cluster_key {
        return true;
    }
    let is_there = |name: &str| survey.nodes.iter().any(|node| node.name.as_str() == name);
    match lone_node(&known.cluster_key) {
        Some(name) => {
            let url = address.url();
            is_there(name) && known.endpoints.iter().any(|endpoint| endpoint.url == url)
        }
        None => {
            let (name, nodes) = (survey.cluster.as_deref(), &survey.nodes);
            let hosts = std::slice::from_ref(known);
            cluster_name(&known.cluster_key) == name
                && identity::known(hosts, &survey.cluster_key, name, nodes, address).is_some()
        }
    }
}

/// Takes over the certificate that a person judged, where the entry has another one pinned.
fn repin(host: &mut HostRecord, found: &Found, address: &Address) {
    let url = address.url();
    let here = host
        .endpoints
        .iter_mut()
        .find(|endpoint| endpoint.url == url);
    if let Some(TlsTrust::Fingerprint { sha256 }) = here.map(|endpoint| &mut endpoint.trust) {
        *sha256 = found.fingerprint.to_string();
    }
    let is_lone = |key: &str| lone_node(key).is_some();
    if is_lone(&host.cluster_key) && is_lone(&found.survey.cluster_key) {
        host.cluster_key.clone_from(&found.survey.cluster_key);
    }
}

fn same(a: &BTreeMap<TokenPurpose, ApiToken>, b: &BTreeMap<TokenPurpose, ApiToken>) -> bool {
    let equal = |(x, y): (&ApiToken, &ApiToken)| {
        x.id == y.id && x.secret.expose_secret() == y.secret.expose_secret()
    };
    a.keys().eq(b.keys()) && a.values().zip(b.values()).all(equal)
}

impl Engine {
    /// Records a token that took the place of a recorded one, which is dead from then on: whatever comes after, its secret is
    /// not lost. One for a purpose that had none is recorded when the host is, once it has its rights.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn keep_secret(
        &self,
        actor: &Actor,
        id: HostId,
        purpose: TokenPurpose,
        (token, secret): (&ApiTokenName, &SecretString),
    ) -> Result<(), EngineError> {
        let mut host = self.named_host(&id.to_string()).await?;
        let mut tokens = tokens_of(&host);
        let Some(recorded) = tokens.get_mut(&purpose) else {
            return Ok(());
        };
        *recorded = ApiToken {
            id: token.to_string(),
            secret: secret.clone(),
        };
        set(&mut host, given(tokens)?);
        let (event, now) = (EventKind::HostUpdated, self.now());
        self.store()
            .change_host(host, event, "host.init", actor, now)
            .await?;
        self.inner.clusters.forget(id).await;
        Ok(())
    }

    /// Records the host with these tokens; writes nothing if it is recorded so already.
    ///
    /// # Errors
    /// The store's, and no storage, template storage or bridge.
    pub(super) async fn keep(
        &self,
        actor: &Actor,
        ready: Ready,
        tokens: BTreeMap<TokenPurpose, ApiToken>,
    ) -> Result<HostRecord, EngineError> {
        let now = self.now();
        let Ready {
            id,
            wish,
            found,
            known,
            ..
        } = ready;
        let Some(known) = known else {
            let host = record(id, wish, given(tokens)?, found, now)?;
            self.store().add_host(host.clone(), actor, now).await?;
            tracing::info!(host = %host.label, cluster = %host.cluster_key, "host set up and added");
            return Ok(host);
        };
        let mut host = known.clone();
        repin(&mut host, &found, &wish.address);
        let places = found.survey.places;
        host.storage = places.storage.unwrap_or(host.storage);
        host.template_storage = places.template_storage.unwrap_or(host.template_storage);
        host.bridge = places.bridge.unwrap_or(host.bridge);
        if let (None, Some(asked)) = (&host.ssh, &wish.ssh) {
            host.ssh = Some(ssh::access(asked, &found.ssh)?);
        }
        let is_same = same(&tokens_of(&known), &tokens)
            && known.storage == host.storage
            && known.template_storage == host.template_storage
            && known.bridge == host.bridge
            && known.endpoints == host.endpoints
            && known.cluster_key == host.cluster_key
            && known.ssh.is_some() == host.ssh.is_some();
        if is_same {
            return Ok(known);
        }
        set(&mut host, given(tokens)?);
        self.store()
            .change_host(
                host.clone(),
                EventKind::HostUpdated,
                "host.init",
                actor,
                now,
            )
            .await?;
        self.inner.clusters.forget(host.id).await;
        Ok(host)
    }
}
