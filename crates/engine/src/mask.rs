//! Secrets in what a command prints: they are taken out before it is kept or shown.

use regex::Regex;
use secrecy::{ExposeSecret, SecretString};

use crate::catalog::Escape;

/// What stands in the place of a secret.
const MASKED: &str = "[secret]";
/// A shorter value is found everywhere in a text: to take it out would tell more than it hides.
const SHORTEST_CHARS: usize = 3;
/// In how many ways a value is written into files.
const ESCAPES: [Escape; 4] = [Escape::Plain, Escape::Html, Escape::ShellEnv, Escape::Nginx];

/// Takes secrets out of texts. Knows them as they are and as they stand in the files of a recipe, escaped.
///
/// What a program makes of a secret itself (a hash, another encoding) is not known here. It does not print.
pub(crate) struct Masker {
    found: Found,
}

enum Found {
    Nothing,
    Any(Regex),
    /// The secrets cannot be looked for, so nothing is shown.
    Unknown,
}

impl Masker {
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut forms: Vec<String> = secrets
            .into_iter()
            .flat_map(|secret| forms(secret.expose_secret()))
            .collect();
        // Where one begins with another, the longer one is taken out.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        if forms.is_empty() {
            return Self {
                found: Found::Nothing,
            };
        }
        let any: Vec<String> = forms.iter().map(|form| regex::escape(form)).collect();
        let found = Regex::new(&any.join("|")).map_or(Found::Unknown, Found::Any);
        Self { found }
    }

    /// The text without the secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        match &self.found {
            Found::Nothing => text.to_owned(),
            Found::Any(secrets) => secrets.replace_all(text, MASKED).into_owned(),
            Found::Unknown => MASKED.to_owned(),
        }
    }
}

/// The ways in which a value may be printed.
fn forms(value: &str) -> Vec<String> {
    if value.chars().count() < SHORTEST_CHARS {
        return Vec::new();
    }
    let mut forms: Vec<String> = ESCAPES.iter().map(|escape| escape.inner(value)).collect();
    let json = serde_json::Value::from(value).to_string();
    forms.push(json.trim_matches('"').to_owned());
    forms.push(value.to_owned());
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        let secrets: Vec<SecretString> = secrets.iter().map(|s| (*s).into()).collect();
        Masker::new(&secrets)
    }

    #[test]
    fn a_secret_is_taken_out_wherever_it_stands() {
        let mask = masker(&["hunter2"]);
        assert_eq!(
            mask.mask("hunter2: login as hunter2"),
            "[secret]: login as [secret]"
        );
        assert_eq!(mask.mask("nothing here"), "nothing here");
        assert_eq!(masker(&[]).mask("hunter2"), "hunter2");
    }

    #[test]
    fn what_is_written_into_files_is_known_too() {
        let mask = masker(&[r#"a"b<c$d\e"#]);
        for written in [
            r#"a"b<c$d\e"#,
            "a&quot;b&lt;c$d\\e",
            r#"a\"b<c\$d\\e"#,
            r#"a\"b<c$d\\e"#,
        ] {
            assert_eq!(
                mask.mask(&format!("x={written};")),
                "x=[secret];",
                "{written}"
            );
        }
    }

    #[test]
    fn of_two_the_longer_one_goes_whole() {
        let mask = masker(&["pass", "password-of-mine"]);
        assert_eq!(mask.mask("password-of-mine pass"), "[secret] [secret]");
    }

    #[test]
    fn signs_of_a_pattern_are_signs_of_the_secret() {
        let mask = masker(&[".*", "a.c", "[x]+"]);
        assert_eq!(mask.mask("abc a.c [x]+"), "abc [secret] [secret]");
    }

    #[test]
    fn one_that_is_no_secret_for_its_shortness_stays() {
        assert_eq!(masker(&["a", ""]).mask("a banana"), "a banana");
    }

    #[test]
    fn secrets_that_cannot_be_looked_for_hide_all() {
        let huge = "x".repeat(1 << 20);
        assert_eq!(masker(&[&huge]).mask("whatever"), "[secret]");
    }
}
