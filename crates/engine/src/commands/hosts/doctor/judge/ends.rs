//! When a token ends, and why PVE does not take it.

use proximity_pve::accounts::{TokenRow, UserRow};

use super::super::facts::{Facts, TokenFacts};
use super::super::finding::Code;
use super::super::pveum::Pveum;
use super::rights::subject;
use super::{Judge, SOON_S, days_to, repair};

/// Why a token that is listed is not taken.
enum Why<'a> {
    /// PVE lists none of its name.
    Deleted,
    /// Its own time is over.
    Expired,
    /// Its user is off, or its time is over.
    UserOff(&'a UserRow),
    /// It looks good, so the secret is another.
    OtherSecret,
}

pub(super) fn refused(facts: &Facts, token: &TokenFacts, reason: &str, judge: &mut Judge) {
    let (user, name) = repair::split(&token.id);
    let label = &facts.record.label;
    let url = super::url(facts);
    let again = format!("if init made it, this makes it anew: proximity init {label} {url}");
    let (what, next) = match why(facts, token) {
        None => (format!("PVE does not take it: {reason}"), again),
        Some(Why::Deleted) => ("it was deleted in PVE".to_owned(), again),
        Some(Why::OtherSecret) => {
            let what = "PVE does not take its secret, so somebody made it anew".to_owned();
            (what, again)
        }
        Some(Why::Expired) => {
            let (user, token) = (user.to_owned(), name.to_owned());
            let keep = Pveum::KeepToken { user, token };
            ("it has expired".to_owned(), keep.to_string())
        }
        Some(Why::UserOff(row)) => {
            let what = format!("its user {user} is disabled or has expired");
            (what, keep_user(facts, row))
        }
    };
    judge.say(Code::TokenRefused, subject(&token.id), what, [next]);
}

fn why<'a>(facts: &'a Facts, token: &TokenFacts) -> Option<Why<'a>> {
    let seen = facts.directory.as_ref().ok()?;
    let Some((user, row)) = repair::row(seen, &token.id) else {
        return Some(Why::Deleted);
    };
    let is_over = |end_s: u64| end_s != 0 && seconds_to(facts, end_s) <= 0;
    Some(if !user.enabled || is_over(user.expires_s) {
        Why::UserOff(user)
    } else if is_over(row.expires_s) {
        Why::Expired
    } else {
        Why::OtherSecret
    })
}

fn seconds_to(facts: &Facts, end_s: u64) -> i64 {
    i64::try_from(end_s)
        .unwrap_or(i64::MAX)
        .saturating_sub(facts.now_ms / 1000)
}

/// Says when a token that is taken will end.
pub(super) fn told(facts: &Facts, token: &TokenFacts, judge: &mut Judge) {
    let Some(rows) = facts
        .directory
        .as_ref()
        .ok()
        .and_then(|seen| repair::row(seen, &token.id))
    else {
        return;
    };
    let ends = ends(facts, rows);
    let Some(end_s) = ends.iter().map(|(end_s, _)| *end_s).min() else {
        return;
    };
    let left_s = seconds_to(facts, end_s);
    let what = format!("it expires in {} days", days_to(left_s));
    let code = match left_s < SOON_S {
        true => Code::TokenEndsSoon,
        false => Code::TokenEnds,
    };
    judge.say(
        code,
        subject(&token.id),
        what,
        ends.into_iter().map(|(_, keep)| keep),
    );
}

/// Ends of token and user, seconds since 1970, each with what takes it away.
fn ends(facts: &Facts, (user, token): (&UserRow, &TokenRow)) -> Vec<(u64, String)> {
    let of_token = Pveum::KeepToken {
        user: user.id.clone(),
        token: token.name.clone(),
    };
    let ends = [
        (token.expires_s, of_token.to_string()),
        (user.expires_s, keep_user(facts, user)),
    ];
    ends.into_iter().filter(|(end_s, _)| *end_s != 0).collect()
}

/// What takes the end from a user of ours, and switches it on. Of anybody else a person decides.
fn keep_user(facts: &Facts, user: &UserRow) -> String {
    let id = &user.id;
    match repair::is_own_user(facts, user) {
        true => Pveum::KeepUser(id.clone()).to_string(),
        false => format!(
            "{id} is no user of Proximity's: ask who disabled it or set its end, or take a token of another user"
        ),
    }
}
