//! Another certificate for a host that nothing else vouches for.

use super::*;
use proximity_store::records::TlsTrust;

use crate::commands::{CertificateReport, TrustCertificate};

/// As a host is whose only node has renewed its certificate.
async fn renewed(world: &World) -> HostRecord {
    let added = world.engine.add_host(&admin(), world.request()).await;
    let mut host = added.unwrap();
    let before = Fingerprint([7; 32]).to_string();
    host.endpoints[0].trust = TlsTrust::Fingerprint {
        sha256: before.clone(),
    };
    host.cluster_key = format!("node:pve1:{before}");
    keep(world, &host).await;
    host
}

async fn keep(world: &World, host: &HostRecord) {
    let store = world.engine.store();
    let by = admin();
    let kept = store.update_host(host.clone(), &by, Timestamp(2));
    kept.await.unwrap();
    world.engine.inner.clusters.forget(host.id).await;
}

fn of(fingerprint: &str) -> TrustCertificate {
    TrustCertificate {
        fingerprint: Some(fingerprint.to_owned()),
    }
}

async fn trusted(
    world: &World,
    request: TrustCertificate,
) -> Result<CertificateReport, EngineError> {
    world
        .engine
        .trust_certificate(&admin(), "home", request)
        .await
}

/// Refused with this code, and the entry is as before.
async fn refused(world: &World, request: TrustCertificate, code: &str) {
    let before = world.engine.named_host("home").await.unwrap();
    let error = trusted(world, request).await.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(!error.hint().is_empty(), "{error}");
    let after = world.engine.named_host("home").await.unwrap();
    assert_eq!(after.endpoints, before.endpoints);
    assert_eq!(after.cluster_key, before.cluster_key);
}

#[tokio::test]
async fn a_renewed_certificate_is_trusted_when_a_person_says_it_is_right() {
    let world = World::start().await;
    let host = renewed(&world).await;
    let shown = world.pve.fingerprint_sha256().to_owned();
    let calls = world.calls();
    assert!(world.engine.learn_host(host.id).await.is_err());

    let look = trusted(&world, TrustCertificate::default()).await.unwrap();
    assert!(!look.recorded);
    let seen = &look.endpoints[0];
    assert_eq!(seen.pinned(), Some(Fingerprint([7; 32])));
    assert_eq!(seen.shown.as_ref().unwrap().to_string(), shown);
    refused(&world, of("no fingerprint"), "invalid_value").await;
    let wrong = Fingerprint([9; 32]).to_string();
    refused(&world, of(&wrong), "fingerprint_mismatch").await;
    let old = Fingerprint([7; 32]).to_string();
    refused(&world, of(&old), "fingerprint_mismatch").await;
    assert_eq!(world.calls(), calls, "nobody was given the token");

    let report = trusted(&world, of(&shown)).await.unwrap();
    assert!(report.recorded);
    let host = world.engine.named_host("home").await.unwrap();
    let trust = TlsTrust::Fingerprint {
        sha256: shown.clone(),
    };
    assert_eq!(host.endpoints[0].trust, trust);
    assert_eq!(host.cluster_key, format!("node:pve1:{shown}"));
    assert!(world.engine.learn_host(host.id).await.is_ok());
    assert!(!trusted(&world, of(&shown)).await.unwrap().recorded);
}

#[tokio::test]
async fn behind_a_certificate_that_is_right_the_entrys_own_cluster_has_to_be() {
    let world = World::start().await;
    let mut host = renewed(&world).await;
    let shown = world.pve.fingerprint_sha256().to_owned();
    host.cluster_key = host.cluster_key.replace("pve1", "pve9");
    keep(&world, &host).await;
    refused(&world, of(&shown), "view_incomplete").await;

    host.cluster_key = host.cluster_key.replace("pve9", "pve1");
    host.token_secret = "00000000-0000-0000-0000-000000000000".to_owned().into();
    keep(&world, &host).await;
    refused(&world, of(&shown), "token_invalid").await;
}

#[tokio::test]
async fn where_nobody_answers_no_certificate_is_trusted() {
    let world = World::start().await;
    let mut host = renewed(&world).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    host.endpoints[0].url = format!("https://{}", closed.local_addr().unwrap());
    drop(closed);
    keep(&world, &host).await;
    let look = trusted(&world, TrustCertificate::default()).await.unwrap();
    assert!(look.endpoints[0].shown.is_err());
    let shown = world.pve.fingerprint_sha256().to_owned();
    refused(&world, of(&shown), "host_unreachable").await;
}
