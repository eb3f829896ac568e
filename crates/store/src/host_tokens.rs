//! A host's tokens for single purposes: one column, each secret sealed in it under its own name.

use std::collections::BTreeMap;

use proximity_domain::token_purpose::TokenPurpose;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::records::{HostToken, PurposeTokens};
use crate::row::{damaged, to_json};
use crate::seal::{Place, Sealer};

/// One token as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredToken {
    id: String,
    sealed: String,
}

/// What the column holds.
pub(crate) type StoredTokens = BTreeMap<TokenPurpose, StoredToken>;

/// The column's text.
pub(crate) fn sealed_tokens(
    sealer: &Sealer,
    host: &str,
    tokens: &PurposeTokens,
) -> Result<String, StoreError> {
    let mut stored = StoredTokens::new();
    for (purpose, token) in tokens.iter() {
        let sealed = sealer.seal(place(host, purpose), token.secret.expose_secret())?;
        let id = token.id.clone();
        stored.insert(purpose, StoredToken { id, sealed });
    }
    to_json("purpose_tokens", &stored)
}

/// The tokens of a column.
pub(crate) fn unsealed_tokens(
    sealer: &Sealer,
    host: &str,
    stored: StoredTokens,
) -> Result<PurposeTokens, StoreError> {
    let mut tokens = PurposeTokens::default();
    for (purpose, StoredToken { id, sealed }) in stored {
        let secret = sealer.unseal(place(host, purpose), &sealed)?;
        let token = Some(HostToken { id, secret });
        match purpose {
            TokenPurpose::Observe => tokens.observe = token,
            TokenPurpose::Images => tokens.images = token,
            TokenPurpose::Adopted => tokens.adopted = token,
            TokenPurpose::Operate => {
                return Err(damaged(
                    "purpose_tokens",
                    "the main token is not stored there",
                ));
            }
        }
    }
    Ok(tokens)
}

/// What may be told of them: which there are.
pub(crate) fn token_ids(tokens: &PurposeTokens) -> BTreeMap<TokenPurpose, &str> {
    let all = tokens.iter();
    all.map(|(purpose, token)| (purpose, token.id.as_str()))
        .collect()
}

fn place(host: &str, purpose: TokenPurpose) -> Place<'_> {
    let column = match purpose {
        TokenPurpose::Observe => "purpose_tokens.observe",
        TokenPurpose::Operate => "purpose_tokens.operate",
        TokenPurpose::Images => "purpose_tokens.images",
        TokenPurpose::Adopted => "purpose_tokens.adopted",
    };
    Place {
        table: "hosts",
        id: host,
        column,
    }
}
