//! `/api/secrets`: values that documents name and nobody reads back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secret::Secret;

/// Body of `PUT /api/secrets/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSecret {
    /// The value; no answer ever holds it.
    #[schema(value_type = String, format = Password, write_only, min_length = 1, max_length = 65536)]
    pub value: Secret,
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretEntry {
    /// What documents call it: `{secret: NAME}`.
    pub name: String,
    /// Counts its values, from 1: a plan tells that this has changed, and never what. The same value again is no other one.
    pub version: i64,
    /// When it was given its first value.
    pub made_at: Timestamp,
    /// When it was given the value that it has.
    pub changed_at: Timestamp,
    /// By which account.
    pub changed_by: String,
}

/// Answer of `GET /api/secrets`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// All secrets.
    pub secrets: Vec<SecretEntry>,
}
