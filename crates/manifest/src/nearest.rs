//! The name somebody probably meant.

/// Letters that may differ.
const MOST_WRONG: usize = 2;
/// Names that are looked at: more would cost more than a hint is worth.
const MOST_NAMES: usize = 128;
/// Longer ones are not compared.
const MOST_LETTERS: usize = 32;

/// The name that differs least from this one; `None` if none is near enough to be meant.
#[must_use]
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written: Vec<char> = letters(written);
    // Of a short word every letter counts.
    let most = MOST_WRONG.min(written.len() / 2);
    let near = |name: &&str| {
        let lengths = name.chars().take(MOST_LETTERS + 1).count();
        lengths <= MOST_LETTERS && lengths.abs_diff(written.len()) <= most
    };
    if written.len() > MOST_LETTERS {
        return None;
    }
    let near = names.into_iter().filter(near).take(MOST_NAMES);
    let told = near.map(|name| (distance(&written, &letters(name)), name));
    told.filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Upper and lower case, and dashes and low lines, are told apart by few.
fn letters(name: &str) -> Vec<char> {
    let signs = name.chars().take(MOST_LETTERS + 1);
    signs
        .map(|sign| match sign.to_ascii_lowercase() {
            '-' | ' ' => '_',
            other => other,
        })
        .collect()
}

/// How many letters have to be put in, taken out or changed; two that changed places count as one.
fn distance(one: &[char], other: &[char]) -> usize {
    let (mut last, mut row) = (Vec::new(), (0..=other.len()).collect::<Vec<usize>>());
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = row[j] + usize::from(a != b);
            let mut least = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                let before: &Vec<usize> = &last;
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        last = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_meant() {
        let fields = ["memory_mib", "cores", "disk_gib"];
        let meant = |written| nearest(written, fields);
        assert_eq!(meant("memroy_mib"), Some("memory_mib"));
        assert_eq!(meant("Memory-MiB"), Some("memory_mib"));
        assert_eq!(meant("core"), Some("cores"));
        assert_eq!(meant("disk"), None);
        assert_eq!(meant("x"), None);
        assert_eq!(meant(""), None);
        assert_eq!(nearest("kind", ["king", "kid", "kind"]), Some("kind"));
        assert_eq!(nearest(&"a".repeat(10_000), ["aa"]), None);
    }

    #[test]
    fn letters_that_changed_places_are_one_mistake() {
        let chars = |text: &str| text.chars().collect::<Vec<char>>();
        assert_eq!(distance(&chars("ab"), &chars("ba")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
        assert_eq!(distance(&chars("abc"), &chars("")), 3);
    }
}
