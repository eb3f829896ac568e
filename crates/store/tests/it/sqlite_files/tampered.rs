//! Journals that somebody changed in the file: the first wrong entry is told.

use super::*;

/// Takes off what keeps programs of ours from altering the audit, as somebody does who means to.
fn unguarded(dir: &Path) -> Connection {
    let db = raw(dir);
    db.execute_batch(
        "DROP TRIGGER audit_is_not_altered; DROP TRIGGER audit_is_not_removed; \
         PRAGMA ignore_check_constraints = ON",
    )
    .unwrap();
    db
}

const THIRD: Break = Break::Altered { seq: 3 };
const UNREADABLE: Break = Break::Unreadable { seq: 3 };
const UNLINKED: Break = Break::Unlinked { seq: 3 };

/// What is done to five entries, and what has to be told of it.
const TAMPERS: &[(&str, Break)] = &[
    ("UPDATE audit SET at = at + 1 WHERE seq = 3", THIRD),
    ("UPDATE audit SET account = 'nobody' WHERE seq = 3", THIRD),
    ("UPDATE audit SET token_id = NULL WHERE seq = 3", THIRD),
    ("UPDATE audit SET kind = 'other' WHERE seq = 3", THIRD),
    ("UPDATE audit SET action = '' WHERE seq = 3", THIRD),
    (
        "UPDATE audit SET target = target || ' ' WHERE seq = 3",
        THIRD,
    ),
    (
        "UPDATE audit SET details = details || ' ' WHERE seq = 3",
        THIRD,
    ),
    ("UPDATE audit SET operation_id = 'o' WHERE seq = 3", THIRD),
    ("UPDATE audit SET step_index = 0 WHERE seq = 3", THIRD),
    ("UPDATE audit SET epoch = 1 WHERE seq = 3", THIRD),
    (
        "UPDATE audit SET link = upper(link) WHERE seq = 3",
        UNLINKED,
    ),
    ("UPDATE audit SET link = NULL WHERE seq = 3", UNLINKED),
    (
        "UPDATE audit SET link = (SELECT link FROM kept WHERE seq = 4) WHERE seq = 3",
        THIRD,
    ),
    (
        "UPDATE audit SET details = CAST(x'ff' AS TEXT) WHERE seq = 3",
        UNREADABLE,
    ),
    ("UPDATE audit SET details = x'00' WHERE seq = 3", UNREADABLE),
    (
        "UPDATE audit SET step_index = 'x' WHERE seq = 3",
        UNREADABLE,
    ),
    (
        "UPDATE audit SET (target, action) = (SELECT action, target FROM kept WHERE seq = 3) WHERE seq = 3",
        THIRD,
    ),
    (
        "UPDATE audit SET seq = -seq WHERE seq IN (3, 4); UPDATE audit SET seq = 7 + seq WHERE seq < 0",
        THIRD,
    ),
    (
        "UPDATE audit SET seq = 9 WHERE seq = 3",
        Break::Missing { seq: 3 },
    ),
    ("DELETE FROM audit WHERE seq = 3", Break::Missing { seq: 3 }),
    ("DELETE FROM audit WHERE seq < 3", Break::Missing { seq: 1 }),
    (
        "INSERT INTO audit SELECT 6, at, account, token_id, kind, action, target, details, operation_id, \
         step_index, epoch, link FROM kept WHERE seq = 5",
        Break::Altered { seq: 6 },
    ),
    (
        "DELETE FROM audit WHERE seq > 3",
        Break::CutOff {
            seq: 4,
            anchored: 5,
        },
    ),
    (
        "DELETE FROM audit",
        Break::CutOff {
            seq: 1,
            anchored: 5,
        },
    ),
];

/// What was done to the file, whatever column or number: the first entry that is wrong is named, and all is well again when it
/// is as before.
#[tokio::test]
async fn an_audit_that_was_tampered_with_is_told_from_its_first_wrong_entry_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    for n in 0..4 {
        world.deployed(&format!("web-{n}"), 101 + n).await;
    }
    let head = world.store.audit_head().await.unwrap();
    assert_eq!(head.seq, 5);
    let db = unguarded(dir.path());
    db.execute_batch("CREATE TABLE kept AS SELECT * FROM audit")
        .unwrap();
    for (act, told) in TAMPERS {
        db.execute_batch(act).unwrap();
        let verified = world.store.verify_audit(Head::NONE, vec![head]);
        assert_eq!(verified.await.unwrap(), Err(*told), "{act}");
        db.execute_batch("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept")
            .unwrap();
        let verified = world.store.verify_audit(Head::NONE, vec![head]);
        assert_eq!(verified.await.unwrap(), Ok(head), "{act}");
    }
    world.assert_sound().await;
    // Who looks at the whole record is told, too, and what is written further on goes on from what stands there.
    db.execute_batch("UPDATE audit SET account = 'nobody' WHERE seq = 2")
        .unwrap();
    world.deployed("web-4", 105).await;
    let wrong = world.store.invariants().await.unwrap();
    let told = "audit entries are chained: entry 2 is not what it was when it was written";
    assert_eq!(wrong, [told]);
    let rules = world.store.broken_rules().await.unwrap();
    assert_eq!(rules, [""; 0], "the chain is looked at by itself");
}

/// More entries than are read at once, and one among them that cannot be read.
#[tokio::test]
async fn a_long_audit_is_verified_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(&Inside(dir.path().to_owned())).await;
    let db = unguarded(dir.path());
    let mut link = world.store.audit_head().await.unwrap().link;
    db.execute_batch("BEGIN").unwrap();
    for seq in 2..=2_500 {
        let entry = Entry {
            seq,
            at: 0,
            account: "admin",
            token: None,
            kind: "request",
            action: "host.init",
            target: "lab",
            details: "{}",
            operation: None,
            step: None,
            epoch: None,
        };
        link = entry.link(link);
        let add = "INSERT INTO audit (seq, at, account, kind, action, target, details, link) \
             VALUES (?1, 0, 'admin', 'request', 'host.init', 'lab', '{}', ?2)";
        db.execute(add, rusqlite::params![seq, link.to_string()])
            .unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    let head = Head { seq: 2_500, link };
    assert_eq!(world.store.audit_head().await.unwrap(), head);
    let verified = world.store.verify_audit(Head::NONE, vec![head]);
    assert_eq!(verified.await.unwrap(), Ok(head));
    for seq in [1_000, 1_001, 2_007, 2_500] {
        let damage = "UPDATE audit SET target = x'00' WHERE seq = ?1";
        db.execute(damage, [seq]).unwrap();
        let verified = world.store.verify_audit(Head::NONE, Vec::new());
        assert_eq!(verified.await.unwrap(), Err(Break::Unreadable { seq }));
        let mend = "UPDATE audit SET target = 'lab' WHERE seq = ?1";
        db.execute(mend, [seq]).unwrap();
    }
    let verified = world.store.verify_audit(Head::NONE, Vec::new());
    assert_eq!(verified.await.unwrap(), Ok(head));
}

/// Also where it begins: behind the last one that was cleared away.
#[tokio::test]
async fn events_that_were_tampered_with_are_told_from_the_first_wrong_one_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    world.create("web").await;
    world.create("mail").await;
    assert_eq!(world.store.clear_events(2).await.unwrap(), 2);
    let head = world.store.events_head().await.unwrap();
    assert_eq!(head.seq, 5);
    let db = unguarded(dir.path());
    db.execute_batch(
        "DROP TRIGGER events_are_not_altered; CREATE TABLE kept AS SELECT * FROM events",
    )
    .unwrap();
    let (seq, anchored) = (4, 5);
    for (act, told) in [
        (
            "UPDATE events SET body = '{ }' WHERE seq = 4",
            Break::Altered { seq },
        ),
        (
            "UPDATE events SET link = NULL WHERE seq = 4",
            Break::Unlinked { seq },
        ),
        ("DELETE FROM events WHERE seq = 4", Break::Missing { seq }),
        (
            "DELETE FROM events WHERE seq > 3",
            Break::CutOff { seq, anchored },
        ),
        (
            "DELETE FROM events WHERE seq = 3",
            Break::Missing { seq: 3 },
        ),
        (
            "INSERT INTO events SELECT 2, at, kind, body, app_id, operation_id, link FROM kept WHERE seq = 4",
            Break::PutBack { seq: 2 },
        ),
    ] {
        db.execute_batch(act).unwrap();
        let verified = world.store.verify_events(vec![head]).await.unwrap();
        assert_eq!(verified, Err(told), "{act}");
        db.execute_batch("DELETE FROM events; INSERT INTO events SELECT * FROM kept")
            .unwrap();
        world.assert_sound().await;
    }
}

/// Where the events begin is kept with the link of the last one that went: neither is moved or changed unseen.
#[tokio::test]
async fn a_beginning_of_the_events_that_was_tampered_with_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(&Inside(dir.path().to_owned())).await;
    world.create("web").await;
    world.create("mail").await;
    assert_eq!(world.store.clear_events(2).await.unwrap(), 2);
    let head = world.store.events_head().await.unwrap();
    let db = unguarded(dir.path());
    db.execute_batch("CREATE TABLE kept AS SELECT * FROM clearings")
        .unwrap();
    for (act, told) in [
        ("SET cleared = 1", Break::Missing { seq: 2 }),
        ("SET cleared = -7", Break::Missing { seq: -6 }),
        ("SET cleared = 4", Break::PutBack { seq: 3 }),
        (
            "SET cleared = 4, link = (SELECT link FROM events WHERE seq = 4)",
            Break::PutBack { seq: 3 },
        ),
        ("SET link = (SELECT link FROM events WHERE seq = 4)", THIRD),
        ("SET link = NULL", THIRD),
        ("SET link = CAST(x'ff' AS TEXT)", THIRD),
        ("SET link = x'00'", THIRD),
    ] {
        db.execute_batch(&format!("UPDATE clearings {act} WHERE journal = 'events'"))
            .unwrap();
        let verified = world.store.verify_events(vec![head]).await.unwrap();
        assert_eq!(verified, Err(told), "{act}");
        db.execute_batch("DELETE FROM clearings; INSERT INTO clearings SELECT * FROM kept")
            .unwrap();
        world.assert_sound().await;
    }
}
