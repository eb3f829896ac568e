//! The proof that a token is gone: PVE does not take it any more. A list that does not show it is none, for PVE leaves out of
//! its lists what somebody may not see.

use std::sync::Arc;

use futures::future;
use proximity_pve::ReadClient;
use proximity_pve::error::Error as PveError;
use proximity_pve::transport::https::{ApiToken, EndpointConfig, HttpsTransport};

use super::obstacle;
use super::person::bad_login;
use crate::commands::hosts::address::Address;
use crate::commands::hosts::refusal;
use crate::commands::hosts::wish::Asker;
use crate::error::EngineError;

/// Asks at each endpoint with each of the tokens, all at the same time: PVE takes 3 s over each refusal.
///
/// # Errors
/// `init_unfinished` when one is taken somewhere; why none could be asked, when no endpoint refuses it.
pub(in crate::commands::hosts) async fn check_gone(
    address: &Address,
    ways: &[EndpointConfig],
    tokens: &[ApiToken],
) -> Result<(), EngineError> {
    let asked = tokens.iter().map(|token| check_one(address, ways, token));
    future::try_join_all(asked).await.map(drop)
}

async fn check_one(
    address: &Address,
    ways: &[EndpointConfig],
    token: &ApiToken,
) -> Result<(), EngineError> {
    let asked = ways.iter().map(|way| ask(way, token));
    let answers = future::try_join_all(asked).await?;
    let taken = ways.iter().zip(&answers).find(|(_, a)| a.is_ok());
    if let Some((way, _)) = taken {
        return Err(obstacle::still_taken(&token.id, &way.url));
    }
    let errors: Vec<PveError> = answers.into_iter().filter_map(Result::err).collect();
    let is_refused = |e: &PveError| matches!(e, PveError::Unauthorized { .. });
    if errors.iter().any(is_refused) {
        return Ok(());
    }
    let asker = Asker::Token {
        name: token.id.clone(),
        observer: None,
    };
    Err(match errors.first() {
        Some(error) => refusal::question(address, &asker, error),
        None => obstacle::not_shown(&token.id),
    })
}

/// PVE answers this question to every token that it takes, whatever its rights.
async fn ask(way: &EndpointConfig, token: &ApiToken) -> Result<Result<(), PveError>, EngineError> {
    let transport = HttpsTransport::new(vec![way.clone()], token.clone());
    let transport = transport.map_err(|e| bad_login(&e))?;
    let read = ReadClient::new(Arc::new(transport));
    Ok(read.permissions(None).await.map(drop))
}
