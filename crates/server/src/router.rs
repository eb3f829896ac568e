//! All paths, and what they share.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use http::HeaderValue;
use proximity_domain::time::Clock;
use proximity_engine::engine::Engine;
use proximity_engine::seams::IdSource;
use proximity_store::Reader;
use tower_http::catch_panic::CatchPanicLayer;

use crate::extract::LARGEST_BODY_BYTES;
use crate::health_cache::HealthCache;
use crate::{auth, layers, routes};

/// What the routes stand on.
#[derive(Debug, Clone)]
pub struct ServerParts {
    /// The engine.
    pub engine: Engine,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of requests.
    pub ids: Arc<dyn IdSource>,
}

/// The parts, and what is shared between requests.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    parts: ServerParts,
    health: Arc<HealthCache>,
}

impl AppState {
    pub(crate) fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    pub(crate) fn reader(&self) -> Reader {
        self.parts.engine.reader()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    pub(crate) fn health(&self) -> &HealthCache {
        &self.health
    }

    pub(crate) fn new_request_id(&self) -> HeaderValue {
        let id = self.parts.ids.uuid().to_string();
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
    }
}

/// The whole API.
pub fn router(parts: ServerParts) -> Router {
    let state = AppState {
        parts,
        health: Arc::default(),
    };
    Router::new()
        .merge(protected().route_layer(from_fn_with_state(state.clone(), auth::authenticate)))
        .route("/api/health", get(routes::health::show))
        .method_not_allowed_fallback(layers::method_not_allowed)
        .fallback(layers::no_such_path)
        .layer(DefaultBodyLimit::max(LARGEST_BODY_BYTES))
        .layer(CatchPanicLayer::custom(layers::after_panic))
        .layer(from_fn(layers::limit_time))
        .layer(from_fn_with_state(state.clone(), layers::observe))
        .with_state(state)
}

fn protected() -> Router<AppState> {
    let apps = get(routes::apps::list).post(routes::apps::create);
    Router::new()
        .route("/api/apps", apps.clone())
        .route("/api/apps/", apps)
        .route("/api/apps/{app}", get(routes::apps::show))
        .route("/api/apps/{app}/action", post(routes::apps::act))
        .route("/api/apps/{app}/removal", get(routes::apps::removal))
        .route("/api/apps/{app}/logs", get(routes::logs::list))
        .route("/api/catalog", get(routes::catalog::list))
        .route("/api/catalog/", get(routes::catalog::list))
        .route("/api/catalog/{entry}", get(routes::catalog::show))
        .route("/api/operations", get(routes::operations::list))
        .route("/api/operations/{id}", get(routes::operations::show))
        .route(
            "/api/operations/{id}/retry",
            post(routes::operations::retry),
        )
        .route(
            "/api/operations/{id}/abandon",
            post(routes::operations::abandon),
        )
        .route(
            "/api/operations/{id}/cancel",
            post(routes::operations::cancel),
        )
        .route(
            "/api/proxmox/hosts",
            get(routes::hosts::list).post(routes::hosts::add),
        )
        .route("/api/proxmox/hosts/probe", post(routes::hosts::probe))
        .route(
            "/api/proxmox/hosts/{host}",
            get(routes::hosts::show).delete(routes::hosts::remove),
        )
}
