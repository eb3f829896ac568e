//! Traces of the server: spans of requests, operations, passes and calls, sent to a collector by OTLP.
//!
//! What sends them is in builds with the feature `otel`. One without refuses to serve where a collector is configured: who waits
//! for traces would else wait for ever.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod sending;

use proximity_server::Metrics;
use tracing_subscriber::{Layer, Registry};

#[cfg(not(feature = "otel"))]
pub(crate) use absent::Traces;
#[cfg(feature = "otel")]
pub(crate) use collector::Traces;

use crate::config::OtlpSettings;
use crate::failed::Failed;

/// What hears of spans, below the log.
pub(crate) type TraceLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Traces as they are configured, if they are. Nothing is sent yet.
///
/// # Errors
/// This build has none, the collector's place cannot be used, or a header is not where it is said to be. No text repeats a header.
pub(crate) fn begin(settings: &OtlpSettings, metrics: &Metrics) -> Result<Option<Traces>, Failed> {
    let endpoint = wanted(settings, cfg!(feature = "otel"))?;
    let traces = endpoint.map(|endpoint| Traces::new(endpoint, settings, metrics));
    traces.transpose()
}

/// Where traces are to go.
fn wanted(settings: &OtlpSettings, is_built_in: bool) -> Result<Option<&str>, Failed> {
    match settings.endpoint.as_deref() {
        Some(_) if !is_built_in => Err(missing()),
        endpoint => Ok(endpoint),
    }
}

fn missing() -> Failed {
    Failed::config(
        "not_in_this_build",
        "otlp.endpoint is set, and this build sends no traces",
        "take a released build or build with `--features otel`, or remove otlp.endpoint (PROXIMITY_OTLP_ENDPOINT)",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(endpoint: Option<&str>) -> OtlpSettings {
        OtlpSettings {
            endpoint: endpoint.map(str::to_owned),
            headers: BTreeMap::new(),
            sample_ratio: 1.0,
            ca_file: None,
            insecure_http: false,
        }
    }

    #[test]
    fn a_build_that_sends_no_traces_says_so_where_they_are_wanted() {
        let (none, some) = (settings(None), settings(Some("http://127.0.0.1:4318")));
        for is_built_in in [true, false] {
            assert_eq!(wanted(&none, is_built_in), Ok(None));
        }
        assert_eq!(wanted(&some, true), Ok(Some("http://127.0.0.1:4318")));
        let refused = wanted(&some, false).unwrap_err();
        assert_eq!(refused.body.code, "not_in_this_build");
        assert!(refused.to_string().contains("--features otel"), "{refused}");
    }
}
