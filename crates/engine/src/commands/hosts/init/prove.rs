//! Nothing is said to be done that was not read back: accounts are looked at again, and each token is tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use proximity_domain::names::ApiTokenName;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::ReadClient;
use proximity_pve::access::Privileges;
use proximity_pve::error::Error as PveError;
use proximity_pve::transport::https::{ApiToken, EndpointConfig, HttpsTransport};

use super::approach::Ready;
use super::seen::Seen;
use super::wanted::WantedToken;
use super::{obstacle, plan};
use crate::commands::hosts::wish::{Asker, Wish};
use crate::commands::hosts::{look, refusal};
use crate::engine::Engine;
use crate::error::EngineError;

type Held = BTreeMap<String, Privileges>;

impl Engine {
    /// Looks at the accounts again, and tries each token.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(super) async fn prove(
        &self,
        ready: &Ready,
        tokens: &BTreeMap<TokenPurpose, ApiToken>,
    ) -> Result<(), EngineError> {
        let pool = Some(&ready.wanted.pool);
        let seen = Seen::look(&ready.client, ready.wanted.mark, pool)
            .await
            .map_err(|e| refusal::question(&ready.wish.address, &ready.wish.asker, &e))?;
        let names = ready.wanted.tokens.iter();
        let names = names.filter(|w| tokens.contains_key(&w.purpose));
        let names = names.map(|w| w.token.clone()).collect();
        let left = plan::plan(&ready.wanted, &seen, &names, &ready.own);
        let missing = match left {
            Ok(plan) => plan.steps.first().map(ToString::to_string),
            Err(_) => Some("somebody else changes the same accounts".to_owned()),
        };
        if let Some(missing) = missing {
            return Err(obstacle::not_shown(&missing));
        }
        for wanted in &ready.wanted.tokens {
            let token = tokens.get(&wanted.purpose);
            let token = token.ok_or_else(|| obstacle::not_shown(wanted.token.as_str()))?;
            let held = rights_of(&ready.wish, &ready.endpoint, token).await?;
            if let Some(lack) = first_lack(wanted, ready, &held) {
                return Err(obstacle::not_shown(&lack));
            }
        }
        Ok(())
    }
}

/// The first right that a token should have and has not.
fn first_lack(wanted: &WantedToken, ready: &Ready, held: &Held) -> Option<String> {
    for grant in &wanted.grants {
        let none = Privileges::default();
        let on = held.get(&grant.path).unwrap_or(&none);
        let privileges = ready.wanted.roles.get(&grant.role)?;
        if let Some(lack) = privileges.iter().find(|p| !on.contains(p)) {
            return Some(format!("{lack} on {} for {}", grant.path, wanted.token));
        }
    }
    None
}

async fn rights_of(
    wish: &Wish,
    endpoint: &EndpointConfig,
    token: &ApiToken,
) -> Result<Held, EngineError> {
    let asker = Asker::Token {
        name: token.id.clone(),
        observer: None,
    };
    ask(wish, endpoint, token)
        .await?
        .map_err(|e| refusal::question(&wish.address, &asker, &e))
}

async fn ask(
    wish: &Wish,
    endpoint: &EndpointConfig,
    token: &ApiToken,
) -> Result<Result<Held, PveError>, EngineError> {
    let transport = HttpsTransport::new(vec![endpoint.clone()], token.clone());
    let Some(transport) = look::usable(wish, transport)? else {
        return Err(obstacle::not_shown(&token.id));
    };
    let read = ReadClient::new(Arc::new(transport));
    Ok(read.permissions(None).await)
}

/// Those of the tokens that PVE takes: one may have been deleted, or made anew by somebody.
///
/// # Errors
/// PVE could not be asked.
pub(super) async fn accepted(
    wish: &Wish,
    endpoint: &EndpointConfig,
    tokens: impl Iterator<Item = ApiToken>,
) -> Result<BTreeMap<ApiTokenName, ApiToken>, EngineError> {
    let mut good = BTreeMap::new();
    for token in tokens {
        let Ok(name) = token.id.parse() else { continue };
        match ask(wish, endpoint, &token).await? {
            Ok(_) => drop(good.insert(name, token)),
            Err(PveError::Unauthorized { .. }) => {}
            Err(e) => {
                let asker = Asker::Token {
                    name: token.id.clone(),
                    observer: None,
                };
                return Err(refusal::question(&wish.address, &asker, &e));
            }
        }
    }
    Ok(good)
}
