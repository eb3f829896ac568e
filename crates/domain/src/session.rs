//! How long somebody stays signed in, how long a set-up link is good, and which passwords are taken.

use crate::access::UserName;
use crate::time::Timestamp;

/// A session that nobody used for so long is over, milliseconds.
pub const IDLE_MS: i64 = 8 * 60 * 60 * 1000;
/// A session is over so long after it began, however much it is used, milliseconds.
pub const LONGEST_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// That a session is used is written down so often at most, milliseconds.
pub const SEEN_EVERY_MS: i64 = 5 * 60 * 1000;
/// How long a set-up link is good, milliseconds.
pub const LINK_MS: i64 = 24 * 60 * 60 * 1000;
/// Sessions of one account; the oldest goes when one more begins.
pub const MOST_SESSIONS: usize = 20;
/// Shortest password, characters.
pub const SHORTEST_PASSWORD: usize = 12;
/// Longest password, bytes: hashing takes its time.
pub const LONGEST_PASSWORD_BYTES: usize = 512;

/// The moment at which a session ends if nobody uses it any more.
#[must_use]
pub fn ends_at(begun_at: Timestamp, seen_at: Timestamp) -> Timestamp {
    let idle = seen_at.0.saturating_add(IDLE_MS);
    Timestamp(idle.min(begun_at.0.saturating_add(LONGEST_MS)))
}

/// Whether a session is over.
#[must_use]
pub fn is_over(begun_at: Timestamp, seen_at: Timestamp, now: Timestamp) -> bool {
    ends_at(begun_at, seen_at) <= now
}

/// Whether it has to be written down that a session is used.
#[must_use]
pub fn is_to_be_noted(seen_at: Timestamp, now: Timestamp) -> bool {
    now.0.saturating_sub(seen_at.0) >= SEEN_EVERY_MS
}

/// What is wrong with a new password; nothing, if it is taken. Length is what counts, so no kind of character is asked for.
#[must_use]
pub fn wrong_with_password(name: &UserName, password: &str) -> Option<&'static str> {
    if password.chars().count() < SHORTEST_PASSWORD {
        return Some("it has fewer than 12 characters");
    }
    if password.len() > LONGEST_PASSWORD_BYTES {
        return Some("it has more than 512 bytes");
    }
    let mut chars = password.chars();
    let first = chars.next();
    if chars.all(|c| Some(c) == first) {
        return Some("it is one character again and again");
    }
    let without_name = password.to_lowercase().replace(name.as_str(), "");
    // A name of few letters is part of many words.
    if name.as_str().len() >= 4 && without_name.chars().count() < SHORTEST_PASSWORD / 2 {
        return Some("it is made of the account's name");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_in_any_case() {
        let at = Timestamp;
        assert_eq!(ends_at(at(0), at(0)), at(IDLE_MS));
        assert!(!is_over(at(0), at(0), at(IDLE_MS - 1)));
        assert!(is_over(at(0), at(0), at(IDLE_MS)));
        let late = LONGEST_MS - 1;
        assert!(!is_over(at(0), at(late), at(late)));
        assert!(is_over(at(0), at(late), at(LONGEST_MS)));
        // A clock that was set back ends nothing.
        assert!(!is_over(at(1_000), at(1_000), at(0)));
        assert!(is_over(at(0), at(0), at(i64::MAX)));
    }

    #[test]
    fn use_is_noted_now_and_then() {
        assert!(!is_to_be_noted(Timestamp(0), Timestamp(SEEN_EVERY_MS - 1)));
        assert!(is_to_be_noted(Timestamp(0), Timestamp(SEEN_EVERY_MS)));
        assert!(!is_to_be_noted(Timestamp(9), Timestamp(0)));
    }

    #[test]
    fn passwords_are_long_and_no_more_is_asked_for() {
        let name: UserName = "konstantin".parse().unwrap();
        let good = ["correct horse battery", "ein längeres Wort", "aaaaaaaaaaab"];
        for good in good {
            assert_eq!(wrong_with_password(&name, good), None, "{good}");
        }
        let long = "ab".repeat(300);
        for bad in [
            "",
            "short",
            "aaaaaaaaaaaaaaa",
            "Konstantin123",
            "konstantinkonstantin",
            &long,
        ] {
            assert!(wrong_with_password(&name, bad).is_some(), "{bad}");
        }
    }
}
