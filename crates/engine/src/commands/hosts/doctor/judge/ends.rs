//! When a token ends, and why PVE does not take it.

use proximity_pve::accounts::{TokenRow, UserRow};

use super::super::facts::{Facts, TokenFacts};
use super::super::finding::Code;
use super::super::pveum::Pveum;
use super::rights::subject;
use super::{Judge, SOON_S, days_to, repair};

/// Why a token that is listed is not taken.
enum Why {
    /// PVE lists none of its name.
    Deleted,
    /// Its own time is over.
    Expired,
    /// Its user is off, or its time is over.
    UserOff,
    /// It looks good, so the secret is another.
    OtherSecret,
}

pub(super) fn refused(facts: &Facts, token: &TokenFacts, reason: &str, judge: &mut Judge) {
    let (user, name) = repair::split(&token.id);
    let label = &facts.record.label;
    let url = facts
        .record
        .endpoints
        .first()
        .map_or("URL", |e| e.url.as_str());
    let again = format!("proximity init {label} {url} (makes it anew, if init made it)");
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
        Some(Why::UserOff) => {
            let what = format!("its user {user} is disabled or has expired");
            (what, Pveum::KeepUser(user.to_owned()).to_string())
        }
    };
    judge.say(Code::TokenRefused, subject(&token.id), what, [next]);
}

fn why(facts: &Facts, token: &TokenFacts) -> Option<Why> {
    let seen = facts.directory.as_ref().ok()?;
    let Some((user, row)) = repair::row(seen, &token.id) else {
        return Some(Why::Deleted);
    };
    let is_over = |end_s: u64| end_s != 0 && seconds_to(facts, end_s) <= 0;
    Some(if !user.enabled || is_over(user.expires_s) {
        Why::UserOff
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
    let Some((end_s, keep)) = first_end(rows) else {
        return;
    };
    let left_s = seconds_to(facts, end_s);
    let what = format!("it expires in {} days", days_to(left_s));
    let code = match left_s < SOON_S {
        true => Code::TokenEndsSoon,
        false => Code::TokenEnds,
    };
    judge.say(code, subject(&token.id), what, [keep.to_string()]);
}

/// The earlier end of token and user, and what takes it away.
fn first_end((user, token): (&UserRow, &TokenRow)) -> Option<(u64, Pveum)> {
    let of_token = Pveum::KeepToken {
        user: user.id.clone(),
        token: token.name.clone(),
    };
    let of_user = Pveum::KeepUser(user.id.clone());
    let ends = [(token.expires_s, of_token), (user.expires_s, of_user)];
    let ends = ends.into_iter().filter(|(end_s, _)| *end_s != 0);
    ends.min_by_key(|(end_s, _)| *end_s)
}
