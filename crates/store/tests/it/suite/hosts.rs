//! Hosts and tokens.

use proximity_domain::app::Status;
use proximity_domain::ids::{HostId, TokenId};
use proximity_domain::operation::OperationKind;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_store::StoreError;
use proximity_store::records::{HostToken, TokenRecord};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::world::{Make, World};

pub async fn are_kept_with_their_secrets(make: &impl Make) {
    let mut world = World::new(make).await;
    let host = world.host_record("second");
    world
        .store
        .add_host(host.clone(), &world.actor, world.at())
        .await
        .unwrap();
    let read = world.store.host(host.id).await.unwrap().unwrap();
    assert_eq!(read.token_secret.expose_secret(), "token-secret-of-second");
    let others: Vec<_> = read.purpose_tokens.iter().collect();
    assert_eq!(others.len(), 2);
    for (purpose, token) in others {
        assert_eq!(token.id, format!("{purpose}@pve!proximity"));
        let secret = format!("{purpose}-secret-of-second");
        assert_eq!(token.secret.expose_secret(), secret);
    }
    let ssh = read.ssh.as_ref().unwrap();
    assert_eq!(ssh.private_key.expose_secret(), "private-key-of-second");
    assert_eq!(format!("{read:?}"), format!("{host:?}"));
    let by_label = world.store.host_by_label("second").await.unwrap().unwrap();
    assert_eq!(by_label.id, host.id);
    let labels: Vec<String> = world
        .store
        .hosts()
        .await
        .unwrap()
        .iter()
        .map(|h| h.label.to_string())
        .collect();
    assert_eq!(labels, ["lab", "second"]);
    assert!(world.store.host_by_label("third").await.unwrap().is_none());
    assert!(
        world
            .store
            .host(HostId(Uuid::from_u128(9)))
            .await
            .unwrap()
            .is_none()
    );
    world.assert_sound().await;
}

pub async fn second_of_a_cluster_is_refused(make: &impl Make) {
    let mut world = World::new(make).await;
    let same_label = world.host_record("lab");
    let refused = world
        .store
        .add_host(same_label, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::Exists { .. })),
        "{refused:?}"
    );
    let mut same_cluster = world.host_record("other");
    same_cluster.cluster_key = "cluster:lab:pve1".to_owned();
    let refused = world
        .store
        .add_host(same_cluster, &world.actor, world.at())
        .await;
    let Err(StoreError::Exists { id, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(id.contains("lab"), "the entry that is there is named: {id}");
    // Where one entry has the label and another one is the cluster, the cluster counts, whichever came first.
    let other = world.host_record("other");
    let added = world.store.add_host(other, &world.actor, world.at());
    added.await.unwrap();
    for (label, cluster) in [("lab", "other"), ("other", "lab")] {
        let mut twin_of_both = world.host_record(label);
        twin_of_both.cluster_key = format!("cluster:{cluster}:pve1");
        let refused = world
            .store
            .add_host(twin_of_both, &world.actor, world.at())
            .await;
        let Err(StoreError::Exists { id, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(id, format!("{cluster} (cluster:{cluster}:pve1)"));
    }
    let mut same_id = world.host_record("third");
    same_id.id = world.host;
    let refused = world
        .store
        .add_host(same_id, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::Exists { .. })),
        "{refused:?}"
    );
    assert_eq!(world.store.hosts().await.unwrap().len(), 2);
}

pub async fn are_replaced_whole(make: &impl Make) {
    let mut world = World::new(make).await;
    let mut host = world.store.host(world.host).await.unwrap().unwrap();
    host.token_secret = SecretString::from("a-new-secret");
    host.ssh = None;
    host.pool = None;
    host.purpose_tokens.observe = None;
    host.purpose_tokens.images = Some(HostToken {
        id: "images@pve!proximity".to_owned(),
        secret: SecretString::from("an-image-secret"),
    });
    world
        .store
        .update_host(host.clone(), &world.actor, world.at())
        .await
        .unwrap();
    let read = world.store.host(world.host).await.unwrap().unwrap();
    assert_eq!(read.token_secret.expose_secret(), "a-new-secret");
    assert!(read.ssh.is_none() && read.pool.is_none());
    let purposes: Vec<TokenPurpose> = read.purpose_tokens.iter().map(|(p, _)| p).collect();
    assert_eq!(purposes, [TokenPurpose::Images, TokenPurpose::Adopted]);
    let unknown = world.host_record("unknown");
    let refused = world
        .store
        .update_host(unknown, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { .. })),
        "{refused:?}"
    );
    let second = world.host_record("second");
    world
        .store
        .add_host(second.clone(), &world.actor, world.at())
        .await
        .unwrap();
    let mut twin = second;
    twin.label = host.label;
    let refused = world
        .store
        .update_host(twin, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::Exists { .. })),
        "{refused:?}"
    );
}

pub async fn stay_while_something_needs_them(make: &impl Make) {
    let mut world = World::new(make).await;
    let (app, guest) = world.deployed("web", 101).await;
    let refused = world
        .store
        .remove_host(world.host, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::HostInUse { apps: 1, .. })),
        "{refused:?}"
    );
    world
        .enqueue(OperationKind::Remove, app.id, Some(Status::Removing))
        .await;
    let (_, fence) = world.claim().await;
    let effects = proximity_store::effects::Effects {
        guests: vec![proximity_store::effects::GuestChange::Gone { guest: guest.id }],
        archive: true,
        ..Default::default()
    };
    let begun = world.store.begin_step(
        &fence,
        0,
        "forget",
        serde_json::json!({}),
        effects,
        world.at(),
    );
    begun.await.unwrap();
    let refused = world
        .store
        .remove_host(world.host, &world.actor, world.at())
        .await;
    assert!(
        matches!(refused, Err(StoreError::HostInUse { apps: 1, .. })),
        "{refused:?}"
    );
    world.finish(&fence, 0).await;
    world
        .store
        .complete(&fence, Default::default(), world.at())
        .await
        .unwrap();
    world
        .store
        .remove_host(world.host, &world.actor, world.at())
        .await
        .unwrap();
    assert!(world.store.hosts().await.unwrap().is_empty());
    let again = world
        .store
        .remove_host(world.host, &world.actor, world.at())
        .await;
    assert!(
        matches!(again, Err(StoreError::NotFound { .. })),
        "{again:?}"
    );
    let kept = world.store.archived_app(app.id).await.unwrap().unwrap();
    assert_eq!(kept.record.host, world.host);
    world.assert_sound().await;
}

pub async fn tokens_are_found_by_hash_alone(make: &impl Make) {
    let mut world = World::new(make).await;
    let token = TokenRecord {
        id: TokenId(world.id()),
        account: "admin".to_owned(),
        scopes: vec!["*".to_owned()],
        secret_sha256: [0xAB; 32],
        created_at: world.at(),
    };
    world
        .store
        .add_token(token.clone(), &world.actor, world.at())
        .await
        .unwrap();
    assert_eq!(
        world.store.token_by_hash(&[0xAB; 32]).await.unwrap(),
        Some(token.clone())
    );
    assert_eq!(world.store.token_by_hash(&[0xAC; 32]).await.unwrap(), None);
    assert_eq!(world.store.tokens().await.unwrap(), vec![token.clone()]);
    let twin = TokenRecord {
        id: TokenId(world.id()),
        ..token
    };
    let refused = world.store.add_token(twin, &world.actor, world.at()).await;
    assert!(
        matches!(refused, Err(StoreError::Exists { .. })),
        "{refused:?}"
    );
    let entries = world.audit(100, 0).await;
    assert_eq!(
        entries.iter().filter(|e| e.action == "token.add").count(),
        1
    );
}
