//! What of the accounts goes when a host is given up, and what stays: decided purely from one look.
//!
//! Guarantees: only what shows that it is ours goes; what somebody else has put on it keeps it.

use std::collections::BTreeSet;

use proximity_domain::accounts::{AccountMark, OwnUser};
use proximity_domain::names::{AccountName, ApiTokenName, RoleName};
use proximity_pve::accounts::{Grant, GrantTo, Holder, UserRow};
use proximity_pve::transport::https::ApiToken;

use super::seen::{Seen, own_token};
use super::step::Step;
use crate::commands::hosts::rights;

/// What is to be done, and what stays with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Removal {
    pub(super) steps: Vec<Step>,
    pub(super) stays: Vec<String>,
}

/// Plans the removal of all that carries this mark.
pub(super) fn removal(mark: AccountMark, seen: &Seen) -> Removal {
    let users = seen.own_users(mark);
    let mut plan = Removal::default();
    let own = |grant: &Grant| own_grant(mark, grant, &users);
    let (gone, left): (Vec<_>, Vec<_>) = seen.grants.iter().partition(|g| own(g).is_some());
    let revoked = together(gone.into_iter().filter_map(own));
    plan.steps.extend(revoked.into_iter().map(Step::Revoke));
    for (user, row) in &users {
        tokens_and_user(mark, user, row, &left, &mut plan);
    }
    roles(mark, seen, &left, &mut plan);
    pools(mark, seen, &left, &mut plan);
    plan.steps.sort_by_key(order);
    plan
}

/// Those of the recorded tokens that are there without our mark: somebody wrote another comment on them or on their user.
pub(super) fn unmarked(mark: AccountMark, seen: &Seen, recorded: &[ApiToken]) -> BTreeSet<String> {
    let is_unmarked = |id: &str| {
        let Some((user, name)) = id.rsplit_once('!') else {
            return false;
        };
        let row = seen.users.iter().find(|row| row.id == user);
        let token = row.and_then(|row| row.tokens.iter().find(|token| token.name == name));
        row.zip(token).is_some_and(|(row, token)| {
            !mark.is(row.comment.as_deref()) || own_token(mark, row, token).is_none()
        })
    };
    let ids = recorded.iter().map(|token| &token.id);
    ids.filter(|id| is_unmarked(id)).cloned().collect()
}

/// The same grants, those of a user and of its token as one where they are alike.
fn together(grants: impl Iterator<Item = GrantTo>) -> Vec<GrantTo> {
    let mut all: Vec<GrantTo> = Vec::new();
    // Users come before tokens.
    let mut sorted: Vec<GrantTo> = grants.collect();
    sorted.sort_by_key(|grant| grant.token.is_some());
    for grant in sorted {
        let of_token = grant
            .token
            .as_ref()
            .and_then(|t| t.as_str().split_once('!'));
        let same = all.iter_mut().find(|known| {
            let user = known.user.as_ref().map(AccountName::as_str);
            known.token.is_none()
                && user.is_some()
                && user == of_token.map(|(user, _)| user)
                && (&known.path, &known.role, known.propagates)
                    == (&grant.path, &grant.role, grant.propagates)
        });
        match same {
            Some(known) => known.token = grant.token,
            None => all.push(grant),
        }
    }
    all
}

/// Grants before accounts, accounts before roles and pools: an account that is left half way has no rights.
fn order(step: &Step) -> u8 {
    match step {
        Step::Revoke(_) => 0,
        Step::DeleteToken(_) => 1,
        Step::DeleteUser(_) => 2,
        Step::DeleteRole(_) => 3,
        Step::CreatePool(_)
        | Step::CreateRole(..)
        | Step::ChangeRole(..)
        | Step::CreateUser(_)
        | Step::EnableUser(_)
        | Step::ReplaceToken(_)
        | Step::CreateToken(_)
        | Step::Grant(_)
        | Step::DeletePool(_) => 4,
    }
}

/// The grant as ours: of a role of ours, to a user of ours or to a token of ours of such a user.
fn own_grant(mark: AccountMark, grant: &Grant, users: &[(OwnUser, &UserRow)]) -> Option<GrantTo> {
    let role: RoleName = grant.role.parse().ok()?;
    mark.own_role(&role)?;
    let mut own = GrantTo {
        path: grant.path.clone(),
        role,
        user: None,
        token: None,
        propagates: grant.propagates,
    };
    let users = users.iter();
    match &grant.holder {
        Holder::User(id) => {
            let (user, _) = users.clone().find(|(user, _)| user.name().as_str() == id)?;
            own.user = Some(user.name().clone());
        }
        Holder::Token(id) => {
            let token: ApiTokenName = id.parse().ok()?;
            let mut tokens = users.flat_map(|(_, row)| {
                let own = |t| own_token(mark, row, t);
                row.tokens.iter().filter_map(own).collect::<Vec<_>>()
            });
            tokens.find(|own| *own.name() == token)?;
            own.token = Some(token);
        }
        Holder::Group(_) => return None,
    }
    Some(own)
}

fn tokens_and_user(
    mark: AccountMark,
    user: &OwnUser,
    row: &UserRow,
    left: &[&Grant],
    plan: &mut Removal,
) {
    let mut keeps = Vec::new();
    for token in &row.tokens {
        match own_token(mark, row, token) {
            Some(own) => plan.steps.push(Step::DeleteToken(own)),
            None => keeps.push(format!("somebody made its token {}", token.name)),
        }
    }
    let name = user.name().as_str();
    let prefix = format!("{name}!");
    for grant in left {
        let (Holder::User(id) | Holder::Token(id)) = &grant.holder else {
            continue;
        };
        if id == name || id.starts_with(&prefix) {
            let Grant { role, path, .. } = grant;
            keeps.push(format!("somebody granted {role} on {path} to {id}"));
        }
    }
    if keeps.is_empty() {
        plan.steps.push(Step::DeleteUser(user.clone()));
    } else {
        plan.stays
            .push(format!("user {name}: {}", keeps.join("; ")));
    }
}

fn roles(mark: AccountMark, seen: &Seen, left: &[&Grant], plan: &mut Removal) {
    for row in &seen.roles {
        let name: Option<RoleName> = row.id.parse().ok();
        let Some(own) = name.and_then(|name| mark.own_role(&name)) else {
            continue;
        };
        match left.iter().find(|grant| grant.role == row.id) {
            None => plan.steps.push(Step::DeleteRole(own)),
            Some(grant) => plan.stays.push(format!(
                "role {}: somebody granted it to {} on {}",
                row.id, grant.holder, grant.path
            )),
        }
    }
}

fn pools(mark: AccountMark, seen: &Seen, left: &[&Grant], plan: &mut Removal) {
    for (name, pool) in &seen.pools {
        let Some(own) = mark.own_pool(name, pool.comment.as_deref()) else {
            continue;
        };
        let path = rights::pool_path(name);
        let grant = left.iter().find(|grant| grant.path == path);
        let guests: Vec<String> = pool.guests.iter().map(ToString::to_string).collect();
        let storages: Vec<String> = pool.storages.iter().map(ToString::to_string).collect();
        if !guests.is_empty() {
            let guests = guests.join(", ");
            plan.stays
                .push(format!("pool {name}: the guests {guests} are in it"));
        } else if !storages.is_empty() {
            let storages = storages.join(", ");
            plan.stays
                .push(format!("pool {name}: the storages {storages} are in it"));
        } else if let Some(grant) = grant {
            let Grant { role, holder, .. } = grant;
            plan.stays.push(format!(
                "pool {name}: somebody granted {role} on it to {holder}"
            ));
        } else {
            plan.steps.push(Step::DeletePool(own));
        }
    }
}
