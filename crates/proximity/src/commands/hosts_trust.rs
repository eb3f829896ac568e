//! `proximity hosts trust`.

use proximity_api::hosts::{CertificateReport, EndpointCertificate, TrustCertificate};

use crate::ask;
use crate::cli::HostsTrust;
use crate::context::Context;
use crate::failed::Failed;

/// Looks which certificates are shown, asks of each other one whether it is the node's, and pins it.
pub(crate) async fn run(context: &Context, args: HostsTrust) -> Result<(), Failed> {
    let client = context.client()?;
    if let Some(fingerprint) = args.fingerprint {
        let body = TrustCertificate {
            fingerprint: Some(fingerprint),
        };
        let report = client.trust_certificate(&args.host, &body).await?;
        return context.output.result(&report, done);
    }
    let seen = client
        .trust_certificate(&args.host, &TrustCertificate::default())
        .await?;
    let others = others(&seen);
    if args.dry_run || others.is_empty() {
        return context.output.result(&seen, found);
    }
    ask::need_a_person(
        "somebody has to say whether the certificate is the node's",
        "give the right one with --fingerprint, or --dry-run to look only",
    )?;
    context.output.note(&format!(
        "{}\n\nThe node itself says it with `pvenode cert info`.",
        found(&seen)
    ));
    let mut last = None;
    for fingerprint in others {
        if !ask::yes(&format!("Is {fingerprint} the node's certificate?"))? {
            continue;
        }
        let body = TrustCertificate {
            fingerprint: Some(fingerprint),
        };
        last = Some(client.trust_certificate(&args.host, &body).await?);
    }
    match last {
        Some(report) => context.output.result(&report, done),
        None => Err(Failed::cancelled("nothing was changed", "")),
    }
}

/// Certificates that are shown where another one is recorded, each once.
fn others(report: &CertificateReport) -> Vec<String> {
    let mut others: Vec<String> = report
        .endpoints
        .iter()
        .filter(|seen| seen.pinned.is_some() && seen.pinned != seen.shown)
        .filter_map(|seen| seen.shown.clone())
        .collect();
    others.sort_unstable();
    others.dedup();
    others
}

fn found(report: &CertificateReport) -> String {
    let lines = report.endpoints.iter().map(|seen| {
        let EndpointCertificate { url, pinned, .. } = seen;
        match (&seen.shown, pinned) {
            (None, _) => format!("{url}: {}", seen.trouble.as_deref().unwrap_or("-")),
            (Some(_), None) => format!("{url}: authorities are asked, no certificate is pinned"),
            (Some(shown), Some(pinned)) if shown == pinned => {
                format!("{url}: shows the recorded certificate")
            }
            (Some(shown), Some(pinned)) => {
                format!("{url}: shows {shown}\n  recorded is {pinned}")
            }
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn done(report: &CertificateReport) -> String {
    let label = &report.host.label;
    if report.recorded {
        return format!("{label}: the certificate is trusted from now on");
    }
    let is_pinned = |seen: &EndpointCertificate| seen.pinned.is_some() && seen.pinned == seen.shown;
    if report.endpoints.iter().any(is_pinned) {
        format!("{label}: that certificate is the recorded one; nothing was changed")
    } else {
        format!(
            "{label}: its certificates are judged by authorities, none is pinned; nothing was changed"
        )
    }
}
