//! What a word without quotes is: YAML 1.2's core schema, and nothing of older ones (`no` and `12:30` are texts).

use crate::node::Content;

/// A scalar that was written without quotes.
pub(crate) fn plain(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Boolean(true),
        "false" | "False" | "FALSE" => Content::Boolean(false),
        _ if !is_number(text) => Content::Text(text.to_owned()),
        _ => match whole(text) {
            Some(number) => Content::Integer(number),
            None => Content::Number(text.to_owned()),
        },
    }
}

/// A whole number that everybody reads alike: `0644` is one number to some and another one to others.
fn whole(text: &str) -> Option<i64> {
    let digits = unsigned(text);
    let is_clear = digits == "0" || !digits.starts_with('0');
    if is_clear && is_digits(digits) {
        text.parse().ok()
    } else {
        None
    }
}

fn is_number(text: &str) -> bool {
    let bare = unsigned(text);
    if matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return !digits.is_empty() && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    }
    let (mantissa, exponent) = match bare.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, unsigned(exponent)),
        None => (bare, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_mantissa = match (whole, fraction) {
        ("", "") => false,
        ("", digits) | (digits, "") => is_digits(digits),
        (whole, fraction) => is_digits(whole) && is_digits(fraction),
    };
    is_mantissa && is_digits(exponent)
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_they_look_like() {
        let is = |text: &str| match plain(text) {
            Content::Null => "null".to_owned(),
            Content::Boolean(yes) => format!("boolean {yes}"),
            Content::Integer(number) => format!("integer {number}"),
            Content::Number(text) => format!("number {text}"),
            Content::Text(text) => format!("text {text}"),
            Content::List(_) | Content::Map(_) | Content::Lost => String::new(),
        };
        for none in ["", "~", "null"] {
            assert_eq!(is(none), "null", "{none:?}");
        }
        assert_eq!(is("true"), "boolean true");
        assert_eq!(is("FALSE"), "boolean false");
        for text in [
            "no",
            "yes",
            "on",
            "tRue",
            "12:30",
            "1.2.3",
            "0x",
            "0o8",
            "e5",
            ".",
            "-",
            "+",
            "1_000",
            "1e",
            "--1",
            "2026-01-01",
            "0b1",
            "nan",
        ] {
            assert_eq!(is(text), format!("text {text}"));
        }
        for (text, number) in [("0", 0), ("-7", -7), ("+7", 7), ("-0", 0), ("512", 512)] {
            assert_eq!(is(text), format!("integer {number}"));
        }
        for text in [
            "1.10",
            "0644",
            "-01",
            "1e3",
            "1.",
            ".5",
            "0x1F",
            "0o17",
            ".inf",
            "-.INF",
            ".nan",
            "99999999999999999999",
            "1.5E-3",
        ] {
            assert_eq!(is(text), format!("number {text}"));
        }
    }
}
