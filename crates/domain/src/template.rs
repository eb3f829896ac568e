//! OS templates by their files: which of several versions is the newest.

use std::cmp::Ordering;

/// Compares names of template files as versions: runs of digits count as numbers, so that `12.12-1` comes after `12.7-1`.
#[must_use]
pub fn by_version(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one, other);
    while !left.is_empty() && !right.is_empty() {
        let (a, rest_of_left) = part(left);
        let (b, rest_of_right) = part(right);
        let ordering = match (is_number(a), is_number(b)) {
            (true, true) => number(a).cmp(&number(b)),
            _ => a.cmp(b),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
        (left, right) = (rest_of_left, rest_of_right);
    }
    // One is the beginning of the other, or they differ in zeros that count for nothing.
    left.cmp(right).then_with(|| one.cmp(other))
}

/// The newest of these files.
#[must_use]
pub fn newest(files: impl IntoIterator<Item = String>) -> Option<String> {
    files.into_iter().max_by(|a, b| by_version(a, b))
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// The run of digits that the text begins with, or of anything else; and what comes after it.
fn part(text: &str) -> (&str, &str) {
    let digits = is_number(text);
    let end = text.find(|c: char| c.is_ascii_digit() != digits);
    text.split_at(end.unwrap_or(text.len()))
}

/// Orders digits by what they mean, however many there are.
fn number(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let file = |version: &str| format!("debian-12-standard_{version}_amd64.tar.zst");
        for (older, newer) in [
            ("12.7-1", "12.12-1"),
            ("12.7-1", "12.7-2"),
            ("12.9-1", "12.10-1"),
            ("9.99-1", "12.0-1"),
            ("12.2-1", "12.2.1-1"),
        ] {
            let (older, newer) = (file(older), file(newer));
            assert_eq!(
                by_version(&older, &newer),
                Ordering::Less,
                "{older} {newer}"
            );
            assert_eq!(by_version(&newer, &older), Ordering::Greater);
            assert_eq!(newest([newer.clone(), older]), Some(newer));
        }
        assert_eq!(newest([]), None);
    }

    #[test]
    fn only_what_is_the_same_is_equal() {
        assert_eq!(by_version("a1", "a1"), Ordering::Equal);
        assert_ne!(by_version("a01", "a1"), Ordering::Equal);
        assert_eq!(by_version("a", "a1"), Ordering::Less);
        assert_eq!(by_version("", ""), Ordering::Equal);
        assert_eq!(by_version("é2", "é10"), Ordering::Less);
    }
}
