//! The first token: account `admin`, all scopes, in a file that only its owner can read.

use std::path::Path;

use proximity_domain::ids::TokenId;
use proximity_domain::time::Timestamp;
use proximity_engine::seams::IdSource;
use proximity_server::token_hash;
use proximity_store::Store;
use proximity_store::records::{Actor, TokenRecord};

use super::data_dir::make_parent;
use super::private_file;
use crate::failed::Failed;

/// Account of the first token.
const ACCOUNT: &str = "admin";

/// Makes the first token if the database has none, or when `anew` is asked for.
///
/// The file is written before the hash is stored: a crash in between leaves a file with a token that is not
/// known, and the next start writes another. The other way round the token would be known and lost.
///
/// # Errors
/// No randomness, or the file or the database cannot be written.
pub(crate) async fn ensure(
    store: &Store,
    ids: &dyn IdSource,
    file: &Path,
    anew: bool,
    now: Timestamp,
) -> Result<bool, Failed> {
    if !anew && !store.tokens().await?.is_empty() {
        return Ok(false);
    }
    let secret = draw()?;
    make_parent(file)?;
    private_file::write(file, &format!("{secret}\n")).map_err(|e| {
        let message = format!("cannot write the first token to {}: {e}", file.display());
        Failed::config(
            "token_file",
            message,
            "make its directory writable for this account",
        )
    })?;
    let record = TokenRecord {
        id: TokenId(ids.uuid()),
        account: ACCOUNT.to_owned(),
        scopes: vec!["*".to_owned()],
        secret_sha256: token_hash(&secret),
        created_at: now,
    };
    let actor = Actor {
        account: "system".to_owned(),
        token: None,
        request: None,
    };
    store.add_token(record, &actor, now).await?;
    Ok(true)
}

/// 256 random bits, with a prefix by which scanners for leaked secrets find it.
fn draw() -> Result<String, Failed> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| {
        let message = format!("the system gives no random numbers: {e}");
        Failed::error("randomness", message, "check /dev/urandom")
    })?;
    Ok(format!("pxt_{}", hex::encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, two) = (draw().unwrap(), draw().unwrap());
        assert_eq!(one.len(), 4 + 64);
        assert_ne!(one, two);
    }
}
