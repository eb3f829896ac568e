//! Repositories with entries of the catalog: what a person took stays as it was taken, and so does what apps were made from.

use proximity_domain::entries::MOST_ENTRY_SOURCES;
use proximity_domain::ids::SourceId;
use proximity_domain::names::CommitId;
use proximity_store::StoreError;
use proximity_store::entry_sources::{EntryRevision, EntrySourceRecord, NewEntrySource, TakenFile};
use secrecy::{ExposeSecret, SecretString};

use super::world::{Make, World, assert_illegal};

fn new(world: &mut World, name: &str) -> NewEntrySource {
    NewEntrySource {
        id: SourceId(world.id()),
        name: name.parse().unwrap(),
        url: "https://example.org/entries.git".parse().unwrap(),
        branch: "main".parse().unwrap(),
        path: Some("apps".parse().unwrap()),
        signers: Some("me ssh-ed25519 AAAA".to_owned()),
        credential: Some(SecretString::from("herring")),
    }
}

fn commit(n: u8) -> CommitId {
    format!("{n:040x}").parse().unwrap()
}

fn revision(n: u8) -> EntryRevision {
    EntryRevision {
        hash: format!("{n:064x}"),
        text: format!("# entry {n}\n"),
    }
}

fn file(path: &str, n: u8) -> TakenFile {
    TakenFile {
        path: path.to_owned(),
        revision: revision(n),
    }
}

async fn add(world: &World, new: &NewEntrySource) -> Result<EntrySourceRecord, StoreError> {
    let (store, actor) = (&world.store, &world.actor);
    store.add_entry_source(new, actor, world.at()).await
}

async fn take(
    world: &World,
    seen: &EntrySourceRecord,
    n: u8,
    files: &[TakenFile],
) -> Result<EntrySourceRecord, StoreError> {
    let (store, actor) = (&world.store, &world.actor);
    store
        .take_entries(seen, &commit(n), files, actor, world.at())
        .await
}

fn is_unknown<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound { what: "source", .. }))
}

pub async fn are_kept_with_what_was_taken(make: &impl Make) {
    let mut world = World::new(make).await;
    let team = new(&mut world, "team");
    let added = add(&world, &team).await.unwrap();
    assert!(added.has_credential && added.taken.is_none());
    let store = world.store.clone();
    assert_eq!(
        store.entry_sources().await.unwrap(),
        std::slice::from_ref(&added)
    );
    let secret = store.entry_source_credential(&team.name).await.unwrap();
    assert_eq!(secret.unwrap().expose_secret(), "herring");
    assert_eq!(store.entry_source_files(added.id).await.unwrap(), []);

    let (one, two) = (file("apps/a/app.yaml", 1), file("apps/b/app.yaml", 2));
    let first = take(&world, &added, 1, &[two.clone(), one.clone()]).await;
    let first = first.unwrap();
    let taken = first.taken.clone().unwrap();
    assert_eq!((taken.commit, taken.at), (commit(1), world.at()));
    assert_eq!(taken.by, world.actor.account);
    let kept = store.entry_source(&team.name).await.unwrap();
    assert_eq!(kept, Some(first.clone()));
    let files = store.entry_source_files(added.id).await.unwrap();
    assert_eq!(files, [one.clone(), two]);

    // What is taken next takes the place of all of it.
    let other = file("apps/b/app.yaml", 3);
    let second = take(&world, &first, 2, &[one.clone(), other.clone()]).await;
    let second = second.unwrap();
    let files = store.entry_source_files(added.id).await.unwrap();
    assert_eq!(files, [one, other]);
    // Two people who look at the same do not take one over the other.
    assert_illegal(take(&world, &first, 3, &[]).await);

    let (actor, at) = (world.actor.clone(), world.at());
    let removed = store.remove_entry_source(&team.name, &actor, at).await;
    removed.unwrap();
    assert!(is_unknown(
        &store.remove_entry_source(&team.name, &actor, at).await
    ));
    assert!(is_unknown(&take(&world, &second, 3, &[]).await));
    assert!(is_unknown(&store.entry_source_credential(&team.name).await));
    assert_eq!(store.entry_source_files(added.id).await.unwrap(), []);
    // Apps may have been made from it.
    let text = store.entry_revision(&revision(2).hash).await.unwrap();
    assert_eq!(text, Some(revision(2)));
    let text = format!("{:?}", world.audit(1_000, 0).await);
    for act in ["add", "take", "remove"] {
        assert!(text.contains(&format!("entry_source.{act}")), "{text}");
    }
    assert!(!text.contains("herring"), "{text}");
    world.assert_sound().await;
}

pub async fn have_names_of_their_own_and_an_end(make: &impl Make) {
    let mut world = World::new(make).await;
    let first = new(&mut world, "first");
    let added = add(&world, &first).await.unwrap();
    let again = new(&mut world, "first");
    let refused = add(&world, &again).await;
    assert!(matches!(
        refused,
        Err(StoreError::Exists { what: "source", .. })
    ));
    // Where a hyphen does not count, the second of these comes first.
    for name in ["a-z", "aa"] {
        let one = new(&mut world, name);
        add(&world, &one).await.unwrap();
    }
    for n in 3..MOST_ENTRY_SOURCES {
        let one = new(&mut world, &format!("more-{n}"));
        add(&world, &one).await.unwrap();
    }
    let all = world.store.entry_sources().await.unwrap();
    assert!(all.is_sorted_by(|one, other| one.name < other.name));
    assert_eq!(all.len(), MOST_ENTRY_SOURCES);
    let one_more = new(&mut world, "one-more");
    assert_illegal(add(&world, &one_more).await);
    // One that was added anew under the name is another one.
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    let removed = store.remove_entry_source(&first.name, &actor, at).await;
    removed.unwrap();
    add(&world, &again).await.unwrap();
    assert!(is_unknown(&take(&world, &added, 1, &[]).await));
}

pub async fn leave_apps_what_they_were_made_from(make: &impl Make) {
    let mut world = World::new(make).await;
    let (mut app, operation) = world.new_app("web");
    app.entry = Some(revision(7));
    let (store, actor, at) = (world.store.clone(), world.actor.clone(), world.at());
    let made = store.create_app(app, operation, &actor, None, at).await;
    let made = made.unwrap();
    assert_eq!(made.entry_hash, Some(revision(7).hash));
    let kept = store.entry_revision(&revision(7).hash).await.unwrap();
    assert_eq!(kept, Some(revision(7)));
    let unknown = store.entry_revision(&revision(8).hash).await.unwrap();
    assert_eq!(unknown, None);
    store.keep_entry_revision(&revision(8), at).await.unwrap();
    store.keep_entry_revision(&revision(8), at).await.unwrap();
    let kept = store.entry_revision(&revision(8).hash).await.unwrap();
    assert_eq!(kept, Some(revision(8)));
    // The same again is the same text.
    let (mut other, operation) = world.new_app("other");
    other.entry = Some(revision(7));
    let made = store.create_app(other, operation, &actor, None, at).await;
    assert_eq!(made.unwrap().entry_hash, Some(revision(7).hash));
    assert_eq!(world.create("before").await.entry_hash, None);
    world.assert_sound().await;
}
