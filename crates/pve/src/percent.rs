//! Percent-encoding of path segments, queries and forms: everything but RFC 3986's unreserved characters.
//!
//! `;` is encoded with the rest, for PVE takes a bare one as a separator like `&`.

use std::fmt::Write as _;

/// The text with every byte encoded that is not a letter, digit, `-`, `.`, `_` or `~`.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The text with what [`encode`] does taken back; `None` if it is no text then.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let (digits, after) = tail.split_at_checked(2)?;
            let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Parameters as a query or as an `application/x-www-form-urlencoded` body.
pub(crate) fn pairs(params: &[(String, String)]) -> String {
    let encoded: Vec<String> = params
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    encoded.join("&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn encoding_loses_nothing_and_leaves_nothing_special(text in "(?s).{0,80}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(decode(&encoded), Some(text));
        }
    }

    #[test]
    fn what_is_not_encoded_text_is_not_decoded() {
        for bad in ["%", "%4", "%+4", "%zz", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("{\"a\"%3A1}").as_deref(), Some("{\"a\":1}"));
    }

    #[test]
    fn separators_inside_values_are_encoded() {
        let params = [("tags", "a;b"), ("description", "x=1&y\n")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs(&params), "tags=a%3Bb&description=x%3D1%26y%0A");
    }
}
