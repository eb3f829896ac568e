//! The commands that give a token what is due to it, and take from it what is too much.

use std::collections::BTreeSet;

use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::accounts::{Grant, Holder, TokenRow, UserRow};

use super::super::due::{Due, DueGrant, is_below, one_by_one};
use super::super::facts::{Directory, Facts};
use super::super::pveum::{AclLine, Pveum};
use super::rights::Surplus;
use crate::commands::hosts::init::roles;

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

/// Whether `init` made the user: by its name, and by our mark in its comment. Any other is a person, or serves something else
/// too, and a grant on a path takes the place of what is held there by a group or from above: no command changes it.
pub(super) fn is_own_user(facts: &Facts, user: &UserRow) -> bool {
    let mark = facts.mark;
    let is_named = |purpose| roles::user(mark, purpose) == user.id;
    TokenPurpose::ALL.into_iter().any(is_named) && mark.is(user.comment.as_deref())
}

/// Whom commands are about.
struct Whom<'a> {
    seen: &'a Directory,
    token: &'a str,
    /// The token's user, only if it is ours.
    own_user: Option<&'a str>,
}

impl<'a> Whom<'a> {
    fn of(facts: &Facts, seen: &'a Directory, token: &'a str) -> Self {
        let user = split(token).0;
        let row = seen.users.iter().find(|row| row.id == user);
        Self {
            seen,
            token,
            own_user: row.filter(|row| is_own_user(facts, row)).map(|_| user),
        }
    }

    /// Whether an entry is the token's, or that of its user if that is ours.
    fn holds(&self, grant: &Grant) -> bool {
        match &grant.holder {
            Holder::Token(token) => token == self.token,
            Holder::User(user) => Some(user.as_str()) == self.own_user,
            Holder::Group(_) => false,
        }
    }

    /// What a person has to look at where the user is not ours: a token may do nothing that its user may not.
    fn decide(&self, concerned: &[&DueGrant]) -> Vec<String> {
        let user = split(self.token).0;
        if self.own_user.is_some() || user == ROOT {
            return Vec::new();
        }
        let paths: BTreeSet<&str> = concerned.iter().map(|due| due.path.as_str()).collect();
        let blocked = self.seen.grants.iter().filter(|grant| {
            grant.role == NO_ACCESS
                && grant.holder == Holder::User(user.to_owned())
                && paths.contains(grant.path.as_str())
        });
        let mut told: Vec<String> = blocked
            .map(|grant| {
                let path = &grant.path;
                format!("somebody gave {user} NoAccess on {path}: ask who, before it is changed")
            })
            .collect();
        let paths: Vec<&str> = paths.into_iter().collect();
        told.push(format!(
            "see that its user {user} may do the same on {}; what it lacks is for a person to decide, for a role on a path takes the place of what it has there by a group or from above",
            paths.join(", ")
        ));
        told
    }
}

/// What gives a token these grants.
pub(super) fn grants(facts: &Facts, id: &str, concerned: &[&DueGrant]) -> Vec<String> {
    let Ok(seen) = &facts.directory else {
        return vec![by_hand(facts, id, concerned)];
    };
    let whom = Whom::of(facts, seen, id);
    let mut commands = Vec::new();
    for grant in concerned {
        commands.extend(give(&whom, grant));
        commands.extend(unblock(&whom, grant));
    }
    let decide = whom.decide(concerned);
    if commands.is_empty() && decide.is_empty() {
        return vec![
            "roles and grants are as they should be; look at what stands in the way:".to_owned(),
            permissions(id),
        ];
    }
    let mut told = lines(commands);
    told.extend(decide);
    told
}

/// The command that shows what a token may do.
fn permissions(id: &str) -> String {
    let (user, name) = split(id);
    Pveum::ShowToken {
        user: user.to_owned(),
        token: name.to_owned(),
    }
    .to_string()
}

fn by_hand(facts: &Facts, id: &str, concerned: &[&DueGrant]) -> String {
    let all = concerned.iter().map(|grant| {
        let privileges: Vec<&str> = grant.privileges.iter().copied().collect();
        format!("{} on {}", privileges.join(" "), grant.path)
    });
    let all: Vec<String> = all.collect();
    let label = &facts.record.label;
    format!(
        "give token {id} a role with {}, and see that its user may do that too; or, if init made it: proximity init {label} URL",
        all.join("; and with ")
    )
}

/// Each command once, roles first: what is granted has to be there.
fn lines(mut commands: Vec<Pveum>) -> Vec<String> {
    commands.sort();
    commands.dedup();
    commands.iter().map(ToString::to_string).collect()
}

fn give(whom: &Whom<'_>, due: &DueGrant) -> Vec<Pveum> {
    let role = due.role.clone();
    let privileges: BTreeSet<String> = due.privileges.iter().map(|p| (*p).to_owned()).collect();
    let mut commands = Vec::new();
    match whom.seen.roles.iter().find(|row| row.id == role) {
        None => commands.push(Pveum::AddRole { role, privileges }),
        Some(row) if row.privileges != privileges => {
            commands.push(Pveum::SetRole { role, privileges });
        }
        Some(_) => {}
    }
    let has = |holder: &Holder| {
        whom.seen.grants.iter().any(|grant| {
            grant.path == due.path
                && grant.role == due.role
                && grant.holder == *holder
                && (grant.propagates || !due.reaches_below)
        })
    };
    let user = whom
        .own_user
        .filter(|user| !has(&Holder::User((*user).to_owned())));
    let token = Some(whom.token).filter(|token| !has(&Holder::Token((*token).to_owned())));
    if user.is_some() || token.is_some() {
        commands.push(Pveum::Grant {
            holds: AclLine {
                path: due.path.clone(),
                role: due.role.clone(),
                user: user.map(str::to_owned),
                token: token.map(str::to_owned),
            },
            reaches_below: due.reaches_below,
        });
    }
    commands
}

/// What takes a role without any right away from the path.
fn unblock(whom: &Whom<'_>, due: &DueGrant) -> Vec<Pveum> {
    let in_the_way = whom
        .seen
        .grants
        .iter()
        .filter(|grant| grant.role == NO_ACCESS && grant.path == due.path && whom.holds(grant));
    in_the_way.map(|grant| revoke(whom, grant)).collect()
}

/// Takes an entry back, from the user too if it is ours and has the same. From the token alone is enough: a separated one has
/// only what both have (RPCEnvironment.pm of pve-access-control).
fn revoke(whom: &Whom<'_>, grant: &Grant) -> Pveum {
    let held_by = |holder: Holder| {
        whom.seen
            .grants
            .iter()
            .any(|g| g.path == grant.path && g.role == grant.role && g.holder == holder)
    };
    let user = whom
        .own_user
        .filter(|user| held_by(Holder::User((*user).to_owned())));
    let token = Some(whom.token).filter(|token| held_by(Holder::Token((*token).to_owned())));
    Pveum::Revoke(AclLine {
        path: grant.path.clone(),
        role: grant.role.clone(),
        user: user.map(str::to_owned),
        token: token.map(str::to_owned),
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
    let look = || {
        let why = "see where it comes from:".to_owned();
        vec![why, permissions(id)]
    };
    let Ok(seen) = &facts.directory else {
        return look();
    };
    let whom = Whom::of(facts, seen, id);
    let mut commands = Vec::new();
    if is_whole_user {
        let (user, name) = split(id);
        commands.push(Pveum::Separate {
            user: user.to_owned(),
            token: name.to_owned(),
        });
    }
    for grant in &seen.grants {
        if grant.holder == Holder::Token(id.to_owned()) && gives(seen, grant, surplus) {
            commands.extend(take(facts, &whom, due, grant));
        }
    }
    if commands.is_empty() {
        return look();
    }
    // What is due may have come by what is taken away.
    for grant in &due.grants {
        commands.extend(give(&whom, grant));
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

/// A role of ours where it belongs is given what it should have, and stays; any other is taken back.
fn take(facts: &Facts, whom: &Whom<'_>, due: &Due, grant: &Grant) -> Vec<Pveum> {
    let is_due = |d: &&DueGrant| d.path == grant.path && d.role == grant.role;
    if let Some(due) = due.grants.iter().find(is_due) {
        return give(whom, due);
    }
    let role = &grant.role;
    match one_by_one(&due.purposes, facts.mark, role, &grant.path) {
        Some(privileges) => vec![Pveum::SetRole {
            role: role.clone(),
            privileges: privileges.into_iter().map(str::to_owned).collect(),
        }],
        None => vec![revoke(whom, grant)],
    }
}
