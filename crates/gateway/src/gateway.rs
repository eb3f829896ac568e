//! The role: start, serve, end.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::control::ControlServer;
use crate::error::GatewayError;
use crate::held::Held;
use crate::ingress::Ingress;
use crate::options::{GatewayOptions, Limits};
use crate::protocol::{Hello, VERSION};
use crate::table::DefaultBinds;

/// Open files the gateway needs beside its connections.
const OTHER_FILES: u64 = 256;

/// A gateway that has read its routes and opened its listeners and its control socket.
#[derive(Debug)]
pub struct Gateway {
    core: Arc<Core>,
    control: ControlServer,
    shutdown: CancellationToken,
}

/// What the control connections act on.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) ingress: Ingress,
    pub(crate) limits: Limits,
    route_file: PathBuf,
    started_at_unix_ms: u64,
}

impl Gateway {
    /// Takes the route file and the control socket ([`Held::take`]), reads the routes, opens the
    /// listeners (those it can; the others are tried again in the background) and then the socket.
    ///
    /// # Errors
    /// [`GatewayError`]: another gateway has the route file, the file is of a newer version, or a
    /// path cannot be used.
    pub async fn start(options: GatewayOptions) -> Result<Self, GatewayError> {
        Self::of(Held::take(options)?).await
    }

    /// The rest of [`Gateway::start`].
    pub(crate) async fn of(held: Held) -> Result<Self, GatewayError> {
        let Held {
            options,
            file,
            socket,
        } = held;
        let table = file.load()?;
        let limits = within_open_files(options.limits);
        let binds = DefaultBinds {
            public: options.public_bind,
            internal: options.internal_bind,
        };
        let ingress = Ingress::start(file, table, binds, limits).await;
        let core = Arc::new(Core {
            ingress,
            limits,
            route_file: options.route_file,
            started_at_unix_ms: clock::unix_ms(),
        });
        let control = ControlServer::open(socket, Arc::clone(&core))?;
        let routes = core.ingress.route_count().await;
        tracing::info!(routes, socket = %options.control_socket.display(), "the gateway serves");
        Ok(Self {
            core,
            control,
            shutdown: options.shutdown,
        })
    }

    /// Serves until the shutdown token is cancelled, then closes the control socket and all
    /// listeners and waits for the open connections, at most the drain time.
    pub async fn serve(self) {
        self.control.serve(&self.shutdown).await;
        self.core.ingress.close().await;
        tracing::info!("the gateway has ended");
    }
}

impl Core {
    pub(crate) async fn hello(&self) -> Hello {
        let (open_connections, max_connections) = self.ingress.connections();
        Hello {
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            oldest_protocol: VERSION,
            newest_protocol: VERSION,
            pid: std::process::id(),
            started_at_unix_ms: self.started_at_unix_ms,
            route_file: self.route_file.clone(),
            damaged_route_files: self.ingress.damaged_files(),
            routes: self.ingress.route_count().await,
            open_connections,
            max_connections,
        }
    }
}

/// Open files that `connections` connections need: one to the client, one to the guest.
fn files_for(connections: usize) -> u64 {
    (connections as u64)
        .saturating_mul(2)
        .saturating_add(OTHER_FILES)
}

pub(crate) fn raise_open_files(limits: Limits) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = files_for(limits.connections);
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_none_or(|current| current >= raised) {
        return;
    }
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(raised),
            maximum,
        },
    ) {
        tracing::warn!(%error, raised, "cannot raise the limit of open files");
    }
}

/// The limits, with no more connections than the process may have files for.
fn within_open_files(limits: Limits) -> Limits {
    let Some(files) = getrlimit(Resource::Nofile).current else {
        return limits;
    };
    if files >= files_for(limits.connections) {
        return limits;
    }
    // Beside few files, half of them stay for connections rather than none.
    let for_connections = files.saturating_sub(OTHER_FILES).max(files / 2);
    let connections = usize::try_from(for_connections / 2)
        .unwrap_or(limits.connections)
        .max(1);
    let wanted = limits.connections;
    tracing::warn!(
        files,
        wanted,
        connections,
        "the limit of open files lowers the connection limit"
    );
    Limits {
        connections,
        ..limits
    }
}
