//! Entries below a path on which something is due: in PVE an entry takes the place of all that comes from above, and of that a group
//! has on the same path (AccessControl.pm of pve-access-control, `roles`). What lies there is shown to the token in no list.

use std::collections::BTreeSet;

use proximity_pve::accounts::Holder;

use super::super::due::{Due, is_below};
use super::super::facts::{Directory, Facts, TokenFacts};
use super::super::finding::Code;
use super::rights::subject;
use super::{Judge, repair};

/// A path below one on which something is due, with what is not due there any more because of the entries on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hidden {
    pub(super) path: String,
    holder: Holder,
    lacks: BTreeSet<&'static str>,
}

/// All such paths. Each of token and user counts: a separated token has only what both have.
pub(super) fn hidden(seen: &Directory, id: &str, due: &Due) -> BTreeSet<Hidden> {
    let user = Holder::User(repair::split(id).0.to_owned());
    let token = Holder::Token(id.to_owned());
    let mut all = BTreeSet::new();
    for entry in seen
        .grants
        .iter()
        .filter(|g| [&user, &token].contains(&&g.holder))
    {
        let above = due
            .grants
            .iter()
            .filter(|d| d.reaches_below && is_below(&d.path, &entry.path));
        let needed: BTreeSet<&'static str> =
            above.flat_map(|d| d.privileges.iter().copied()).collect();
        let held = held(seen, &entry.holder, &entry.path);
        let lacks: BTreeSet<&'static str> =
            needed.into_iter().filter(|p| !held.contains(p)).collect();
        if !lacks.is_empty() {
            all.insert(Hidden {
                path: entry.path.clone(),
                holder: entry.holder.clone(),
                lacks,
            });
        }
    }
    all
}

/// What the roles of a holder on a path have together.
fn held<'a>(seen: &'a Directory, holder: &Holder, path: &str) -> BTreeSet<&'a str> {
    let there = seen
        .grants
        .iter()
        .filter(|g| g.holder == *holder && g.path == path);
    let roles = there.filter_map(|g| seen.roles.iter().find(|row| row.id == g.role));
    roles
        .flat_map(|row| row.privileges.iter().map(String::as_str))
        .collect()
}

/// Says each of them. Who made the entry, and why, only a person knows, so it is taken back by no command.
pub(super) fn told(facts: &Facts, token: &TokenFacts, due: &Due, judge: &mut Judge) {
    let Ok(seen) = &facts.directory else {
        return;
    };
    for Hidden {
        path,
        holder,
        lacks,
    } in hidden(seen, &token.id, due)
    {
        let lacks: Vec<&str> = lacks.into_iter().collect();
        let what = format!(
            "on {path} an entry for {holder} takes the place of what it has above: it lacks {} there, and sees nothing of it that needs them",
            lacks.join(", ")
        );
        let next = format!(
            "see in PVE who gave {holder} a role on {path} (Datacenter, Permissions), and why; without that entry it is as above"
        );
        judge.say(Code::TokenTooNarrow, subject(&token.id), what, [next]);
    }
}
