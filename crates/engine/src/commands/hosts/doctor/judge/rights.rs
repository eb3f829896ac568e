//! Each token against the table of calls and privileges: what it lacks, what it has too much, and the commands that mend it.

use std::collections::{BTreeMap, BTreeSet};

use proximity_pve::access::Privileges;
use proximity_pve::privileges::Scope;

use super::super::due::{Due, DueGrant, given_one_by_one, is_below};
use super::super::facts::{Directory, Facts, Held, TokenFacts, TokenRights};
use super::super::finding::Code;
use super::{Judge, repair};

/// What is named of a long list.
const NAMED: usize = 6;

/// All tokens of a host.
pub(super) fn judge(facts: &Facts, judge: &mut Judge) {
    for token in &facts.tokens {
        let due = Due::of(&token.purposes, &facts.record, facts.mark);
        if due.is_for_all() {
            judge.say(
                Code::TokenForAll,
                subject(&token.id),
                "it is the only one of this host: it looks, makes, changes and destroys",
                super::anew(facts),
            );
        }
        match &token.rights {
            TokenRights::Unread(why) => {
                let what = format!("what it may do was not read: {why}");
                judge.say(Code::TokenUnread, subject(&token.id), what, []);
            }
            TokenRights::Refused(why) => super::ends::refused(facts, token, why, judge),
            TokenRights::Told(held) => told(facts, token, &due, held, judge),
        }
    }
    if let Err(why) = &facts.directory {
        let what = format!(
            "users, roles and grants were not read, so that no exact repair is told: {why}"
        );
        judge.say(Code::AccessUnread, "access control", what, []);
    }
}

/// How a token is named in findings.
pub(super) fn subject(id: &str) -> String {
    format!("token {id}")
}

fn told(facts: &Facts, token: &TokenFacts, due: &Due, held: &Held, judge: &mut Judge) {
    let before = judge.len();
    let one_by_one = match &facts.directory {
        Ok(seen) => given_one_by_one(due, facts.mark, &seen.grants, &token.id),
        Err(_) => Vec::new(),
    };
    let mut missing = missing(due, held);
    missing.extend(lacking(&one_by_one, &held.all));
    if !missing.is_empty() {
        lacks(facts, token, due, &missing, judge);
    }
    let surplus = surplus(facts, due, &held.all);
    let is_whole_user = facts
        .directory
        .as_ref()
        .is_ok_and(|seen| !is_separated(seen, &token.id));
    if !surplus.is_empty() || is_whole_user {
        too_much(facts, token, due, &surplus, is_whole_user, judge);
    }
    super::hidden::told(facts, token, due, judge);
    super::ends::told(facts, token, judge);
    if judge.len() == before {
        let what = "it has what its calls need, and no more";
        judge.say(Code::TokenExact, subject(&token.id), what, []);
    }
}

/// Whether PVE lists the token as separated; one that is not listed is not said to be otherwise.
fn is_separated(seen: &Directory, id: &str) -> bool {
    repair::row(seen, id).is_none_or(|(_, token)| token.separated)
}

/// What is due and not held: each grant with what lacks of it.
pub(super) fn missing<'a>(
    due: &'a Due,
    held: &Held,
) -> Vec<(&'a DueGrant, BTreeSet<&'static str>)> {
    lacking(&due.grants, &held.due)
}

/// Each of these grants with what is not held of it.
fn lacking<'a>(
    due: &'a [DueGrant],
    held: &BTreeMap<String, Privileges>,
) -> Vec<(&'a DueGrant, BTreeSet<&'static str>)> {
    let none = Privileges::default();
    let lacks = |grant: &DueGrant| {
        let on = held.get(&grant.path).unwrap_or(&none);
        let holds = |privilege: &&str| match grant.reaches_below {
            true => on.propagates(privilege),
            false => on.contains(privilege),
        };
        let all = grant.privileges.iter().copied();
        all.filter(|privilege| !holds(privilege)).collect()
    };
    let all = due.iter().map(|grant| (grant, lacks(grant)));
    all.filter(|(_, lacks): &(_, BTreeSet<_>)| !lacks.is_empty())
        .collect()
}

fn lacks(
    facts: &Facts,
    token: &TokenFacts,
    due: &Due,
    missing: &[(&DueGrant, BTreeSet<&'static str>)],
    judge: &mut Judge,
) {
    let lacking: BTreeSet<&str> = missing
        .iter()
        .flat_map(|(_, lacks)| lacks.iter().copied())
        .collect();
    let breaks: BTreeSet<&str> = lacking
        .iter()
        .flat_map(|privilege| due.needed_for(privilege))
        .collect();
    let named = missing.iter().flat_map(|(grant, lacks)| {
        let below = if grant.reaches_below {
            " and below"
        } else {
            ""
        };
        lacks
            .iter()
            .map(move |privilege| format!("{privilege} on {}{below}", grant.path))
    });
    let named = some(named.collect());
    let concerned: Vec<&DueGrant> = missing.iter().map(|(grant, _)| *grant).collect();
    let next = repair::grants(facts, &token.id, &concerned);
    if breaks.is_empty() {
        let what = format!("it lacks {named}, which no call needs yet");
        judge.say(Code::TokenLacksSpare, subject(&token.id), what, next);
    } else {
        let breaks = some(breaks.into_iter().map(str::to_owned).collect());
        let what = format!("it lacks {named}; needed for: {breaks}");
        judge.say(Code::TokenTooNarrow, subject(&token.id), what, next);
    }
}

/// Privileges by path that are too much.
pub(super) type Surplus = BTreeMap<String, BTreeSet<String>>;

fn surplus(facts: &Facts, due: &Due, held: &BTreeMap<String, Privileges>) -> Surplus {
    let mut surplus = Surplus::new();
    for (path, privileges) in held {
        let allowed = due.allowed(path, is_in_pool(facts, path));
        let more = privileges.iter().filter(|p| !allowed.contains(p));
        let more: BTreeSet<String> = more.map(str::to_owned).collect();
        if !more.is_empty() {
            surplus.insert(path.clone(), more);
        }
    }
    surplus
}

/// Whether rights on our pool hold on this path. Where the pool was not read that is possible of every guest and storage.
fn is_in_pool(facts: &Facts, path: &str) -> bool {
    let Ok(Some(pool)) = &facts.pool else {
        return Scope::Guest.is(path) || Scope::Storage.is(path);
    };
    let is_guest = |vmid: &str| pool.guests.iter().any(|guest| guest.to_string() == vmid);
    let is_storage = |name: &str| pool.storages.iter().any(|storage| storage.as_str() == name);
    path.strip_prefix("/vms/").is_some_and(is_guest)
        || path.strip_prefix("/storage/").is_some_and(is_storage)
}

fn too_much(
    facts: &Facts,
    token: &TokenFacts,
    due: &Due,
    surplus: &Surplus,
    is_whole_user: bool,
    judge: &mut Judge,
) {
    let next = repair::narrow(facts, &token.id, due, surplus, is_whole_user);
    let user = repair::split(&token.id).0;
    let named = some(named(surplus));
    match (surplus.is_empty(), is_whole_user) {
        (true, _) => {
            let what = format!(
                "it is not separated from its user {user}: whatever that user is given, the token has too"
            );
            judge.say(Code::TokenNotSeparated, subject(&token.id), what, next);
        }
        (false, true) => {
            let what = format!(
                "it is not separated from its user {user}, and may do more than it needs: {named}"
            );
            judge.say(Code::TokenTooWide, subject(&token.id), what, next);
        }
        (false, false) => {
            let what = format!("it may do more than it needs: {named}");
            judge.say(Code::TokenTooWide, subject(&token.id), what, next);
        }
    }
}

/// What is too much, without what is so already above.
fn named(surplus: &Surplus) -> Vec<String> {
    let is_told_above = |path: &str, privilege: &String| {
        surplus
            .iter()
            .any(|(above, more)| is_below(above, path) && more.contains(privilege))
    };
    surplus
        .iter()
        .flat_map(|(path, more)| more.iter().map(move |privilege| (path, privilege)))
        .filter(|(path, privilege)| !is_told_above(path, privilege))
        .map(|(path, privilege)| format!("{privilege} on {path}"))
        .collect()
}

/// The first of a list, and how many more there are.
fn some(all: Vec<String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let first = all.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    match more {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
