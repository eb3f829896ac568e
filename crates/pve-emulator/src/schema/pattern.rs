//! Perl regular expressions of the schema, as far as the schema uses them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern, bytes: some repeat Unicode classes hundreds of times.
const COMPILED_BYTES: usize = 64 << 20;

/// Whether the whole value matches a pattern of the schema, as PVE anchors it (`^…$`, a final
/// newline is let through).
pub(super) fn matches(pattern: &str, value: &str) -> bool {
    let value = value.strip_suffix('\n').unwrap_or(value);
    match compiled(pattern) {
        Some(regex) => regex.is_match(value),
        None => false,
    }
}

/// Each compiled once. A copy of an expression begins without what the one it was copied from has learned of texts, so all share
/// the one.
fn compiled(pattern: &str) -> Option<Arc<Regex>> {
    type Known = HashMap<String, Option<Arc<Regex>>>;
    static CACHE: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = cache.get(pattern) {
        return known.clone();
    }
    let anchored = format!("^(?:{})$", translate(pattern));
    let regex = RegexBuilder::new(&anchored)
        .size_limit(COMPILED_BYTES)
        .build();
    if let Err(error) = &regex {
        tracing::error!(pattern, %error, "a pattern of the schema cannot be compiled; nothing matches it");
    }
    let regex = regex.ok().map(Arc::new);
    cache.insert(pattern.to_owned(), regex.clone());
    regex
}

/// Perl's `(?^i:…)` (flags from scratch), `\0` and `{,n}` in this crate's syntax.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(start) = rest.find("(?^") {
        out.push_str(&rest[..start]);
        rest = &rest[start + 3..];
        let end = rest.find(':').unwrap_or(0);
        out.push_str(if rest[..end].contains('i') {
            "(?i-msx:"
        } else {
            "(?-imsx:"
        });
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out.replace("\\0", "\\x00").replace("{,", "{0,")
}

#[cfg(test)]
mod tests {
    use super::super::table::{Format, Property, table};
    use super::*;

    fn each_pattern(property: &Property, seen: &mut Vec<String>) {
        seen.extend(property.pattern.clone());
        if let Some(Format::Keys(keys)) = &property.format {
            keys.values().for_each(|key| each_pattern(key, seen));
        }
        property
            .items
            .iter()
            .for_each(|item| each_pattern(item, seen));
    }

    #[test]
    fn every_pattern_of_the_schema_compiles() {
        let mut patterns = Vec::new();
        for method in table().methods() {
            method
                .parameters
                .values()
                .for_each(|p| each_pattern(p, &mut patterns));
        }
        assert!(patterns.len() > 200);
        for pattern in patterns {
            assert!(compiled(&pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_is_compiled_once() {
        let (first, again) = (compiled("a+").unwrap(), compiled("a+").unwrap());
        assert!(Arc::ptr_eq(&first, &again));
        assert!(compiled("(").is_none() && compiled("(").is_none());
    }

    #[test]
    fn flags_start_from_scratch() {
        assert!(matches("(?^i:[a-z]+)", "AbC"));
        assert!(!matches("(?^:[a-z]+)", "AbC"));
        assert!(matches(r"(?^:\w+=[^\0]*(?:\0\w+=[^\0]*)*)", "A=1\0B=2"));
    }
}
