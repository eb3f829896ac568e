//! Whose the guests are, and who is in the pool.

use proximity_pve::privileges::{Scope, grants};

use super::*;

#[test]
fn the_pool() {
    assert_eq!(when(|f| f.pool = Ok(None)), [Code::PoolGone]);
    assert_eq!(when(|f| f.pool = Err(no())), [Code::PoolUnread]);
    assert_eq!(when(|f| f.guests = Err(no())), [Code::PoolUnread]);
    let add = |f: &mut Facts| {
        let pool = f.pool.as_mut().unwrap().as_mut().unwrap();
        pool.guests.push(200.try_into().unwrap());
    };
    assert_eq!(when(add), [Code::PoolStranger]);
    let adopted = |f: &mut Facts| {
        add(f);
        f.directory.as_mut().unwrap().grants.push(Grant {
            path: "/vms/200".to_owned(),
            holder: Holder::Token(id(TokenPurpose::Adopted)),
            role: "ProximityAdoptedGuest-6789abcd".to_owned(),
            propagates: false,
        });
    };
    let powerless = [Code::TokenTooNarrow, Code::PoolAdopted];
    assert_eq!(when(adopted), powerless, "it was given, and does not hold");
    let holding = |f: &mut Facts| {
        adopted(f);
        let of = |token: &TokenFacts| token.purposes.contains(&TokenPurpose::Adopted);
        let of = f.tokens.iter().position(of).unwrap();
        let all = grants(TokenPurpose::Adopted).into_iter();
        let held = all.filter(|grant| grant.on == Scope::Guest);
        let held = held.map(|grant| (grant.privilege.as_str().to_owned(), json!(0)));
        let held = serde_json::Value::Object(held.collect());
        set(told(f, of), "/vms/200", held);
    };
    assert_eq!(when(holding), [Code::PoolAdopted]);
    let outside = |f: &mut Facts| {
        f.pool.as_mut().unwrap().as_mut().unwrap().guests.clear();
        f.guests.as_mut().unwrap()[0].pool = None;
    };
    assert_eq!(when(outside), [Code::GuestOutsidePool]);
    // PVE puts a new container into the pool as the last of all.
    let making = |f: &mut Facts| {
        outside(f);
        drop(f.own.insert(100.try_into().unwrap(), Found::BeingCreated));
    };
    assert_eq!(when(making), []);
    // One that a deploy made, or a removal took away, while the look was under way.
    let passing = |f: &mut Facts| f.own.clear();
    assert_eq!(when(passing), []);
    let without = |f: &mut Facts| f.record.pool = None;
    assert!(when(without).contains(&Code::NoPool));
}

/// A number proves nothing: what is not proven to be ours gets no command, in the pool or out of it.
#[test]
fn a_stranger_at_the_number_of_a_guest_of_ours_is_a_conflict_without_a_command() {
    for pool in [Some("apps"), Some("prod"), None] {
        for (found, code) in [
            (
                Found::Other("it is a virtual machine".to_owned()),
                Code::GuestConflict,
            ),
            (Found::Unread(no()), Code::GuestUnread),
        ] {
            let mut facts = well();
            facts.guests.as_mut().unwrap()[0].pool = pool.map(str::to_owned);
            if pool != Some("apps") {
                facts
                    .pool
                    .as_mut()
                    .unwrap()
                    .as_mut()
                    .unwrap()
                    .guests
                    .clear();
            }
            facts.own.insert(100.try_into().unwrap(), found);
            let found = judge(&facts);
            let bad: Vec<_> = found.iter().filter(|f| f.level() != Level::Ok).collect();
            assert_eq!(bad.len(), 1, "{bad:?}");
            assert_eq!(bad[0].code, code);
            assert!(!bad[0].next.join(" ").contains("pveum"), "{bad:?}");
            assert!(found.iter().all(|f| f.code != Code::PoolOurs));
        }
    }
}

#[test]
fn a_guest_of_ours_is_moved_out_of_another_pool_by_no_command() {
    let mut facts = well();
    facts
        .pool
        .as_mut()
        .unwrap()
        .as_mut()
        .unwrap()
        .guests
        .clear();
    facts.guests.as_mut().unwrap()[0].pool = Some("prod".to_owned());
    let found = judge(&facts);
    let outside = found
        .iter()
        .find(|f| f.code == Code::GuestOutsidePool)
        .unwrap();
    assert!(
        outside.next[0].contains("who put it into pool prod"),
        "{outside:?}"
    );
    assert!(
        found
            .iter()
            .all(|f| !f.next.join(" ").contains("allow-move"))
    );
}
