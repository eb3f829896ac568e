//! Logs of the long-running roles: on stderr, or in a file.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use proximity_engine::audit_anchor;
use tracing::dispatcher::Dispatch;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::clock::SystemClock;
use super::log_file::{LogFile, Turnover};
use super::log_line::{JsonLine, OneLine};
use super::traces::TraceLayer;
use crate::config::{Log, LogFormat};
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

/// Starts the log of a role as it is configured, in the file that the named setting gives it; the command line goes before. `traces`
/// hears of spans, whatever is logged.
///
/// # Errors
/// The filter is not understood, or the file cannot be opened.
pub(crate) fn start_role(
    log: &Log,
    (setting, file): (&str, Option<&Path>),
    verbose: u8,
    format: Option<LogFormat>,
    traces: Option<TraceLayer>,
) -> Result<(), Failed> {
    let filter = filter_of(verbose).unwrap_or(&log.filter);
    let format = format.unwrap_or(log.format);
    let Some(path) = file else {
        let ansi = crate::output::draws_bars();
        let writer = || OneLine(std::io::stderr());
        return begin(filter, format, ansi, writer, traces);
    };
    let turnover = Turnover {
        size_bytes: log.size_mib << 20,
        age_ms: i64::from(log.age_hours) * 3_600_000,
        keep: log.keep,
    };
    let clock = Arc::new(SystemClock::new());
    let file = LogFile::open(path, turnover, clock).map_err(|e| {
        Failed::config(
            "bad_config",
            format!("cannot write {setting} {}: {e}", path.display()),
            "check the path and its permissions, give each server and gateway a file of its own, or remove log.file to log on stderr",
        )
    })?;
    let writer = move || OneLine(file.clone());
    begin(filter, format, false, writer, traces)
}

/// Starts logging on stderr. Once per process.
///
/// # Errors
/// The filter is not understood.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), Failed> {
    let ansi = crate::output::draws_bars();
    let writer = || OneLine(std::io::stderr());
    begin(filter, format, ansi, writer, None)
}

/// Without its anchors nobody sees that the end of the audit was cut off, so no filter keeps them away.
fn with_anchors(filter: EnvFilter) -> EnvFilter {
    match format!("{}=info", audit_anchor::TARGET).parse() {
        Ok(anchors) => filter.add_directive(anchors),
        // Of a constant it is not; the filter is what was configured then.
        Err(_) => filter,
    }
}

fn begin<M, W>(
    filter: &str,
    format: LogFormat,
    ansi: bool,
    writer: M,
    traces: Option<TraceLayer>,
) -> Result<(), Failed>
where
    M: Fn() -> W + for<'a> MakeWriter<'a> + Send + Sync + 'static,
    W: Write,
{
    let parsed = EnvFilter::try_new(filter).map_err(|e| {
        let message = format!("log.filter {filter:?} is not understood: {e}");
        Failed::config(
            "bad_config",
            message,
            "write it like `info` or `info,proximity_engine=debug`",
        )
    })?;
    let filter = with_anchors(parsed);
    let log = match traces {
        Some(traces) => above(traces, filter, format, ansi, writer),
        None => alone(filter, format, ansi, writer),
    };
    let started = log.try_init();
    started.map_err(|e| Failed::error("logging", format!("cannot log: {e}"), "report it"))
}

/// The log, and nothing else.
fn alone<M, W>(filter: EnvFilter, format: LogFormat, ansi: bool, writer: M) -> Dispatch
where
    M: Fn() -> W + for<'a> MakeWriter<'a> + Send + Sync + 'static,
    W: Write,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match format {
        LogFormat::Text => Dispatch::new(builder.with_ansi(ansi).finish()),
        LogFormat::Json => Dispatch::new(
            builder
                .fmt_fields(JsonFields::new())
                .event_format(JsonLine(SystemClock::new()))
                .finish(),
        ),
    }
}

/// The log above what hears of spans: the filter is the log's alone.
fn above<M, W>(
    traces: TraceLayer,
    filter: EnvFilter,
    format: LogFormat,
    ansi: bool,
    writer: M,
) -> Dispatch
where
    M: Fn() -> W + for<'a> MakeWriter<'a> + Send + Sync + 'static,
    W: Write,
{
    let below = tracing_subscriber::registry().with(traces);
    let log = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => Dispatch::new(below.with(log.with_ansi(ansi).with_filter(filter))),
        LogFormat::Json => {
            let log = log
                .fmt_fields(JsonFields::new())
                .event_format(JsonLine(SystemClock::new()));
            Dispatch::new(below.with(log.with_filter(filter)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proximity_domain::audit::{Anchor, Chain, Head, Link};
    use proximity_domain::ids::InstallationId;
    use serde_json::{Map, Value};
    use tracing::dispatcher::with_default;
    use tracing::field::Empty;
    use tracing::{debug, debug_span, info, info_span, warn};
    use tracing_subscriber::Registry;
    use tracing_subscriber::filter::{Filtered, LevelFilter};
    use tracing_subscriber::layer::Identity;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Whatever else is logged, anchors are, and can be read out of the log again, in both of its formats.
    #[test]
    fn anchors_come_through_every_filter() {
        let anchor = Anchor {
            chain: Chain::Audit,
            installation: InstallationId(uuid::Uuid::from_u128(9)),
            head: Head {
                seq: 12,
                link: Link::GENESIS,
            },
        };
        for filter in ["off", "error", "proximity_audit=off", "proximity=error"] {
            for json in [false, true] {
                let kept = Kept::default();
                let writer = kept.clone();
                let filter = with_anchors(EnvFilter::try_new(filter).unwrap());
                let builder = tracing_subscriber::fmt()
                    .with_env_filter(filter)
                    .with_writer(move || OneLine(writer.clone()));
                let said = || {
                    audit_anchor::log(&anchor);
                    tracing::info!("something else");
                };
                if json {
                    let subscriber = builder
                        .fmt_fields(JsonFields::new())
                        .event_format(JsonLine(SystemClock::new()))
                        .finish();
                    tracing::subscriber::with_default(subscriber, said);
                } else {
                    let subscriber = builder.with_ansi(false).finish();
                    tracing::subscriber::with_default(subscriber, said);
                }
                let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
                let lines: Vec<&str> = text.lines().collect();
                assert_eq!(lines.len(), 1, "{text}");
                assert_eq!(Anchor::find(lines[0]), Ok(Some(anchor)), "{text}");
            }
        }
    }

    /// Hears of all there is, whatever its level.
    fn hears_all() -> TraceLayer {
        let all: Filtered<_, _, Registry> = Identity::new().with_filter(LevelFilter::TRACE);
        all.boxed()
    }

    /// A line without its moment.
    fn timeless(line: &str, format: LogFormat) -> String {
        match format {
            LogFormat::Text => line.split_once(' ').unwrap().1.to_owned(),
            LogFormat::Json => {
                let mut fields: Map<String, Value> = serde_json::from_str(line).unwrap();
                fields.remove("at").unwrap();
                Value::Object(fields).to_string()
            }
        }
    }

    /// What is logged of a call within an operation.
    fn logged(filter: &str, format: LogFormat, traces: Option<TraceLayer>) -> Vec<String> {
        let kept = Kept::default();
        let lines = kept.clone();
        let writer = move || OneLine(lines.clone());
        let filter = with_anchors(EnvFilter::try_new(filter).unwrap());
        let log = match traces {
            Some(traces) => above(traces, filter, format, false, writer),
            None => alone(filter, format, false, writer),
        };
        with_default(&log, || {
            let operation = info_span!("operation", operation = "o1");
            let call = debug_span!("pve_call", call = "GET /version", status = Empty);
            operation.in_scope(|| {
                call.in_scope(|| info!("within the call"));
                call.record("status", 200);
                call.in_scope(|| debug!("and after its answer"));
                warn!("within the operation");
            });
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| timeless(line, format)).collect()
    }

    #[test]
    fn what_hears_of_spans_below_the_log_changes_no_line_of_it() {
        for format in [LogFormat::Text, LogFormat::Json] {
            for (filter, lines) in [("off", 0), ("warn", 1), ("info", 2), ("debug", 3)] {
                let log = logged(filter, format, None);
                assert_eq!(log.len(), lines, "{filter}: {log:?}");
                let traced = logged(filter, format, Some(hears_all()));
                assert_eq!(traced, log, "{filter}");
                let shows_calls = log.iter().any(|line| line.contains("GET /version"));
                assert_eq!(shows_calls, filter == "debug", "{log:?}");
            }
        }
    }
}
