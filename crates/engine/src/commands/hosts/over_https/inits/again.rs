//! Hosts that are set up again, with less asked for or after something went wrong.

use proximity_store::records::TlsTrust;
use secrecy::ExposeSecret;

use super::*;

#[tokio::test]
async fn the_token_for_adopted_guests_outlives_a_run_that_names_none() {
    let world = World::start().await;
    guest(&world, "105").await;
    let mut request = init(&world);
    request.adopted = vec![105];
    let made = world.engine.init_host(&admin(), &request).await.unwrap();
    let secret = |host: &HostRecord| {
        let token = host.purpose_tokens.adopted.as_ref();
        token.map(|token| token.secret.expose_secret().to_owned())
    };
    assert!(secret(&made.host).is_some());
    request.adopted = Vec::new();
    request.images = true;
    let again = world.engine.init_host(&admin(), &request).await.unwrap();
    assert!(again.host.purpose_tokens.images.is_some());
    let stored = world.engine.named_host("home").await.unwrap();
    assert_eq!(secret(&stored), secret(&made.host));
}

#[tokio::test]
async fn a_token_that_replaces_a_recorded_one_is_recorded_at_once() {
    let world = World::start().await;
    let made = world.engine.init_host(&admin(), &init(&world)).await;
    let host = made.unwrap().host;
    let whole = access(&world).await;
    let (user, name) = host.token_id.split_once('!').unwrap();
    let path = format!("/access/users/{user}/token/{name}");
    done(&world, Method::Delete, &path, &[]).await;
    let comment = format!("proximity:{}", world.engine.store().installation());
    let params = [("privsep", "1"), ("comment", comment.as_str())];
    done(&world, Method::Post, &path, &params).await;

    assert!(die_after(&world, &init(&world), 1).await > 1);
    let stored = world.engine.named_host("home").await.unwrap();
    let secret = |host: &HostRecord| host.token_secret.expose_secret().to_owned();
    assert_eq!(stored.token_id, host.token_id);
    assert_ne!(secret(&stored), secret(&host));
    let again = world.engine.init_host(&admin(), &init(&world)).await;
    let again = again.unwrap();
    let is_grant = |step: &String| step.starts_with("grant ");
    assert!(again.steps.iter().all(is_grant), "{:?}", again.steps);
    assert_eq!(secret(&again.host), secret(&stored), "it is still good");
    assert_eq!(access(&world).await, whole);
}

/// The entry as it is when its only node has renewed its certificate since.
async fn renewed(world: &World, node: &str) -> HostRecord {
    let mut host = world.engine.named_host("home").await.unwrap();
    let before = Fingerprint([7; 32]).to_string();
    host.cluster_key = format!("node:{node}:{before}");
    host.endpoints[0].trust = TlsTrust::Fingerprint { sha256: before };
    let by = admin();
    let kept = world
        .engine
        .store()
        .update_host(host.clone(), &by, Timestamp(2));
    kept.await.unwrap();
    world.engine.inner.clusters.forget(host.id).await;
    host
}

#[tokio::test]
async fn a_lone_node_whose_certificate_was_renewed_is_set_up_again_and_pinned_anew() {
    let world = World::start().await;
    let made = world.engine.init_host(&admin(), &init(&world)).await;
    let made = made.unwrap().host;
    let before = renewed(&world, "pve1").await;
    let plan = world.engine.plan_init(&init(&world)).await.unwrap();
    assert_eq!((plan.known, plan.steps), (true, Vec::new()));
    let stored = world.engine.named_host("home").await.unwrap();
    assert_eq!(stored.endpoints, before.endpoints, "a plan changes nothing");

    let again = world.engine.init_host(&admin(), &init(&world)).await;
    assert_eq!(again.unwrap().steps, Vec::<String>::new());
    let stored = world.engine.named_host("home").await.unwrap();
    assert_eq!(stored.endpoints, made.endpoints);
    assert_eq!(stored.cluster_key, made.cluster_key);

    renewed(&world, "pve9").await;
    let other = world.engine.init_host(&admin(), &init(&world)).await;
    assert_eq!(other.unwrap_err().code(), "label_taken");
}
