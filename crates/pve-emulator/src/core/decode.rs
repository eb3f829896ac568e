//! Parameters out of queries and bodies.

use serde_json::Value;

use super::json_body;
use super::request::Payload;
use crate::schema::Params;

/// The 512 KiB body limit is the shell's; a query is limited by the header size.
pub(crate) fn parameters(
    method: &str,
    query: &str,
    content_type: Option<&str>,
    payload: &Payload,
) -> Result<Params, String> {
    let mut params = Params::new();
    let body = match payload {
        Payload::Bytes(bytes) => Some(bytes.as_slice()),
        // Of calls that may have a body also one that is not there is read.
        Payload::None if matches!(method, "POST" | "PUT") => Some(&[][..]),
        Payload::None | Payload::Upload(_) | Payload::TooLarge => None,
    };
    if let Some(bytes) = body {
        params = match content_type.map(media_type) {
            Some("application/json") => json_body::parameters(bytes)?,
            Some(_) | None => urlencoded(&String::from_utf8_lossy(bytes)),
        };
    }
    if let Payload::Upload(upload) = payload {
        let fields = upload.fields.iter();
        params.extend(fields.map(|(name, value)| (name.clone(), Value::String(value.clone()))));
    }
    params.extend(urlencoded(query));
    params.remove("_dc");
    Ok(params)
}

/// The part of a content type before its parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type
        .split([';', ','])
        .next()
        .unwrap_or_default()
        .trim()
}

/// Pairs end at `&` and at `;`. A repeated key makes a list; a key without `=` is null.
pub(crate) fn urlencoded(text: &str) -> Params {
    let mut params = Params::new();
    for pair in text.split(['&', ';']).filter(|pair| !pair.is_empty()) {
        // What follows a second "=" is lost, as in PVE.
        let mut halves = pair.split('=');
        let key = unescape(&halves.next().unwrap_or_default().replace('+', " "));
        let value = halves
            .next()
            .map(|v| Value::String(unescape(&v.replace('+', " "))));
        let merged = match (params.remove(&key), value) {
            (Some(Value::Array(mut list)), Some(value)) => {
                list.push(value);
                Value::Array(list)
            }
            (Some(Value::Null) | None, Some(value)) => value,
            (Some(first), Some(value)) => Value::Array(vec![first, value]),
            (_, None) if pair.ends_with('=') => Value::String(String::new()),
            (_, None) => Value::Null,
        };
        params.insert(key, merged);
    }
    params
}

/// Percent-decoding; what is not valid UTF-8 is replaced.
pub(crate) fn unescape(text: &str) -> String {
    // Most texts say nothing in this way.
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let decoded = match (bytes[at], hex) {
            (b'%', Some(pair)) if pair.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u8::from_str_radix(pair, 16).ok()
            }
            _ => None,
        };
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_separators_end_a_pair() {
        let params = urlencoded("tags=a;b&c=1+2%2B&d&e=");
        assert_eq!(params["tags"], json!("a"));
        assert_eq!(params["b"], Value::Null);
        assert_eq!(params["c"], json!("1 2+"));
        assert_eq!(params["d"], Value::Null);
        assert_eq!(params["e"], json!(""));
    }

    #[test]
    fn what_is_escaped_is_decoded_and_all_else_stays() {
        for (text, decoded) in [
            ("/nodes/a/lxc", "/nodes/a/lxc"),
            ("a%2fb%2F", "a/b/"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%c3%a9é", "éé"),
            ("%ff", "\u{fffd}"),
            ("", ""),
        ] {
            assert_eq!(unescape(text), decoded);
        }
    }

    #[test]
    fn repeated_keys_make_a_list() {
        assert_eq!(
            urlencoded("vms=100&vms=110&vms=120")["vms"],
            json!(["100", "110", "120"])
        );
    }

    #[test]
    fn json_is_read_where_there_may_be_a_body_even_if_there_is_none() {
        let of = |method: &str, payload| parameters(method, "", Some("application/json"), &payload);
        assert!(of("POST", Payload::None).is_err());
        assert_eq!(of("GET", Payload::None), Ok(Params::new()));
        let given = of("PUT", Payload::Bytes(b"{\"a\":1}".to_vec())).unwrap();
        assert_eq!(given["a"], json!(1));
    }
}
