//! Secrets in what a command prints: they are taken out before it is kept or shown.

use regex::Regex;
use regex::bytes::Regex as BytesRegex;
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
        let found = match pattern(&all_forms(secrets)) {
            None => Found::Nothing,
            Some(any) => Regex::new(&any).map_or(Found::Unknown, Found::Any),
        };
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

/// Takes secrets out of a stream of bytes, however it is cut into pieces: what may be the beginning of a secret is held back until it is
/// known whether it is one.
pub(crate) struct StreamMasker {
    found: FoundInBytes,
    /// Each form of each secret; none is empty.
    forms: Vec<Vec<u8>>,
    /// Came, and was not given yet.
    held: Vec<u8>,
}

enum FoundInBytes {
    Nothing,
    Any(BytesRegex),
    Unknown,
}

impl StreamMasker {
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let forms = all_forms(secrets);
        let found = match pattern(&forms) {
            None => FoundInBytes::Nothing,
            Some(any) => BytesRegex::new(&any).map_or(FoundInBytes::Unknown, FoundInBytes::Any),
        };
        Self {
            found,
            forms: forms.into_iter().map(String::into_bytes).collect(),
            held: Vec::new(),
        }
    }

    /// More came: what of it, and of what was held back, can be given now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &self.found {
            FoundInBytes::Nothing => bytes.to_vec(),
            // Told once, at the end.
            FoundInBytes::Unknown => Vec::new(),
            FoundInBytes::Any(secrets) => {
                self.held.extend_from_slice(bytes);
                let (given, to) = masked(secrets, &self.held, self.begun());
                self.held.drain(..to);
                given
            }
        }
    }

    /// Nothing more comes: what is left.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        match &self.found {
            FoundInBytes::Nothing => Vec::new(),
            FoundInBytes::Unknown => MASKED.as_bytes().to_vec(),
            FoundInBytes::Any(secrets) => masked(secrets, &held, held.len()).0,
        }
    }

    /// Nothing more comes, for the rest was left out or never came: what may be the beginning of a secret is not given.
    pub(crate) fn cut(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let is_hidden = match &self.found {
            FoundInBytes::Nothing => false,
            FoundInBytes::Any(_) => !held.is_empty(),
            FoundInBytes::Unknown => true,
        };
        match is_hidden {
            true => MASKED.as_bytes().to_vec(),
            false => Vec::new(),
        }
    }

    /// From where on what is held may be the beginning of a secret.
    fn begun(&self) -> usize {
        let longest = self.forms.iter().map(Vec::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest.saturating_sub(1));
        let begins = |at: &usize| {
            let tail = self.held.get(*at..).unwrap_or_default();
            let mut forms = self.forms.iter();
            forms.any(|form| form.len() > tail.len() && form.starts_with(tail))
        };
        (from..self.held.len())
            .find(begins)
            .unwrap_or(self.held.len())
    }
}

/// The bytes up to `end` without secrets, and how many of them that is: more, where a secret goes on beyond.
fn masked(secrets: &BytesRegex, bytes: &[u8], end: usize) -> (Vec<u8>, usize) {
    let (mut given, mut at) = (Vec::new(), 0);
    for secret in secrets.find_iter(bytes) {
        if secret.start() >= end {
            break;
        }
        given.extend_from_slice(bytes.get(at..secret.start()).unwrap_or_default());
        given.extend_from_slice(MASKED.as_bytes());
        at = secret.end();
    }
    let to = end.max(at);
    given.extend_from_slice(bytes.get(at..to).unwrap_or_default());
    (given, to)
}

/// All forms of all secrets. Where one begins with another, the longer one comes first, so that it is the one that is found.
fn all_forms<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Vec<String> {
    let mut forms: Vec<String> = secrets
        .into_iter()
        .flat_map(|secret| forms(secret.expose_secret()))
        .collect();
    forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    forms.dedup();
    forms
}

/// What finds any of these; `None` if there is none.
fn pattern(forms: &[String]) -> Option<String> {
    let any: Vec<String> = forms.iter().map(|form| regex::escape(form)).collect();
    (!any.is_empty()).then(|| any.join("|"))
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

    /// What is given of a stream that comes in pieces of this size.
    fn streamed(secrets: &[&str], stream: &str, size: usize) -> String {
        let secrets: Vec<SecretString> = secrets.iter().map(|s| (*s).into()).collect();
        let mut masker = StreamMasker::new(&secrets);
        let mut given = Vec::new();
        for piece in stream.as_bytes().chunks(size) {
            given.extend(masker.push(piece));
        }
        given.extend(masker.rest());
        String::from_utf8(given).unwrap()
    }

    #[test]
    fn a_stream_has_no_secret_however_it_is_cut() {
        let secrets = ["hunter2", "pass", "password-of-mine", "abcd", "cdxx"];
        for (stream, wanted) in [
            ("user hunter2, hunter", "user [secret], hunter"),
            ("hunthunter2", "hunt[secret]"),
            (
                "password-of-mine pass passwor",
                "[secret] [secret] [secret]wor",
            ),
            ("abcdxx", "[secret]xx"),
            ("ababcd", "ab[secret]"),
            ("", ""),
        ] {
            for size in 1..=stream.len().max(1) {
                let given = streamed(&secrets, stream, size);
                assert_eq!(given, wanted, "{stream} in pieces of {size}");
            }
        }
        assert_eq!(streamed(&[], "hunter2", 2), "hunter2");
    }

    #[test]
    fn what_is_no_beginning_of_a_secret_is_given_at_once() {
        let secrets = ["hunter2".into()];
        let mut masker = StreamMasker::new(&secrets);
        assert_eq!(masker.push(b"go on? [y/n] "), b"go on? [y/n] ");
        assert_eq!(masker.push(b"\xff\x00hun"), b"\xff\x00");
        assert_eq!(masker.push(b"gry"), b"hungry");
        assert_eq!(masker.rest(), b"");
    }

    #[test]
    fn what_is_cut_off_within_a_secret_gives_nothing_of_it() {
        let secrets = ["hunter2".into()];
        for (stream, wanted) in [
            ("user hunter", "user [secret]"),
            ("user h", "user [secret]"),
            ("hunter2", "[secret]"),
            ("nothing", "nothing"),
        ] {
            let mut masker = StreamMasker::new(&secrets);
            let mut given = masker.push(stream.as_bytes());
            given.extend(masker.cut());
            assert_eq!(String::from_utf8(given).unwrap(), wanted, "{stream}");
        }
    }

    #[test]
    fn a_stream_whose_secrets_cannot_be_looked_for_is_hidden() {
        let huge = "x".repeat(1 << 20);
        assert_eq!(streamed(&[&huge], "whatever", 3), "[secret]");
    }

    #[test]
    fn secrets_that_cannot_be_looked_for_hide_all() {
        let huge = "x".repeat(1 << 20);
        assert_eq!(masker(&[&huge]).mask("whatever"), "[secret]");
    }
}
