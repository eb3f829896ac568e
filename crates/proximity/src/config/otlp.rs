//! Sending traces to a collector.

use std::collections::BTreeMap;
use std::path::PathBuf;

use confique::Config;
use serde::Serialize;

use super::check::{Wrong, wrong};
use super::notify::SecretPlace;

/// Headers, at most.
const HEADERS: usize = 20;

/// Sending traces to a collector.
#[derive(Debug, Clone, Config, Serialize)]
#[config(layer_attr(serde(deny_unknown_fields)))]
#[config(layer_attr(derive(Debug)))]
pub(crate) struct OtlpSettings {
    /// URL of a collector that takes OTLP over HTTP, e.g. `http://127.0.0.1:4318`; spans are posted to `v1/traces` below it. Without
    /// it nothing is traced.
    #[config(env = "PROXIMITY_OTLP_ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// Headers that go with the spans, and where the value of each is: `file:PATH` (its first line) or `env:NAME`.
    #[config(default = {})]
    pub(crate) headers: BTreeMap<String, SecretPlace>,
    /// The part of all traces that is sent, from 0 to 1. A trace is sent whole or not at all.
    #[config(default = 1.0, env = "PROXIMITY_OTLP_SAMPLE_RATIO")]
    pub(crate) sample_ratio: f64,
    /// Certificates of the authorities to trust instead of the system's, PEM.
    #[config(env = "PROXIMITY_OTLP_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Send to another machine over plain HTTP. Headers and spans then cross the network unprotected.
    #[config(default = false, env = "PROXIMITY_OTLP_INSECURE_HTTP")]
    pub(crate) insecure_http: bool,
}

/// The first rule that is broken. No text repeats what may be a secret.
pub(super) fn check(otlp: &OtlpSettings) -> Result<(), Wrong> {
    if let Some(endpoint) = &otlp.endpoint {
        of_endpoint(endpoint)?;
    }
    if otlp.headers.len() > HEADERS {
        let message = format!("otlp.headers has more than {HEADERS} headers");
        return Err(wrong(message, "leave out what the collector does not need"));
    }
    for (name, place) in &otlp.headers {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if name.is_empty() || name.len() > 100 || !name.bytes().all(is_plain) {
            return Err(wrong(
                format!("otlp.headers has a header named {name:?}"),
                "use letters, digits, dashes and underscores",
            ));
        }
        if place.parts().is_none() {
            return Err(wrong(
                format!("otlp.headers.{name} is written out, or named in no known way"),
                "put it on the first line of a file and write file:/PATH/OF/THE/FILE, or write env:NAME for a variable of the server's environment",
            ));
        }
    }
    if !(0.0..=1.0).contains(&otlp.sample_ratio) {
        let message = format!("otlp.sample_ratio is {}", otlp.sample_ratio);
        return Err(wrong(message, "choose 0 to 1"));
    }
    Ok(())
}

fn of_endpoint(endpoint: &str) -> Result<(), Wrong> {
    let rest = endpoint
        .strip_prefix("http://")
        .or_else(|| endpoint.strip_prefix("https://"));
    let place = rest.filter(|rest| !rest.is_empty() && !rest.contains(['?', '#']));
    let Some(place) = place else {
        return Err(wrong(
            "otlp.endpoint is no URL of http or https, or has more than a path",
            "write it like http://127.0.0.1:4318, without v1/traces",
        ));
    };
    let (server, _) = place.split_once('/').unwrap_or((place, ""));
    if server.contains('@') {
        return Err(wrong(
            "otlp.endpoint holds a user or a password",
            "take it out, and name a file with the value of the header `authorization` in otlp.headers",
        ));
    }
    Ok(())
}
