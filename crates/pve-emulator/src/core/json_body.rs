//! JSON bodies as Proxmox VE reads them, which is by Perl's JSON::XS: the same texts are wrong, with the same words.
//!
//! Source of the order of looks and of the texts: JSON::XS 4 (`decode_sv` and what it calls), tried on Debian's package.

use std::fmt;

use serde_json::{Map, Number, Value};

use crate::schema::Params;

/// Where Proxmox VE's server reads a body, as its Perl says at the end of a complaint.
const READ_AT: &str = " at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.\n";
/// Where it takes the parameters out of what was read.
const TAKEN_AT: &str = " at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 978.\n";
/// Deepest nesting.
const DEEPEST: usize = 512;
/// How much of the rest a complaint shows.
const SHOWN_CHARS: usize = 20;
/// How much of a text another complaint shows.
const SHOWN_TEXT_BYTES: usize = 32;

/// The parameters in a body; without any for `null`.
///
/// # Errors
/// The complaint with its end of line: the body is no JSON, or no object.
pub(crate) fn parameters(body: &[u8]) -> Result<Params, String> {
    let value = match read(body) {
        Ok(value) => value,
        Err(wrong) => return Err(format!("{}{READ_AT}", wrong.about(body))),
    };
    let text = match value {
        Value::Object(members) => return Ok(members.into_iter().collect()),
        Value::Null => return Ok(Params::new()),
        Value::Array(_) | Value::Bool(_) => return Err(format!("Not a HASH reference{TAKEN_AT}")),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text,
    };
    let shown = text.get(..SHOWN_TEXT_BYTES).map_or_else(
        || format!("\"{text}\""),
        |start| match text.len() > SHOWN_TEXT_BYTES {
            true => format!("\"{start}\"..."),
            false => format!("\"{start}\""),
        },
    );
    Err(format!(
        "Can't use string ({shown}) as a HASH ref while \"strict refs\" in use{TAKEN_AT}"
    ))
}

/// What is wrong, and where, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    what: &'static str,
    at: usize,
}

impl Wrong {
    fn about(&self, body: &[u8]) -> String {
        let rest = body.get(self.at..).unwrap_or_default();
        let shown = match rest {
            [] => "(end of string)".to_owned(),
            rest => Shown(rest).to_string(),
        };
        let Self { what, at } = self;
        format!("{what}, at character offset {at} (before \"{shown}\")")
    }
}

/// The beginning of a text as Perl's `pv_uni_display` shows it.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut length = 0;
        for byte in self.0 {
            if length >= SHOWN_CHARS {
                return f.write_str("...");
            }
            let one = match byte {
                b'\n' => "\\n".to_owned(),
                b'\r' => "\\r".to_owned(),
                b'\t' => "\\t".to_owned(),
                b'\\' => "\\\\".to_owned(),
                0x20..0x7f => char::from(*byte).to_string(),
                _ => format!("\\x{{{byte:x}}}"),
            };
            length += one.len();
            f.write_str(&one)?;
        }
        Ok(())
    }
}

fn read(body: &[u8]) -> Result<Value, Wrong> {
    let mut reader = Reader {
        body,
        at: 0,
        depth: 0,
    };
    reader.pass_space();
    let value = reader.value()?;
    reader.pass_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => reader.wrong("garbage after JSON object"),
    }
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    /// The next byte; a NUL is an end to Perl's C.
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, Wrong> {
        Err(Wrong { what, at: self.at })
    }

    fn pass_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Wrong> {
        if self.peek() != Some(byte) {
            return self.wrong(what);
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<Value, Wrong> {
        self.pass_space();
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.text().map(Value::String)
            }
            Some(b'[') => self.nested(Self::list),
            Some(b'{') => self.nested(Self::object),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.atom("true", "'true' expected", Value::Bool(true)),
            Some(b'f') => self.atom("false", "'false' expected", Value::Bool(false)),
            Some(b'n') => self.atom("null", "'null' expected", Value::Null),
            _ => self
                .wrong("malformed JSON string, neither tag, array, object, number, string or atom"),
        }
    }

    fn atom(&mut self, word: &str, what: &'static str, value: Value) -> Result<Value, Wrong> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return self.wrong(what);
        }
        self.at += word.len();
        Ok(value)
    }

    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Value, Wrong>,
    ) -> Result<Value, Wrong> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.wrong(
                "json text or perl structure exceeds maximum nesting level (max_depth set too low?)",
            );
        }
        self.pass_space();
        let value = inner(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, Wrong> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.pass_space();
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                Some(b',') => self.at += 1,
                _ => return self.wrong(", or ] expected while parsing array"),
            }
            self.pass_space();
        }
    }

    fn object(&mut self) -> Result<Value, Wrong> {
        let mut members = Map::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.expect(b'"', "'\"' expected")?;
            let name = self.text()?;
            self.pass_space();
            self.expect(b':', "':' expected")?;
            let value = self.value()?;
            members.insert(name, value);
            self.pass_space();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                Some(b',') => self.at += 1,
                _ => return self.wrong(", or } expected while parsing object/hash"),
            }
            self.pass_space();
        }
    }

    /// What follows the first quote.
    fn text(&mut self) -> Result<String, Wrong> {
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => return self.wrong("unexpected end of string while parsing JSON string"),
                Some(b'"') => {
                    self.at += 1;
                    return match String::from_utf8(bytes) {
                        Ok(text) => Ok(text),
                        Err(_) => self.wrong("malformed UTF-8 character in JSON string"),
                    };
                }
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escaped()?;
                    bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
                }
                Some(0..0x20) => {
                    return self.wrong("invalid character encountered while parsing JSON string");
                }
                Some(byte) => {
                    bytes.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// What follows a backslash.
    fn escaped(&mut self) -> Result<char, Wrong> {
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'f') => '\u{c}',
            Some(b'r') => '\r',
            Some(b'u') => {
                self.at += 1;
                return self.by_number();
            }
            _ => return self.wrong("illegal backslash escape sequence in string"),
        };
        self.at += 1;
        Ok(plain)
    }

    fn by_number(&mut self) -> Result<char, Wrong> {
        let high = self.four_digits()?;
        let code = match high {
            0xd800..0xdc00 => {
                let follows = self.body.get(self.at..self.at + 2) == Some(b"\\u");
                if !follows {
                    return self.wrong("missing low surrogate character in surrogate pair");
                }
                self.at += 2;
                let low = self.four_digits()?;
                if !(0xdc00..0xe000).contains(&low) {
                    return self.wrong("surrogate pair expected");
                }
                0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
            }
            0xdc00..0xe000 => {
                return self.wrong("missing high surrogate character in surrogate pair");
            }
            code => code,
        };
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Result<u32, Wrong> {
        let digits = self.body.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match text.and_then(|text| u32::from_str_radix(text, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.wrong("exactly four hexadecimal digits expected"),
        }
    }

    fn digits(&mut self, what: &'static str) -> Result<(), Wrong> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.wrong(what);
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, Wrong> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return self.wrong(
                    "malformed number (leading zero must not be followed by another digit)",
                );
            }
        } else {
            self.digits("malformed number (no digits after initial minus)")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("malformed number (no digits after decimal point)")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits("malformed number (no digits after exp sign)")?;
        }
        let text = self.body.get(from..self.at).unwrap_or_default();
        let number: Option<Number> = serde_json::from_slice(text).ok();
        // What is beyond all numbers stays the text it was.
        let as_text = || Value::String(String::from_utf8_lossy(text).into_owned());
        Ok(number.map_or_else(as_text, Value::Number))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaint(body: &str) -> String {
        let text = parameters(body.as_bytes()).expect_err(body);
        text.strip_suffix(READ_AT).unwrap_or(&text).to_owned()
    }

    #[test]
    fn what_is_wrong_is_said_as_by_perl() {
        for (body, said) in [
            (
                "{nope}",
                "'\"' expected, at character offset 1 (before \"nope}\")",
            ),
            (
                "{memory: 64}",
                "'\"' expected, at character offset 1 (before \"memory: 64}\")",
            ),
            (
                "{\"a\":1,}",
                "'\"' expected, at character offset 7 (before \"}\")",
            ),
            (
                "{\"memory\": 64",
                ", or } expected while parsing object/hash, at character offset 13 (before \"(end of string)\")",
            ),
            (
                "{\"a\":1 \"b\":2}",
                ", or } expected while parsing object/hash, at character offset 7 (before \"\"b\":2}\")",
            ),
            (
                "{\"a\" 1}",
                "':' expected, at character offset 5 (before \"1}\")",
            ),
            (
                "{\"memory\": }",
                "malformed JSON string, neither tag, array, object, number, string or atom, at character offset 11 (before \"}\")",
            ),
            (
                "not json",
                "'null' expected, at character offset 0 (before \"not json\")",
            ),
            (
                "{\"a\":1} x",
                "garbage after JSON object, at character offset 8 (before \"x\")",
            ),
            (
                "\"abc",
                "unexpected end of string while parsing JSON string, at character offset 4 (before \"(end of string)\")",
            ),
            (
                "memory=64&onboot=1&tags=a",
                "malformed JSON string, neither tag, array, object, number, string or atom, at character offset 0 (before \"memory=64&onboot=1&t...\")",
            ),
            (
                "",
                "malformed JSON string, neither tag, array, object, number, string or atom, at character offset 0 (before \"(end of string)\")",
            ),
            (
                "{\"a\":01}",
                "malformed number (leading zero must not be followed by another digit), at character offset 6 (before \"1}\")",
            ),
        ] {
            assert_eq!(complaint(body), said, "{body}");
        }
    }

    #[test]
    fn what_is_no_object_is_said_where_parameters_are_taken_from_it() {
        assert_eq!(parameters(b"null"), Ok(Params::new()));
        let said = |text: &str| format!("{text}{TAKEN_AT}");
        assert_eq!(complaint("[1]"), said("Not a HASH reference"));
        assert_eq!(complaint("true"), said("Not a HASH reference"));
        let number = "Can't use string (\"64\") as a HASH ref while \"strict refs\" in use";
        assert_eq!(complaint("64"), said(number));
    }

    #[test]
    fn what_is_right_is_read_as_everybody_reads_it() {
        let body =
            r#" {"a": [1, -2.5e3, true, null, {}], "b\u00e9\ud83d\ude00": "x\n\"y\"", "ü": ""} "#;
        let wanted: Value = serde_json::from_str(body).unwrap();
        assert_eq!(read(body.as_bytes()), Ok(wanted));
        assert_eq!(parameters(br#"{"a":1}"#).unwrap()["a"], json!(1));
        let deep = "[".repeat(600);
        assert!(complaint(&deep).contains("maximum nesting level"));
    }
}
