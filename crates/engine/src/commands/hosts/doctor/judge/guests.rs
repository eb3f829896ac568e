//! The pool: all guests of ours, and nobody else's.

use std::collections::BTreeSet;

use proximity_domain::ids::Vmid;
use proximity_domain::names::PoolName;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::Holder;
use proximity_pve::pool::Pool;

use super::super::facts::Facts;
use super::super::finding::Code;
use super::{Judge, blind};

pub(super) fn judge(facts: &Facts, judge: &mut Judge) {
    let label = &facts.record.label;
    let Some(name) = &facts.record.pool else {
        let what =
            "none is recorded, so the token has to have its rights on all guests of the host";
        let next = format!(
            "set the host up with a pool: proximity hosts remove {label} (while no apps are on it), then proximity init"
        );
        return judge.say(Code::NoPool, "pool", what, [next]);
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
            let next =
                format!("pveum pool add {name}; then its rights: proximity doctor --host {label}");
            return judge.say(Code::PoolGone, subject, "it is not there", [next]);
        }
        (Ok(Some(pool)), None) => pool,
    };
    let before = judge.len();
    others(facts, name, pool, judge);
    match &facts.guests {
        Ok(_) => outside(facts, name, pool, judge),
        Err(why) => return unread(judge, why),
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
    for vmid in pool.guests.iter().filter(|vmid| !facts.own.contains(vmid)) {
        let next = format!("take it out: pveum pool modify {name} --vms {vmid} --delete 1");
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

/// Guests of ours that the cluster lists, and the pool does not.
fn outside(facts: &Facts, name: &PoolName, pool: &Pool, judge: &mut Judge) {
    let rows = facts.guests.as_deref().unwrap_or_default();
    for vmid in facts.own.iter().filter(|vmid| !pool.guests.contains(vmid)) {
        let Some(row) = rows.iter().find(|row| row.vmid == *vmid) else {
            continue;
        };
        let (is_in, moves) = match &row.pool {
            Some(other) => (format!("in pool {other}"), " --allow-move 1"),
            None => ("in no pool".to_owned(), ""),
        };
        let what = format!("it is ours and {is_in}, so the operate token may not act on it");
        let next = format!("pveum pool modify {name} --vms {vmid}{moves}");
        judge.say(
            Code::GuestOutsidePool,
            format!("guest {vmid}"),
            what,
            [next],
        );
    }
}
