//! REST API over the engine: routes, authentication, conversion between wire and domain types.
//!
//! **Architecture invariant:** this crate writes only through the engine and reads through the store's
//! read-only view. It decides nothing about apps; it decides who may ask.

mod auth;
mod convert;
mod cookies;
mod document;
mod events;
mod extract;
mod health_cache;
mod layers;
mod listen;
mod metrics;
mod page;
mod passwords;
mod refusal;
mod router;
mod routes;
mod sign_ins;
mod stall;
mod tls;
mod traces;

pub use auth::{Scope, token_hash};
pub use document::openapi_document;
pub use events::EventLimits;
pub use listen::{Limits, ListenError, serve};
pub use metrics::{Metrics, SpanFate, metrics_markdown};
pub use passwords::Passwords;
pub use router::{ServerParts, router, router_with};
pub use tls::{TlsError, TlsFiles};
pub use traces::{RequestEnd, RequestTraces};
