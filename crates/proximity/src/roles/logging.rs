//! Logs of the long-running roles, on stderr.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;
use crate::failed::Failed;

/// What `-v` and `-vv` let through; without them, nothing but what is configured.
pub(crate) fn filter_of(verbose: u8) -> Option<&'static str> {
    match verbose {
        0 => None,
        1 => Some(
            "info,proximity=debug,proximity_api=debug,proximity_engine=debug,proximity_pve=debug",
        ),
        _ => Some("debug"),
    }
}

/// Starts logging. Once per process.
///
/// # Errors
/// The filter is not understood.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), Failed> {
    let parsed = EnvFilter::try_new(filter).map_err(|e| {
        let message = format!("log.filter {filter:?} is not understood: {e}");
        Failed::config(
            "bad_config",
            message,
            "write it like `info` or `info,proximity_engine=debug`",
        )
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder
            .with_ansi(crate::output::draws_bars())
            .finish()
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(|e| Failed::error("logging", format!("cannot log: {e}"), "report it"))
}
