//! API tokens: only hashes of their secrets are kept.

use proximity_domain::time::Timestamp;
use serde_json::json;

use crate::error::StoreError;
use crate::journal::{Act, add_audit};
use crate::records::{Actor, TokenRecord};
use crate::row::{Columns, damaged, each, to_json};
use crate::sql::{Row, query};
use crate::store::{Reader, Store};

impl Store {
    /// Records a token.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for a secret or id that is there already.
    pub async fn add_token(
        &self,
        token: TokenRecord,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(model) = self.model() {
            return model.write(|state| state.add_token(token, actor, now));
        }
        self.write(async |tx| {
            let id = token.id.to_string();
            let added = query(
                "INSERT INTO tokens (id, account, scopes, secret_sha256, created_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(&id)
            .bind(&token.account)
            .bind(to_json("scopes", &token.scopes)?)
            .bind(hex::encode(token.secret_sha256))
            .bind(token.created_at.0)
            .execute(&mut *tx)
            .await?;
            if added.rows_affected() == 0 {
                return Err(StoreError::Exists { what: "token", id });
            }
            let details = json!({"account": token.account, "scopes": token.scopes});
            add_audit(tx, actor, Act::request("token.add", &id, details), now).await
        })
        .await
    }
}

impl Reader {
    /// The token whose secret has this SHA-256.
    ///
    /// # Errors
    /// The database's.
    pub async fn token_by_hash(
        &self,
        sha256: &[u8; 32],
    ) -> Result<Option<TokenRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.token_by_hash(sha256)));
        }
        let row = query("SELECT * FROM tokens WHERE secret_sha256 = $1")
            .bind(hex::encode(sha256))
            .fetch_optional(self.named("token_by_hash"))
            .await?;
        row.as_ref().map(token).transpose()
    }

    /// All tokens, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        if let Some(model) = self.model() {
            return Ok(model.read(|state| state.all_tokens()));
        }
        let rows = query("SELECT * FROM tokens ORDER BY created_at, id")
            .fetch_all(self.named("tokens"))
            .await?;
        each(&rows, token)
    }
}

fn token(row: &Row) -> Result<TokenRecord, StoreError> {
    let mut secret_sha256 = [0; 32];
    hex::decode_to_slice(row.text("secret_sha256")?, &mut secret_sha256)
        .map_err(|e| damaged("secret_sha256", e.to_string()))?;
    Ok(TokenRecord {
        id: row.parsed("id")?,
        account: row.text("account")?,
        scopes: row.json("scopes")?,
        secret_sha256,
        created_at: row.moment("created_at")?,
    })
}
