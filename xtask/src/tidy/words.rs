//! Names that say nothing. Looked for where something of ours gets its name.

use super::Finding;
use super::rust_text::{line_of, words};
use super::tree::Tree;

/// Words to avoid in names, and what to ask oneself instead.
const AVOIDED: &[&str] = &[
    "manager", "managers", "service", "services", "util", "utils", "data", "info", "sync",
    "cleanup",
];

/// A verb to avoid at the start of a function's name.
const AVOIDED_VERB: &str = "handle";

/// Names that may stay, each with its reason.
const ALLOWED: &[(&str, &str)] = &[
    ("data_dir", "the configuration key for the data directory"),
    (
        "DataDir",
        "the data directory, as the configuration calls it",
    ),
    ("handle", "the one entry of the emulator's pure core"),
    ("sync_all", "the standard library's word"),
    ("service_unavailable", "the name of HTTP status 503"),
    ("type_info", "a method of the PostgreSQL driver's trait"),
];

/// Fields that may keep such a name: it is another's word.
const ALLOWED_FIELDS: &[(&str, &str)] = &[
    (
        "data",
        "PVE's envelope of every answer, the payload of a Server-Sent Event, and the folder of data_dir",
    ),
    ("service", "the catalog's word for a systemd unit"),
];

/// What introduces a name in Rust.
const KEYWORDS: &[&str] = &[
    "fn", "struct", "enum", "trait", "type", "mod", "const", "static",
];

/// Looks at the names of files and of items of our crates.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        let stem = file
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        findings.extend(judge(stem, false).map(|text| Finding::fault(&file.path, 0, text)));
        for keyword in KEYWORDS {
            for at in words(&rust.code, keyword) {
                let name = name_after(&rust.code, at + keyword.len());
                let is_function = *keyword == "fn";
                findings.extend(
                    judge(name, is_function)
                        .map(|text| Finding::fault(&file.path, line_of(&rust.code, at), text)),
                );
            }
        }
        for (at, name) in fields(&rust.code) {
            if !ALLOWED_FIELDS.iter().any(|(allowed, _)| *allowed == name) {
                findings.extend(
                    judge(name, false)
                        .map(|text| Finding::fault(&file.path, line_of(&rust.code, at), text)),
                );
            }
        }
    }
    findings
}

/// Fields that others see: settings, options of the command line, fields of requests and answers among them.
fn fields(code: &str) -> impl Iterator<Item = (usize, &str)> {
    words(code, "pub").filter_map(move |at| {
        let rest = code.get(at + "pub".len()..)?;
        let rest = match rest.strip_prefix('(') {
            Some(inner) => inner.split_once(')')?.1,
            None => rest,
        };
        let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        let (name, after) = rest.split_at(end);
        let after = after.trim_start();
        (after.starts_with(':') && !after.starts_with("::")).then_some((at, name))
    })
}

/// The identifier that follows, or nothing.
fn name_after(code: &str, from: usize) -> &str {
    let rest = code.get(from..).unwrap_or_default();
    let Some(rest) = rest.strip_prefix(char::is_whitespace) else {
        return "";
    };
    let rest = rest.trim_start();
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// What is wrong with a name, if anything is.
fn judge(name: &str, is_function: bool) -> Option<String> {
    if ALLOWED.iter().any(|(allowed, _)| *allowed == name) {
        return None;
    }
    let parts = parts(name);
    let verb = parts
        .first()
        .filter(|first| is_function && *first == AVOIDED_VERB);
    let word = parts
        .iter()
        .find(|part| AVOIDED.contains(&part.as_str()))
        .or(verb)?;
    Some(format!(
        "`{name}`: \"{word}\" says nothing; name what it is or does (or add it to the allow list \
         in xtask/src/tidy/words.rs, with the reason)"
    ))
}

/// The words of a snake_case, SCREAMING_CASE or CamelCase name, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut after_lower = false;
    for char in name.chars() {
        let starts = char.is_uppercase() && after_lower;
        if char == '_' || starts || parts.is_empty() {
            parts.push(String::new());
        }
        if char != '_'
            && let Some(last) = parts.last_mut()
        {
            last.extend(char.to_lowercase());
        }
        after_lower = char.is_lowercase() || char.is_ascii_digit();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn names_that_say_nothing_are_faults() {
        for text in [
            "struct PortManager;",
            "enum ServiceState {}",
            "fn load_data() {}",
            "fn handle_request() {}",
            "mod util;",
            "const MAX_INFO: u8 = 1;",
            "trait Cleanup {}",
            "struct A { pub info: u8 }",
            "struct A { pub(crate) sync_mode: u8 }",
            "struct A { pub(in crate::b) service_name: u8 }",
        ] {
            assert_eq!(count("crates/x/src/a.rs", text), 1, "{text}");
        }
        assert_eq!(count("crates/x/src/utils.rs", ""), 1);
    }

    #[test]
    fn words_inside_words_and_uses_are_fine() {
        for text in [
            "struct Database;",
            "fn fsync() {}",
            "fn informed() {}",
            "fn close_handle() {}",
            "let data = 1; // a service",
            "file.sync_data();",
            "fn handle(x: u8) {}",
            "fn data_dir() {}",
            "struct A { pub data: u8, info: u8 }",
            "pub use info::x;",
            "fn f(pub_info: u8) {}",
        ] {
            assert_eq!(count("crates/x/src/a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn names_are_split_into_words() {
        assert_eq!(parts("PortManagerV2"), ["port", "manager", "v2"]);
        assert_eq!(parts("MAX_INFO"), ["max", "info"]);
    }
}
