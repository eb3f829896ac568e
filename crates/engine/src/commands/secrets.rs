//! `/api/secrets`: values that documents name, and that nobody reads back.

use proximity_domain::names::SecretName;
use proximity_store::records::Actor;
use proximity_store::secrets::SecretRecord;
use secrecy::{ExposeSecret, SecretString};

use crate::engine::Engine;
use crate::error::EngineError;

/// Longest value, bytes.
pub const MOST_SECRET_BYTES: usize = 64 * 1024;

impl Engine {
    /// Gives a secret its value, sealed; the first one makes it. Apps that have it keep the one they have until a plan is applied.
    ///
    /// # Errors
    /// A value that is empty or too long. No error repeats it.
    pub async fn set_secret(
        &self,
        actor: &Actor,
        name: &SecretName,
        value: &SecretString,
    ) -> Result<SecretRecord, EngineError> {
        let bytes = value.expose_secret().len();
        if !(1..=MOST_SECRET_BYTES).contains(&bytes) {
            return Err(EngineError::Invalid {
                field: "value".to_owned(),
                message: format!("a secret has 1 to {MOST_SECRET_BYTES} bytes"),
            });
        }
        let (store, now) = (self.store(), self.now());
        Ok(store.set_secret(name, value, actor, now).await?)
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// There is none of this name, or what was applied last of an app names it.
    pub async fn remove_secret(&self, actor: &Actor, name: &SecretName) -> Result<(), EngineError> {
        Ok(self.store().remove_secret(name, actor, self.now()).await?)
    }
}
