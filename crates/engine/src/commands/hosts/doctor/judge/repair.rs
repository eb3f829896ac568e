//! The commands that give a token what is due to it, and take from it what is too much.

use std::collections::BTreeSet;

use proximity_pve::accounts::{Grant, Holder, TokenRow, UserRow};

use super::super::due::{Due, DueGrant, is_below};
use super::super::facts::{Directory, Facts};
use super::super::pveum::{AclLine, Pveum};
use super::rights::Surplus;

/// PVE lets this user do everything, so nothing is granted to it.
const ROOT: &str = "root@pam";
/// PVE's role that takes all rights away on its path.
const NO_ACCESS: &str = "NoAccess";

/// User and name of a token.
pub(super) fn split(id: &str) -> (&str, &str) {
    id.rsplit_once('!').unwrap_or((id, ""))
}

/// The rows of a token and its user, if they are listed.
pub(super) fn row<'a>(seen: &'a Directory, id: &str) -> Option<(&'a UserRow, &'a TokenRow)> {
    let (user, name) = split(id);
    let user = seen.users.iter().find(|row| row.id == user)?;
    let token = user.tokens.iter().find(|row| row.name == name)?;
    Some((user, token))
}

/// What gives a token these grants.
pub(super) fn grants(facts: &Facts, id: &str, concerned: &[&DueGrant]) -> Vec<String> {
    let Ok(seen) = &facts.directory else {
        return vec![by_hand(facts, id, concerned)];
    };
    let mut commands = Vec::new();
    for grant in concerned {
        commands.extend(give(seen, id, grant));
        commands.extend(unblock(seen, id, grant));
    }
    if commands.is_empty() {
        let (user, name) = split(id);
        return vec![format!(
            "roles and grants are as they should be; look at what stands in the way: pveum user token permissions {user} {name}"
        )];
    }
    lines(commands)
}

fn by_hand(facts: &Facts, id: &str, concerned: &[&DueGrant]) -> String {
    let all = concerned.iter().map(|grant| {
        let privileges: Vec<&str> = grant.privileges.iter().copied().collect();
        format!("{} on {}", privileges.join(" "), grant.path)
    });
    let all: Vec<String> = all.collect();
    let label = &facts.record.label;
    format!(
        "give token {id} and its user a role with {}; or, if init made it: proximity init {label} URL",
        all.join("; and with ")
    )
}

/// Each command once, roles first: what is granted has to be there.
fn lines(mut commands: Vec<Pveum>) -> Vec<String> {
    commands.sort();
    commands.dedup();
    commands.iter().map(ToString::to_string).collect()
}

fn give(seen: &Directory, id: &str, due: &DueGrant) -> Vec<Pveum> {
    let role = due.role.clone();
    let privileges: BTreeSet<String> = due.privileges.iter().map(|p| (*p).to_owned()).collect();
    let mut commands = Vec::new();
    match seen.roles.iter().find(|row| row.id == role) {
        None => commands.push(Pveum::AddRole { role, privileges }),
        Some(row) if row.privileges != privileges => {
            commands.push(Pveum::SetRole { role, privileges });
        }
        Some(_) => {}
    }
    let has = |holder: &Holder| {
        seen.grants.iter().any(|grant| {
            grant.path == due.path
                && grant.role == due.role
                && grant.holder == *holder
                && (grant.propagates || !due.reaches_below)
        })
    };
    let (user, _) = split(id);
    let lacks_user = user != ROOT && !has(&Holder::User(user.to_owned()));
    let lacks_token = !has(&Holder::Token(id.to_owned()));
    if lacks_user || lacks_token {
        commands.push(Pveum::Grant {
            holds: AclLine {
                path: due.path.clone(),
                role: due.role.clone(),
                user: lacks_user.then(|| user.to_owned()),
                token: lacks_token.then(|| id.to_owned()),
            },
            reaches_below: due.reaches_below,
        });
    }
    commands
}

/// What takes a role without any right away from the path.
fn unblock(seen: &Directory, id: &str, due: &DueGrant) -> Vec<Pveum> {
    let in_the_way = seen.grants.iter().filter(|grant| {
        grant.role == NO_ACCESS && grant.path == due.path && is_of(&grant.holder, id)
    });
    in_the_way.map(|grant| revoke(seen, id, grant)).collect()
}

fn is_of(holder: &Holder, id: &str) -> bool {
    match holder {
        Holder::Token(token) => token == id,
        Holder::User(user) => user == split(id).0,
        Holder::Group(_) => false,
    }
}

/// Takes an entry back, from the user too if it has the same.
fn revoke(seen: &Directory, id: &str, grant: &Grant) -> Pveum {
    let held_by = |holder: Holder| {
        seen.grants
            .iter()
            .any(|g| g.path == grant.path && g.role == grant.role && g.holder == holder)
    };
    let (user, _) = split(id);
    Pveum::Revoke(AclLine {
        path: grant.path.clone(),
        role: grant.role.clone(),
        user: held_by(Holder::User(user.to_owned())).then(|| user.to_owned()),
        token: held_by(Holder::Token(id.to_owned())).then(|| id.to_owned()),
    })
}

/// What takes from a token what is too much, and leaves it what is due.
pub(super) fn narrow(
    facts: &Facts,
    id: &str,
    due: &Due,
    surplus: &Surplus,
    is_whole_user: bool,
) -> Vec<String> {
    let (user, name) = split(id);
    let look = format!("see where it comes from: pveum user token permissions {user} {name}");
    let Ok(seen) = &facts.directory else {
        return vec![look];
    };
    let mut commands = Vec::new();
    if is_whole_user {
        commands.push(Pveum::Separate {
            user: user.to_owned(),
            token: name.to_owned(),
        });
    }
    for grant in &seen.grants {
        if grant.holder == Holder::Token(id.to_owned()) && gives(seen, grant, surplus) {
            commands.extend(take(seen, id, due, grant));
        }
    }
    if commands.is_empty() {
        return vec![look];
    }
    // What is due may have come by what is taken away.
    for grant in &due.grants {
        commands.extend(give(seen, id, grant));
    }
    lines(commands)
}

/// Whether an entry gives some of what is too much.
fn gives(seen: &Directory, grant: &Grant, surplus: &Surplus) -> bool {
    let role = seen.roles.iter().find(|row| row.id == grant.role);
    role.is_some_and(|role| {
        surplus.iter().any(|(path, more)| {
            let holds = grant.path == *path
                || (grant.propagates && is_below(&grant.path, path))
                || grant.path.starts_with("/pool/");
            holds
                && more
                    .iter()
                    .any(|privilege| role.privileges.contains(privilege))
        })
    })
}

/// A role of ours on its path is given what it should have; any other is taken back.
fn take(seen: &Directory, id: &str, due: &Due, grant: &Grant) -> Vec<Pveum> {
    let is_due = |d: &&DueGrant| d.path == grant.path && d.role == grant.role;
    match due.grants.iter().find(is_due) {
        Some(due) => give(seen, id, due),
        None => vec![revoke(seen, id, grant)],
    }
}
