//! All paths, and what they share.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use http::HeaderValue;
use proximity_domain::time::Clock;
use proximity_engine::engine::Engine;
use proximity_engine::notify::Notices;
use proximity_engine::seams::IdSource;
use proximity_store::Reader;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::events::{EventFeed, EventLimits};
use crate::extract::{LARGEST_BODY_BYTES, LARGEST_DOCUMENTS_BYTES};
use crate::health_cache::HealthCache;
use crate::metrics::Metrics;
use crate::passwords::Passwords;
use crate::sign_ins::SignIns;
use crate::traces::RequestTraces;
use crate::{auth, document, layers, page, routes};

/// What the routes stand on.
#[derive(Debug, Clone)]
pub struct ServerParts {
    /// The engine.
    pub engine: Engine,
    /// What tells people.
    pub notices: Notices,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of requests.
    pub ids: Arc<dyn IdSource>,
    /// Figures.
    pub metrics: Metrics,
    /// Bounds of the streams of events.
    pub events: EventLimits,
    /// Cancelled when the server ends: streams have no end of their own.
    pub closing: CancellationToken,
    /// Who traces requests, if anybody does.
    pub traces: Option<RequestTraces>,
}

/// The parts, and what is shared between requests.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    parts: ServerParts,
    health: Arc<HealthCache>,
    feed: Arc<EventFeed>,
    passwords: Passwords,
    sign_ins: Arc<SignIns>,
}

impl AppState {
    pub(crate) fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    pub(crate) fn notices(&self) -> &Notices {
        &self.parts.notices
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

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    pub(crate) fn traces(&self) -> Option<RequestTraces> {
        self.parts.traces
    }

    pub(crate) fn feed(&self) -> Arc<EventFeed> {
        Arc::clone(&self.feed)
    }

    /// How often it is looked whether the client of a stream is still let in.
    pub(crate) fn recheck(&self) -> Duration {
        self.parts.events.recheck
    }

    /// Cancelled when the server ends.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.parts.closing.clone()
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    pub(crate) fn sign_ins(&self) -> &SignIns {
        &self.sign_ins
    }

    /// What makes the hash of one password another one than that of the same password elsewhere.
    pub(crate) fn new_salt(&self) -> [u8; 16] {
        self.parts.ids.nonce().to_be_bytes()
    }

    pub(crate) fn new_request_id(&self) -> HeaderValue {
        let id = self.parts.ids.uuid().to_string();
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
    }
}

/// The whole API. Needs a runtime: it begins to follow the log of events.
pub fn router(parts: ServerParts) -> Router {
    router_with(parts, Passwords::default())
}

/// The same, with what hashes passwords: it counts what it does.
pub fn router_with(parts: ServerParts, passwords: Passwords) -> Router {
    let reader = parts.engine.reader();
    let (metrics, closing) = (parts.metrics.clone(), parts.closing.clone());
    metrics.follow(&parts.engine);
    let feed = EventFeed::start(reader, parts.events, metrics, closing);
    let state = AppState {
        parts,
        feed: Arc::new(feed),
        health: Arc::default(),
        passwords,
        sign_ins: Arc::default(),
    };
    let (paths, _) = protected()
        .route_layer(from_fn_with_state(state.clone(), auth::authenticate))
        .merge(public())
        .split_for_parts();
    let inner = paths
        .method_not_allowed_fallback(layers::method_not_allowed)
        .fallback(page::answer)
        .layer(DefaultBodyLimit::max(LARGEST_BODY_BYTES))
        .layer(CatchPanicLayer::custom(layers::after_panic))
        .layer(from_fn(layers::limit_time))
        .layer(from_fn_with_state(state.clone(), layers::observe))
        .with_state(state);
    // Outside of the router, because a path is changed before it is looked up.
    Router::new().fallback_service(MapRequest::new(inner, layers::without_last_slash))
}

/// What the routes declare, above what all of them share. A path and its description are one registration: the
/// ways to add a path without one are banned in clippy.toml.
pub(crate) fn declared() -> OpenApi {
    OpenApiRouter::with_openapi(document::head())
        .merge(protected())
        .merge(public())
        .into_openapi()
}

/// Paths that need no token.
fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(routes::health::show))
        .routes(routes!(routes::reference::openapi))
        .routes(routes!(routes::reference::docs))
        .routes(routes!(routes::sources::nudge))
        .routes(routes!(routes::session::sign_in))
        .routes(routes!(routes::setup::set_up))
}

/// Paths that need a token.
fn protected() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(routes::apps::list, routes::apps::create))
        .routes(routes!(routes::apps::preflight))
        .merge(adopted())
        .merge(people())
        .routes(routes!(routes::apps::show, routes::update_app::update))
        .routes(routes!(routes::update_app::preview))
        .routes(routes!(routes::apps::act))
        .routes(routes!(routes::apps::removal))
        .routes(routes!(routes::inside::run))
        .routes(routes!(routes::inside::exec))
        .routes(routes!(routes::addresses::show))
        .routes(routes!(routes::logs::list))
        .routes(routes!(routes::stats::show))
        .routes(routes!(routes::catalog::list))
        .routes(routes!(routes::catalog::show))
        .merge(entries())
        .routes(routes!(routes::events::list))
        .routes(routes!(routes::metrics::show))
        .routes(routes!(routes::operations::list))
        .routes(routes!(routes::operations::show))
        .routes(routes!(routes::operations::retry))
        .routes(routes!(routes::operations::abandon))
        .routes(routes!(routes::operations::cancel))
        .routes(routes!(routes::hosts::list, routes::hosts::add))
        .routes(routes!(routes::hosts::probe))
        .routes(routes!(routes::init::plan_init))
        .routes(routes!(routes::init::init))
        .routes(routes!(routes::init::plan_uninit))
        .routes(routes!(routes::init::uninit))
        .routes(routes!(
            routes::hosts::show,
            routes::hosts::change,
            routes::hosts::remove
        ))
        .routes(routes!(routes::hosts::forget_node))
        .routes(routes!(routes::node_loss::give_up))
        .routes(routes!(routes::hosts::set_ssh))
        .routes(routes!(routes::certificate::trust))
        .routes(routes!(routes::helper::install))
        .routes(routes!(routes::helper::remove))
        .routes(routes!(routes::nodes::list))
        .routes(routes!(routes::doctor::doctor))
        .routes(routes!(routes::ports::list))
        .routes(routes!(routes::ports::free))
        .merge(desired())
        .routes(routes!(routes::notices::list))
        .routes(routes!(routes::notices::test))
        .routes(routes!(routes::apps::resolve))
        .routes(routes!(routes::root_password::show))
        .routes(routes!(routes::identity::reidentify))
        .routes(routes!(routes::reconcile::run))
        .routes(routes!(routes::reconcile::janitor))
        .routes(routes!(routes::audit::verify))
        .routes(routes!(routes::resources::list))
        .routes(routes!(routes::resources::show))
        .routes(routes!(routes::resources::history))
        .routes(routes!(routes::resources::at))
        .routes(routes!(routes::resources::diff))
        .routes(routes!(routes::archive::list))
        .routes(routes!(routes::archive::show))
}

/// Who may sign in, and who is signed in.
fn people() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(routes::session::show, routes::session::sign_out))
        .routes(routes!(routes::session::change_password))
        .routes(routes!(routes::sessions::list))
        .routes(routes!(routes::sessions::end))
        .routes(routes!(routes::accounts::list, routes::accounts::add))
        .routes(routes!(routes::accounts::change, routes::accounts::remove))
        .routes(routes!(routes::accounts::give_link))
}

/// Where the catalog is read from.
fn entries() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(routes::catalog::reload))
        .routes(routes!(
            routes::catalog_sources::list,
            routes::catalog_sources::add
        ))
        .routes(routes!(routes::catalog_sources::remove))
        .routes(routes!(routes::catalog_sources::diff))
        .routes(routes!(routes::catalog_sources::take))
        .routes(routes!(routes::templates::list))
        .routes(routes!(routes::templates::drop))
}

/// Containers that are there, and what is told of them once they were taken over.
fn adopted() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(routes::adoption::discover))
        .routes(routes!(routes::adoption::adopt))
        .routes(routes!(routes::adoption::adopt_all))
        .routes(routes!(routes::adoption::show))
        .routes(routes!(routes::adoption::drift))
        .routes(routes!(
            routes::restore_keys::preview,
            routes::restore_keys::restore
        ))
        .routes(routes!(routes::guard::guard, routes::guard::unguard))
        .routes(routes!(
            routes::adoption::expose,
            routes::adoption::unexpose
        ))
}

/// What documents want, and carrying it out.
fn desired() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(routes::plans::make))
        .layer(DefaultBodyLimit::max(LARGEST_DOCUMENTS_BYTES))
        .routes(routes!(routes::plans::show))
        .routes(routes!(routes::rejected::reject))
        .routes(routes!(routes::rejected::list))
        .routes(routes!(routes::rejected::unreject))
        .routes(routes!(routes::export::show))
        .routes(routes!(routes::rollback::desired))
        .routes(routes!(routes::rollback::app))
        .routes(routes!(routes::rollback::all))
        .routes(routes!(routes::applies::list, routes::applies::start))
        .routes(routes!(routes::applies::show))
        .routes(routes!(routes::applies::stop))
        .routes(routes!(routes::stacks::list))
        .routes(routes!(routes::stacks::show))
        .routes(routes!(routes::stacks::act))
        .routes(routes!(routes::secrets::list))
        .routes(routes!(routes::secrets::set, routes::secrets::remove))
        .routes(routes!(routes::sources::list, routes::sources::add))
        .routes(routes!(routes::sources::show, routes::sources::remove))
        .routes(routes!(routes::sources::ask))
        .routes(routes!(routes::sources::preview))
}
