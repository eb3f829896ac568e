//! The pool: all guests of ours, and nobody else's.

use std::collections::BTreeSet;

use proximity_domain::ids::Vmid;
use proximity_domain::names::PoolName;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::Holder;
use proximity_pve::pool::Pool;

use super::super::facts::{Facts, Found};
use super::super::finding::Code;
use super::{Judge, blind};

pub(super) fn judge(facts: &Facts, judge: &mut Judge) {
    let label = &facts.record.label;
    let Some(name) = &facts.record.pool else {
        let what =
            "none is recorded, so the token has to have its rights on all guests of the host";
        let next = super::anew(facts);
        return judge.say(Code::NoPool, "pool", what, next);
    };
    let subject = format!("pool {name}");
    let unread = |judge: &mut Judge, why: &str| {
        let what = format!("what is in it was not read whole: {why}");
        judge.say(Code::PoolUnread, subject.clone(), what, []);
    };
    let pool = match (&facts.pool, blind(facts)) {
        (Err(why), _) => return unread(judge, why),
        (Ok(_), Some(why)) => return unread(judge, &why),
        (Ok(None), None) => {
            let next = [
                format!("pveum pool add {name}"),
                format!("then look again, for its rights: proximity doctor --host {label}"),
            ];
            return judge.say(Code::PoolGone, subject, "it is not there", next);
        }
        (Ok(Some(pool)), None) => pool,
    };
    let before = judge.len();
    others(facts, name, pool, judge);
    if let Err(why) = &facts.guests {
        return unread(judge, why);
    }
    for (vmid, found) in &facts.own {
        own(facts, name, pool, (*vmid, found), judge);
    }
    if judge.len() == before {
        let what = format!(
            "it holds guests of ours ({}), all of them, and no others",
            pool.guests.len()
        );
        judge.say(Code::PoolOurs, subject, what, []);
    }
}

/// Guests in the pool that are none of ours.
fn others(facts: &Facts, name: &PoolName, pool: &Pool, judge: &mut Judge) {
    let adopted = adopted(facts);
    for vmid in pool
        .guests
        .iter()
        .filter(|vmid| !facts.recorded.contains(vmid))
    {
        let next = format!("pveum pool modify {name} --vms {vmid} --delete 1");
        if adopted.contains(vmid) {
            let what = format!(
                "it was adopted and is in pool {name}, where the operate token may destroy it"
            );
            judge.say(Code::PoolAdopted, format!("guest {vmid}"), what, [next]);
        } else {
            let what = format!(
                "it is in pool {name} and not recorded here, so the operate token may change what is not ours"
            );
            judge.say(Code::PoolStranger, format!("guest {vmid}"), what, [next]);
        }
    }
}

/// Guests that the token for adopted ones was given, one by one.
fn adopted(facts: &Facts) -> BTreeSet<Vmid> {
    let for_adopted =
        |t: &&super::super::facts::TokenFacts| t.purposes.contains(&TokenPurpose::Adopted);
    let Some(token) = facts.tokens.iter().find(for_adopted) else {
        return BTreeSet::new();
    };
    let Ok(seen) = &facts.directory else {
        return BTreeSet::new();
    };
    let holder = Holder::Token(token.id.clone());
    let paths = seen.grants.iter().filter(|grant| grant.holder == holder);
    paths
        .filter_map(|grant| grant.path.strip_prefix("/vms/")?.parse::<u32>().ok())
        .filter_map(|number| Vmid::try_from(number).ok())
        .collect()
}

/// What stands at the number of a guest of ours. Only what is proven to be ours is to be in the pool.
fn own(
    facts: &Facts,
    name: &PoolName,
    pool: &Pool,
    (vmid, found): (Vmid, &Found),
    judge: &mut Judge,
) {
    let subject = format!("guest {vmid}");
    let is_in = pool.guests.contains(&vmid);
    match found {
        Found::Ours if is_in => {}
        Found::Ours => outside(facts, name, vmid, judge),
        // It comes into the pool at the end.
        Found::BeingCreated => {}
        Found::Other(why) => {
            let place = match is_in {
                true => {
                    format!(", and it is in pool {name}, where the operate token may change it")
                }
                false => String::new(),
            };
            let what = format!("it is not the one that is recorded here: {why}{place}");
            let next = "nothing is done to it; compare it with the app's record (proximity ls, and the guest's notes, MAC and volume in PVE), and decide by hand";
            judge.say(Code::GuestConflict, subject, what, [next.to_owned()]);
        }
        Found::Unread(why) => {
            let what = format!("it is recorded here, and whether it is ours was not read: {why}");
            judge.say(Code::GuestUnread, subject, what, []);
        }
    }
}

/// A guest of ours that is not in the pool. Out of another one it is not moved by a command: whoever put it there has rights on it.
fn outside(facts: &Facts, name: &PoolName, vmid: Vmid, judge: &mut Judge) {
    let rows = facts.guests.as_deref().unwrap_or_default();
    let row = rows.iter().find(|row| row.vmid == vmid);
    let add = format!("pveum pool modify {name} --vms {vmid}");
    let (is_in, next) = match row.and_then(|row| row.pool.as_ref()) {
        Some(other) => (
            format!("in pool {other}"),
            vec![
                format!("see who put it into pool {other}, and have it taken out there"),
                format!("then: {add}"),
            ],
        ),
        None => ("in no pool".to_owned(), vec![add]),
    };
    let what = format!("it is ours and {is_in}, so the operate token may not act on it");
    judge.say(Code::GuestOutsidePool, format!("guest {vmid}"), what, next);
}
