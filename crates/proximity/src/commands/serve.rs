//! `proximity serve`: the control plane.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proximity_domain::time::Clock;
use proximity_engine::apply::Applier;
use proximity_engine::catalog::{Catalog, CatalogPlaces};
use proximity_engine::engine::{Engine, EngineLimits, EngineParts};
use proximity_engine::entries::CatalogWatch;
use proximity_engine::policy::Reverter;
use proximity_engine::probe::HttpProbe;
use proximity_engine::sources::{SourceLimits, Sources};
use proximity_engine::templates::Templates;
use proximity_engine::worker::Worker;
use proximity_engine::{housekeeping, route_sweep};
use proximity_gateway::client::GatewayClient;
use proximity_server::{EventLimits, Limits, Metrics, ServerParts, TlsFiles, router};
use proximity_store::{Alone, DatabaseError, PostgresOptions, Store, StoreError, StoreOptions};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::version::VERSION;
use crate::cli::ServeArgs;
use crate::config::Settings;
use crate::context::Context;
use crate::failed::Failed;
use crate::roles::admin_token;
use crate::roles::caddy;
use crate::roles::channels;
use crate::roles::clock::SystemClock;
use crate::roles::data_dir::{DataDir, make_parent};
use crate::roles::first_link;
use crate::roles::ids::SystemIds;
use crate::roles::ingress::GatewayIngress;
use crate::roles::looking::LookingThread;
use crate::roles::observed::ObservedConnect;
use crate::roles::traces::Traces;
use crate::roles::{logging, open_files, shipped_helper, signals, traces};
use crate::secret_input;

/// How long ports of orphans rest, milliseconds: a day.
const REST_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) async fn run(context: &Context, args: ServeArgs) -> Result<(), Failed> {
    let settings = context.settings()?;
    // Before the log is opened: a second server is told what it is, not that the file is taken.
    let held = DataDir::hold(&settings.data_dir)?;
    let (log, verbose) = (&settings.log, context.globals.verbose);
    let named = ("log.file", log.file.as_deref());
    let metrics = Metrics::new(VERSION);
    let traces = traces::begin(&settings.otlp, &metrics)?;
    let below = traces.as_ref().map(Traces::layer);
    logging::start_role(log, named, verbose, args.log_format, below)?;
    #[cfg(feature = "crash-points")]
    if let Some(place) = args.crash_at {
        proximity_engine::saga::set_crash_point(place);
    }
    #[cfg(feature = "crash-points")]
    if args.forget_creates {
        proximity_engine::saga::forget_creates();
    }
    let shutdown = signals::shutdown_token(signals::Again::Ends)?;
    // Until the store is closed, which may have a connection from there.
    let looking = LookingThread::start()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = open(&settings, clock.as_ref()).await?;
    let mut alone = alone(&store).await?;
    let token_file = settings.token_file();
    let now = clock.now();
    if admin_token::ensure(&store, &SystemIds, &token_file, args.new_admin_token, now).await? {
        tracing::info!(file = %token_file.display(), "wrote a token of the account admin");
    }
    let observed = metrics.clone();
    store.observe_commits(move |took| observed.commit(took));
    let engine = engine(
        &settings,
        store.clone(),
        Arc::clone(&clock),
        metrics.clone(),
    )?;
    if let Err(e) = engine.reload_catalog().await {
        tracing::warn!(error = %e, "the catalog has nothing of repositories until it is read again");
    }
    first_link::show(&engine, &settings.url(), context.output).await?;
    let (channels, rules) = channels::of(&settings.notify, store.installation())?;
    let parts = ServerParts {
        notices: engine.notices(channels, rules),
        engine: engine.clone(),
        clock,
        ids: Arc::new(SystemIds),
        metrics,
        events: EventLimits::default(),
        closing: shutdown.clone(),
        traces: traces.as_ref().map(Traces::of_requests),
    };
    let traced = traces.map(Traces::end);
    let work = Box::pin(work(&settings, engine, parts, shutdown.clone(), &looking));
    let ended = work_alone(work, shutdown, &mut alone).await;
    store.close().await;
    drop(looking);
    drop(held);
    tracing::info!("ended");
    // With what was said of the end, and bounded.
    if let Some(traced) = traced {
        traced.await;
    }
    ended
}

async fn open(settings: &Settings, clock: &dyn Clock) -> Result<Store, Failed> {
    make_parent(&settings.key_file())?;
    if !settings.is_on_a_file() {
        return open_postgres(settings, clock).await;
    }
    let options = StoreOptions {
        path: settings.database_file(),
        key_file: settings.key_file(),
        public: settings.ports.public.0,
        internal: settings.ports.internal.0,
        rest_ms: REST_MS,
    };
    Ok(Store::open(options, clock.now()).await?)
}

async fn open_postgres(settings: &Settings, clock: &dyn Clock) -> Result<Store, Failed> {
    let password = match &settings.database.password_file {
        Some(path) => Some(secret_input::first_line_of_file(
            path,
            "the password of the database",
        )?),
        None => None,
    };
    let options = PostgresOptions {
        url: SecretString::from(settings.database.url.clone()),
        password,
        key_file: settings.key_file(),
        public: settings.ports.public.0,
        internal: settings.ports.internal.0,
        rest_ms: REST_MS,
    };
    match Store::open_postgres(options, clock.now()).await {
        Err(StoreError::Database(DatabaseError::InUse)) => Err(in_use()),
        Err(StoreError::Database(error)) => Err(Failed::config(
            "bad_database",
            format!("the database cannot be used: {error}"),
            "check database.url and database.password_file, that the server runs, and that the user owns the database",
        )),
        other => Ok(other?),
    }
}

/// The right to be the only server of this database.
async fn alone(store: &Store) -> Result<Alone, Failed> {
    store.serve_alone().await?.ok_or_else(in_use)
}

fn in_use() -> Failed {
    Failed::config(
        "database_in_use",
        "another server works on this database",
        "stop that one, or give this one a database of its own; several servers on one database are not supported yet. \
         If none runs, its machine has lost its power or network: try again in half a minute, when the database has \
         noticed, or end its session, connected to this database: SELECT pg_terminate_backend(pid) FROM pg_locks \
         WHERE locktype = 'advisory' AND classid = 7640 AND objid = 2 \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
}

/// Works as long as this is the only server. Losing that right ends the work as a shutdown does; what is still on its way
/// is fenced off by the next server's claims.
async fn work_alone(
    mut work: impl Future<Output = Result<(), Failed>> + Unpin,
    shutdown: CancellationToken,
    alone: &mut Alone,
) -> Result<(), Failed> {
    let why = tokio::select! {
        ended = &mut work => return ended,
        why = alone.lost() => why,
    };
    tracing::error!(%why, "lost the session that keeps other servers away; ending");
    shutdown.cancel();
    work.await?;
    Err(Failed::error(
        "database_lost",
        format!("the database ended the session that keeps other servers away: {why}"),
        "look at the database server's log, then start this server again",
    ))
}

fn engine(
    settings: &Settings,
    store: Store,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
) -> Result<Engine, Failed> {
    let places = CatalogPlaces {
        folders: settings.catalog_folders.clone(),
        leave_out: settings.catalog_leave_out.clone(),
    };
    // What is wrong in it is told once it is read with what was taken of repositories.
    let catalog = Catalog::read(&places, &[]);
    let probe = HttpProbe::new().map_err(|e| {
        Failed::error(
            "internal",
            format!("cannot prepare health checks: {e}"),
            "report it",
        )
    })?;
    let gateway = GatewayClient::new(settings.control_socket());
    let ports = Arc::new(GatewayIngress::new(gateway, Arc::clone(&clock)));
    let ingress = caddy::with_names(ports, &settings.ingress, store.installation())?;
    Ok(Engine::new(EngineParts {
        store,
        ids: Arc::new(SystemIds),
        connect: Arc::new(ObservedConnect(metrics)),
        ingress,
        clock,
        probe: Arc::new(probe),
        catalog,
        helper: shipped_helper::find(),
        limits: EngineLimits {
            operations: settings.engine.operations,
            operations_per_host: settings.engine.operations_per_host,
            public_host: settings.gateway.public_host.clone(),
            gateway_address: reachable(settings.gateway.public_bind),
            protect: settings.engine.protect,
            stuck: settings.janitor.limits(),
            janitor_every: settings.janitor.every(),
            retention: settings.retention.kept(),
            tidy_every: settings.retention.every(),
            catalog_watch: settings.catalog_watch,
            templates: settings.engine.templates(),
            sources: SourceLimits {
                folder: Some(settings.data_dir.join("sources")),
                ..SourceLimits::default()
            },
            ..EngineLimits::default()
        },
    }))
}

/// An address at which this machine itself reaches what listens on `bind`.
fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        other => other,
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failed> {
    TcpListener::bind(address).await.map_err(|e| {
        Failed::config(
            "cannot_listen",
            format!("cannot listen on {address}: {e}"),
            "stop what listens there, or change api.listen",
        )
    })
}

/// Passes of the reconciler, one after the other.
async fn observe(engine: Engine, shutdown: CancellationToken) {
    engine.reconciler().run(shutdown).await;
}

/// What goes on beside the passes: the slow sweep, what records resources, and what answers hand edits as policies say.
async fn look_beside_passes(engine: Engine, shutdown: CancellationToken) {
    let reconciler = engine.reconciler();
    tokio::join!(
        reconciler.run_sweep(shutdown.clone()),
        reconciler.run_resources(shutdown.clone()),
        Reverter::new(engine.clone()).run(shutdown),
    );
}

/// What is wanted of apps: plans that are applied, and the sources that they come from; and beside that the folders of the catalog, if
/// they are to be looked at, and prepared templates.
async fn carry_out(engine: Engine, is_alone: bool, shutdown: CancellationToken) {
    let applier = Applier::new(engine.clone(), is_alone);
    let sources = Sources::new(engine.clone());
    tokio::join!(
        applier.run(shutdown.clone()),
        sources.run(shutdown.clone()),
        CatalogWatch::new(engine.clone()).run(shutdown.clone()),
        Templates::new(engine).run(shutdown),
    );
}

/// The API's certificate and key, if it has any.
fn tls_files(settings: &Settings) -> Option<TlsFiles> {
    match (&settings.api.tls_cert_file, &settings.api.tls_key_file) {
        (Some(cert_file), Some(key_file)) => Some(TlsFiles {
            cert_file: cert_file.clone(),
            key_file: key_file.clone(),
        }),
        (None, _) | (_, None) => None,
    }
}

/// API and worker side by side; when one ends, so does the other. What looks again and again does so on a thread of its own.
async fn work(
    settings: &Settings,
    engine: Engine,
    mut parts: ServerParts,
    shutdown: CancellationToken,
    looking: &LookingThread,
) -> Result<(), Failed> {
    let tls = tls_files(settings).map(|files| files.acceptor());
    let tls = tls.transpose().map_err(|e| {
        Failed::config(
            "bad_tls",
            e.to_string(),
            "check api.tls_cert_file and api.tls_key_file",
        )
    })?;
    let address = settings.api.listen;
    let listener = listen(address).await?;
    let with_tls = tls.is_some();
    tracing::info!(version = VERSION, %address, tls = with_tls, data = %settings.data_dir.display(), "serving");
    let wanted = Limits::default();
    let limits = Limits {
        connections: open_files::connections(wanted.connections, settings.engine.operations),
        ..wanted
    };
    parts.events.clients = open_files::followers(parts.events.clients, limits.connections);
    let worked_out = CancellationToken::new();
    let anchors = tokio::spawn(engine.clone().anchor_audit(worked_out.clone()));
    let sweep = looking.spawn(route_sweep::run(engine.clone(), shutdown.clone()));
    let house = tokio::spawn(housekeeping::run(engine.clone(), shutdown.clone()));
    let told = tokio::spawn(parts.notices.clone().run(shutdown.clone()));
    let hosts = tokio::spawn(engine.clone().keep_hosts_true(shutdown.clone()));
    let reconciler = looking.spawn(observe(engine.clone(), shutdown.clone()));
    let beside_passes = looking.spawn(look_beside_passes(engine.clone(), shutdown.clone()));
    let (diagnosing, ended) = (engine.clone(), shutdown.clone());
    let janitor = tokio::spawn(async move { diagnosing.janitor().run(ended).await });
    let is_alone = settings.is_on_a_file();
    let applies = tokio::spawn(carry_out(engine.clone(), is_alone, shutdown.clone()));
    let worker = Worker::new(engine, is_alone);
    let mut worker = tokio::spawn(worker.run(shutdown.clone()));
    let api = proximity_server::serve(listener, router(parts), tls, limits, shutdown.clone());
    tokio::pin!(api);
    // Whichever ends first ends the other: an API without a worker would acknowledge what nobody carries out.
    let (served, worked) = tokio::select! {
        served = &mut api => {
            shutdown.cancel();
            (served, worker.await)
        }
        worked = &mut worker => {
            shutdown.cancel();
            (api.await, worked)
        }
    };
    let swept = sweep
        .await
        .and(hosts.await)
        .and(house.await)
        .and(told.await);
    let swept = swept
        .and(reconciler.await)
        .and(beside_passes.await)
        .and(applies.await)
        .and(janitor.await);
    // The last, so that what the others wrote is anchored.
    worked_out.cancel();
    let swept = swept.and(anchors.await);
    served
        .map_err(|e| Failed::error("cannot_listen", e.to_string(), "look at the system's log"))?;
    swept.map_err(|e| Failed::error("internal", format!("the sweep ended: {e}"), "report it"))?;
    worked.map_err(|e| Failed::error("internal", format!("the worker ended: {e}"), "report it"))
}
