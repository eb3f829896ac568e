//! Accounts and sessions: nothing is kept that would let anybody in, and nobody is left without an admin.

use proximity_domain::access::{MOST_ACCOUNTS, Role, UserName};
use proximity_domain::ids::SessionId;
use proximity_domain::session::{IDLE_MS, LINK_MS, LONGEST_MS, MOST_SESSIONS};
use proximity_domain::time::Timestamp;
use proximity_store::StoreError;
use proximity_store::accounts::{AccountRecord, NewLink};
use proximity_store::sessions::{NewSession, SessionRecord};

use super::world::{Make, World, assert_illegal};

fn named(name: &str) -> UserName {
    name.parse().unwrap()
}

fn link(world: &World, n: u8) -> NewLink {
    NewLink {
        sha256: [n; 32],
        until: Timestamp(world.at().0 + LINK_MS),
    }
}

async fn add(world: &World, name: &str, role: Role, n: u8) -> Result<AccountRecord, StoreError> {
    let (store, actor, link) = (&world.store, &world.actor, link(world, n));
    store
        .add_account(&named(name), role, &link, actor, world.at())
        .await
}

async fn use_link(world: &World, n: u8, password: &str) -> Result<AccountRecord, StoreError> {
    let (store, at) = (&world.store, world.at());
    store.use_link(&[n; 32], password, Some("r-1"), at).await
}

/// An account that can sign in.
async fn with_password(world: &World, name: &str, role: Role, n: u8) -> AccountRecord {
    add(world, name, role, n).await.unwrap();
    use_link(world, n, "hash").await.unwrap()
}

async fn begin(
    world: &mut World,
    account: &AccountRecord,
    n: u8,
) -> Result<SessionRecord, StoreError> {
    let new = NewSession {
        id: SessionId(world.id()),
        account: account.name.clone(),
        password_at: account.password_at,
        secret_sha256: [n; 32],
        address: Some("192.0.2.7".to_owned()),
    };
    world.store.begin_session(&new, None, world.at()).await
}

fn is_unknown<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound { .. }))
}

pub async fn are_kept_with_a_password_that_a_link_sets_once(make: &impl Make) {
    let mut world = World::new(make).await;
    let store = world.store.clone();
    let added = add(&world, "ann", Role::Admin, 1).await.unwrap();
    assert_eq!((added.role, added.password_at), (Role::Admin, None));
    assert_eq!(added.made_by, world.actor.account);
    let name = named("ann");
    assert_eq!(store.account(&name).await.unwrap(), Some(added.clone()));
    assert_eq!(store.account_password(&name).await.unwrap(), None);
    let again = add(&world, "ann", Role::Viewer, 2).await;
    assert!(matches!(
        again,
        Err(StoreError::Exists {
            what: "account",
            ..
        })
    ));
    let of_link = store.account_of_link(&[1; 32], world.at()).await.unwrap();
    assert_eq!(of_link, Some(added));
    assert!(is_unknown(&use_link(&world, 2, "x").await));
    let set = use_link(&world, 1, "hash").await.unwrap();
    assert_eq!((set.password_at, set.link_until), (Some(world.at()), None));
    let kept = store.account_password(&name).await.unwrap();
    assert_eq!(kept.as_deref(), Some("hash"));
    assert!(is_unknown(&use_link(&world, 1, "other").await), "once");

    // A new link takes the place of the old one, ends with its time, and ends nothing before it is used.
    begin(&mut world, &set, 50).await.unwrap();
    let (actor, at) = (world.actor.clone(), world.at());
    for n in [3, 4] {
        let link = link(&world, n);
        store.give_link(&name, &link, &actor, at).await.unwrap();
    }
    assert!(is_unknown(&use_link(&world, 3, "x").await));
    assert_eq!(store.sessions(None).await.unwrap().len(), 1);
    world.pass(LINK_MS);
    assert!(is_unknown(&use_link(&world, 4, "x").await));
    let of_link = store.account_of_link(&[4; 32], world.at()).await.unwrap();
    assert_eq!(of_link, None);
    let at = world.at();
    let link = link(&world, 5);
    store.give_link(&name, &link, &actor, at).await.unwrap();
    use_link(&world, 5, "new").await.unwrap();
    assert_eq!(store.sessions(None).await.unwrap(), []);
    world.assert_sound().await;
}

pub async fn keep_an_admin(make: &impl Make) {
    let world = World::new(make).await;
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    with_password(&world, "ann", Role::Admin, 1).await;
    with_password(&world, "bob", Role::Operator, 2).await;
    add(&world, "cid", Role::Admin, 3).await.unwrap();
    let ann = named("ann");
    assert_illegal(store.remove_account(&ann, &actor, at).await);
    assert_illegal(store.set_role(&ann, Role::Viewer, &actor, at).await);
    use_link(&world, 3, "hash").await.unwrap();
    let demoted = store.set_role(&ann, Role::Viewer, &actor, at).await;
    assert_eq!(demoted.unwrap().role, Role::Viewer);
    assert_illegal(store.remove_account(&named("cid"), &actor, at).await);
    store.remove_account(&ann, &actor, at).await.unwrap();
    let nobody = named("dan");
    assert!(is_unknown(&store.remove_account(&nobody, &actor, at).await));
    let role = store.set_role(&nobody, Role::Admin, &actor, at).await;
    assert!(is_unknown(&role));
    let password = store.set_password(&nobody, "x", None, &actor, at).await;
    assert!(is_unknown(&password));
    let given = store.give_link(&nobody, &link(&world, 9), &actor, at).await;
    assert!(is_unknown(&given));
    let left = store.accounts().await.unwrap();
    let left: Vec<&str> = left.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(left, ["bob", "cid"]);
    world.assert_sound().await;
}

pub async fn have_an_end_and_say_what_was_done(make: &impl Make) {
    let mut world = World::new(make).await;
    let ann = with_password(&world, "ann", Role::Admin, 1).await;
    begin(&mut world, &ann, 50).await.unwrap();
    // Where a hyphen does not count, the second of these comes first.
    for name in ["a-z", "aa"] {
        add(&world, name, Role::Viewer, 2).await.unwrap();
    }
    for n in 3..MOST_ACCOUNTS {
        let name = format!("more-{n}");
        add(&world, &name, Role::Viewer, 3).await.unwrap();
    }
    let all = world.store.accounts().await.unwrap();
    assert!(all.is_sorted_by(|one, other| one.name < other.name));
    assert_eq!(all.len(), MOST_ACCOUNTS);
    assert_illegal(add(&world, "one-more", Role::Viewer, 4).await);
    let (store, actor, at) = (&world.store, &world.actor, world.at());
    let set = store.set_password(&ann.name, "hash-of-herring", None, actor, at);
    set.await.unwrap();
    world.journal_numbered().await;
    let entries = world.audit(1_000, 0).await;
    let set_up = entries.iter().find(|e| e.action == "account.set_up");
    assert_eq!(set_up.unwrap().account, "ann");
    let text = format!("{entries:?}");
    for act in ["account.add", "session.begin", "account.password"] {
        assert!(text.contains(act), "{act}: {text}");
    }
    for secret in ["herring", &"01".repeat(32), &"32".repeat(32)] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    world.assert_sound().await;
}

pub async fn sessions_are_found_by_hash_and_end(make: &impl Make) {
    let mut world = World::new(make).await;
    let store = world.store.clone();
    let ann = with_password(&world, "ann", Role::Admin, 1).await;
    let bob = with_password(&world, "bob", Role::Operator, 2).await;
    let first = begin(&mut world, &ann, 50).await.unwrap();
    let of_bob = begin(&mut world, &bob, 51).await.unwrap();
    let found = store.signed_in(&[51; 32]).await.unwrap().unwrap();
    assert_eq!((found.role, &found.session), (Role::Operator, &of_bob));
    assert_eq!(found.secret_sha256, [51; 32]);
    assert_eq!(store.signed_in(&[52; 32]).await.unwrap(), None);
    let twin = begin(&mut world, &bob, 51).await;
    assert!(matches!(twin, Err(StoreError::Exists { .. })), "{twin:?}");
    let (actor, at) = (world.actor.clone(), world.at());
    let role = store.set_role(&bob.name, Role::Viewer, &actor, at).await;
    role.unwrap();
    let found = store.signed_in(&[51; 32]).await.unwrap().unwrap();
    assert_eq!(found.role, Role::Viewer, "at once");

    world.pass(1_000);
    let second = begin(&mut world, &ann, 53).await.unwrap();
    store.note_session(first.id, world.at()).await.unwrap();
    let of_ann = store.sessions(Some(&ann.name)).await.unwrap();
    let ids: Vec<SessionId> = of_ann.iter().map(|one| one.id).collect();
    assert_eq!(ids, [second.id, first.id]);
    assert_eq!(of_ann[1].seen_at, world.at());
    // A new password ends all others.
    let at = world.at();
    let keep = Some(second.id);
    let set = store.set_password(&ann.name, "new", keep, &actor, at).await;
    let set = set.unwrap();
    let left = store.sessions(Some(&ann.name)).await.unwrap();
    assert_eq!(left, std::slice::from_ref(&second));
    // And nobody begins one by the password of before.
    world.pass(1);
    let changed = store.set_password(&ann.name, "newer", keep, &actor, world.at());
    changed.await.unwrap();
    assert_illegal(begin(&mut world, &set, 54).await);

    let at = world.at();
    store.end_session(second.id, &actor, at).await.unwrap();
    let twice = store.end_session(second.id, &actor, at).await;
    assert!(is_unknown(&twice));
    // Nor is a password changed by a session that ended meanwhile, or by that of another account.
    let kept = store.account_password(&ann.name).await.unwrap();
    for keep in [Some(second.id), Some(of_bob.id)] {
        let late = store
            .set_password(&ann.name, "late", keep, &actor, at)
            .await;
        assert!(is_unknown(&late), "{late:?}");
    }
    assert_eq!(store.account_password(&ann.name).await.unwrap(), kept);
    store.note_session(second.id, at).await.unwrap();
    assert_eq!(store.signed_in(&[53; 32]).await.unwrap(), None);
    store.remove_account(&bob.name, &actor, at).await.unwrap();
    assert_eq!(store.signed_in(&[51; 32]).await.unwrap(), None);
    assert!(is_unknown(&begin(&mut world, &bob, 55).await));
    let invited = add(&world, "cid", Role::Viewer, 7).await.unwrap();
    assert_illegal(begin(&mut world, &invited, 56).await);
    world.assert_sound().await;
}

pub async fn sessions_have_room_and_go_when_they_are_over(make: &impl Make) {
    let mut world = World::new(make).await;
    let ann = with_password(&world, "ann", Role::Admin, 1).await;
    let bob = with_password(&world, "bob", Role::Viewer, 2).await;
    begin(&mut world, &bob, 200).await.unwrap();
    let most = u8::try_from(MOST_SESSIONS).unwrap();
    for n in 0..most + 2 {
        begin(&mut world, &ann, 100 + n).await.unwrap();
        world.pass(1);
    }
    let store = world.store.clone();
    let of_ann = store.sessions(Some(&ann.name)).await.unwrap();
    assert_eq!(of_ann.len(), MOST_SESSIONS);
    assert_eq!(
        store.signed_in(&[101; 32]).await.unwrap(),
        None,
        "the oldest"
    );
    assert!(store.signed_in(&[102; 32]).await.unwrap().is_some());

    // Whoever begins one takes along what is over, whosever it was; what is in use stays, until its time is over.
    let kept = of_ann[0].id;
    world.pass(IDLE_MS);
    store.note_session(kept, world.at()).await.unwrap();
    begin(&mut world, &bob, 201).await.unwrap();
    assert_eq!(store.sessions(None).await.unwrap().len(), 2);
    world.pass(LONGEST_MS);
    store.note_session(kept, world.at()).await.unwrap();
    begin(&mut world, &bob, 202).await.unwrap();
    let left = store.sessions(None).await.unwrap();
    let whose: Vec<&str> = left.iter().map(|one| one.account.as_str()).collect();
    assert_eq!(whose, ["bob"]);
    world.assert_sound().await;
}
