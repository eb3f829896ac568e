//! `/api/health`: public, without secrets and without addresses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::labels::HealthStatus;

/// Answer of `GET /api/health`. The status code is 200 when healthy and 503 when degraded.
///
/// Without a token, what is wrong is not told (`failing`), and hosts are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy` or `degraded`.
    #[schema(value_type = HealthStatus)]
    pub status: String,
    /// `ok`, or what is wrong with the database.
    pub database: String,
    /// `ok`, or what is wrong with the gateway.
    pub gateway: String,
    /// Version of the program.
    pub version: String,
    /// Host entries.
    pub hosts: Vec<HostHealth>,
}

/// One host entry's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostHealth {
    /// Label.
    pub label: String,
    /// One of its endpoints answered.
    pub reachable: bool,
    /// Why not.
    pub problem: Option<String>,
}
