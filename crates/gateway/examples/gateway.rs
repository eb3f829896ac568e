//! The gateway as a process of its own, for tests and for trying it by hand.
//!
//! `gateway serve ROUTE_FILE SOCKET` serves until it gets SIGTERM or Ctrl-C;
//! `gateway list SOCKET` prints the routes as JSON.

use std::io::Write;
use std::process::ExitCode;

use proximity_gateway::client::GatewayClient;
use proximity_gateway::{GatewayOptions, Held};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

type AnyError = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["serve", route_file, socket] => serve(route_file, socket).await,
        ["list", socket] => list(socket).await,
        _ => Err("usage: gateway serve ROUTE_FILE SOCKET | gateway list SOCKET".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let told = writeln!(std::io::stderr(), "{error}");
            if told.is_ok() {
                ExitCode::FAILURE
            } else {
                ExitCode::from(2)
            }
        }
    }
}

async fn serve(route_file: &str, socket: &str) -> Result<(), AnyError> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.cancel();
    });
    let options = GatewayOptions::new(route_file, socket, shutdown);
    Ok(Held::take(options)?.run().await?)
}

async fn list(socket: &str) -> Result<(), AnyError> {
    let routes = GatewayClient::new(socket).list_routes().await?;
    Ok(writeln!(
        std::io::stdout(),
        "{}",
        serde_json::to_string_pretty(&routes)?
    )?)
}
