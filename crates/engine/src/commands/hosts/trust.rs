//! Another certificate for a host entry: it was renewed, and nothing that is trusted still says so.
//!
//! Where another endpoint answers, a renewed certificate is learned by itself. Where none does, a person has to say that the
//! one that is shown is the node's.

use futures::{StreamExt, stream};
use proximity_domain::event::EventKind;
use proximity_pve::client::ReadClient;
use proximity_pve::error::Error as PveError;
use proximity_pve::transport::https::Fingerprint;
use proximity_store::records::{Actor, Endpoint, HostRecord, TlsTrust};

use super::address::Address;
use super::init::check_word;
use super::refusal;
use super::wish::invalid;
use crate::engine::Engine;
use crate::error::EngineError;

/// Endpoints looked at at the same time.
const AT_A_TIME: usize = 8;

/// A request to pin another certificate (or to look at those that are shown).
#[derive(Debug, Clone, Default)]
pub struct TrustCertificate {
    /// SHA-256 of the certificate that is right, hex with or without colons. Absent: look only.
    pub fingerprint: Option<String>,
}

/// One endpoint, and which certificate it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointCertificate {
    /// It, as recorded.
    pub endpoint: Endpoint,
    /// SHA-256 of what it shows, or why nothing was seen.
    pub shown: Result<Fingerprint, String>,
}

/// The certificates of a host entry.
#[derive(Debug, Clone)]
pub struct CertificateReport {
    /// The entry as it is then.
    pub host: HostRecord,
    /// Whether it was changed.
    pub recorded: bool,
    /// Its endpoints, as they were before.
    pub endpoints: Vec<EndpointCertificate>,
}

impl EndpointCertificate {
    /// Its recorded fingerprint, if it is known by one.
    #[must_use]
    pub fn pinned(&self) -> Option<Fingerprint> {
        match &self.endpoint.trust {
            TlsTrust::Fingerprint { sha256 } => sha256.parse().ok(),
            TlsTrust::Ca { .. } | TlsTrust::System => None,
        }
    }
}

impl Engine {
    /// Looks which certificates the endpoints of a host entry show. With a fingerprint, that one is pinned for the endpoints that
    /// show it, once the entry's own cluster was seen behind it: it takes our token and says that it is that cluster.
    ///
    /// # Errors
    /// No such host; no endpoint shows that certificate; what answers behind it is another cluster, has no quorum, or does not
    /// take our token. Nothing is changed then.
    pub async fn trust_certificate(
        &self,
        actor: &Actor,
        host: &str,
        request: TrustCertificate,
    ) -> Result<CertificateReport, EngineError> {
        let record = self.named_host(host).await?;
        let wanted = request.fingerprint.map(|text| text.parse::<Fingerprint>());
        let wanted = wanted.transpose();
        let wanted = wanted.map_err(|e| invalid("fingerprint", e.to_string()))?;
        let endpoints = self.certificates(&record).await;
        let report = |host, recorded| CertificateReport {
            host,
            recorded,
            endpoints: endpoints.clone(),
        };
        let Some(wanted) = wanted else {
            return Ok(report(record, false));
        };
        let shows = |seen: &&EndpointCertificate| seen.shown == Ok(wanted);
        let showing: Vec<&EndpointCertificate> = endpoints.iter().filter(shows).collect();
        if showing.is_empty() {
            return Err(shown_nowhere(&record, wanted, &endpoints));
        }
        let renewed = |seen: &&EndpointCertificate| seen.pinned().is_some_and(|pin| pin != wanted);
        let urls: Vec<String> = showing
            .into_iter()
            .filter(renewed)
            .map(|seen| seen.endpoint.url.clone())
            .collect();
        if urls.is_empty() {
            return Ok(report(record, false));
        }
        for url in &urls {
            self.see_own_cluster(&record, url, wanted).await?;
        }
        let stored = self.pin(actor, &record, &urls, wanted).await?;
        Ok(report(stored, true))
    }

    async fn certificates(&self, record: &HostRecord) -> Vec<EndpointCertificate> {
        let connect = &self.inner.parts.connect;
        let looks = stream::iter(record.endpoints.iter().cloned()).map(async |endpoint| {
            let shown = connect.fingerprint(&endpoint.url).await;
            EndpointCertificate { endpoint, shown }
        });
        looks.buffered(AT_A_TIME).collect().await
    }

    /// Asks through this endpoint alone, trusting this certificate.
    async fn see_own_cluster(
        &self,
        record: &HostRecord,
        url: &str,
        wanted: Fingerprint,
    ) -> Result<(), EngineError> {
        let mut through = record.clone();
        through.endpoints.retain(|endpoint| endpoint.url == url);
        repin(&mut through, &[url.to_owned()], wanted);
        let label = record.label.as_str();
        let unusable = |why: &str| super::init::host_unusable(&record.label, why);
        let connection = self.inner.parts.connect.connect(&through);
        let connection = connection.map_err(|why| unusable(&why))?;
        let status = ReadClient::new(connection.transport).cluster_status().await;
        let status = status.map_err(|error| match error {
            PveError::Unauthorized { .. } => unknown_token(record, url),
            other => crate::commands::upstream(label, &other),
        })?;
        check_word(record, &status)
    }

    async fn pin(
        &self,
        actor: &Actor,
        seen: &HostRecord,
        urls: &[String],
        wanted: Fingerprint,
    ) -> Result<HostRecord, EngineError> {
        let _one_at_a_time = self.inner.host_changes.lock().await;
        let mut record = self.named_host(&seen.id.to_string()).await?;
        repin(&mut record, urls, wanted);
        let (event, now) = (EventKind::HostUpdated, self.now());
        self.store()
            .change_host(record.clone(), event, "host.certificate", actor, now)
            .await?;
        self.inner.clusters.forget(record.id).await;
        tracing::info!(host = %record.label, fingerprint = %wanted, "another certificate is trusted");
        Ok(record)
    }
}

/// A node that stands alone is known by its certificate too.
fn repin(record: &mut HostRecord, urls: &[String], wanted: Fingerprint) {
    let is_meant = |endpoint: &&mut Endpoint| urls.contains(&endpoint.url);
    for endpoint in record.endpoints.iter_mut().filter(is_meant) {
        if let TlsTrust::Fingerprint { sha256 } = &mut endpoint.trust {
            if let Some(before) = record.cluster_key.strip_suffix(sha256.as_str()) {
                record.cluster_key = format!("{before}{wanted}");
            }
            *sha256 = wanted.to_string();
        }
    }
}

fn shown_nowhere(
    record: &HostRecord,
    wanted: Fingerprint,
    endpoints: &[EndpointCertificate],
) -> EngineError {
    let seen = endpoints.iter().find_map(|seen| {
        let address = Address::from_url(&seen.endpoint.url).ok()?;
        Some((address, *seen.shown.as_ref().ok()?))
    });
    match seen {
        Some((address, shown)) => refusal::fingerprint_mismatch(&address, wanted, shown),
        None => EngineError::Upstream {
            code: "host_unreachable",
            message: format!("no endpoint of host {} shows a certificate", record.label),
            hint: format!(
                "see what is in the way with: proximity doctor --host {}",
                record.label
            ),
        },
    }
}

fn unknown_token(record: &HostRecord, url: &str) -> EngineError {
    EngineError::Upstream {
        code: "token_invalid",
        message: format!(
            "{url} shows that certificate, but does not take a token of ours: its accounts are not those of host {}; nothing was \
             changed",
            record.label
        ),
        hint: format!(
            "if the node was set up anew, its containers are gone too: give it a label of its own with proximity init; else make \
             the token anew with: proximity init {} {url}",
            record.label
        ),
    }
}
