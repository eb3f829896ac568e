//! Doctor, over HTTPS and SSH: what it says of a host that was set up, of one in which something was changed, and that what
//! it tells to do mends it.

use std::collections::BTreeSet;

use proximity_pve::transport::Method;
use proximity_pve_emulator::core::Reach;

use super::inits::{access, call, done, guest, init};
use super::*;
use crate::commands::{Code, Finding, Level};

mod people;
mod repairs;
mod rights;

/// A host that was set up, and clocks that agree.
async fn set_up() -> World {
    let world = World::start().await;
    world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap();
    same_time(&world).await;
    world
}

/// Sets our clock by the node's.
async fn same_time(world: &World) {
    let answer = call(world, Method::Get, "/nodes/pve1/time", &[]).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let seconds = body["data"]["time"].as_i64().unwrap();
    world.clock.0.store(seconds * 1000 + 500, Ordering::Relaxed);
}

/// What is found when the clocks agree.
async fn doctor(world: &World) -> Vec<Finding> {
    same_time(world).await;
    looked(world).await
}

async fn looked(world: &World) -> Vec<Finding> {
    world.engine.doctor(None).await.unwrap()
}

/// Codes of all that is worse than a note.
fn bad(findings: &[Finding]) -> Vec<Code> {
    let bad = findings.iter().filter(|f| f.level() > Level::Note);
    bad.map(|f| f.code).collect()
}

/// The finding of this code, which has a text, and a next step if it is worse than a note and was looked at.
fn one(findings: &[Finding], code: Code) -> &Finding {
    let found: Vec<&Finding> = findings.iter().filter(|f| f.code == code).collect();
    assert_eq!(found.len(), 1, "{code}: {findings:#?}");
    assert!(!found[0].what.is_empty());
    let needs_next = matches!(found[0].level(), Level::Warning | Level::Fault);
    assert!(!needs_next || !found[0].next.is_empty(), "{found:?}");
    found[0]
}

#[tokio::test]
async fn a_host_that_was_set_up_is_well() {
    let world = set_up().await;
    let before = access(&world).await;
    let findings = doctor(&world).await;
    assert_eq!(bad(&findings), [], "{findings:#?}");
    let codes: BTreeSet<Code> = findings.iter().map(|f| f.code).collect();
    for code in [
        Code::GatewayAnswers,
        Code::RecordSound,
        Code::AuditWhole,
        Code::EndpointAnswers,
        Code::CertificateGood,
        Code::Quorum,
        Code::NodeOnline,
        Code::VersionSupported,
        Code::ClockClose,
        Code::TokenExact,
        Code::StorageUsable,
        Code::BridgeThere,
        Code::PoolOurs,
        Code::NoGuestAccess,
    ] {
        assert!(codes.contains(&code), "{code}: {findings:#?}");
    }
    let exact = findings.iter().filter(|f| f.code == Code::TokenExact);
    assert_eq!(exact.count(), 2, "observe and operate");
    assert_eq!(access(&world).await, before, "a look changes nothing");
    let of_one = world.engine.doctor(Some("home")).await.unwrap();
    assert!(of_one.iter().all(|f| f.host.as_deref() == Some("home")));
    let unknown = world.engine.doctor(Some("barn")).await.unwrap_err();
    assert_eq!(unknown.code(), "host_not_found");
}

#[tokio::test]
async fn secrets_are_in_no_finding() {
    let world = set_up().await;
    let host = world.engine.named_host("home").await.unwrap();
    let told = format!("{:?}", doctor(&world).await);
    let secret = secrecy::ExposeSecret::expose_secret(&host.token_secret).to_owned();
    assert!(secret.len() > 20 && !told.contains(&secret));
}

#[tokio::test]
async fn clocks_that_do_not_agree_are_told_by_how_much() {
    let world = set_up().await;
    world.clock.0.fetch_add(20_000, Ordering::Relaxed);
    let findings = looked(&world).await;
    let off = one(&findings, Code::ClockOff);
    assert!(off.what.contains("behind"), "{}", off.what);
    assert_eq!(bad(&findings), [Code::ClockOff]);
    world.clock.0.fetch_add(80_000, Ordering::Relaxed);
    assert_eq!(bad(&looked(&world).await), [Code::ClockWrong]);
}

#[tokio::test]
async fn a_certificate_is_judged_by_its_age() {
    let world = set_up().await;
    let day_ms = 86_400_000;
    let days = one(&looked(&world).await, Code::CertificateGood)
        .what
        .clone();
    let days: i64 = days
        .rsplit_once(" days")
        .unwrap()
        .0
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    for (passed, code) in [
        (days - 20, Code::CertificateEndsSoon),
        (days + 2, Code::CertificateEnded),
    ] {
        let ahead = passed * day_ms;
        world.clock.0.fetch_add(ahead, Ordering::Relaxed);
        one(&looked(&world).await, code);
        world.clock.0.fetch_sub(ahead, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn another_certificate_is_a_fault_with_both_fingerprints_and_the_way_out() {
    let world = set_up().await;
    let mut host = world.engine.named_host("home").await.unwrap();
    let recorded = Fingerprint([7; 32]).to_string();
    host.endpoints[0].trust = proximity_store::records::TlsTrust::Fingerprint {
        sha256: recorded.clone(),
    };
    let store = world.engine.store();
    store
        .update_host(host.clone(), &admin(), Timestamp(2))
        .await
        .unwrap();
    world.engine.inner.clusters.forget(host.id).await;
    let findings = doctor(&world).await;
    let other = one(&findings, Code::CertificateOther);
    let shown = world.pve.fingerprint_sha256();
    assert!(
        other.what.contains(shown) && other.what.contains(&recorded),
        "{other:?}"
    );
    let next = other.next.join("\n");
    assert!(next.contains(&format!("--fingerprint {shown}")), "{next}");
    one(&findings, Code::HostUnreachable);
    one(&findings, Code::ClusterUnread);
    assert!(findings.iter().any(|f| f.code == Code::TokenUnread));
    assert!(
        !findings
            .iter()
            .any(|f| f.code == Code::TokenExact || f.code == Code::PoolOurs)
    );
}

/// Three nodes in a cluster.
async fn three() -> World {
    let seed = WorldSeed {
        cluster_name: Some("lab".to_owned()),
        nodes: ["pve1", "pve2", "pve3"].map(node_seed).to_vec(),
        ..seed()
    };
    let world = World::of(seed, None).await;
    let mut host = world
        .engine
        .init_host(&admin(), &init(&world))
        .await
        .unwrap()
        .host;
    // All nodes are on this machine, at ports that the cluster does not know.
    host.endpoints = world
        .pve
        .addresses()
        .iter()
        .map(|(node, at)| proximity_store::records::Endpoint {
            url: format!("https://{at}"),
            node: Some(node.parse().unwrap()),
            trust: host.endpoints[0].trust.clone(),
        })
        .collect();
    let store = world.engine.store();
    store
        .update_host(host.clone(), &admin(), Timestamp(2))
        .await
        .unwrap();
    world.engine.inner.clusters.forget(host.id).await;
    same_time(&world).await;
    world
}

#[tokio::test]
async fn a_node_that_is_off_is_told_and_what_is_on_it_is_unknown() {
    let world = three().await;
    assert_eq!(bad(&doctor(&world).await), []);
    let cut = |world: &mut proximity_pve_emulator::core::World| {
        world.cut_power("pve3", Reach::NoRoute, 0)
    };
    world.pve.change(cut).await.unwrap();
    let findings = doctor(&world).await;
    assert!(
        one(&findings, Code::EndpointSilent)
            .subject
            .contains("https://")
    );
    assert_eq!(one(&findings, Code::NodeOffline).subject, "node pve3");
    for code in [
        Code::VersionUnread,
        Code::ClockUnread,
        Code::StorageUnread,
        Code::BridgeUnread,
    ] {
        assert_eq!(one(&findings, code).subject, "node pve3");
    }
    assert!(
        findings.iter().all(|f| f.level() != Level::Fault),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn a_cluster_without_quorum_is_a_fault() {
    let world = three().await;
    let cut = |world: &mut proximity_pve_emulator::core::World| {
        world.cut_power("pve2", Reach::NoRoute, 0);
        world.cut_power("pve3", Reach::NoRoute, 0);
    };
    world.pve.change(cut).await.unwrap();
    let findings = doctor(&world).await;
    one(&findings, Code::NoQuorum);
    assert!(!findings.iter().any(|f| f.code == Code::Quorum));
}

#[tokio::test]
async fn a_storage_that_does_not_take_what_it_is_for_is_told_with_the_command() {
    let world = set_up().await;
    done(
        &world,
        Method::Put,
        "/storage/local",
        &[("content", "vztmpl,backup")],
    )
    .await;
    let findings = doctor(&world).await;
    assert_eq!(bad(&findings), [Code::StorageUnusable], "{findings:#?}");
    let next = &one(&findings, Code::StorageUnusable).next;
    assert_eq!(next, &["pvesm set local --content vztmpl,backup,rootdir"]);
    repairs::follow(&world, &findings, &[Code::StorageUnusable]).await;
    assert_eq!(bad(&doctor(&world).await), []);
    done(&world, Method::Put, "/storage/local", &[("disable", "1")]).await;
    let findings = doctor(&world).await;
    let off = findings.iter().filter(|f| f.code == Code::StorageUnusable);
    assert_eq!(
        off.count(),
        2,
        "for containers and for templates: {findings:#?}"
    );
}

#[tokio::test]
async fn a_stranger_in_the_pool_is_told_and_an_adopted_guest_is_a_fault() {
    let world = set_up().await;
    let seen = |world: &mut proximity_pve_emulator::core::World| {
        world.stranger_takes(105, "pve1", 1_000).unwrap()
    };
    world.pve.change(seen).await.unwrap();
    let into = [("poolid", "proximity"), ("vms", "105")];
    done(&world, Method::Put, "/pools", &into).await;
    let findings = doctor(&world).await;
    assert_eq!(bad(&findings), [Code::PoolStranger], "{findings:#?}");
    let next = &one(&findings, Code::PoolStranger).next[0];
    assert!(
        next.ends_with("pveum pool modify proximity --vms 105 --delete 1"),
        "{next}"
    );

    repairs::follow(&world, &findings, &[Code::PoolStranger]).await;
    let request = InitHost {
        adopted: vec![105],
        ..init(&world)
    };
    world.engine.init_host(&admin(), &request).await.unwrap();
    assert_eq!(
        bad(&doctor(&world).await),
        [],
        "beside the pool it is as it should be"
    );
    done(&world, Method::Put, "/pools", &into).await;
    assert_eq!(bad(&doctor(&world).await), [Code::PoolAdopted]);
}

#[tokio::test]
async fn root_on_the_nodes_is_warned_of_and_a_key_that_is_not_taken_is_a_fault() {
    let world = World::start().await;
    let node = node(world.folder.path(), NO_SUCH_CONTAINER).await;
    let request = InitHost {
        ssh: Some(ssh(&node, Some(node.key.private_pem.clone()))),
        ..init(&world)
    };
    world.engine.init_host(&admin(), &request).await.unwrap();
    same_time(&world).await;
    let findings = doctor(&world).await;
    assert_eq!(bad(&findings), [Code::RootOnNodes], "{findings:#?}");
    assert_eq!(
        one(&findings, Code::RootOnNodes).next,
        ["proximity hosts install-helper home"]
    );
    one(&findings, Code::NodeEntered);

    let mut host = world.engine.named_host("home").await.unwrap();
    host.ssh.as_mut().unwrap().nodes[0].host_key = generate_keypair().unwrap().public_line;
    let store = world.engine.store();
    store
        .update_host(host.clone(), &admin(), Timestamp(2))
        .await
        .unwrap();
    one(&doctor(&world).await, Code::NodeOtherHostKey);
    host.ssh.as_mut().unwrap().nodes[0]
        .host_key
        .clone_from(&node.host_key);
    store
        .update_host(host.clone(), &admin(), Timestamp(3))
        .await
        .unwrap();
    std::fs::write(world.folder.path().join("authorized_keys"), "").unwrap();
    one(&doctor(&world).await, Code::NodeNotEntered);
    host.ssh.as_mut().unwrap().nodes.clear();
    store
        .update_host(host, &admin(), Timestamp(4))
        .await
        .unwrap();
    one(&doctor(&world).await, Code::NodeWithoutSsh);
    drop(node.stop);
}
