//! `proximity gateway`: listens on the apps' ports.

use proximity_api::error::ExitCode;
use proximity_gateway::{GatewayError, GatewayOptions, Held};

use crate::cli::GatewayArgs;
use crate::context::Context;
use crate::failed::Failed;
use crate::roles::data_dir::make_parent;
use crate::roles::{logging, signals};

pub(crate) async fn run(context: &Context, args: GatewayArgs) -> Result<(), Failed> {
    let settings = context.settings()?;
    let shutdown = signals::shutdown_token(signals::Again::Waits)?;
    let (route_file, control_socket) = (settings.route_file(), settings.control_socket());
    make_parent(&route_file)?;
    make_parent(&control_socket)?;
    let mut options = GatewayOptions::new(route_file, control_socket, shutdown);
    options.public_bind = settings.gateway.public_bind;
    options.internal_bind = settings.gateway.internal_bind;
    // Before the log is opened: a second gateway is told what it is, not that the file is taken.
    let held = Held::take(options).map_err(failed)?;
    let file = settings.gateway_log_file();
    let (log, verbose) = (&settings.log, context.globals.verbose);
    let named = ("gateway.log_file", file.as_deref());
    logging::start_role(log, named, verbose, args.log_format, None)?;
    held.run().await.map_err(failed)
}

fn failed(error: GatewayError) -> Failed {
    let message = error.to_string();
    match error {
        GatewayError::AlreadyRunning { .. } | GatewayError::SocketInUse { .. } => Failed::new(
            ExitCode::Busy,
            "already_running",
            message,
            "stop the other one first, or give this one files of its own (gateway.route_file, gateway.control_socket)",
        ),
        GatewayError::NotASocket { .. } | GatewayError::NewerRouteFile { .. } => {
            Failed::config("gateway_files", message, "")
        }
        GatewayError::File { .. } => Failed::config(
            "gateway_files",
            message,
            "check gateway.route_file, gateway.control_socket and their permissions",
        ),
        other => Failed::error("gateway", other.to_string(), "look at the log"),
    }
}
