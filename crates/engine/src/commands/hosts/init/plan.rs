//! What has to be done so that the accounts are as wanted: decided purely from one look.
//!
//! Guarantees: what is there as wanted gives no step; what is there and is not ours is left as it is, and refused where it
//! stands in the way; once the steps are made, the next plan has none.

use std::collections::BTreeSet;

use proximity_domain::accounts::AccountMark;
use proximity_domain::ids::Vmid;
use proximity_domain::names::{ApiTokenName, RoleName};
use proximity_pve::accounts::{Grant, GrantTo, Holder};

use super::seen::{Seen, numbers, own_token};
use super::step::Step;
use super::wanted::{Wanted, WantedToken};
use crate::commands::hosts::doctor::pveum::word;
use crate::commands::hosts::rights;

/// What is to be done, and what is worth knowing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::commands::hosts) struct Plan {
    pub(in crate::commands::hosts) steps: Vec<Step>,
    pub(super) notes: Vec<String>,
}

/// Something that is not ours has a name that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// A user or token without our mark.
    Account(String),
    /// A pool of another installation.
    PoolOfOthers(String),
    /// A pool with guests that are none of ours.
    PoolInUse(String, String),
}

/// The plan. `held` are the tokens whose secrets are stored and good; `own` the guests of ours at this host.
///
/// # Errors
/// [`Taken`].
pub(super) fn plan(
    wanted: &Wanted,
    seen: &Seen,
    held: &BTreeSet<ApiTokenName>,
    own: &BTreeSet<Vmid>,
) -> Result<Plan, Taken> {
    let mut plan = Plan::default();
    pool(wanted, seen, own, &mut plan)?;
    roles(wanted, seen, &mut plan);
    for token in &wanted.tokens {
        accounts(wanted.mark, token, seen, held, &mut plan)?;
    }
    for token in &wanted.tokens {
        revokes(wanted.mark, token, seen, &mut plan);
    }
    Ok(plan)
}

fn pool(wanted: &Wanted, seen: &Seen, own: &BTreeSet<Vmid>, plan: &mut Plan) -> Result<(), Taken> {
    let name = &wanted.pool;
    let Some(pool) = seen.pools.get(name) else {
        plan.steps.push(Step::CreatePool(name.clone()));
        return Ok(());
    };
    let is_ours = wanted.mark.is(pool.comment.as_deref());
    let comment = pool.comment.as_deref().unwrap_or_default();
    if !is_ours && comment.starts_with("proximity:") {
        return Err(Taken::PoolOfOthers(name.to_string()));
    }
    let strangers = pool.guests.iter().filter(|vmid| !own.contains(vmid));
    let strangers: BTreeSet<Vmid> = strangers.copied().collect();
    match (is_ours, strangers.is_empty()) {
        (true, true) => {}
        (true, false) => plan.notes.push(format!(
            "pool {name} holds guests that are not recorded here ({}): the operate token may change them; take them out of \
             it if that is not meant",
            numbers(&strangers)
        )),
        (false, true) => plan.notes.push(format!(
            "pool {name} is there already; it is used, and uninit leaves it"
        )),
        (false, false) => return Err(Taken::PoolInUse(name.to_string(), numbers(&strangers))),
    }
    Ok(())
}

fn roles(wanted: &Wanted, seen: &Seen, plan: &mut Plan) {
    for (role, privileges) in &wanted.roles {
        let row = seen.roles.iter().find(|row| row.id == role.as_str());
        match (row, wanted.mark.own_role(role)) {
            (None, _) => {
                let step = Step::CreateRole(role.clone(), privileges.clone());
                plan.steps.push(step);
            }
            (Some(row), Some(own)) if row.privileges != *privileges => {
                plan.steps.push(Step::ChangeRole(own, privileges.clone()));
            }
            (Some(_), _) => {}
        }
    }
}

fn accounts(
    mark: AccountMark,
    wanted: &WantedToken,
    seen: &Seen,
    held: &BTreeSet<ApiTokenName>,
    plan: &mut Plan,
) -> Result<(), Taken> {
    let user = seen.user(&wanted.user);
    match user.map(|row| (row, mark.own_user(&wanted.user, row.comment.as_deref()))) {
        None => plan.steps.push(Step::CreateUser(wanted.user.clone())),
        Some((_, None)) => return Err(Taken::Account(format!("user {}", wanted.user))),
        Some((row, Some(own))) if !row.enabled || row.expires_s != 0 => {
            plan.steps.push(Step::EnableUser(own));
        }
        Some((_, Some(_))) => {}
    }
    let name = wanted.token.as_str().rsplit('!').next();
    let token = user.and_then(|row| {
        let token = row.tokens.iter().find(|t| Some(t.name.as_str()) == name);
        token.map(|token| (token, own_token(mark, row, token)))
    });
    let is_new = match token {
        None => {
            plan.steps.push(Step::CreateToken(wanted.token.clone()));
            true
        }
        Some((_, None)) => return Err(Taken::Account(format!("token {}", wanted.token))),
        Some((row, Some(own))) => {
            let good = row.separated && row.expires_s == 0 && held.contains(&wanted.token);
            if !good {
                plan.steps.push(Step::ReplaceToken(own));
            }
            !good
        }
    };
    let missing = |grant: &&GrantTo| is_new || !is_granted(grant, &seen.grants);
    let missing = wanted.grants.iter().filter(missing).cloned();
    plan.steps.extend(missing.map(Step::Grant));
    let kept = kept(mark, wanted, seen);
    let missing = kept.filter(|grant| is_new || !is_granted(grant, &seen.grants));
    plan.steps.extend(missing.map(Step::Grant));
    Ok(())
}

/// What the user was given one by one in earlier runs, for its token: that has no right there but its own, and one that is
/// made anew begins with none.
fn kept<'a>(
    mark: AccountMark,
    wanted: &'a WantedToken,
    seen: &'a Seen,
) -> impl Iterator<Item = GrantTo> + 'a {
    let is_kept = |grant: &&Grant| {
        let is_wanted = |w: &GrantTo| w.path == grant.path && w.role.as_str() == grant.role;
        grant.holder.is_user(&wanted.user)
            && is_given_one_by_one(&grant.path)
            && seen.roles.iter().any(|row| row.id == grant.role)
            && !wanted.grants.iter().any(is_wanted)
    };
    let of_token = move |grant: &Grant| {
        let role: RoleName = grant.role.parse().ok()?;
        mark.own_role(&role)?;
        Some(GrantTo {
            path: grant.path.clone(),
            role,
            user: None,
            token: Some(wanted.token.clone()),
            propagates: grant.propagates,
        })
    };
    seen.grants.iter().filter(is_kept).filter_map(of_token)
}

/// Both hold it, and it reaches as far as wanted.
fn is_granted(wanted: &GrantTo, grants: &[Grant]) -> bool {
    let same = |grant: &&Grant| {
        grant.path == wanted.path
            && grant.role == wanted.role.as_str()
            && grant.propagates == wanted.propagates
    };
    let has = |is: &dyn Fn(&Holder) -> bool| grants.iter().filter(same).any(|g| is(&g.holder));
    let user = wanted.user.as_ref();
    let token = wanted.token.as_ref();
    user.is_none_or(|user| has(&|holder| holder.is_user(user)))
        && token.is_none_or(|token| has(&|holder| holder.is_token(token)))
}

/// Takes back what an earlier run granted on another pool or bridge. Storages and adopted guests are kept: they are given one
/// by one. What others granted is told.
fn revokes(mark: AccountMark, wanted: &WantedToken, seen: &Seen, plan: &mut Plan) {
    for grant in &seen.grants {
        let of_user = grant.holder.is_user(&wanted.user);
        let of_token = grant.holder.is_token(&wanted.token);
        if !of_user && !of_token {
            continue;
        }
        let is_wanted =
            |w: &&GrantTo| w.path == grant.path && w.role.as_str() == grant.role.as_str();
        if wanted.grants.iter().any(|w| is_wanted(&w)) {
            continue;
        }
        let own: Option<RoleName> = grant.role.parse().ok();
        match own.filter(|role| mark.own_role(role).is_some()) {
            Some(_) if is_given_one_by_one(&grant.path) => {}
            Some(role) => plan.steps.push(Step::Revoke(GrantTo {
                path: grant.path.clone(),
                role,
                user: of_user.then(|| wanted.user.clone()),
                token: of_token.then(|| wanted.token.clone()),
                propagates: grant.propagates,
            })),
            None => plan.notes.push(taken_back_by(grant)),
        }
    }
}

/// What is said of an entry that somebody else made, with the command that takes it back: PVE wants to know from whom.
fn taken_back_by(grant: &Grant) -> String {
    let Grant {
        path, role, holder, ..
    } = grant;
    let (option, id) = match holder {
        Holder::User(id) => ("--users", id),
        Holder::Token(id) => ("--tokens", id),
        Holder::Group(id) => ("--groups", id),
    };
    format!(
        "{holder} also holds {role} on {path}, which somebody else gave it; take it back with: pveum acl delete {} --roles {} {option} {}",
        word(path),
        word(role),
        word(id)
    )
}

fn is_given_one_by_one(path: &str) -> bool {
    let below = |of: &str| {
        path.strip_prefix(of)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    below("/storage") || below(rights::GUESTS_PATH)
}
