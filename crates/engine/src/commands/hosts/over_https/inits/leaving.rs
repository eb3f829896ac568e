//! Hosts that are given up where something is not as it seems.

use super::super::super::init::gone::check_gone;
use super::*;

#[tokio::test]
async fn a_host_is_given_up_only_to_its_own_cluster() {
    let world = World::start().await;
    let made = world.engine.init_host(&admin(), &init(&world)).await;
    let host = made.unwrap().host;
    let before = access(&world).await;
    for (key, code) in [
        ("cluster:barn:pve1", "view_incomplete"),
        ("node:pve9:AA", "view_incomplete"),
    ] {
        let mut other = host.clone();
        other.cluster_key = key.to_owned();
        let store = world.engine.store();
        let changed = store.update_host(other, &admin(), Timestamp(1_001)).await;
        changed.unwrap();
        let planned = world.engine.plan_uninit(&uninit(&world)).await;
        assert_eq!(planned.unwrap_err().code(), code, "{key}");
        let refused = world.engine.uninit_host(&admin(), &uninit(&world)).await;
        assert_eq!(refused.unwrap_err().code(), code, "{key}");
        assert_eq!(access(&world).await, before, "{key}");
        assert_eq!(world.hosts().await, 1, "{key}");
    }
}

#[tokio::test]
async fn a_token_is_gone_when_pve_refuses_it_and_not_before() {
    let world = World::start().await;
    let made = world.engine.init_host(&admin(), &init(&world)).await;
    let host = made.unwrap().host;
    let url = host.endpoints[0].url.clone();
    let way = EndpointConfig {
        url: url.clone(),
        trust: Trust::Fingerprint(world.pve.fingerprint_sha256().parse().unwrap()),
    };
    let token = ApiToken {
        id: host.token_id,
        secret: host.token_secret,
    };
    let address = address::Address::from_url(&url).unwrap();
    let asked = async |ways: &[EndpointConfig]| {
        let answer = check_gone(&address, ways, std::slice::from_ref(&token)).await;
        answer.map_err(|e| (e.code(), e.to_string()))
    };
    let (code, text) = asked(std::slice::from_ref(&way)).await.unwrap_err();
    assert_eq!(code, "init_unfinished");
    assert!(text.contains(&token.id), "{text}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = EndpointConfig {
        url: format!("https://{}", closed.local_addr().unwrap()),
        ..way.clone()
    };
    drop(closed);
    let ways = [nobody.clone(), way.clone()];
    assert_eq!(asked(&ways).await.unwrap_err().0, "init_unfinished");

    let gone = world.engine.uninit_host(&admin(), &uninit(&world)).await;
    gone.unwrap();
    assert_eq!(asked(&ways).await, Ok(()));
    let (code, _) = asked(&[nobody]).await.unwrap_err();
    assert_eq!(code, "host_unreachable", "nobody said so");
}

#[tokio::test]
async fn a_token_that_is_not_known_as_ours_any_more_is_told_to_stay() {
    for of_user in [true, false] {
        let world = World::start().await;
        let made = world.engine.init_host(&admin(), &init(&world)).await;
        let host = made.unwrap().host;
        let (user, name) = host.token_id.split_once('!').unwrap();
        let path = match of_user {
            true => format!("/access/users/{user}"),
            false => format!("/access/users/{user}/token/{name}"),
        };
        done(&world, Method::Put, &path, &[("comment", "mine")]).await;
        let plan = world.engine.plan_uninit(&uninit(&world)).await.unwrap();
        let told = format!("token {}, which PVE goes on to take", host.token_id);
        let is_told = plan.stays.iter().any(|text| text.starts_with(&told));
        assert!(is_told, "{:?}", plan.stays);
        let is_changed = |step: &String| step.contains(&format!("token {}", host.token_id));
        assert!(!plan.steps.iter().any(is_changed), "{:?}", plan.steps);
        let gone = world.engine.uninit_host(&admin(), &uninit(&world)).await;
        assert_eq!(gone.unwrap(), plan);
        let left = access(&world).await;
        let is_there = left
            .iter()
            .any(|row| row.contains(user) && row.contains("mine"));
        assert!(is_there, "{left:?}");
        assert_eq!(world.hosts().await, 0);
    }
}

#[tokio::test]
async fn the_helper_that_stays_on_the_nodes_is_told_with_what_takes_it_away() {
    use proximity_store::records::{SshAccess, SshKind, SshNode};

    let world = World::start().await;
    let made = world.engine.init_host(&admin(), &init(&world)).await;
    let mut host = made.unwrap().host;
    let pair = generate_keypair().unwrap();
    host.ssh = Some(SshAccess {
        kind: SshKind::Helper,
        user: "root".to_owned(),
        private_key: pair.private_pem,
        public_key: pair.public_line.clone(),
        nodes: vec![SshNode {
            node: "pve1".parse().unwrap(),
            address: "127.0.0.1:1".to_owned(),
            host_key: pair.public_line.clone(),
        }],
    });
    let store = world.engine.store();
    let changed = store.update_host(host, &admin(), Timestamp(1_001)).await;
    changed.unwrap();
    let plan = world.engine.plan_uninit(&uninit(&world)).await.unwrap();
    for told in [
        "/usr/local/sbin/proximity-node-helper on pve1",
        "first with: proximity hosts remove-helper home --ssh-key FILE",
        "/var/lib/proximity-node-helper on each node",
        &pair.public_line,
    ] {
        let is_told = plan.stays.iter().any(|text| text.contains(told));
        assert!(is_told, "{told}: {:?}", plan.stays);
    }
}
