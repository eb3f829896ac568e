//! A host entry's certificates, as they go over the wire.

use proximity_api::hosts::{CertificateReport, EndpointCertificate};
use proximity_engine::commands;

/// What is shown, and the entry.
pub(crate) fn certificates(report: commands::CertificateReport) -> CertificateReport {
    CertificateReport {
        host: super::host(report.host),
        recorded: report.recorded,
        endpoints: report.endpoints.into_iter().map(endpoint).collect(),
    }
}

fn endpoint(seen: commands::EndpointCertificate) -> EndpointCertificate {
    let pinned = seen.pinned().map(|pin| pin.to_string());
    let (shown, trouble) = match seen.shown {
        Ok(shown) => (Some(shown.to_string()), None),
        Err(why) => (None, Some(why)),
    };
    EndpointCertificate {
        url: seen.endpoint.url,
        node: seen.endpoint.node.map(Into::into),
        pinned,
        shown,
        trouble,
    }
}
