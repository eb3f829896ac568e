//! PVE's numbers come as numbers or as strings, its booleans as 0, 1, "1" or not at all.

use std::borrow::Cow;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

enum Scalar<'a> {
    Flag(bool),
    Whole(i64),
    Fraction(f64),
    Text(Cow<'a, str>),
}

/// What comes says which form it has: none is tried in vain, as a derived reader would, which words a complaint for each.
impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Form)
    }
}

struct Form;

impl<'de> Visitor<'de> for Form {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text or a boolean")
    }

    fn visit_bool<E>(self, on: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Flag(on))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Whole(n))
    }

    #[allow(clippy::cast_precision_loss)] // Usage figures: 2^53 is far beyond any of them.
    fn visit_u64<E>(self, n: u64) -> Result<Scalar<'de>, E> {
        Ok(i64::try_from(n).map_or(Scalar::Fraction(n as f64), Scalar::Whole))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Fraction(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_string<E>(self, text: String) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text)))
    }
}

fn bad<E: serde::de::Error>(what: &str) -> E {
    E::custom(format!("expected {what}"))
}

impl<'a> Scalar<'a> {
    fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Flag(on) => Some(u64::from(*on)),
            Self::Whole(n) => u64::try_from(*n).ok(),
            Self::Fraction(n) => whole(*n),
            Self::Text(text) => match text.trim().parse::<u64>() {
                Ok(n) => Some(n),
                Err(_) => text.trim().parse::<f64>().ok().and_then(whole),
            },
        }
    }

    #[allow(clippy::cast_precision_loss)] // Usage figures: 2^53 is far beyond any of them.
    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Flag(on) => Some(f64::from(u8::from(*on))),
            Self::Whole(n) => Some(*n as f64),
            Self::Fraction(n) => Some(*n),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    fn as_flag(&self) -> Option<bool> {
        match self {
            Self::Flag(on) => Some(*on),
            Self::Whole(0) => Some(false),
            Self::Whole(1) => Some(true),
            Self::Whole(_) | Self::Fraction(_) => None,
            Self::Text(text) => match &**text {
                "1" | "on" | "yes" | "true" => Some(true),
                "" | "0" | "off" | "no" | "false" => Some(false),
                _ => None,
            },
        }
    }

    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Flag(on) => Cow::Owned(u8::from(on).to_string()),
            Self::Whole(n) => Cow::Owned(n.to_string()),
            Self::Fraction(n) => Cow::Owned(n.to_string()),
            Self::Text(text) => text,
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Checked: whole, not negative, below 2^53.
fn whole(n: f64) -> Option<u64> {
    (n.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&n)).then_some(n as u64)
}

/// A whole number that is not negative.
pub(crate) fn u64<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Scalar::deserialize(d)?
        .as_u64()
        .ok_or_else(|| bad("a whole number"))
}

/// The same or nothing.
pub(crate) fn opt_u64<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    match Option::<Scalar<'_>>::deserialize(d)? {
        None => Ok(None),
        Some(scalar) => scalar
            .as_u64()
            .map(Some)
            .ok_or_else(|| bad("a whole number")),
    }
}

/// Any number or nothing; PVE's usage figures may be slightly negative.
pub(crate) fn opt_f64<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    match Option::<Scalar<'_>>::deserialize(d)? {
        None => Ok(None),
        Some(scalar) => scalar.as_f64().map(Some).ok_or_else(|| bad("a number")),
    }
}

/// A boolean; null is false. Use with `default`, for missing is false too.
pub(crate) fn flag<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    match Option::<Scalar<'_>>::deserialize(d)? {
        None => Ok(false),
        Some(scalar) => scalar.as_flag().ok_or_else(|| bad("a boolean")),
    }
}

/// A text, also if PVE sent a number, or nothing.
pub(crate) fn opt_text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(opt_word(d)?.map(Cow::into_owned))
}

/// As [`opt_text`], and not copied where that can be.
pub(crate) fn opt_word<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(Option::<Scalar<'_>>::deserialize(d)?.map(Scalar::into_text))
}

/// A text that must be there, also if PVE sent a number.
pub(crate) fn text<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(Scalar::deserialize(d)?.into_text().into_owned())
}

/// A VMID, as number or text.
pub(crate) fn vmid<'de, D: Deserializer<'de>>(
    d: D,
) -> Result<proximity_domain::ids::Vmid, D::Error> {
    text(d)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// One form after the other is tried.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum InTurn {
        Flag(bool),
        Whole(i64),
        Fraction(f64),
        Text(String),
    }

    fn in_turn(scalar: Scalar<'_>) -> InTurn {
        match scalar {
            Scalar::Flag(on) => InTurn::Flag(on),
            Scalar::Whole(n) => InTurn::Whole(n),
            Scalar::Fraction(n) => InTurn::Fraction(n),
            Scalar::Text(text) => InTurn::Text(text.into_owned()),
        }
    }

    #[test]
    fn each_form_is_what_it_is_when_all_are_tried_in_turn() {
        for text in [
            "true",
            "false",
            "0",
            "1",
            "-1",
            "-0",
            "7.0",
            "1.5",
            "-2.2e-05",
            "1e300",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "-9223372036854775808",
            "99999999999999999999",
            "\"\"",
            "\"7\"",
            "\"a\\nb\"",
            "null",
            "[]",
            "[1]",
            "{}",
        ] {
            let read = serde_json::from_str::<Scalar<'_>>(text).map(in_turn).ok();
            assert_eq!(read, serde_json::from_str(text).ok(), "{text}");
            let value: Value = serde_json::from_str(text).unwrap();
            let read = Scalar::deserialize(&value).map(in_turn).ok();
            assert_eq!(read, InTurn::deserialize(&value).ok(), "{text}");
            let read = Scalar::deserialize(value.clone()).map(in_turn);
            assert_eq!(read.ok(), serde_json::from_value(value).ok(), "{text}");
        }
        let complaint = serde_json::from_str::<Scalar<'_>>("[]").err().unwrap();
        let expected = "invalid type: sequence, expected a number, a text or a boolean";
        assert!(complaint.to_string().starts_with(expected), "{complaint}");
    }

    #[test]
    fn numbers_are_read_in_every_form_pve_uses() {
        for value in [json!(7), json!("7"), json!(7.0), json!(" 7 ")] {
            assert_eq!(u64(value.clone()).unwrap(), 7, "{value}");
        }
        for value in [json!(-1), json!("x"), json!(1.5), json!([]), json!(1e300)] {
            assert!(u64(value.clone()).is_err(), "{value}");
        }
        assert_eq!(opt_f64(json!("0.25")).unwrap(), Some(0.25));
        assert_eq!(opt_f64(json!(-2.2e-05)).unwrap(), Some(-2.2e-05));
        assert_eq!(opt_u64(json!(null)).unwrap(), None);
    }

    #[test]
    fn a_word_is_not_copied_unless_it_has_to_be() {
        let read = |text: &'static str| opt_word(&mut serde_json::Deserializer::from_str(text));
        for (text, word, is_borrowed) in [
            (r#""web""#, "web", true),
            (r#""w\u0065b""#, "web", false),
            ("7", "7", false),
            ("true", "1", false),
        ] {
            let found = read(text).unwrap().unwrap();
            assert_eq!(found, word);
            assert_eq!(matches!(found, Cow::Borrowed(_)), is_borrowed, "{text}");
        }
        assert_eq!(read("null").unwrap(), None);
        assert!(read("[]").is_err());
    }

    #[test]
    fn flags_are_read_in_every_form_pve_uses() {
        for on in [json!(1), json!("1"), json!(true), json!("yes")] {
            assert!(flag(on.clone()).unwrap(), "{on}");
        }
        for off in [json!(0), json!("0"), json!(false), json!(null), json!("")] {
            assert!(!flag(off.clone()).unwrap(), "{off}");
        }
        assert!(flag(json!(2)).is_err());
    }
}
